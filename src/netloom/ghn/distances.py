"""Lengths of shortest paths: the virtual edges of a hypernetwork's view, and its average path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FAR = 1 << 14


def directed(num_nodes: int, edges: Sequence[tuple[int, int]], cutoff: int) -> NDArray[np.int16]:
    """(N, N) lengths of shortest paths along the edges, 0 where there is none or it is longer than ``cutoff``.

    The nodes are in order: every edge goes from a lower to a higher number.

    >>> directed(3, [(0, 1), (1, 2)], 50).tolist()
    [[0, 1, 2], [0, 0, 1], [0, 0, 0]]
    """
    before: list[list[int]] = [[] for _ in range(num_nodes)]
    for a, b in edges:
        before[b].append(a)
    # Row b holds the lengths of the ways that lead to b.
    found = np.full((num_nodes, num_nodes), _FAR, dtype=np.int16)
    for b, sources in enumerate(before):
        if len(sources) == 1:
            np.add(found[sources[0]], 1, out=found[b])
        elif sources:
            np.add(found[sources].min(axis=0), 1, out=found[b])
        found[b, b] = 0
    found[found > cutoff] = 0
    return np.ascontiguousarray(found.T)


def average_undirected(num_nodes: int, edges: Sequence[tuple[int, int]]) -> float:
    """Mean length of the shortest paths between two nodes, whatever the direction of the edges; of those that are joined."""
    if num_nodes < 2:
        return 0.0
    near: list[list[int]] = [[] for _ in range(num_nodes)]
    for a, b in edges:
        near[a].append(b)
        near[b].append(a)
    total = pairs = 0
    for start in range(num_nodes):
        seen = bytearray(num_nodes)
        seen[start] = 1
        layer, length = [start], 0
        while layer:
            length += 1
            coming = []
            for node in layer:
                for other in near[node]:
                    if not seen[other]:
                        seen[other] = 1
                        coming.append(other)
            total, pairs, layer = total + length * len(coming), pairs + len(coming), coming
    return total / pairs if pairs else 0.0
