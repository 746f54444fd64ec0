"""Layers of several networks at once: every parameter has a first axis K, one entry for each member of an ensemble.

The networks of predictors are small, and their members see the same graphs: one call for all of them costs little more than a
call for one. Parameters are a dict of tensors, layers are functions of it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Parameters = dict[str, Tensor]


class Initial:
    """Makes initial parameters of K members, entry by entry."""

    def __init__(self, members: int, generator: torch.Generator) -> None:
        self.members, self.generator = members, generator
        self.parameters: Parameters = {}

    def linear(self, name: str, inputs: int, outputs: int, scale: float = 1.0) -> None:
        """Uniform weights that keep the variance of what they get, times ``scale``²; no bias."""
        import torch

        bound = scale * math.sqrt(3 / max(inputs, 1))
        weight = torch.rand((self.members, inputs, outputs), generator=self.generator) * (2 * bound) - bound
        self.parameters[f"{name}.weight"] = weight
        self.parameters[f"{name}.bias"] = torch.zeros(self.members, 1, outputs)

    def norm(self, name: str, width: int) -> None:
        """Gains of one and shifts of zero."""
        import torch

        self.parameters[f"{name}.gain"] = torch.ones(self.members, 1, width)
        self.parameters[f"{name}.shift"] = torch.zeros(self.members, 1, width)

    def table(self, name: str, *shape: int, scale: float = 0.02) -> None:
        """Normal entries (K, …) of this deviation."""
        import torch

        self.parameters[name] = scale * torch.randn((self.members, *shape), generator=self.generator)


def linear(parameters: Parameters, name: str, x: Tensor) -> Tensor:
    """(K, M, I) → (K, M, O); values (M, I) are the same for all members."""
    import torch

    weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
    if x.ndim == 2:
        x = x.expand(len(weight), *x.shape)
    return torch.baddbmm(bias, x, weight)


def norm(parameters: Parameters, name: str, x: Tensor) -> Tensor:
    """Values (K, M, D) of mean 0 and variance 1 over D, times a gain, plus a shift. (Ba et al., 2016)"""
    import torch.nn.functional as F

    return F.layer_norm(x, x.shape[-1:]) * parameters[f"{name}.gain"] + parameters[f"{name}.shift"]


def dropout(x: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Some entries set to zero and the others scaled up; without a generator nothing. (Srivastava et al., 2014)"""
    import torch

    if generator is None or not rate:
        return x
    kept = torch.rand(x.shape, generator=generator) >= rate
    return x * kept / (1 - rate)


def summed(values: Tensor, to: Tensor, count: int) -> Tensor:
    """Sums (K, count, D) of the rows of (K, M, D) that go to the same place, ``to`` (M,)."""
    return values.new_zeros(len(values), count, values.shape[2]).index_add_(1, to, values)
