"""How the neural predictors read graphs: what is learned of training graphs, and then holds for all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .call_graphs import NUMBERS, CallGraphs, call_graphs, fold_for

if TYPE_CHECKING:
    from .predictor import Batch

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """How repeated blocks are folded, and the scales of the numbers of nodes."""

    fold: str | None
    mean: Array
    deviation: Array

    @staticmethod
    def of(batch: Batch) -> Reading:
        """Learned from training graphs."""
        fold = fold_for(batch.graphs)
        numbers = _calls(batch, fold).nodes[:, NUMBERS].astype(np.float64)
        if not len(numbers):
            return Reading(fold, np.zeros(numbers.shape[1], np.float32), np.ones(numbers.shape[1], np.float32))
        deviation = numbers.std(0)
        mean = numbers.mean(0).astype(np.float32)
        return Reading(fold, mean, np.where(deviation > 1e-6, deviation, 1).astype(np.float32))

    def __call__(self, batch: Batch) -> CallGraphs:
        """Graphs as the networks see them: numbers standardised and held within four deviations."""
        found = _calls(batch, self.fold)
        nodes = found.nodes.copy()
        nodes[:, NUMBERS] = np.clip((nodes[:, NUMBERS] - self.mean) / self.deviation, -4, 4)
        return CallGraphs(nodes, found.begins, found.edges, found.edge_begins)

    def as_data(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays and JSON data that `from_data` makes the reading of again."""
        return {"reading.mean": self.mean, "reading.deviation": self.deviation}, {"fold": self.fold}

    @staticmethod
    def from_data(arrays: dict[str, Array], data: dict[str, Any]) -> Reading:
        return Reading(data["fold"], arrays["reading.mean"], arrays["reading.deviation"])


def _calls(batch: Batch, fold: str | None) -> CallGraphs:
    """The graphs of a batch; worked out once for all predictors that see it."""
    known: dict[str | None, CallGraphs] = batch.__dict__.setdefault("call_graphs", {})
    if fold not in known:
        known[fold] = call_graphs(batch.graphs, fold)
    return known[fold]
