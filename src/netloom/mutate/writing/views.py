"""Graphs without what changes nothing, so that code which leaves it out compares equal to code which does not."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from ...graph.graph import Graph, Step
from ...graph.tree import map_leaves
from ...ops import Edge, Slice

#: Operators that give their operand's elements in the same order, where their number stays the same.
VIEWS = frozenset({"reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "expand", "getitem"})


#: Operators of which such graphs may differ.
IDLE = VIEWS | {"scaled_dot_product_attention"}


def without_idle(graph: Graph) -> Graph:
    """The same computation with every chain of views as one reshape, and none where the shape comes back.

    Models skip the repetition of heads where there is one per group; an edited graph repeats them once, or shares them out
    among groups of one.

    >>> import netloom as nl
    >>> x = nl.input(4, 6)
    >>> y = nl.reshape(nl.expand(nl.unsqueeze(x, 2), (-1, 4, 1, 6)), (-1, 4, 6))
    >>> without_idle(nl.Graph(x, nl.relu(y))).hash == nl.Graph(x, nl.relu(x)).hash
    True
    """
    steps: list[Step] = []
    #: Result of a view → what it views in the end.
    bases: dict[Edge, Edge] = {}
    same: dict[Edge, Edge] = {}

    def follow(leaf: Any) -> Any:
        return same.get(leaf, leaf) if type(leaf) is Edge else leaf

    for step in graph.steps:
        args = {name: map_leaves(value, follow) for name, value in step.args.items()}
        made, edge = replace(step, args=args), Edge(step.name)
        if _is_view(graph, step):
            base = bases.get(args["x"], args["x"])
            shape = graph.type_of(edge).shape
            if graph.type_of(base).shape == shape:
                same[edge] = base
                continue
            bases[edge] = base
            made = replace(step, op="reshape", args={"x": base, "shape": shape})
        elif step.op == "scaled_dot_product_attention" and step.args["enable_gqa"]:
            heads = [graph.type_of(step.args[name]).shape[-3] for name in "qkv"]
            made = replace(made, args={**args, "enable_gqa": len(set(heads)) > 1})
        steps.append(made)
    result, train = map_leaves(graph.result, follow), map_leaves(graph.train_result, follow)
    return Graph.make(steps, graph.tensors, graph.arguments, result, train_result=train, symbols=graph.symbols)


def _is_view(graph: Graph, step: Step) -> bool:
    if step.op not in VIEWS or type(step.args.get("x")) is not Edge:
        return False
    before, after = graph.type_of(step.args["x"]).shape, graph.type_of(Edge(step.name)).shape
    if step.op == "getitem" and not all(part is None or isinstance(part, Slice) for part in _parts(step.args["index"])):
        return False
    return bool(prod(before) == prod(after))


def _parts(index: Any) -> tuple[Any, ...]:
    return index if type(index) is tuple else (index,)
