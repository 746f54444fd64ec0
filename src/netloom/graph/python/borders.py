"""What crosses the border of a call: the values it is given, those others read of it, and what surrounds it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ...ops import Edge, Weight
from ..graph import Graph, Step
from ..step import module_path
from ..tree import edges
from .layers import Layer
from .naming import OWN_NAMES


@dataclass(eq=False)
class Call:
    """A call of the module at ``path``. ``layer``: a module of torch.nn, whose only item is the step it computes."""

    path: str
    items: list[Item]
    layer: bool = False


Item = Step | Call


@dataclass(frozen=True)
class Context:
    """What surrounds a statement: the mode in which it runs (by the flag of ``scope``), no_grad or enable_grad, autocast."""

    mode: str = ""
    scope: str = ""
    grad: bool | str = True
    autocast: str = ""


#: A statement that runs always.
NEUTRAL = Context()


@dataclass
class Program:
    """A graph with its steps ordered into calls; made by `program`."""

    graph: Graph
    #: Node of a parameter or constant → the weight it reads.
    reads: dict[Edge, Weight]
    items: list[Item] = field(default_factory=list)
    #: Path → its calls, for every path that has a forward of its own.
    calls: dict[str, list[Call]] = field(default_factory=dict)
    #: Path → entries of the table, by name.
    entries: dict[str, dict[str, str]] = field(default_factory=dict)
    #: Path → names of its children, in the order of the table, then of execution.
    children: dict[str, list[str]] = field(default_factory=dict)
    #: Paths that are written as nn.Sequential.
    sequential: set[str] = field(default_factory=set)
    #: Paths whose forward takes a list, which one step joins → that step's name in each of their calls.
    bundled: dict[str, list[str]] = field(default_factory=dict)
    #: Compressed constants → the names under which the file has them.
    data: dict[str, str] = field(default_factory=dict)
    #: Names that the file has for other things than values.
    globals: set[str] = field(default_factory=lambda: set(OWN_NAMES))
    #: Answers of `inputs_of` and `signature`, by the call.
    known: dict[Any, Any] = field(default_factory=dict)

    def ref(self, edge: Any) -> Any:
        """The operand itself, or the weight that it is."""
        return self.reads.get(edge, edge) if type(edge) is Edge else edge

    def layer_of(self, path: str, step: Step) -> Layer:
        names = self.entries.get(path, {})
        return Layer(self.graph, path, step, {n: self.graph.tensors[k] for n, k in names.items()}, names)


def base_name(step: Step) -> str:
    """The name without the number of the call."""
    return module_path(step.name)


def steps_in(items: list[Item]) -> Iterator[Step]:
    for item in items:
        if type(item) is Call:
            yield from steps_in(item.items)
        else:
            yield item  # type: ignore[misc]


def under(path: str, top: str) -> bool:
    """Whether ``path`` is ``top`` or lies below it."""
    return not top or path == top or path.startswith(top + ".")


def flat_outputs(made: Program, item: Item) -> list[Edge]:
    """All that a call of a layer gives, in use or not; the outputs in use of any other call."""
    if type(item) is Call and item.layer:
        step = item.items[0]
        assert isinstance(step, Step)
        return [Edge(step.name, i) for i in range(len(made.graph.types(step.name)))]
    return outputs_of(made, item, None)


def operands(made: Program, item: Item) -> list[Any]:
    """Edges and weights that a statement reads, in order, with repeats."""
    if type(item) is Call:
        return inputs_of(made, item)
    assert isinstance(item, Step)
    return [made.ref(ref) for ref in refs(tuple(item.args.values()))]


def refs(value: Any) -> list[Any]:
    """Edges and weights in plain data."""
    if type(value) is Edge or type(value) is Weight:
        return [value]
    if isinstance(value, tuple | list):
        return [ref for part in value for ref in refs(part)]
    return []


def inputs_of(made: Program, call: Call) -> list[Any]:
    """Edges from outside and weights of other modules, in the order of their first use."""
    have = made.known.get(("inputs", call))
    if have is not None:
        return list(have)
    inside = {step.name for step in steps_in(call.items)}
    found: dict[Any, None] = {}
    for step in steps_in(call.items):
        for ref in (made.ref(ref) for ref in refs(tuple(step.args.values()))):
            outside = ref.node not in inside if type(ref) is Edge else not _owned(made, ref, call.path)
            if outside:
                found[ref] = None
    made.known["inputs", call] = tuple(found)
    return list(found)


def _owned(made: Program, ref: Weight, path: str) -> bool:
    return under(local_key(made.graph, ref.key, path).rpartition(".")[0], path)


def local_key(graph: Graph, key: str, path: str) -> str:
    """The name under which the module at ``path`` has the tensor ``key``, where it has one; else ``key``."""
    if under(key.rpartition(".")[0], path):
        return key
    first = graph.tensors[key].alias_of or key
    for other, entry in graph.tensors.items():
        if (entry.alias_of or other) == first and under(other.rpartition(".")[0], path):
            return other
    return key


def outputs_of(made: Program, item: Item, within: list[Item] | None) -> list[Edge]:
    """What others read of a statement's results: of all its calls, or among the items ``within`` and beyond."""
    graph = made.graph
    if type(item) is not Call:
        assert isinstance(item, Step)
        return [Edge(item.name, i) for i in range(len(graph.types(item.name)))]
    calls = made.calls.get(item.path, [item])
    places: set[int] = set()
    mine: list[Edge] = []
    for call in calls if not item.layer else [item]:
        inside = {step.name for step in steps_in(call.items)}
        produced = [Edge(s.name, i) for s in steps_in(call.items) for i in range(len(graph.types(s.name)))]
        used = _read_outside(graph, inside)
        places |= {i for i, edge in enumerate(produced) if edge in used}
        if call is item:
            mine = produced
    return [mine[i] for i in sorted(places)]


def _read_outside(graph: Graph, inside: set[str]) -> set[Edge]:
    found = {edge for edge in edges([graph.result, graph.train_result]) if edge.node in inside}
    for name in inside:
        for user in graph.consumers[name]:
            if user not in inside:
                found |= {edge for edge in edges(tuple(graph[user].step.args.values())) if edge.node == name}
    return found


def signature(made: Program, call: Call) -> Any:
    """What a call computes, up to the names of its steps and the values it is given."""
    have = made.known.get(("signature", call))
    if have is not None:
        return have
    numbers: dict[Any, int] = {ref: -1 - i for i, ref in enumerate(inputs_of(made, call))}
    lines = []

    def shown(value: Any) -> Any:
        value = made.ref(value)
        if type(value) is Weight:
            return ("key", value.key) if value not in numbers else ("given", numbers[value])
        if type(value) is Edge:
            return ("value", numbers.get(value, numbers.get(Edge(value.node))), value.index if value not in numbers else 0)
        if isinstance(value, tuple | list):
            return (type(value).__name__, *map(shown, value))
        return (type(value).__name__, value)

    for i, step in enumerate(steps_in(call.items)):
        args = tuple((name, shown(value)) for name, value in step.args.items())
        lines.append((step.op, args, step.mode, step.grad, step.autocast, step.scope if step.mode else ""))
        numbers[Edge(step.name)] = i
    made.known["signature", call] = tuple(lines)
    return made.known["signature", call]


def context(item: Item) -> Context:
    """What surrounds a statement; of a call, what surrounds all of its steps and can be said outside of it."""
    if type(item) is not Call:
        assert isinstance(item, Step)
        return Context(item.mode, item.scope if item.mode else "", item.grad, item.autocast)
    first, *rest = [Context(s.mode, s.scope if s.mode else "", s.grad, s.autocast) for s in steps_in(item.items)]
    same_mode = all((c.mode, c.scope) == (first.mode, first.scope) for c in rest)
    if not same_mode or not first.mode or (under(first.scope, item.path) and not item.layer):
        mode, scope = "", ""
    else:
        mode, scope = first.mode, first.scope
    grad = first.grad if all(c.grad == first.grad for c in rest) else True
    autocast = first.autocast if all(c.autocast == first.autocast for c in rest) else ""
    return Context(mode, scope, grad, autocast)
