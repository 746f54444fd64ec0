"""Regularised evolution, with inherited weights."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import SearchError
from ..crossing import crossed
from ..fitness import Fitness, Fitnesses, check_measured
from ..offspring import Breeding, child_of, finished, fresh
from ..population import check_chances, check_counts, check_shares, first_candidates
from ..proposal import Proposal, Result
from ..recipe_mutations import RecipeMutation, read_recipe_mutations
from ..selection import Selection, read_selection
from ..strategy import Strategy, shown

if TYPE_CHECKING:
    import numpy

    from ..context import Context


@dataclass(repr=False)
class Evolution(Strategy):
    """Children of the best of a random handful; the oldest of the population leaves, not the worst.

    ``population`` candidates are alive, ``sample`` of them compete to be a parent; or a scheme of ``selection`` ("sus",
    "tournament(3)", …) chooses it among all. The first ``initial`` candidates are random (None: as many as the population, but
    at most a fifth of a budget in evaluations, and 20 of a budget in time). A child is its parent after a few of ``mutations``
    (by kind; None: all that `netloom.mutate` has, or those of the space), drawn by their ``chances`` (by kind), with chance
    ``crossover`` after parts of a second parent came in; it begins with its parents' trained weights unless ``inherit`` is
    false, and then trains ``share`` of the epochs. ``recipe_mutations`` ("learning_rate+optimizer") change how children are
    trained. ``fresh`` is the chance of a random candidate later on. ``fitness`` ("score+size", or a function) ranks results; by
    default the validation score, of equals the smaller network.

    Source: E. Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019 (population 100, sample
    25). Inherited weights: T. Elsken et al., "Efficient Multi-Objective Neural Architecture Search via Lamarckian
    Evolution", ICLR 2019.
    """

    name: ClassVar[str] = "evolution"

    population: int = 100
    sample: int = 25
    initial: int | None = None
    inherit: bool = True
    share: float = 0.5
    fresh: float = 0.05
    mutations: Mapping[str, Any] | None = None
    fitness: str | Fitness | Callable[[Result], float] | None = None
    selection: str | Selection | None = None
    recipe_mutations: str | RecipeMutation | Sequence[Any] | None = None
    crossover: float = 0.0
    chances: Mapping[str, float] | None = None
    _alive: deque[Result] = field(default_factory=deque, init=False, compare=False)

    def __post_init__(self) -> None:
        check_counts(self.name, population=self.population, sample=self.sample, initial=self.initial)
        check_shares(self.name, share=self.share, fresh=self.fresh, crossover=self.crossover)
        if not self.share > 0:
            raise SearchError(f"{self.name}: share = {self.share!r}; expected a number above 0")
        Fitness.of(self.fitness)
        read_recipe_mutations(self.recipe_mutations)
        if self.selection is not None:
            read_selection(self.selection)
        check_chances(self.name, self.chances, self.mutations)

    __repr__ = shown

    def begin(self, context: Context) -> None:
        super().begin(context)
        fitness = Fitness.of(self.fitness)
        check_measured(fitness, context, self.name)
        self._alive = deque(maxlen=self.population)
        self._fitnesses = Fitnesses(fitness)
        self._selection = None if self.selection is None else read_selection(self.selection)
        self._breeding = Breeding.of(self, context)

    def ask(self, index: int, rng: numpy.random.Generator) -> Proposal:
        parents = list(self._alive)
        if len(parents) < 1 or index < self._initial() or rng.random() < self.fresh:
            return fresh(self.context, rng)
        return self._child(parents, rng) or fresh(self.context, rng)

    def tell(self, index: int, result: Result) -> None:
        if self.context.keeps(result) and not result.repeated:
            self._fitnesses.of(result)
            self._alive.append(result)

    def _initial(self) -> int:
        return self.initial if self.initial is not None else first_candidates(self.context, self.population)

    def _child(self, parents: list[Result], rng: numpy.random.Generator) -> Proposal | None:
        parent = self._parent(parents, rng)
        if self.crossover and len(parents) > 1 and rng.random() < self.crossover:
            draft = crossed(self.context, parent, self._parent(parents, rng), self._breeding, rng)
            child = None if draft is None else finished(self.context, draft, self._breeding, "crossover")
            if child is not None:
                return child
        return child_of(self.context, parent, rng, proposed_by="mutation", breeding=self._breeding)

    def _parent(self, parents: list[Result], rng: numpy.random.Generator) -> Result:
        if self._selection is not None:
            fitness = [self._fitnesses.of(parent) for parent in parents]
            return parents[self._selection.choose(fitness, 1, rng)[0]]
        chosen = rng.choice(len(parents), size=min(self.sample, len(parents)), replace=False)
        return max((parents[int(i)] for i in chosen), key=self._fitnesses.rank)
