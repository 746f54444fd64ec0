"""`hyper_graph`: a network as a hypernetwork sees it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GraphError
from ..graph.graph import Graph
from .distances import average_undirected, directed
from .heads import LooseParameter, class_layers, loose_parameters
from .ordering import Place, ordered
from .primitives import INDEX, PRIMITIVES
from .recording import Record, record
from .reducing import feature_mean, reduced

if TYPE_CHECKING:
    import networkx
    from numpy.typing import NDArray

_VIEWS = frozenset({"reshape", "flatten", "unflatten", "unsqueeze", "squeeze", "expand", "permute", "transpose", "getitem"})
#: Style of view → the activations whose results are gates.
STYLES = {"ppuda": frozenset({"hardswish"}), "ghn3": frozenset({"hardswish", "hardsigmoid", "sigmoid"})}
#: Virtual edges join nodes that are at most so far apart.
VIRTUAL_EDGES = 50


@dataclass(frozen=True, slots=True)
class HyperNode:
    """A node: its type (one of `PRIMITIVES`), its name, and the shape that a hypernetwork is told.

    ``name`` is the key of the parameter, or the name of the call in the graph for nodes without. ``call`` names the call in
    the graph. ``shape`` is the parameter's, (1, 1, k, k) for pools, None for others. ``is_class`` marks weight and bias of a
    layer whose values the network returns; ``is_turned`` a weight that the network keeps as (in, out), of which ``shape`` is
    (out, in).
    """

    type: str
    name: str
    call: str
    shape: tuple[int, ...] | None = None
    is_parameter: bool = False
    is_class: bool = False
    is_turned: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class HyperGraph:
    """What a hypernetwork sees of a network; made by `hyper_graph`. Immutable: its arrays cannot be written to.

    ``nodes`` are in order of computation, ``edges`` are pairs of their numbers. ``distances`` is the adjacency with virtual
    edges, (N, N) of uint8: 1 for an edge, d for nodes that are d ≤ 50 edges apart, else 0.
    """

    nodes: tuple[HyperNode, ...]
    edges: tuple[tuple[int, int], ...]
    distances: NDArray[np.uint8]
    #: Parameters without a node of their own.
    loose: tuple[LooseParameter, ...] = ()

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def types(self) -> tuple[str, ...]:
        """The type of each node."""
        return tuple(node.type for node in self.nodes)

    @property
    def type_indices(self) -> NDArray[np.int64]:
        """(N,) places of the types in `PRIMITIVES`."""
        return np.array([INDEX[node.type] for node in self.nodes], dtype=np.int64)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each node."""
        return tuple(node.name for node in self.nodes)

    @property
    def shapes(self) -> tuple[tuple[int, ...] | None, ...]:
        """The shape of each node."""
        return tuple(node.shape for node in self.nodes)

    @property
    def adjacency(self) -> NDArray[np.uint8]:
        """(N, N) edges and virtual edges, the same as ``distances``."""
        return self.distances

    @property
    def virtual_edges(self) -> tuple[tuple[int, int, int], ...]:
        """(from, to, length) of all edges, the real ones included, in order."""
        rows, columns = np.nonzero(self.distances)
        return tuple(zip(rows.tolist(), columns.tolist(), self.distances[rows, columns].tolist()))

    @property
    def average_degree(self) -> float:
        """Mean number of neighbours."""
        return 2 * len(self.edges) / len(self.nodes)

    @property
    def average_path(self) -> float:
        """Mean length of the shortest paths between two nodes, directions left out."""
        return average_undirected(len(self.nodes), self.edges)

    def counts(self) -> dict[str, int]:
        """How many nodes there are of each type, in the order of `PRIMITIVES`."""
        found = Counter(node.type for node in self.nodes)
        return {name: found[name] for name in PRIMITIVES if found[name]}

    def to_networkx(self) -> networkx.DiGraph:
        """A networkx view: nodes by number with ``type``, ``name``, ``shape``; one-hop edges."""
        import networkx

        view = networkx.DiGraph()
        for number, node in enumerate(self.nodes):
            view.add_node(number, type=node.type, name=node.name, shape=node.shape)
        view.add_edges_from(self.edges)
        return view

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counts().items())
        return f"<HyperGraph: {len(self)} nodes, {len(self.edges)} edges; {counts}>"


def hyper_graph(
    model_or_graph: Any, example: Any = None, *, virtual_edges: int = VIRTUAL_EDGES, style: str = "ppuda"
) -> HyperGraph:  # fmt: skip
    """A network as a hypernetwork sees it: types of nodes, edges, shapes, and how far apart nodes are.

    Takes a `Graph`, a `Network`, or any nn.Module with an example of its inputs. Nodes are parameters (a convolution's
    or linear layer's weight ``conv``, ``sep_conv``, ``dil_conv``, its ``bias``, norms ``bn`` and ``ln``, position tables),
    pools, sums and concatenations of several values, attention and squeeze-and-excitation; activations and reshapes are left
    out. ``virtual_edges`` is the longest path that makes one; 1 for none.

    ``style="ppuda"`` is what GHN-1 and GHN-2 were trained on: attention, and squeeze-and-excitation by a hard swish, count
    where no other branch is computed beside them. ``style="ghn3"`` is GHN-3's: every attention counts, and every
    squeeze-and-excitation in place of its mean.

    Raises `TraceError` for a model that cannot be traced, `GraphError` for one that nothing is computed by.

    Source: Knyazev et al., NeurIPS 2021, section 3, and the order of nodes of its public code.

    >>> import netloom as nl
    >>> x = nl.input(3, 32, 32)
    >>> y = nl.relu(nl.batch_norm(nl.conv2d(x, 16, kernel=3, padding=1, name="stem"), name="norm"))
    >>> view = nl.ghn.hyper_graph(nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(y, 1)), 10, name="head")))
    >>> view.types
    ('input', 'conv', 'bias', 'bn', 'glob_avg', 'conv', 'bias')
    >>> view.names[1], view.shapes[1], int(view.distances[0, 6])
    ('stem.weight', (16, 3, 3, 3), 6)
    """
    if not isinstance(virtual_edges, int) or not 1 <= virtual_edges <= 255:
        raise GraphError(f"virtual_edges = {virtual_edges!r}; expected a whole number from 1 (none) to 255")
    if style not in STYLES:
        raise GraphError(f"style {style!r} is none of {', '.join(STYLES)}")
    return _made(as_graph(model_or_graph, example), virtual_edges, style)


def as_graph(model_or_graph: Any, example: Any = None) -> Graph:
    """The graph of a `Graph`, a `Network`, or a module that is traced in evaluation mode."""
    if isinstance(model_or_graph, Graph):
        return model_or_graph
    held = getattr(model_or_graph, "graph", None)
    if isinstance(held, Graph):
        return held
    if not callable(model_or_graph):
        raise GraphError(f"{model_or_graph!r:.80} is no network; give a Graph, a Network, or a module with an example")
    if example is None:
        raise GraphError(
            f"a {type(model_or_graph).__name__} is seen by running it; give an example of its inputs, such as "
            "torch.zeros(1, 3, 32, 32)"
        )
    from ..tracing.trace import trace

    return trace(model_or_graph, example, mode="eval")


def _made(graph: Graph, virtual_edges: int, style: str) -> HyperGraph:
    recorded = record(graph)
    if not recorded.results:
        return _view_of([Place("input", "input")], graph, recorded, virtual_edges)
    places = reduced(
        ordered(recorded),
        is_global=lambda place: _is_global(graph, place.step, kept=style == "ppuda"),
        is_gate=lambda place: _is_gate(graph, place.step, STYLES[style]),
        alone=style == "ppuda",
    )
    return _view_of(places, graph, recorded, virtual_edges)


def _is_global(graph: Graph, name: str, kept: bool) -> bool:
    """Whether a mean is over all places; with ``kept``, of those alone that keep the axes."""
    step = graph[name].step
    dims = step.args["dim"]
    return bool(step.args["keepdim"] or not kept) and feature_mean(graph.type_of(step.edges[0]).rank, tuple(dims or ()))


def _is_gate(graph: Graph, name: str, makers: frozenset[str]) -> bool:
    """Whether a product is of a value with gates of the same channels, without extent in space, that a maker made."""
    edges = graph[name].step.edges
    shapes = [graph.type_of(edge).shape for edge in edges]
    if len(shapes) != 2 or len(shapes[0]) != len(shapes[1]) or len(shapes[0]) < 3:
        return False
    for edge, gate, other in zip(edges, shapes, shapes[::-1]):
        if set(gate[2:]) == {1} and gate[1] == other[1]:
            step = graph[edge.node].step
            # GHN-3's makers looked for gates that are made as they are used, those before them for a reshape between.
            while step.op in _VIEWS and makers == STYLES["ppuda"]:
                step = graph[step.edges[0].node].step
            return step.op in makers
    return False


def _view_of(places: list[Place], graph: Graph, recorded: Record, virtual_edges: int) -> HyperGraph:
    number = {place: i for i, place in enumerate(places)}
    edges = sorted((number[a], number[b]) for b in places for a in b.before)
    last = class_layers(recorded, graph)
    nodes = tuple(_node(place, graph, last) for place in places)
    distances = directed(len(nodes), edges, virtual_edges).astype(np.uint8)
    distances.setflags(write=False)
    return HyperGraph(nodes, tuple(edges), distances, loose_parameters(recorded, places, graph))


def _node(place: Place, graph: Graph, last: set[str]) -> HyperNode:
    if place.leaf is not None:
        leaf = place.leaf
        shape = tuple(graph.tensors[leaf.key].type.shape)
        shape = shape[::-1] if leaf.is_turned else shape
        return HyperNode(place.kind, leaf.key, place.step, shape, True, place.step in last and leaf.is_layer, leaf.is_turned)
    return HyperNode(place.kind, place.step, place.step, _pool_shape(place, graph))


def _pool_shape(place: Place, graph: Graph) -> tuple[int, ...] | None:
    if place.kind not in ("max_pool", "avg_pool"):
        return None
    kernel = tuple(graph[place.step].step.args["kernel"])
    return (1, 1, *kernel[-2:]) if len(kernel) > 1 else (1, 1, kernel[0], 1)
