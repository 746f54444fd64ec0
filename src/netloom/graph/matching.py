"""Which node of one graph is which of another, and what a choice costs: the fewer edits explain the rest, the better.

A matching pairs vertices of two graphs. What it costs is a sum over vertices: `NODE` for one without a partner, less for a
pair that differs. An operand is rewired where it reads something else; not where nodes that were added or removed lie in
between, because those are edits of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from .compared import Compared, Port, Slot, Vertex, type_of_tensor

#: Costs. A node added or removed;
NODE = 1.0
#: an operator replaced by one of its family, or by another with as many operands that owns weights too or adds values up too;
SWAPPED, REPLACED = 1.2, 1.7
#: families that count as one, because they keep shapes and own no weights;
ELEMENTWISE = frozenset({"activation", "elementary", "dropout", "pointwise"})
#: an operand that reads something else; a tensor shared with others than before;
REWIRED = 0.9
#: the first attribute that differs, and each further one; the same for attributes that state sizes;
ATTRIBUTE, FURTHER = 0.5, 0.1
SIZE, FURTHER_SIZE = 0.25, 0.05
#: a mode or flag, the type of a tensor, what comes back, the place of an input.
FLAG, TENSOR, RESULT, PLACE = 0.5, 0.5, 0.3, 0.45
#: A pair of one operator never costs more, so that it is worth more than one node removed and another added.
CEILING = 1.9
#: Decides between matchings of equal cost.
NAME = 1e-5

IMPOSSIBLE = float("inf")


class PairCosts:
    """What a pair of vertices costs, whatever they read; pairs of equal contents are worked out once."""

    def __init__(self, a: Compared, b: Compared) -> None:
        self.a, self.b = a, b
        self.kinds: list[list[int]] = []
        known: dict[str, int] = {}
        for side in (a, b):
            contents = [
                f"{v.op} {v.texts} {v.flags} {v.place} {[(role, type_of_tensor(side.entry(i, role))) for role in v.tensors]}"
                for i, v in enumerate(side.vertices)
            ]
            self.kinds.append([known.setdefault(content, len(known)) for content in contents])
        self._known: dict[tuple[int, int], float] = {}

    def __call__(self, u: int, v: int) -> float:
        key = (self.kinds[0][u], self.kinds[1][v])
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._cost(u, v)
        return found

    def _cost(self, u: int, v: int) -> float:
        one, other = self.a.vertices[u], self.b.vertices[v]
        if (u == self.a.root) != (v == self.b.root):
            return IMPOSSIBLE
        cost = FLAG * sum(x != y for x, y in zip(one.flags, other.flags))
        if one.op != other.op:
            if "input" in (one.op, other.op):
                return IMPOSSIBLE
            return min(cost, 0.1) + _of_operators(one, other)
        if u == self.a.root:
            return 0.0 if one.texts == other.texts else RESULT
        differing = self.attributes(u, v)
        sizes = differing & (self.a.sizes(u) | self.b.sizes(v)) if differing else frozenset[str]()
        plain = differing - sizes
        cost += (ATTRIBUTE + FURTHER * (len(plain) - 1)) * bool(plain)
        cost += (SIZE + FURTHER_SIZE * (len(sizes) - 1)) * bool(sizes)
        cost += TENSOR * sum(
            type_of_tensor(self.a.entry(u, role)) != type_of_tensor(self.b.entry(v, role))
            for role in one.tensors.keys() & other.tensors.keys()
        )
        return cost + PLACE * (one.place != other.place)

    def attributes(self, u: int, v: int) -> frozenset[str]:
        """The arguments of a pair of one operator that differ in more than which nodes they read."""
        one, other = self.a.vertices[u].texts, self.b.vertices[v].texts
        if one == other:
            return frozenset()
        many = {slot.name for vertex in (self.a.vertices[u], self.b.vertices[v]) for slot in vertex.slots if slot.many}
        found = set()
        for name in one.keys() | other.keys():
            x, y = one.get(name, "None"), other.get(name, "None")
            if x == y or name in many or {x, y} == {"None", "@"} or (_only_weights(x) and _only_weights(y)):
                continue
            found.add(name)
        return frozenset(found)


def _of_operators(one: Vertex, other: Vertex) -> float:
    """What it costs to take one operator for another: those of a family, or that work on single elements, for each other."""
    shared = one.texts.keys() & other.texts.keys()
    apart = 0.02 * min(5, sum(one.texts[name] != other.texts[name] for name in shared))
    if one.family == other.family or {one.family, other.family} <= ELEMENTWISE:
        return SWAPPED + apart
    alike = len(one.operands) == len(other.operands) and bool(one.tensors) == bool(other.tensors)
    return REPLACED + apart if alike and (one.tensors or len(one.operands) > 1) else IMPOSSIBLE


def _only_weights(shown: str) -> bool:
    """Whether an argument lists weights alone, whose number follows from the attributes."""
    return shown.startswith("(#") and not shown.strip("(#, )")


class Matching:
    """A pairing of the vertices of ``a`` with those of ``b`` that knows its cost; -1 stands for no partner."""

    def __init__(self, a: Compared, b: Compared, pair_cost: PairCosts, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self.a, self.b, self.pair_cost = a, b, pair_cost
        self.to_b, self.to_a = [-1] * len(a), [-1] * len(b)
        self._roots: tuple[dict[int, frozenset[Port]], dict[int, frozenset[Port]]] = ({}, {})
        self._tied = any(count > 1 for side in (a, b) for count in side.uses.values())
        self.link(a.root, b.root)
        for u, v in pairs:
            self.link(u, v)

    def link(self, u: int, v: int) -> None:
        """Pair ``u`` with ``v``, which may cost any of them the partner it had."""
        old_v, old_u = self.to_b[u], self.to_a[v]
        if old_v >= 0:
            self.to_a[old_v] = -1
        if old_u >= 0:
            self.to_b[old_u] = -1
        self.to_b[u], self.to_a[v] = v, u
        if old_v < 0:
            self._forget(0, u)
        elif old_v != v:
            self._forget(1, old_v)
        if old_u < 0:
            self._forget(1, v)
        elif old_u != u:
            self._forget(0, old_u)

    def unlink(self, u: int) -> None:
        v = self.to_b[u]
        self.to_a[v] = self.to_b[u] = -1
        self._forget(0, u)
        self._forget(1, v)

    def _forget(self, side: int, vertex: int) -> None:
        """What lies behind others without partner has changed where ``vertex`` has found or lost its own."""
        known = self._roots[side]
        if not known:
            return
        graph, partners = ((self.a, self.to_b), (self.b, self.to_a))[side]
        known.pop(vertex, None)
        stack = [vertex]
        while stack:
            for reader in graph.readers[stack.pop()]:
                if partners[reader] < 0 and reader in known:
                    del known[reader]
                    stack.append(reader)

    def reset(self, to_b: list[int]) -> None:
        """Take over a whole pairing."""
        self.to_b[:] = to_b
        self.to_a[:] = [-1] * len(self.to_a)
        for u, v in enumerate(to_b):
            if v >= 0:
                self.to_a[v] = u
        self._roots[0].clear()
        self._roots[1].clear()

    # -- cost ------------------------------------------------------------------------------------------------------
    def total(self) -> float:
        """The cost of the whole matching."""
        return sum(self.cost_at(u) for u in range(len(self.a))) + NODE * self.to_a.count(-1) + self.tie_cost()

    def cost_at(self, u: int) -> float:
        """The cost of a vertex of ``a``, ties apart."""
        v = self.to_b[u]
        if v < 0:
            return NODE
        cost = self.pair_cost(u, v)
        if self.a.vertices[u].slots or self.b.vertices[v].slots:
            cost += REWIRED * self.num_rewired(u, v)
        if self.a.vertices[u].op == self.b.vertices[v].op and u != self.a.root:
            cost = min(cost, CEILING)
        return cost + NAME * (self.a.vertices[u].name != self.b.vertices[v].name)

    def num_rewired(self, u: int, v: int) -> int:
        return sum(max(len(old), len(new)) for _, old, new in self.rewired(u, v))

    def rewired(self, u: int, v: int) -> list[tuple[str, list[Port], list[Port]]]:
        """(argument, what was read, what is read instead) of a pair."""
        one, other = self.a.vertices[u], self.b.vertices[v]
        if one.op != other.op:
            left, right = self._differing(tuple(one.operands), tuple(other.operands))
            return [("operands", left, right)] if left or right else []
        found = self._between(one.slots, other.slots)
        if found and one.commutative and other.commutative:
            first, second, *rest = other.slots
            crossed = (Slot(first.name, second.ports), Slot(second.name, first.ports), *rest)
            turned = self._between(one.slots, crossed)
            found = min(found, turned, key=len)
        return found

    def _between(self, ours: tuple[Slot, ...], theirs: tuple[Slot, ...]) -> list[tuple[str, list[Port], list[Port]]]:
        if len(ours) == len(theirs) and all(x.name == y.name for x, y in zip(ours, theirs)):
            paired = [(x.name, x.ports, y.ports) for x, y in zip(ours, theirs)]
        else:
            first, second = ({slot.name: slot.ports for slot in slots} for slots in (ours, theirs))
            paired = [(name, first.get(name, ()), second.get(name, ())) for name in dict.fromkeys((*first, *second))]
        found = []
        for name, old, new in paired:
            left, right = self._differing(old, new)
            if left or right:
                found.append((name, left, right))
        return found

    def _differing(self, old: tuple[Port, ...], new: tuple[Port, ...]) -> tuple[list[Port], list[Port]]:
        """The ports of two lists that an alignment leaves over and that no added or removed node explains."""
        start, stop = 0, min(len(old), len(new))
        while start < stop and self.same(old[start], new[start]):
            start += 1
        end = 0
        while end < stop - start and self.same(old[-1 - end], new[-1 - end]):
            end += 1
        old, new = old[start : len(old) - end], new[start : len(new) - end]
        if len(old) == len(new) == 1:
            return list(old), list(new)
        if len(old) == len(new):
            places = [i for i in range(len(old)) if not self.same(old[i], new[i])]
            if len(places) <= 1:
                return [old[i] for i in places], [new[i] for i in places]
        if old and new:
            kept_old, kept_new = _longest_common(old, new, self.same)
        else:
            kept_old, kept_new = set(), set()
        left = [port for i, port in enumerate(old) if i not in kept_old and self.to_b[port[0]] >= 0]
        right = [port for i, port in enumerate(new) if i not in kept_new and self.to_a[port[0]] >= 0]
        return left, right

    def same(self, old: Port, new: Port) -> bool:
        """Whether an operand still reads what it read, but for nodes that were added or removed on the way."""
        image, origin = self.to_b[old[0]], self.to_a[new[0]]
        if image >= 0:
            if origin >= 0:
                return image == new[0] and old[1] == new[1]
            return (image, old[1]) in self.roots(1, new[0])
        return origin < 0 or (origin, new[1]) in self.roots(0, old[0])

    def roots(self, side: int, vertex: int) -> frozenset[Port]:
        """The results of matched vertices that a vertex without partner is computed from."""
        known = self._roots[side]
        graph, partners = ((self.a, self.to_b), (self.b, self.to_a))[side]
        stack = [vertex]
        while stack:
            current = stack[-1]
            operands = graph.vertices[current].operands
            missing = [source for source, _ in operands if partners[source] < 0 and source not in known]
            if missing:
                stack += missing
                continue
            stack.pop()
            if current not in known:
                own = [port for port in operands if partners[port[0]] >= 0]
                known[current] = frozenset(own).union(*(known[source] for source, _ in operands if partners[source] < 0))
        return known[vertex]

    # -- tensors -----------------------------------------------------------------------------------------------------
    def tie_cost(self) -> float:
        return REWIRED * len(self.retied()) if self._tied else 0.0

    def retied(self) -> list[tuple[int, str]]:
        """(vertex of ``a``, role) of every weight that is shared with others than before."""
        if not self._tied:
            return []
        shared: list[tuple[int, str, str, str]] = []
        for u, v in enumerate(self.to_b):
            if v < 0:
                continue
            ours, theirs = self.a.vertices[u].tensors, self.b.vertices[v].tensors
            for role, key in ours.items():
                other = theirs.get(role)
                if other is not None and (self.a.uses[key] > 1 or self.b.uses[other] > 1):
                    shared.append((u, role, key, other))
        partner = _elected([(key, other) for _, _, key, other in shared])
        return [(u, role) for u, role, key, other in shared if partner.get(key) != other]

    # -- neighbourhood -------------------------------------------------------------------------------------------------
    def affected(self, ours: Iterable[int], theirs: Iterable[int]) -> set[int]:
        """Vertices of ``a`` whose cost may depend on the partners of these."""
        found = set(ours)
        found.update(self._readers(self.a, self.to_b, ours))
        for v in (*theirs, *self._readers(self.b, self.to_a, theirs)):
            if self.to_a[v] >= 0:
                found.add(self.to_a[v])
        return found

    def _readers(self, side: Compared, partners: list[int], sources: Iterable[int]) -> Iterator[int]:
        """What reads these vertices, directly or through vertices without partner."""
        stack, seen = list(sources), set(sources)
        while stack:
            for reader in side.readers[stack.pop()]:
                if reader not in seen:
                    seen.add(reader)
                    yield reader
                    if partners[reader] < 0:
                        stack.append(reader)


def _elected(votes: list[tuple[str, str]]) -> dict[str, str]:
    """Partners of keys, one to one, so that as many votes as can be agree."""
    counts = Counter(votes)
    if len({key for key, _ in counts}) == len(counts) == len({other for _, other in counts}):
        return dict(counts.keys())
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    keys, others = (list(dict.fromkeys(found)) for found in zip(*counts))
    table = np.zeros((len(keys), len(others)))
    for (key, other), count in counts.items():
        table[keys.index(key), others.index(other)] = count
    return {keys[i]: others[j] for i, j in zip(*linear_sum_assignment(table, maximize=True)) if table[i, j]}


def _longest_common(
    old: tuple[Port, ...], new: tuple[Port, ...], same: Callable[[Port, Port], bool]
) -> tuple[set[int], set[int]]:  # fmt: skip
    """Places of a longest common subsequence in both lists."""
    best = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in range(len(old) - 1, -1, -1):
        for j in range(len(new) - 1, -1, -1):
            best[i][j] = best[i + 1][j + 1] + 1 if same(old[i], new[j]) else max(best[i + 1][j], best[i][j + 1])
    kept_old, kept_new = set(), set()
    i = j = 0
    while i < len(old) and j < len(new):
        if best[i][j] > best[i + 1][j] and best[i][j] > best[i][j + 1]:
            kept_old.add(i)
            kept_new.add(j)
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1
    return kept_old, kept_new
