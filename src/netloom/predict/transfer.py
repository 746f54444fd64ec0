"""What a predictor takes along to another space or task: its predictions of before, as the mean of what is learned anew.

Source: Kennedy and O'Hagan, "Predicting the output from a complex computer code when fast approximations are available",
Biometrika, 2000: the new function is a share of the old one and a difference, which is learned from the new labels alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .predictor import Array, Batch, Predictor

#: What names of arrays of a predictor of before begin with in files.
PREFIX = "before."
#: How many labels' worth of doubt there is whether the old predictions say anything.
_DOUBT = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """``shift`` and ``share`` of the predictions of a predictor that was fitted before."""

    before: Predictor
    shift: float
    share: float

    @staticmethod
    def of(before: Predictor, batch: Batch, learned: Array) -> Prior:
        """The share that fits ``learned`` (N,) of a batch, drawn towards nothing by little; never below nothing."""
        found = _predicted(before, batch)
        away = found - found.mean()
        unit = max(float(away.var()), 1e-12)
        share = max(float(away @ (learned - learned.mean())) / (float(away @ away) + _DOUBT * unit), 0.0)
        return Prior(before, float(learned.mean() - share * found.mean()), share)

    def __call__(self, batch: Batch) -> Array:
        """What the new scores of a batch are expected to be (N,), before any of them is known."""
        found: Array = self.shift + self.share * _predicted(self.before, batch)
        return found

    def as_data(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays and JSON data that `from_data` makes it of again."""
        from .saving import as_data

        arrays, data = as_data(self.before)
        named = {PREFIX + name: array for name, array in arrays.items()}
        return named, {"before": data, "shift": self.shift, "share": self.share}

    @staticmethod
    def from_data(arrays: dict[str, Array], data: dict[str, Any]) -> Prior:
        from .saving import from_data

        own = {name.removeprefix(PREFIX): array for name, array in arrays.items() if name.startswith(PREFIX)}
        return Prior(from_data(own, data["before"]), float(data["shift"]), float(data["share"]))


def _predicted(before: Predictor, batch: Batch) -> Array:
    """What a predictor says of a batch on the scale that it learned, at its own fidelity."""
    from .predictor import Batch

    own = batch
    if before._fidelity is not None:
        own = Batch(batch.graphs, np.full(len(batch), np.log(before._fidelity)))
    elif batch.log_fidelity is not None:
        own = Batch(batch.graphs)
    mean, _ = before._predict(own, False)
    return mean if before._prior is None else mean + before._prior(own)


def copied(predictor: Predictor) -> Predictor:
    """A fitted predictor as it is now, apart from the one given."""
    from .saving import as_data, from_data

    return from_data(*as_data(predictor))
