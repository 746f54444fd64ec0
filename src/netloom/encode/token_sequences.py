"""`tokens`: a graph as a set of tokens, one a call and one an edge, for a plain transformer.

Source: TokenGT (Kim et al., "Pure Transformers are Powerful Graph Learners", NeurIPS 2022): which tokens belong together is
told by orthonormal vectors of the nodes, [features, P_v, P_v, node] and [features, P_u, P_v, edge].
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError
from .adjacency_arrays import node_features, numbered
from .call_arrays import calls_of, check_fold, columns
from .inputs import as_graphs
from .positions import laplacians, orthonormal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..graph.graph import Graph

NODE, EDGE = 0, 1
POSITIONS = ("random", "laplacian")
#: What the feature of an edge says of the value that goes along it.
_CARRIED = ("width.log", "extent.log")


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """The tokens of N graphs, of up to T tokens and V calls each.

    - ``features`` (N, T, F): of a node as `adjacency` gives them (``columns``); of an edge the sizes of the value on it.
    - ``positions`` (N, V, D): the vectors P of the nodes.
    - ``ends`` (N, T, 2): the nodes of each token: (v, v) of a node, (u, v) of an edge from u to v.
    - ``types`` (N, T): 0 for a node, 1 for an edge. ``mask`` (N, T): which tokens there are; nodes come first.

    ``array`` puts them together.
    """

    features: NDArray[np.float32]
    positions: NDArray[np.float32]
    ends: NDArray[np.intp]
    types: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    columns: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.mask)

    @property
    def array(self) -> NDArray[np.float32]:
        """[features, P_u, P_v, type as one-hot] of every token: (N, T, F + 2 D + 2); zeros where there is none."""
        vectors = np.take_along_axis(self.positions[:, :, None], self.ends[..., None], axis=1)
        one_hot = np.eye(2, dtype=np.float32)[self.types]
        shape = (*self.mask.shape, -1)
        whole = np.concatenate([self.features, vectors.reshape(*shape[:2], 2 * self.positions.shape[2]), one_hot], axis=2)
        return whole * self.mask[..., None]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.array.astype(dtype or np.float32, copy=False)

    def flipped(self, seed: int | np.random.Generator) -> Tokens:
        """The same with the sign of every coordinate of the positions drawn anew, graph by graph: for training.

        Neither orthonormality nor the Laplacian says which sign an eigenvector has. (Dwivedi and Bresson 2021)
        """
        rng = np.random.default_rng(seed)
        signs = rng.integers(0, 2, (len(self), 1, self.positions.shape[2]), dtype=np.int8) * np.float32(2) - np.float32(1)
        return replace(self, positions=self.positions * signs)


def tokens(
    graphs: Graph | Iterable[Graph],
    positions: str = "random",
    *,
    width: int | None = None,
    seed: int | np.random.Generator = 0,
    flip: bool = False,
    fold: str | None = None,
) -> Tokens:
    """The signals of N graphs as tokens of calls and edges, with orthonormal ``positions`` of ``width`` numbers.

    ``"random"`` positions are drawn from ``seed``: the same for all graphs of one size where it is an integer, anew for every
    graph from a generator. ``"laplacian"`` ones are the eigenvectors of the normalised Laplacian, smallest eigenvalues first;
    ``flip=True`` draws their signs (`Tokens.flipped` draws them again). The default ``width`` is the number of calls of the
    largest graph: then the positions of each graph are exactly orthonormal. ``fold`` as in `adjacency`.

    >>> import netloom as nl
    >>> x = nl.input(8)
    >>> found = tokens([nl.Graph(x, nl.relu(nl.linear(x, 4)))], width=4)
    >>> found.array.shape, found.types.tolist(), found.ends[0].tolist()
    ((1, 5, 56), [[0, 0, 0, 1, 1]], [[0, 0], [1, 1], [2, 2], [0, 1], [1, 2]])
    """
    check_fold(fold)
    if positions not in POSITIONS:
        raise FormatError(f"positions = {positions!r}; expected 'random' or 'laplacian'")
    if width is not None and (type(width) is not int or width < 1):
        raise FormatError(f"width = {width!r}; expected a number of coordinates ≥ 1, or None for as many as calls")
    calls = [calls_of(graph, fold) for graph in as_graphs(graphs)]
    sizes = [len(of_graph.kinds) for of_graph in calls]
    edges = [of_graph.edges for of_graph in calls]
    largest = max(sizes, default=0)
    here = np.arange(largest) < np.array(sizes, dtype=np.intp)[:, None]
    vectors = np.zeros((*here.shape, width or largest), dtype=np.float32)
    for row, found in zip(vectors, _vectors(positions, sizes, edges, vectors.shape[2], seed)):
        row[: len(found), : found.shape[1]] = found[:, : row.shape[1]]
    made = _assembled(node_features(calls, here), here, edges, vectors)
    return made.flipped(seed) if flip else made


def _vectors(
    positions: str, sizes: Sequence[int], edges: Sequence[NDArray[np.intp]], width: int, seed: int | np.random.Generator
) -> list[NDArray[np.float64]]:
    if positions == "laplacian":
        return laplacians(sizes, edges)
    if isinstance(seed, np.random.Generator):
        return [orthonormal(size, width, seed) for size in sizes]
    of_size = {size: orthonormal(size, width, np.random.default_rng([seed, size])) for size in set(sizes)}
    return [of_size[size] for size in sizes]


def _assembled(
    nodes: NDArray[np.float32], here: NDArray[np.bool_], edges: Sequence[NDArray[np.intp]], vectors: NDArray[np.float32]
) -> Tokens:
    """Tokens of nodes, and after them tokens of edges."""
    names = columns()
    sizes = here.sum(1)
    counts = np.array([len(pairs) for pairs in edges], dtype=np.intp)
    num_tokens = int((sizes + counts).max(initial=0))
    mask = np.arange(num_tokens) < (sizes + counts)[:, None]
    ends = np.zeros((*mask.shape, 2), dtype=np.intp)
    types = np.zeros(mask.shape, dtype=np.uint8)
    features = np.zeros((*mask.shape, len(names)), dtype=np.float32)
    of_node = np.nonzero(here)
    ends[of_node] = of_node[1][:, None]
    features[of_node] = nodes[of_node]
    graph, pairs = numbered(edges)
    place = np.arange(len(pairs)) - np.repeat(np.cumsum(counts) - counts, counts) + sizes[graph]
    ends[graph, place] = pairs
    types[graph, place] = EDGE
    for name in _CARRIED:
        column = names.index(name)
        features[graph, place, column] = nodes[graph, pairs[:, 0], column]
    return Tokens(features, vectors, ends, types, mask, names)
