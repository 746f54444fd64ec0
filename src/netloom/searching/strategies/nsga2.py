"""NSGA-II: several objectives at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import SearchError
from ..crossing import crossed
from ..offspring import Breeding, child_of, finished, fresh_unknown
from ..population import check_counts, check_shares, first_candidates
from ..proposal import Proposal, Result
from ..recipe_mutations import RecipeMutation, read_recipe_mutations
from ..strategy import Strategy, shown

if TYPE_CHECKING:
    import numpy

    from ..context import Context


@dataclass(repr=False)
class NSGA2(Strategy):
    """Generations that spread along the Pareto front of the objectives of the search (``objectives="score, flops"``).

    Of parents and children together the ``population`` best are the next parents: front by front, and within the last one that
    fits in part those with the most room around them. Two parents, each the better of two random ones, make a child, with
    chance ``crossover`` by exchanging parts, else by mutation. What breaks a constraint is worse than anything that keeps to
    all, and the worse the further off. ``inherit``, ``share``, ``mutations`` and ``recipe_mutations`` are those of `Evolution`.

    Source: K. Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE Transactions on Evolutionary
    Computation 6, 2002.
    """

    name: ClassVar[str] = "nsga2"

    population: int = 40
    crossover: float = 0.3
    inherit: bool = True
    share: float = 0.5
    mutations: Mapping[str, Any] | None = None
    recipe_mutations: str | RecipeMutation | Sequence[Any] | None = None

    def __post_init__(self) -> None:
        check_counts(self.name, population=self.population)
        check_shares(self.name, crossover=self.crossover, share=self.share)
        if not self.share > 0:
            raise SearchError(f"nsga2: share = {self.share!r}; expected a number above 0")
        read_recipe_mutations(self.recipe_mutations)

    __repr__ = shown

    def begin(self, context: Context) -> None:
        super().begin(context)
        self._breeding = Breeding.of(self, context)
        self._size = first_candidates(context, self.population)
        self._parents: list[Result] = []
        #: What parents are compared by: the number of the front, and the room around them, the more the better.
        self._order: list[tuple[int, float]] = []
        self._children: list[Result] = []
        self._told = 0

    def ask(self, index: int, rng: numpy.random.Generator) -> Proposal:
        if not self._parents:
            return fresh_unknown(self.context, rng)
        first, second = self._parent(rng), self._parent(rng)
        if first is not second and rng.random() < self.crossover:
            draft = crossed(self.context, first, second, self._breeding, rng)
            child = None if draft is None else finished(self.context, draft, self._breeding, "crossover")
            if child is not None:
                return child
        child = child_of(self.context, first, rng, proposed_by="mutation", breeding=self._breeding)
        return child or fresh_unknown(self.context, rng)

    def tell(self, index: int, result: Result) -> None:
        self._told += 1
        if result.score is not None and not result.repeated:
            self._children.append(result)
        if self._told >= self._size:
            self._select()

    def _parent(self, rng: numpy.random.Generator) -> Result:
        one, other = (int(i) for i in rng.integers(len(self._parents), size=2))
        return self._parents[min(one, other, key=lambda i: self._order[i])]

    def _select(self) -> None:
        """The best of parents and children become the parents."""
        merged = [*self._parents, *self._children]
        vectors = [self.context.vector(result) for result in merged]
        excesses = [self._excess(result) for result in merged]
        chosen: list[tuple[tuple[int, float], Result]] = []
        for number, front in enumerate(fronts(vectors, excesses)):
            room = crowding([vectors[i] for i in front])
            ranked = sorted(zip(front, room), key=lambda pair: -pair[1])
            chosen += [((number, -space), merged[i]) for i, space in ranked[: self._size - len(chosen)]]
            if len(chosen) >= self._size:
                break
        self._order, self._parents = [order for order, _ in chosen], [result for _, result in chosen]
        self._children, self._told = [], 0

    def _excess(self, result: Result) -> float:
        """How far a result is from keeping to the constraints, as a sum of shares of their bounds."""
        total = 0.0
        for constraint in self.context.violated(result):
            value, bound = result.measure(constraint.name), constraint.bound(self.context.start_value(constraint.name))
            total += float("inf") if value is None else abs(value - bound) / max(abs(bound), 1e-12)
        return total


def fronts(vectors: Sequence[tuple[float, ...]], excesses: Sequence[float]) -> list[list[int]]:
    """Places of ``vectors`` (higher is better in each number) front by front: no member is dominated by one of its own front.

    What has a lower excess dominates what has a higher one.

    >>> fronts([(1, 1), (2, 0), (0, 0), (2, 2)], [0, 0, 0, 1])
    [[0, 1], [2], [3]]
    """
    import numpy as np

    if not vectors:
        return []
    table, excess = np.array(vectors, dtype=float), np.array(excesses, dtype=float)
    at_least = (table[:, None] >= table[None]).all(-1) & (table[:, None] > table[None]).any(-1)
    dominates = (excess[:, None] < excess[None]) | ((excess[:, None] == excess[None]) & at_least)
    left = dominates.sum(0)
    found: list[list[int]] = []
    waiting = np.ones(len(table), dtype=bool)
    while waiting.any():
        front = np.flatnonzero(waiting & (left == 0))
        found.append([int(i) for i in front])
        waiting[front] = False
        left = left - dominates[front].sum(0)
    return found


def crowding(vectors: Sequence[tuple[float, ...]]) -> list[float]:
    """The room around each member of a front: the sum, over objectives, of the distance between its neighbours; ends are
    infinite.

    >>> crowding([(0.0, 3.0), (1.0, 2.0), (3.0, 0.0)])
    [inf, 2.0, inf]
    """
    import numpy as np

    table = np.array(vectors, dtype=float)
    room = np.zeros(len(table))
    for column in table.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        width = ordered[-1] - ordered[0]
        room[order[[0, -1]]] = np.inf
        if np.isfinite(width) and width > 0:
            room[order[1:-1]] += (ordered[2:] - ordered[:-2]) / width
    return [float(space) for space in room]
