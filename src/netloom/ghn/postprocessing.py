"""What is done to predicted weights before they are trained on: noise that tells copies apart, and orthogonal rows."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..errors import HypernetworkError


def prepare(model: nn.Module, *, beta: float = 0.0, orthogonal: bool = False, from_layer: int = 1, seed: int = 0) -> int:
    """Break the symmetry of predicted weights in place; gives how many were changed.

    Weights of two dimensions and more are layers, counted from 1; those from ``from_layer`` on are changed, but for the last,
    the classifier. Noise of ``beta`` times the deviation of the correlations between a weight's rows is added (large
    weights are tiled, so that rows are copies and would stay so); then, if ``orthogonal``, the weight as a matrix is replaced
    by the Q of its QR decomposition. Source: Knyazev et al., ICML 2023, section 3.3 (noise); orthogonal predictions as in
    ppuda's later recipes.

    >>> layers = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    >>> prepare(layers, orthogonal=True)
    2
    >>> bool(torch.allclose(layers[0].weight @ layers[0].weight.t(), torch.eye(4), atol=1e-5))
    True
    """
    if isinstance(beta, bool) or not isinstance(beta, int | float) or not 0 <= beta < math.inf:
        raise HypernetworkError(f"beta = {beta!r}; expected a number from 0")
    if type(from_layer) is not int or from_layer < 1:
        raise HypernetworkError(f"from_layer = {from_layer!r}; expected a whole number, layers are counted from 1")
    if type(seed) is not int:
        raise HypernetworkError(f"seed = {seed!r}; expected a whole number")
    layers = [weight for weight in model.parameters() if weight.dim() >= 2]
    if (beta or orthogonal) and from_layer >= max(2, len(layers)):
        raise HypernetworkError(f"from_layer = {from_layer}, but the network has {len(layers)} layers, the last its classifier")
    if not beta and not orthogonal:
        return 0
    generator = torch.Generator().manual_seed(seed)
    chosen = layers[from_layer - 1 : -1]
    with torch.no_grad():
        for weight in chosen:
            matrix = weight.flatten(1).float()
            if beta:
                noise = torch.randn(matrix.shape, generator=generator).to(matrix)
                matrix = matrix + beta * _spread(matrix) * noise
            if orthogonal:
                matrix = _orthogonal(matrix)
            weight.copy_(matrix.view(weight.shape))
    return len(chosen)


def _spread(matrix: Tensor) -> float:
    """Standard deviation of the correlations between rows; 0 where there is but one row, or none varies."""
    if matrix.shape[0] < 2 or matrix.shape[1] < 2:
        return 0.0
    found = torch.corrcoef(matrix).nan_to_num(0.0)
    return float(found.std(unbiased=False))


def _orthogonal(matrix: Tensor) -> Tensor:
    """The nearest thing to it with orthonormal rows, or columns where there are more rows."""
    tall = matrix.t() if matrix.shape[0] < matrix.shape[1] else matrix
    q, r = torch.linalg.qr(tall)
    q = q * torch.where(r.diagonal() < 0, -1.0, 1.0)
    return q.t() if matrix.shape[0] < matrix.shape[1] else q
