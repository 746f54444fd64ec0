"""Parts of one network in the place of parts of another, with their weights.

A *part* is what lies between values that go in and one that comes out: a segment (one value goes in), or a merge of several
values. The place where a part was is cut on both sides (see `rewiring`), the other part is put between, and sizes are made to
agree; where possible only the sides that read adapt, so that what was learned to be produced stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import EditError
from ..graph.builder import unique
from ..graph.graph import Graph, Step, default_scope
from ..graph.subgraph import extract
from ..graph.tree import weights
from ..ops import Concat, DType, Edge, TensorType
from .aligning import Aligner
from .analysis import analyse
from .atoms import atoms_of, resized
from .plan import Stage
from .rewiring import cut, grafted, is_returned, joined, named, remade, segment
from .sizing import Equal


@dataclass(frozen=True)
class Part:
    """Nodes of a graph with the values that go into them and the one that comes out.

    ``merge`` is ``"add"`` or ``"cat"`` where they only join the entries, which may then be of any number; else one goes in.
    """

    graph: Graph
    nodes: frozenset[str]
    entries: tuple[Edge, ...]
    exit: Edge
    merge: str = ""


def interchangeable(one: Part, other: Part) -> bool:
    """Whether two parts may stand in for one another as far as shapes tell: they change the sizes of space in the same way."""
    if one.merge and one.merge == other.merge:
        return False  # nothing would change
    a, b = _ends(one), _ends(other)
    if [(end.rank, end.dtype, axis) for end, axis in a] != [(end.rank, end.dtype, axis) for end, axis in b]:
        return False
    (first, axis), (last, after) = a
    if first.rank != last.rank or axis != after:
        return True  # the graph that results decides
    pairs = zip(first.shape, last.shape, b[0][0].shape, b[1][0].shape)
    return all(i == axis or _same_change(*sizes) for i, sizes in enumerate(pairs))


def _ends(part: Part) -> list[tuple[TensorType, int | None]]:
    return [(part.graph.type_of(edge), part.graph[edge.node].feature_axis) for edge in (part.entries[0], part.exit)]


def _same_change(a: Any, b: Any, c: Any, d: Any) -> bool:
    """Whether a → b is c → d: unchanged, by the same number, or by the same factor."""
    if a == b or c == d or not all(isinstance(size, int) for size in (a, b, c, d)):
        return bool(a == b and c == d)
    return b - a == d - c or a * d == b * c


# -- finding parts -------------------------------------------------------------------------------------------------------
def parts_before(graph: Graph, name: str) -> Iterator[Part]:
    """The parts that end at a node's result, smaller ones first.

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> a = nl.linear(x, 4, name="a")
    >>> graph = nl.Graph(x, nl.linear(nl.add(nl.relu(a, name="b"), a, name="c"), 2))
    >>> [(str(part.entries[0]), sorted(part.nodes), part.merge) for part in parts_before(graph, "c")]
    [('b', ['c'], 'add'), ('a', ['b', 'c'], ''), ('x', ['a', 'b', 'c'], '')]
    """
    exit = Edge(name)
    merged = _merged(graph, exit)
    if merged is not None:
        yield merged
    place = {step.name: i for i, step in enumerate(graph.steps)}
    used = _users(graph)
    inside: set[str] = set()
    outside: dict[Edge, None] = {exit: None}
    while outside:
        latest = max(outside, key=lambda edge: place[edge.node]).node
        inside.add(latest)
        if not _may_move(graph, latest, inside, exit):
            return
        outside = {edge: None for edge in outside if edge.node != latest}
        for edge in graph[latest].operands:
            if edge.node in inside:
                continue
            if graph[edge.node].op in ("parameter", "constant") and set(graph.consumers[edge.node]) == {latest}:
                inside.add(edge.node)
            else:
                outside[edge] = None
        if len(outside) == 1:
            (entry,) = outside
            if _is_features(graph, entry) and _owns_its_weights(graph, inside, used):
                yield Part(graph, frozenset(inside), (entry,), exit)


def part_of(graph: Graph, names: str | Sequence[str]) -> Part:
    """The part that nodes or modules of these names form; `EditError` where they form none."""
    nodes = {node for name in ((names,) if isinstance(names, str) else names) for node in named(graph, name)}
    last = [step.name for step in graph.steps if step.name in nodes and step.op not in ("parameter", "constant")]
    for part in parts_before(graph, last[-1]) if last else ():
        if nodes <= part.nodes and all(graph[name].op in ("parameter", "constant") for name in part.nodes - nodes):
            return part
    segment(graph, sorted(nodes))  # says so where more than one value goes in or comes out
    raise EditError(
        f"{names!r} cannot be moved to another network: it shares weights with what stays, changes buffers, or differs between "
        "training and evaluation"
    )


def _merged(graph: Graph, exit: Edge) -> Part | None:
    """The concatenation, or the sum with all sums in it, that a value is."""
    node = graph[exit.node]
    if node.op == "cat" and node.step.args["dim"] == node.feature_axis:
        entries = node.operands
        return Part(graph, frozenset({node.name}), entries, exit, "cat") if len(entries) > 1 else None
    inside: list[str] = []
    found = _summands(graph, exit, inside)
    return Part(graph, frozenset(inside), tuple(found), exit, "add") if inside else None


def _summands(graph: Graph, edge: Edge, inside: list[str]) -> list[Edge]:
    node = graph[edge.node]
    own = not inside or (len(graph.consumers[node.name]) == 1 and not is_returned(graph, edge))
    plain = node.op == "add" and len(node.operands) == 2 and node.step.args["alpha"] == 1
    if not (plain and own and all(graph.type_of(operand) == graph.type_of(edge) for operand in node.operands)):
        return [edge]
    inside.append(node.name)
    return [term for operand in node.operands for term in _summands(graph, operand, inside)]


def _may_move(graph: Graph, name: str, inside: set[str], exit: Edge) -> bool:
    """Whether a node may be part of another network: nothing outside reads it, and it is the same in training."""
    node = graph[name]
    if node.op in ("input", "assign", "by_mode", "opaque") or node.step.mode or node.step.autocast:
        return False
    if name == exit.node:
        return len(node.types) == 1
    return set(graph.consumers[name]) <= inside and not any(is_returned(graph, Edge(name, i)) for i in range(len(node.types)))


def _is_features(graph: Graph, edge: Edge) -> bool:
    return edge.index == 0 and graph.type_of(edge).dtype.startswith("float") and graph[edge.node].feature_axis is not None


def _users(graph: Graph) -> dict[str, set[str]]:
    """Head of a tensor → the nodes that use it by any name."""
    found: dict[str, set[str]] = {}
    for step in graph.steps:
        for weight in weights(tuple(step.args.values())):
            found.setdefault(graph.tensors[weight.key].alias_of or weight.key, set()).add(step.name)
    return found


def _owns_its_weights(graph: Graph, inside: set[str], used: Mapping[str, set[str]]) -> bool:
    return all(users <= inside or not users & inside for users in used.values())


# -- putting them in the place of others ---------------------------------------------------------------------------------
@dataclass(frozen=True)
class Transplant:
    """What became of a graph: the stage (see `plan`) by which it has the other's part in the place of its own, and new key →
    key in the other graph of the tensors that came along. The stage moves and keeps those under their new keys."""

    stage: Stage
    keys: Mapping[str, str]


def transplanted(
    own: Part, other: Part, aligner_for: Callable[[Mapping[str, str]], Aligner],
    align: tuple[str, ...] = ("grow", "shrink", "both"),
) -> Transplant:  # fmt: skip
    """The graph of ``own`` with ``other`` in its place; `EditError` where that is no network.

    ``aligner_for`` gives the aligner for a graph that holds tensors of both: from new key → key in the other graph. ``align``
    says what may change where it does not do that the sides that read adapt: see `Edit.remove`.
    """
    placed = _Placed(own, other)
    return _Transplanting(placed, aligner_for(placed.keys), align).result(f"{other.exit} in the place of {own.exit}")


class _Placed:
    """A graph with the other part beside it: the readers of its own part, and the other part, read virtual inputs."""

    def __init__(self, own: Part, other: Part) -> None:
        self.own = own
        # Several values that a segment shall read go on through the merge that joins them.
        keeps = bool(own.merge) and not other.merge
        self.feeds = (own.exit,) if keeps else own.entries
        self.merge = other.merge if len(self.feeds) > 1 else ""
        drop = frozenset[str]() if keeps else own.nodes
        self.graph, self.out = cut(own.graph, own.exit, drop=drop, returned=is_returned(own.graph, own.exit))
        self.keys: dict[str, str] = {}
        self.into: Edge | None = None
        if not other.merge:
            self._graft(other)

    def _graft(self, other: Part) -> None:
        graph, feed, entry = self.own.graph, self.feeds[0], other.entries[0]
        source, read = graph.type_of(feed), other.graph.type_of(entry)
        axis = graph[feed.node].feature_axis
        if source.rank != read.rank or source.dtype != read.dtype or axis != other.graph[entry.node].feature_axis:
            raise EditError(f"{str(entry)!r} is {read} where {str(feed)!r} is {source}; they do not go together")
        piece = _piece(other)
        virtual = unique(f"{feed.node}~in", set(self.graph.all_types))
        shape = tuple(theirs if i == axis else ours for i, (ours, theirs) in enumerate(zip(source.shape, read.shape)))
        step = Step(virtual, "input", {"dtype": DType(source.dtype), "shape": shape})
        graft = grafted(
            remade(self.graph, [step, *self.graph.steps]), piece, {piece.inputs[0].name: Edge(virtual)},
            beside=self.own.exit.node,
        )  # fmt: skip
        self.graph, self.into, self.made = graft.graph, Edge(virtual), graft.exits[0]
        self.keys = {new: old for old, new in graft.keys.items()}


def _piece(part: Part) -> Graph:
    inside = {step.name: step for step in part.graph.steps if step.name in part.nodes}
    return extract(part.graph, inside, part.entries, {part.exit}, lambda key: False)


class _Transplanting:
    def __init__(self, placed: _Placed, aligner: Aligner, align: tuple[str, ...]) -> None:
        self.placed, self.aligner, self.align = placed, aligner, align
        self.virtual = [edge for edge in (placed.out, placed.into) if edge is not None]
        self.dims = analyse(placed.graph, [edge.node for edge in self.virtual])

    def result(self, title: str) -> Transplant:
        placed, feeds = self.placed, self.placed.feeds
        equal: list[Equal] = []
        if placed.into is not None:
            equal += self._meeting(feeds[0], placed.into) + self._meeting(placed.made, placed.out)
        elif placed.merge == "cat":
            equal += self._concatenated(feeds)
        else:
            equal += [tie for feed in feeds for tie in self._meeting(feed, placed.out)]
        stage = self._aligned(title, equal)
        return Transplant(replace(stage, graph=self._joined(stage.graph)), placed.keys)

    # -- sizes -------------------------------------------------------------------------------------------------------------
    def _meeting(self, source: Edge, reader: Edge) -> list[Equal]:
        """What must be equal where one value takes the place of another; only numbers of features may differ."""
        graph, dims = self.placed.graph, self.dims
        a, b = graph.type_of(source), graph.type_of(reader)
        found = []
        if a.rank != b.rank or a.dtype != b.dtype:
            raise EditError(f"{source} is {a} where {b} is read; they do not go together")
        axis = graph[source.node].feature_axis if source.index == 0 else None
        for i, (left, right) in enumerate(zip(dims.of(source), dims.of(reader))):
            if i == axis and isinstance(a.shape[i], int) and isinstance(b.shape[i], int):
                if left != right:
                    found.append(Equal(f"the features of {source} and of what reads it", left, right))
            elif a.shape[i] != b.shape[i]:
                raise EditError(f"{source} is {a} where {b} is read: axis {i} differs")
        return found

    def _concatenated(self, feeds: tuple[Edge, ...]) -> list[Equal]:
        graph, dims, out = self.placed.graph, self.dims, self.placed.out
        axis = graph[feeds[0].node].feature_axis
        if axis is None:
            raise EditError(f"{feeds[0]} has no features")
        for feed in feeds:
            shapes = [s[:axis] + s[axis + 1 :] for s in (graph.type_of(feed).shape, graph.type_of(out).shape)]
            if shapes[0] != shapes[1]:
                raise EditError(f"{feed} is {graph.type_of(feed)}; it cannot be concatenated to {graph.type_of(out)}")
        whole = Concat(tuple(dims.of(feed)[axis] for feed in feeds))
        return [Equal("the concatenated features and what reads them", dims.of(out)[axis], whole)]

    def _aligned(self, title: str, equal: list[Equal]) -> Stage:
        dims = self.dims
        if all(resized(tie.left, dims.sizes) == resized(tie.right, dims.sizes) for tie in equal):
            return Stage(title, self.placed.graph, reasons=(title,))
        failure: EditError | None = None
        for held in self._ways(equal):
            try:
                sizes = self.aligner.sizes(dims, equal=equal, held=dict.fromkeys(held, "the other side adapts to it"))
            except EditError as error:
                failure = error
                continue
            stage = self.aligner.stage(title, dims, self.aligner.codes(dims, sizes))
            return replace(stage, reasons=(title, *stage.reasons))
        raise failure or EditError(f"{title}: sizes do not agree")

    def _ways(self, equal: list[Equal]) -> Iterator[set[str]]:
        """Atoms to hold: all but those that are read; the bigger ones; the smaller ones; none."""
        dims = self.dims
        reading = {atom for edge in self.virtual for axis in dims.of(edge) for atom in atoms_of(axis)}
        yield set(dims.sizes) - reading
        axes = [axis for tie in equal for axis in (tie.left, tie.right) if not reading.intersection(atoms_of(axis))]
        most = max((resized(axis, dims.sizes) for axis in axes), default=0)
        big, small = set[str](), set[str]()
        for axis in axes:
            (big if resized(axis, dims.sizes) == most else small).update(atoms_of(axis))
        for way in self.align:
            yield {"grow": big, "shrink": small - big, "both": set[str]()}[way]

    # -- joining -----------------------------------------------------------------------------------------------------------
    def _joined(self, graph: Graph) -> Graph:
        placed = self.placed
        if placed.into is not None:
            graph = joined(graph, placed.into, placed.feeds[0])
            return joined(graph, placed.out, placed.made)
        result = placed.feeds[0]
        if placed.merge == "cat":
            axis = graph[result.node].feature_axis
            graph, result = _inserted(graph, placed.own, "cat", {"tensors": placed.feeds, "dim": axis})
        elif placed.merge == "add":
            for feed in placed.feeds[1:]:
                graph, result = _inserted(graph, placed.own, "add", {"x": result, "y": feed, "alpha": 1})
        return joined(graph, placed.out, result)


def _inserted(graph: Graph, own: Part, op: str, args: Mapping[str, Any]) -> tuple[Graph, Edge]:
    """The graph with one more call, near where the part was."""
    parent = own.exit.node.rpartition(".")[0]
    name = unique(f"{parent}.{op}".lstrip("."), set(graph.all_types))
    step = Step(name, op, args, default_scope(name, op, args))
    return remade(graph, [*graph.steps, step]), Edge(name)
