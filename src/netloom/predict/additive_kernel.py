"""A sum of Matérn-5/2 kernels, its marginal likelihood and the gradient of that.

Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, chapters 4 and 5. The first view has a length for each
column (automatic relevance determination), kept near one another by a normal prior on their logarithms, without which a hundred
labels cannot tell sixty lengths; every other view has one length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import PredictorError

Array = np.ndarray[Any, Any]

#: Mean and standard deviation of the normal prior on the logarithm of each parameter.
_COLUMN = (0.0, 0.5)
_LENGTH = (np.log(2.0), 0.7)
_VIEW_LENGTH = (0.0, 0.7)
_VIEW_WEIGHT = (np.log(0.3), 1.0)
_NOISE = (np.log(0.02), 1.5)
_SIGNAL = (0.0, 1.5)
#: Standard deviations of their priors within which parameters are looked for: a step far beyond leaves no covariance.
_WITHIN = 6.0
#: Rows whose kernels are worked out at a time.
_ROWS = 512


def squared_distances(a: Array, b: Array) -> Array:
    """Squared Euclidean distances (N, M) between rows (N, D) and (M, D)."""
    found: Array = a @ (-2 * b.T)
    found += np.einsum("ij,ij->i", a, a)[:, None]
    found += np.einsum("ij,ij->i", b, b)
    return np.maximum(found, 0, out=found)


def matern(squared: Array) -> Array:
    """Matérn-5/2 of squared distances in units of the length."""
    q = np.sqrt(5 * squared)
    found = q / 3
    found += 1
    found *= q
    found += 1
    np.negative(q, out=q)
    found *= np.exp(q, out=q)
    return found


def _slope(squared: Array) -> Array:
    """Derivative of `matern` by the squared distance."""
    q = np.sqrt(5 * squared)
    return -5 / 6 * (1 + q) * np.exp(-q)


def median_distance(view: Array) -> float:
    """Median distance between the first 300 rows; of those that differ where most do not."""
    squared = squared_distances(view[:300], view[:300])[np.triu_indices(min(len(view), 300), 1)]
    median = np.median(squared) if len(squared) else 0.0
    if median <= 1e-12:
        median = squared[squared > 1e-12].mean() if (squared > 1e-12).any() else 1.0
    return float(np.sqrt(median))


@dataclass(frozen=True, slots=True)
class Fitted:
    """Scales that each view's columns are divided by, weights of the views, noise and signal variance."""

    scales: tuple[Array, ...]
    weights: tuple[float, ...]
    noise: float
    signal: float

    def kernel(self, a: tuple[Array, ...], b: tuple[Array, ...], dtype: Any = np.float64) -> Array:
        """Covariance (N, M) without noise between rows given as views, exponentials worked out in ``dtype``."""
        total = np.zeros((len(a[0]), len(b[0])))
        right = [view / scale for view, scale in zip(b, self.scales)]
        # A few rows at a time, so that what is worked out in between stays in the cache.
        for begin in range(0, len(total), _ROWS):
            rows = slice(begin, begin + _ROWS)
            for scale, weight, left, others in zip(self.scales, self.weights, a, right):
                near = matern(squared_distances(left[rows] / scale, others).astype(dtype, copy=False))
                near *= weight * self.signal
                total[rows] += near
        return total

    @property
    def variance(self) -> float:
        """Prior variance of any row."""
        return self.signal * sum(self.weights)


def factored(covariance: Array, scale: float) -> Array:
    """Lower Cholesky factor (N, N) of a covariance, which is changed where rounding has made it indefinite.

    Where scores follow exactly from a feature the noise goes to nothing and lengths become short: squared distances are then
    differences of large numbers. As much noise as it takes is added, in units of ``scale``. `PredictorError` where a hundredth
    does not do.
    """
    from scipy.linalg import LinAlgError, cholesky

    added = 0.0
    for noise in (0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2):
        covariance[np.diag_indices_from(covariance)] += scale * (noise - added)
        added = noise
        try:
            return np.asarray(cholesky(covariance, lower=True, check_finite=False))
        except LinAlgError:
            continue
    raise PredictorError("the Gaussian process found no covariance for these scores; predict with nl.predict.Trees instead")


def fit_kernel(views: tuple[Array, ...], y: Array, iterations: int = 60) -> Fitted:
    """The parameters with the highest posterior for values ``y`` (N,) of zero mean at rows given as views (N, D_i)."""
    from scipy.optimize import minimize

    likelihood = _Posterior(views, y)
    away = _WITHIN * likelihood.deviation
    bounds = np.column_stack([likelihood.mean - away, likelihood.mean + away])
    best = minimize(
        likelihood, likelihood.mean.copy(), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": iterations}
    )
    return likelihood.fitted(best.x)


class _Posterior:
    """Negative logarithm of the posterior and its gradient.

    Parameters, all logarithms: a length per column of the first view, its overall length, length and weight of every other
    view, noise as a share of the signal, signal variance.
    """

    def __init__(self, views: tuple[Array, ...], y: Array) -> None:
        self.first, self.y, self.columns, self.others = views[0], y, views[0].shape[1], len(views) - 1
        self.distances = [median_distance(view) for view in views]
        self.squared = [squared_distances(v, v) / d**2 for v, d in zip(views[1:], self.distances[1:])]
        priors = [_COLUMN] * self.columns + [_LENGTH] + [_VIEW_LENGTH] * self.others + [_VIEW_WEIGHT] * self.others
        priors += [_NOISE, _SIGNAL]
        self.mean = np.array([mean for mean, _ in priors])
        self.deviation = np.array([deviation for _, deviation in priors])
        self.views = views

    def parts(self, x: Array) -> tuple[Array, float, Array, Array, float, float]:
        d, k = self.columns, self.others
        return x[:d], x[d], x[d + 1 : d + 1 + k], np.exp(x[d + 1 + k : d + 1 + 2 * k]), np.exp(x[-2]), np.exp(x[-1])

    def fitted(self, x: Array) -> Fitted:
        columns, length, lengths, weights, noise, signal = self.parts(x)
        scales = [np.exp(columns + length) * self.distances[0]]
        for log_length, distance, view in zip(lengths, self.distances[1:], self.views[1:]):
            scales.append(np.full(view.shape[1], np.exp(log_length) * distance))
        return Fitted(tuple(scales), (1.0, *weights.tolist()), float(noise), float(signal))

    def __call__(self, x: Array) -> tuple[float, Array]:
        from scipy.linalg import cho_solve

        columns, length, lengths, weights, noise, signal = self.parts(x)
        n = len(self.y)
        z = self.first * np.exp(-columns - length) / self.distances[0]
        near = squared_distances(z, z)
        squares = [s * np.exp(-2 * log_length) for s, log_length in zip(self.squared, lengths)]
        kernels = [matern(square) for square in squares]
        covariance = signal * (matern(near) + sum(w * k for w, k in zip(weights, kernels)) + (noise + 1e-8) * np.eye(n))
        factor = factored(covariance, signal)
        solved = cho_solve((factor, True), self.y, check_finite=False)
        value = 0.5 * self.y @ solved + np.log(np.diagonal(factor)).sum()
        outer = 0.5 * (cho_solve((factor, True), np.eye(n), check_finite=False) - np.outer(solved, solved))
        away = (x - self.mean) / self.deviation
        value += 0.5 * away @ away
        gradient = away / self.deviation
        pull = outer * (signal * _slope(near))
        # Σ_ab pull_ab (z_aj − z_bj)² for every column j, without a table of N × N × D.
        by_column = 2 * (pull.sum(1) @ (z * z) - np.einsum("aj,aj->j", z, pull @ z))
        d, k = self.columns, self.others
        gradient[:d] -= 2 * by_column
        gradient[d] -= 2 * by_column.sum()
        for i, (square, kernel, weight) in enumerate(zip(squares, kernels, weights)):
            gradient[d + 1 + i] -= 2 * signal * weight * (outer * _slope(square) * square).sum()
            gradient[d + 1 + k + i] += signal * weight * (outer * kernel).sum()
        gradient[-2] += signal * noise * np.trace(outer)
        gradient[-1] += 0.5 * (n - self.y @ solved)
        return float(value), gradient
