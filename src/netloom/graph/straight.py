"""The canonical walk over a graph that is one chain of calls, in one pass over its steps.

Most networks that searches sample by the thousand are such chains. What comes out is what `hashing.certificate` gives, to
the letter; for any other graph, and for attributes not met before, nothing comes out and the general way is taken.
"""

from __future__ import annotations

import marshal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ..ops import REGISTRY, Edge, Operator, Size, Weight
from .contents import plans, text, type_text

if TYPE_CHECKING:
    from .graph import Graph
    from .step import Step
    from .table import TensorEntry


def straight_walk(graph: Graph) -> list[str] | None:
    """The lines of the certificate of a chain from the only argument to the only result, else None.

    Every call must read one value and own its tensors alone; the reader of each is then the call before it in the walk.
    """
    simple = type(graph.result) is Edge and graph.train_result is None and len(graph.arguments) == 1
    if not simple or type(graph.arguments[0].tree) is not Edge or graph.arguments[0].keyword:
        return None
    try:
        return _walk(graph)
    except (ValueError, LookupError):
        # marshal refuses edges, free sizes and dtypes among the attributes; what is missing, the general way names.
        return None


#: What a line says of the call it reads and of the tensors it owns, by their numbers; chains that need more are rare.
_READ = tuple(f" {number}" for number in range(2048))
_OWNED = tuple(f" w{number}" for number in range(4 * len(_READ)))


class _Learned(NamedTuple):
    """A call of one value, as the certificate has it: its line up to the numbers, what it reads, the keys it owns."""

    kind: Operator
    line: str
    source: str
    output: int
    keys: tuple[str, ...]


def _walk(graph: Graph) -> list[str] | None:
    if len(graph.steps) > len(_READ) or sum(map(len, graph.all_types.values())) != len(graph.steps):
        return None  # a call with several results is no link of a chain
    tensors, registry = graph.tensors, REGISTRY
    expected, index = graph.result
    lines = ["return @", f"0:{index}", ""]
    owned: dict[str, str] = {}
    number = 0
    for step in reversed(graph.steps):
        if step.name != expected:
            plan = plans.get(step.op)
            if plan is None or plan.kind is not registry.get(step.op) or plan.writes:
                return None
            continue
        learned = step.learned
        if learned is None or learned[0] is not registry.get(step.op):
            if step.op == "input" and not (step.mode or step.autocast) and step.grad is True:
                shown = _input_text(step.args["dtype"], step.args["shape"])
                if not shown:
                    return None
                lines.append(shown)
                expected = ""
                continue
            learned = _learn(step)
            if learned is None:
                return None
        _, line, expected, index, keys = learned
        number += 1
        line += f" {number}:{index}" if index else _READ[number]
        for key in keys:
            entry = tensors[key]
            shown = entry.learned or _learn_entry(entry)
            if not shown or key in owned:
                return None
            line += _OWNED[len(owned)]
            owned[key] = shown
        lines.append(line)
    return [*lines, *owned.values()] if expected == "" else None


def _learn_entry(entry: TensorEntry) -> str:
    """The entry as the certificate has it, noted in it; empty for ties and constants, which the general way must take."""
    if entry.alias_of is not None or entry.constant is not None:
        return ""
    shown = type_text(entry.kind, entry.type)
    object.__setattr__(entry, "learned", shown)
    return shown


def _learn(step: Step) -> _Learned | None:
    """The call as the certificate has it, noted in the step; None for calls that the general way must take."""
    args, plan = step.args, plans.get(step.op)
    if plan is None or plan.kind is not REGISTRY.get(step.op) or step.mode or step.autocast or step.grad is not True:
        return None
    line = plan.known.get(marshal.dumps(plan.values(args), 2))
    edge = args[plan.only] if plan.only else None
    if line is None or type(edge) is not Edge:
        return None
    line += plan.only_mark
    keys = []
    for role, mark in plan.weights:
        weight = args[role]
        if type(weight) is Weight:
            line += mark
            keys.append(weight[0])
        elif weight is not None:
            return None
    learned = _Learned(plan.kind, line, edge[0], edge[1], tuple(keys))
    object.__setattr__(step, "learned", learned)
    return learned


@lru_cache(1024)
def _input_text(dtype: Any, shape: tuple[Any, ...]) -> str:
    """The line of the input; empty where it has several free symbols, whose naming is for the general way to find."""
    symbols = {symbol for size in shape if isinstance(size, Size) for symbol in size.symbols}
    if len(symbols) > 1:
        return ""
    names = dict.fromkeys(symbols, "n0")
    return f"input dtype={text(dtype, [], names)} shape={text(shape, [], names)} at 0"
