"""The settings of a search, as a value that the store keeps and a resumed search reads back."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import SearchError
from ..store import EvaluationKey
from ..training import EVALUATOR, Recipe
from .budget import Budget


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides what a search does. ``space`` and ``task`` are specs; ``task_hash`` is that of the data."""

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

    @property
    def training(self) -> Recipe:
        """The recipe as a value."""
        return Recipe.from_json(self.recipe)

    @property
    def limits(self) -> Budget:
        """The budget as a value."""
        return Budget.of(self.budget)

    def key(self, graph_hash: str) -> EvaluationKey:
        """The key under which this search files the evaluation of a graph."""
        recipe = self.training
        return EvaluationKey(graph_hash, self.task_hash, recipe.hash, self.seed, recipe.epochs, evaluator=EVALUATOR)

    def to_data(self) -> dict[str, Any]:
        return {**asdict(self), "recipe": dict(self.recipe)}

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Settings:
        names = {field.name for field in fields(Settings)}
        if set(data) != names:
            wrong = ", ".join(sorted(set(data) ^ names))
            raise SearchError(f"the settings of this run are of another version of netloom ({wrong}); start a new search")
        return Settings(**data)

    def command(self, store: str = "sqlite:///runs.db") -> str | None:
        """The command line of this search, or None where its space or task exists in one Python program only."""
        if not self.space or not self.task or not self.recipe_name:
            return None
        words = [
            "netloom", "search", "--space", self.space, "--task", self.task, "--strategy", self.strategy,
            "--budget", self.budget, "--recipe", self.recipe_name, "--seed", str(self.seed), "--executor", self.executor,
            *(["--candidate-seconds", f"{self.candidate_seconds:g}"] if self.candidate_seconds is not None else []),
            "--store", store,
        ]  # fmt: skip
        return shlex.join(words)
