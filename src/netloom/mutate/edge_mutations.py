"""Random edges: values that go into later layers as well, and those that no longer do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..errors import EditError
from ..graph.graph import Graph
from ..graph.node import Node
from ..ops import Edge, operator
from .editing import Edit
from .mutations import EVERYWHERE, NodeMutation, Where, attempt, checked_chance, is_merge, is_output
from .rewiring import readers
from .samplers import drawn

if TYPE_CHECKING:
    import numpy as np

#: Families of operators that edges may begin and end at, beside those that own weights: no views, no arithmetic of attention.
_FAMILIES = frozenset({"activation", "pool", "dropout", "norm"})
_NO_ENDS = frozenset({"softmax", "log_softmax", "softmin", "gumbel_softmax", "glu"})


def edge_targets(graph: Graph, name: str) -> list[str]:
    """The nodes that a value might go into as well, nearest first: later ones that read a value of that shape, features apart.

    Those that read it already, also through sums and concatenations, are left out, and so are outputs of the network.

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> a = nl.linear(x, 5, name="a")
    >>> b = nl.linear(a, 6, name="b")
    >>> edge_targets(nl.Graph(x, nl.relu(nl.linear(b, 7, name="c"))), "a")
    ['c']
    """
    source, node = Edge(name), graph[name]
    order = [step.name for step in graph.steps]
    found = []
    for other in graph.nodes[order.index(name) + 1 :]:
        if _may_end(other) and _alike(node, other) and source not in _terms(graph, other.operands[0], other):
            found.append(other.name)
    return found


def _may_end(node: Node) -> bool:
    if not node.operands or is_output(node) or node.op in _NO_ENDS:
        return False
    if is_merge(node):
        return node.op != "cat" or node.step.args["dim"] == node.feature_axis
    family = operator(node.op).family
    return family in _FAMILIES or (bool(node.weights) and family != "source")


def _alike(source: Node, target: Node) -> bool:
    """Whether a node reads first what is of the source's shape but for the number of features."""
    edge = target.operands[0]
    read, graph = target.graph[edge.node], target.graph
    axis = source.feature_axis
    if edge.index or axis is None or axis != read.feature_axis or graph.type_of(edge).dtype != source.dtype:
        return False
    shapes = source.shape, graph.type_of(edge).shape
    return len(shapes[0]) == len(shapes[1]) and all(i == axis or a == b for i, (a, b) in enumerate(zip(*shapes)))


def _terms(graph: Graph, edge: Edge, reader: Node) -> set[Edge]:
    """A value with what it is the sum or concatenation of; all values that the reader joins, if it is a merge itself."""
    found: set[Edge] = set()
    stack = list(reader.operands) if is_merge(reader) else [edge]
    while stack:
        here = stack.pop()
        if here not in found:
            found.add(here)
            stack += graph[here.node].operands if is_merge(graph[here.node]) else ()
    return found


@dataclass(frozen=True, slots=True)
class AddEdge(NodeMutation):
    """A value goes into one more of the nodes after it, added to what that reads or concatenated.

    Targets (see `edge_targets`) are taken with chance ``p`` each, nearest first, until one is possible. ``merge`` is ``"add"``,
    ``"cat"``, or None for either with an even chance; an edge into a merge joins it as it is.
    """

    p: float = 0.5
    merge: str | None = None
    probability: float | None = None
    #: Most nodes of a chain have no target at all, which is soon seen.
    TRIES: ClassVar[int] = 1000

    def __post_init__(self) -> None:
        checked_chance(self, p=self.p, probability=self.probability)
        if self.merge not in ("add", "cat", None):
            raise EditError(f"AddEdge: merge = {self.merge!r}; expected 'add', 'cat' or None")

    def suits(self, edit: Edit, node: Node) -> bool:
        return _may_end(node) and bool(readers(edit.graph, Edge(node.name)))

    def at(self, edit: Edit, rng: np.random.Generator, *names: str, where: Where = EVERYWHERE) -> bool:
        found = [self._from(edit, rng, name, where) for name in names]
        return any(found)

    def change(self, edit: Edit, rng: np.random.Generator, name: str) -> None:
        self._from(edit, rng, name, EVERYWHERE)

    def _from(self, edit: Edit, rng: np.random.Generator, name: str, where: Where) -> bool:
        targets = edge_targets(edit.graph, name)
        for target in targets:
            if where.allows(edit.graph[target], self) and rng.random() < self.p:
                for merge in self._merges(edit.graph[target], rng):
                    if attempt(edit, lambda: edit.connect(name, target, merge=merge)):  # noqa: B023
                        return True
        return False

    def _merges(self, target: Node, rng: np.random.Generator) -> list[str]:
        if is_merge(target):
            return [target.op]
        if self.merge is not None:
            return [self.merge]
        first = drawn(("add", "cat"), rng)
        return [first, "cat" if first == "add" else "add"]


@dataclass(frozen=True, slots=True)
class RemoveEdge(NodeMutation):
    """A value no longer goes into one of the sums or concatenations that read it; something else must still read it.

    A merge of which one part is left goes as well. Where a value goes into a merge several times, that one is left alone.
    """

    probability: float | None = None

    def __post_init__(self) -> None:
        checked_chance(self, probability=self.probability)

    def suits(self, edit: Edit, node: Node) -> bool:
        return operator(node.op).family != "source" and bool(_removable(edit.graph, node.name))

    def change(self, edit: Edit, rng: np.random.Generator, name: str) -> None:
        targets = _removable(edit.graph, name)
        if not targets:
            raise EditError(f"{name!r} goes into no merge that could do without it")
        edit.disconnect(name, drawn(targets, rng))


def _removable(graph: Graph, name: str) -> list[str]:
    reads = readers(graph, Edge(name))
    if len(reads) < 2:
        return []
    return [reader for reader in reads if is_merge(graph[reader]) and graph[reader].operands.count(Edge(name)) == 1]
