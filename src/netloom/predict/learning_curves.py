"""Learning curves as one array, and what of the first epochs tells the last: for `CurveExtrapolator`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import PredictorError

Array = np.ndarray[Any, Any]

#: Exponents that power laws are tried with.
_EXPONENTS = np.geomspace(0.1, 3.0, 24)
#: Values of a curve that are features as they are, evenly over its epochs.
_POINTS = 6


def as_curves(curves: Any) -> Array:
    """Scores by epoch (N, T), nan after the end of each curve.

    ``curves`` are rows of scores, results of `netloom.train`, or the DataFrame of `Store.curves` (in the order in which its
    evaluations come first). A gap inside a curve is filled with the value before it. `PredictorError` names a curve without a
    score.

    >>> as_curves([[0.1, 0.3], [0.2]]).tolist()
    [[0.1, 0.3], [0.2, nan]]
    """
    if hasattr(curves, "columns"):
        rows = [group.sort_values("epoch")["score"] for _, group in curves.groupby("evaluation_id", sort=False)]
    else:
        rows = list(curves) if isinstance(curves, Iterable) else [curves]
    found = [_scores(row, i) for i, row in enumerate(rows)]
    longest = max(map(len, found), default=0)
    table = np.full((len(found), longest), np.nan)
    for line, values in zip(table, found):
        line[: len(values)] = values
    return table


def _scores(curve: Any, i: int) -> Array:
    points = getattr(curve, "curve", curve)
    try:
        values = np.array([getattr(point, "score", point) for point in points], dtype=np.float64)
    except (TypeError, ValueError):
        raise PredictorError(f"curve {i} is {str(curve)[:60]!r}; expected one score for each epoch") from None
    known = np.flatnonzero(np.isfinite(values))
    if values.ndim != 1 or not len(known):
        raise PredictorError(f"curve {i} has no score; a curve needs at least one epoch with a finite score")
    values = values[: known[-1] + 1]
    last = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), -1))
    filled: Array = np.where(last < 0, values[known[0]], values[last])
    return filled


def lengths(table: Array) -> Array:
    """The number of epochs of each curve (N,)."""
    return np.isfinite(table).sum(1)


def power_law(table: Array, horizon: int) -> Array:
    """Scores (N,) after ``horizon`` epochs by c − a t^−b, a ≥ 0, fitted to curves (N, T) without gaps; the last score below 3
    epochs. (Domhan et al., "Speeding up Automatic Hyperparameter Optimization", IJCAI 2015, their pow3)

    >>> t = np.arange(1, 9)
    >>> power_law((0.9 - 0.5 * t**-0.7)[None], 100).round(2).tolist()
    [0.88]
    """
    epochs = table.shape[1]
    if epochs < 3:
        last: Array = table[:, -1]
        return last
    t = np.arange(1, epochs + 1)
    # Later epochs say more about the end.
    weights = t / t.sum()
    best = np.full(len(table), np.inf)
    found = table[:, -1].copy()
    middle = table @ weights
    for exponent in _EXPONENTS:
        falling = t**-exponent
        away = falling - weights @ falling
        rise = np.minimum((table - middle[:, None]) @ (weights * away) / (weights @ away**2), 0)
        error = ((table - middle[:, None] - rise[:, None] * away) ** 2) @ weights
        better = error < best
        best = np.where(better, error, best)
        found = np.where(better, middle + rise * (horizon**-exponent - weights @ falling), found)
    return found


def features(table: Array, horizon: int) -> Array:
    """What curves (N, T) without gaps say: some of their scores, the best, the last rises, and where a power law ends."""
    epochs = table.shape[1]
    places = np.unique(np.linspace(0, epochs - 1, _POINTS).round().astype(int))
    half = table[:, epochs // 2 :].mean(1)
    columns = [table[:, places], table.max(1), half, table[:, -1] - table[:, -2 if epochs > 1 else -1]]
    columns += [table[:, -1] - table[:, 0], power_law(table, horizon)]
    return np.column_stack(columns)
