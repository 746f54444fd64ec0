"""The part of a graph that lies under a module path, as a graph of its own."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import GraphError
from ..ops import DType, Edge, Size, Slice, TensorType
from .step import module_path
from .table import TensorEntry
from .tree import edges, map_leaves, weights

if TYPE_CHECKING:
    from .graph import Graph, Step


def subgraph(graph: Graph, prefix: str) -> Graph:
    """The nodes called ``prefix`` or ``prefix.…`` as a graph that keeps their names and the keys of their tensors.

    Values that come from outside become inputs, in the order of the nodes that make them, called as those nodes are; values
    that are read outside, or returned, become the outputs: one by itself, several as a tuple. The table holds the tensors
    in use and all whose key lies under the prefix. `GraphError` where no node matches.

    >>> import netloom as nl
    >>> x = nl.input(8)
    >>> y = nl.linear(nl.relu(nl.linear(x, 4, name="head.0"), name="head.1"), 2, name="last")
    >>> part = nl.Graph(x, y).subgraph("head")
    >>> [node.name for node in part], sorted(part.tensors)
    (['x', 'head.0', 'head.1'], ['head.0.bias', 'head.0.weight'])
    """
    inside = {step.name: step for step in graph.steps if _under(step.name, prefix)}
    if not inside:
        raise GraphError(_no_match(graph, prefix))
    if len({step.mode for step in inside.values()}) == 1:
        inside = {name: replace(step, mode="") for name, step in inside.items()}
    read = (edge for step in graph.steps if step.name not in inside for edge in edges(tuple(step.args.values())))
    leaving = {*read, *edges([graph.result, graph.train_result])}
    return extract(graph, inside, _entering(graph, inside), leaving, lambda key: _under(key, prefix))


def extract(
    graph: Graph, inside: dict[str, Step], entering: Sequence[Edge], leaving: Container[Edge], keep: Callable[[str], bool]
) -> Graph:  # fmt: skip
    """Some steps of a graph as a graph: ``entering`` become its inputs, in that order, and what is in ``leaving`` its results.

    The table holds the tensors in use and those whose key is to be kept.
    """
    from .graph import Argument, Graph, Step

    names = _input_names(entering, inside)
    steps = []
    for edge in entering:
        kind = graph.type_of(edge)
        steps.append(Step(names[edge], "input", {"dtype": DType(kind.dtype), "shape": kind.shape}))
    inputs = [step.name for step in (*steps, *inside.values()) if step.op == "input"]

    def moved(value: Any) -> Any:
        if isinstance(value, Edge):
            return Edge(names[value]) if value in names else value
        return map_leaves(value, moved) if type(value) in (tuple, list, dict, Slice) else value

    steps += [replace(step, args={key: moved(value) for key, value in step.args.items()}) for step in inside.values()]
    types: dict[str, tuple[TensorType, ...]] = {names[edge]: (graph.type_of(edge),) for edge in entering}
    types |= {name: graph.types(name) for name in inside}
    result, train_result = _results(graph, inside, leaving)
    return Graph.make(
        steps,
        _tensors(graph, inside, keep),
        [Argument(argument, Edge(node)) for argument, node in zip(_argument_names(inputs), inputs)],
        result,
        train_result=train_result,
        symbols={symbol: graph.symbols[symbol] for symbol in graph.symbols if symbol in _symbols(types)},
        types=types,
    )


def _under(name: str, prefix: str) -> bool:
    path = module_path(name)
    return name == prefix or path == prefix or path.startswith(prefix + ".")


def _no_match(graph: Graph, prefix: str) -> str:
    paths: dict[str, None] = {}
    for step in graph.steps:
        parts = module_path(step.name).split(".")
        paths.update(dict.fromkeys(".".join(parts[:i]) for i in range(1, len(parts) + 1)))
    near = difflib.get_close_matches(str(prefix), paths, 3)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else f"; there are {', '.join(map(repr, [*paths][:5]))}"
    return f"no node lies under {prefix!r}{hint}"


def _entering(graph: Graph, inside: dict[str, Step]) -> list[Edge]:
    """Values from outside that are read inside, in the order in which they are made."""
    read = {edge for step in inside.values() for edge in edges(tuple(step.args.values())) if edge.node not in inside}
    place = {step.name: i for i, step in enumerate(graph.steps)}
    return sorted(read, key=lambda edge: (place[edge.node], edge.index))


def _input_names(entering: Sequence[Edge], inside: dict[str, Step]) -> dict[Edge, str]:
    """Every entering value with the name of its producer, made unique where several results of one enter."""
    from .builder import unique

    taken = set(inside)
    return {edge: unique(edge.node if edge.index == 0 else f"{edge.node}_{edge.index}", taken) for edge in entering}


def _argument_names(inputs: list[str]) -> list[str]:
    from .builder import unique

    taken: set[str] = set()
    names = ["".join(c if c.isalnum() else "_" for c in name) for name in inputs]
    return [unique(name if name.isidentifier() else f"x_{name}", taken) for name in names]


def _results(graph: Graph, inside: dict[str, Step], leaving: Container[Edge]) -> tuple[Any, Any]:
    """What leaves in evaluation and, where that differs, in training; the last node's results where nothing leaves."""
    last = list(inside)[-1]
    kept = [
        Edge(name, i) for name in inside for i in range(len(graph.types(name))) if Edge(name, i) in leaving
    ] or [Edge(last, i) for i in range(len(graph.types(last)))]  # fmt: skip
    in_eval = [edge for edge in kept if inside[edge.node].mode != "train"]
    in_train = [edge for edge in kept if inside[edge.node].mode != "eval"]
    first, second = (tuple(found) if len(found) > 1 else (found or kept)[0] for found in (in_eval, in_train))
    return first, None if first == second else second


def _tensors(graph: Graph, inside: dict[str, Step], keep: Callable[[str], bool]) -> dict[str, TensorEntry]:
    """The entries in use or to be kept; an alias whose first name stays outside becomes the first itself."""
    used = {weight.key for step in inside.values() for weight in weights(tuple(step.args.values()))}
    kept = {key: entry for key, entry in graph.tensors.items() if key in used or keep(key)}
    heads: dict[str, str] = {}
    for key, entry in kept.items():
        head = entry.alias_of
        if head is not None and head not in kept:
            kept[key] = replace(entry, alias_of=heads.get(head), constant=graph.tensors[head].constant)
            heads.setdefault(head, key)
    return kept


def _symbols(types: dict[str, tuple[TensorType, ...]]) -> set[str]:
    return {
        symbol
        for outputs in types.values()
        for type in outputs
        for size in type.shape
        if isinstance(size, Size)
        for symbol in size.symbols
    }
