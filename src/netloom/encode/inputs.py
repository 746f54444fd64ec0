"""What the functions of this room take for graphs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import FormatError
from ..graph.graph import Graph


def as_graphs(graphs: Graph | Iterable[Graph]) -> list[Graph]:
    """One graph or several, networks among them, as a list; `FormatError` names the first that is none.

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> len(as_graphs(nl.Graph(x, nl.relu(x))))
    1
    """
    if isinstance(graphs, Graph) or not isinstance(graphs, Iterable) or hasattr(graphs, "graph"):
        return [as_graph(graphs)]
    return [graph if graph.__class__ is Graph else as_graph(graph, f"item {i} of the graphs") for i, graph in enumerate(graphs)]


def as_graph(given: Any, what: str = "what is encoded") -> Graph:
    """A graph, or that of a network; `FormatError` for anything else."""
    graph = getattr(given, "graph", given)
    if not isinstance(graph, Graph):
        hint = "; nl.trace(model, example_inputs) gives the graph of a module" if hasattr(given, "state_dict") else ""
        raise FormatError(f"{what} is {type(given).__name__} ({given!r:.40}); expected a Graph{hint}")
    return graph


def plain(number: Any) -> Any:
    """A whole number of numpy or torch as an int; anything else as it is.

    >>> import numpy as np
    >>> plain(np.int64(3)), plain(True), plain("3")
    (3, True, '3')
    """
    return number.__index__() if hasattr(number, "__index__") and not isinstance(number, bool) else number
