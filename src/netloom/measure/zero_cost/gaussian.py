"""zen: how complex a function a network is, measured on Gaussian weights and inputs."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...graph.step import Step
from ...ops import Edge
from .probe import Undefined, is_real
from .signals import Signals, family

#: Size of the perturbation of the inputs, in the paper's experiments.
_ALPHA = 0.01
#: Calls that only lay out anew what they take; of pools and reductions, those that leave one position do too.
_LAYOUT = frozenset({"view", "permute", "layout", "dropout", "cast", "expand"})
_REDUCING = frozenset({"pool", "reduce"})


def zen(signals: Signals) -> float:
    """log E‖f(x) − f(x + α ε)‖ + Σ over batch norms of log √(mean over channels of their variance).

    Lin et al., "Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition", ICCV 2021. Weights, x and ε are Gaussian, α =
    0.01; f are the features before the final pooling and classifier; other norms count as batch norms do, each by the variance
    that it divides by. Residual connections stay, where the paper leaves them out.
    """
    features = _features(signals)
    generator = signals.generator()
    state = _gaussian(signals, generator)
    inputs = _noise(signals.inputs, generator)
    if inputs is None:
        raise Undefined("no input is a real number, so none can be Gaussian noise")
    norms = signals.steps(lambda step: family(step) == "norm" and step.op in _VARIANCES)
    with torch.no_grad():
        run = signals.run([features, *(step.edges[0] for step in norms)], state=state, inputs=inputs)
        moved = signals.run([features], state=state, inputs=_perturbed(inputs, generator))
        axis = signals.sample_axis(features)
        change = (run.values[0] - moved.values[0]).detach().double().movedim(axis, 0).flatten(1)
        total = math.log(max(float(change.norm(dim=1).mean()), 0.0) or math.nan)
        for step, value in zip(norms, run.values[1:]):
            total += 0.5 * math.log(float(_VARIANCES[step.op](value.detach().double(), step)) or math.nan)
    return total


def _features(signals: Signals) -> Edge:
    """The value that the final pooling, or else the last layer, takes; the output where there is no such layer."""
    graph = signals.graph
    if not signals.layers:
        return Edge(graph.outputs[0].name, 0)
    steps = {step.name: step for step in graph.steps}
    last = steps[signals.layers[-1].node]
    found = last.edges[0] if last.edges else signals.layers[-1]
    while True:
        step = steps[found.node]
        kind = family(step)
        is_head = kind in _LAYOUT or (kind in _REDUCING and _leaves_one_position(signals, found))
        if not is_head or len(step.edges) != 1 or not is_real(graph.type_of(step.edges[0])):
            return found
        found = step.edges[0]


def _leaves_one_position(signals: Signals, edge: Edge) -> bool:
    shape = signals.graph.type_of(edge).shape
    return all(size == 1 for size in shape[2:])


def _gaussian(signals: Signals, generator: torch.Generator) -> dict[str, Tensor]:
    """Weights drawn from N(0, 1); biases and shifts 0, scales 1."""
    state = {key: tensor.clone() for key, tensor in signals.state.items()}
    for key in signals.weight_keys:
        state[key].normal_(generator=generator)
    for node in signals.graph.nodes:
        for role, key in node.weights.items():
            entry = signals.graph.tensors[key]
            name = entry.alias_of or key
            if entry.kind == "parameter" and name not in signals.weight_keys and is_real(entry.type):
                state[name].fill_(1.0 if role == "weight" else 0.0)
    return state


def _noise(tree: Any, generator: torch.Generator) -> Any:
    """Gaussian noise in place of real tensors; None where there is none."""
    found = _mapped(tree, lambda x: torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator))
    return None if found is tree else found


def _perturbed(tree: Any, generator: torch.Generator) -> Any:
    def moved(x: Tensor) -> Tensor:
        return x + _ALPHA * torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)

    return _mapped(tree, moved)


def _mapped(tree: Any, change: Any) -> Any:
    """The tree with its real tensors changed; the same object where it holds none."""
    if isinstance(tree, Tensor):
        return change(tree) if tree.is_floating_point() else tree
    if isinstance(tree, dict):
        found: Any = {name: _mapped(value, change) for name, value in tree.items()}
        return found if any(found[name] is not tree[name] for name in tree) else tree
    if isinstance(tree, tuple | list):
        made = [_mapped(value, change) for value in tree]
        return type(tree)(made) if any(a is not b for a, b in zip(made, tree)) else tree
    return tree


# -- the variance that a norm divides by, averaged over everything that it divides --------------------------------------
def _of_channels(value: Tensor, step: Step) -> Tensor:
    return value.transpose(0, 1).flatten(1).var(1, correction=0).mean()


def _of_samples(value: Tensor, step: Step) -> Tensor:
    return value.flatten(2).var(2, correction=0).mean()


def _of_groups(value: Tensor, step: Step) -> Tensor:
    return value.reshape(value.shape[0], step.args["groups"], -1).var(2, correction=0).mean()


def _of_last_axes(value: Tensor, step: Step) -> Tensor:
    return value.flatten(value.ndim - _axes(step)).var(-1, correction=0).mean()


def _of_squares(value: Tensor, step: Step) -> Tensor:
    return value.flatten(value.ndim - _axes(step)).square().mean()


def _axes(step: Step) -> int:
    return len(step.args["normalized_shape"])


_VARIANCES = {
    "batch_norm": _of_channels, "instance_norm": _of_samples, "group_norm": _of_groups, "layer_norm": _of_last_axes,
    "rms_norm": _of_squares,
}  # fmt: skip
