"""Which layers give what the network returns, and which node a parameter without a node of its own acts on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .recording import TRANSPOSED, Call, Record

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from .ordering import Place


@dataclass(frozen=True, slots=True)
class LooseParameter:
    """A parameter that no layer owns: its key, the operator and the call that use it, and the node it acts on, if any."""

    name: str
    op: str
    call: str
    node: int | None


def class_layers(record: Record, graph: Graph) -> set[str]:
    """Names of the linear layers whose values reach a result with no other parameter on the way: one for each head."""
    found: set[str] = set()
    seen: set[int] = set()
    stack = list(record.results)
    while stack:
        call = stack.pop()
        if id(call) in seen:
            continue
        seen.add(id(call))
        if any(read.kind == TRANSPOSED for read in call.reads):
            found.add(call.step)
        elif not call.leaves or call.kind == "add_bias":
            stack += call.reads
    return found


def loose_parameters(record: Record, places: list[Place], graph: Graph) -> tuple[LooseParameter, ...]:
    """Every parameter that is used and has no node, once."""
    numbers = {(place.leaf.key, place.step): i for i, place in enumerate(places) if place.leaf is not None}
    known = {key for key, _ in numbers}
    found: dict[str, LooseParameter] = {}
    for key, step, call in record.loose:
        if key not in known and key not in found:
            found[key] = LooseParameter(key, graph[step].op, step, _node_before(call, numbers))
    return tuple(found.values())


def _node_before(call: Call | None, numbers: dict[tuple[str, str], int]) -> int | None:
    """The last node with a parameter on the way to a call, along first operands."""
    while call is not None:
        for leaf in reversed(call.leaves):
            if (leaf.key, leaf.step) in numbers:
                return numbers[leaf.key, leaf.step]
        call = call.reads[0] if call.reads else None
    return None
