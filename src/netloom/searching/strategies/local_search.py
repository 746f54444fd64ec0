"""Local search: to the best neighbour, until none is better; then from somewhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import SearchError
from ..fitness import Fitness, Fitnesses, check_measured
from ..offspring import Breeding, child_of, fresh_unknown
from ..population import check_counts, first_candidates
from ..proposal import Proposal, Result
from ..strategy import Strategy, shown

if TYPE_CHECKING:
    import numpy

    from ..context import Context


@dataclass(repr=False)
class LocalSearch(Strategy):
    """Hill climbing with restarts: ``neighbours`` of a centre are tried, and the best of them is the next centre.

    The first centre is the best of ``initial`` random candidates (or the network that the search starts from); a neighbour is a
    child by one or a few edits. With ``improvement = "first"`` the first neighbour that is better is the next centre. Where
    none is better, the search goes on from a new random candidate. ``inherit``, ``share`` and ``fitness`` are those of
    `Evolution`.

    Source: C. White, S. Nolen and Y. Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021; T.
    Ottelander et al., "Local Search is a Remarkably Strong Baseline for Neural Architecture Search", EMO 2021.
    """

    name: ClassVar[str] = "local"

    neighbours: int = 24
    initial: int = 10
    improvement: str = "best"
    inherit: bool = True
    share: float = 0.5
    fitness: str | Fitness | Callable[[Result], float] | None = None
    mutations: Any = None

    def __post_init__(self) -> None:
        check_counts(self.name, neighbours=self.neighbours, initial=self.initial)
        if self.improvement not in ("best", "first"):
            raise SearchError(f"local: improvement = {self.improvement!r}; expected 'best' or 'first'")
        if isinstance(self.share, bool) or not 0 < self.share <= 1:
            raise SearchError(f"local: share = {self.share!r}; expected a number above 0, 1 at most")
        Fitness.of(self.fitness)

    __repr__ = shown

    def begin(self, context: Context) -> None:
        super().begin(context)
        fitness = Fitness.of(self.fitness)
        check_measured(fitness, context, self.name)
        self._fitnesses = Fitnesses(fitness)
        self._breeding = Breeding.of(self, context)
        self._initial = first_candidates(context, self.initial) if context.start is None else 1
        self._centre: Result | None = None
        #: The best told since the centre was chosen, and how many were told.
        self._best: Result | None = None
        self._told = 0
        self._pending: set[int] = set()
        self._exhausted = False

    def ask(self, index: int, rng: numpy.random.Generator) -> Proposal | None:
        wanted = self._initial if self._centre is None else self.neighbours
        if self._told + len(self._pending) >= wanted or (self._exhausted and self._pending):
            return None
        proposal = None
        if self._centre is not None and not self._exhausted:
            proposal = child_of(self.context, self._centre, rng, proposed_by="neighbour", breeding=self._breeding)
            if proposal is None:
                self._exhausted = True
                if self._pending:
                    return None
        if proposal is None:
            if self._centre is not None:
                self._move()
                return self.ask(index, rng)
            proposal = fresh_unknown(self.context, rng)
        self._pending.add(index)
        return proposal

    def tell(self, index: int, result: Result) -> None:
        self._pending.discard(index)
        # A search that is resumed is told of what came after a neighbourhood was exhausted, without being asked at its end.
        while self._centre is not None and self._came_later(result):
            self._move()
        if self._centre is not None and result.lineage.parents != (self._centre.graph.hash,):
            return  # a neighbour of a centre that was left
        if self.context.keeps(result):
            if self._best is None or self._fitnesses.rank(result) > self._fitnesses.rank(self._best):
                self._best = result
        self._told += 1
        improved = self._centre is not None and self._is_better(self._best)
        wanted = self._initial if self._centre is None else self.neighbours
        if self._told >= wanted or (improved and self.improvement == "first"):
            self._move()

    def _came_later(self, result: Result) -> bool:
        """Whether a result belongs to what follows the present centre."""
        if result.lineage.proposed_by == "random":
            return True
        best = self._best
        return best is not None and self._is_better(best) and result.lineage.parents == (best.graph.hash,)

    def _is_better(self, result: Result | None) -> bool:
        if result is None or self._centre is None:
            return result is not None
        return self._fitnesses.rank(result) > self._fitnesses.rank(self._centre)

    def _move(self) -> None:
        """To the best of the neighbourhood; where that is no better, back to random candidates, one of which is enough."""
        better = self._best if self._is_better(self._best) else None
        if self._centre is not None and better is None:
            self._initial = 1
        self._centre, self._best, self._told, self._exhausted = better, None, 0, False
