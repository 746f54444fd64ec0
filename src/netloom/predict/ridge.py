"""Ridge regression that chooses its penalty by leaving rows out, with an honest error: for few rows and few columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_PENALTIES = np.geomspace(1e-3, 1e3, 19)


@dataclass(frozen=True, slots=True, eq=False)
class Ridge:
    """Column means and deviations (D,), weights (D,), and [mean, error]: the error is that of rows left out one at a time."""

    centre: Array
    scale: Array
    weights: Array
    numbers: Array

    @staticmethod
    def of(x: Array, y: Array, slope: bool = True) -> Ridge:
        """Fitted to rows (N, D) and values (N,). Without ``slope`` one column is taken as it is, with a shift.

        >>> x = np.arange(12.0)[:, None]
        >>> Ridge.of(x, 2 * x[:, 0] + 1)(np.array([[20.0]]))[0].round(1).tolist()
        [41.0]
        """
        centre = x.mean(0)
        if not slope:
            away = y - x[:, 0]
            error = float(away.std()) * np.sqrt(len(y) / max(len(y) - 1, 1))
            return Ridge(centre, np.ones(1), np.ones(1), np.array([y.mean(), max(error, 1e-12)]))
        deviation = x.std(0)
        scale = np.where(deviation > 1e-12, deviation, 1.0)
        u, s, v = np.linalg.svd((x - centre) / scale, full_matrices=False)
        aim = y - y.mean()
        best, chosen = np.inf, np.zeros(x.shape[1])
        for penalty in _PENALTIES * len(y):
            kept = s * s / (s * s + penalty)
            leverage = 1 / len(y) + (u * u) @ kept
            left_out = (aim - u @ (kept * (u.T @ aim))) / np.maximum(1 - leverage, 1e-9)
            error = float(np.mean(left_out**2))
            if error < best:
                best, chosen = error, v.T @ (s / (s * s + penalty) * (u.T @ aim))
        return Ridge(centre, scale, chosen, np.array([y.mean(), max(np.sqrt(best), 1e-12)]))

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Values (N,) and their errors (N,)."""
        return self.numbers[0] + ((x - self.centre) / self.scale) @ self.weights, np.full(len(x), self.numbers[1])

    def as_arrays(self) -> dict[str, Array]:
        """What `from_arrays` makes it of again."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @staticmethod
    def from_arrays(arrays: dict[str, Array], prefix: str) -> Ridge:
        return Ridge(*(arrays[prefix + name] for name in Ridge.__dataclass_fields__))
