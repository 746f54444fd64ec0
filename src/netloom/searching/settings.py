"""The settings of a search, as a value that the store keeps and a resumed search reads back."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

from ..errors import SearchError
from ..store import EvaluationKey
from ..training import EVALUATOR, Recipe
from .budget import Budget
from .objectives import MEASURED, Constraint


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides what a search does.

    ``space``, ``task`` and ``strategy`` are specs, empty for objects of one Python program; ``task_hash`` is that of the data.
    ``start`` is the hash of the graph that the search starts from, ``start_weights`` the artifact of its weights.
    ``workers``, ``threads`` and ``memory_bytes`` are those of an executor's processes. ``init`` says what gives candidates
    their first weights, empty where the strategy does; ``warm_start`` is the store of earlier tasks, ``incumbents`` the hashes
    of the graphs taken over from it.
    """

    space: str
    task: str
    task_name: str
    task_hash: str
    strategy: str
    budget: str
    seed: int
    recipe: Mapping[str, Any]
    recipe_name: str
    executor: str
    candidate_seconds: float | None
    objectives: tuple[str, ...] = ("score",)
    constraints: tuple[str, ...] = ()
    start: str = ""
    start_name: str = ""
    start_weights: str = ""
    workers: int | None = None
    threads: int | None = None
    memory_bytes: int | None = None
    init: str = ""
    warm_start: str = ""
    incumbents: tuple[str, ...] = ()

    @property
    def training(self) -> Recipe:
        """The recipe as a value."""
        return Recipe.from_json(self.recipe)

    @property
    def limits(self) -> Budget:
        """The budget as a value."""
        return Budget.of(self.budget)

    @property
    def measured(self) -> tuple[str, ...]:
        """What must be measured of every candidate, for objectives and constraints."""
        asked = {*self.objectives, *(Constraint.of(text).name for text in self.constraints)}
        return tuple(name for name in MEASURED if name in asked)

    def changed(self, recipe: Mapping[str, Any]) -> Recipe:
        """The recipe with the fields that a proposal wants to be others."""
        return replace(self.training, **recipe) if recipe else self.training

    def key(
        self, graph_hash: str, *, recipe: Mapping[str, Any] | None = None, epochs: int | None = None, init: str = "random"
    ) -> EvaluationKey:
        """The key under which this search files an evaluation of a graph."""
        training = self.changed(recipe or {})
        fidelity = training.epochs if epochs is None else epochs
        return EvaluationKey(graph_hash, self.task_hash, training.hash, self.seed, fidelity, init, EVALUATOR)

    def to_data(self) -> dict[str, Any]:
        return {**asdict(self), "recipe": dict(self.recipe)}

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Settings:
        known = {field.name: field for field in fields(Settings)}
        needed = {name for name, field in known.items() if field.default is MISSING}
        if not needed <= set(data) <= set(known):
            wrong = ", ".join(sorted((needed - set(data)) | (set(data) - set(known))))
            raise SearchError(f"the settings of this run are of another version of netloom ({wrong}); start a new search")
        values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
        return Settings(**values)

    def command(self, store: str = "sqlite:///runs.db") -> str | None:
        """The command line of this search, or None where a part of it exists in one Python program only."""
        subject = self.start_name if self.start else self.space
        if not subject or not self.task or not self.recipe_name or not self.strategy:
            return None
        optional = {
            "--candidate-seconds": None if self.candidate_seconds is None else f"{self.candidate_seconds:g}",
            "--objectives": None if self.objectives == ("score",) else ",".join(self.objectives),
            "--init": self.init or None, "--warm-start": self.warm_start or None,
            "--workers": self.workers, "--threads": self.threads, "--memory": self.memory_bytes,
        }  # fmt: skip
        words = [
            "netloom", "search", *(["--start", self.start_name] if self.start else []),
            *(["--space", self.space] if self.space else []), "--task", self.task, "--strategy", self.strategy,
            "--budget", self.budget, "--recipe", self.recipe_name, "--seed", str(self.seed), "--executor", self.executor,
            *(word for flag, value in optional.items() if value is not None for word in (flag, str(value))),
            *(word for text in self.constraints for word in ("--constraint", text)),
            "--store", store,
        ]  # fmt: skip
        return shlex.join(words)
