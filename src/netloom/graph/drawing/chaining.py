"""Coordinates across the direction of a picture.

Vertices that straight links join form chains, which move as one. Chains are packed to the left and then drawn towards the
mean of what they are linked to, as far as their neighbours let them (after Sander, GD 1995, "pendulum").
"""

from __future__ import annotations

from math import inf

from .layering import Layered

#: Least distances between boxes, and where one of two neighbours is a line.
GAP, NARROW_GAP = 20.0, 11.0
_SWEEPS, _MANY_CHAINS, _SWEEPS_OF_MANY = 40, 400, 24

#: (vertex, line) → where the line meets the vertex, from its middle.
Offsets = dict[tuple[int, int], float]


def coordinates(
    made: Layered, extents: dict[int, tuple[float, float]], arrivals: Offsets, departures: Offsets
) -> dict[int, float]:
    """The coordinate of every vertex; ``extents`` gives how far each reaches to the left and right of it."""
    chain, shift = _chains(made, arrivals, departures)
    left: list[list[tuple[int, float]]] = [[] for _ in range(max(chain.values(), default=-1) + 1)]
    right: list[list[tuple[int, float]]] = [[] for _ in left]
    pulls: list[list[tuple[int, float]]] = [[] for _ in left]
    for row in made.layers:
        for a, b in zip(row, row[1:]):
            gap = GAP if a not in made.passing and b not in made.passing else NARROW_GAP
            distance = shift[a] + extents[a][1] + gap + extents[b][0] - shift[b]
            left[chain[b]].append((chain[a], distance))
            right[chain[a]].append((chain[b], distance))
    for link in made.links:
        a, b = chain[link.upper], chain[link.lower]
        if a != b:
            start = shift[link.upper] + departures.get((link.upper, link.line), 0.0)
            end = shift[link.lower] + arrivals.get((link.lower, link.line), 0.0)
            pulls[a].append((b, end - start))
            pulls[b].append((a, start - end))
    order = _order(left, right)
    x = [0.0] * len(left)
    for c in order:
        x[c] = max([x[other] + distance for other, distance in left[c]], default=0.0)
    for sweep in range(_SWEEPS if len(x) < _MANY_CHAINS else _SWEEPS_OF_MANY):
        for c in reversed(order) if sweep % 2 == 0 else order:
            if not pulls[c]:
                continue
            wanted = 0.0
            # Not `sum`, which rounds differently from Python 3.12 on: the same graph gives the same picture everywhere.
            for other, distance in pulls[c]:
                wanted += x[other] + distance
            wanted /= len(pulls[c])
            low = max([x[other] + distance for other, distance in left[c]], default=-inf)
            high = min([x[other] - distance for other, distance in right[c]], default=inf)
            x[c] = max(low, min(high, wanted))
    return {v: x[chain[v]] + shift[v] for v in chain}


def _chains(made: Layered, arrivals: Offsets, departures: Offsets) -> tuple[dict[int, int], dict[int, float]]:
    """The chain of every vertex, and its place in it such that straight links are straight."""
    upper_of = {made.links[index].lower: made.links[index] for index in made.straight}
    chain: dict[int, int] = {}
    shift: dict[int, float] = {}
    count = 0
    for row in made.layers:
        for vertex in row:
            link = upper_of.get(vertex)
            if link is None:
                chain[vertex], shift[vertex] = count, 0.0
                count += 1
            else:
                start = shift[link.upper] + departures.get((link.upper, link.line), 0.0)
                chain[vertex] = chain[link.upper]
                shift[vertex] = start - arrivals.get((vertex, link.line), 0.0)
    return chain, shift


def _order(left: list[list[tuple[int, float]]], right: list[list[tuple[int, float]]]) -> list[int]:
    """Chains from left to right."""
    waiting = [len(found) for found in left]
    ready = [c for c in range(len(left)) if not waiting[c]]
    for c in ready:
        for other, _ in right[c]:
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    return ready
