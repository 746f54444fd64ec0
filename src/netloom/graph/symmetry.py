"""The order of interchangeable operands that digests leave tied: refine, individualise, refine again, take the smallest.

Vertices are the live nodes, the tensors in use and the root (what is returned, what is written). The walk from the root
meets only vertices that refinement has singled out; where two operands that may change places look alike, each is tried
first, unless a symmetry of the graph swaps them. A symmetry is found either directly, by exchanging the surroundings of
the two step by step, or because a walk that begins with the second ends at a certificate that walks beginning with the
first have found (McKay and Piperno, "Practical graph isomorphism, II", 2014).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..errors import GraphError
from ..ops import Edge
from .refinement import Partition
from .wiring import Wiring

#: Steps (edges looked at, cells copied) after which a hash gives up: ten seconds or so.
MAX_WORK = 10_000_000

Leaf = Callable[[dict[str, list[Edge]], list[str]], str]


def canonical_order(wires: Wiring, digests: dict[str, bytes], certificate: Leaf) -> str:
    """The smallest certificate over all orders of tied operands that look alike.

    ``certificate`` makes one of an order: operands by node, and the writes. `GraphError` past `MAX_WORK` steps.
    """
    return min(_Search(wires, digests, certificate).explore())


@dataclass(slots=True)
class _State:
    """Where a walk is: the cells, what is still to be visited, what has been."""

    cells: Partition
    stack: list[int]
    visited: bytearray

    def copy(self) -> _State:
        return _State(self.cells.copy(), self.stack.copy(), self.visited.copy())


class _Search:
    """Vertex 0 is the root; then come the live nodes, then the tensors.

    ``ordered`` and ``group`` hold (operand, output index): those with a place, and those that may change places.
    """

    def __init__(self, wires: Wiring, digests: dict[str, bytes], certificate: Leaf) -> None:
        self.wires, self.certificate, self.steps = wires, certificate, 0
        self.names = ["", *wires.contents]
        keys = list(wires.tensors)
        self.vertex = {name: i for i, name in enumerate(self.names) if i}
        tensor = {key: len(self.names) + i for i, key in enumerate(keys)}
        pairs = set(wires.pairs)
        self.ordered: list[list[tuple[int, int]]] = [[(self.vertex[ref[0]], ref[1]) for ref in wires.results]]
        self.group: list[list[tuple[int, int]]] = [[(self.vertex[name], 0) for name in wires.writes]]
        for name in wires.contents:
            edges = [(self.vertex[node], index) for node, index in wires.operands[name]]
            fixed = [(tensor[key], 0) for key in wires.weights.get(name, ())]
            self.ordered.append((edges[2:] if name in pairs else edges) + fixed)
            self.group.append(edges[:2] if name in pairs else [])
        self.ordered += [[] for _ in keys]
        self.group += [[] for _ in keys]
        self._connect()
        shown = [(0, b"")] + [(1, digests[name]) for name in wires.contents]
        shown += [(2, wires.tensors[key].encode()) for key in keys]
        cells: dict[tuple[int, bytes], list[int]] = {}
        for i, content in enumerate(shown):
            cells.setdefault(content, []).append(i)
        self.start = Partition([cells[content] for content in sorted(cells)])

    def _connect(self) -> None:
        """Fill in ``neighbours`` (for refinement, both directions) and ``users``, with labels numbered by their meaning."""
        found = [
            (reader, place, operand, port)
            for reader in range(len(self.ordered))
            for place, operand, port in self._operands(reader)
        ]
        labels = {label: i for i, label in enumerate(sorted({(place, port) for _, place, _, port in found}))}
        self.users: list[list[tuple[int, int]]] = [[] for _ in self.ordered]
        self.neighbours: list[list[tuple[int, int]]] = [[] for _ in self.ordered]
        for reader, place, operand, port in found:
            label = labels[place, port]
            self.users[operand].append((reader, label))
            self.neighbours[operand].append((reader, 2 * label))
            self.neighbours[reader].append((operand, 2 * label + 1))

    def _operands(self, reader: int) -> Iterator[tuple[int, int, int]]:
        for place, (operand, port) in enumerate(self.ordered[reader]):
            yield place, operand, port
        for operand, port in self.group[reader]:
            yield -1, operand, port

    def count(self, steps: int) -> None:
        self.steps += steps
        if self.steps > MAX_WORK:
            raise GraphError(
                f"the graph has {len(self.names) - 1} nodes wired so symmetrically that its hash takes more than {MAX_WORK:,} "
                f"steps; break the symmetry of its commutative operators ({', '.join(self.wires.pairs[:3])}, …)"
            )

    # -- the search tree -------------------------------------------------------------------------------------------
    def explore(self) -> set[str]:
        cells = self.start
        cells.refine(self.neighbours, list(cells.size), self.count)
        return self._explore(_State(cells, [0], bytearray(len(self.ordered))))

    def _explore(self, state: _State) -> set[str]:
        """The different certificates below a state; each branch that a symmetry maps to an earlier one is left out."""
        levels: list[tuple[_State, list[int]]] = []
        while (tied := self._advance(state)) is not None:
            first = tied[0]
            others = [other for other in tied[1:] if not self._swappable(state.cells.colour, first, other)]
            if others:
                self.count(len(state.visited))
                levels.append((state.copy(), others))
            self._choose(state, first)
        found = {self._leaf(state)}
        for saved, others in reversed(levels):
            for other in others:
                if self._greedy(saved, other) not in found:
                    self.count(len(saved.visited))
                    branch = saved.copy()
                    self._choose(branch, other)
                    found |= self._explore(branch)
        return found

    def _greedy(self, saved: _State, choice: int) -> str:
        """The certificate at the end of one walk that begins with ``choice``."""
        self.count(len(saved.visited))
        state = saved.copy()
        self._choose(state, choice)
        while (tied := self._advance(state)) is not None:
            self._choose(state, tied[0])
        return self._leaf(state)

    def _choose(self, state: _State, vertex: int) -> None:
        state.cells.refine(self.neighbours, state.cells.individualise(vertex), self.count)

    def _advance(self, state: _State) -> list[int] | None:
        """Walk on to the next group with operands that look alike: those operands; None at the end of the walk.

        ``~v`` on the stack stands for the group of ``v``, whose turn comes after all of its ordered operands.
        """
        stack, visited, colour = state.stack, state.visited, state.cells.colour
        while stack:
            vertex = stack.pop()
            if vertex >= 0:
                if not visited[vertex]:
                    visited[vertex] = 1
                    if self.group[vertex]:
                        stack.append(~vertex)
                    stack.extend([operand for operand, _ in reversed(self.ordered[vertex]) if not visited[operand]])
                continue
            members = sorted({(colour[operand], operand) for operand, _ in self.group[~vertex]})
            for (shade, _), (next_shade, _) in zip(members, members[1:]):
                if shade == next_shade:
                    stack.append(vertex)
                    return [member for other, member in members if other == shade]
            stack.extend([operand for _, operand in reversed(members)])
        return None

    def _leaf(self, state: _State) -> str:
        """The certificate when every group is in the order of its colours."""
        self.count(2 * len(self.ordered))
        colour, vertex, wires = state.cells.colour, self.vertex, self.wires
        pairs = {}
        for name in wires.pairs:
            refs = wires.operands[name]
            pairs[name] = sorted(refs[:2], key=lambda ref: (colour[vertex[ref[0]]], ref[1])) + refs[2:]
        return self.certificate(pairs, sorted(wires.writes, key=lambda name: colour[vertex[name]]))

    # -- symmetries that exchange two vertices -----------------------------------------------------------------------
    def _swappable(self, colour: list[int], a: int, b: int) -> bool:
        """Whether exchanging ``a`` and ``b`` extends to a symmetry of the graph, as far as forced moves tell.

        False only means that none was found. Cells of one vertex stay where they are, and with them all earlier choices.
        """
        swap = _Swap(self, colour)
        return swap.exchange(a, b) and swap.spread() and swap.holds()


class _Swap:
    """An exchange of vertices under construction: ``image`` maps each vertex that has been looked at."""

    def __init__(self, search: _Search, colour: list[int]) -> None:
        self.search, self.colour = search, colour
        self.image: dict[int, int] = {}
        self.moved: deque[tuple[int, int]] = deque()
        self.open: deque[tuple[list[int], list[int]]] = deque()

    def exchange(self, a: int, b: int) -> bool:
        """Note that ``a`` and ``b`` change places (or stay, where they are one); False against what was noted before."""
        have = self.image.get(a)
        if have is not None or b in self.image:
            return have == b
        if self.colour[a] != self.colour[b]:
            return False
        self.image[a], self.image[b] = b, a
        if a != b:
            self.moved.append((a, b))
        return True

    def spread(self) -> bool:
        """Follow what the moves force; where that leaves a choice, take one that agrees with the colours."""
        while self.moved or self.open:
            if self.moved:
                if not self._surroundings(*self.moved.popleft()):
                    return False
            elif not self._settle(*self.open.popleft()):
                return False
        return True

    def _surroundings(self, a: int, b: int) -> bool:
        search = self.search
        search.count(len(search.neighbours[a]) + len(search.neighbours[b]))
        if len(search.ordered[a]) != len(search.ordered[b]):
            return False
        for (operand, port), (other, other_port) in zip(search.ordered[a], search.ordered[b]):
            if port != other_port or not self.exchange(operand, other):
                return False
        if search.group[a] and not self._match([t for t, _ in search.group[a]], [t for t, _ in search.group[b]]):
            return False
        readers: dict[int, tuple[list[int], list[int]]] = {}
        for side, vertex in enumerate((a, b)):
            for reader, label in search.users[vertex]:
                readers.setdefault(label, ([], []))[side].append(reader)
        return all(self._match(ours, theirs) for ours, theirs in readers.values())

    def _match(self, ours: list[int], theirs: list[int]) -> bool:
        """Map one set of vertices to another: those in both stay, those without a rival of their colour are forced."""
        if len(ours) != len(theirs):
            return False
        both = set(ours) & set(theirs)
        left = [v for v in ours if v not in both]
        right = [v for v in theirs if v not in both]
        by_colour: dict[int, tuple[list[int], list[int]]] = {}
        for side, vertices in enumerate((left, right)):
            for vertex in vertices:
                by_colour.setdefault(self.colour[vertex], ([], []))[side].append(vertex)
        for one, other in by_colour.values():
            if len(one) != len(other):
                return False
            if len(one) == 1:
                if not self.exchange(one[0], other[0]):
                    return False
            else:
                self.open.append((one, other))
        return True

    def _settle(self, ours: list[int], theirs: list[int]) -> bool:
        left = [v for v in ours if v not in self.image]
        free = [v for v in theirs if v not in self.image]
        if not left or not free:
            return True
        self.open.append((left[1:], free[1:]))
        return self.exchange(left[0], free[0])

    def holds(self) -> bool:
        """Whether the exchange, with everything else in its place, is a symmetry: checked at every vertex it touches."""
        search, image = self.search, self.image
        touched = {vertex for vertex, other in image.items() if vertex != other}
        touched |= {reader for vertex in touched for reader, _ in search.users[vertex]}
        for vertex in touched:
            other = image.get(vertex, vertex)
            search.count(len(search.neighbours[vertex]))
            if [(image.get(t, t), port) for t, port in search.ordered[vertex]] != search.ordered[other]:
                return False
            if sorted((image.get(t, t), port) for t, port in search.group[vertex]) != sorted(search.group[other]):
                return False
        return True
