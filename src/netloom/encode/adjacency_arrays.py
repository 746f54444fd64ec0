"""`adjacency`: graphs as padded arrays of their calls and of who reads whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import FormatError
from .call_arrays import ATTRIBUTES, KINDS, Calls, calls_of, check_fold, columns
from .inputs import as_graphs
from .positions import laplacians, topological

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..graph.graph import Graph


@dataclass(frozen=True, slots=True, eq=False)
class GraphArrays:
    """N graphs of up to V calls; rows of calls that a graph does not have are zero, and False in ``mask`` (N, V).

    - ``nodes`` (N, V, F): operator as one-hot, attributes, logarithms of sizes; ``columns`` names the F entries.
    - ``adjacency`` (N, V, V): ``adjacency[i, a, b]`` where call b reads call a; a comes before b.
    - ``topological`` (N, V, 2): longest way from an input, and to an output, as shares of the longest of the graph.
    - ``laplacian`` (N, V, K): eigenvectors of the normalised Laplacian, from the second smallest eigenvalue on.
    """

    nodes: NDArray[np.float32]
    adjacency: NDArray[np.bool_]
    topological: NDArray[np.float32]
    laplacian: NDArray[np.float32]
    mask: NDArray[np.bool_]
    columns: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.mask)


def adjacency(graphs: Graph | Iterable[Graph], *, eigenvectors: int = 8, fold: str | None = None) -> GraphArrays:
    """The signals of N graphs as arrays: what each call is, where it stands, and who reads whom.

    Calls that change nothing are left out and their readers joined, as everywhere in `netloom.encode`. ``fold="runs"`` takes
    repeated blocks in a row once and ``"distinct"`` every different block once, with the number of repeats among the sizes:
    a stack of cells becomes as small as a cell. ``eigenvectors`` of the Laplacian are given; zeros where a graph has fewer.

    >>> import netloom as nl
    >>> x = nl.input(3, 8, 8)
    >>> y = nl.conv2d(x, 4, kernel=3, padding=1)
    >>> graph = nl.Graph(x, nl.linear(nl.flatten(nl.add(y, nl.relu(y))), 2))
    >>> arrays = adjacency([graph], eigenvectors=2)
    >>> arrays.nodes.shape, arrays.laplacian.shape, arrays.columns[0]
    ((1, 5, 46), (1, 5, 2), 'conv1')
    >>> arrays.adjacency[0].astype(int).tolist()
    [[0, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    """
    check_fold(fold)
    if type(eigenvectors) is not int or eigenvectors < 0:
        raise FormatError(f"eigenvectors = {eigenvectors!r}; expected a number of them, 0 for none")
    calls = [calls_of(graph, fold) for graph in as_graphs(graphs)]
    sizes = [len(of_graph.kinds) for of_graph in calls]
    mask = np.arange(max(sizes, default=0)) < np.array(sizes, dtype=np.intp)[:, None]
    found = np.zeros((*mask.shape, mask.shape[1]), dtype=bool)
    graph, pairs = numbered([of_graph.edges for of_graph in calls])
    found[graph, pairs[:, 0], pairs[:, 1]] = True
    places = np.zeros((*mask.shape, 2), dtype=np.float32)
    places[mask] = joined([topological(size, of_graph.edges) for size, of_graph in zip(sizes, calls)], 2)
    vectors = np.zeros((*mask.shape, eigenvectors), dtype=np.float32)
    if eigenvectors:
        for row, eigen in zip(vectors, laplacians(sizes, [of_graph.edges for of_graph in calls])):
            kept = eigen[:, 1 : eigenvectors + 1]
            row[: len(kept), : kept.shape[1]] = kept
    return GraphArrays(node_features(calls, mask), found, places, vectors, mask, columns())


def node_features(calls: Sequence[Calls], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """What each call is: (N, V, F)."""
    names = columns()
    found = np.zeros((*mask.shape, len(names)), dtype=np.float32)
    flat = np.zeros((int(mask.sum()), len(names)), dtype=np.float32)
    if len(flat):
        flat[np.arange(len(flat)), np.concatenate([of_graph.kinds for of_graph in calls])] = 1
        middle = len(KINDS) + len(ATTRIBUTES)
        flat[:, len(KINDS) : middle] = np.concatenate([of_graph.attributes for of_graph in calls])
        flat[:, middle:] = np.concatenate([of_graph.sizes for of_graph in calls])
    found[mask] = flat
    return found


def numbered(edges: Sequence[NDArray[np.intp]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The edges of all graphs in one array (E, 2), and the number of the graph of each (E,)."""
    counts = [len(pairs) for pairs in edges]
    return np.repeat(np.arange(len(edges)), counts), np.concatenate([np.zeros((0, 2), dtype=np.intp), *edges])


def joined(parts: Sequence[NDArray[np.float32]], width: int) -> NDArray[np.float32]:
    """Rows of all parts, one after the other; none of them is fine too."""
    return np.concatenate([np.zeros((0, width), dtype=np.float32), *parts])
