"""What a graph computes, with everything left out that only tells its parts apart: the material of the canonical hash.

Names of nodes, keys of tensors, scopes, notes, rules of initialisation and example sizes are gone; what nobody reads and
nothing writes is gone; free symbols are numbered. What is left is a list of contents, and which content reads which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import GraphError
from ..ops import Edge, Weight
from .contents import Naming, Plan, Ref, plan_of, text, type_text
from .symbols import argument_places
from .tree import edges, weights

if TYPE_CHECKING:
    from .graph import Graph, Step
    from .table import TensorEntry


@dataclass(slots=True)
class Wiring:
    """Live nodes by name, those that read before those that are read: what they are, and what they read."""

    contents: dict[str, str] = field(default_factory=dict)
    operands: dict[str, list[Edge]] = field(default_factory=dict)
    #: Canonical keys of the tensors of nodes that use some.
    weights: dict[str, list[str]] = field(default_factory=dict)
    #: Nodes whose first two operands are different and may change places.
    pairs: list[str] = field(default_factory=list)
    #: Nodes that write and that nothing else reaches.
    writes: list[str] = field(default_factory=list)
    tensors: dict[str, str] = field(default_factory=dict)
    returned: str = ""
    results: list[Edge] = field(default_factory=list)


def wiring(graph: Graph, naming: Naming) -> Wiring:
    """The wiring of ``graph`` with its free symbols renamed; `GraphError` for arguments that are no plain data."""
    found: list[Ref] = []
    returned = "return " + text(graph.result, found, naming)
    if graph.train_result is not None:
        trained: list[Ref] = []
        shown = "return " + text(graph.train_result, trained, naming)
        if (shown, trained) != (returned, found):
            returned += " in training " + shown
            found += trained
    results = [ref for ref in found if type(ref) is Edge]
    reader = _Reader(graph, naming, Wiring(returned=returned, results=results))
    reader.read_all()
    return reader.wires


class _Reader:
    """Reads the steps of a graph backwards, so that each is known to be live or not when its turn comes."""

    __slots__ = ("graph", "naming", "wires", "live", "places", "canonical", "repeated")

    def __init__(self, graph: Graph, naming: Naming, wires: Wiring) -> None:
        self.graph, self.naming, self.wires = graph, naming, wires
        self.live = {edge[0] for edge in wires.results}
        self.places = {node: place for place, node in argument_places(graph.arguments)}
        #: Key → canonical key, of every tensor met.
        self.canonical: dict[str, str] = {}
        self.repeated: set[str] = set()

    def read_all(self) -> None:
        live = self.live
        writing: list[tuple[Step, Plan]] = []
        for step in reversed(self.graph.steps):
            plan = plan_of(step.op)
            if plan.writes:
                if step.name not in live:
                    if not _targets(plan, step.args):
                        continue
                    self.wires.writes.append(step.name)
                writing.append((step, plan))
            elif step.name not in live:
                continue
            self.read(step, plan)
        if self.repeated and writing:
            written = {self.canonical[key] for step, plan in writing for key in _targets(plan, step.args)}
            if not written.isdisjoint(self.repeated):
                self.order_effects(written & self.repeated)

    def read(self, step: Step, plan: Plan) -> None:
        """Take down the content and the operands of a live step."""
        args, wires, name = step.args, self.wires, step.name
        pair = plan.pair if plan.pair and plan.kind.commutes(args) else ()
        if pair:
            args = edge_first(args, pair)
        operands: list[Edge] = []
        keys: list[str] = []
        marks = ""
        for role in plan.tensors:
            value = args[role]
            if type(value) is Edge:
                operands.append(value)
                self.live.add(value[0])
                marks += " " + role
            else:
                marks += self.argument(role, value, operands, keys, step, plan)
        for role, mark in plan.weights:
            value = args[role]
            if type(value) is Weight:
                keys.append(self.tensor(value[0], step))
                marks += mark
            elif value is not None:
                marks += self.argument(role, value, operands, keys, step, plan)
        content = self.attributes(args, operands, keys, step, plan) + marks
        if step.mode or step.autocast or step.grad is not True:
            content += f" /{step.mode!a} {step.grad} {step.autocast!a}"
        if step.op == "input":
            content += " at " + self.places.get(name, "nowhere")
        outputs = len(self.graph.types(name))
        if outputs != 1:
            content += f" /{outputs}"
        wires.contents[name] = content
        wires.operands[name] = operands
        if keys:
            wires.weights[name] = keys
        if pair and type(args[pair[0]]) is type(args[pair[1]]) is Edge and operands[0] != operands[1]:
            wires.pairs.append(name)

    def attributes(self, args: Mapping[str, Any], operands: list[Edge], keys: list[str], step: Step, plan: Plan) -> str:
        """The operator with its attributes as text; those that hold no edge, weight or free size are looked up."""
        packed = plan.packed(args)
        shown = plan.known.get(packed)
        if shown is None:
            shown = "parameter" if step.op == "constant" else step.op  # a constant is a buffer known by value
            for name in plan.attrs:
                shown += self.argument(name, args[name], operands, keys, step, plan)
            if packed:
                plan.remember(packed, shown)
        return shown

    def argument(
        self, name: str, value: Any, operands: list[Edge], keys: list[str], step: Step, plan: Plan
    ) -> str:  # fmt: skip
        """An argument as text, nothing where it is the default; takes down the edges and weights inside."""
        inner: list[Ref] = []
        shown = text(value, inner, self.naming)
        for ref in inner:
            if type(ref) is Edge:
                operands.append(ref)
                self.live.add(ref.node)
            else:
                keys.append(self.tensor(ref[0], step))
        return "" if shown == plan.defaults[name] else f" {name}={shown}"

    def tensor(self, key: str, step: Step) -> str:
        """The canonical key of a tensor; notes what it is, and whether it is used more than once."""
        found, tensors = self.canonical.get(key), self.wires.tensors
        if found is None:
            found, entry = key, self.graph.tensors.get(key)
            if entry is None or entry.alias_of is not None:
                found, entry = _canonical(self.graph, key, step)
            self.canonical[key] = found
            if found not in tensors:
                shown = type_text(entry.kind, entry.type)
                tensors[found] = shown if entry.constant is None else f"{shown} = {entry.constant.sha256!a}"
                return found
        self.repeated.add(found)
        return found

    def order_effects(self, shared: set[str]) -> None:
        """Make nodes that use a written tensor read the last one that wrote it before them: that order has a meaning."""
        wires, writer = self.wires, dict[str, str]()
        reached: set[str] = set()
        for step in self.graph.steps:
            keys = wires.weights.get(step.name, [])
            used = [key for key in dict.fromkeys(keys) if key in shared]
            for key in used:
                if key in writer:
                    wires.operands[step.name].append(Edge(writer[key]))
                    wires.contents[step.name] += f" after {keys.index(key)}"
                    reached.add(writer[key])
            if used:
                targets = [self.canonical[key] for key in _targets(plan_of(step.op), step.args)]
                writer.update((key, step.name) for key in targets if key in shared)
        wires.writes[:] = [name for name in wires.writes if name not in reached]


def _targets(plan: Plan, args: Mapping[str, Any]) -> list[str]:
    """The keys of the tensors that a call may write."""
    if not plan.writes or args.get("training") is False:
        return []
    return [weight.key for role in plan.writes for weight in weights(args.get(role))]


def edge_first(args: Mapping[str, Any], pair: tuple[str, ...]) -> Mapping[str, Any]:
    """The arguments with an edge before a number: ``2 * x`` is ``x * 2``."""
    first, second = args[pair[0]], args[pair[1]]
    swap = type(first) is not Edge and (type(second) is Edge or ascii(second) < ascii(first))
    return {**args, pair[0]: second, pair[1]: first} if swap else args


# -- the tensor table --------------------------------------------------------------------------------------------------
def _canonical(graph: Graph, key: str, step: Step) -> tuple[str, TensorEntry]:
    """The entry that holds the tensor, behind all aliases, with its key."""
    tensors, current = graph.tensors, key
    for _ in range(len(tensors)):
        entry = tensors.get(current)
        if entry is None:
            break
        if entry.alias_of is None:
            return current, entry
        current = entry.alias_of
    raise GraphError(f"{step.op} {step.name!r} uses the tensor {key!r}, which the table does not have")


def live_nodes(graph: Graph) -> set[str]:
    live = {edge.node for edge in edges([graph.result, graph.train_result])}
    for step in reversed(graph.steps):
        if step.name in live or _targets(plan_of(step.op), step.args):
            live.add(step.name)
            live.update(edge.node for edge in step.edges)
    return live
