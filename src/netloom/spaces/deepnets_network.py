"""From an architecture of DeepNets-1M to its Graph, and to the graph's hash without the graph.

The small graphs of a layout are checked once, when they are made; putting them together is copying references.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..graph.graph import Argument, Graph, Step
from ..graph.table import TensorEntry
from ..ops import MODULE, DType, Edge, Size, TensorType, Weight
from .deepnets_architecture import Architecture
from .deepnets_layout import Part, layout
from .deepnets_operations import SELF, TENSOR_ORDER

_N, _FLOAT = Size.symbol("N"), DType("float32")


def network(a: Architecture) -> Graph:
    """The graph of an architecture: nodes and tensors are called as the published modules.

    `SpaceError` where the settings make no network.

    >>> from netloom.spaces.deepnets_genotype import named
    >>> network(Architecture(named("vit"), 12, C=128, preproc=False, C_mult=1)).num_params
    1012234
    """
    return assembled(a, layout(a))


def assembled(a: Architecture, parts: Sequence[Part]) -> Graph:
    """The graph of the parts of an architecture."""
    image = TensorType("float32", (_N, *a.input_shape))
    steps = [Step("x", "input", {"dtype": _FLOAT, "shape": image.shape})]
    types: dict[str, tuple[TensorType, ...]] = {"x": (image,)}
    tensors: dict[str, TensorEntry] = {}
    values = [Edge("x")]
    num_params = flops = 0
    for part in parts:
        form = _form(part.graph)
        prefix = f"{part.path}." if part.path else ""
        for key, entry in form.tensors:
            tensors[prefix + key] = entry
        num_params += form.num_params
        if not part.operands:
            values.append(values[0])
            continue
        flops += form.flops
        names: dict[str, str] = {name: values[number].node for name, number in zip(form.inputs, part.operands)}
        for call in form.calls:
            name = part.path if call.name == SELF else prefix + call.name
            names[call.name] = name
            steps.append(_step(call, name, prefix, part.path, names))
            types[name] = call.outputs
        values.append(Edge(names[form.result]))
    return Graph.trusted(
        steps, tensors, (Argument("x", values[0]),), values[-1], types, {"N": 1}, num_params=num_params, flops=flops
    )


# -- small graphs, prepared --------------------------------------------------------------------------------------------
class _Call(NamedTuple):
    """A call of a small graph: what stays as it is, and what gets other names."""

    name: str
    op: str
    args: dict[str, Any]
    edges: tuple[tuple[str, Any], ...]
    weights: tuple[tuple[str, str], ...]
    owns: bool
    outputs: tuple[TensorType, ...]


class _Form(NamedTuple):
    inputs: tuple[str, ...]
    calls: tuple[_Call, ...]
    result: str
    tensors: tuple[tuple[str, TensorEntry], ...]
    num_params: int
    flops: int


def calls_of(graph: Graph) -> int:
    """Calls of a small graph."""
    return len(_form(graph).calls)


def _form(graph: Graph) -> _Form:
    """The graph prepared; kept with it."""
    found: _Form | None = graph.__dict__.get("_deepnets_form")
    if found is None:
        found = graph.__dict__["_deepnets_form"] = _prepared(graph)
    return found


def _prepared(graph: Graph) -> _Form:
    calls = []
    for step in graph.steps:
        if step.op != "input":
            edges = tuple((name, value) for name, value in step.args.items() if _holds_edge(value))
            weights = tuple((name, value.key) for name, value in step.args.items() if type(value) is Weight)
            owns = bool(weights) or step.args.get("training") == MODULE
            calls.append(_Call(step.name, step.op, dict(step.args), edges, weights, owns, graph.types(step.name)))
    tensors = dict(graph.tensors)
    order = TENSOR_ORDER["msa"]
    if f"{order[0]}.weight" in tensors:
        tensors = {key: tensors[key] for owner in order for key in tensors if key.rpartition(".")[0] == owner}
    inputs = tuple(step.name for step in graph.steps if step.op == "input")
    return _Form(inputs, tuple(calls), graph.result.node, tuple(tensors.items()), graph.num_params, graph.flops)


def _holds_edge(value: Any) -> bool:
    return type(value) is Edge or (type(value) is tuple and any(type(part) is Edge for part in value))


def _step(call: _Call, name: str, prefix: str, path: str, names: dict[str, str]) -> Step:
    """The call as a step of the network."""
    args = call.args.copy()
    for role, value in call.edges:
        if type(value) is Edge:
            args[role] = Edge(names[value.node], value.index)
        else:
            args[role] = tuple([Edge(names[edge.node], edge.index) for edge in value])
    for role, key in call.weights:
        args[role] = Weight(prefix + key)
    return Step(name, call.op, args, name if call.owns else name.rpartition(".")[0])
