"""`Ensemble`: the default predictor, which chooses its members by the number of labels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from ..errors import PredictorError
from .gaussian_process import VIEWS, Array, GaussianProcess
from .neural_predictor import NeuralPredictor
from .predictor import Batch, Predictor
from .targets import Targets
from .trees import Trees

#: Randomised trees for up to 200 labels, and beyond.
_FEW_TREES, _TREES = 50, 100
#: The scale of standard deviations is that of the errors on graphs left out, and of so many more that would say 1.
_PRIOR_ROWS = 20
#: A neural predictor joins where Gaussian processes leave more than this share of the scores' variance unexplained, and from
#: so many labels to so many.
_UNEXPLAINED, _FEWEST, _MOST = 0.15, 50, 5000
#: Its members, and steps of learning (or an eighth of the labels).
_MEMBERS, _STEPS = 8, 150
#: Its share is that which labels left out ask for, and so many more of which each asks for `_SHARE`; at most `_MOST_SHARE`.
_PRIOR_LABELS, _SHARE, _MOST_SHARE = 400, 0.4, 0.9
#: A map that changes nothing: members of an ensemble learn what it learns.
_SAME = np.array([-1.0, 1.0])


class Ensemble(Predictor):
    """Gaussian processes with three sets of kernels, and trees, averaged; trees count more above 200 labels.

    Where those leave much of the scores unexplained (15 % of the variance, on labels left out), a `NeuralPredictor` joins
    them, and counts as much as it and they were right about labels left out. Standard deviations are the members' joined with
    their disagreement, scaled to the errors of what they predict together for graphs that none of them has learned from.
    Other members may be given, with their weights; then none joins.

    >>> Ensemble(GaussianProcess(), Trees(), weights=(1, 1))
    Ensemble(GaussianProcess, Trees)
    """

    kind: ClassVar[str] = "ensemble"

    def __init__(self, *members: Predictor, weights: tuple[float, ...] | None = None) -> None:
        super().__init__()
        self._given = bool(members)
        self.members: tuple[Predictor, ...] = members or _chosen(0)[0]
        if weights is not None and len(weights) != len(self.members):
            raise PredictorError(f"{len(weights)} weights for {len(self.members)} members; give one for each")
        self.weights = weights
        self._scale = 1.0

    @property
    def reads_encodings_alone(self) -> bool:
        return all(member.reads_encodings_alone for member in self.members)

    def _fit(self, batch: Batch, normal: Array, rng: np.random.Generator) -> None:
        if not self._given:
            self.members, self.weights = _chosen(len(batch))
        for member in self.members:
            self._fit_member(member, batch, normal, rng)
        if not self._given and _FEWEST <= len(batch) <= _MOST:
            self._fit_network(batch, normal, rng)
        self._scale = self._scaled_to(normal)

    def _fit_member(self, member: Predictor, batch: Batch, normal: Array, rng: np.random.Generator) -> None:
        member._targets, member._types, member._fidelity = Targets(_SAME, _SAME), self._types, self._fidelity
        member._fit(batch, normal, rng)

    def _fit_network(self, batch: Batch, normal: Array, rng: np.random.Generator) -> None:
        """Let a neural predictor join where there is something left to explain."""
        rows, means, _ = _left_out_by_all(self.members[: len(VIEWS)])
        errors = normal[rows] - means.mean(0)
        squared = float(np.mean(errors**2))
        if squared <= _UNEXPLAINED * normal[rows].var():
            return
        network = NeuralPredictor(members=_MEMBERS, steps=max(_STEPS, len(batch) // 8))
        try:
            self._fit_member(network, batch, normal, rng)
        except PredictorError:  # its learning diverged
            return
        others = normal[rows] - network._left_out().of(rows).mean
        # All of the members together are nearer than the one that left a graph out; errors in common stay as they are.
        common, own = float(np.mean(errors * others)), float(np.mean(others**2)) - network.gain
        apart = max(squared + own - 2 * common, 1e-12)
        asked = min(max((squared - common) / apart, 0.0), 1.0)
        share = min((len(rows) * asked + _PRIOR_LABELS * _SHARE) / (len(rows) + _PRIOR_LABELS), _MOST_SHARE)
        weights = self.weights or ()
        self.members, self.weights = (*self.members, network), (*weights, sum(weights) * share / (1 - share))

    def _scaled_to(self, normal: Array) -> float:
        """The factor by which deviations are scaled; 1 where a member cannot say what it would without a graph."""
        if any(member._left_out() is None for member in self.members):
            return 1.0
        rows, means, deviations = _left_out_by_all(self.members)
        mean, variance = self._joined(means, deviations)
        errors = float(np.sum((normal[rows] - mean) ** 2 / variance))
        return float(np.sqrt((_PRIOR_ROWS + errors) / (_PRIOR_ROWS + len(rows))))

    def _joined(self, means: Array, deviations: Array) -> tuple[Array, Array]:
        """Mean (N,) and variance (N,) of members' (M, N)."""
        shares = self._shares()
        mean = shares @ means
        return mean, shares @ deviations**2 + shares @ (means - mean) ** 2

    def _shares(self) -> Array:
        weights = np.array(self.weights or (1.0,) * len(self.members), dtype=np.float64)
        return weights / weights.sum()

    def _predict(self, batch: Batch, std: bool) -> tuple[Array, Array]:
        found = [member._predict(batch, std) for member in self.members]
        mean, variance = self._joined(np.array([mean for mean, _ in found]), np.array([deviation for _, deviation in found]))
        return mean, self._scale * np.sqrt(variance) if std else np.zeros(len(batch))

    def _state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        from .saving import as_data

        arrays: dict[str, Array] = {}
        parts = []
        for i, member in enumerate(self.members):
            own, data = as_data(member)
            arrays |= {f"{i}.{name}": array for name, array in own.items()}
            parts.append(data)
        return arrays, {"members": parts, "weights": self.weights, "scale": self._scale}

    def _restore(self, arrays: dict[str, Array], data: dict[str, Any]) -> None:
        from .saving import from_data

        members = []
        for i, part in enumerate(data["members"]):
            own = {name.removeprefix(f"{i}."): array for name, array in arrays.items() if name.startswith(f"{i}.")}
            members.append(from_data(own, part))
        self._scale = data.get("scale", 1.0)
        self.members, self.weights = tuple(members), None if data["weights"] is None else tuple(data["weights"])

    def __repr__(self) -> str:
        return f"Ensemble({', '.join(type(member).__name__ for member in self.members)})"


def _left_out_by_all(members: Sequence[Predictor]) -> tuple[Array, Array, Array]:
    """Training graphs that all members speak of without having learned from them: rows (N,), means and deviations (M, N)."""
    found = [left_out for member in members if (left_out := member._left_out()) is not None]
    rows = reduce(np.intersect1d, (each.rows for each in found))
    ordered = [each.of(rows) for each in found]
    return rows, np.array([each.mean for each in ordered]), np.array([each.deviation for each in ordered])


def _chosen(num_labels: int) -> tuple[tuple[Predictor, ...], tuple[float, ...]]:
    """The members of the default and their weights."""
    few = num_labels <= 200
    trees = Trees(_FEW_TREES if few else _TREES)
    return (*(GaussianProcess(views) for views in VIEWS), trees), (1, 1, 1, 1 if few else 2)
