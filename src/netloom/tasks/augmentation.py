"""Random changes of image batches, drawn for each sample, computed for the whole batch at once on its device.

All take x (N, C, H, W) and give a new tensor; ``generator`` (a `torch.Generator`, of the batch's device or of the CPU; None:
torch's global one) makes them repeatable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import TaskError

if TYPE_CHECKING:
    from torch import Generator, Tensor


def pad_crop(x: Tensor, padding: int, generator: Generator | None = None, *, mode: str = "constant") -> Tensor:
    """Pad by ``padding`` on all sides, then cut a window of the old size at a random place of each sample.

    ``mode`` is ``constant`` (zeros, the mean of normalised images), ``reflect`` or ``replicate``.

    >>> import torch
    >>> pad_crop(torch.ones(2, 3, 8, 8), 2, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3, 8, 8])
    """
    import torch
    from torch.nn.functional import pad

    _check(x, "pad_crop", padding, "padding")
    if padding == 0:
        return x.clone()
    count, channels, height, width = x.shape
    top, left = (_draw(x, 2 * padding + 1, generator).reshape(-1, 1, 1) for _ in range(2))
    padded = pad(x, (padding,) * 4, mode=mode).contiguous()
    # Every run of `width` numbers as a row of an overlapping view: rows of windows are copied as a whole.
    runs = padded.as_strided((padded.numel() - width + 1, width), (1, 1))
    tall, wide = padded.shape[2:]
    planes = torch.arange(count * channels, device=x.device).reshape(count, channels, 1) * tall
    starts = (planes + top + torch.arange(height, device=x.device)) * wide + left
    return runs.index_select(0, starts.reshape(-1)).reshape(x.shape)


def flip(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Mirror each sample left to right with probability one half.

    >>> import torch
    >>> flip(torch.arange(4.0).reshape(1, 1, 2, 2), torch.Generator().manual_seed(0)).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    import torch

    _check(x, "flip")
    mirrored = _draw(x, 2, generator).bool().reshape(-1, 1, 1, 1)
    return torch.where(mirrored, x.flip(3), x)


def cutout(x: Tensor, length: int, generator: Generator | None = None) -> Tensor:
    """Set a square of side ``length`` around a random pixel of each sample to zero; at the border a part of it.

    Source: T. DeVries and G. W. Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017.

    >>> import torch
    >>> int((cutout(torch.ones(1, 1, 8, 8), 2, torch.Generator().manual_seed(0)) == 0).sum())
    4
    """
    import torch

    _check(x, "cutout", length, "length")
    height, width = x.shape[2:]
    top = _draw(x, height, generator) - length // 2
    left = _draw(x, width, generator) - length // 2
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    in_rows = (rows >= top[:, None]) & (rows < top[:, None] + length)
    in_columns = (columns >= left[:, None]) & (columns < left[:, None] + length)
    return x.masked_fill((in_rows[:, :, None] & in_columns[:, None, :])[:, None], 0)


def _draw(x: Tensor, below: int, generator: Generator | None) -> Tensor:
    """A number in [0, below) for each sample, on the device of the batch, drawn where the generator lives."""
    import torch

    source = x.device if generator is None else generator.device
    return torch.randint(below, (len(x),), generator=generator, device=source).to(x.device, non_blocking=True)


def _check(x: Tensor, name: str, size: int = 0, what: str = "") -> None:
    if x.ndim != 4:
        raise TaskError(f"{name} changes images (N, C, H, W), not a batch of shape {tuple(x.shape)}")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise TaskError(f"{name}: {what} = {size!r}; expected a whole number of at least 0")
