"""Which graphs are chains of linear layers and elementwise activations: the networks that train stacked."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..graph.tree import edges
from ..ops import Edge, Weight, operator
from ..ops.pointwise import Unary
from .many_activations import at_zero

if TYPE_CHECKING:
    from ..graph.graph import Graph, Step
    from ..graph.table import TensorEntry

#: An activation: the operator's name and its attributes.
Activation = tuple[str, tuple[tuple[str, Any], ...]]


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer (its keys in the tensor table) and the activations behind it, in order."""

    in_features: int
    out_features: int
    weight: str
    bias: str | None
    activations: tuple[Activation, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """Linear layers, one after the other, on samples that are flattened first."""

    layers: tuple[Dense, ...]
    input_shape: tuple[int, ...]
    dtype: str

    @property
    def in_features(self) -> int:
        return self.layers[0].in_features

    @property
    def out_features(self) -> int:
        return self.layers[-1].out_features


class _NoChain(Exception):
    """Why a graph is none; never leaves this module."""


def chain_of(graph: Graph) -> Chain | str:
    """The chain that ``graph`` is, or the reason why it is none.

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> chain = chain_of(nl.Graph(x, nl.linear(nl.tanh(nl.linear(x, 8)), 1)))
    >>> [(layer.out_features, layer.activations) for layer in chain.layers]
    [(8, (('tanh', ()),)), (1, ())]
    >>> chain_of(nl.Graph(x, nl.linear(nl.layer_norm(nl.linear(x, 8)), 1)))
    "'layer_norm' is no linear layer or activation"
    """
    try:
        return _read(graph)
    except _NoChain as reason:
        return str(reason)


def _read(graph: Graph) -> Chain:
    if len(graph.arguments) != 1 or type(graph.arguments[0].tree) is not Edge or type(graph.result) is not Edge:
        raise _NoChain("it has several inputs or outputs")
    if graph.train_result is not None:
        raise _NoChain("it computes something else in training")
    shape = graph.inputs[0].shape
    if len(shape) < 2 or not all(type(size) is int for size in shape[1:]):
        raise _NoChain("its input has sizes other than the batch that are free")
    value: str = graph.arguments[0].tree.node
    layers: list[Dense] = []
    for step in graph.steps:
        if step.op == "input":
            continue
        if [edge.node for edge in edges(tuple(step.args.values()))] != [value]:
            raise _NoChain("its values branch")
        if step.mode or step.autocast or not step.grad:
            raise _NoChain(f"{step.op!r} runs in training or evaluation only, under autocast, or without gradients")
        _take(graph, step, layers, math.prod(shape[1:]))
        value = step.name
    if graph.result.node != value or not layers:
        raise _NoChain("it has no linear layer" if not layers else "its values branch")
    chain = Chain(tuple(layers), tuple(shape[1:]), graph.tensors[layers[0].weight].type.dtype)
    _check_tensors(graph, chain)
    return chain


def _take(graph: Graph, step: Step, layers: list[Dense], features: int) -> None:
    """Add what ``step`` computes to the chain."""
    op, args = step.op, step.args
    if op == "linear" and type(args["weight"]) is Weight:
        out, in_features = graph.tensors[args["weight"].key].type.shape
        if len(graph.types(step.name)[0].shape) != 2 or (not layers and in_features != features):
            raise _NoChain("a linear layer runs along one axis of several")
        bias = args["bias"]
        if bias is not None and type(bias) is not Weight:
            raise _NoChain("a bias is computed by the network")
        layers.append(Dense(in_features, out, args["weight"].key, None if bias is None else bias.key))
    elif _keeps_order(graph, step):
        return
    elif not _is_activation(graph, step):
        raise _NoChain(f"{op!r} is no linear layer or activation")
    elif not layers:
        raise _NoChain(f"{op!r} comes before the first linear layer")
    else:
        attrs = tuple(sorted((name, value) for name, value in args.items() if type(value) is not Edge))
        found = (*layers[-1].activations, (op, attrs))
        # Neurons that are padding have zero weights; what comes behind them must stay finite for them to do no harm.
        if not all(map(math.isfinite, at_zero(found))):
            raise _NoChain(f"{op!r} is not smooth at zero")
        layers[-1] = replace(layers[-1], activations=found)


def _keeps_order(graph: Graph, step: Step) -> bool:
    """Whether a call only flattens a sample, or does nothing."""
    if step.op == "dropout" and step.args["p"] == 0:
        return True
    before, after = (graph.type_of(edge).shape for edge in (edges(tuple(step.args.values()))[0], Edge(step.name, 0)))
    return step.op in ("flatten", "reshape") and len(after) == 2 and before[0] == after[0] and type(after[1]) is int


def _is_activation(graph: Graph, step: Step) -> bool:
    kind = operator(step.op)
    if not isinstance(kind, Unary) or kind.effect or any(param.kind not in ("tensor", "attr") for param in kind.params):
        return False
    (given,) = edges(tuple(step.args.values()))
    return graph.types(step.name) == (graph.type_of(given),)


def _check_tensors(graph: Graph, chain: Chain) -> None:
    """Every tensor is a weight of one layer, learned, of one floating dtype."""
    keys = [key for layer in chain.layers for key in (layer.weight, layer.bias) if key is not None]
    if len({*keys}) != len(keys) or {*keys} != {*graph.tensors}:
        raise _NoChain("it shares weights, or has tensors that no linear layer uses")
    for key in keys:
        entry: TensorEntry = graph.tensors[key]
        if entry.alias_of is not None or entry.kind != "parameter" or not entry.requires_grad:
            raise _NoChain(f"{key!r} is not learned, or shared")
        if entry.type.dtype != chain.dtype or chain.dtype not in ("float32", "float64"):
            raise _NoChain(f"{key!r} is {entry.type.dtype}")
