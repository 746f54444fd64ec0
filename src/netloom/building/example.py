"""Inputs that fit a graph, made up."""

from __future__ import annotations

from typing import Any

from ..graph.graph import Graph
from ..graph.tree import map_leaves
from ..ops import Edge, Size

#: Samples in a batch that nobody gave the size of.
BATCH = 2


def example_inputs(graph: Graph, batch: int = BATCH, **sizes: int) -> Any:
    """Random inputs for ``graph``'s network: a tuple of its arguments, or a dict where any is given by keyword.

    Real numbers are uniform in [0, 1), whole numbers 0 or 1, which every table has rows for. ``sizes`` gives other free sizes
    than the batch by their symbols; those left out have the size they had in the trace.

    >>> import netloom as nl
    >>> x = nl.input(3, 8, 8)
    >>> (example,) = example_inputs(nl.Graph(x, nl.relu(x)), batch=5)
    >>> example.shape
    torch.Size([5, 3, 8, 8])
    """
    symbols = {**graph.symbols, "N": batch, **sizes}

    def made(leaf: Any) -> Any:
        if type(leaf) is not Edge:
            return leaf
        kind = graph.type_of(leaf)
        return _tensor(kind.dtype, tuple(size.at(symbols) if isinstance(size, Size) else size for size in kind.shape))

    values = {argument.name: map_leaves(argument.tree, made) for argument in graph.arguments}
    if any(argument.keyword for argument in graph.arguments):
        return values
    return tuple(values.values())


def _tensor(dtype: str, shape: tuple[int, ...]) -> Any:
    import torch

    kind = getattr(torch, dtype)
    if kind.is_floating_point or kind.is_complex:
        return torch.rand(shape, dtype=kind)
    return torch.randint(0, 2, shape).to(kind)
