"""Which features moved a prediction.

A sum of functions of one feature each, boosted stumps, learns to say what the predictor says of reference graphs; of a sum,
the Shapley values (Shapley 1953; Lundberg and Lee 2017) are its terms less their means. What the sum cannot say is stated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..encode.named_features import NAMES
from ..errors import PredictorError

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import pandas

Array = np.ndarray[Any, Any]

#: Fewer graphs than this to compare with explain nothing.
FEWEST = 20
_STUMPS, _RATE = 300, 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Predictions of N graphs taken apart: ``base + contributions.sum(1) + rest = predictions``, in units of the score.

    ``contributions`` (N, F) and ``values`` (N, F) have a column for each of ``features``; those come first that move most.
    ``fidelity`` is the R² of sums of features with the predictor, on reference graphs that were held out.
    """

    features: tuple[str, ...]
    values: Array
    contributions: Array
    rest: Array
    predictions: Array
    base: float
    fidelity: float

    def __len__(self) -> int:
        return len(self.predictions)

    @property
    def importance(self) -> dict[str, float]:
        """Mean absolute contribution of each feature, in order."""
        return dict(zip(self.features, np.abs(self.contributions).mean(0).tolist()))

    def top(self, graph: int = 0, count: int = 10) -> list[tuple[str, float, float]]:
        """The features that moved the prediction of a graph most: name, its value there, its contribution."""
        row = self.contributions[graph]
        order = np.argsort(-np.abs(row), kind="stable")[:count]
        return [(self.features[i], float(self.values[graph, i]), float(row[i])) for i in order if row[i] != 0]

    def frame(self) -> pandas.DataFrame:
        """Contributions (N, F) with ``rest`` and ``prediction``, as a DataFrame."""
        import pandas as pd

        table = pd.DataFrame(self.contributions, columns=list(self.features))
        return table.assign(rest=self.rest, prediction=self.predictions)

    def draw(self, path: str | os.PathLike[str], graph: int | None = None, *, count: int = 12, title: str = "") -> Path:
        """Write a picture of one graph's contributions, or of all graphs', as .svg or .png; gives the path.

        `FormatError` for another suffix or a folder that is not there.
        """
        from .explanation_drawing import draw_explanation

        return draw_explanation(self, path, graph, count=count, title=title)

    def __str__(self) -> str:
        lines = [f"mean prediction of the reference {self.base:.4g}; features explain {self.fidelity:.0%} of what is predicted"]
        width = max(map(len, self.features), default=0)
        for name, share in list(self.importance.items())[:10]:
            lines.append(f"  {name:<{width}}  ± {share:.4g}")
        return "\n".join(lines)


def explained(features: Array, predictions: Array, reference: Array, reference_predictions: Array) -> Explanation:
    """Predictions (N,) of graphs with features (N, F), taken apart after reference graphs (R, F) and predictions (R,)."""
    reference, features = (table[:, : len(NAMES)].astype(np.float32) for table in (reference, features))
    count = len(reference)
    if count < FEWEST:
        raise PredictorError(f"{count} graphs to compare with; an explanation needs {FEWEST} or more: give background=graphs")
    held = np.random.default_rng(0).permutation(count)[: count // 4]
    rest = np.setdiff1d(np.arange(count), held)
    from .agreement import r2

    half = _Stumps(reference[rest], reference_predictions[rest])
    flat = np.ptp(reference_predictions[held]) == 0
    fidelity = 1.0 if flat else r2(half.base + half.terms(reference[held]).sum(1), reference_predictions[held])
    stumps = _Stumps(reference, reference_predictions)
    terms = stumps.terms(features)
    importance = np.abs(terms).mean(0) if len(terms) else np.zeros(terms.shape[1])
    order = [i for i in np.argsort(-importance, kind="stable").tolist() if stumps.used[i]]
    return Explanation(
        tuple(NAMES[i] for i in order), features[:, order].astype(np.float64), terms[:, order],
        predictions - stumps.base - terms.sum(1), predictions, stumps.base, max(fidelity, 0.0),
    )  # fmt: skip


class _Stumps:
    """Boosted trees of one question each, and what each feature's add on average over the graphs they learned from."""

    def __init__(self, x: Array, y: Array) -> None:
        from sklearn.ensemble import GradientBoostingRegressor

        grown = GradientBoostingRegressor(
            n_estimators=_STUMPS, learning_rate=_RATE, max_depth=1, subsample=0.7, max_features=0.3, random_state=0
        ).fit(x, y)
        trees = [stage[0].tree_ for stage in grown.estimators_]
        self._trees = [
            (int(tree.feature[0]), float(tree.threshold[0]), float(tree.value[1, 0, 0]), float(tree.value[2, 0, 0]))
            for tree in trees
            if tree.node_count == 3
        ]
        self.used = np.bincount([feature for feature, *_ in self._trees], minlength=x.shape[1]) > 0
        self._mean = np.zeros(x.shape[1])
        self._mean = self.terms(x).mean(0)
        self.base = float(grown.init_.constant_[0, 0] + self._mean.sum())

    def terms(self, x: Array) -> Array:
        """What each feature adds (N, F), less its mean."""
        found = np.zeros(x.shape)
        for feature, threshold, low, high in self._trees:
            found[:, feature] += _RATE * np.where(x[:, feature] <= threshold, low, high)
        return found - self._mean
