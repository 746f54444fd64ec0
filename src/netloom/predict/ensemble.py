"""`Ensemble`: the default predictor, which chooses its members by the number of labels."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..errors import PredictorError
from .gaussian_process import Array, GaussianProcess
from .predictor import Batch, Predictor
from .targets import RankedTargets
from .trees import Trees


class Ensemble(Predictor):
    """A Gaussian process and trees, averaged as normal scores: four parts to one below 200 labels, then more to the trees.

    Its standard deviation is the members' joined with their disagreement. Other members may be given, with their weights.

    >>> Ensemble(GaussianProcess(), Trees(), weights=(1, 1))
    Ensemble(GaussianProcess, Trees)
    """

    kind: ClassVar[str] = "ensemble"

    def __init__(self, *members: Predictor, weights: tuple[float, ...] | None = None) -> None:
        super().__init__()
        self._given = bool(members)
        self.members: tuple[Predictor, ...] = members or (GaussianProcess(), Trees())
        if weights is not None and len(weights) != len(self.members):
            raise PredictorError(f"{len(weights)} weights for {len(self.members)} members; give one for each")
        self.weights = weights

    def _fit(self, batch: Batch, normal: Array, rng: np.random.Generator) -> None:
        if not self._given:
            few = len(batch) <= 200
            self.members = (GaussianProcess(), Trees(boosted=not few))
            self.weights = (4, 1) if few else (2, 1) if len(batch) <= 1000 else (1, 1)
        targets = RankedTargets(normal, normal)
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
