"""What is known of a DeepNets-1M network before its graph is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..graph.graph import Graph
from .deepnets_architecture import Architecture
from .deepnets_hashing import layout_hash
from .deepnets_layout import Part, layout
from .deepnets_network import calls_of
from .deepnets_sampling import count_params
from .described import Description

#: Nodes that are no calls.
_NO_CALLS = ("input", "parameter", "constant")


def describe(a: Architecture) -> Description:
    """The description of an architecture's network.

    >>> from netloom.spaces.deepnets_genotype import named
    >>> found = describe(Architecture(named("vit"), 12, C=128, preproc=False, C_mult=1, norm="bnorm"))
    >>> found.num_params, found.num_nodes, found.depth
    (1012234, 310, 269)
    """
    parts = layout(a)
    called = [part for part in parts if part.operands]
    flops = sum([part.graph.flops for part in called])
    nodes = sum([calls_of(part.graph) for part in called])
    return Description(layout_hash(a, parts), count_params(parts), flops, nodes, _depth(parts), a.to_json())


class _Length(NamedTuple):
    """Calls on the longest ways through a small graph: to its result, and to wherever; from each input, and from none."""

    through: tuple[int, ...]
    within: tuple[int, ...]
    own: int
    own_within: int


def _depth(parts: Sequence[Part]) -> int:
    """Calls on the longest path of the network of these parts."""
    depths, deepest = [0], 0
    for part in parts:
        if not part.operands:
            depths.append(0)
            continue
        length = _length(part.graph)
        starts = [depths[number] for number in part.operands]
        deepest = max(deepest, length.own_within, *[start + far for start, far in zip(starts, length.within)])
        depths.append(max(length.own, *[start + far for start, far in zip(starts, length.through)]))
    return deepest


def _length(graph: Graph) -> _Length:
    found: _Length | None = graph.__dict__.get("_deepnets_length")
    if found is None:
        inputs = [step.name for step in graph.steps if step.op == "input"]
        ways = [_ways(graph, {name}) for name in inputs]
        own = _ways(graph, {step.name for step in graph.steps if step.op in _NO_CALLS and step.op != "input"})
        result = graph.result.node
        found = graph.__dict__["_deepnets_length"] = _Length(
            tuple(way[result] for way in ways), tuple(max(way.values()) for way in ways), own.get(result, 0),
            max(own.values(), default=0),
        )  # fmt: skip
    return found


def _ways(graph: Graph, starts: set[str]) -> dict[str, int]:
    """Calls on the longest way from the starts to each node that can be reached from them."""
    found = dict.fromkeys(starts, 0)
    for step in graph.steps:
        before = [found[edge.node] for edge in step.edges if edge.node in found]
        if before:
            found[step.name] = 1 + max(before)
    return found
