"""What neural predictors minimise: squared errors of normal scores, or how far predictions order graphs wrongly.

All take predictions of K members (K, B), targets (B,) and which targets each member may learn from (K, B), and give the sum
over members of their mean losses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

#: By how many normal scores the better of two is to be predicted higher.
_MARGIN = 0.1


def mse(predicted: Tensor, targets: Tensor, seen: Tensor) -> Tensor:
    """Squared errors; with normal scores as targets as good as losses of pairs."""
    return _mean((predicted - targets).square(), seen)


def hinge(predicted: Tensor, targets: Tensor, seen: Tensor) -> Tensor:
    """By how much pairs miss a margin of 0.1 in the right order. (Ning et al., "GATES", ECCV 2020)"""
    gaps, pairs = _pairs(predicted, targets, seen)
    return _mean((_MARGIN - gaps).clamp_min(0), pairs)


def logistic(predicted: Tensor, targets: Tensor, seen: Tensor) -> Tensor:
    """Minus the logarithm of the chance of the right order of pairs. (Burges et al., "RankNet", ICML 2005)"""
    import torch.nn.functional as F

    gaps, pairs = _pairs(predicted, targets, seen)
    return _mean(F.softplus(-gaps), pairs)


def listmle(predicted: Tensor, targets: Tensor, seen: Tensor) -> Tensor:
    """Minus the logarithm of the chance of the right order of all, for each place. (Xia et al., ICML 2008)"""
    order = targets.argsort(descending=True)
    hidden = ~seen[:, order]
    ordered = predicted[:, order].masked_fill(hidden, -1e9)
    rest = ordered.flip(1).logcumsumexp(1).flip(1)
    return _mean(rest - ordered, ~hidden)


def _pairs(predicted: Tensor, targets: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Of every pair in which the first is better: predicted gaps (K, B, B), and which pairs there are."""
    better = targets[:, None] > targets[None]
    return predicted[:, :, None] - predicted[:, None], better & seen[:, :, None] & seen[:, None]


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """Sum over members of the means of what counts; 0 for a member of whom nothing does."""
    axes = tuple(range(1, values.ndim))
    found: Any = ((values * counted).sum(axes) / counted.sum(axes).clamp_min(1)).sum()
    return found


LOSSES: dict[str, Loss] = {"mse": mse, "hinge": hinge, "logistic": logistic, "listmle": listmle}
