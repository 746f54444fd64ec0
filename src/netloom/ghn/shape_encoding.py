"""What a hypernetwork is told of a parameter's shape: an embedding for each of its four sizes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import isqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class ShapeEncoder(nn.Module):
    """Embeddings of (out channels, in channels, height, width), of hid / 4 entries each, side by side.

    Sizes that nobody trained on take the place of the closest that somebody did. Source: Knyazev et al., 2021, appendix.
    """

    def __init__(self, hid: int, num_classes: int, kernel: int) -> None:
        super().__init__()
        self.num_classes, self.kernel = num_classes, kernel
        self.embed_spatial = nn.Embedding(len(spatial_sizes(kernel)) + 1, hid // 4)
        self.embed_channel = nn.Embedding(len(channel_sizes(num_classes)) + 1, hid // 4)

    def forward(self, places: Tensor) -> Tensor:
        """(N, 4) places in the vocabularies (see `places`) → (N, hid)."""
        channels = self.embed_channel(places[:, :2]).flatten(1)
        return torch.cat((channels, self.embed_spatial(places[:, 2:]).flatten(1)), dim=1)

    def places(self, shapes: Sequence[tuple[int, ...] | None]) -> Any:
        """(N, 4) int64 array: where the sizes of N shapes are in the vocabularies; a node without shape has the last place."""
        channels, spatial = _channel_table(self.num_classes), _spatial_table(self.kernel)
        absent = [self.embed_channel.num_embeddings - 1] * 2 + [self.embed_spatial.num_embeddings - 1] * 2
        found = np.array([absent if shape is None else four_sizes(shape) for shape in shapes], dtype=np.int64).reshape(-1, 4)
        known = np.array([shape is not None for shape in shapes], dtype=bool)
        if known.any():
            sizes = found[known]
            sizes[:, :2] = channels[np.minimum(sizes[:, :2], len(channels) - 1)]
            sizes[:, 2:] = spatial[np.minimum(sizes[:, 2:], len(spatial) - 1)]
            found[known] = sizes
        return found


def four_sizes(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Four sizes for a shape of any rank; a table of positions (1, n, c) is seen as (1, c, √n, √n).

    >>> four_sizes((10, 64)), four_sizes((1, 197, 768)), four_sizes((96, 1, 1)), four_sizes((8, 4, 3, 3, 3))
    ((10, 64, 1, 1), (1, 768, 14, 14), (96, 1, 1, 1), (8, 4, 3, 3))
    """
    if len(shape) == 3 and shape[0] == 1 and min(shape[1:]) > 1:
        return (1, shape[2], isqrt(shape[1]), isqrt(shape[1]))
    padded = (*shape, 1, 1, 1, 1)[:4] if len(shape) <= 4 else (*shape[:2], *shape[-2:])
    return tuple(max(1, size) for size in padded)  # type: ignore[return-value]


@lru_cache(maxsize=64)
def channel_sizes(num_classes: int) -> tuple[int, ...]:
    """The vocabulary of numbers of channels."""
    steps = (*range(8, 64, 8), *range(64, 4096, 16), *range(4096, 8193, 32))
    return tuple(sorted({1, 3, num_classes, *steps}))


@lru_cache(maxsize=64)
def spatial_sizes(kernel: int) -> tuple[int, ...]:
    """The vocabulary of sizes of kernels."""
    return tuple(sorted({*range(1, max(12, kernel), 2), 14, 16}))


@lru_cache(maxsize=64)
def _channel_table(num_classes: int) -> Any:
    sizes = channel_sizes(num_classes)
    table = _closest(sizes)
    table[4:8] = sizes.index(8)
    return table


@lru_cache(maxsize=64)
def _spatial_table(kernel: int) -> Any:
    sizes = spatial_sizes(kernel)
    table = _closest(sizes)
    table[2] = sizes.index(3)
    return table


def _closest(sizes: tuple[int, ...]) -> Any:
    """For every number up to the largest size, the place of the closest; the lower of two that are equally close."""
    numbers = np.arange(sizes[-1] + 1)
    return np.abs(numbers[:, None] - np.array(sizes)).argmin(axis=1)
