"""`ProxyRank`: scores from zero-cost proxies, with few labels or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ..errors import PredictorError
from .predictor import Array, Batch, Predictor
from .ridge import Ridge

if TYPE_CHECKING:
    from ..graph.graph import Graph

#: What is measured unless names are given: the proxies that agree best with accuracies, and need one pass each.
NAMES = ("nwot", "synflow", "jacov", "l2_norm")


class ProxyRank(Predictor):
    """Ranks networks by zero-cost proxies of `netloom.measure`: numbers of an untrained network on one batch.

    Values come from ``proxies``, given to `fit` and `predict` with a row for each graph (a DataFrame, or a mapping from names
    to values), or are measured on ``batch``: a task, ``(x, y)`` or ``x``, as `netloom.measure.proxies` takes it.

    Without `fit` the prediction is the mean rank over the proxies, from 0 to 1 among the graphs given. With labels it is a
    ridge regression on the proxies' ranks among the graphs that it was fitted on: so few labels are enough, and a proxy that is
    wrong about the task is turned round. A value that is NaN counts as the median. A saved predictor does not keep the batch.

    >>> table = {"nwot": [3.0, 1.0, 2.0], "synflow": [30.0, 10.0, 20.0]}
    >>> ProxyRank().rank(table).tolist()
    [1.0, 0.0, 0.5]
    """

    kind: ClassVar[str] = "proxy_rank"
    _model: Ridge

    def __init__(self, names: Sequence[str] | None = None, *, batch: Any = None) -> None:
        super().__init__()
        self.names = None if names is None else tuple([names] if isinstance(names, str) else names)
        self.batch = batch
        self._given: Any = None
        self._seed = 0
        self._known: list[Array] = []

    def fit(
        self, graphs: Iterable[Graph], scores: Any, *, proxies: Any = None, fidelity: Any = None, seed: int = 0
    ) -> Self:  # fmt: skip
        """Learn from graphs with their scores and ``proxies``. ``seed`` is that of the weights they are measured on.

        `PredictorError` as for every predictor, and where there are neither values nor a batch to measure them on.
        """
        graphs, values = list(graphs), np.array(scores, dtype=np.float64)
        given = None if proxies is None else self._table(proxies, len(graphs))
        self._seed = seed
        if given is not None and values.shape == (len(graphs),):
            given = given[~np.isnan(values)]
        self._given = given
        try:
            return super().fit(graphs, values, fidelity=fidelity, seed=seed)
        finally:
            self._given = None

    def predict(self, graphs: Iterable[Graph], *, proxies: Any = None, std: bool = False, fidelity: Any = None) -> Any:
        """Scores (N,) of graphs, with ``std`` also their standard deviations; before `fit` mean ranks from 0 to 1."""
        graphs = list(graphs)
        self._given = None if proxies is None else self._table(proxies, len(graphs))
        try:
            if self._targets is None and not std:
                return _mean_rank(self._values(Batch(graphs)))
            return super().predict(graphs, std=std, fidelity=fidelity)  # type: ignore[call-overload]
        finally:
            self._given = None

    def reference(self) -> tuple[Array, Array]:
        """As of every predictor; none where the values of the graphs that were learned from cannot be measured again."""
        if self.batch is None and self._reference is None:
            self._reference = np.zeros((0, 0), np.float32), np.zeros(0)
        return super().reference()

    def rank(self, proxies: Any) -> Array:
        """Mean rank (N,), from 0 to 1, of the rows of a table of proxies; no graphs are needed."""
        return _mean_rank(self._table(proxies, None))

    def _fit(self, batch: Batch, normal: Array, rng: np.random.Generator) -> None:
        values = self._values(batch)
        self._known = [np.sort(column[np.isfinite(column)]) for column in values.T]
        self._model = Ridge.of(self._ranks(values), normal)

    def _predict(self, batch: Batch, std: bool) -> tuple[Array, Array]:
        return self._model(self._ranks(self._values(batch)))

    def _ranks(self, values: Array) -> Array:
        """Normal scores (N, P) of values among those that it was fitted on."""
        from scipy.stats import norm

        found = np.zeros(values.shape)
        for i, (column, known) in enumerate(zip(values.T, self._known)):
            if len(known):
                below = np.searchsorted(known, column) + np.searchsorted(known, column, side="right")
                share = (below / 2 + 0.5) / (len(known) + 1)
                found[:, i] = np.where(np.isfinite(column), norm.ppf(share), 0.0)
        return found

    def _values(self, batch: Batch) -> Array:
        """Proxies (N, P) of graphs, as given or measured."""
        if self._given is not None:
            found: Array = self._given
            return found
        if self.batch is None:
            raise PredictorError("ProxyRank has no values: give proxies=… with them, or a batch to measure them on")
        from ..measure import proxies_many

        self.names = self.names or NAMES
        table = proxies_many(batch.graphs, self.batch, self.names, seed=self._seed, progress=False)
        return self._table(table, len(batch))

    def _table(self, proxies: Any, count: int | None) -> Array:
        """Values (N, P) of a DataFrame or mapping, in the order of the names; names are taken from the first table seen."""
        if not isinstance(proxies, Mapping) and not hasattr(proxies, "columns"):
            raise PredictorError(f"proxies are {type(proxies).__name__}; expected a DataFrame or a mapping of names to values")
        if self.names is None:
            self.names = tuple(str(name) for name in proxies if name != "error")
        lacking = [name for name in self.names if name not in proxies]
        if lacking:
            raise PredictorError(f"the proxies lack {', '.join(lacking)}; there is: {', '.join(map(str, proxies))}")
        try:
            found = np.column_stack([np.asarray(proxies[name], dtype=np.float64) for name in self.names])
        except (TypeError, ValueError):
            raise PredictorError(f"the proxies {', '.join(self.names)} must be equally many numbers") from None
        if count is not None and len(found) != count:
            raise PredictorError(f"{len(found)} rows of proxies for {count} graphs; give one for each")
        return found

    def _state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        known = {f"known.{i}": column for i, column in enumerate(self._known)}
        return {**known, **self._model.as_arrays()}, {"names": self.names, "seed": self._seed}

    def _restore(self, arrays: dict[str, Array], data: dict[str, Any]) -> None:
        self.names, self._seed = tuple(data["names"]), int(data["seed"])
        self._known = [arrays[f"known.{i}"] for i in range(len(self.names))]
        self._model = Ridge.from_arrays(arrays, "")

    def __repr__(self) -> str:
        return f"ProxyRank({'' if self.names is None else repr(self.names)})"


def _mean_rank(values: Array) -> Array:
    """Mean over the columns of (N, P) of ranks from 0 to 1; NaN counts as the middle."""
    from scipy.stats import rankdata

    ranks = np.full(values.shape, 0.5)
    for column, row in zip(values.T, ranks.T):
        there = np.isfinite(column)
        if there.sum() > 1:
            row[there] = (rankdata(column[there]) - 1) / (there.sum() - 1)
    found: Array = ranks.mean(1)
    return found
