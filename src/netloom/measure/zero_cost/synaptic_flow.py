"""synflow: how much flows through all weights together, without any data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import MeasureError
from .probe import without
from .signals import Signals, family, gradients


def synflow(signals: Signals) -> float:
    """Σ |θ ⊙ ∂R/∂θ|, R the sum of the outputs for an input of ones, every parameter replaced by its absolute value.

    Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic flow", NeurIPS 2020.
    Normalisation is left out, as Abdelfattah et al. (2021) do: it would undo what flows. In float64, as products over depth are
    large. Inputs that are whole numbers stay those of the batch's first sample.
    """
    graph = without(signals.graph, lambda step: family(step) == "norm")
    state = {key: tensor.abs() if tensor.is_floating_point() else tensor for key, tensor in signals.state.items()}
    inputs = first_sample(signals.inputs)
    try:
        wide = {key: tensor.double() if tensor.is_floating_point() else tensor for key, tensor in state.items()}
        run = signals.run(graph=graph, state=wide, inputs=ones(inputs, torch.float64))
    except MeasureError:
        # A call that fixes its dtype does not take wider numbers beside its own.
        run = signals.run(graph=graph, state=state, inputs=ones(inputs, None))
    weights = [run.tensors[key] for key in signals.weight_keys]
    total = torch.stack([output.sum() for output in run.outputs]).sum()
    return sum(float((weight.detach() * g).abs().double().sum()) for weight, g in zip(weights, gradients(total, weights)))


def first_sample(tree: Any) -> Any:
    """The first row of every tensor."""
    if isinstance(tree, Tensor):
        return tree[:1]
    if isinstance(tree, dict):
        return {name: first_sample(value) for name, value in tree.items()}
    return type(tree)(map(first_sample, tree)) if isinstance(tree, tuple | list) else tree


def ones(tree: Any, dtype: torch.dtype | None) -> Any:
    """Ones in place of all real numbers."""
    if isinstance(tree, Tensor):
        return torch.ones_like(tree, dtype=dtype) if tree.is_floating_point() else tree
    if isinstance(tree, dict):
        return {name: ones(value, dtype) for name, value in tree.items()}
    return type(tree)(ones(value, dtype) for value in tree) if isinstance(tree, tuple | list) else tree
