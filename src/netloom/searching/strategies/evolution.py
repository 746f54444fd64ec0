"""Regularised evolution, with inherited weights."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import SearchError
from ..offspring import child_of, fresh
from ..proposal import Proposal, Result
from ..strategy import Strategy, shown

if TYPE_CHECKING:
    import numpy

    from ..context import Context


@dataclass(repr=False)
class Evolution(Strategy):
    """Children of the best of a random handful; the oldest of the population leaves, not the worst.

    ``population`` candidates are alive, ``sample`` of them compete to be a parent. The first ``initial`` candidates are random
    (None: as many as the population, but at most a fifth of a budget in evaluations, and 20 of a budget in time). A child is
    its parent after a few of ``mutations`` (by kind; None: all that `netloom.mutate` has, or those of the space), begins with
    its parent's trained weights unless ``inherit`` is false, and then trains ``share`` of the epochs. ``fresh`` is the chance
    of a random candidate later on. ``fitness`` ranks results; by default the validation score, of equals the smaller network.

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
    fitness: Callable[[Result], float] | None = None
    _alive: deque[Result] = field(default_factory=deque, init=False)

    def __post_init__(self) -> None:
        for name in ("population", "sample"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise SearchError(f"evolution: {name} = {getattr(self, name)!r}; expected an integer ≥ 1")
        if self.initial is not None and self.initial < 1:
            raise SearchError(f"evolution: initial = {self.initial!r}; expected an integer ≥ 1, or none")
        if not 0 < self.share <= 1 or not 0 <= self.fresh <= 1:
            raise SearchError(f"evolution: share = {self.share!r}, fresh = {self.fresh!r}; expected shares between 0 and 1")

    __repr__ = shown

    @property
    def inherits(self) -> bool:  # type: ignore[override]
        """Whether parents' weights are needed."""
        return self.inherit

    def begin(self, context: Context) -> None:
        super().begin(context)
        self._alive = deque(maxlen=self.population)

    def ask(self, index: int, rng: numpy.random.Generator) -> Proposal:
        parents = list(self._alive)
        if index < self._initial() or not parents or rng.random() < self.fresh:
            return fresh(self.context, rng)
        chosen = rng.choice(len(parents), size=min(self.sample, len(parents)), replace=False)
        parent = max((parents[int(i)] for i in chosen), key=self._rank)
        child = child_of(
            self.context, parent, rng, proposed_by="mutation", mutations=self.mutations, inherit=self.inherit,
            epochs=self._epochs(),
        )  # fmt: skip
        return child or fresh(self.context, rng)

    def tell(self, index: int, result: Result) -> None:
        if self.context.keeps(result) and not result.repeated:
            self._alive.append(result)

    def _initial(self) -> int:
        if self.initial is not None:
            return self.initial
        budget = self.context.budget
        most = 20
        if budget is not None and budget.evaluations is not None:
            most = max(budget.evaluations // 5, 4)
        return min(self.population, most)

    def _epochs(self) -> int | None:
        recipe = self.context.recipe
        return None if recipe is None else max(1, round(self.share * recipe.epochs))

    def _rank(self, result: Result) -> tuple[float, float]:
        value = self.fitness(result) if self.fitness is not None else result.score or 0.0
        return value, -float(result.graph.num_params)
