"""A private copy of a network that gives its inner values too, run on one batch: what all proxies look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...building.network import Network, build, full_state, holding
from ...errors import MeasureError
from ...graph.graph import Graph, Step
from ...ops import Edge, operator
from ..subject import graph_of, on_device, tensors_of


class Undefined(MeasureError):
    """A proxy that is not defined for a network or batch; the message says why."""


class Run(NamedTuple):
    """One forward pass: outputs in order, the inner values that were asked for, and the tensors it used by key."""

    outputs: list[Tensor]
    values: list[Tensor]
    tensors: dict[str, Tensor]


class Probe:
    """A network and a batch. Everything is computed on copies, in training mode with dropout left out.

    Weights are the parameters with at least two axes: kernels and matrices, not biases, scales and shifts.
    """

    def __init__(self, subject: Any, inputs: Any, targets: Tensor | None, loss: Callable[..., Any] | None, seed: int) -> None:
        network = network_of(subject, inputs, seed)
        self.seed, self.loss = seed, loss
        self.state = {key: tensor.detach().clone() for key, tensor in full_state(network).items()}
        self.device = next((tensor.device for tensor in self.state.values()), first_device(inputs))
        self.graph = without(network.graph, lambda step: operator(step.op).family == "dropout")
        self.inputs = on_device(inputs, self.device)
        self.targets = None if targets is None else targets.detach().to(self.device)

    # -- parts of the network --------------------------------------------------------------------------------------
    @cached_property
    def weight_keys(self) -> list[str]:
        """Keys of the weights, ties once."""
        tensors = self.graph.tensors
        norms = (step for step in self.graph.steps if operator(step.op).family == "norm")
        scales = {tensors[weight.key].alias_of or weight.key for step in norms for weight in step.weights}
        return [
            key
            for key, entry in tensors.items()
            if entry.kind == "parameter" and entry.alias_of is None and key not in scales
            and len(entry.type.shape) >= 2 and is_real(entry.type)
        ]  # fmt: skip

    def steps(self, wanted: Callable[[Step], bool]) -> list[Step]:
        """The calls of training mode that are wanted, in order."""
        return [step for step in self.graph.steps if step.mode != "eval" and wanted(step)]

    def edge_of(self, step: Step) -> Edge:
        """The (first) result of a call."""
        return Edge(step.name, 0)

    def sample_axis(self, edge: Edge) -> int:
        """The axis of the samples: the first that is free, or else the first."""
        shape = self.graph.type_of(edge).shape
        return next((i for i, size in enumerate(shape) if not isinstance(size, int)), 0)

    # -- forward passes --------------------------------------------------------------------------------------------
    def run(
        self,
        watched: Sequence[Edge] = (),
        *,
        graph: Graph | None = None,
        state: Mapping[str, Tensor] | None = None,
        inputs: Any = None,
    ) -> Run:
        """A forward pass with gradients, of another graph, other tensors or other inputs where they are given."""
        graph, state = graph or self.graph, dict(self.state if state is None else state)
        network = holding(watching(graph, watched), {key: state[key] for key in canonical(graph)}).train()
        for parameter in network.parameters():
            parameter.requires_grad_(parameter.is_floating_point() or parameter.is_complex())
        inputs = self.inputs if inputs is None else inputs
        with self.seeded(), torch.enable_grad():
            try:
                outputs, values = network(**inputs) if isinstance(inputs, Mapping) else network(*inputs)
            except (RuntimeError, ValueError, TypeError, IndexError) as error:
                raise MeasureError(f"the network cannot be run on the batch: {first_line(error)}") from error
        real = [tensor for tensor in tensors_of(outputs) if tensor.is_floating_point()]
        if not real:
            raise MeasureError("the network gives no real numbers; a proxy needs at least one such output")
        return Run(real, list(values), full_state(network))

    @contextmanager
    def seeded(self) -> Iterator[None]:
        """Torch's generators start from the seed in here, and are as they were afterwards."""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            yield

    def generator(self) -> torch.Generator:
        """A generator of its own on the network's device, from the seed."""
        return torch.Generator(self.device).manual_seed(self.seed)


# -- changed graphs ----------------------------------------------------------------------------------------------------
def watching(graph: Graph, watched: Sequence[Edge]) -> Graph:
    """The graph that gives ``(result of training mode, watched values)``."""
    result = graph.result if graph.train_result is None else graph.train_result
    return Graph.make(
        graph.steps, graph.tensors, graph.arguments, (result, tuple(watched)), symbols=graph.symbols, notes=graph.notes,
        types=graph.all_types,
    )  # fmt: skip


def without(graph: Graph, unwanted: Callable[[Step], bool]) -> Graph:
    """The graph in which unwanted calls hand on their first operand, which has the shape of their result."""

    def passing(step: Step) -> Step:
        source = step.edges[0] if step.edges else None
        if source is None or not unwanted(step) or graph.type_of(source) != graph.type_of(Edge(step.name, 0)):
            return step
        return replace(step, op="contiguous", args=operator("contiguous").check({"x": source}))

    steps = [passing(step) for step in graph.steps]
    if all(a is b for a, b in zip(steps, graph.steps)):
        return graph
    return Graph.make(
        steps, graph.tensors, graph.arguments, graph.result, train_result=graph.train_result, symbols=graph.symbols,
        notes=graph.notes, types=graph.all_types,
    )  # fmt: skip


# -- what is given -----------------------------------------------------------------------------------------------------
def network_of(subject: Any, inputs: Any, seed: int) -> Network:
    """The network of a graph with fresh weights, a network itself, or a network of another module, traced."""
    graph = graph_of(subject)
    if isinstance(subject, Graph):
        return build(subject, seed=seed, device=first_device(inputs))
    if isinstance(subject, Network):
        return subject
    if graph is None and isinstance(subject, torch.nn.Module):
        from ...tracing.trace import trace

        return build(trace(subject, inputs), weights=subject)
    raise MeasureError(f"proxies of a {type(subject).__name__}; expected a Graph, a Network or another torch.nn.Module")


def first_device(inputs: Any) -> torch.device:
    """Where the first tensor of the inputs is."""
    return next((tensor.device for tensor in tensors_of(inputs)), torch.device("cpu"))


def canonical(graph: Graph) -> list[str]:
    """Keys of tensors that are no aliases."""
    return [key for key, entry in graph.tensors.items() if entry.alias_of is None]


def is_real(kind: Any) -> bool:
    """Whether a type is of real numbers."""
    return str(kind.dtype).startswith(("float", "bfloat"))


def first_line(error: BaseException) -> str:
    """What an error says, short enough for a message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
