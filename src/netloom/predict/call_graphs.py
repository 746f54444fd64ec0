"""Graphs as neural predictors read them: few nodes, each a call that matters with what is folded onto it.

A node is a convolution, a pool, a sum …, and the calls around it that work on single values and that nothing else reads
(activations, norms, dropouts) are counted on it, before and after: a cell of pre-activated convolutions has a node for each
convolution instead of three. A sum of sums is one sum. What changes nothing is gone already, as everywhere in `netloom.encode`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..encode.call_arrays import ATTRIBUTES, SIZES, Wiring, known_rows, wiring
from ..encode.positions import topological
from ..encode.signal_flow import Segment, signal
from ..encode.vocabulary import KINDS, MAIN

if TYPE_CHECKING:
    from ..graph.graph import Graph

Array = np.ndarray[Any, Any]

#: Kinds that are folded onto a neighbour.
POINTWISE = tuple(kind for kind in KINDS if kind not in MAIN and kind not in ("add", "cat", "mul", "other", "input"))
_IS_POINTWISE = np.array([kind in POINTWISE for kind in KINDS])
_PLACE = np.array([POINTWISE.index(kind) if kind in POINTWISE else -1 for kind in KINDS])
#: Number of features of a node.
WIDTH = len(KINDS) + 2 * len(POINTWISE) + 2 + len(ATTRIBUTES) + len(SIZES)
#: Columns that are numbers instead of counts: they are standardised.
NUMBERS = slice(len(KINDS) + 2 * len(POINTWISE), WIDTH)
_ADD = KINDS.index("add")
_RATE = ATTRIBUTES.index("rate")
#: Graphs of more nodes than this on average are read with every different block once.
MOST_NODES = 48


class Contraction(NamedTuple):
    """Which calls stand for nodes; edges between nodes; the part of nodes' features that hangs on the wiring alone.

    ``node_of`` says for each call which node it is part of.
    """

    heads: Array
    node_of: Array
    edges: Array
    features: Array


@dataclass(frozen=True, slots=True, eq=False)
class CallGraphs:
    """N graphs one after the other.

    ``nodes`` (M, F) are all nodes in order; ``begins`` (N + 1,) says where each graph's begin; ``edges`` (E, 2) are places in
    ``nodes``, ``edge_begins`` (N + 1,) where each graph's begin.
    """

    nodes: Array
    begins: Array
    edges: Array
    edge_begins: Array

    def __len__(self) -> int:
        return len(self.begins) - 1

    def __getitem__(self, rows: Any) -> CallGraphs:
        """Some of the graphs."""
        rows = np.asarray(rows)
        nodes, begins = _ranges(self.begins, rows)
        edges, edge_begins = _ranges(self.edge_begins, rows)
        moved = np.repeat(begins[:-1] - self.begins[rows], np.diff(edge_begins))
        return CallGraphs(self.nodes[nodes], begins, self.edges[edges] + moved[:, None], edge_begins)

    @property
    def graph(self) -> Array:
        """The number of the graph of each node (M,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.begins))

    @property
    def sizes(self) -> Array:
        """The number of nodes of each graph (N,)."""
        return np.diff(self.begins)


def _ranges(begins: Array, rows: Array) -> tuple[Array, Array]:
    """Places of the entries of some ranges, one range after the other, and where each range then begins."""
    lengths = begins[rows + 1] - begins[rows]
    new = np.concatenate([[0], np.cumsum(lengths)])
    return np.arange(new[-1]) + np.repeat(begins[rows] - new[:-1], lengths), new


def call_graphs(graphs: Iterable[Graph], fold: str | None = None) -> CallGraphs:
    """Graphs as nodes and edges. ``fold`` as in `netloom.encode.adjacency`.

    >>> import netloom as nl
    >>> x = nl.input(3, 8, 8)
    >>> y = nl.relu(nl.batch_norm(nl.conv2d(x, 4, kernel=3, padding=1)))
    >>> found = call_graphs([nl.Graph(x, nl.linear(nl.flatten(y), 2))])
    >>> [KINDS[row.argmax()] for row in found.nodes[:, :len(KINDS)]], found.edges.tolist()
    (['input', 'conv3', 'linear'], [[0, 1], [1, 2]])
    """
    rows = known_rows()
    plans: list[Contraction] = []
    repeats: list[Array] = []
    numbers: list[int] = []
    for graph in graphs:
        found = signal(graph)
        wires, plan = _plan(found.segments, fold)
        plans.append(plan)
        repeats.append(wires.repeats)
        numbers += rows.of(graph, [found.live[place] for place in wires.places])
    begins, edge_begins = (np.cumsum([0, *counts]) for counts in ([len(p.heads) for p in plans], [len(p.edges) for p in plans]))
    if not numbers:
        return CallGraphs(np.zeros((0, WIDTH), np.float32), begins, np.zeros((0, 2), np.intp), edge_begins)
    # Places among all calls and all nodes.
    firsts = np.cumsum([0, *map(len, repeats[:-1])])
    heads = np.concatenate([plan.heads for plan in plans]) + np.repeat(firsts, np.diff(begins))
    edges = np.concatenate([plan.edges for plan in plans]) + np.repeat(begins[:-1], np.diff(edge_begins))[:, None]
    node_of = np.concatenate([plan.node_of for plan in plans]) + np.repeat(begins[:-1], [len(times) for times in repeats])
    table = rows.table(numbers)
    own = np.concatenate([table[heads], np.concatenate(repeats)[heads, None]], axis=1)
    np.maximum.at(own[:, _RATE], node_of, table[:, _RATE])
    nodes = np.concatenate([np.concatenate([plan.features for plan in plans]), own], axis=1)
    return CallGraphs(nodes, begins, edges, edge_begins)


def fold_for(graphs: Sequence[Graph]) -> str | None:
    """How to read graphs of this kind: whole where they are small, else every different block once."""
    some = graphs[:: max(1, len(graphs) // 32)]
    return "distinct" if call_graphs(some).sizes.mean() > MOST_NODES else None


@lru_cache(maxsize=100_000)
def _plan(segments: tuple[Segment, ...], fold: str | None) -> tuple[Wiring, Contraction]:
    """How the calls of a chain of segments are wired, and how they become nodes."""
    wires = wiring(segments, fold)
    return wires, contraction(wires.kinds.tobytes(), wires.edges.tobytes())


@lru_cache(maxsize=100_000)
def contraction(kinds_bytes: bytes, edges_bytes: bytes) -> Contraction:
    """How the calls of a wiring, given as the bytes of its arrays, become nodes."""
    kinds = np.frombuffer(kinds_bytes, dtype=np.intp)
    edges = np.frombuffer(edges_bytes, dtype=np.intp).reshape(-1, 2)
    heads, node_of = _folded(kinds, edges)
    inner = node_of[edges]
    outer = inner[inner[:, 0] != inner[:, 1]]
    features = np.zeros((len(heads), len(KINDS) + 2 * len(POINTWISE)), dtype=np.float32)
    features[np.arange(len(heads)), kinds[heads]] = 1
    for call, node in enumerate(node_of):
        if _PLACE[kinds[call]] >= 0 and call != heads[node]:
            after = len(POINTWISE) if call > heads[node] else 0
            features[node, len(KINDS) + after + _PLACE[kinds[call]]] += 1
    return Contraction(heads, node_of, outer, np.hstack([features, topological(len(heads), outer)]))


def _folded(kinds: Array, edges: Array) -> tuple[Array, Array]:
    """The call that each node stands for, and the node of each call. Nodes are in an order in which edges go forward."""
    reads: list[list[int]] = [[] for _ in kinds]
    readers = np.bincount(edges[:, 0], minlength=len(kinds))
    for source, target in edges.tolist():
        reads[target].append(source)
    heads: dict[int, int] = {}
    headless: set[int] = set()
    # A node goes by its last call: nothing outside reads an earlier one.
    members: dict[int, list[int]] = {}
    for call, kind in enumerate(kinds.tolist()):
        own = [source for source in reads[call] if readers[source] == 1]
        joined: list[int] = []
        head = call
        if kind == _ADD:
            joined = [source for source in own if kinds[source] == _ADD]
        elif len(reads[call]) == 1 and own and (_IS_POINTWISE[kind] or own[0] in headless):
            joined = own
            head = heads[own[0]] if _IS_POINTWISE[kind] else call
        if _IS_POINTWISE[kind] and (not joined or joined[0] in headless):
            headless.add(call)
        heads[call], members[call] = head, [call]
        for source in joined:
            members[call] += members.pop(source)
            del heads[source]
    node_of = np.zeros(len(kinds), dtype=np.intp)
    for node, last in enumerate(members):
        node_of[members[last]] = node
    return np.array(list(heads.values()), dtype=np.intp), node_of
