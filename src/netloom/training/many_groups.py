"""Which networks are stacked together: of equal depth and data sizes, similar widths, neighbours of like activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .many_chains import Chain

#: What the buffers and weights of one group may take: little enough for caches, enough that calls cost little.
GROUP_BYTES = 8 << 20
#: Tensors as large as a weight (itself, gradient, two moments), and as large as a value (before and after, and its gradient).
_WEIGHT_COPIES, _VALUE_COPIES = 4, 3


def grouped(chains: Sequence[Chain], batch_size: int, itemsize: int = 4) -> list[list[int]]:
    """The places of ``chains``, all of one depth, in groups to stack; each in the order that its stack is to have.

    A group is cut in two across the layer whose widths differ most until it fits `GROUP_BYTES`, so that little is spent on
    padding; within a group networks are sorted by activations, which are then applied to a few long slices.

    >>> from netloom.training.many_chains import Dense
    >>> chains = [Chain((Dense(4, 2 + i % 2, "w", None),), (4,), "float32") for i in range(4)]
    >>> grouped(chains, batch_size=32)
    [[0, 1, 2, 3]]
    >>> grouped(chains, batch_size=30_000)
    [[0, 2], [1, 3]]
    """
    found = _cut(list(range(len(chains))), [_widths(chain) for chain in chains], batch_size, itemsize)
    return [sorted(group, key=lambda place: (_activations(chains[place]), place)) for group in found]


def _widths(chain: Chain) -> tuple[int, ...]:
    return (chain.in_features, *(layer.out_features for layer in chain.layers))


def _activations(chain: Chain) -> tuple[Any, ...]:
    return tuple(repr(layer.activations) for layer in chain.layers)


def _cut(places: list[int], widths: list[tuple[int, ...]], batch_size: int, itemsize: int) -> list[list[int]]:
    columns = list(zip(*(widths[place] for place in places)))
    if len(places) == 1 or len(places) * _bytes([max(column) for column in columns], batch_size, itemsize) <= GROUP_BYTES:
        return [places]
    # The layer whose widths spread most, by ratio: there padding costs most.
    layer = max(range(len(columns)), key=lambda number: max(columns[number]) / min(columns[number]))
    ordered = sorted(places, key=lambda place: (widths[place][layer], widths[place], place))
    half = _boundary(ordered, [widths[place][layer] for place in ordered])
    return _cut(ordered[:half], widths, batch_size, itemsize) + _cut(ordered[half:], widths, batch_size, itemsize)


def _boundary(ordered: list[int], sizes: list[int]) -> int:
    """Near the middle, where the width changes if it does so in the middle half."""
    middle, count = len(ordered) // 2, len(ordered)
    changes = [i for i in range(max(1, count // 4), 3 * count // 4 + 1) if i < count and sizes[i] != sizes[i - 1]]
    return min(changes, key=lambda i: abs(i - middle), default=middle)


def _bytes(widths: Sequence[int], batch_size: int, itemsize: int) -> int:
    """Of one network: weights with what the optimiser keeps, and values with their gradients."""
    weights = sum((fan_in + 1) * out for fan_in, out in zip(widths, widths[1:]))
    return itemsize * (_WEIGHT_COPIES * weights + _VALUE_COPIES * batch_size * sum(widths))
