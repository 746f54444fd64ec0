"""Many perceptrons of one depth computed at once: padded weights, activations by network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_FUNCTIONS = {
    "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": F.gelu, "silu": F.silu, "elu": F.elu,
    "softplus": F.softplus, "softsign": F.softsign,
}  # fmt: skip
#: Derivatives by what the function gives.
_SLOPES = {
    "relu": lambda a: (a > 0).to(a.dtype),
    "tanh": lambda a: 1 - a * a,
    "sigmoid": lambda a: a * (1 - a),
}

#: Weights (M, in, out) and biases (M, 1, out) of one layer of M networks.
Layer = tuple[Tensor, Tensor]


class _Activate(torch.autograd.Function):
    """Each network's own function on its values (M, …): a call for each function, on the networks that have it."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, codes: Tensor, names: tuple[str, ...]) -> Tensor:
        out = torch.empty_like(z)
        groups = [(name, (codes == code).nonzero().flatten()) for code, name in enumerate(names)]
        groups = [(name, places) for name, places in groups if len(places)]
        for name, places in groups:
            out.index_copy_(0, places, _FUNCTIONS[name](z.index_select(0, places)))
        written = all(name in _SLOPES for name, _ in groups)
        ctx.groups = groups
        ctx.save_for_backward(out if written else z)
        ctx.written = written
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (kept,) = ctx.saved_tensors
        found = torch.empty_like(grad)
        for name, places in ctx.groups:
            part, given = kept.index_select(0, places), grad.index_select(0, places)
            if ctx.written:
                given = given * _SLOPES[name](part)
            else:
                with torch.enable_grad():
                    part = part.requires_grad_()
                    (given,) = torch.autograd.grad(_FUNCTIONS[name](part), part, given)
            found.index_copy_(0, places, given)
        return found, None, None


def activated(z: Tensor, codes: Tensor, names: tuple[str, ...]) -> Tensor:
    """The function numbered ``codes`` (M,) in ``names`` of each network's values (M, …).

    >>> activated(torch.tensor([[-1.0], [-1.0]]), torch.tensor([0, 1]), ("relu", "sigmoid")).flatten()
    tensor([0.0000, 0.2689])
    """
    return _Activate.apply(z, codes, names)  # type: ignore[no-any-return]


def hidden_values(
    layers: Sequence[Layer], activations: Tensor, names: tuple[str, ...], x: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Pre-activations and values (M, n, width) of each hidden layer, for inputs ``x`` (M, n, in).

    Weights of neurons that are padding are zero, on both sides; what such a neuron gives is of no meaning.
    """
    found = []
    for number, (weight, bias) in enumerate(layers):
        z = torch.baddbmm(bias, x, weight)
        x = activated(z, activations[:, number], names)
        found.append((z, x))
    return found


def solve_readout(values: Tensor, mask: Tensor, answers: Tensor, ridge: float) -> Layer:
    """Output weights (M, W, K) and biases (M, 1, K) by which values (M, n, W) come nearest to ``answers`` (M, n, K).

    Least squares with a penalty ``ridge`` on weights, in units where the answers' variance is 1; ``mask`` (M, W) is 0 at
    padding.
    """
    count, width = values.shape[1], values.shape[2]
    ones = torch.ones(*values.shape[:2], 1, dtype=values.dtype)
    design = torch.cat([values * mask[:, None], ones], 2)
    gram = design.mT @ design / count
    penalty = torch.full((width + 1,), ridge, dtype=values.dtype)
    penalty[-1] = ridge * 1e-3
    found = torch.linalg.solve(gram + torch.diag(penalty), design.mT @ answers / count)
    return found[:, :width], found[:, width:]
