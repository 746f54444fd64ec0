"""Optimisers as one call for all weights.

`torch.optim` computes the same updates; what it spends on Python for every weight at every step is, on the small networks that
searches train, as much as the backward pass. Here the lists that torch's fused kernels take are made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import TrainingError
from .muon import orthogonal
from .recipes import Recipe

#: Added to the root of the second moment (AdamW) and to the norm of a gradient that is clipped.
EPSILON = 1e-8
CLIP_EPSILON = 1e-6


class Group:
    """Weights that one call of a kernel updates: of one dtype and device, with one rule and one weight decay."""

    def __init__(self, names: Sequence[str], weights: Sequence[Tensor], rule: str, weight_decay: float) -> None:
        self.names, self.weights, self.rule, self.weight_decay = tuple(names), tuple(weights), rule, weight_decay
        self.has_complex = any(weight.is_complex() for weight in weights)
        self.values = [_real(weight.detach()) for weight in weights]
        self.first = [torch.zeros_like(value) for value in self.values]
        self.second = [torch.zeros_like(value) for value in self.values] if rule == "adamw" else []
        # Counted where the kernels read it, so that no step waits for another device.
        self.steps = torch.zeros((), device=self.values[0].device)

    def learning(self) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """Values, gradients, first and second moments of the weights that have a gradient."""
        found = [weight.grad for weight in self.weights]
        there = [i for i, gradient in enumerate(found) if gradient is not None]
        gradients = [_real(found[i]) for i in there] if self.has_complex else [found[i] for i in there]
        if len(there) == len(found):
            return self.values, gradients, self.first, self.second
        values, first = [self.values[i] for i in there], [self.first[i] for i in there]
        return values, gradients, first, [self.second[i] for i in there] if self.second else []

    def tensors(self) -> dict[str, Tensor]:
        """Everything that is remembered between steps, by name."""
        found = {f"first.{name}": value for name, value in zip(self.names, self.first)}
        found |= {f"second.{name}": value for name, value in zip(self.names, self.second)}
        return found | {f"steps.{self.names[0]}": self.steps}


def _real(tensor: Tensor) -> Tensor:
    """Complex numbers as pairs of real ones, which the kernels take."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


class Optimizer:
    """Updates weights in place by a recipe's rule.

    ``weights`` are pairs (name, parameter); those that require no gradient are left out. `TrainingError` where none is left.

    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = Optimizer([("weight", weight)], Recipe(optimizer="sgd", momentum=0.0, weight_decay=0.0))
    >>> weight.grad = torch.tensor([2.0])
    >>> optimizer.step(0.25)
    >>> weight.item()
    0.5
    """

    def __init__(self, weights: Iterable[tuple[str, torch.nn.Parameter]], recipe: Recipe) -> None:
        named = [(name, weight) for name, weight in weights if weight.requires_grad]
        if not named:
            raise TrainingError("the network has no parameter that requires a gradient; there is nothing to train")
        self.recipe = recipe
        self.weights = [weight for _, weight in named]
        self.groups = [Group(*group) for group in _grouped(named, recipe)]
        kinds = {(weight.device, weight.dtype) for weight in self.weights}
        self._widest = torch.float64 if any(dtype in (torch.float64, torch.complex128) for _, dtype in kinds) else torch.float32
        self._norms_differ = kinds != {(self.weights[0].device, self._widest)}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for weight in self.weights:
            weight.grad = None

    def gradients(self) -> list[Tensor]:
        """The gradients that there are."""
        return [weight.grad for weight in self.weights if weight.grad is not None]

    def clip(self, largest: float) -> None:
        """Scale all gradients down together where their norm exceeds ``largest``."""
        gradients = self.gradients()
        if not gradients:
            return
        norms = torch._foreach_norm(gradients)
        if self._norms_differ:
            norms = [n.to(norms[0].device, self._widest) for n in norms]
        norm = torch.linalg.vector_norm(torch.stack(norms))
        if norm.device.type != "cpu":
            torch._foreach_mul_(gradients, (largest / (norm + CLIP_EPSILON)).clamp_(max=1.0))
            return
        share = largest / (norm.item() + CLIP_EPSILON)
        if not share >= 1:  # most often it is, and a norm that is no number must not pass
            torch._foreach_mul_(gradients, share)

    def step(self, rate: float, skip: Tensor | None = None) -> None:
        """Update every weight that has a gradient; nothing where ``skip``, a float32 scalar on the device, is 1."""
        for group in self.groups:
            values, gradients, first, second = group.learning()
            if values:
                group.steps += 1 if skip is None else 1 - skip
                _RULES[group.rule](self.recipe, group, rate, skip, values, gradients, first, second)

    def state_dict(self) -> dict[str, Tensor]:
        """Every tensor that is remembered between steps, by name."""
        return {key: value for group in self.groups for key, value in group.tensors().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over what `state_dict` gave; layouts in memory stay those of the weights, which the kernels need."""
        own = self.state_dict()
        if set(own) != set(state):
            raise TrainingError(f"the optimiser's state is of other weights: {', '.join(sorted(set(own) ^ set(state))[:5])}")
        for key, value in own.items():
            value.copy_(state[key])


def _grouped(named: Sequence[tuple[str, Tensor]], recipe: Recipe) -> list[tuple[list[str], list[Tensor], str, float]]:
    """Names, weights, rule and weight decay of each group."""
    found: dict[Any, tuple[list[str], list[Tensor], str, float]] = {}
    hidden = _hidden(named) if recipe.optimizer == "muon" else set()
    for name, weight in named:
        rule = recipe.optimizer if recipe.optimizer != "muon" or name in hidden else "adamw"
        decay = recipe.weight_decay if recipe.decay_biases or weight.ndim > 1 else 0.0
        key = (rule, decay, weight.dtype, weight.device)
        names, weights, *_ = found.setdefault(key, ([], [], rule, decay))
        names.append(name)
        weights.append(weight)
    return list(found.values())


def _hidden(named: Sequence[tuple[str, Tensor]]) -> set[str]:
    """The weights that Muon makes orthogonal: matrices and kernels, except the last, which gives the logits."""
    matrices = [name for name, weight in named if weight.ndim >= 2 and not weight.is_complex()]
    return set(matrices[:-1])


# -- rules ---------------------------------------------------------------------------------------------------------
Rule = Callable[[Recipe, Group, float, "Tensor | None", list[Tensor], list[Tensor], list[Tensor], list[Tensor]], None]


def _adamw(
    recipe: Recipe, group: Group, rate: float, skip: Tensor | None,
    values: list[Tensor], gradients: list[Tensor], first: list[Tensor], second: list[Tensor],
) -> None:  # fmt: skip
    torch._fused_adamw_(
        values, gradients, first, second, [], [group.steps] * len(values), lr=rate, beta1=recipe.betas[0],
        beta2=recipe.betas[1], weight_decay=group.weight_decay, eps=EPSILON, amsgrad=False, maximize=False, found_inf=skip,
    )  # fmt: skip


def _sgd(
    recipe: Recipe, group: Group, rate: float, skip: Tensor | None,
    values: list[Tensor], gradients: list[Tensor], first: list[Tensor], second: list[Tensor],
) -> None:  # fmt: skip
    # The buffers begin as zeros and there is no dampening, so the first step needs no case of its own.
    buffers = first if recipe.momentum else []
    torch._fused_sgd_(
        values, gradients, buffers, weight_decay=group.weight_decay, momentum=recipe.momentum, lr=rate, dampening=0.0,
        nesterov=recipe.nesterov, maximize=False, is_first_step=False, found_inf=skip,
    )  # fmt: skip


def _muon(
    recipe: Recipe, group: Group, rate: float, skip: Tensor | None,
    values: list[Tensor], gradients: list[Tensor], first: list[Tensor], second: list[Tensor],
) -> None:  # fmt: skip
    """(Jordan et al. 2024; the scale with which one learning rate fits AdamW too: Liu et al. 2025, equation 4)"""
    if skip is not None:
        gradients = [torch.where(skip > 0, torch.zeros_like(g), g) for g in gradients]
    torch._foreach_lerp_(first, gradients, 1 - recipe.momentum)
    updates = torch._foreach_lerp(gradients, first, recipe.momentum) if recipe.nesterov else first
    moves = orthogonal(updates)
    shrink: Any = rate * group.weight_decay
    if skip is not None:
        moves, shrink = [move * (1 - skip) for move in moves], shrink * (1 - skip)
    torch._foreach_mul_(values, 1 - shrink)
    torch._foreach_add_(values, moves, alpha=-rate)


_RULES: dict[str, Rule] = {"adamw": _adamw, "sgd": _sgd, "muon": _muon}
