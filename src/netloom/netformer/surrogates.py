"""Quick models of data, asked where there are none: ridge regression, and kernel ridge regression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: Answers (N, K) for inputs (N, k).
Surrogate = Callable[[Array], Array]
SURROGATES = ("auto", "ridge", "kernel")
_PENALTIES = np.logspace(-4, 2, 13)
#: Length scales of the kernel, in units of the median distance between samples.
_LENGTHS = (0.5, 1.0, 2.0, 4.0)
#: Samples that the kernel is fitted on at most.
_MOST_ROWS = 1000


def fitted(name: str, z: Array, targets: Array) -> Surrogate:
    """The surrogate called ``name`` on inputs (n, k) and targets (n, K); its settings by leaving one out."""
    found = [_ridge(z, targets)] if name in ("auto", "ridge") else []
    if name in ("auto", "kernel"):
        found.append(_kernel(z, targets))
    return min(found, key=lambda pair: pair[1])[0]


def _ridge(z: Array, targets: Array) -> tuple[Surrogate, float]:
    """Linear regression with a penalty."""
    design = np.concatenate([z, np.ones((len(z), 1))], 1)
    weights, error = _solved(design, design, targets)
    return lambda x: np.concatenate([x, np.ones((len(x), 1))], 1) @ weights, error


def _solved(features: Array, design: Array, targets: Array) -> tuple[Array, float]:
    """Coefficients of features by least squares with the penalty that leaves-one-out best, and that error."""
    u, s, vt = np.linalg.svd(design, full_matrices=False)
    projected = u.T @ targets
    best: tuple[float, Any] = (np.inf, None)
    for penalty in _PENALTIES * len(design) * 1e-2:
        shrunk = s**2 / (s**2 + penalty)
        leverage = u**2 @ shrunk
        residual = (targets - u @ (shrunk[:, None] * projected)) / np.maximum(1 - leverage, 1e-3)[:, None]
        error = float((residual**2).mean())
        if error < best[0]:
            best = error, vt.T @ ((s / (s**2 + penalty))[:, None] * projected)
    return best[1], best[0]


def _kernel(z: Array, targets: Array) -> tuple[Surrogate, float]:
    """Kernel ridge regression of what a ridge regression leaves, with a Gaussian kernel."""
    if len(z) > _MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(len(z), _MOST_ROWS, replace=False))
        z, targets = z[rows], targets[rows]
    linear, _ = _ridge(z, targets)
    rest = targets - linear(z)
    distances = _squared(z, z)
    middle = float(np.median(distances[distances > 0])) if (distances > 0).any() else 1.0
    best: tuple[float, Any] = (np.inf, None)
    for length in _LENGTHS:
        scale = middle * length**2
        values, vectors = np.linalg.eigh(np.exp(-distances / scale))
        values, projected = np.maximum(values, 0), vectors.T @ rest
        for penalty in _PENALTIES:
            shrunk = values / (values + penalty)
            leverage = vectors**2 @ shrunk
            residual = (rest - vectors @ (shrunk[:, None] * projected)) / np.maximum(1 - leverage, 1e-3)[:, None]
            error = float((residual**2).mean())
            if error < best[0]:
                best = error, (scale, vectors @ (projected / (values + penalty)[:, None]))
    scale, weights = best[1]
    return lambda x: linear(x) + np.exp(-_squared(x, z) / scale) @ weights, best[0]


def _squared(a: Array, b: Array) -> Array:
    """Squared distances (N, M) between rows."""
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0)
