"""Recipes: how a network is trained, as a value that goes to JSON and has a hash."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import TrainingError

_OPTIMIZERS = ("adamw", "sgd")
_SCHEDULES = ("cosine", "constant")


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _expect(holds: bool, name: str, value: Any, expected: str) -> None:
    if not holds:
        raise TrainingError(f"recipe: {name} = {value!r}; expected {expected}")


@dataclass(frozen=True)
class Recipe:
    """How to train: optimiser, learning rate over time, batches.

    ``schedule`` ``"cosine"`` rises linearly over the share ``warmup`` of all steps to ``learning_rate`` and falls along a
    half cosine to 0; ``"constant"`` only rises. ``momentum`` counts for ``sgd`` alone. ``clip_norm`` bounds the global norm
    of the gradient. Raises `TrainingError` for a value out of range.

    >>> Recipe(epochs=2).hash == Recipe(epochs=9).hash   # epochs are the fidelity, filed beside the recipe
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

    def __post_init__(self) -> None:
        _expect(type(self.epochs) is int and self.epochs >= 1, "epochs", self.epochs, "an integer ≥ 1")
        _expect(type(self.batch_size) is int and self.batch_size >= 2, "batch_size", self.batch_size, "an integer ≥ 2")
        _expect(self.optimizer in _OPTIMIZERS, "optimizer", self.optimizer, f"one of {', '.join(_OPTIMIZERS)}")
        _expect(self.schedule in _SCHEDULES, "schedule", self.schedule, f"one of {', '.join(_SCHEDULES)}")
        for name, high in (
            ("learning_rate", 1e3), ("weight_decay", 1e3), ("momentum", 1.0), ("warmup", 1.0), ("label_smoothing", 1.0),
        ):  # fmt: skip
            _expect(_is_number(getattr(self, name), 0.0, high), name, getattr(self, name), f"a number in [0, {high:g}]")
        clip = self.clip_norm
        _expect(clip is None or (_is_number(clip, 0.0, math.inf) and clip > 0), "clip_norm", clip, "a number > 0, or none")

    @cached_property
    def hash(self) -> str:
        """SHA-256 of everything but the number of epochs, which is the fidelity of an evaluation."""
        data = asdict(self)
        del data["epochs"]
        return hashlib.sha256(json.dumps({"netloom recipe": 1, **data}, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(document: str | Mapping[str, Any]) -> Recipe:
        """The recipe of a JSON object with any of its fields; `TrainingError` for anything else.

        >>> Recipe.from_json('{"epochs": 3}').epochs
        3
        """
        if isinstance(document, str):
            try:
                document = json.loads(document)
            except ValueError as error:
                raise TrainingError(f"the recipe is no JSON: {error}") from None
        if not isinstance(document, Mapping):
            raise TrainingError(f"a recipe is a JSON object such as {{\"epochs\": 3}}, not {str(document)[:80]!r}")
        known = [field.name for field in fields(Recipe)]
        for key in document:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
                raise TrainingError(f"a recipe has no {str(key)[:80]!r}; {hint}")
        return Recipe(**document)

    def steps(self, samples: int) -> int:
        """Optimiser steps in all, over ``samples`` training samples."""
        return self.epochs * batches_per_epoch(samples, self.batch_size)

    def rate(self, step: int, total: int) -> float:
        """Learning rate of step ``step`` (from 0) of ``total``.

        >>> Recipe(learning_rate=1.0, warmup=0.5).rate(0, 4), Recipe(learning_rate=1.0, warmup=0.0).rate(0, 4)
        (0.5, 1.0)
        """
        rising = round(self.warmup * total)
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))


def batches_per_epoch(samples: int, batch_size: int) -> int:
    """Batches of one pass; a last batch of a single sample is left out, for batch norm cannot learn from it."""
    whole, rest = divmod(samples, batch_size)
    return whole + (rest > 1) or 1


#: ``express``: enough to tell architectures apart in seconds on a CPU. ``thorough``: to train what a search has found.
NAMED = {
    "express": Recipe(),
    "thorough": Recipe(epochs=30, label_smoothing=0.1),
}


def recipe(spec: str | Recipe | Mapping[str, Any], epochs: int | None = None) -> Recipe:
    """The recipe that ``spec`` names: one of the built-in names, a JSON file, a mapping of fields, or itself.

    ``epochs`` replaces the number of epochs.

    >>> recipe("express", epochs=2).epochs
    2
    """
    if isinstance(spec, Recipe):
        found = spec
    elif isinstance(spec, Mapping):
        found = Recipe.from_json(spec)
    elif isinstance(spec, str) and spec in NAMED:
        found = NAMED[spec]
    elif isinstance(spec, str) and spec.endswith(".json"):
        try:
            found = Recipe.from_json(Path(spec).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise TrainingError(f"recipe {spec!r} cannot be read: {error}") from None
    else:
        near = difflib.get_close_matches(str(spec), NAMED, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise TrainingError(f"unknown recipe {str(spec)[:80]!r}; {hint}there is: {', '.join(NAMED)}, or a .json file of fields")
    return found if epochs is None else replace(found, epochs=epochs)
