"""Which module's training flag decides whether a call of one mode is made."""

from __future__ import annotations

from ..ops import MODULE, Edge
from .graph import Graph
from .tree import edges


def deciding(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Node of one mode → the modules of which any must be in that mode for the node to be computed.

    A call is made where what it gives is used: what the network gives in training hangs on its own flag, a choice by mode on
    that of the module in which it is made, and a call on those of the calls that read it. The flag of a layer in between may
    differ (norms that are frozen in a head for training): what it gives is needed all the same. What nothing reads (a buffer
    that is written to) hangs on its own module.
    """
    found: dict[str, dict[str, None]] = {step.name: {} for step in graph.steps if step.mode}
    if not found:
        return {}
    modes = {step.name: step.mode for step in graph.steps}

    def need(value: object, mode: str, flags: dict[str, None]) -> None:
        for edge in edges([value]):
            if modes.get(edge.node) == mode:
                found[edge.node].update(flags)

    need(graph.result, "eval", {"": None})
    need(graph.train_result, "train", {"": None})
    for step in reversed(graph.steps):
        if step.mode:
            flags = found[step.name] = found[step.name] or {step.scope: None}
            need(tuple(step.args.values()), step.mode, flags)
        elif step.args.get("training") == MODULE:
            for mode in ("train", "eval"):
                chosen = step.args.get(mode) if step.op == "by_mode" else None
                need(chosen if isinstance(chosen, Edge) else (), mode, {step.scope: None})
    return {name: tuple(sorted(flags)) for name, flags in found.items()}
