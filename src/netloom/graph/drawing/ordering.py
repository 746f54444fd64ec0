"""The order of vertices within layers: few crossings."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence

from .straightening import Link

#: Sweeps over all layers; fewer where there are many links, so that a thousand nodes take seconds.
_SWEEPS, _MANY_LINKS, _SWEEPS_OF_MANY = 24, 4000, 6
#: Sweeps without an improvement after which to stop.
_PATIENCE = 5


def order_layers(layers: list[list[int]], links: Sequence[Link], num_real: int, first: list[int] | None = None) -> None:
    """Put each layer in an order with few crossings, in place; ``first`` fixes the order of the first layer.

    Sweeps of barycentres down and up, each followed by exchanges of neighbours; the best order seen is kept. Vertices from
    ``num_real`` on are lines that pass; between equals they go to the right.
    """
    count = max((max(row, default=-1) for row in layers), default=-1) + 1
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for link in links:
        above[link.lower].append(link.upper)
        below[link.upper].append(link.lower)
    if first is not None and layers and set(first) == set(layers[0]):
        layers[0][:] = first
    fixed = first is not None
    best, best_order = -1, [list(row) for row in layers]
    stale = 0
    for sweep in range(_SWEEPS if len(links) < _MANY_LINKS else _SWEEPS_OF_MANY):
        if sweep % 2 == 0:
            for i in range(1, len(layers)):
                _by_barycentre(layers[i], layers[i - 1], above, num_real)
        else:
            for i in range(len(layers) - 2, 0 if fixed else -1, -1):
                _by_barycentre(layers[i], layers[i + 1], below, num_real)
        _exchange(layers, above, below, 1 if fixed else 0)
        crossings = count_crossings(layers, below)
        if best < 0 or crossings < best:
            best, best_order, stale = crossings, [list(row) for row in layers], 0
        else:
            stale += 1
        if not best or stale >= _PATIENCE:
            break
    for row, ordered in zip(layers, best_order):
        row[:] = ordered


def _by_barycentre(row: list[int], fixed: list[int], neighbours: list[list[int]], num_real: int) -> None:
    """Sort a layer by the mean position of neighbours in the fixed one; vertices without any keep their place."""
    if len(row) < 2:
        return
    position = {vertex: i for i, vertex in enumerate(fixed)}
    scale = len(fixed) / len(row)
    key = {}
    for i, vertex in enumerate(row):
        near = neighbours[vertex]
        mean = sum(position[n] for n in near) / len(near) if near else i * scale
        key[vertex] = (mean, vertex >= num_real, i)
    row.sort(key=key.__getitem__)


def _exchange(layers: list[list[int]], above: list[list[int]], below: list[list[int]], start: int) -> None:
    """Exchange neighbours in a layer while that takes crossings out."""
    position = {vertex: i for row in layers for i, vertex in enumerate(row)}
    near = {v: (sorted(position[n] for n in above[v]), sorted(position[n] for n in below[v])) for row in layers for v in row}
    for _ in range(4):
        changed = False
        for index in range(start, len(layers)):
            row = layers[index]
            touched = False
            for i in range(len(row) - 1):
                a, b = row[i], row[i + 1]
                now = sum(_inversions(near[a][side], near[b][side]) for side in (0, 1))
                if now and now > sum(_inversions(near[b][side], near[a][side]) for side in (0, 1)):
                    row[i], row[i + 1] = b, a
                    touched = changed = True
            if touched:
                position.update((vertex, i) for i, vertex in enumerate(row))
                for other in {n for v in row for n in (*above[v], *below[v])}:
                    near[other] = (sorted(position[n] for n in above[other]), sorted(position[n] for n in below[other]))
        if not changed:
            break


def _inversions(left: list[int], right: list[int]) -> int:
    """Crossings of the links of two neighbours, given the sorted positions of their other ends."""
    if not left or not right or left[-1] <= right[0]:
        return 0
    total, j = 0, 0
    for end in left:
        while j < len(right) and right[j] < end:
            j += 1
        total += j
    return total


def count_crossings(layers: list[list[int]], below: list[list[int]]) -> int:
    """Crossings between neighbouring layers."""
    total = 0
    for upper, lower in zip(layers, layers[1:]):
        position = {vertex: i for i, vertex in enumerate(lower)}
        seen: list[int] = []
        for vertex in upper:
            ends = sorted(position[n] for n in below[vertex])
            for end in ends:
                total += len(seen) - bisect_right(seen, end)
            for end in ends:
                insort(seen, end)
    return total
