"""What a graph computes, with everything left out that only tells its parts apart: the material of the canonical hash.

Names of nodes, keys of tensors, scopes, notes, rules of initialisation and example sizes are gone; what nobody reads and
nothing writes is gone; free symbols are numbered. What is left is a list of contents, and which content reads which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import permutations, product
from math import factorial, prod
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import GraphError
from ..ops import REGISTRY, DType, Edge, Operator, Size, Slice, TensorType, Weight, operator
from .tree import edges, weights

if TYPE_CHECKING:
    from .graph import Argument, Graph, Step
    from .table import TensorEntry

_PLAIN = frozenset({int, float, bool, str, complex, bytes, type(None), type(Ellipsis)})
#: Orders of symbols that are tried where an input's first free axis mixes several (``N*T``) and none is known before.
MAX_NAMINGS = 720

Ref = Edge | Weight
Naming = Mapping[str, str]


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


class _Plan(NamedTuple):
    """How to read the arguments of an operator: (name, default, its text), interchangeable ones first."""

    kind: Operator
    params: tuple[tuple[str, Any, str], ...]
    pair: tuple[str, ...]
    #: The arguments that may hold tensors it writes.
    writes: tuple[str, ...]


_plans: dict[str, _Plan] = {}


def _plan(kind: Operator) -> _Plan:
    names = [*kind.commutative, *(param.name for param in kind.params if param.name not in kind.commutative)]
    params = [kind.by_name[name] for name in names]
    defaults = ["" if param.required else text(param.default, [], {}) for param in params]
    writes = tuple(sorted(kind.buffers()) or names) if kind.effect == "write" else ()
    described = tuple((param.name, param.default, default) for param, default in zip(params, defaults))
    return _Plan(kind, described, kind.commutative, writes)


def _plan_of(op: str) -> _Plan:
    plan = _plans.get(op)
    if plan is None or plan.kind is not REGISTRY.get(op):
        plan = _plans[op] = _plan(operator(op))
    return plan


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
        writing: list[tuple[Step, _Plan]] = []
        for step in reversed(self.graph.steps):
            plan = _plan_of(step.op)
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

    def read(self, step: Step, plan: _Plan) -> None:
        """Take down the content and the operands of a live step."""
        args, live, wires, name = step.args, self.live, self.wires, step.name
        pair = plan.pair if plan.pair and plan.kind.commutes(args) else ()
        if pair:
            args = _edge_first(args, pair)
        operands: list[Edge] = []
        keys: list[str] = []
        parts = [step.op]
        for param, default, default_text in plan.params:
            value = args[param]
            if value is default:
                continue
            kind = type(value)
            if kind is Edge:
                operands.append(value)
                live.add(value[0])
                parts.append(param)
            elif kind is Weight:
                keys.append(self.tensor(value[0], step))
                parts.append(param + "=#")
            else:
                shown = ascii(value) if kind in _PLAIN else self.nested(value, operands, keys, step)
                if shown != default_text:
                    parts.append(f"{param}={shown}")
        if step.mode or step.autocast or not step.grad:
            parts.append(f"/{step.mode!a} {step.grad} {step.autocast!a}")
        if step.op == "input":
            parts.append("at " + self.places.get(name, "nowhere"))
        outputs = len(self.graph.types(name))
        if outputs != 1:
            parts.append(f"/{outputs}")
        wires.contents[name] = " ".join(parts)
        wires.operands[name] = operands
        if keys:
            wires.weights[name] = keys
        if pair and type(args[pair[0]]) is type(args[pair[1]]) is Edge and operands[0] != operands[1]:
            wires.pairs.append(name)

    def nested(self, value: Any, operands: list[Edge], keys: list[str], step: Step) -> str:
        """The text of an argument that may hold edges, weights and free sizes inside."""
        if type(value) is tuple:
            # Tuples of plain data are by far the most frequent, and quicker to write whole.
            for entry in value:
                if type(entry) not in _PLAIN:
                    break
            else:
                return ascii(value)
        inner: list[Ref] = []
        shown = text(value, inner, self.naming)
        for ref in inner:
            if type(ref) is Edge:
                operands.append(ref)
                self.live.add(ref.node)
            else:
                keys.append(self.tensor(ref[0], step))
        return shown

    def tensor(self, key: str, step: Step) -> str:
        """The canonical key of a tensor; notes what it is, and whether it is used more than once."""
        found, tensors = self.canonical.get(key), self.wires.tensors
        if found is None:
            found, entry = key, self.graph.tensors.get(key)
            if entry is None or entry.alias_of is not None:
                found, entry = _canonical(self.graph, key, step)
            self.canonical[key] = found
            if found not in tensors:
                tensors[found] = _tensor_text(entry)
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
                targets = [self.canonical[key] for key in _targets(_plan_of(step.op), step.args)]
                writer.update((key, step.name) for key in targets if key in shared)
        wires.writes[:] = [name for name in wires.writes if name not in reached]


def _targets(plan: _Plan, args: Mapping[str, Any]) -> list[str]:
    """The keys of the tensors that a call may write."""
    if not plan.writes or args.get("training") is False:
        return []
    return [weight.key for role in plan.writes for weight in weights(args.get(role))]


def text(value: Any, refs: list[Ref], naming: Naming) -> str:
    """Plain data as text, different for different data on every Python; edges and weights go to ``refs``."""
    kind = type(value)
    if kind in _PLAIN:
        return ascii(value)
    if kind is Edge or kind is Weight:
        refs.append(value)
        return "@" if kind is Edge else "#"
    if kind is Size:
        return _size_text(value, tuple(naming.items()))
    if kind is DType:
        return f"<{value.name!a}>"
    if kind is Slice:
        return f"slice({text(value.start, refs, naming)}, {text(value.stop, refs, naming)}, {text(value.step, refs, naming)})"
    if isinstance(value, tuple | list):
        shown = ", ".join([text(entry, refs, naming) for entry in value])
        if isinstance(value, list):
            return f"[{shown}]"
        return f"({shown},)" if len(value) == 1 else f"({shown})"
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return "{" + ", ".join([f"{key!a}: {text(value[key], refs, naming)}" for key in sorted(value)]) + "}"
    bases: tuple[Any, ...] = (bool, int, float, complex, str)
    for plain in bases:
        if isinstance(value, plain):
            return ascii(plain(value))
    raise GraphError(f"{value!r} ({kind.__name__}) is no plain data: numbers, strings, None; tuples, lists, dicts of them")


def _edge_first(args: Mapping[str, Any], pair: tuple[str, ...]) -> Mapping[str, Any]:
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


def _tensor_text(entry: TensorEntry) -> str:
    if entry.constant is not None:
        return f"{_type_text(entry.kind, entry.type)} = {entry.constant.sha256!a}"
    return _type_text(entry.kind, entry.type)


@lru_cache(1 << 16)
def _type_text(kind: str, type: TensorType) -> str:
    # Not the sizes' own text: equal types must have one text, whichever of 1 and True comes first.
    sizes = ", ".join(str(int(size)) if isinstance(size, int) else f"<{size}>" for size in type.shape)
    return f"{kind!a} {type.dtype!a} ({sizes})"


# -- arguments and free symbols ------------------------------------------------------------------------------------------
def argument_places(arguments: tuple[Argument, ...]) -> Iterator[tuple[str, str]]:
    """(place, node) of every input: positions for positional arguments, then names for keyword ones, by name."""
    if len(arguments) == 1 and type(arguments[0].tree) is Edge and not arguments[0].keyword:
        yield "0", arguments[0].tree.node
        return
    positional = [(str(i), argument.tree) for i, argument in enumerate(a for a in arguments if not a.keyword)]
    keyword = sorted((ascii(a.name), a.tree) for a in arguments if a.keyword)
    places: dict[str, str] = {}
    for place, tree in positional + keyword:
        for path, edge in _edge_paths(tree, place):
            places[edge.node] = f"{places[edge.node]} and {path}" if edge.node in places else path
    for node, place in places.items():
        yield place, node


def _edge_paths(tree: Any, path: str) -> Iterator[tuple[str, Edge]]:
    if type(tree) is Edge:
        yield path, tree
    elif isinstance(tree, tuple | list):
        mark = "[" if isinstance(tree, list) else "("
        for i, child in enumerate(tree):
            yield from _edge_paths(child, f"{path}{mark}{i}")
    elif isinstance(tree, dict):
        for key in sorted(tree):
            yield from _edge_paths(tree[key], f"{path}[{key!a}")


def namings(graph: Graph) -> Iterator[Naming]:
    """Numbers for the free symbols, by first appearance in the live inputs; several where that leaves a choice."""
    shapes: dict[str, Any] = {step.name: step.args["shape"] for step in graph.steps if step.op == "input"}
    symbols = {symbol for shape in shapes.values() for size in shape if type(size) is Size for symbol in _symbols(size)}
    if len(symbols) <= 1:
        yield dict.fromkeys(symbols, "n0")
        return
    live = _live(graph)
    order = [node for _, node in argument_places(graph.arguments)]
    order.sort(key=lambda node: node not in live)
    groups: list[list[str]] = []
    seen: set[str] = set()
    for node in order:
        for size in shapes.get(node, ()):
            if type(size) is Size:
                _add_group(groups, seen, _symbols(size))
    if prod(factorial(len(group)) for group in groups) > MAX_NAMINGS:
        mixed = max(groups, key=len)
        raise GraphError(f"the free symbols {', '.join(mixed)} cannot be told apart; give each an axis of an input of its own")
    for choice in product(*(permutations(group) for group in groups)):
        yield {symbol: f"n{i}" for i, symbol in enumerate(symbol for group in choice for symbol in group)}


def _add_group(groups: list[list[str]], seen: set[str], symbols: frozenset[str]) -> None:
    if symbols - seen:
        groups.append(sorted(symbols - seen))
        seen |= symbols


def _live(graph: Graph) -> set[str]:
    live = {edge.node for edge in edges([graph.result, graph.train_result])}
    for step in reversed(graph.steps):
        if step.name in live or _targets(_plan_of(step.op), step.args):
            live.add(step.name)
            live.update(edge.node for edge in edges(tuple(step.args.values())))
    return live


@lru_cache(4096)
def _symbols(size: Size) -> frozenset[str]:
    return size.symbols


@lru_cache(4096)
def _size_text(size: Size, naming: tuple[tuple[str, str], ...]) -> str:
    names = dict(naming)
    return f"<{size.substitute({symbol: Size.symbol(names.get(symbol, f'?{symbol!a}')) for symbol in size.symbols})}>"
