"""Which links of a layered diagram are drawn exactly straight.

The main path comes first, then the long stretches of lines that pass layers, then whatever else fits. Straight links never
cross and no two meet, so that the chains they form can be put side by side (the idea of Brandes and Köpf, GD 2001).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple


class Link(NamedTuple):
    """Part of a line between neighbouring layers."""

    upper: int
    lower: int
    line: int


def longest_path(
    pairs: Sequence[tuple[int, int]], weights: Sequence[float], ranks: Sequence[int], position: Mapping[int, float]
) -> list[int]:
    """The heaviest path through the pairs; between equals short steps, then vertices in the middle of their layer."""
    above: dict[int, list[int]] = {}
    for upper, lower in pairs:
        above.setdefault(lower, []).append(upper)
    best: dict[int, float] = {}
    chosen: dict[int, int] = {}

    def merit(vertex: int, rank: int) -> tuple[float, float, float]:
        return round(best[vertex], 6), ranks[vertex] - rank, -abs(position[vertex] - 0.5)

    for vertex in sorted(range(len(weights)), key=lambda v: (ranks[v], v)):
        before = [u for u in above.get(vertex, ()) if u in best]
        if before:
            merits = [merit(u, ranks[vertex]) for u in before]
            chosen[vertex] = before[merits.index(max(merits))]
        best[vertex] = weights[vertex] + (best[chosen[vertex]] if vertex in chosen else 0.0)
    if not best:
        return []
    last: int = max(best, key=lambda v: (round(best[v], 6), ranks[v], -v))
    path = [last]
    while path[-1] in chosen:
        path.append(chosen[path[-1]])
    return path[::-1]


def straight_links(
    layers: Sequence[Sequence[int]], links: Sequence[Link], path: Sequence[int], passing: Mapping[int, int]
) -> list[int]:
    """Indices of the links to draw straight."""
    position = {vertex: i for row in layers for i, vertex in enumerate(row)}
    rank = {vertex: r for r, row in enumerate(layers) for vertex in row}
    main = _links_of_path(links, path, passing)
    degree_down: dict[int, int] = {}
    degree_up: dict[int, int] = {}
    for link in links:
        degree_down[link.upper] = degree_down.get(link.upper, 0) + 1
        degree_up[link.lower] = degree_up.get(link.lower, 0) + 1

    def priority(index: int) -> tuple[int, int, int]:
        link = links[index]
        if index in main:
            return (0, 0, index)
        through = (link.upper in passing) + (link.lower in passing)
        alone = degree_down[link.upper] + degree_up[link.lower]
        return (1, 0, index) if through == 2 else (2 + through, alone, index)

    taken_down: set[int] = set()
    taken_up: set[int] = set()
    gaps: dict[int, list[tuple[int, int]]] = {}
    accepted = []
    for index in sorted(range(len(links)), key=priority):
        link = links[index]
        if link.upper in taken_down or link.lower in taken_up:
            continue
        gap = gaps.setdefault(rank[link.upper], [])
        ends = (position[link.upper], position[link.lower])
        place = bisect_left(gap, ends)
        if (place and gap[place - 1][1] > ends[1]) or (place < len(gap) and gap[place][1] < ends[1]):
            continue
        gap.insert(place, ends)
        taken_down.add(link.upper)
        taken_up.add(link.lower)
        accepted.append(index)
    return sorted(accepted)


def _links_of_path(links: Sequence[Link], path: Sequence[int], passing: Mapping[int, int]) -> set[int]:
    """The links that the main path runs along, those in passed layers included."""
    up: dict[int, list[int]] = {}
    for index, link in enumerate(links):
        up.setdefault(link.lower, []).append(index)
    found: set[int] = set()
    for start, end in pairwise(path):
        for first in up.get(end, ()):
            course, index = [first], first
            while links[index].upper in passing:
                index = up[links[index].upper][0]
                course.append(index)
            if links[index].upper == start:
                found.update(course)
                break
    return found
