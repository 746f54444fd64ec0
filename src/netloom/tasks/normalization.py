"""Shift and scale per channel, worked out on the train part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    from torch import Tensor

#: Standard deviations below this count as zero: such a channel is shifted only.
_CONSTANT = 1e-12
#: Rows that are turned into wide numbers at a time.
_CHUNK = 512


@dataclass(frozen=True, slots=True)
class Normalization:
    """``(x - mean) / sd`` per channel (axis 1) of x (N, C, …).

    >>> import torch
    >>> Normalization((1.0, 2.0), (2.0, 1.0)).apply(torch.tensor([[3.0, 3.0]]))
    tensor([[1., 1.]])
    """

    mean: tuple[float, ...]
    sd: tuple[float, ...]

    @staticmethod
    def none(channels: int) -> Normalization:
        """That which changes nothing."""
        return Normalization((0.0,) * channels, (1.0,) * channels)

    def apply(self, x: Tensor) -> Tensor:
        """x (N, C, …) of any dtype → float32 of the same shape."""
        return normalized(x, *self.tensors(x))

    def tensors(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and sd as float32 (C, 1, …), on the device of ``like`` (N, C, …)."""
        import torch

        shape = (-1, *(1,) * (like.ndim - 2))
        mean, sd = (torch.tensor(v, dtype=torch.float32, device=like.device).reshape(shape) for v in (self.mean, self.sd))
        return mean, sd

    def undo(self, x: Tensor) -> Tensor:
        """Normalised x (N, C, …) → the numbers it came from."""
        mean, sd = self.tensors(x)
        return x * sd + mean


def normalized(x: Tensor, mean: Tensor, sd: Tensor) -> Tensor:
    """``(x - mean) / sd`` as a new float32 tensor; two roundings, whatever batch and layout, so batches equal the whole."""
    import torch

    made = x.to(torch.float32, copy=True)
    if made.ndim != 4 or made.is_contiguous():
        return made.sub_(mean).div_(sd)
    # Channels last: rows of pixels and rows of means, as three numbers at a time are too few for a processor.
    rows, width = made.permute(0, 2, 3, 1).flatten(2), made.shape[3]
    rows.sub_(mean.flatten().repeat(width)).div_(sd.flatten().repeat(width))
    return rows.reshape(len(made), *made.shape[2:], made.shape[1]).permute(0, 3, 1, 2)


def of_floats(x: numpy.ndarray, rows: numpy.ndarray | None = None) -> Normalization:
    """The normalization that gives ``rows`` of x (N, C, …) mean 0 and standard deviation 1 in every channel."""
    part = x if rows is None else x[rows]
    axes = (0, *range(2, x.ndim))
    return of_moments(part.mean(axis=axes, dtype="float64"), part.std(axis=axes, dtype="float64"))


def of_moments(mean: numpy.ndarray, sd: numpy.ndarray) -> Normalization:
    """From mean and standard deviation of each channel; a constant channel gets sd 1."""
    scales = [float(value) if value > _CONSTANT else 1.0 for value in sd]
    return Normalization(tuple(float(value) for value in mean), tuple(scales))


def row_moments(pixels: numpy.ndarray) -> numpy.ndarray:
    """Sum and sum of squares of each channel of each row: uint8 (N, C, …) → int64 (N, C, 2), exact."""
    import numpy as np

    flat = pixels.reshape(len(pixels), pixels.shape[1], -1)
    found = np.empty((*flat.shape[:2], 2), np.int64)
    for start in range(0, len(flat), _CHUNK):
        wide = flat[start : start + _CHUNK].astype(np.float64)
        found[start : start + _CHUNK, :, 0] = wide.sum(axis=2)
        found[start : start + _CHUNK, :, 1] = np.einsum("ncp,ncp->nc", wide, wide)
    return found


def of_row_moments(moments: numpy.ndarray, pixels_per_channel: int) -> Normalization:
    """The normalization of the rows whose `row_moments` (N, C, 2) are given."""
    import numpy as np

    count = len(moments) * pixels_per_channel
    totals = moments.sum(axis=0).astype(np.float64)
    mean = totals[:, 0] / count
    return of_moments(mean, np.sqrt(np.maximum(totals[:, 1] / count - mean**2, 0.0)))
