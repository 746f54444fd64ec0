"""`Split`: one part of a task, in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..errors import TaskError
from .normalization import Normalization, normalized

if TYPE_CHECKING:
    import numpy
    import torch
    from torch import Tensor

#: Inputs of at most so many bytes are held a second time, as a training reads them.
MOST_COPIED = 256 << 20
#: Bytes of the digest of one row of uint8 data.
DIGEST_BYTES = 16


@runtime_checkable
class Part(Protocol):
    """What training needs of one part of a task: `Split` in memory, or a `Stream` decoded on the way."""

    y: Tensor

    def __len__(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample, without batch axis."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the contents."""
        ...

    def batches(self, size: int, *, order: Tensor | None = None, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches (x, y) of ``size`` rows in ``order`` (default: as they lie); the last may be smaller."""
        ...

    def to(self, device: Any) -> Part:
        """The same part, its batches on ``device``."""
        ...


class Split:
    """One part of a task in memory: inputs ``x`` float32 (N, …), targets ``y`` int64 (N,) or float32 (N, targets).

    Images are held as bytes and normalised batch by batch (a quarter of the memory, on the device too); ``x`` makes the
    whole of them when it is first asked for.

    >>> import torch
    >>> split = Split(torch.arange(6.0).reshape(3, 2), torch.tensor([0, 1, 0]))
    >>> [tuple(x.shape) for x, y in split.batches(2)]
    [(2, 2), (1, 2)]
    >>> next(split.batches(2, order=torch.tensor([2, 0])))
    (tensor([[4., 5.],
            [0., 1.]]), tensor([0, 0]))
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        *,
        normalization: Normalization | None = None,
        row_digests: numpy.ndarray | None = None,
    ) -> None:
        """``x`` as it is held: float32, or any dtype with the ``normalization`` that makes it so."""
        self.held, self.y, self.normalization = x, y, normalization
        self._row_digests = row_digests
        self._pixels_last = False
        self._prepared: dict[bool, Split] = {}
        self._affine = None if normalization is None else normalization.tensors(x)

    def __len__(self) -> int:
        return int(self.held.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample, without batch axis."""
        return tuple(self.held.shape[1:])

    @property
    def device(self) -> torch.device:
        return self.held.device

    @cached_property
    def x(self) -> Tensor:
        """All inputs, float32 (N, …)."""
        return self._ready(self.held)

    def _ready(self, held: Tensor) -> Tensor:
        return held if self._affine is None else normalized(held, *self._affine)

    def batches(self, size: int, *, order: Tensor | None = None, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches (x, y) of ``size`` rows in ``order`` (row numbers, default: as they lie); the last may be smaller.

        ``seed`` is for parts that draw as they decode; nothing is drawn here.
        """
        check_batch_size(size)
        if order is None:
            for start in range(0, len(self), size):
                rows = slice(start, start + size)
                yield self._ready(self.held[rows]), self.y[rows]
            return
        order = order.to(self.held.device)
        for rows in order.split(size) if len(order) else ():
            yield self._ready(self._chosen(rows)), self.y.index_select(0, rows)

    def _chosen(self, rows: Tensor) -> Tensor:
        if self._pixels_last:  # choosing rows would turn the layout back
            return self.held.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
        return self.held.index_select(0, rows)

    def prepared(self, *, channels_last: bool = False) -> Split:
        """The same part as a training reads it, epoch after epoch: normalised already, images in the asked layout; made once.

        Itself where nothing is to do. Floats of more than `MOST_COPIED` bytes stay bytes, normalised batch by batch, and bytes
        of more than that stay in the usual layout.
        """
        import torch

        known = self._prepared.get(channels_last)
        if known is not None:
            return known
        found = self
        if channels_last and self.held.ndim == 4 and self.held.nbytes <= MOST_COPIED:
            turned = self.held.contiguous(memory_format=torch.channels_last)
            found = Split(turned, self.y, normalization=self.normalization, row_digests=self._row_digests)
            found._pixels_last = True
        if self.normalization is not None and 4 * self.held.numel() <= MOST_COPIED:
            floats = Split(found._ready(found.held), self.y)
            floats._pixels_last = found._pixels_last
            found = floats
        if found is not self:  # which would hold on to itself
            self._prepared[channels_last] = found
        return found

    def to(self, device: Any) -> Split:
        """The same part on ``device``."""
        held, y = self.held.to(device), self.y.to(device)
        moved = Split(held, y, normalization=self.normalization, row_digests=self._row_digests)
        moved.__dict__["digest"] = self.digest  # contents are the same, and hashing needs them here
        return moved

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the contents: dtypes, shapes, inputs in their order, normalisation, targets."""
        import torch

        found = hashlib.sha256()
        if self.held.dtype == torch.uint8:
            # Row by row: digests of rows are kept with decoded images, so that no split has to read them again.
            rows = self._row_digests if self._row_digests is not None else row_digests(self.held.cpu().numpy())
            found.update(f"|rows {tuple(self.held.shape)} {self.normalization!r}|".encode())
            found.update(rows.tobytes())
        else:
            _update(found, self.held)
            found.update(f"|{self.normalization!r}|".encode())
        _update(found, self.y)
        return found.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        # What can be made again is not sent to other processes.
        return {**{name: value for name, value in self.__dict__.items() if name != "x"}, "_prepared": {}}

    def __repr__(self) -> str:
        return f"<Split: {len(self)} of {'×'.join(map(str, self.shape))}>"


def _update(digest: Any, tensor: Tensor) -> None:
    array = tensor.detach().cpu().contiguous().numpy()
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    digest.update(f"|{little.dtype.str}{little.shape}|".encode())
    digest.update(memoryview(little.reshape(-1)).cast("B") if little.size else b"")


def row_digests(array: numpy.ndarray) -> numpy.ndarray:
    """The digest of each row of a uint8 array (N, …): uint8 (N, 16)."""
    import numpy as np

    flat = np.ascontiguousarray(array).reshape(len(array), -1)
    joined = b"".join(hashlib.blake2b(row.data, digest_size=DIGEST_BYTES).digest() for row in flat)
    return np.frombuffer(joined, np.uint8).reshape(len(array), DIGEST_BYTES)


def check_batch_size(size: int) -> None:
    """`TaskError` unless a batch size is a whole number above zero."""
    if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
        raise TaskError(f"batch size {size!r}; expected a whole number of at least 1")
