"""The canonical walk over a graph that is one chain of calls, in one pass over its steps.

Most networks that searches sample by the thousand are such chains. What comes out is what `hashing.certificate` gives, to
the letter; for any other graph, and for attributes not met before, nothing comes out and the general way is taken.
"""

from __future__ import annotations

import marshal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..ops import REGISTRY, Edge, Weight
from .contents import Naming, plans, text, type_text

if TYPE_CHECKING:
    from .graph import Graph


def straight_walk(graph: Graph, naming: Naming) -> list[str] | None:
    """The lines of the certificate of a chain from the only argument to the only result, else None.

    Every call must read one value and own its tensors alone; the reader of each is then the call before it in the walk.
    """
    simple = type(graph.result) is Edge and graph.train_result is None and len(graph.arguments) == 1
    if not simple or type(graph.arguments[0].tree) is not Edge or graph.arguments[0].keyword:
        return None
    try:
        return _walk(graph, naming)
    except (ValueError, KeyError):
        # marshal refuses edges, free sizes and dtypes among the attributes; what is missing, the general way names.
        return None


def _walk(graph: Graph, naming: Naming) -> list[str] | None:
    tensors, types_of, dumps = graph.tensors, graph.types, marshal.dumps
    expected, index = graph.result
    lines = ["return @", f"0:{index}", ""]
    owned: dict[str, str] = {}
    number = 0
    for step in reversed(graph.steps):
        op, args = step.op, step.args
        plan = plans.get(op)
        if plan is None or plan.kind is not REGISTRY.get(op):
            return None
        if step.name != expected:
            if plan.writes:
                return None
            continue
        if step.mode or step.autocast or not step.grad or len(types_of(expected)) != 1:
            return None
        if op == "input":
            lines.append(_input_text(args["dtype"], args["shape"], tuple(naming.items())))
            expected = ""
            continue
        line = plan.known.get(dumps(plan.values(args), 2))
        edge = args[plan.only] if plan.only else None
        if line is None or type(edge) is not Edge:
            return None
        line += plan.only_mark
        numbers = ""
        for role, mark in plan.weights:
            weight = args[role]
            if type(weight) is Weight:
                key = weight[0]
                entry = tensors[key]
                if key in owned or entry.alias_of is not None or entry.constant is not None:
                    return None
                line += mark
                numbers += f" w{len(owned)}"
                owned[key] = type_text(entry.kind, entry.type)
            elif weight is not None:
                return None
        number += 1
        expected, index = edge
        lines.append(f"{line} {number}:{index}{numbers}" if index else f"{line} {number}{numbers}")
    return [*lines, *owned.values()] if expected == "" else None


@lru_cache(1024)
def _input_text(dtype: Any, shape: tuple[Any, ...], naming: tuple[tuple[str, str], ...]) -> str:
    names = dict(naming)
    return f"input dtype={text(dtype, [], names)} shape={text(shape, [], names)} at 0"
