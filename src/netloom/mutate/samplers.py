"""Samplers of layers: what `AddNode` and `Replace` put into a network, as values.

A sampler is a function (value, rng) → value of the builder. Those here keep the shape of the value, whatever it is; yours may
be any function, such as ``lambda v, rng: nl.relu(nl.conv2d(v, v.shape[1], kernel=3, padding=1))``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import EditError
from ..graph.builder import Value, call

if TYPE_CHECKING:
    import numpy as np

#: (value, rng) → value.
Sampler = Callable[[Value, "np.random.Generator"], Value]
Choice = TypeVar("Choice")


def drawn(choices: Sequence[Choice], rng: np.random.Generator) -> Choice:
    """One of several, evenly."""
    return choices[int(rng.integers(len(choices)))]


@dataclass(frozen=True, slots=True)
class LinearLayer:
    """A linear layer over the last axis (N, …, F) → (N, …, F), then one of the ``activations`` ("" for none).

    `EditError` where F is more than ``widest``: a flattened image would get F² weights.

    >>> import netloom as nl, numpy as np
    >>> x = nl.input(6)
    >>> nl.Graph(x, LinearLayer()(x, np.random.default_rng(0)))["linear"].out_size
    6
    """

    activations: tuple[str, ...] = ("relu",)
    widest: int = 4096

    def __call__(self, value: Value, rng: np.random.Generator) -> Value:
        size = value.shape[-1]
        if not isinstance(size, int) or size > self.widest:
            raise EditError(f"a linear layer of {size} features is wider than {self.widest}; LinearLayer(widest=…) allows more")
        return _activated(call("linear", value, size), self.activations, rng)


@dataclass(frozen=True, slots=True)
class ConvLayer:
    """A convolution (N, C, …) → (N, C, …) with one of the ``kernels``, batch norm, one of the ``activations`` ("" for none).

    It has one, two or three axes of space, as the value has. Kernels are odd, so that padding keeps the size and the layer may
    begin as an identity.
    """

    kernels: tuple[int, ...] = (1, 3, 5)
    activations: tuple[str, ...] = ("relu",)
    norm: bool = True

    def __post_init__(self) -> None:
        odd = [kernel for kernel in self.kernels if kernel < 1 or kernel % 2 == 0]
        if odd or not self.kernels:
            raise EditError(f"kernels = {self.kernels}; expected odd numbers, by which padding keeps the size")

    def __call__(self, value: Value, rng: np.random.Generator) -> Value:
        axes = value.type.rank - 2
        if axes not in (1, 2, 3):
            raise EditError(f"a convolution needs one to three axes of space; the value is {value.type}")
        kernel = drawn(self.kernels, rng)
        result = call(f"conv{axes}d", value, value.shape[1], kernel=kernel, padding=kernel // 2, bias=not self.norm)
        return _activated(call("batch_norm", result) if self.norm else result, self.activations, rng)


@dataclass(frozen=True, slots=True)
class AnyLayer:
    """``conv`` for images and volumes (N, C, H, W, …), ``linear`` for everything else."""

    conv: Sampler = field(default_factory=ConvLayer)
    linear: Sampler = field(default_factory=LinearLayer)

    def __call__(self, value: Value, rng: np.random.Generator) -> Value:
        return (self.conv if value.type.rank > 3 else self.linear)(value, rng)


@dataclass(frozen=True, slots=True)
class ResidualBlock:
    """The value plus two layers of it; the second begins as zero, so that the block begins as an identity wherever it is."""

    layer: Sampler = field(default_factory=AnyLayer)
    last: Sampler = field(default_factory=lambda: AnyLayer(ConvLayer(activations=("",)), LinearLayer(activations=("",))))

    def __call__(self, value: Value, rng: np.random.Generator) -> Value:
        return value + self.last(self.layer(value, rng), rng)


def _activated(value: Value, activations: Sequence[str], rng: np.random.Generator) -> Any:
    name = drawn(activations, rng) if activations else ""
    return call(name, value) if name else value
