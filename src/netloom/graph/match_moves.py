"""Small changes of a matching: one pair at a time, or a run of added or removed nodes moved along the order of execution."""

from __future__ import annotations

from collections.abc import Iterator

from .compared import Compared
from .matching import NODE, Matching

#: How far a run slides, and the cost it may meet on its way.
_MAX_SLIDE, _MAX_HILL = 64, 6.0
_EPSILON = 1e-9
#: Differences that names make are no reason to begin a run in the middle of a block.
_NAMES = 0.05
#: What a pair costs at least that differs in more than its name.
_TROUBLE = 0.01


def gain(matching: Matching, u: int, v: int) -> float:
    """How the total changes when `apply` is called; the matching is left as it was."""
    undo = _touched(matching, u, v)
    ours = [x for x, _ in undo if x >= 0]
    theirs = [y for y in {*(y for _, y in undo), v} if y >= 0]
    spots = matching.affected(ours, theirs)
    before = _local(matching, spots)
    ties = matching.tie_cost()
    apply(matching, u, v)
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
    """The pairs, also of one alone, that `apply` takes apart."""
    pairs = [(u, matching.to_b[u])]
    if v >= 0:
        pairs.append((matching.to_a[v], v))
    return pairs


def apply(matching: Matching, u: int, v: int) -> None:
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


def _local(matching: Matching, spots: set[int]) -> float:
    return sum(matching.cost_at(x) for x in spots) + NODE * matching.to_a.count(-1)


# -- sliding -------------------------------------------------------------------------------------------------------------
def slide(matching: Matching) -> bool:
    """Move every run of added nodes, and of removed ones, along the order of execution to where it costs least.

    Where a block is repeated, an inserted copy may begin at any of its nodes; only what other operands read tells them apart.
    """
    changed = False
    for swapped in (False, True):
        for start, stop in _runs(matching.to_b if swapped else matching.to_a):
            if not _troubled(matching, start, stop, swapped):
                continue
            before = matching.total()
            saved, best, kept = list(matching.to_b), -_EPSILON, None
            for _ in _slides(matching, start, stop, swapped):
                change = matching.total() - before
                if change < best:
                    best, kept = change, list(matching.to_b)
            matching.reset(saved if kept is None else kept)
            changed |= kept is not None
    return changed


def _troubled(matching: Matching, start: int, stop: int, swapped: bool) -> bool:
    """Whether anything that reads a run, or stands beside it, is rewired or differs: else no place costs less."""
    run = range(start, stop)
    near = matching.affected(run, ()) if swapped else matching.affected((), run)
    partners = matching.to_b if swapped else matching.to_a
    for i in (start - 1, stop):
        if 0 <= i < len(partners) and partners[i] >= 0:
            near.add(i if swapped else partners[i])
    return any(matching.to_b[u] >= 0 and matching.cost_at(u) > _TROUBLE for u in near)


def tidy(matching: Matching) -> None:
    """Move runs of added and of removed nodes to where they begin and end with blocks, if that costs no more.

    Of equal places that is best where the fewest values cross the border of the run, then where a block begins.
    """
    before = matching.total()
    for swapped in (False, True):
        side = matching.a if swapped else matching.b
        for start, stop in _runs(matching.to_b if swapped else matching.to_a):
            saved, kept = list(matching.to_b), None
            best = (_crossings(side, start, stop), _depth(side, start), 0.0)
            for place in _slides(matching, start, stop, swapped):
                shape = (_crossings(side, place, place + stop - start), _depth(side, place))
                if shape <= best[:2]:
                    change = matching.total() - before
                    if change < _NAMES and (*shape, change) < best:
                        best, kept = (*shape, change), list(matching.to_b)
            matching.reset(saved if kept is None else kept)
            before += best[2]


def _runs(partners: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for i, partner in enumerate(partners):
        if partner < 0:
            if runs and runs[-1][1] == i:
                runs[-1] = (runs[-1][0], i + 1)
            else:
                runs.append((i, i + 1))
    return runs


def _slides(matching: Matching, start: int, stop: int, swapped: bool) -> Iterator[int]:
    """Where a run begins as it is moved step by step, back and forth; the matching follows, and comes back in the end."""
    partners = matching.to_b if swapped else matching.to_a
    saved = list(matching.to_b)
    for direction in (-1, 1):
        first, last, apart = start, stop, 0.0
        for _ in range(min(stop - start, _MAX_SLIDE)):
            source, target = (first - 1, last - 1) if direction < 0 else (last, first)
            if not 0 <= source < len(partners) - 1 or partners[source] < 0:
                break
            partner = partners[source]
            old, new = ((source, partner), (target, partner)) if swapped else ((partner, source), (partner, target))
            apart += matching.pair_cost(*new) - matching.pair_cost(*old)
            if apart > _MAX_HILL:
                break
            matching.link(*new)
            first, last = first + direction, last + direction
            yield first
        matching.reset(saved)


def _crossings(side: Compared, start: int, stop: int) -> int:
    """The number of values that enter or leave a run of vertices."""
    entering = {port for i in range(start, stop) for port in side.vertices[i].operands if port[0] < start}
    leaving = {
        port for i in range(start, stop) for reader in side.readers[i] if reader >= stop
        for port in side.vertices[reader].operands if start <= port[0] < stop
    }  # fmt: skip
    return len(entering) + len(leaving)


def _depth(side: Compared, vertex: int) -> int:
    """How deep in the tree of blocks the outermost block lies that begins at a vertex."""
    return side.border_depths.get(side.vertices[vertex].name, 99)
