"""`Ensemble`: the default predictor, which chooses its members by the number of labels."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..errors import PredictorError
from .gaussian_process import VIEWS, Array, GaussianProcess
from .predictor import Batch, Predictor
from .targets import Targets
from .trees import Trees

#: Randomised trees for up to 200 labels, and beyond.
_FEW_TREES, _TREES = 50, 100
#: A map that changes nothing: members of an ensemble learn what it learns.
_SAME = np.array([-1.0, 1.0])


class Ensemble(Predictor):
    """Gaussian processes with three sets of kernels, and trees, averaged; trees count more above 200 labels.

    Its standard deviation is the members' joined with their disagreement.
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

    def _shares(self) -> Array:
        weights = np.array(self.weights or (1.0,) * len(self.members), dtype=np.float64)
        return weights / weights.sum()

    def _predict(self, batch: Batch, std: bool) -> tuple[Array, Array]:
        found = [member._predict(batch, std) for member in self.members]
        means, shares = np.array([mean for mean, _ in found]), self._shares()
        mean = shares @ means
        if not std:
            return mean, np.zeros(len(batch))
        variance = shares @ np.array([deviation**2 for _, deviation in found]) + shares @ (means - mean) ** 2
        return mean, np.sqrt(variance)

    def _state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        from .saving import as_data

        arrays: dict[str, Array] = {}
        parts = []
        for i, member in enumerate(self.members):
            own, data = as_data(member)
            arrays |= {f"{i}.{name}": array for name, array in own.items()}
            parts.append(data)
        return arrays, {"members": parts, "weights": self.weights}

    def _restore(self, arrays: dict[str, Array], data: dict[str, Any]) -> None:
        from .saving import from_data

        members = []
        for i, part in enumerate(data["members"]):
            own = {name.removeprefix(f"{i}."): array for name, array in arrays.items() if name.startswith(f"{i}.")}
            members.append(from_data(own, part))
        self.members, self.weights = tuple(members), None if data["weights"] is None else tuple(data["weights"])

    def __repr__(self) -> str:
        return f"Ensemble({', '.join(type(member).__name__ for member in self.members)})"


def _chosen(num_labels: int) -> tuple[tuple[Predictor, ...], tuple[float, ...]]:
    """The members of the default and their weights."""
    few = num_labels <= 200
    trees = Trees(_FEW_TREES if few else _TREES)
    return (*(GaussianProcess(views) for views in VIEWS), trees), (1, 1, 1, 1 if few else 2)
