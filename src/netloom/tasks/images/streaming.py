"""`Stream`: a part of a task whose images are decoded on the way, in parallel, a few batches ahead."""

from __future__ import annotations

import hashlib
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...errors import NetloomWarning, TaskError
from ..normalization import Normalization, normalized
from ..parts import check_batch_size
from ..progress import processors
from .decoding import Frame
from .memory import reason_of
from .source import ImageSource

if TYPE_CHECKING:
    import numpy
    from torch import Tensor

#: Batches that are decoded ahead of the one that is asked for.
_AHEAD = 2


class Stream:
    """Images that are too many for memory: ``batches`` decodes them on the way, ``y`` holds all labels int64 (N,).

    With ``random`` each image is a random resized crop, mirrored half the time, drawn from the ``seed`` of `batches` and the
    image's row: the same seed gives the same batches, however many threads decode. Without, it is the middle of the image.
    Files that do not decode raise `TaskError`, or with ``broken="skip"`` are left out of their batch, with a
    `NetloomWarning` the first time, and counted in ``num_broken``.
    """

    def __init__(
        self,
        source: ImageSource,
        frame: Frame,
        normalization: Normalization,
        *,
        random: bool = False,
        broken: str = "refuse",
        device: Any = "cpu",
    ) -> None:
        import torch

        self.source, self.frame, self.normalization = source, frame, normalization
        self.random, self.broken, self.device = random, broken, torch.device(device)
        self.y = torch.from_numpy(source.labels)
        self._failed: set[int] = set()

    def __len__(self) -> int:
        return len(self.source)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample, without batch axis."""
        return self.frame.shape

    @property
    def num_broken(self) -> int:
        """Files that did not decode so far."""
        return len(self._failed)

    @property
    def x(self) -> Tensor:
        raise TaskError(
            f"{len(self):,} images of {'×'.join(map(str, self.shape))} are decoded on the way and never in memory together; "
            "use .batches(size), or raise the setting memory="
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the files' contents and labels, and of how they are decoded."""
        facts = f"stream 1 {self.source.digest()} {self.frame!r} {self.normalization!r} random={self.random}"
        return hashlib.sha256(facts.encode() + self.source.labels.astype("<i8").tobytes()).hexdigest()

    def to(self, device: Any) -> Stream:
        """The same part, its batches on ``device``."""
        moved = Stream(self.source, self.frame, self.normalization, random=self.random, broken=self.broken, device=device)
        if "digest" in self.__dict__:
            moved.__dict__["digest"] = self.digest
        return moved

    def __repr__(self) -> str:
        return f"<Stream: {len(self)} of {'×'.join(map(str, self.shape))}>"

    # -- batches ---------------------------------------------------------------------------------------------------
    def batches(self, size: int, *, order: Tensor | None = None, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches (x, y) of ``size`` rows in ``order`` (row numbers, default: as they lie); the last may be smaller."""
        import torch

        check_batch_size(size)
        wanted = torch.arange(len(self)) if order is None else order.cpu()
        mean, sd = self.normalization.tensors(torch.empty(0, *self.shape, device=self.device))
        for pixels, rows in self._decoded(wanted.split(size), seed):
            if len(rows):
                yield normalized(self._sent(pixels), mean, sd), self._sent(self.y[rows])

    def _sent(self, tensor: Tensor) -> Tensor:
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def _decoded(self, pieces: Any, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels uint8 and row numbers of each batch, the next ones in the making."""
        left = iter(pieces)
        ahead: deque[tuple[Tensor, list[Future[numpy.ndarray | Exception]]]] = deque()
        threads = ThreadPoolExecutor(processors(), thread_name_prefix="netloom-decode")
        try:
            while True:
                while len(ahead) <= _AHEAD and (piece := next(left, None)) is not None:
                    ahead.append((piece, [threads.submit(self._one, int(row), seed) for row in piece]))
                if not ahead:
                    return
                yield self._joined(*ahead.popleft())
        finally:
            # Also where the reader stops in the middle of an epoch.
            threads.shutdown(wait=False, cancel_futures=True)

    def _one(self, row: int, seed: int) -> numpy.ndarray | Exception:
        import numpy as np

        rng = np.random.default_rng([seed % 2**63, row]) if self.random else None
        try:
            return self.source.decode(row, self.frame, rng)
        except Exception as error:  # Pillow raises many kinds for what is no image
            return error

    def _joined(self, rows: Tensor, futures: list[Future[numpy.ndarray | Exception]]) -> tuple[Tensor, Tensor]:
        import numpy as np
        import torch

        images = [future.result() for future in futures]
        for row, image in zip(rows.tolist(), images):
            if isinstance(image, Exception):
                self._fail(row, image)
        good = [image for image in images if not isinstance(image, Exception)]
        if not good:
            return torch.empty(0, *self.shape, dtype=torch.uint8), rows[:0]
        kept = torch.tensor([not isinstance(image, Exception) for image in images])
        return torch.from_numpy(np.stack(good)), rows[kept]

    def _fail(self, row: int, error: Exception) -> None:
        name = self.source.name(row)
        said = f"image {name} cannot be decoded ({reason_of(error)})"
        if self.broken != "skip":
            raise TaskError(f"{said}; mend or remove it, or leave such images out with the setting broken=skip") from None
        if not self._failed:
            warnings.warn(f"{said}; it and others like it are left out", NetloomWarning, stacklevel=2)
        self._failed.add(row)
