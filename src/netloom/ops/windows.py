"""Sliding windows: what convolutions, pools and fold share about their spatial axes."""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from .operator import TensorType, pretty
from .size import Size


def split_axes(x: TensorType, n: int) -> tuple[tuple[Any, ...], Any, tuple[Any, ...]]:
    """The batch axis as a tuple (empty for a single sample), the channels, and the n spatial sizes of ``(N, C, …)``."""
    letters = "LHWDHW"[{1: 0, 2: 1, 3: 3}[n] :][:n]
    if x.rank not in (n + 1, n + 2):
        raise ShapeError(
            f"{pretty(x.shape)} has {x.rank} axes where (N, C, {', '.join(letters)}) or (C, {', '.join(letters)}) is expected; "
            f"reshape it to {n + 2} axes"
        )
    return x.shape[: -n - 1], x.shape[-n - 1], x.shape[-n:]


def covered(size: Any, kernel: int, stride: int, padding: int, dilation: int, ceil: bool = False) -> Any:
    """How many windows fit along an axis; 0 or less where the window exceeds the padded axis.

    ``ceil`` also counts a last window that hangs over the end, if it starts inside the axis or its left padding.

    >>> covered(32, 3, 2, 1, 1), covered(6, 3, 2, 0, 1), covered(6, 3, 2, 0, 1, ceil=True)
    (16, 2, 3)
    """
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil:
        return room // stride + 1
    if isinstance(size, Size) and padding + stride - 2 >= dilation * (kernel - 1):
        raise ShapeError(
            f"with ceil_mode the number of windows over the free size {size} has no closed form "
            f"(kernel {kernel}, stride {stride}, padding {padding}); fix that axis or use ceil_mode=False"
        )
    count = (room + stride - 1) // stride + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def window_shape(
    spatial: tuple[Any, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil: bool = False,
) -> tuple[Any, ...]:
    """`covered` along every axis; `ShapeError` where the kernel does not fit."""
    sizes = tuple(covered(*along, ceil) for along in zip(spatial, kernel, stride, padding, dilation))
    if any(size < 1 for size in sizes):
        reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation))
        lacking = max((r - s - 2 * p for r, s, p in zip(reach, spatial, padding)), default=0)
        spread = f" (dilated to {pretty(reach)})" if reach != kernel else ""
        raise ShapeError(
            f"kernel {pretty(kernel)}{spread} exceeds the input {pretty(spatial)} with padding {pretty(padding)}; "
            f"use padding ≥ {max(padding) + (lacking + 1) // 2} or a smaller kernel"
        )
    return sizes
