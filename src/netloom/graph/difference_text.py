"""A diff as a table for people."""

from __future__ import annotations
from typing import Any
from .tree import map_leaves
from .text import Values

def arguments_text(graph: Any) -> str:
    """What the network takes, as in the textual notation."""
    values = Values(graph)
    return ", ".join(values.text(a.tree) for a in graph.arguments)

def results_text(graph: Any) -> str:
    values = Values(graph)
    return values.text(graph.result) + (f", in training {values.text(graph.train_result)}" if graph.train_result is not None else "")

def table(diff: Any) -> str: return repr(diff)
