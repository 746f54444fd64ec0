"""A generational genetic algorithm, as NaiveGAflux has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import SearchError
from ..crossing import crossed
from ..fitness import Fitness, Fitnesses, check_measured
from ..offspring import TRIES, Breeding, Draft, child_of, finished, fresh_unknown, mutated, with_recipe
from ..population import check_chances, check_counts, check_shares, first_candidates
from ..proposal import Proposal, Result
from ..recipe_mutations import RecipeMutation, read_recipe_mutations
from ..selection import Selection, read_selection
from ..strategy import Strategy, shown

if TYPE_CHECKING:
    import numpy

    from ..context import Context


@dataclass(repr=False)
class Genetic(Strategy):
    """Generations of children, with crossover; the best of a generation stay beside the next.

    ``population`` candidates make a generation (at most a fifth of a budget in evaluations, and 20 of a budget in time), the
    first one random. ``elites`` of the best stay as they are; the other places go to children of parents that ``selection``
    chooses ("tournament", "sus", "elite(5)+tournament(3)", …) by ``fitness`` ("score+size", or a function). With chance
    ``crossover`` a child gets parts of a second parent: aligned parts of the two networks with their weights, or stretches of
    tokens of the space's robust notation where nothing is inherited. With chance ``mutation`` it then changes by a few of
    ``mutations``, drawn by their ``chances``; ``recipe_mutations`` change how it is trained. ``inherit`` and ``share`` are
    those of `Evolution`.

    Results of a generation are waited for before the next one begins.

    Source: J. Holland, "Adaptation in Natural and Artificial Systems", 1975; the numbers are those of NaiveGAflux, for whole
    networks.
    """

    name: ClassVar[str] = "genetic"

    population: int = 50
    elites: int = 2
    selection: str | Selection = "tournament"
    crossover: float = 0.3
    mutation: float = 0.8
    inherit: bool = True
    share: float = 0.5
    fitness: str | Fitness | Callable[[Result], float] | None = None
    mutations: Mapping[str, Any] | None = None
    recipe_mutations: str | RecipeMutation | Sequence[Any] | None = None
    chances: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        check_counts(self.name, population=self.population)
        check_shares(self.name, crossover=self.crossover, mutation=self.mutation, share=self.share)
        if isinstance(self.elites, bool) or not isinstance(self.elites, int) or not 0 <= self.elites < self.population:
            raise SearchError(
                f"genetic: elites = {self.elites!r}; expected an integer ≥ 0 below population = {self.population}"
            )
        if not self.share > 0:
            raise SearchError(f"genetic: share = {self.share!r}; expected a number above 0")
        Fitness.of(self.fitness)
        read_selection(self.selection)
        read_recipe_mutations(self.recipe_mutations)
        check_chances(self.name, self.chances, self.mutations)

    __repr__ = shown

    def begin(self, context: Context) -> None:
        super().begin(context)
        fitness = Fitness.of(self.fitness)
        check_measured(fitness, context, self.name)
        self._fitnesses = Fitnesses(fitness)
        self._breeding = Breeding.of(self, context)
        self._size = first_candidates(context, self.population)
        self._elites = min(self.elites, self._size - 1)
        self._number = 0
        self._parents: list[Result] = []
        self._children: list[Result] = []
        self._told = 0
        self._pending: set[int] = set()
        self._plan: list[tuple[int, int]] = []

    def ask(self, index: int, rng: numpy.random.Generator) -> Proposal | None:
        place = self._told + len(self._pending)
        if place >= self._wanted:
            return None
        self._pending.add(index)
        if not self._parents:
            return fresh_unknown(self.context, rng)
        first, second = (self._parents[i] for i in self._plan[place])
        return self._child(first, second, rng) or fresh_unknown(self.context, rng)

    def tell(self, index: int, result: Result) -> None:
        self._pending.discard(index)
        self._told += 1
        known = {(other.graph.hash, repr(other.recipe)) for other in self._children}
        if self.context.keeps(result) and (result.graph.hash, repr(result.recipe)) not in known:
            self._fitnesses.of(result)
            self._children.append(result)
        if self._told >= self._wanted:
            self._next_generation()

    @property
    def _wanted(self) -> int:
        """Results that the generation in the making is to have."""
        return self._size - (self._elites if self._parents else 0)

    def _next_generation(self) -> None:
        import numpy as np

        kept = sorted(self._parents, key=self._fitnesses.rank, reverse=True)[: self._elites]
        self._parents = [*kept, *self._children]
        self._children, self._told = [], 0
        self._number += 1
        # Who becomes a parent is drawn for the whole generation at once, as sampling schemes want it.
        rng = np.random.default_rng([self.context.seed, self._number, 0x6A])
        fitness = [self._fitnesses.of(parent) for parent in self._parents]
        chosen = read_selection(self.selection).choose(fitness, self._wanted, rng) if self._parents else []
        mates = [int(i) for i in rng.permutation(len(chosen))]
        order = [int(i) for i in rng.permutation(len(chosen))]
        self._plan = [(chosen[i], chosen[mates[i]]) for i in order]

    def _child(self, first: Result, second: Result, rng: numpy.random.Generator) -> Proposal | None:
        context, how = self.context, self._breeding
        if first is second or rng.random() >= self.crossover:
            return child_of(context, first, rng, proposed_by="mutation", breeding=how)
        for _ in range(TRIES // 4):
            draft: Draft | None = crossed(context, first, second, how, rng)
            if draft is None:
                break
            if rng.random() < self.mutation:
                changed = mutated(context, with_recipe(context, draft, how, rng), how, rng)
                draft = changed or draft
            child = finished(context, draft, how, "crossover")
            if child is not None:
                return child
        return child_of(context, first, rng, proposed_by="mutation", breeding=how)
