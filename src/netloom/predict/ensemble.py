"""`Ensemble`: the default predictor, which chooses its members by the number of labels."""

from __future__ import annotations

from functools import reduce
from typing import Any, ClassVar

import numpy as np

from ..errors import PredictorError
from .gaussian_process import VIEWS, Array, GaussianProcess
from .predictor import Batch, Predictor
from .targets import Targets
from .trees import Trees

#: Randomised trees for up to 200 labels, and beyond.
_FEW_TREES, _TREES = 50, 100
#: The scale of standard deviations is that of the errors on graphs left out, and of so many more that would say 1.
_PRIOR_ROWS = 20
#: A map that changes nothing: members of an ensemble learn what it learns.
_SAME = np.array([-1.0, 1.0])


class Ensemble(Predictor):
    """Gaussian processes with three sets of kernels, and trees, averaged; trees count more above 200 labels.

    Its standard deviation is the members' joined with their disagreement, scaled to the errors of what they predict together
    for training graphs that none of them has learned from.
    Other members may be given, with their weights.

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
        targets = Targets(_SAME, _SAME)
        for member in self.members:
            member._targets, member._types, member._fidelity = targets, self._types, self._fidelity
            member._fit(batch, normal, rng)
        self._scale = self._scaled_to(normal)

    def _scaled_to(self, normal: Array) -> float:
        """The factor by which deviations are scaled; 1 where a member cannot say what it would without a graph."""
        found = [left_out for member in self.members if (left_out := member._left_out()) is not None]
        if len(found) < len(self.members):
            return 1.0
        rows = reduce(np.intersect1d, (each.rows for each in found))
        orders = [np.argsort(each.rows) for each in found]
        places = [order[np.searchsorted(each.rows, rows, sorter=order)] for each, order in zip(found, orders)]
        mean, variance = self._joined(
            np.array([each.mean[place] for each, place in zip(found, places)]),
            np.array([each.deviation[place] for each, place in zip(found, places)]),
        )
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


def _chosen(num_labels: int) -> tuple[tuple[Predictor, ...], tuple[float, ...]]:
    """The members of the default and their weights."""
    few = num_labels <= 200
    trees = Trees(_FEW_TREES if few else _TREES)
    return (*(GaussianProcess(views) for views in VIEWS), trees), (1, 1, 1, 1 if few else 2)
