"""Scores as normal scores of their ranks: what predictors learn, and the way back.

Accuracies have a long tail of failures; learned as they are, the tail is all that a squared error sees. (van der Waerden,
"Order tests for the two-sample problem", 1952)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class RankedTargets:
    """The map between scores and normal scores of ``n`` labels: both as increasing tables, linear in between.

    Beyond the best and the worst score seen it goes on with the slope of the outer quarter.

    >>> targets = RankedTargets.of([0.1, 0.9, 0.5])
    >>> targets.normal_scores([0.1, 0.5, 0.9]).round(2).tolist()
    [-0.97, 0.0, 0.97]
    >>> targets.scores([0.0, 0.97]).round(2).tolist()
    [0.5, 0.9]
    """

    values: np.ndarray[Any, Any]
    normal: np.ndarray[Any, Any]

    @staticmethod
    def of(scores: Any) -> RankedTargets:
        from scipy.stats import norm, rankdata

        scores = np.asarray(scores, dtype=np.float64)
        values, first = np.unique(scores, return_index=True)
        normal = norm.ppf((rankdata(scores) - 0.5) / len(scores))
        return RankedTargets(values, normal[first])

    def normal_scores(self, scores: Any) -> np.ndarray[Any, Any]:
        """Normal scores of scores."""
        return _interpolated(np.asarray(scores, dtype=np.float64), self.values, self.normal)

    def scores(self, normal: Any) -> np.ndarray[Any, Any]:
        """Scores of normal scores."""
        return _interpolated(np.asarray(normal, dtype=np.float64), self.normal, self.values)

    def slope(self, normal: Any) -> np.ndarray[Any, Any]:
        """How much a score rises for a unit of normal score there, over a step of a quarter to either side."""
        normal = np.asarray(normal, dtype=np.float64)
        return (self.scores(normal + 0.25) - self.scores(normal - 0.25)) / 0.5


def _interpolated(x: np.ndarray[Any, Any], xs: np.ndarray[Any, Any], ys: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    found = np.interp(x, xs, ys)
    quarter = max(len(xs) // 4, 1)
    if len(xs) > 1:
        low = (ys[quarter] - ys[0]) / (xs[quarter] - xs[0])
        high = (ys[-1] - ys[-1 - quarter]) / (xs[-1] - xs[-1 - quarter])
        found = np.where(x < xs[0], ys[0] + low * (x - xs[0]), found)
        found = np.where(x > xs[-1], ys[-1] + high * (x - xs[-1]), found)
    return found
