"""New images made ready as the train part was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import TaskError
from ..normalization import Normalization
from .decoding import Frame, decode
from .memory import reason_of

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class ImagePreprocessing:
    """Size, channels and normalisation of a task's images."""

    task: str
    frame: Frame
    scaling: Normalization

    def transform(self, new: Any) -> Tensor:
        """Paths of image files, the bytes of such files, Pillow images, or uint8 (N, C, H, W) → float32 (N, C, H, W)."""
        import numpy as np
        import torch

        if hasattr(new, "shape"):
            pixels = new if isinstance(new, torch.Tensor) else torch.from_numpy(np.array(new))
            if tuple(pixels.shape[1:]) != self.frame.shape or pixels.dtype != torch.uint8:
                raise TaskError(
                    f"task {self.task!r}: new images are {pixels.dtype} of shape {tuple(pixels.shape)}; "
                    f"expected uint8 (N, {', '.join(map(str, self.frame.shape))}), or files of any size"
                )
        else:
            files = [new] if isinstance(new, (str, bytes, Path)) or not isinstance(new, Sequence) else new
            pixels = torch.from_numpy(np.stack([self._decoded(file) for file in files]))
        return self.scaling.apply(pixels)

    def restore(self, outputs: Tensor) -> Tensor:
        return outputs

    def _decoded(self, file: Any) -> Any:
        try:
            return decode(_bytes_of(file), self.frame)
        except Exception as error:  # Pillow raises many kinds for what is no image
            name = repr(str(file)) if isinstance(file, (str, Path)) else f"a {type(file).__name__}"
            raise TaskError(f"task {self.task!r}: {name} cannot be decoded as an image ({reason_of(error)})") from None


def _bytes_of(file: Any) -> bytes:
    if isinstance(file, bytes):
        return file
    if isinstance(file, (str, Path)):
        return Path(file).read_bytes()
    import io

    buffer = io.BytesIO()
    file.save(buffer, "PNG")
    return buffer.getvalue()
