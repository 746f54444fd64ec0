"""`Perceptron`: a trained network of linear layers, elementwise functions and sums, as groups of neurons with their weights.

What neuron tokens, edge tokens and the canonical form are made from, and where they lead back to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError
from ..graph.graph import Graph
from ..graph.tree import edges, weights
from ..graph.wiring import live_nodes
from ..ops import Edge, Weight, operator
from ..ops.pointwise import Unary

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from ..building.network import Network

INPUT, LINEAR, FUNCTION, ADD = "input", "linear", "function", "add"
Attributes = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Neurons that are computed together from the groups numbered ``parents``.

    ``kind``: "input"; "linear" with ``weight`` (size, parent's size) and ``bias`` (size,) or None; "function", an elementwise
    operator ``op`` with ``attrs``; "add", the sum of two groups of equal size.
    """

    kind: str
    size: int
    parents: tuple[int, ...] = ()
    op: str = ""
    attrs: Attributes = ()
    weight: NDArray[Any] | None = None
    bias: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Perceptron:
    """Groups in the order of computation, the first the inputs (of samples of ``input_shape``), the last the outputs.

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> hidden = nl.tanh(nl.linear(x, 3))
    >>> net = nl.build(nl.Graph(x, nl.linear(hidden + nl.relu(nl.linear(hidden, 3)), 2)), seed=0)
    >>> found = Perceptron.of(net)
    >>> [group.op or group.kind for group in found.groups]
    ['input', 'linear', 'tanh', 'linear', 'relu', 'add', 'linear']
    >>> found.network().graph.hash == net.graph.hash
    True
    """

    groups: tuple[Group, ...]
    input_shape: tuple[int, ...]
    dtype: str

    @staticmethod
    def of(network: Network) -> Perceptron:
        """Read a network; `FormatError` names what is no linear layer, elementwise function or sum."""
        graph = getattr(network, "graph", None)
        if not isinstance(graph, Graph) or not hasattr(network, "state_dict"):
            module = hasattr(network, "parameters")
            hint = "; nl.build(nl.trace(model, example_inputs), weights=model) makes one" if module else ""
            raise FormatError(f"a {type(network).__name__} is no Network; trained networks are read as nl.Network{hint}")
        state = network.state_dict()
        kinds = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in state.values() if tensor.is_floating_point()})
        if len(kinds) > 1 or "bfloat16" in kinds:
            raise FormatError(f"weights are of {' and '.join(kinds)}; call network.float() first")
        found = read_perceptron(graph, state)
        # A network that was moved to another precision is one of that precision.
        return replace(found, dtype=kinds[0]) if kinds else found

    def network(self) -> Network:
        """The network, with its weights."""
        import torch

        import netloom as nl

        from ..building.network import build

        values: list[Any] = []
        state: dict[str, torch.Tensor] = {}
        x: Any = None
        for number, group in enumerate(self.groups):
            below = [values[parent] for parent in group.parents]
            if group.kind == INPUT:
                x = value = nl.input(*self.input_shape, dtype=self.dtype)
                value = nl.flatten(value) if len(self.input_shape) > 1 else value
            elif group.kind == LINEAR:
                name, weight = f"layer{number}", group.weight
                value = nl.linear(below[0], group.size, bias=group.bias is not None, name=name)
                state[f"{name}.weight"] = torch.from_numpy(np.array(weight))
                if group.bias is not None:
                    state[f"{name}.bias"] = torch.from_numpy(np.array(group.bias))
            elif group.kind == FUNCTION:
                value = getattr(nl, group.op)(below[0], **dict(group.attrs))
            else:
                value = below[0] + below[1]
            values.append(value)
        return build(nl.Graph(x, values[-1]), weights=state).eval()

    # -- computing -----------------------------------------------------------------------------------------------------
    def answers(self, x: NDArray[Any]) -> list[NDArray[np.float64]]:
        """What every group gives for samples (N, inputs): float64 (N, size) each."""
        values: list[NDArray[np.float64]] = []
        for group in self.groups:
            below = [values[parent] for parent in group.parents]
            if group.kind == INPUT:
                value = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
            elif group.kind == LINEAR:
                value = below[0] @ np.asarray(group.weight, np.float64).T + (0 if group.bias is None else group.bias)
            elif group.kind == FUNCTION:
                value = applied(group, below[0])
            else:
                value = below[0] + below[1]
            values.append(value)
        return values

    def readers(self, number: int) -> list[int]:
        """The groups that read a group."""
        return [i for i, group in enumerate(self.groups) if number in group.parents]

    def with_weights(self, weights: dict[int, NDArray[Any]], biases: dict[int, NDArray[Any]]) -> Perceptron:
        """The same with other weights and biases of the groups numbered so."""
        groups = tuple(
            replace(g, weight=weights.get(i, g.weight), bias=biases.get(i, g.bias)) for i, g in enumerate(self.groups)
        )
        return replace(self, groups=groups)


def applied(group: Group, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the elementwise function of a group gives for values of any shape, as in evaluation."""
    import torch

    from ..training.many_activations import elementwise

    if group.op == "dropout":
        return x
    given = torch.from_numpy(np.array(x, dtype=np.float64))
    out = torch.empty_like(given)
    elementwise(group.op, group.attrs).forward(given, out)
    return out.numpy()


def read_perceptron(graph: Graph, state: Any) -> Perceptron:
    """The perceptron of a graph and its tensors by key; `FormatError` where it is none."""
    if len(graph.arguments) != 1 or type(graph.arguments[0].tree) is not Edge or type(graph.result) is not Edge:
        raise FormatError("the network has several inputs or outputs; neurons are read of networks with one of each")
    shape = tuple(graph.inputs[0].shape[1:])
    if not shape or not all(type(size) is int for size in shape):
        raise FormatError(f"the network's samples have shape {shape}; expected fixed sizes")
    _refuse_ties(graph)
    groups: list[Group] = [Group(INPUT, math.prod(shape))]
    place = {graph.arguments[0].tree.node: 0}
    live = live_nodes(graph)
    for step in graph.steps:
        if step.op == "input" or step.name not in live:
            continue
        below = [place[edge.node] for edge in edges(tuple(step.args.values()))]
        if _only_flattens(graph, step):
            place[step.name] = below[0]
            continue
        groups.append(_group(graph, step, below, groups, state))
        place[step.name] = len(groups) - 1
    if place[graph.result.node] != len(groups) - 1:
        raise FormatError(f"the network's result {graph.result.node!r} is read by other nodes; expected one that nothing reads")
    return Perceptron(tuple(groups), shape, graph.inputs[0].dtype)


def _refuse_ties(graph: Graph) -> None:
    """`FormatError` where two layers share a tensor: as neurons they would come apart."""
    seen: set[str] = set()
    for step in graph.steps:
        for weight in weights(tuple(step.args.values())):
            key = graph.tensors[weight.key].alias_of or weight.key
            if key in seen:
                raise FormatError(f"node {step.name!r} shares its weights {key!r}; neurons have weights of their own")
            seen.add(key)


def _only_flattens(graph: Graph, step: Any) -> bool:
    if step.op not in ("flatten", "reshape"):
        return False
    (edge,) = edges(tuple(step.args.values()))
    before, after = graph.type_of(edge).shape, graph.types(step.name)[0].shape
    return edge.node == graph.arguments[0].tree.node and len(after) == 2 and before[0] == after[0]


def _group(graph: Graph, step: Any, below: list[int], groups: list[Group], state: Any) -> Group:
    """What a step computes; `FormatError` names it where it is nothing that a perceptron has."""
    op, args = step.op, step.args
    shape = graph.types(step.name)[0].shape
    outside = f"node {step.name!r}: {op!r} is no linear layer, elementwise function or sum of two layers"
    if step.mode or len(graph.types(step.name)) != 1 or len(shape) != 2 or type(shape[1]) is not int:
        raise FormatError(f"{outside} of neurons; its result has shape {shape}")
    if op == "linear" and type(args["weight"]) is Weight and (args["bias"] is None or type(args["bias"]) is Weight):
        weight, bias = (None if w is None else _array(state, w.key) for w in (args["weight"], args["bias"]))
        return Group(LINEAR, int(shape[1]), tuple(below), weight=weight, bias=bias)
    if op == "add" and len(below) == 2 and groups[below[0]].size == groups[below[1]].size and args.get("alpha", 1) == 1:
        return Group(ADD, int(shape[1]), tuple(below))
    kind = operator(op)
    plain = isinstance(kind, Unary) and all(param.kind in ("tensor", "attr") for param in kind.params)
    if len(below) == 1 and (op == "dropout" or (plain and not kind.effect)) and groups[below[0]].size == shape[1]:
        attrs = tuple(sorted((name, value) for name, value in args.items() if type(value) is not Edge))
        return Group(FUNCTION, int(shape[1]), tuple(below), op, attrs)
    raise FormatError(outside)


def _array(state: Any, key: str) -> NDArray[Any]:
    array: NDArray[Any] = state[key].detach().cpu().numpy().copy()
    if not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise FormatError(f"weights {key!r} have {count} values that are not finite; train the network again, or leave it out")
    return array
