"""Surgery on graphs, with no thought of sizes: parts taken out and put in, edges cut and joined.

Where what is put together may differ in size, the place is *cut*: the readers of a value read a virtual input of the same type
instead. The graph that results is sound and can be analysed and resized; when the virtual input has the size of what shall
take its place, `joined` puts that there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import EditError, NetloomError
from ..graph.builder import unique
from ..graph.graph import Graph, Step, default_scope
from ..graph.step import ENABLED, module_path
from ..graph.table import TensorEntry
from ..graph.tree import edges, map_leaves, weights
from ..ops import DType, Edge, Weight

#: What stands between the name of a value and that of the virtual input that its readers read.
_VIRTUAL = "~"


@dataclass(frozen=True)
class Segment:
    """Nodes with one value going in and one coming out."""

    nodes: frozenset[str]
    entry: Edge
    exit: Edge


def remade(
    graph: Graph, steps: Iterable[Step], tensors: Mapping[str, TensorEntry] | None = None, result: Any = None, train: Any = None
) -> Graph:
    """The graph with other steps: in an order in which they can run, without tensors that nobody reads any more."""
    ordered = in_order(steps)
    table = dict(graph.tensors if tensors is None else tensors)
    gone = _read(graph.steps) - _read(ordered)
    heads = {entry.alias_of for key, entry in table.items() if entry.alias_of is not None and key not in gone}
    table = {key: entry for key, entry in table.items() if key not in gone or key in heads}
    result = graph.result if result is None else result
    train = graph.train_result if train is None else train
    try:
        return Graph.make(
            ordered, table, graph.arguments, result, train_result=train, symbols=graph.symbols, notes=graph.notes
        )
    except NetloomError as error:
        raise EditError(f"what results is no network: {error}") from error


def _read(steps: Iterable[Step]) -> set[str]:
    return {weight.key for step in steps for weight in weights(tuple(step.args.values()))}


def in_order(steps: Iterable[Step]) -> list[Step]:
    """The steps as they come, but each after those it reads; `EditError` for a cycle."""
    waiting = {step.name: step for step in steps}
    order: dict[str, Step] = {}
    for name in list(waiting):
        stack: list[tuple[str, bool]] = [(name, False)]
        open_: set[str] = set()
        while stack:
            here, done = stack.pop()
            if here in order:
                continue
            step = waiting.get(here)
            if step is None:
                raise EditError(f"nothing makes {here!r}, which is read")
            if done:
                open_.discard(here)
                order[here] = step
                continue
            if here in open_:
                raise EditError(f"{here!r} would come before itself: a cycle")
            open_.add(here)
            stack.append((here, True))
            for edge in reversed(edges(tuple(step.args.values()))):
                if edge.node in open_:
                    raise EditError(f"{here!r} reads {edge.node!r}, which depends on it: a cycle")
                if edge.node not in order:
                    stack.append((edge.node, False))
    return list(order.values())


def redirected(step: Step, moved: Callable[[Edge], Edge]) -> Step:
    """The step with its operands moved."""
    args = {name: _moved(value, moved) for name, value in step.args.items()}
    return replace(step, args=args) if args != dict(step.args) else step


def _moved(tree: Any, moved: Callable[[Edge], Edge]) -> Any:
    return map_leaves(tree, lambda leaf: moved(leaf) if type(leaf) is Edge else leaf)


def readers(graph: Graph, edge: Edge) -> list[str]:
    """The nodes that read a value, in order."""
    return [step.name for step in graph.steps if edge in edges(tuple(step.args.values()))]


def is_returned(graph: Graph, edge: Edge) -> bool:
    return edge in edges([graph.result, graph.train_result])


def fed_from(
    graph: Graph, old: Edge, new: Edge, only: Collection[str] | None = None, drop: Collection[str] = (),
    returned: bool | None = None, insert: Step | None = None,
) -> Graph:  # fmt: skip
    """The graph in which the readers of one value (those in ``only``; all without) read another, without the nodes in ``drop``.

    ``returned`` says whether the network returns the other value as well, as it does by default where all readers read it.
    """

    def moved(edge: Edge) -> Edge:
        return new if edge == old else edge

    steps = [insert] if insert is not None else []
    for step in graph.steps:
        if step.name not in drop:
            steps.append(redirected(step, moved) if only is None or step.name in only else step)
    returned = only is None if returned is None else returned
    result = _moved(graph.result, moved) if returned else graph.result
    train = _moved(graph.train_result, moved) if returned else graph.train_result
    return remade(graph, steps, result=result, train=train)


def cut(
    graph: Graph, edge: Edge, only: Collection[str] | None = None, drop: Collection[str] = (), returned: bool | None = None,
    shape: tuple[Any, ...] | None = None,
) -> tuple[Graph, Edge]:  # fmt: skip
    """The graph in which a virtual input stands for a value to its readers, with another shape if given; and that input."""
    type_ = graph.type_of(edge)
    name = unique(f"{edge.node}{_VIRTUAL}", set(graph.all_types))
    step = Step(name, "input", {"dtype": DType(type_.dtype), "shape": shape or type_.shape})
    return fed_from(graph, edge, Edge(name), only, drop, returned, insert=step), Edge(name)


def joined(graph: Graph, virtual: Edge, real: Edge) -> Graph:
    """The graph in which a value takes the place of a virtual input."""
    return fed_from(graph, virtual, real, drop={virtual.node})


def named(graph: Graph, name: str) -> list[str]:
    """The nodes of a name: the node, or all nodes of the module at that path; `GraphError` with the nearest spelling."""
    if name in graph:
        return [name]
    inside = [step.name for step in graph.steps if name and (step.name + ".").startswith(name + ".")]
    return inside or [graph[name].name]


def segment(graph: Graph, names: Sequence[str]) -> Segment:
    """The segment that nodes form; `EditError` where more than one value goes in or comes out.

    Of several values that go in, those are meant that follow from an input: the others are weights that are computed, or states
    that a recurrent layer begins with.
    """
    inside = frozenset(names)
    entries: dict[Edge, None] = {}
    exits: dict[Edge, None] = {}
    for step in graph.steps:
        for edge in edges(tuple(step.args.values())):
            if step.name in inside and edge.node not in inside and not _is_source(graph, edge.node):
                entries[edge] = None
            if step.name not in inside and edge.node in inside:
                exits[edge] = None
    exits.update((edge, None) for edge in edges([graph.result, graph.train_result]) if edge.node in inside)
    shown = repr(names[0]) if len(names) == 1 else f"{names[0]!r} … {names[-1]!r}"
    if any(graph[name].op == "input" for name in inside):
        raise EditError(f"{shown} is an input of the network; it stays")
    if len(entries) > 1:
        data = fed_by_inputs(graph)
        entries = {edge: None for edge in entries if edge.node in data} or entries
    if len(entries) != 1:
        found = ", ".join(map(str, entries)) or "none"
        raise EditError(f"{len(entries)} values go into {shown} ({found}); exactly one can take its place: name which nodes go")
    if len(exits) != 1:
        found = ", ".join(map(str, exits)) or "none"
        raise EditError(f"{len(exits)} values come out of {shown} ({found}); one only can be replaced")
    return Segment(inside, next(iter(entries)), next(iter(exits)))


def _is_source(graph: Graph, name: str) -> bool:
    """Parameters and constants are no data that go in."""
    return graph[name].op in ("parameter", "constant") and len(graph.consumers[name]) == 1


def fed_by_inputs(graph: Graph) -> set[str]:
    """Nodes whose values follow from an input of the network, rather than from its state alone."""
    found: set[str] = set()
    for step in graph.steps:
        if step.op == "input" or any(edge.node in found for edge in step.edges):
            found.add(step.name)
    return found


def without(graph: Graph, part: Segment) -> frozenset[str]:
    """The nodes of a segment, with the parameters and constants that only it reads, and what is computed of them for it."""
    gone = set(part.nodes)
    data = fed_by_inputs(graph)
    paths = [f"{module_path(name)}." for name in part.nodes]
    for step in reversed(graph.steps):
        readers_of = graph.consumers[step.name]
        if step.name in data or step.name == part.entry.node:
            continue
        if step.op == "assign":  # a power iteration, whose vectors are part of the layer
            lonely = any(step.args["target"].key.startswith(path) for path in paths)
        else:
            lonely = bool(readers_of) and gone.issuperset(readers_of)
        if lonely and not any(is_returned(graph, Edge(step.name, k)) for k in range(len(graph.types(step.name)))):
            gone.add(step.name)
    return frozenset(gone)


# -- putting in --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Graft:
    """A graph with a piece put in: which names its nodes have there, and where its result is."""

    graph: Graph
    names: Mapping[str, str]
    keys: Mapping[str, str]
    exits: tuple[Edge, ...]


def grafted(graph: Graph, piece: Graph, feeds: Mapping[str, Edge], beside: str) -> Graft:
    """The graph with the nodes of another in it: its inputs read ``feeds``, its nodes are named as neighbours of ``beside``."""
    taken = set(graph.all_types)
    keys_taken = set(graph.tensors)
    names: dict[str, str] = {}
    keys: dict[str, str] = {}
    parent = module_path(beside).rpartition(".")[0]
    for step in piece.steps:
        if step.op != "input":
            names[step.name] = _free_name(step, parent, taken, keys_taken)
    for key in piece.tensors:
        keys[key] = _free_key(piece, key, names, keys_taken)

    def moved(edge: Edge) -> Edge:
        return feeds[edge.node] if edge.node in feeds else Edge(names[edge.node], edge.index)

    enabled = any(graph[edge.node].step.grad == ENABLED for edge in feeds.values())
    added = []
    for step in piece.steps:
        if step.op == "input":
            continue
        args = {name: _rekeyed(value, keys) for name, value in redirected(step, moved).args.items()}
        name = names[step.name]
        grad = ENABLED if enabled else step.grad
        added.append(replace(step, name=name, args=args, scope=default_scope(name, step.op, args), grad=grad))
    table = dict(graph.tensors)
    for key, entry in piece.tensors.items():
        table[keys[key]] = replace(entry, alias_of=None if entry.alias_of is None else keys[entry.alias_of])
    at = max((i for i, step in enumerate(graph.steps) if step.name in {edge.node for edge in feeds.values()}), default=-1) + 1
    steps = [*graph.steps[:at], *added, *graph.steps[at:]]
    exits = tuple(moved(edge) for edge in edges(piece.result))
    return Graft(remade(graph, steps, table), names, keys, exits)


def _free_name(step: Step, parent: str, taken: set[str], keys: set[str]) -> str:
    """The name that was given, or the operator's beside its neighbours; never one under which a module or tensor is known."""
    stem, _, count = step.name.rpartition("_")
    plain = step.name == step.op or (stem == step.op and count.isdigit())
    wish = f"{parent}.{step.op}".lstrip(".") if plain else step.name
    modules = {module_path(name) for name in taken} | {key.rpartition(".")[0] for key in keys} | keys
    name, number = wish, 0
    while name in taken or name in modules:
        number += 1
        name = f"{wish}_{number}"
    taken.add(name)
    return name


def _free_key(piece: Graph, key: str, names: Mapping[str, str], taken: set[str]) -> str:
    owner = next((step.name for step in piece.steps if any(w.key == key for w in weights(tuple(step.args.values())))), "")
    path = module_path(owner)
    renamed = names.get(owner, owner)
    wish = module_path(renamed) + key[len(path) :] if owner and (key + ".").startswith(path) else key
    return unique(wish, taken)


def _rekeyed(tree: Any, keys: Mapping[str, str]) -> Any:
    return map_leaves(tree, lambda leaf: Weight(keys[leaf.key]) if type(leaf) is Weight else leaf)
