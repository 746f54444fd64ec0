"""`ZooConfig`: what the networks of a zoo are, what they learn and how."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError, ZooError
from ..graph.settings_json import read_settings
from ..spaces.loading import load as load_space
from ..tasks.random_regression import RegressionConfig
from ..training.recipes import Recipe
from ..training.recipes import recipe as find_recipe

if TYPE_CHECKING:
    from ..spaces.space import Space

PAIRINGS, KEPT = ("spread", "all"), ("last", "best")


@dataclass(frozen=True, slots=True)
class Family:
    """What a family of networks has where a configuration says nothing."""

    space: str
    recipe: Recipe
    task_specs: tuple[str, ...]
    shard_size: int


FAMILIES = {
    # Three hundred steps of Adam on 256 samples.
    "mlp": Family(
        "mlp?layers=1..3&widths=4..16&activations=relu,tanh,sigmoid&bias=true",
        Recipe(epochs=75, batch_size=64, learning_rate=1e-2, weight_decay=0.0, warmup=0.0, clip_norm=None),
        (),
        1000,
    ),
    "conv": Family("conv?conv_num=2&lin_num=1&max_params=20000&max_macs=200000", Recipe(epochs=10), ("digits",), 20),
}


@dataclass(frozen=True, slots=True)
class ZooConfig:
    """How a zoo is made, as a value that goes to JSON and has a hash.

    ``family`` ("mlp" or "conv") gives what is left out. ``space`` is the random model generator: the spec of a space, such as
    ``"mlp?layers=1..3&widths=4..16&activations=relu,tanh&bias=true,false&norm=none,layer"``, whose input and output sizes are
    those of each task. ``task_specs`` names tasks (`netloom.tasks.load`); where it is empty they are random regressions as
    ``regression`` says. ``recipe`` trains, each network for a number of epochs drawn from ``epochs``.

    With ``pairing = "spread"`` every model is trained on one task, in turn; with ``"all"`` on each of them. ``duplicates`` is
    the share of models that have the architecture and the initial weights of an earlier one. ``kept`` weights are those of the
    ``"last"`` epoch or the ``"best"`` one. ``shard_size`` networks share a file. Raises `ZooError` for what makes no sense.

    >>> config = ZooConfig(space="mlp?layers=2&widths=8", epochs=(10, 20))
    >>> config.recipe.batch_size, ZooConfig.from_json(config.to_json()) == config
    (64, True)
    """

    family: str = "mlp"
    space: str | Space = ""
    # What is None here is what the family has, once it is made.
    task_specs: tuple[str, ...] = None  # type: ignore[assignment]
    regression: RegressionConfig = RegressionConfig()  # noqa: RUF009 (a frozen value)
    recipe: Recipe = None  # type: ignore[assignment]
    epochs: tuple[int, ...] = ()
    pairing: str = "spread"
    duplicates: float = 0.0
    kept: str = "last"
    shard_size: int = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        family = FAMILIES.get(self.family)
        if family is None:
            raise ZooError(f"zoo: family = {self.family!r}; expected one of {', '.join(FAMILIES)}")
        recipe = self._recipe(family)
        specs = family.task_specs if self.task_specs is None else self.task_specs
        values: dict[str, Any] = {
            "space": _spec(self.space) or family.space,
            "task_specs": (specs,) if isinstance(specs, str) else tuple(specs),
            "regression": _regression(self.regression),
            "recipe": recipe,
            "epochs": ((self.epochs,) if isinstance(self.epochs, int) else tuple(self.epochs)) or (recipe.epochs,),
            "shard_size": family.shard_size if self.shard_size is None else self.shard_size,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check()

    def _recipe(self, family: Family) -> Recipe:
        given: Any = self.recipe
        if isinstance(given, Mapping):
            given = replace(family.recipe, **_tuples(read_settings("recipe", given, _names(Recipe), ZooError)))
        return family.recipe if given is None else find_recipe(given)

    def _check(self) -> None:
        _expect(all(type(n) is int and n >= 1 for n in self.epochs), "epochs", self.epochs, "whole numbers ≥ 1")
        _expect(self.pairing in PAIRINGS, "pairing", self.pairing, f"one of {', '.join(PAIRINGS)}")
        _expect(self.kept in KEPT, "kept", self.kept, f"one of {', '.join(KEPT)}")
        share = isinstance(self.duplicates, int | float) and not isinstance(self.duplicates, bool)
        _expect(share and 0 <= self.duplicates < 1, "duplicates", self.duplicates, "a share in [0, 1)")
        object.__setattr__(self, "duplicates", float(self.duplicates))
        _expect(type(self.shard_size) is int and self.shard_size >= 1, "shard_size", self.shard_size, "a whole number ≥ 1")
        _expect(all(isinstance(spec, str) for spec in self.task_specs), "task_specs", self.task_specs, "specs of tasks")

    def space_for(self, input_shape: tuple[int, ...], num_outputs: int) -> Space:
        """The space of networks for samples of ``input_shape`` and ``num_outputs`` answers; `ZooError` where there is none."""
        return _space(str(self.space), tuple(input_shape), num_outputs)

    def to_json(self) -> str:
        """All fields as a JSON object."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(document: str | Mapping[str, Any]) -> ZooConfig:
        """The configuration of a JSON object with any of the fields; `ZooError` for anything else."""
        return ZooConfig(**_tuples(read_settings("zoo", document, _names(ZooConfig), ZooError)))

    @property
    def hash(self) -> str:
        """SHA-256 of all fields."""
        return hashlib.sha256(json.dumps({"netloom zoo": 1, **asdict(self)}, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=256)
def _space(spec: str, input_shape: tuple[int, ...], num_outputs: int) -> Space:
    try:
        return load_space(spec, input_shape=input_shape, num_classes=num_outputs)
    except NetloomError as error:
        raise ZooError(f"zoo: space {spec!r} has no networks for samples of {input_shape}: {error}") from None


def _spec(space: Any) -> str:
    """The spec of a space, from itself or the space."""
    spec = space if isinstance(space, str) else getattr(space, "spec", None)
    if not isinstance(spec, str) or (not spec and space):
        raise ZooError(f"zoo: space = {space!r}; expected the spec of a space, as 'mlp?layers=1..3', or MODULE:NAME")
    return spec


def _regression(given: Any) -> RegressionConfig:
    return given if isinstance(given, RegressionConfig) else RegressionConfig.from_json(given)


def _names(kind: Any) -> list[str]:
    return [one.name for one in fields(kind)]


def _tuples(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as dataclasses hold them: JSON has lists only."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}


def _expect(holds: bool, name: str, value: Any, expected: str) -> None:
    if not holds:
        raise ZooError(f"zoo: {name} = {value!r}; expected {expected}")
