"""What several proxies share: one forward pass with everything watched, and its gradients."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...graph.step import Step
from ...ops import Edge, operator
from .probe import Probe, Run, Undefined, first_line, is_real

#: Activations that are one of two linear pieces on either side of zero, or smooth forms of that: the sign of what they take
#: is the neuron's code.
SWITCHES = frozenset(
    {
        "relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "celu", "selu", "gelu", "silu", "mish", "hardswish", "softplus",
        "threshold", "hardsigmoid", "hardtanh", "sigmoid", "tanh", "softsign",
    }
)  # fmt: skip


class Signals(Probe):
    """A probe that remembers one pass over the batch: outputs, inner values, and what the loss and the outputs depend on."""

    # -- which values ----------------------------------------------------------------------------------------------
    @cached_property
    def layers(self) -> list[Edge]:
        """Results of the calls that multiply by a weight: convolutions, linear and recurrent layers; no tables of rows."""
        keys = set(self.weight_keys)

        def weighted(step: Step) -> bool:
            used = {self.graph.tensors[weight.key].alias_of or weight.key for weight in step.weights}
            return bool(used & keys) and step.op not in ("embedding", "parameter", "assign")

        return [self.edge_of(step) for step in self.steps(weighted)]

    @cached_property
    def switched(self) -> list[Edge]:
        """What activations take."""
        return [step.edges[0] for step in self.steps(lambda step: step.op in SWITCHES and bool(step.edges))]

    @cached_property
    def sources(self) -> list[Edge]:
        """What the Jacobian is taken for: real inputs, or what tables of rows give for whole-number inputs."""
        inputs = [edge for node in self.graph.inputs for edge in [Edge(node.name, 0)]]
        real = [edge for edge in inputs if is_real(self.graph.type_of(edge))]
        return real or [self.edge_of(step) for step in self.steps(lambda step: step.op == "embedding")]

    # -- the pass --------------------------------------------------------------------------------------------------
    @cached_property
    def _watched(self) -> dict[Edge, Tensor]:
        wanted = list(dict.fromkeys([*self.layers, *self.switched, *self.sources]))
        self._run = self.run(wanted, inputs=with_gradients(self.inputs))
        return dict(zip(wanted, self._run.values))

    @property
    def passed(self) -> Run:
        """The pass over the batch; all proxies that see the same batch read it."""
        self._watched  # noqa: B018
        return self._run

    def values(self, edges: Sequence[Edge]) -> list[Tensor]:
        """Inner values of the pass."""
        return [self._watched[edge] for edge in edges]

    # -- the loss --------------------------------------------------------------------------------------------------
    @cached_property
    def batch_loss(self) -> Tensor:
        """The loss of the pass."""
        return self.loss_of(self.passed)

    def loss_of(self, run: Run) -> Tensor:
        """Mean cross-entropy with class indices, or mean squared error with real targets, of the first output that fits.

        `Undefined` where there are no targets or none of the outputs fits them.
        """
        if self.targets is None:
            raise Undefined("there are no targets; give the batch as (x, y)")
        if self.loss is not None:
            found: Any = self.loss(run.outputs[0] if len(run.outputs) == 1 else run.outputs, self.targets)
            return found
        for output in run.outputs:
            if fits(output, self.targets):
                return standard_loss(output, self.targets)
        shapes = ", ".join(str(tuple(output.shape)) for output in run.outputs)
        raise Undefined(
            f"no output fits targets of shape {tuple(self.targets.shape)} ({self.targets.dtype}): outputs have {shapes}; "
            "give loss=, a function of outputs and targets"
        )

    @cached_property
    def weight_gradients(self) -> dict[str, Tensor]:
        """Gradients of the loss by key of the weights, zero for those that it does not depend on."""
        weights = {key: self.passed.tensors[key] for key in self.weight_keys}
        return dict(zip(weights, gradients(self.batch_loss, list(weights.values()))))

    @cached_property
    def layer_gradients(self) -> list[Tensor]:
        """Gradients of the loss for the values of `layers`."""
        return gradients(self.batch_loss, self.values(self.layers))

    @cached_property
    def jacobian(self) -> Tensor:
        """The gradient of the sum of all outputs for each sample's input, float64 (N, inputs)."""
        sources = self.values(self.sources)
        if not sources:
            raise Undefined("no input is a real number or looked up in a table, so there is nothing to take gradients for")
        total = torch.stack([output.sum() for output in self.passed.outputs]).sum()
        rows = [
            gradient.detach().movedim(self.sample_axis(edge), 0).flatten(1).double()
            for edge, gradient in zip(self.sources, gradients(total, sources))
        ]
        count = {len(row) for row in rows}
        if len(count) != 1:
            raise Undefined(f"inputs have {sorted(count)} samples; the Jacobian needs as many of each")
        return torch.cat(rows, 1).cpu()


def with_gradients(tree: Any) -> Any:
    """A tree of inputs whose real tensors take gradients."""
    if isinstance(tree, Tensor):
        return tree.clone().requires_grad_() if tree.is_floating_point() else tree
    if isinstance(tree, dict):
        return {name: with_gradients(value) for name, value in tree.items()}
    if isinstance(tree, tuple | list):
        return type(tree)(with_gradients(value) for value in tree)
    return tree


def gradients(of: Tensor, tensors: list[Tensor], *, create_graph: bool = False) -> list[Tensor]:
    """Gradients, zeros where nothing depends on a tensor; what led there stays for further calls."""
    taking = [tensor for tensor in tensors if tensor.requires_grad]
    if not of.requires_grad or not taking:
        return [torch.zeros_like(tensor) for tensor in tensors]
    try:
        made = iter(torch.autograd.grad(of, taking, retain_graph=True, create_graph=create_graph, allow_unused=True))
    except RuntimeError as error:
        raise Undefined(f"gradients cannot be taken: {first_line(error)}") from error
    found = [next(made) if tensor.requires_grad else None for tensor in tensors]
    return [torch.zeros_like(tensor) if gradient is None else gradient for tensor, gradient in zip(tensors, found)]


def fits(output: Tensor, targets: Tensor) -> bool:
    """Whether an output holds values for real targets, or logits (…, classes) for class indices (…)."""
    if targets.is_floating_point():
        return output.shape == targets.shape or (*output.shape, 1) == tuple(targets.shape)
    shape = tuple(targets.shape)
    last = output.shape[:-1] == shape and output.ndim > 0
    return bool(last or (output.ndim > 2 and (output.shape[0], *output.shape[2:]) == shape))


def standard_loss(output: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error, or mean cross-entropy of logits whose classes are the last axis (else the second)."""
    output = output.float() if output.dtype.itemsize < 4 else output
    if targets.is_floating_point():
        return F.mse_loss(output.reshape(targets.shape), targets.to(output.dtype))
    if output.shape[:-1] == targets.shape:
        return F.cross_entropy(output.flatten(0, -2), targets.flatten().long())
    return F.cross_entropy(output, targets.long())


def family(step: Step) -> str:
    """The family of a call's operator."""
    return operator(step.op).family
