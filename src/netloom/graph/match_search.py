"""Looking for a matching of least cost: several ways to begin, each improved until no small change helps.

Ways to begin: equal names; blocks that correspond; an alignment of the two orders of execution in which nodes are alike
that have equal surroundings; the same for the orders of a walk from the outputs, which do not depend on how the graphs were
listed; and pairs taken one by one, the most alike first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Any

from .alignment import align
from .compared import Compared, exact_labels, loose_labels
from .match_blocks import by_blocks
from .match_exact import settle
from .match_moves import apply, gain, slide, tidy
from .matching import IMPOSSIBLE, NAME, NODE, SIZE, SWAPPED, Matching, PairCosts

#: How far surroundings reach that make nodes alike, and what it costs to differ at one distance in one direction.
RADIUS = 3
_SURROUNDINGS = 0.04
_TYPES = 0.08
_OPENING = 0.3
#: How many partners of each node are looked at first where pairs are taken one by one, and what one neighbour counts.
_SEEDS, _SUPPORT = 12, 0.35
#: Cells of an alignment that fit in memory; larger ones keep to what surroundings settle.
_MAX_CELLS = 9_000_000
_EPSILON = 1e-9
_MAX_ROUNDS = 12
#: A start is given up that costs this many times what the best has come to.
_HOPELESS = 1.5
#: Nodes of a graph from which on time counts more than the last attribute, and a cost there that one start is enough for.
_LARGE, _FEW = 200, 8.0
#: How close to the least that any matching could cost is close enough there.
_CLOSE = 1.05
#: Where the edits cost more than this, people see whole blocks rather than the least sum of edits; up to this share of it.
_MANY, _WHOLE_BLOCKS = 20.0, 0.02
#: Candidates looked at for one node that has no partner.
_MAX_CANDIDATES = 24


def best_matching(a: Compared, b: Compared) -> Matching:
    """A matching of least cost, as far as the search tells."""
    costs = PairCosts(a, b)
    bound = _lower_bound(a, b, costs) + NAME * len(a)
    waiting: list[tuple[float, float, Matching]] = []
    for pairs, discount in _starts(a, b, costs):
        begun = Matching(a, b, costs, pairs)
        total = begun.total()
        if total <= bound or (len(a) > _LARGE and _same_wiring(begun)):
            tidy(begun)
            return begun
        waiting.append((total, discount, begun))
        if len(a) > _LARGE and total <= _FEW:
            break
    best, score = waiting[0][2], IMPOSSIBLE
    for total, discount, begun in sorted(waiting, key=lambda start: start[0]):
        if total > _HOPELESS * score + 2 * NODE:
            break
        improve(begun)
        total = begun.total()
        if total > _MANY:
            total *= 1 - discount
        if total < score:
            best, score = begun, total
        if score <= (bound if len(a) < _LARGE else _CLOSE * bound):
            break
    if score > bound:
        settle(best)
    tidy(best)
    return best


def _same_wiring(matching: Matching) -> bool:
    """Whether the two graphs differ in attributes alone: then other starts are not worth their time."""
    pairs = enumerate(matching.to_b)
    return -1 not in matching.to_b and -1 not in matching.to_a and not any(matching.rewired(u, v) for u, v in pairs)


def _lower_bound(a: Compared, b: Compared, costs: PairCosts) -> float:
    """No matching costs less: nodes in excess, operators that only one side has, pairs that cannot be of equal content."""
    counts: dict[str, tuple[Counter[int], Counter[int]]] = {}
    for side, graph in enumerate((a, b)):
        for vertex, kind in zip(graph.vertices, costs.kinds[side]):
            counts.setdefault(vertex.op, (Counter(), Counter()))[side][kind] += 1
    removed = added = differing = 0
    for ours, theirs in counts.values():
        excess = ours.total() - theirs.total()
        removed, added = removed + max(excess, 0), added + max(-excess, 0)
        differing += min(ours.total(), theirs.total()) - (ours & theirs).total()
    return NODE * abs(removed - added) + SWAPPED * min(removed, added) + SIZE * differing


# -- ways to begin -----------------------------------------------------------------------------------------------------
def _starts(a: Compared, b: Compared, costs: PairCosts) -> Iterator[tuple[list[tuple[int, int]], float]]:
    """Pairs to begin with, and the share of its cost that each is forgiven where there are many edits."""
    named = _by_name(a, b, costs)
    if len(named) > 1:
        yield named, 0.0
    yield by_blocks(a, b, costs), _WHOLE_BLOCKS
    labels = _Labels(a, b)
    yield _aligned(a, b, costs, labels, list(range(a.root)), list(range(b.root))), 0.0
    orders = _walk(a), _walk(b)
    if orders[0] != sorted(orders[0]) or orders[1] != sorted(orders[1]):
        yield _aligned(a, b, costs, labels, *orders), 0.0
    if len(a) * len(b) <= _MAX_CELLS:
        yield _grown(a, b, costs, labels), 0.0


def _by_name(a: Compared, b: Compared, costs: PairCosts) -> list[tuple[int, int]]:
    pairs = [(i, b.number[vertex.name]) for i, vertex in enumerate(a.vertices[:-1]) if vertex.name in b.number]
    return [(u, v) for u, v in pairs if costs(u, v) < 2 * NODE]


def _grown(a: Compared, b: Compared, costs: PairCosts, labels: _Labels) -> list[tuple[int, int]]:
    """Pairs taken one by one, the most alike first; every pair speaks for the pairs of its neighbours."""
    import numpy as np

    ours, theirs = list(range(a.root)), list(range(b.root))
    table = _table(a, b, costs, labels, ours, theirs)
    heap: list[tuple[float, int, int]] = []
    count = min(_SEEDS, b.root)
    for u, row in enumerate(table):
        nearest = np.argpartition(row, count - 1)[:count] if count < b.root else range(b.root)
        heap += [(float(row[v]), u, int(v)) for v in nearest]
    heapify(heap)
    pairs: dict[int, int] = {a.root: b.root}
    taken = {b.root}
    support: dict[tuple[int, int], float] = {}

    def speak(u: int, v: int) -> None:
        one, other = a.vertices[u], b.vertices[v]
        near = list(zip(one.operands, other.operands))
        if one.commutative and other.commutative:
            near += [(one.operands[0], other.operands[1]), (one.operands[1], other.operands[0])]
        found = [(x[0], y[0]) for x, y in near if x[1] == y[1]]
        found += [(x, y) for x in a.readers[u] for y in b.readers[v] if _same_slot(a, b, u, v, x, y)]
        for x, y in found:
            if x not in pairs and y not in taken and x != a.root and y != b.root:
                support[x, y] = support.get((x, y), 0.0) + _SUPPORT
                heappush(heap, (float(table[x, y]) - support[x, y], x, y))

    speak(a.root, b.root)
    while heap:
        cost, u, v = heappop(heap)
        if u not in pairs and v not in taken and costs(u, v) < 2 * NODE:
            pairs[u] = v
            taken.add(v)
            speak(u, v)
    return list(pairs.items())


def _same_slot(a: Compared, b: Compared, u: int, v: int, x: int, y: int) -> bool:
    """Whether ``x`` reads ``u`` where ``y`` reads ``v``."""
    one, other = a.vertices[x], b.vertices[y]
    if one.commutative and other.commutative:
        return True
    places = [i for i, (source, _) in enumerate(one.operands) if source == u]
    return any(i < len(other.operands) and other.operands[i][0] == v for i in places)


def _walk(side: Compared) -> list[int]:
    """The vertices as a walk from the outputs meets them, sources first."""
    order: list[int] = []
    seen = bytearray(len(side))
    heights = [0] * len(side)
    for i, vertex in enumerate(side.vertices):
        heights[i] = 1 + max((heights[source] for source, _ in vertex.operands), default=0)
    stack = [side.root]
    while stack:
        number = stack.pop()
        if number < 0:
            order.append(~number)
        elif not seen[number]:
            seen[number] = 1
            stack.append(~number)
            sources = [source for source, _ in side.vertices[number].operands]
            if side.vertices[number].commutative:
                # Which of the two stands first says nothing; the longer branch goes first.
                sources[:2] = sorted(sources[:2], key=lambda source: -heights[source])
            stack.extend(source for source in reversed(sources) if not seen[source])
    order.pop()
    return order + [i for i in range(side.root) if not seen[i]]


class _Labels:
    """Labels of all vertices of two graphs as integers, equal where the labels are."""

    def __init__(self, a: Compared, b: Compared) -> None:
        import numpy as np

        exact = exact_labels(a), exact_labels(b)
        self.past, self.future = (exact[0][0], exact[1][0]), (exact[0][1], exact[1][1])
        rows: list[tuple[list[Any], list[Any]]] = [self.past, self.future]
        for (before, behind), (other_before, other_behind) in zip(loose_labels(a, RADIUS), loose_labels(b, RADIUS)):
            rows += [(before, other_before), (behind, other_behind)]
        self.rows = []
        for ours, theirs in rows:
            known: dict[Any, int] = {}
            numbers = [np.array([known.setdefault(label, len(known)) for label in labels]) for labels in (ours, theirs)]
            self.rows.append((numbers[0], numbers[1]))
        types: dict[Any, int] = {}
        shown = [[types.setdefault(side.result_type(i), len(types)) for i in range(len(side))] for side in (a, b)]
        self.types = np.array(shown[0]), np.array(shown[1])


def _aligned(
    a: Compared, b: Compared, costs: PairCosts, labels: _Labels, ours: list[int], theirs: list[int]
) -> list[tuple[int, int]]:  # fmt: skip
    """Pairs by aligning two orders; what has an equal past from the start on, or an equal future to the end, is settled."""
    start = 0
    while start < min(len(ours), len(theirs)) and labels.past[0][ours[start]] == labels.past[1][theirs[start]]:
        start += 1
    end = 0
    while (
        end < min(len(ours), len(theirs)) - start
        and labels.future[0][ours[-1 - end]] == labels.future[1][theirs[-1 - end]]
    ):  # fmt: skip
        end += 1
    pairs = list(zip(ours[:start], theirs[:start])) + list(zip(ours[len(ours) - end :], theirs[len(theirs) - end :]))
    inner, outer = ours[start : len(ours) - end], theirs[start : len(theirs) - end]
    if not inner or not outer:
        return pairs
    if len(inner) * len(outer) > _MAX_CELLS:
        return pairs + _anchored(labels, inner, outer)
    table = _table(a, b, costs, labels, inner, outer)
    found = [(inner[i], outer[j]) for i, j in align(table, NODE, _OPENING)]
    return pairs + [(u, v) for u, v in found if costs(u, v) < 2 * NODE]


def _anchored(labels: _Labels, ours: list[int], theirs: list[int]) -> list[tuple[int, int]]:
    """Pairs of vertices whose past or future nobody else on their side shares."""
    pairs: dict[int, int] = {}
    for first, second in (labels.past, labels.future):
        places: dict[bytes, list[list[int]]] = {}
        for side, (order, label) in enumerate(((ours, first), (theirs, second))):
            for vertex in order:
                places.setdefault(label[vertex], [[], []])[side].append(vertex)
        for one, other in places.values():
            if len(one) == len(other) == 1 and one[0] not in pairs and other[0] not in pairs.values():
                pairs[one[0]] = other[0]
    return list(pairs.items())


def _table(a: Compared, b: Compared, costs: PairCosts, labels: _Labels, ours: list[int], theirs: list[int]) -> Any:
    """What it costs to pair each with each: their own difference, and a little for every surrounding that differs."""
    import numpy as np

    rows, columns = np.array(ours), np.array(theirs)
    kinds = [costs.kinds[0][u] for u in ours], [costs.kinds[1][v] for v in theirs]
    first, second = (dict(zip(k, order)) for k, order in zip(kinds, (ours, theirs)))
    place = [{kind: i for i, kind in enumerate(found)} for found in (first, second)]
    of_kinds = np.array([[costs(u, v) for v in second.values()] for u in first.values()])
    table = of_kinds[np.ix_([place[0][k] for k in kinds[0]], [place[1][k] for k in kinds[1]])]
    for one, other in labels.rows:
        table = table + _SURROUNDINGS * (one[rows][:, None] != other[columns][None, :])
    table = table + _TYPES * (labels.types[0][rows][:, None] != labels.types[1][columns][None, :])
    first_names, second_names = (np.array([side.vertices[i].name for i in o]) for side, o in ((a, ours), (b, theirs)))
    return np.minimum(table + NAME * (first_names[:, None] != second_names[None, :]), 1e6)


# -- improving ---------------------------------------------------------------------------------------------------------
def improve(matching: Matching) -> None:
    """Change single pairs, swap them, or slide runs of added and removed nodes, while that lowers the cost."""
    for _ in range(_MAX_ROUNDS):
        changed = slide(matching)
        for u in range(matching.a.root):
            if _suspicious(matching, u):
                changed |= _reconsider(matching, u)
        for v in range(matching.b.root):
            if matching.to_a[v] < 0:
                changed |= _claim(matching, v)
        if not changed:
            return


def _suspicious(matching: Matching, u: int) -> bool:
    return matching.cost_at(u) > 2 * NAME


def _reconsider(matching: Matching, u: int) -> bool:
    """Give ``u`` the partner that costs least among those that its neighbours suggest, or none."""
    best, choice = -_EPSILON, None
    for v in _candidates(matching, u):
        change = gain(matching, u, v)
        if change < best:
            best, choice = change, v
    if choice is None:
        return False
    apply(matching, u, choice)
    return True


def _claim(matching: Matching, v: int) -> bool:
    """The same for a vertex of ``b`` without partner."""
    best, choice = -_EPSILON, None
    for u in _candidates_of(matching, v):
        change = gain(matching, u, v)
        if change < best:
            best, choice = change, u
    if choice is None:
        return False
    apply(matching, choice, v)
    return True


def _candidates(matching: Matching, u: int) -> list[int]:
    """Partners for ``u`` that its neighbours' partners suggest, those of equal content without partner, and none."""
    a, b, to_b, to_a = matching.a, matching.b, matching.to_b, matching.to_a
    found: dict[int, None] = {}
    for source, _ in a.vertices[u].operands:
        if to_b[source] >= 0:
            found.update(dict.fromkeys(b.readers[to_b[source]]))
    for reader in a.readers[u]:
        if to_b[reader] >= 0:
            found.update(dict.fromkeys(source for source, _ in b.vertices[to_b[reader]].operands))
    op, least = a.vertices[u].op, matching.cost_at(u)
    free = (v for v in range(b.root) if to_a[v] < 0 and b.vertices[v].op == op and matching.pair_cost(u, v) < least)
    found.update(dict.fromkeys(islice(free, _MAX_CANDIDATES)))
    # What reads what it should gains nothing from a partner that is less like it.
    wired = to_b[u] >= 0 and not matching.rewired(u, to_b[u])
    limit = least if wired else 2 * NODE
    chosen = [v for v in found if v != to_b[u] and matching.pair_cost(u, v) < limit]
    return chosen + ([-1] if to_b[u] >= 0 and not wired else [])


def _candidates_of(matching: Matching, v: int) -> list[int]:
    a, b, to_a = matching.a, matching.b, matching.to_a
    found: dict[int, None] = {}
    for source, _ in b.vertices[v].operands:
        if to_a[source] >= 0:
            found.update(dict.fromkeys(a.readers[to_a[source]]))
    for reader in b.readers[v]:
        if to_a[reader] >= 0:
            found.update(dict.fromkeys(source for source, _ in a.vertices[to_a[reader]].operands))
    return [u for u in found if matching.pair_cost(u, v) < 2 * NODE]
