"""The settings of the smallest notation that has a sequence for each of some networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ...errors import SpaceError
from ...graph.graph import Graph, Step
from ...graph.tree import edges
from ...ops import Weight, operator
from .instructions import JOINS
from .table import CHANNELS, HALF, normal

#: Attribute → its values, by how often they occur.
Ranges = dict[str, Counter[Any]]
#: Attributes that are often the number of channels of the input.
_OF_CHANNELS = ("out", "groups", "num_parameters")


def covering_settings(graphs: Sequence[Graph]) -> dict[str, Any]:
    """Settings of `Notation` with the operators, values and joins of these networks alone, the commonest value first."""
    if not graphs:
        raise SpaceError("a notation covering no graphs has no input shape; give it one graph at least")
    found: dict[str, Ranges] = {}
    joins: set[str] = set()
    for graph in graphs:
        for step in graph.steps[1:]:
            verb = next((verb for verb, op in JOINS.items() if op == step.op), "")
            if verb and (verb == "cat" or len(step.edges) > 1):
                joins.add(verb)
            else:
                _add_values(found.setdefault(step.op, {}), graph, step)
    for op, ranges in found.items():
        _drop_defaults(op, ranges)
    first = graphs[0]
    return {
        "input_shape": tuple(first.nodes[0].shape[1:]),
        "num_classes": first.outputs[0].shape[-1],
        "operators": {op: {n: [v for v, _ in values.most_common()] for n, values in r.items()} for op, r in found.items()},
        "joins": tuple(verb for verb in JOINS if verb in joins),
        "max_calls": max([1024, *map(len, graphs)]),
        "max_channels": max([4096, *[node.shape[1] for graph in graphs for node in graph if node.op == "cat"]]),
    }


def _add_values(ranges: Ranges, graph: Graph, step: Step) -> None:
    """Count the values of a step's attributes, relative ones as such."""
    if len(graph.types(step.name)) != 1:
        raise SpaceError(f"{step.op} {step.name!r} gives {len(graph.types(step.name))} results; calls of a notation give one")
    operands = step.edges
    channels = graph.type_of(operands[0]).shape[1] if operands and len(graph.type_of(operands[0]).shape) > 1 else 0
    for param in operator(step.op).params:
        have = step.args.get(param.name)
        if edges(have) or step.op == "flatten":
            continue
        if param.kind == "weight":
            if not param.required:
                ranges.setdefault(param.name, Counter())[type(have) is Weight] += 1
        elif param.kind in ("attr", "operand"):
            ranges.setdefault(param.name, Counter())[_relative(param.name, have, step, channels)] += 1


def _relative(name: str, have: Any, step: Step, channels: Any) -> Any:
    """A value as people write it: in terms of the channels or the kernel where it is, and one number for a pair of it."""
    if have == channels and name in _OF_CHANNELS and channels != 1:
        return CHANNELS
    if name == "padding" and "kernel" in step.args and have == tuple(size // 2 for size in step.args["kernel"]):
        return HALF
    return have[0] if isinstance(have, tuple) and have and len(set(have)) == 1 and type(have[0]) is int else have


def _drop_defaults(op: str, ranges: Ranges) -> None:
    """Leave out attributes that have their defaults everywhere."""
    kind = operator(op)
    for param in kind.params:
        values = ranges.get(param.name)
        if values is None or len(values) > 1 or param.required:
            continue
        (value,) = values
        default = True if param.kind == "weight" else param.default
        if value not in (CHANNELS, HALF) and normal(kind, param.name, value) == normal(kind, param.name, default):
            del ranges[param.name]
