"""Looking for a matching of least cost: several ways to begin, each improved until no small change helps.

Ways to begin: equal names; an alignment of the two orders of execution in which nodes are alike that have equal
surroundings; the same for the orders of a walk from the outputs, which do not depend on how the graphs were listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Any

from .alignment import align
from .compared import Compared, exact_labels, loose_labels
from .matching import IMPOSSIBLE, NAME, NODE, SIZE, SWAPPED, Matching, PairCosts

#: How far surroundings reach that make nodes alike, and what it costs to differ at one distance in one direction.
RADIUS = 3
_SURROUNDINGS = 0.04
_TYPES = 0.08
_OPENING = 0.3
#: How many partners of each node are looked at first where pairs are taken one by one, and what one neighbour counts.
_SEEDS, _SUPPORT = 12, 0.35
#: Cells of an alignment that fit in memory; larger ones keep to what surroundings settle.
_MAX_CELLS = 30_000_000
_EPSILON = 1e-9
_MAX_ROUNDS = 12
#: A start is given up that costs this many times what the best has come to.
_HOPELESS = 1.5
#: How far a run slides, and the cost it may meet on its way.
_MAX_SLIDE, _MAX_HILL = 64, 6.0
#: Candidates looked at for one node that has no partner.
_MAX_CANDIDATES = 24


def best_matching(a: Compared, b: Compared) -> Matching:
    """A matching of least cost, as far as the search tells."""
    costs = PairCosts(a, b)
    bound = _lower_bound(a, b, costs) + NAME * len(a)
    best: Matching | None = None
    score = IMPOSSIBLE
    waiting: list[tuple[float, Matching]] = []
    for pairs in _starts(a, b, costs):
        begun = Matching(a, b, costs, pairs)
        total = begun.total()
        if total <= bound:
            return begun
        waiting.append((total, begun))
    for total, begun in sorted(waiting, key=lambda start: start[0]):
        if total > _HOPELESS * score + 2 * NODE:
            break
        improve(begun)
        total = begun.total()
        if total < score:
            best, score = begun, total
        if score <= bound:
            break
    assert best is not None
    return best


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
def _starts(a: Compared, b: Compared, costs: PairCosts) -> Iterator[list[tuple[int, int]]]:
    named = _by_name(a, b, costs)
    if len(named) > 1:
        yield named
    labels = _Labels(a, b)
    yield _aligned(a, b, costs, labels, list(range(a.root)), list(range(b.root)))
    orders = _walk(a), _walk(b)
    if orders[0] != sorted(orders[0]) or orders[1] != sorted(orders[1]):
        yield _aligned(a, b, costs, labels, *orders)
    if len(a) * len(b) <= _MAX_CELLS:
        yield _grown(a, b, costs, labels)


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
    stack = [side.root]
    while stack:
        vertex = stack.pop()
        if vertex < 0:
            order.append(~vertex)
        elif not seen[vertex]:
            seen[vertex] = 1
            stack.append(~vertex)
            stack.extend(source for source, _ in reversed(side.vertices[vertex].operands) if not seen[source])
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
    first, second = ({kind: vertex for kind, vertex in zip(k, order)} for k, order in zip(kinds, (ours, theirs)))
    place = [{kind: i for i, kind in enumerate(found)} for found in (first, second)]
    of_kinds = np.array([[costs(u, v) for v in second.values()] for u in first.values()])
    table = of_kinds[np.ix_([place[0][k] for k in kinds[0]], [place[1][k] for k in kinds[1]])]
    for one, other in labels.rows:
        table = table + _SURROUNDINGS * (one[rows][:, None] != other[columns][None, :])
    table = table + _TYPES * (labels.types[0][rows][:, None] != labels.types[1][columns][None, :])
    names: dict[str, int] = {}
    numbers = [
        np.array([names.setdefault(side.vertices[i].name, len(names)) for i in order]) for side, order in ((a, ours), (b, theirs))
    ]
    return np.minimum(table + NAME * (numbers[0][:, None] != numbers[1][None, :]), 1e6)


# -- improving ---------------------------------------------------------------------------------------------------------
def improve(matching: Matching) -> None:
    """Change single pairs, swap them, or slide runs of added and removed nodes, while that lowers the cost."""
    for _ in range(_MAX_ROUNDS):
        changed = _slide(matching)
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
        gain = _gain(matching, u, v)
        if gain < best:
            best, choice = gain, v
    if choice is None:
        return False
    _apply(matching, u, choice)
    return True


def _claim(matching: Matching, v: int) -> bool:
    """The same for a vertex of ``b`` without partner."""
    best, choice = -_EPSILON, None
    for u in _candidates_of(matching, v):
        gain = _gain(matching, u, v)
        if gain < best:
            best, choice = gain, u
    if choice is None:
        return False
    _apply(matching, choice, v)
    return True


def _gain(matching: Matching, u: int, v: int) -> float:
    """How the total changes when `_apply` is called; the matching is left as it was."""
    undo = _touched(matching, u, v)
    ours = [x for x, _ in undo if x >= 0]
    theirs = [y for y in {*(y for _, y in undo), v} if y >= 0]
    spots = matching.affected(ours, theirs)
    before = _local(matching, spots)
    ties = matching.tie_cost()
    _apply(matching, u, v)
    later = matching.affected(ours, theirs)
    extra = _local(matching, later)
    change = extra + matching.tie_cost() - ties - before
    if later != spots:
        only_later, only_before = later - spots, spots - later
        after_rest = sum(matching.cost_at(x) for x in only_before)
        _restore(matching, undo, ours, theirs)
        change += sum(-matching.cost_at(x) for x in only_later) + after_rest
    else:
        _restore(matching, undo, ours, theirs)
    return change


def _touched(matching: Matching, u: int, v: int) -> list[tuple[int, int]]:
    """The pairs, also of one alone, that `_apply` takes apart."""
    pairs = [(u, matching.to_b[u])]
    if v >= 0:
        pairs.append((matching.to_a[v], v))
    return pairs


def _apply(matching: Matching, u: int, v: int) -> None:
    """Pair ``u`` with ``v``, or with none where that is -1; partners that both lose are paired with each other if they fit."""
    old_v, old_u = matching.to_b[u], matching.to_a[v] if v >= 0 else -1
    if v < 0:
        matching.unlink(u)
        return
    matching.link(u, v)
    if old_u >= 0 and old_v >= 0 and matching.pair_cost(old_u, old_v) < 2 * NODE:
        matching.link(old_u, old_v)


def _restore(matching: Matching, pairs: list[tuple[int, int]], ours: list[int], theirs: list[int]) -> None:
    for u in ours:
        if matching.to_b[u] >= 0:
            matching.unlink(u)
    for v in theirs:
        if matching.to_a[v] >= 0:
            matching.unlink(matching.to_a[v])
    for u, v in pairs:
        if u >= 0 and v >= 0:
            matching.link(u, v)
    matching.forget()


def _local(matching: Matching, spots: set[int]) -> float:
    return sum(matching.cost_at(x) for x in spots) + NODE * matching.to_a.count(-1)


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
    op = a.vertices[u].op
    free = [v for v in range(b.root) if to_a[v] < 0 and b.vertices[v].op == op]
    found.update(dict.fromkeys(free[:_MAX_CANDIDATES]))
    chosen = [v for v in found if v != to_b[u] and matching.pair_cost(u, v) < 2 * NODE]
    return chosen + ([-1] if to_b[u] >= 0 else [])


def _candidates_of(matching: Matching, v: int) -> list[int]:
    a, b, to_b, to_a = matching.a, matching.b, matching.to_b, matching.to_a
    found: dict[int, None] = {}
    for source, _ in b.vertices[v].operands:
        if to_a[source] >= 0:
            found.update(dict.fromkeys(a.readers[to_a[source]]))
    for reader in b.readers[v]:
        if to_a[reader] >= 0:
            found.update(dict.fromkeys(source for source, _ in a.vertices[to_a[reader]].operands))
    return [u for u in found if matching.pair_cost(u, v) < 2 * NODE]


# -- sliding -------------------------------------------------------------------------------------------------------------
def _slide(matching: Matching) -> bool:
    """Move every run of added nodes, and of removed ones, along the order of execution to where it costs least.

    Where a block is repeated, an inserted copy may begin at any of its nodes; only what other operands read tells them apart.
    """
    changed = False
    for swapped in (False, True):
        partners = matching.to_b if swapped else matching.to_a
        for start, stop in _runs(partners):
            changed |= _slide_run(matching, start, stop, swapped)
    return changed


def _runs(partners: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for i, partner in enumerate(partners):
        if partner < 0:
            if runs and runs[-1][1] == i:
                runs[-1] = (runs[-1][0], i + 1)
            else:
                runs.append((i, i + 1))
    return runs


def _slide_run(matching: Matching, start: int, stop: int, swapped: bool) -> bool:
    partners = matching.to_b if swapped else matching.to_a
    saved = list(matching.to_b)
    best, kept = -_EPSILON, None
    for direction in (-1, 1):
        first, last, change = start, stop, 0.0
        for _ in range(min(stop - start, _MAX_SLIDE)):
            source, target = (first - 1, last - 1) if direction < 0 else (last, first)
            if not 0 <= source < len(partners) - 1 or partners[source] < 0:
                break
            u, v = (target, partners[source]) if swapped else (partners[source], target)
            if matching.pair_cost(u, v) >= 2 * NODE:
                break
            change += _gain(matching, u, v)
            if change > _MAX_HILL:
                break
            matching.link(u, v)
            first, last = first + direction, last + direction
            if change < best:
                best, kept = change, list(matching.to_b)
        matching.reset(saved)
    if kept is not None:
        matching.reset(kept)
    return kept is not None
