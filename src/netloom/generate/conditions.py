"""What a generator is asked for, as numbers: the score that a network is to have, its parameters and its FLOPs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..predict.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..graph.graph import Graph

Array = np.ndarray[Any, Any]

#: Score, parameters, FLOPs.
COUNT = 3


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """The maps of scores and costs to numbers of mean 0 and variance 1; NaN stands for what is not asked for.

    Scores go through the map that predictors learn by (`netloom.predict`), costs through their logarithm.
    """

    targets: Targets
    means: Array
    deviations: Array

    @staticmethod
    def of(scores: Array, costs: Array) -> Conditions:
        """The maps for scores (N,) and costs (N, 2)."""
        logs = np.log1p(costs)
        return Conditions(Targets.of(scores), logs.mean(0), np.maximum(logs.std(0), 1e-6))

    def rows(self, scores: Any, costs: Array) -> Array:
        """Numbers (N, 3) of scores (N,) and costs (N, 2)."""
        return np.column_stack([self.targets.scaled(scores), self.scaled_costs(costs)]).astype(np.float32)

    def scaled_costs(self, costs: Array) -> Array:
        """Costs (N, 2) as numbers of the same shape."""
        return (np.log1p(costs) - self.means) / self.deviations


def costs_of(graphs: Sequence[Graph]) -> Array:
    """Parameters and FLOPs (N, 2)."""
    return np.array([(graph.num_params, graph.flops) for graph in graphs], dtype=np.float64).reshape(-1, 2)
