"""`CurveExtrapolator`: the final score of a training from its first epochs."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from ..errors import PredictorError
from .learning_curves import as_curves, features, lengths, power_law
from .predictor import FEWEST, Array, Batch, Predictor
from .ridge import Ridge
from .targets import Targets

METHODS = ("learned", "power_law")


class CurveExtrapolator(Predictor):
    """Final scores from learning curves, by what earlier trainings came to or by a power law for each curve.

    ``"learned"`` is a ridge regression for every number of epochs, on scores of the curve, its rises and where its power law
    ends, as in Baker et al., "Accelerating Neural Architecture Search using Performance Prediction", 2018. ``"power_law"``
    goes along c − a t^−b to the last epoch, and is put right by the mean error of earlier trainings.

    Curves may be rows of scores, results of `netloom.train`, or the DataFrame of `Store.curves`, of any lengths. A curve is
    judged by its own number of epochs, one that is longer than any that was seen by its first ones; below three epochs a
    power law is the last score.

    >>> import numpy as np
    >>> rng, t = np.random.default_rng(0), np.arange(1, 21)
    >>> curves = [c - a * t**-0.6 for c, a in rng.uniform(0.3, 0.9, (40, 2))]
    >>> predictor = CurveExtrapolator().fit(curves[:30])
    >>> predictor.score([curve[:5] for curve in curves[30:]], [curve[-1] for curve in curves[30:]])["kendall_tau"] > 0.9
    True
    """

    kind: ClassVar[str] = "curve_extrapolator"

    def __init__(self, method: str = "learned") -> None:
        super().__init__()
        if method not in METHODS:
            raise PredictorError(f"method = {method!r}; expected one of {', '.join(METHODS)}")
        self.method = method
        self._horizon = 0
        self._models: list[Ridge] = []

    def fit(self, graphs: Any, scores: Any = None, *, fidelity: Any = None, seed: int = 0) -> Self:
        """Learn from curves (first argument) and the final scores (N,) of their trainings; by default the last of each curve.

        ``fidelity`` is the number of epochs that final scores are of, by default the longest curve's. Curves whose final score
        is NaN are left out and counted in ``dropped``. `PredictorError` for fewer than 5 curves, or final scores that are all
        equal or infinite.
        """
        table = as_curves(graphs)
        sizes = lengths(table)
        final = table[np.arange(len(table)), sizes - 1] if scores is None else _final(scores, graphs, len(table))
        kept = ~np.isnan(final)
        self.dropped = int((~kept).sum())
        table, sizes, final = table[kept], sizes[kept], final[kept]
        if len(table) < FEWEST:
            raise PredictorError(f"{len(table)} curves with a final score; a predictor needs at least {FEWEST}")
        if np.isinf(final).any() or np.ptp(final) == 0:
            raise PredictorError("final scores must be finite, and not all equal: there is nothing to learn from them")
        self._horizon = int(fidelity) if fidelity is not None else table.shape[1]
        if self._horizon < 1:
            raise PredictorError(f"fidelity = {fidelity!r}; expected a number of epochs ≥ 1")
        self._targets = Targets.of(final)
        self._models = []
        for epochs in range(1, table.shape[1] + 1):
            rows = sizes >= epochs
            if rows.sum() < FEWEST:
                break
            self._models.append(Ridge.of(self._seen(table[rows, :epochs]), final[rows], slope=self.method == "learned"))
        if not self._models:
            raise PredictorError(f"fewer than {FEWEST} curves have an epoch")
        return self

    def predict(self, graphs: Any, *, std: bool = False, fidelity: Any = None) -> Any:
        """Final scores (N,) of curves (first argument); with ``std`` also the standard deviation of each.

        `PredictorError` before `fit` and for curves without a score.
        """
        _ = self.targets  # refuses before `fit`
        if fidelity is not None:
            raise PredictorError("the number of epochs that final scores are of is given to fit")
        table = as_curves(graphs)
        sizes = np.minimum(lengths(table), len(self._models))
        mean, deviation = np.zeros(len(table)), np.zeros(len(table))
        for epochs in np.unique(sizes):
            rows = sizes == epochs
            model = self._models[epochs - 1]
            mean[rows], deviation[rows] = model(self._seen(table[rows, :epochs]))
        return (mean, deviation) if std else mean

    def adapt(self, graphs: Any, scores: Any = None, *, fidelity: Any = None, seed: int = 0) -> Self:
        """The same as `fit`: what curves say is learned from few of them."""
        return self.fit(graphs, scores, fidelity=fidelity, seed=seed)

    def _seen(self, table: Array) -> Array:
        if self.method == "power_law":
            return power_law(table, self._horizon)[:, None]
        return features(table, self._horizon)

    def _fit(self, batch: Batch, normal: Array, rng: np.random.Generator) -> None:
        raise PredictorError("a CurveExtrapolator learns from curves, not from graphs")

    def _predict(self, batch: Batch, std: bool) -> tuple[Array, Array]:
        raise PredictorError("a CurveExtrapolator predicts from curves, not from graphs")

    def _state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        arrays: dict[str, Array] = {}
        for i, model in enumerate(self._models):
            arrays |= {f"{i}.{name}": array for name, array in model.as_arrays().items()}
        return arrays, {"method": self.method, "horizon": self._horizon, "models": len(self._models)}

    def _restore(self, arrays: dict[str, Array], data: dict[str, Any]) -> None:
        self.method, self._horizon = str(data["method"]), int(data["horizon"])
        self._models = [Ridge.from_arrays(arrays, f"{i}.") for i in range(data["models"])]

    def __repr__(self) -> str:
        return f"CurveExtrapolator(method={self.method!r})"


def _final(scores: Any, curves: Any, count: int) -> Array:
    """Final scores as numbers; a Series is looked up by evaluation where curves are a store's."""
    if hasattr(curves, "columns") and hasattr(scores, "reindex"):
        scores = scores.reindex(curves["evaluation_id"].drop_duplicates())
    try:
        found = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape != (count,):
        raise PredictorError(f"final scores have shape {found.shape}; expected ({count},), one number for each curve")
    return found
