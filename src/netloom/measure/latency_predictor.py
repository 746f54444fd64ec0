"""`LatencyPredictor`: seconds of networks from seconds of others, operator by operator."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..errors import MeasureError
from .call_features import ANY, NUMBERS, call_features

if TYPE_CHECKING:
    import os

    from ..graph.graph import Graph

Array = np.ndarray[Any, Any]

VERSION = 1
#: Fewer measurements than this determine nothing.
FEWEST = 5
#: How strongly costs of single kinds are held towards those of any call, and the widths of the correction's kernel.
_RIDGE = 1e-3
_WIDTHS = (1.0, 2.0, 4.0, 8.0)
_NOISES = (0.03, 0.1, 0.3, 1.0, 3.0)
#: The correction is learned from at most so many networks.
_MOST = 2000


class LatencyPredictor:
    """How long networks take, learned from measurements of others under the same conditions (machine, batch, threads).

    A network's time is a constant plus, for each kind of call, so much a call, a FLOP and a byte, all ≥ 0, fitted to relative
    errors (a roofline for each operator, added up); kinds that were never measured cost what any call does. What that leaves is
    learned by a Gaussian process on the same sums in logarithms, if errors on networks left out say that it helps. Graphs of a
    single call are networks too: measuring some (see `latency_by_node`) tells operators apart.

    >>> import netloom as nl, numpy as np
    >>> space, rng = nl.spaces.Conv((3, 16, 16), 10, max_params=100_000), np.random.default_rng(0)
    >>> graphs = [space.sample(rng) for _ in range(60)]
    >>> seconds = [1e-4 + 2e-5 * len(graph) + graph.flops / 1e10 for graph in graphs]     # yours: nl.measure.latency(…)
    >>> predictor = nl.measure.LatencyPredictor().fit(graphs[:40], seconds[:40])
    >>> predictor.score(graphs[40:], seconds[40:])["kendall_tau"] > 0.9
    True
    """

    def __init__(self, *, batch: int = 1, correct: bool = True) -> None:
        """``batch``: samples of one call, as measured. ``correct=False`` leaves the Gaussian process out."""
        self.batch, self.correct = batch, correct
        self.columns: list[tuple[str, str]] = []
        self.costs: Array | None = None
        self.constant = 0.0
        self.relative_error = float("nan")
        self._correction: _Correction | None = None

    # -- learning --------------------------------------------------------------------------------------------------
    def fit(self, graphs: Iterable[Graph], seconds: Any) -> Self:
        """Learn from graphs and the seconds (N,) of one call of each; measurements that are NaN are left out.

        ``seconds`` may hold `Latency` values. `MeasureError` for fewer than 5, and for times that are not above zero.
        """
        from scipy.optimize import nnls

        graphs, times = _checked(list(graphs), seconds)
        sums = [call_features(graph, self.batch) for graph in graphs]
        self.columns = [(kind, number) for kind in sorted({kind for row in sums for kind in row}) for number in NUMBERS]
        x = self._table(sums)
        used = np.flatnonzero(x.any(0))
        self.columns = [self.columns[i] for i in used]
        x = x[:, used]
        # Divided by the time, squared errors are relative ones.
        rows = np.column_stack([np.ones(len(x)), x]) / times[:, None]
        scale = np.sqrt(np.mean(np.square(rows), 0))
        own = np.array([0.0, *(float(kind != ANY) for kind, _ in self.columns)])
        ridge = np.diag(np.sqrt(_RIDGE * len(x)) * own)
        targets = np.concatenate([np.ones(len(x)), np.zeros(len(own))])
        solved, _ = nnls(np.vstack([rows / scale, ridge]), targets, maxiter=10_000)
        self.constant, self.costs = float(solved[0] / scale[0]), solved[1:] / scale[1:]
        self._correction = None
        added = self._additive(x)
        left = np.log(times / added)
        self.relative_error = float(np.median(np.abs(np.expm1(left))))
        if self.correct and len(x) >= 4 * FEWEST:
            self._correction = _Correction.of(_logarithms(x, added), left)
        return self

    # -- predicting ------------------------------------------------------------------------------------------------
    def predict(self, graphs: Iterable[Graph]) -> Array:
        """Seconds (N,) of one call of each graph; `MeasureError` before `fit`."""
        self._fitted()
        graphs = list(graphs)
        if not graphs:
            return np.zeros(0)
        x = self._table([call_features(graph, self.batch) for graph in graphs])
        found = self._additive(x)
        return found if self._correction is None else found * np.exp(self._correction(_logarithms(x, found)))

    def __call__(self, graph: Graph) -> float:
        """Seconds of one graph: a predictor is a cost wherever a function of a graph is asked for."""
        return float(self.predict([graph])[0])

    def score(self, graphs: Iterable[Graph], seconds: Any) -> dict[str, float]:
        """On measured graphs: Kendall's τ, Spearman's ρ, and the median relative error."""
        from scipy.stats import kendalltau, spearmanr

        graphs, times = _checked(list(graphs), seconds, least=2)
        predicted = self.predict(graphs)
        return {
            "kendall_tau": float(kendalltau(predicted, times)[0]),
            "spearman_rho": float(spearmanr(predicted, times)[0]),
            "median_relative_error": float(np.median(np.abs(predicted / times - 1))),
        }

    def by_kind(self, graph: Graph) -> dict[str, float]:
        """Where the additive part of a prediction goes: kind of call → seconds, the most expensive first."""
        costs = self._fitted()
        values = self._table([call_features(graph, self.batch)])[0] * costs
        found: dict[str, float] = {"constant": self.constant}
        for (kind, _), value in zip(self.columns, values):
            found[kind] = found.get(kind, 0.0) + float(value)
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def _fitted(self) -> Array:
        if self.costs is None:
            raise MeasureError("the latency predictor has not been fitted; call fit(graphs, seconds) first")
        return self.costs

    def _table(self, sums: Sequence[dict[str, tuple[float, float, float]]]) -> Array:
        place = {number: i for i, number in enumerate(NUMBERS)}
        none = (0.0, 0.0, 0.0)
        return np.array([[row.get(kind, none)[place[number]] for kind, number in self.columns] for row in sums])

    def _additive(self, x: Array) -> Array:
        found: Array = np.maximum(self.constant + x @ self._fitted(), 1e-9)
        return found

    # -- files -----------------------------------------------------------------------------------------------------
    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted predictor as data: arrays and JSON in one safetensors file."""
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        arrays = {"costs": self._fitted()}
        if self._correction is not None:
            arrays |= {f"correction.{name}": array for name, array in self._correction.arrays().items()}
        settings = {
            "latency_predictor": VERSION, "batch": self.batch, "correct": self.correct, "columns": self.columns,
            "constant": self.constant, "relative_error": self.relative_error,
        }  # fmt: skip
        target = Path(path)
        beside = target.with_name(target.name + ".part")
        try:
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, beside,
                      metadata={"netloom": json.dumps(settings)})  # fmt: skip
            beside.replace(target)
        except (OSError, SafetensorError) as error:
            raise MeasureError(f"the latency predictor cannot be written to {str(target)!r}: {error}") from None
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LatencyPredictor:
        """The predictor of a file that `save` wrote; `MeasureError` for any other. Nothing in a file is executed."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                settings = json.loads((file.metadata() or {}).get("netloom", "null"))
                arrays = {name: file.get_tensor(name) for name in file.keys()}
            version = settings["latency_predictor"]
            if version != VERSION:
                raise MeasureError(f"{str(path)!r} is a latency predictor of version {version!r}; this netloom reads {VERSION}")
            made = cls(batch=int(settings["batch"]), correct=bool(settings["correct"]))
            made.columns = [(str(kind), str(number)) for kind, number in settings["columns"]]
            made.constant, made.relative_error = float(settings["constant"]), float(settings["relative_error"])
            made.costs = arrays["costs"]
            if made.costs.shape != (len(made.columns),) or not {number for _, number in made.columns} <= set(NUMBERS):
                raise ValueError("costs and columns differ")
            parts = {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith("correction.")}
            made._correction = _Correction.from_arrays(parts) if parts else None
        except (OSError, SafetensorError, ValueError, LookupError, TypeError) as error:
            if isinstance(error, MeasureError):
                raise
            raise MeasureError(f"{str(path)!r} is no latency predictor that netloom wrote, or is damaged ({error})") from None
        return made

    def __repr__(self) -> str:
        state = "not fitted" if self.costs is None else f"batch {self.batch}, {len({kind for kind, _ in self.columns})} kinds"
        return f"<LatencyPredictor: {state}>"


class _Correction:
    """A Gaussian process on standardised columns: the logarithm of what the additive part is wrong by."""

    def __init__(self, mean: Array, scale: Array, points: Array, weights: Array, width: float) -> None:
        self.mean, self.scale, self.points, self.weights, self.width = mean, scale, points, weights, width

    @classmethod
    def of(cls, x: Array, y: Array) -> _Correction | None:
        """With the width and noise whose leave-one-out errors are least; None where no correction is better."""
        if len(x) > _MOST:
            chosen = np.random.default_rng(0).permutation(len(x))[:_MOST]
            x, y = x[chosen], y[chosen]
        mean, scale = x.mean(0), x.std(0)
        scale = np.where(scale > 0, scale, np.inf)
        # The sum says more than any of its parts, so it counts for a third of all distance.
        scale[-1] /= np.sqrt(max(1, x.shape[1] - 1) / 2)
        points = (x - mean) / scale
        # Errors have long tails: medians compare better than means.
        best, least = None, float(np.median(np.abs(y)))
        for width in _WIDTHS:
            values, vectors = np.linalg.eigh(_matern(points, points, width))
            for noise in _NOISES:
                inverse = 1 / (np.maximum(values, 0) + noise)
                weights = vectors @ (inverse * (y @ vectors))
                error = float(np.median(np.abs(weights / (np.square(vectors) @ inverse))))
                if error < 0.97 * least:
                    best, least = cls(mean, scale, points, weights, width), error
        return best

    def __call__(self, x: Array) -> Array:
        found: Array = _matern((x - self.mean) / self.scale, self.points, self.width) @ self.weights
        return found

    def arrays(self) -> dict[str, Array]:
        return {**{name: getattr(self, name) for name in _ARRAYS}, "width": np.array([self.width])}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Array]) -> _Correction:
        return cls(width=float(arrays["width"][0]), **{name: arrays[name] for name in _ARRAYS})


_ARRAYS = ("mean", "scale", "points", "weights")


def _logarithms(x: Array, added: Array) -> Array:
    """What the correction sees: every sum, and last the additive prediction."""
    return np.column_stack([np.log1p(1e3 * x), np.log(added)])


def _matern(a: Array, b: Array, width: float) -> Array:
    """Matérn kernel with ν = 5/2 of rows (N, D) and (M, D): (N, M)."""
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
    r = np.sqrt(5 * np.maximum(squares, 0) / a.shape[1]) / width
    found: Array = (1 + r + r**2 / 3) * np.exp(-r)
    return found


def _checked(graphs: list[Any], seconds: Any, least: int = FEWEST) -> tuple[list[Any], Array]:
    from ..graph.graph import Graph

    for i, graph in enumerate(graphs):
        if not isinstance(graph, Graph):
            raise MeasureError(f"item {i} is a {type(graph).__name__}; a latency predictor reads graphs (a network has .graph)")
    try:
        times = np.array([float(value) for value in seconds])
    except (TypeError, ValueError):
        raise MeasureError(f"seconds must be {len(graphs)} numbers, one for each graph") from None
    if times.shape != (len(graphs),):
        raise MeasureError(f"{len(times)} times for {len(graphs)} graphs; expected one for each")
    known = ~np.isnan(times)
    graphs, times = [graph for graph, keep in zip(graphs, known) if keep], times[known]
    if len(graphs) < least:
        raise MeasureError(f"{len(graphs)} measured graphs; a latency predictor needs at least {least}")
    if not (np.isfinite(times) & (times > 0)).all():
        raise MeasureError(f"seconds must be finite and above zero; the lowest is {times.min():g}")
    return graphs, times
