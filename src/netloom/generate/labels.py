"""What a generator is given to learn from, checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import GeneratorError
from ..graph.graph import Graph

Array = np.ndarray[Any, Any]

#: Fewer labels than this say nothing about an architecture.
FEWEST = 5


def checked(graphs: Iterable[Graph], scores: Any) -> tuple[list[Graph], Array, int]:
    """Graphs and scores (N,) without those whose score is NaN, and how many those are.

    `GeneratorError` for what is no graph, scores that are no numbers, infinite, or not one for each graph.
    """
    if isinstance(graphs, Graph) or hasattr(graphs, "graph"):
        graphs = [graphs]  # type: ignore[list-item]
    listed: list[Any] = [getattr(graph, "graph", graph) for graph in graphs]
    for i, graph in enumerate(listed):
        if not isinstance(graph, Graph):
            raise GeneratorError(f"item {i} is a {type(graph).__name__}; a generator learns from graphs (see nl.trace)")
    try:
        values = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError):
        raise GeneratorError(f"scores must be {len(listed)} numbers, one for each graph") from None
    if values.shape != (len(listed),):
        raise GeneratorError(f"scores has shape {values.shape}; expected ({len(listed)},), one number for each graph")
    if np.isinf(values).any():
        raise GeneratorError(f"score {int(np.isinf(values).argmax())} is infinite; scores must be finite, or NaN where unknown")
    kept = ~np.isnan(values)
    return [graph for graph, keep in zip(listed, kept) if keep], values[kept], int((~kept).sum())


def check_enough(scores: Array, dropped: int) -> None:
    """`GeneratorError` for too few scores, or scores that are all equal."""
    if len(scores) < FEWEST:
        left_out = f" ({dropped} scores are NaN, or of graphs that were left out)" if dropped else ""
        raise GeneratorError(f"{len(scores)} graphs with a score{left_out}; a generator needs at least {FEWEST}")
    if np.ptp(scores) == 0:
        raise GeneratorError(f"all {len(scores)} scores are {scores[0]:g}; there is nothing to learn from equal scores")
