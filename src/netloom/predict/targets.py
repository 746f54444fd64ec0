"""Scores on the scale that predictors learn, and the way back.

Accuracies crowd below the best and have a long tail of failures. Learned as they are, the tail is all that a squared error
sees; as normal scores of their ranks (van der Waerden, 1952), half of what is learned is order among equals. In between lies
the logarithm of what is missing to a little more than the best, with what is far from the middle drawn in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: What is missing counts from so much above the best, as a share of the distance from the median to the best.
_ROOM = 0.3
#: Standard deviations from the middle beyond which distances are drawn in.
_FAR = 2.0
#: Scores so many times further above the median than the best tenth are drawn in.
_OUTLYING = 4.0
#: The upper half counts as the longer one when it is so many times the lower.
_LONGER = 1.5


@dataclass(frozen=True, slots=True)
class Targets:
    """The map between scores and what is learned of them: both as increasing tables, linear in between.

    Beyond the best and the worst score seen it goes on with the slope of the outer quarter. What is learned has mean 0 and
    variance 1 over the scores that the map was made of.

    >>> targets = Targets.of([0.1, 0.8, 0.85, 0.9])
    >>> targets.scaled([0.1, 0.8, 0.85, 0.9]).round(2).tolist()
    [-1.52, -0.07, 0.34, 1.25]
    >>> targets.scores(targets.scaled([0.3, 0.82])).round(2).tolist()
    [0.3, 0.82]
    """

    values: Array
    learned: Array

    @staticmethod
    def of(scores: Any) -> Targets:
        """The map for scores (N,), not all equal."""
        scores = np.asarray(scores, dtype=np.float64)
        learned = _drawn_in(_spread(scores))
        values, first = np.unique(scores, return_index=True)
        return Targets(values, ((learned - learned.mean()) / learned.std())[first])

    def scaled(self, scores: Any) -> Array:
        """What is learned of scores."""
        return _interpolated(np.asarray(scores, dtype=np.float64), self.values, self.learned)

    def scores(self, learned: Any) -> Array:
        """The scores of what was learned."""
        return _interpolated(np.asarray(learned, dtype=np.float64), self.learned, self.values)

    def slope(self, learned: Any) -> Array:
        """How much a score rises for a unit of what is learned there, over a step of a quarter to either side."""
        learned = np.asarray(learned, dtype=np.float64)
        return (self.scores(learned + 0.25) - self.scores(learned - 0.25)) / 0.5


def _spread(scores: Array) -> Array:
    """The logarithm of what is missing to the best; of what there is above the worst, where the long tail is the upper one."""
    low, middle, high = np.quantile(scores, [0.1, 0.5, 0.9])
    if high - middle > _LONGER * (middle - low):
        return -_spread_below(-scores, middle - low)
    return _spread_below(scores, high - middle)


def _spread_below(scores: Array, half: float) -> Array:
    """``half`` is how far the best tenth lies above the median; a best much further would hide all other differences."""
    middle = float(np.median(scores))
    above = scores[scores > middle]
    if len(above):
        half = half or float(above.min()) - middle
        limit = middle + _OUTLYING * half
        scores = np.where(scores > limit, limit + half * np.log1p(np.maximum(scores - limit, 0) / half), scores)
    missing = scores.max() - scores
    room = float(np.median(missing)) or float(missing[missing > 0].min())
    return -np.log(missing + _ROOM * room)


def _drawn_in(values: Array) -> Array:
    """Distances from the median, the large ones by their logarithm."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    deviation = (high - low) / 1.349 or values.std()
    away = (values - middle) / deviation
    far = np.maximum(np.abs(away) - _FAR, 0)
    return np.sign(away) * (np.minimum(np.abs(away), _FAR) + np.log1p(far))


def _interpolated(x: Array, xs: Array, ys: Array) -> Array:
    found = np.interp(x, xs, ys)
    quarter = max(len(xs) // 4, 1)
    if len(xs) > 1:
        low = (ys[quarter] - ys[0]) / (xs[quarter] - xs[0])
        high = (ys[-1] - ys[-1 - quarter]) / (xs[-1] - xs[-1 - quarter])
        found = np.where(x < xs[0], ys[0] + low * (x - xs[0]), found)
        found = np.where(x > xs[-1], ys[-1] + high * (x - xs[-1]), found)
    return found
