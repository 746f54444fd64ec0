"""A diff as a JSON document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .difference_text import plain

if TYPE_CHECKING:
    from .difference import Change, Diff
    from .graph import Graph
    from .node import Node

FORMAT = "netloom-diff"
VERSION = 1


def to_json(diff: Diff) -> str:
    """``{"format": "netloom-diff", "version": 1, "a": …, "b": …, "added": […], …}``; values are texts."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "a": _totals(diff.a),
        "b": _totals(diff.b),
        "added": [_node(node) for node in diff.added],
        "removed": [_node(node) for node in diff.removed],
        "resized": [_change(change) for change in diff.resized],
        "changed": [_change(change) for change in diff.changed],
        "rewired": [_change(change) for change in diff.rewired],
        "inputs": diff.inputs,
        "outputs": diff.outputs,
        "followers": diff.followers,
        "matches": dict(diff.matches),
    }
    return json.dumps(document, ensure_ascii=False)


def _totals(graph: Graph) -> dict[str, Any]:
    return {"hash": graph.hash, "nodes": len(graph), "parameters": graph.num_params, "flops": graph.flops}


def _node(node: Node) -> dict[str, Any]:
    from .text import node_line

    return {
        "name": node.name,
        "op": node.op,
        "line": node_line(node),
        "reads": [str(edge) for edge in node.operands],
        "read_by": [reader.name for reader in node.outputs],
    }


def _change(change: Change) -> dict[str, Any]:
    return {"before": change.before, "after": change.after, "values": plain(change.values)}
