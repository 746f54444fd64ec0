"""Colour refinement: the coarsest partition of vertices in which all of one cell see every cell alike.

Method: partition refinement with "all but the largest" (Hopcroft 1971; Paige and Tarjan 1987), in time O(m log n); the
order of cells follows from the wiring alone, so that equal graphs get equal colours (McKay and Piperno, "Practical graph
isomorphism, II", 2014, section 2).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

#: Vertex → (neighbour, label of the edge as the neighbour sees it).
Neighbours = Sequence[Sequence[tuple[int, int]]]


class Partition:
    """Vertices 0 … n-1 in ordered cells; the colour of a vertex is the position where its cell starts.

    >>> path = [[(1, 0)], [(0, 0), (2, 0)], [(1, 0)]]
    >>> cells = Partition([[0, 1, 2]])
    >>> cells.refine(path, [0], lambda steps: None)
    >>> cells.colour[0] == cells.colour[2] != cells.colour[1]
    True
    """

    __slots__ = ("order", "place", "colour", "size")

    def __init__(self, cells: Iterable[Sequence[int]]) -> None:
        self.order: list[int] = []
        self.size: dict[int, int] = {}
        starts = []
        for cell in cells:
            starts.append(len(self.order))
            self.size[len(self.order)] = len(cell)
            self.order.extend(cell)
        self.place = [0] * len(self.order)
        self.colour = [0] * len(self.order)
        for start in starts:
            for i in range(start, start + self.size[start]):
                self.place[self.order[i]], self.colour[self.order[i]] = i, start

    def copy(self) -> Partition:
        other = object.__new__(Partition)
        other.order, other.place = self.order.copy(), self.place.copy()
        other.colour, other.size = self.colour.copy(), self.size.copy()
        return other

    def individualise(self, vertex: int) -> list[int]:
        """Give the vertex a cell of its own, before the rest of its cell; gives the cells to `refine` with."""
        start = self.colour[vertex]
        count = self.size[start]
        if count == 1:
            return []
        self._swap_to(vertex, start)
        self.size[start] = 1
        self.size[start + 1] = count - 1
        for i in range(start + 1, start + count):
            self.colour[self.order[i]] = start + 1
        return [start]

    def refine(self, neighbours: Neighbours, splitters: Iterable[int], work: Callable[[int], None]) -> None:
        """Split cells until all of each see every cell alike; ``work`` is told the number of edges looked at."""
        pending = deque(splitters)
        waiting = set(pending)
        colour, size, order = self.colour, self.size, self.order
        while pending:
            start = pending.popleft()
            waiting.discard(start)
            seen: dict[int, list[int]] = {}
            steps = 1
            for vertex in order[start : start + size[start]]:
                steps += len(neighbours[vertex])
                for other, label in neighbours[vertex]:
                    if size[colour[other]] > 1:
                        seen.setdefault(other, []).append(label)
            work(steps)
            if not seen:
                continue
            touched: dict[int, dict[tuple[int, ...], list[int]]] = {}
            for other, labels in seen.items():
                labels.sort()
                touched.setdefault(colour[other], {}).setdefault(tuple(labels), []).append(other)
            for cell in sorted(touched):
                parts = self._split(cell, touched[cell])
                if len(parts) > 1:
                    if cell in waiting:
                        fresh = parts[1:]
                    else:
                        largest = max(parts, key=lambda part: (size[part], -part))
                        fresh = [part for part in parts if part != largest]
                    pending.extend(fresh)
                    waiting.update(fresh)

    def _split(self, cell: int, groups: dict[tuple[int, ...], list[int]]) -> list[int]:
        """Split a cell into those not seen and the groups by what they see, in this order; gives the cells' starts."""
        count = self.size[cell]
        if len(groups) == 1 and len(next(iter(groups.values()))) == count:
            return [cell]
        end = cell + count
        parts: list[int] = []
        for signature in sorted(groups, reverse=True):
            for vertex in groups[signature]:
                end -= 1
                self._swap_to(vertex, end)
            parts.append(end)
            self.size[end] = len(groups[signature])
            for vertex in groups[signature]:
                self.colour[vertex] = end
        if end > cell:
            parts.append(cell)
            self.size[cell] = end - cell
        return parts[::-1]

    def _swap_to(self, vertex: int, place: int) -> None:
        other, old = self.order[place], self.place[vertex]
        self.order[place], self.order[old] = vertex, other
        self.place[vertex], self.place[other] = place, old
