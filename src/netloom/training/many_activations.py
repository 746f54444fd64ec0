"""Elementwise activations on buffers: values are written to a given tensor, gradients multiplied in place.

The common ones have their backward written down, so that no autograd graph is kept; any other elementwise operator of the
inventory goes through autograd for its slice alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

#: ``(z, out)``: writes f(z) to ``out``. ``(grad, kept)``: multiplies ``grad`` by f′, in place.
Forward = Callable[["Tensor", "Tensor"], Any]
Backward = Callable[["Tensor", "Tensor"], Any]


@dataclass(frozen=True, slots=True)
class Elementwise:
    """An activation on buffers. ``keeps_input``: its backward reads z = f's input, otherwise its output."""

    forward: Forward
    backward: Backward
    keeps_input: bool


@lru_cache(maxsize=256)
def elementwise(op: str, attrs: tuple[tuple[str, Any], ...] = ()) -> Elementwise:
    """How to compute the activation called ``op`` with ``attrs`` (name, value), forward and backward.

    >>> import torch
    >>> z = torch.tensor([-1.0, 2.0])
    >>> relu, a, grad = elementwise("relu"), torch.empty(2), torch.ones(2)
    >>> relu.forward(z, a), relu.backward(grad, a)
    (tensor([0., 2.]), tensor([0., 1.]))
    """
    written = _WRITTEN.get(op)
    return written(**dict(attrs)) if written is not None else _by_autograd(op, attrs)


@lru_cache(maxsize=1024)
def at_zero(activations: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]) -> tuple[float, float]:
    """Value and derivative at 0 of activations in a row: what a neuron that is padding gives, and passes back.

    >>> at_zero((("sigmoid", ()),))
    (0.5, 0.25)
    """
    import torch

    value, slope = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    for op, attrs in activations:
        made, given = elementwise(op, attrs), value
        value = torch.empty_like(given)
        made.forward(given, value)
        made.backward(slope, given if made.keeps_input else value)
    return float(value), float(slope)


# -- backwards that are written down -----------------------------------------------------------------------------------
def _relu() -> Elementwise:
    import torch

    aten = torch.ops.aten
    return Elementwise(
        lambda z, out: torch.clamp_min(z, 0, out=out),
        lambda grad, a: aten.threshold_backward.grad_input(grad, a, 0, grad_input=grad),
        keeps_input=False,
    )


def _tanh() -> Elementwise:
    import torch

    return Elementwise(
        lambda z, out: torch.tanh(z, out=out),
        lambda grad, a: torch.ops.aten.tanh_backward.grad_input(grad, a, grad_input=grad),
        keeps_input=False,
    )


def _sigmoid() -> Elementwise:
    import torch

    return Elementwise(
        lambda z, out: torch.sigmoid(z, out=out),
        lambda grad, a: torch.ops.aten.sigmoid_backward.grad_input(grad, a, grad_input=grad),
        keeps_input=False,
    )


def _gelu(approximate: str = "none") -> Elementwise:
    import torch

    aten = torch.ops.aten
    return Elementwise(
        lambda z, out: aten.gelu.out(z, approximate=approximate, out=out),
        lambda grad, z: aten.gelu_backward.grad_input(grad, z, approximate=approximate, grad_input=grad),
        keeps_input=True,
    )


def _silu() -> Elementwise:
    import torch

    aten = torch.ops.aten
    return Elementwise(
        lambda z, out: aten.silu.out(z, out=out),
        lambda grad, z: aten.silu_backward.grad_input(grad, z, grad_input=grad),
        keeps_input=True,
    )


def _leaky_relu(negative_slope: float = 0.01) -> Elementwise:
    import torch

    aten = torch.ops.aten
    return Elementwise(
        lambda z, out: aten.leaky_relu.out(z, negative_slope, out=out),
        lambda grad, z: aten.leaky_relu_backward.grad_input(grad, z, negative_slope, False, grad_input=grad),
        keeps_input=True,
    )


def _elu(alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Elementwise:
    import torch

    aten = torch.ops.aten
    return Elementwise(
        lambda z, out: aten.elu.out(z, alpha, scale, input_scale, out=out),
        lambda grad, z: aten.elu_backward.grad_input(grad, alpha, scale, input_scale, False, z, grad_input=grad),
        keeps_input=True,
    )


def _selu() -> Elementwise:
    return _elu(1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


def _softplus(beta: float = 1.0, threshold: float = 20.0) -> Elementwise:
    import torch

    aten = torch.ops.aten
    return Elementwise(
        lambda z, out: aten.softplus.out(z, beta, threshold, out=out),
        lambda grad, z: aten.softplus_backward.grad_input(grad, z, beta, threshold, grad_input=grad),
        keeps_input=True,
    )


def _hardtanh(min_val: float = -1.0, max_val: float = 1.0) -> Elementwise:
    import torch

    aten = torch.ops.aten
    return Elementwise(
        lambda z, out: aten.hardtanh.out(z, min_val, max_val, out=out),
        lambda grad, z: aten.hardtanh_backward.grad_input(grad, z, min_val, max_val, grad_input=grad),
        keeps_input=True,
    )


def _of_aten(forward: str, backward: str) -> Callable[[], Elementwise]:
    """Of operators whose backward gives a new tensor."""

    def make() -> Elementwise:
        import torch

        compute, derive = getattr(torch.ops.aten, forward), getattr(torch.ops.aten, backward)
        return Elementwise(
            lambda z, out: compute.out(z, out=out), lambda grad, z: grad.copy_(derive(grad, z)), keeps_input=True
        )  # fmt: skip

    return make


def _softsign() -> Elementwise:
    import torch

    def forward(z: Tensor, out: Tensor) -> Any:
        return torch.div(z, z.abs().add_(1), out=out)

    return Elementwise(forward, lambda grad, z: grad.div_(z.abs().add_(1).square_()), keeps_input=True)


_WRITTEN: dict[str, Callable[..., Elementwise]] = {
    "relu": _relu,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "gelu": _gelu,
    "silu": _silu,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "celu": lambda alpha=1.0: _elu(alpha, 1.0, 1.0 / alpha),
    "selu": _selu,
    "softplus": _softplus,
    "hardtanh": _hardtanh,
    "mish": _of_aten("mish", "mish_backward"),
    "hardswish": _of_aten("hardswish", "hardswish_backward"),
    "hardsigmoid": _of_aten("hardsigmoid", "hardsigmoid_backward"),
    "softsign": _softsign,
    "relu6": lambda: _hardtanh(0.0, 6.0),
}


def _by_autograd(op: str, attrs: tuple[tuple[str, Any], ...]) -> Elementwise:
    """Any elementwise operator: the network of one call, asked for its derivative."""
    import torch

    from ..building.network import build
    from ..graph.builder import function, input
    from ..graph.graph import Graph

    x = input(1)
    # One network for every dtype and shape: its only call is elementwise.
    compute = build(Graph(x, function(op)(x, **dict(attrs)))).forward

    def backward(grad: Tensor, z: Tensor) -> Any:
        with torch.enable_grad():
            given = z.detach().requires_grad_()
            (found,) = torch.autograd.grad(compute(given), given, grad)
        return grad.copy_(found)

    return Elementwise(lambda z, out: out.copy_(compute(z)), backward, keeps_input=True)
