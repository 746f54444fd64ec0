"""Recipes: how a network is trained, as a value that goes to JSON and has a hash."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import TrainingError
from ..graph.settings_json import check_names, read_settings

OPTIMIZERS = ("adamw", "sgd", "muon")
SCHEDULES = ("cosine", "constant", "linear", "one-cycle", "exponential", "multi-step")
PRECISIONS = ("float32", "bfloat16", "float16", "auto")
GROWTHS = ("constant", "linear")

#: Schedules whose rate at a step depends on when the training ends.
_TOWARDS_AN_END = ("cosine", "linear", "one-cycle")
#: The fields of the first version, which the hash always names; later ones only where they are not as by default, so that
#: a new field leaves the hashes of old recipes as they were.
_FIRST = (
    "batch_size", "optimizer", "learning_rate", "weight_decay", "momentum", "schedule", "warmup",
    "label_smoothing", "clip_norm",
)  # fmt: skip
#: What says only how far to go: another number continues the same training.
EXTENT = ("epochs", "max_steps", "max_multiply_adds", "max_seconds")


@dataclass(frozen=True)
class Recipe:
    """How to train: optimiser, learning rate over time, batches, augmentation, regularisation, precision, limits.

    *Length.* ``epochs`` passes over the training part, ended before by ``max_steps`` optimiser steps, ``max_multiply_adds``
    (of forward and backward passes, a backward one counted as two forward ones) or ``max_seconds``; ``patience`` epochs
    without a better validation score end it too.

    *Optimiser.* ``"sgd"`` (``momentum``, ``nesterov``), ``"adamw"`` (``betas``; Loshchilov and Hutter 2019) or ``"muon"``
    (Jordan et al. 2024: momentum made orthogonal for hidden weights, AdamW for all else, one ``learning_rate`` for both).
    ``weight_decay`` leaves out one-dimensional weights (biases, gains of norms) where ``decay_biases`` is false. ``clip_norm``
    bounds the global norm of the gradient.

    *Learning rate.* It rises linearly to ``learning_rate`` over the share ``warmup`` of all steps (or over ``warmup_epochs``
    epochs) and then follows ``schedule``: ``"cosine"`` and ``"linear"`` fall to the share ``final_rate`` of it at the end,
    ``"one-cycle"`` does so too after a rise along a cosine from a 25th, ``"exponential"`` is multiplied by ``gamma`` after each
    epoch, ``"multi-step"`` by ``gamma`` at every epoch in ``milestones``, ``"constant"`` stays. The end is that of
    ``horizon_epochs``, or of ``epochs``: only with a horizon does a longer training begin exactly as a shorter one.

    *Augmentation* (images): random ``crop`` after zero padding of that many pixels, ``flip``, ``cutout`` of a square.

    *Regularisation.* ``label_smoothing``; ``drop_path``, the probability with which a sample skips a residual branch (see
    `netloom.training.drop_path`), constant or growing linearly from 0 with the epochs (``drop_path_growth``);
    ``auxiliary_weight`` of the losses of further outputs; ``ema_decay`` of an exponential moving average of the weights, which
    is then what is scored and kept.

    *Computation.* ``precision`` of an autocast region (``"auto"``: bfloat16 where the hardware multiplies it faster, else
    float32); ``channels_last``, whether images lie in memory with the channels of a pixel side by side (None: where
    processors are faster that way, see `netloom.training.precision.better_channels_last`).

    Raises `TrainingError` for a value out of range.

    >>> Recipe(epochs=2).hash == Recipe(epochs=9).hash   # epochs are the fidelity, filed beside the recipe
    True
    >>> Recipe(schedule="multi-step", milestones=(5, 8), warmup=0).is_extendable
    True
    """

    epochs: int = 10
    batch_size: int = 64
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    momentum: float = 0.9
    schedule: str = "cosine"
    warmup: float = 0.1
    label_smoothing: float = 0.0
    clip_norm: float | None = 5.0
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    decay_biases: bool = True
    warmup_epochs: float | None = None
    final_rate: float = 0.0
    gamma: float = 0.1
    milestones: tuple[float, ...] = ()
    horizon_epochs: int | None = None
    crop: int = 0
    flip: bool = False
    cutout: int = 0
    drop_path: float = 0.0
    drop_path_growth: str = "constant"
    auxiliary_weight: float = 0.4
    precision: str = "float32"
    channels_last: bool | None = None
    ema_decay: float | None = None
    patience: int | None = None
    max_steps: int | None = None
    max_multiply_adds: float | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for name, (holds, expected) in _RULES.items():
            value = getattr(self, name)
            if isinstance(value, list):  # as JSON has it
                value = tuple(value)
            if not (value is None and _OPTIONAL[name]) and not holds(value):
                none = ", or none" if _OPTIONAL[name] else ""
                raise TrainingError(f"recipe: {name} = {value!r}; expected {expected}{none}")
            # 1 and 1.0 are one value and have one hash.
            object.__setattr__(self, name, _CAST.get(name, lambda same: same)(value) if value is not None else None)
        if self.schedule == "multi-step" and not self.milestones:
            raise TrainingError("recipe: schedule = 'multi-step' has no milestones; say at which epochs it falls: (30, 60)")
        if self.nesterov and (self.optimizer == "adamw" or self.momentum == 0):
            raise TrainingError("recipe: nesterov = True needs optimizer = 'sgd' or 'muon' and a momentum above 0")

    @cached_property
    def hash(self) -> str:
        """SHA-256 of everything but the number of epochs, which is the fidelity of an evaluation."""
        data = {name: value for name, value in asdict(self).items() if name in _FIRST or value != _DEFAULTS[name]}
        data.pop("epochs", None)
        return hashlib.sha256(json.dumps({"netloom recipe": 1, **data}, sort_keys=True).encode()).hexdigest()

    @property
    def horizon(self) -> int:
        """Epochs after which the schedule is at its end."""
        return self.horizon_epochs or self.epochs

    @property
    def is_extendable(self) -> bool:
        """Whether a training of more epochs begins exactly as this one: nothing in it depends on where it ends."""
        share = self.warmup > 0 and self.warmup_epochs is None
        growing = self.drop_path > 0 and self.drop_path_growth == "linear"
        return self.horizon_epochs is not None or not (self.schedule in _TOWARDS_AN_END or share or growing)

    def course(self) -> dict[str, Any]:
        """All fields but those that say how far to go: trainings that agree in these continue one another."""
        return {name: value for name, value in asdict(self).items() if name not in EXTENT}

    def to_json(self) -> str:
        """All fields as a JSON object."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(document: str | Mapping[str, Any]) -> Recipe:
        """The recipe of a JSON object with any of its fields; `TrainingError` for anything else.

        >>> Recipe.from_json('{"epochs": 3}').epochs
        3
        """
        return Recipe(**read_settings("a recipe", document, _DEFAULTS, TrainingError))

    def steps(self, samples: int) -> int:
        """Optimiser steps of all epochs, over ``samples`` training samples."""
        return self.epochs * batches_per_epoch(samples, self.batch_size)


def batches_per_epoch(samples: int, batch_size: int) -> int:
    """Batches of one pass; a last batch of a single sample is left out, for batch norm cannot learn from it.

    >>> batches_per_epoch(10, 4), batches_per_epoch(9, 4), batches_per_epoch(1, 4)
    (3, 2, 1)
    """
    whole, rest = divmod(samples, batch_size)
    return whole + (rest > 1) or 1


# -- what a recipe may say -----------------------------------------------------------------------------------------
def _number(value: Any, low: float, high: float, *, above: bool = False) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (low < value if above else low <= value) and value <= high


def _between(low: float, high: float) -> tuple[Any, str]:
    return (lambda value: _number(value, low, high)), f"a number in [{low:g}, {high:g}]"


def _below(low: float, high: float) -> tuple[Any, str]:
    return (lambda value: _number(value, low, high) and value < high), f"a number in [{low:g}, {high:g})"


def _positive() -> tuple[Any, str]:
    return (lambda value: _number(value, 0, math.inf, above=True) and value < math.inf), "a number > 0"


def _integer(low: int) -> tuple[Any, str]:
    return (lambda value: type(value) is int and value >= low), f"an integer ≥ {low}"


def _one_of(names: tuple[str, ...]) -> tuple[Any, str]:
    return (lambda value: isinstance(value, str) and value in names), f"one of {', '.join(names)}"


def _truth() -> tuple[Any, str]:
    return (lambda value: type(value) is bool), "true or false"


def _are_betas(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(_number(v, 0, 1) and v < 1 for v in value)


def _are_milestones(value: Any) -> bool:
    positive = isinstance(value, tuple) and all(_number(v, 0, math.inf, above=True) for v in value)
    return positive and list(value) == sorted(set(value))


_RULES: dict[str, tuple[Any, str]] = {
    "epochs": _integer(1),
    "batch_size": _integer(1),
    "optimizer": _one_of(OPTIMIZERS),
    "learning_rate": _between(0, 1e3),
    "weight_decay": _between(0, 1e3),
    "momentum": _between(0, 1),
    "schedule": _one_of(SCHEDULES),
    "warmup": _between(0, 1),
    "label_smoothing": _between(0, 1),
    "clip_norm": _positive(),
    "nesterov": _truth(),
    "betas": (_are_betas, "two numbers in [0, 1)"),
    "decay_biases": _truth(),
    "warmup_epochs": _between(0, math.inf),
    "final_rate": _between(0, 1),
    "gamma": _between(0, 1),
    "milestones": (_are_milestones, "epochs > 0 in ascending order, such as (30, 60)"),
    "horizon_epochs": _integer(1),
    "crop": _integer(0),
    "flip": _truth(),
    "cutout": _integer(0),
    "drop_path": _below(0, 1),
    "drop_path_growth": _one_of(GROWTHS),
    "auxiliary_weight": _between(0, 1e3),
    "precision": _one_of(PRECISIONS),
    "channels_last": _truth(),
    "ema_decay": _below(0, 1),
    "patience": _integer(1),
    "max_steps": _integer(1),
    "max_multiply_adds": _positive(),
    "max_seconds": _positive(),
}
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Recipe) if field.default is not MISSING}
_OPTIONAL = {field.name: "None" in str(field.type) for field in fields(Recipe)}
_CAST: dict[str, Any] = {field.name: float for field in fields(Recipe) if str(field.type).startswith("float")}
_CAST |= dict.fromkeys(("betas", "milestones"), lambda values: tuple(map(float, values)))


# -- recipes by name -----------------------------------------------------------------------------------------------
def recipe(spec: str | Recipe | Mapping[str, Any], epochs: int | None = None, **changes: Any) -> Recipe:
    """The recipe that ``spec`` names: one of the ready-made, a JSON file, a mapping of fields, or itself.

    ``epochs`` replaces the number of epochs, ``changes`` any other field; text may have them after a question mark. Raises
    `TrainingError` for what is no recipe.

    >>> recipe("express", epochs=2, batch_size=32) == recipe("express?epochs=2&batch_size=32")
    True
    """
    from .ready_made import READY_MADE

    if isinstance(spec, str) and "?" in spec:
        spec, _, rest = spec.partition("?")
        changes = {**_read_changes(rest), **changes}
    if isinstance(spec, Recipe):
        found = spec
    elif isinstance(spec, Mapping):
        found = Recipe.from_json(spec)
    elif isinstance(spec, str) and spec in READY_MADE:
        found = READY_MADE[spec]
    elif isinstance(spec, str) and spec.endswith(".json"):
        try:
            found = Recipe.from_json(Path(spec).read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise TrainingError(f"recipe {spec!r} cannot be read: {error}") from None
    else:
        near = difflib.get_close_matches(str(spec), READY_MADE, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        listing = f"there is: {', '.join(READY_MADE)}, or a .json file of fields"
        raise TrainingError(f"unknown recipe {str(spec)[:80]!r}; {hint}{listing}")
    check_names("a recipe", changes, _DEFAULTS, TrainingError)
    if epochs is not None:
        changes["epochs"] = epochs
    return replace(found, **changes) if changes else found


def _read_changes(text: str) -> dict[str, Any]:
    """Fields from ``NAME=VALUE&NAME=VALUE``; values as JSON has them, and words."""
    found: dict[str, Any] = {}
    for part in filter(None, text.split("&")):
        name, equals, value = part.partition("=")
        if not equals:
            raise TrainingError(f"recipe settings {text[:80]!r}: {part[:40]!r} has no value; write NAME=VALUE, as in epochs=5")
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value.strip()
    return found
