"""From decoded tensors to tensors of the right shape and scale."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor


def tiled(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """A tensor repeated along each axis where it is too short, and cut where it is too long.

    >>> tiled(torch.arange(3), (5,)).tolist()
    [0, 1, 2, 0, 1]
    """
    if tuple(tensor.shape) == tuple(shape):
        return tensor
    repeats = [-(-wanted // size) for wanted, size in zip(shape, tensor.shape)]
    if any(repeat > 1 for repeat in repeats):
        tensor = tensor.repeat(repeats)
    return tensor[tuple(slice(size) for size in shape)]


def stretched(tensor: Tensor, kernel: tuple[int, int]) -> Tensor:
    """(N, out, in, h, w) with kernels enlarged by interpolation, as GHN-3 does where the image is too small."""
    n, c_out, c_in = tensor.shape[:3]
    grown = F.interpolate(tensor.flatten(0, 1), size=kernel, mode="bilinear")
    return grown.view(n, c_out, c_in, *kernel)


def fan_in_scale(shape: Sequence[int]) -> float:
    """What a weight is multiplied by for its fan-in: for a ReLU after it, or for none (depthwise, and the first of 1×k and
    k×1).

    >>> fan_in_scale((64, 32, 1, 1)), fan_in_scale((64, 1, 2, 2))
    (0.25, 0.5)
    """
    if len(shape) > 2 and shape[0] == 1 and shape[2] >= 11:
        return 1.0  # a table of positions
    alone = len(shape) > 2 and (shape[1] == 1 or (len(shape) > 3 and shape[2] < shape[3]))
    return sqrt((1.0 if alone else 2.0) / max(1, prod(shape[1:])))


def squashed(vectors: Tensor) -> Tensor:
    """(N, 2, C) kept near what is usual: scales in (0, 2), and what is added in (-1, 1)."""
    return torch.stack((2 * torch.sigmoid(0.5 * vectors[:, 0]), torch.tanh(0.2 * vectors[:, 1])), dim=1)
