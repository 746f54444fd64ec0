"""Graphs with fewer indices: the part of resizing that needs no new weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import EditError
from ..graph.graph import Graph
from .analysis import Dimensions, analyse
from .resizing import Codes, resize

if TYPE_CHECKING:
    import numpy as np

#: Key of the tensor table → for each axis the indices that stay, None where all do.
Gather = dict[str, tuple["np.ndarray | None", ...]]


def shrink(graph: Graph, kept: Mapping[str, Sequence[int]], dims: Dimensions | None = None) -> tuple[Graph, Gather]:
    """The graph in which of every atom in ``kept`` only those indices are left, and what is left of every tensor.

    The second result has an entry for every tensor that changes: for each axis the indices that stay, or None for all;
    `gather` applies it to a state_dict. ``dims`` is the analysis of the graph where that is at hand. `EditError` for atoms that
    are unknown or frozen, indices that they do not have, and for a tensor that would have nothing left.

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> graph = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 8, name="hidden")), 2, name="head"))
    >>> smaller, left = shrink(graph, {"hidden": [0, 3, 5]})
    >>> smaller["hidden"].out_size, smaller.num_params, [None if a is None else a.tolist() for a in left["head.weight"]]
    (3, 23, [None, [0, 3, 5]])
    """
    dims = analyse(graph) if dims is None else dims
    chosen: Codes = {}
    for name, indices in kept.items():
        found = sorted(set(map(int, indices)))
        if found and found[0] < 0:
            raise EditError(f"{name!r} has indices 0 to {dims[name].size - 1 if name in dims else '…'}, not {found[0]}")
        chosen[name] = found
    return resize(dims, chosen)


def gather(state: Mapping[str, Any], left: Gather) -> dict[str, Any]:
    """A state_dict (torch tensors or arrays) with what `shrink` leaves of every tensor; others are shared, not copied."""
    found = dict(state)
    for key, axes in left.items():
        if key in found:
            for axis, indices in enumerate(axes):
                if indices is not None:
                    found[key] = found[key][(*(slice(None),) * axis, indices)]
    return found
