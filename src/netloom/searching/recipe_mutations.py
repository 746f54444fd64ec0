"""Mutations of recipes: optimiser, learning rate, batch size, as NaiveGAflux has them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import SearchError, TrainingError
from ..training.recipes import OPTIMIZERS, Recipe
from .value_text import read_values, write_value

if TYPE_CHECKING:
    import numpy


class RecipeMutation(ABC):
    """Changes fields of a recipe: ``mutation(recipe, rng)`` gives those that are to be others, by name."""

    #: The name by which text finds it.
    name: ClassVar[str]
    p: float

    @property
    def spec(self) -> str:
        """The text that `read_recipe_mutations` makes it from."""
        return write_value(self, self.name)

    def __call__(self, recipe: Recipe, rng: numpy.random.Generator) -> dict[str, Any]:
        """Fields and their new values; empty with chance 1 − ``p``."""
        return self.changed(recipe, rng) if rng.random() < self.p else {}

    @abstractmethod
    def changed(self, recipe: Recipe, rng: numpy.random.Generator) -> dict[str, Any]:
        """Fields and their new values."""

    def _check_chance(self) -> None:
        if not 0 <= self.p <= 1:
            raise SearchError(f"recipe mutation {self.name}: p = {self.p!r}; expected a chance in [0, 1]")


@dataclass(frozen=True, slots=True)
class LearningRateMutation(RecipeMutation):
    """The learning rate times a number within 1 ± ``share``, and then within ``low`` and ``high``.

    >>> import numpy as np
    >>> 0.85 <= LearningRateMutation()(Recipe(learning_rate=1.0), np.random.default_rng(0))["learning_rate"] <= 1.0
    True
    """

    share: float = 0.15
    p: float = 1.0
    low: float = 1e-6
    high: float = 1.0
    name: ClassVar[str] = "learning_rate"

    def __post_init__(self) -> None:
        self._check_chance()
        if not 0 < self.share < 1 or not 0 < self.low < self.high:
            raise SearchError(f"recipe mutation learning_rate: {self}; expected 0 < share < 1 and 0 < low < high")

    def changed(self, recipe: Recipe, rng: numpy.random.Generator) -> dict[str, Any]:
        factor = 1 + self.share * (2 * float(rng.random()) - 1)
        return {"learning_rate": min(max(recipe.learning_rate * factor, self.low), self.high)}


@dataclass(frozen=True, slots=True)
class OptimizerMutation(RecipeMutation):
    """Another optimiser, of ``kinds``.

    >>> import numpy as np
    >>> OptimizerMutation(("adamw", "sgd"), p=1.0)(Recipe(optimizer="sgd"), np.random.default_rng(0))
    {'optimizer': 'adamw'}
    """

    kinds: tuple[str, ...] = OPTIMIZERS
    p: float = 0.1
    name: ClassVar[str] = "optimizer"

    def __post_init__(self) -> None:
        self._check_chance()
        for kind in self.kinds:
            if kind not in OPTIMIZERS:
                raise SearchError(f"recipe mutation optimizer: {str(kind)[:40]!r}; expected of {', '.join(OPTIMIZERS)}")

    def changed(self, recipe: Recipe, rng: numpy.random.Generator) -> dict[str, Any]:
        others = [kind for kind in self.kinds if kind != recipe.optimizer]
        if not others:
            return {}
        chosen = others[int(rng.integers(len(others)))]
        return {"optimizer": chosen, **({"nesterov": False} if chosen == "adamw" and recipe.nesterov else {})}


@dataclass(frozen=True, slots=True)
class BatchSizeMutation(RecipeMutation):
    """Another batch size: a step along ``sizes``, or times a number within 1 ± ``share`` where there are none.

    >>> import numpy as np
    >>> BatchSizeMutation((16, 32, 64), p=1.0)(Recipe(batch_size=64), np.random.default_rng(0))
    {'batch_size': 32}
    """

    sizes: tuple[int, ...] = (16, 32, 64, 128, 256)
    p: float = 0.1
    share: float = 0.5
    name: ClassVar[str] = "batch_size"

    def __post_init__(self) -> None:
        self._check_chance()
        if not 0 < self.share < 1 or any(size < 1 for size in self.sizes):
            raise SearchError(f"recipe mutation batch_size: {self}; expected 0 < share < 1 and sizes of at least 1")

    def changed(self, recipe: Recipe, rng: numpy.random.Generator) -> dict[str, Any]:
        old, draw = recipe.batch_size, float(rng.random())
        if not self.sizes:
            return {"batch_size": max(1, round(old * (1 + self.share * (2 * draw - 1))))}
        ordered = sorted(self.sizes)
        below, above = [s for s in ordered if s < old], [s for s in ordered if s > old]
        steps = [*below[-1:], *above[:1]]
        return {"batch_size": steps[int(draw * len(steps))]} if steps else {}


#: Name → mutation.
RECIPE_MUTATIONS: dict[str, type[RecipeMutation]] = {
    kind.name: kind for kind in (LearningRateMutation, OptimizerMutation, BatchSizeMutation)
}
#: Chances with which a child has these fields of its second parent.
_CROSSED = {"learning_rate": 0.4, "optimizer": 0.3, "batch_size": 0.2}


def read_recipe_mutations(given: str | RecipeMutation | Sequence[Any] | None) -> tuple[RecipeMutation, ...]:
    """Mutations of recipes from text such as ``"learning_rate+optimizer(p=0.2)"``, from values, or none.

    A function ``mutation(recipe, rng)`` → dict of fields is one too.

    >>> [mutation.spec for mutation in read_recipe_mutations("learning_rate+optimizer(p=0.2)")]
    ['learning_rate', 'optimizer(p=0.2)']
    """
    if given is None or given == "":
        return ()
    if isinstance(given, str):
        return tuple(read_values(given, RECIPE_MUTATIONS, "recipe mutation"))
    found = (given,) if callable(given) else tuple(given)
    for mutation in found:
        if not callable(mutation):
            raise SearchError(f"recipe mutation {mutation!r}; expected text such as 'learning_rate', or a RecipeMutation")
    return found


def mutated_recipe(
    base: Recipe, own: Mapping[str, Any], mutations: Sequence[Any], rng: numpy.random.Generator
) -> dict[str, Any]:
    """The fields in which a child's recipe differs from ``base``, where its parent's differs in ``own``.

    A change that makes no recipe is left out.
    """
    current = replace(base, **own) if own else base
    for mutation in mutations:
        try:
            current = replace(current, **mutation(current, rng))
        except (TrainingError, TypeError) as error:
            if isinstance(error, TypeError):
                raise SearchError(f"recipe mutation {mutation!r} gave fields that a recipe has not: {error}") from None
    return difference(base, current)


def crossed_recipe(
    base: Recipe, own: Mapping[str, Any], other: Mapping[str, Any], rng: numpy.random.Generator
) -> dict[str, Any]:
    """The fields in which a recipe differs from ``base`` that has some of ``other`` instead of ``own``."""
    mine, theirs = replace(base, **own) if own else base, replace(base, **other) if other else base
    taken = {name: getattr(theirs, name) for name, chance in _CROSSED.items() if rng.random() < chance}
    try:
        return difference(base, replace(mine, **taken))
    except TrainingError:
        return dict(own)


def difference(base: Recipe, recipe: Recipe) -> dict[str, Any]:
    """The fields of a recipe that are not those of ``base``."""
    before = asdict(base)
    return {name: value for name, value in asdict(recipe).items() if value != before[name]}
