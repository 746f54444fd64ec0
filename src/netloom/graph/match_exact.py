"""The matching of least cost within a small region, by branch and bound: every choice is tried that could be cheaper."""

from __future__ import annotations

from .matching import NAME, NODE, Matching

#: Vertices of either graph that a region holds at most, and complete choices that are worked out before it is given up.
_MAX_REGION = 9
_MAX_LEAVES = 1500
_MAX_BRANCHES = 40_000


def settle(matching: Matching) -> None:
    """Pair what differs, and what is next to it, again so that the whole costs least; graphs of a few nodes altogether.

    A region of more than nine nodes keeps to the nodes that differ, and where these are more, nothing is done.
    """
    region = _region(matching)
    if region is not None:
        _Search(matching, *region).run()


def _region(matching: Matching) -> tuple[list[int], list[int]] | None:
    a, b = matching.a, matching.b
    ours = {u for u in range(a.root) if matching.cost_at(u) > 2 * NAME}
    theirs = {v for v in range(b.root) if matching.to_a[v] < 0} | {matching.to_b[u] for u in ours if matching.to_b[u] >= 0}
    ours.update(u for u, _ in matching.retied())
    if max(len(ours), len(theirs)) > _MAX_REGION:
        return None
    while True:
        near = {source for u in ours for source, _ in a.vertices[u].operands} | {r for u in ours for r in a.readers[u]}
        near |= {
            matching.to_a[w] for v in theirs
            for w in (*(source for source, _ in b.vertices[v].operands), *b.readers[v]) if matching.to_a[w] >= 0
        }  # fmt: skip
        near -= {a.root}
        if matching.cost_at(a.root) > 2 * NAME:
            near |= {source for source, _ in a.vertices[a.root].operands}
        wider = ours | near
        wider_theirs = theirs | {matching.to_b[u] for u in wider if matching.to_b[u] >= 0}
        if wider == ours or max(len(wider), len(wider_theirs)) > _MAX_REGION:
            break
        ours, theirs = wider, wider_theirs
    theirs |= {matching.to_b[u] for u in ours if matching.to_b[u] >= 0}
    ours |= {matching.to_a[v] for v in theirs if matching.to_a[v] >= 0}
    return sorted(ours), sorted(theirs)


class _Search:
    """Depth first over the vertices ``ours``, each with every partner among ``theirs`` or none."""

    def __init__(self, matching: Matching, ours: list[int], theirs: list[int]) -> None:
        self.matching, self.ours, self.theirs = matching, ours, theirs
        self.best = matching.total() - 2 * NAME
        self.kept: list[int] | None = None
        self.leaves = self.branches = 0
        inside = set(ours)
        self.base = sum(
            (matching.pair_cost(u, v) if v >= 0 else NODE)
            for u, v in enumerate(matching.to_b) if u not in inside
        )  # fmt: skip
        # What a vertex costs at least, whoever its partner is.
        self.least = [min(NODE, *(matching.pair_cost(u, v) for v in theirs)) if theirs else NODE for u in ours]
        self.after = [sum(self.least[i:]) for i in range(len(ours) + 1)]

    def run(self) -> None:
        saved = list(self.matching.to_b)
        for u in self.ours:
            if self.matching.to_b[u] >= 0:
                self.matching.unlink(u)
        self._visit(0, self.base, len(self.theirs))
        self.matching.reset(saved if self.kept is None else self.kept)

    def _visit(self, place: int, cost: float, free: int) -> None:
        left = len(self.ours) - place
        bound = cost + max(self.after[place], NODE * (free - left)) if free > left else cost + self.after[place]
        self.branches += 1
        if bound >= self.best or self.leaves > _MAX_LEAVES or self.branches > _MAX_BRANCHES:
            return
        matching = self.matching
        if not left:
            self.leaves += 1
            total = matching.total()
            if total < self.best:
                self.best, self.kept = total, list(matching.to_b)
            return
        u = self.ours[place]
        choices = sorted((matching.pair_cost(u, v), v) for v in self.theirs if matching.to_a[v] < 0)
        for pair, v in choices:
            if pair < 2 * NODE:
                matching.link(u, v)
                self._visit(place + 1, cost + pair, free - 1)
                matching.unlink(u)
        self._visit(place + 1, cost + NODE, free)
