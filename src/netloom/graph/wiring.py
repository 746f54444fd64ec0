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
from ..ops import DType, Edge, Operator, Size, Slice, Weight, operator
from .tree import edges, weights

if TYPE_CHECKING:
    from .graph import Argument, Graph, Step

_PLAIN = frozenset({int, float, bool, str, complex, bytes, type(None), type(Ellipsis)})
#: Orders of symbols that are tried where an input's first free axis mixes several (``N*T``) and none is known before.
MAX_NAMINGS = 720

Ref = Edge | Weight
Naming = Mapping[str, str]


@dataclass(slots=True)
class Wiring:
    """Live nodes by name, those that read before those that are read; operands are edges, and weights by canonical key."""

    contents: dict[str, str] = field(default_factory=dict)
    operands: dict[str, list[Ref]] = field(default_factory=dict)
    #: Nodes whose first two operands are different edges that may change places.
    pairs: list[str] = field(default_factory=list)
    #: Nodes that write and that nothing else reaches.
    writes: list[str] = field(default_factory=list)
    tensors: dict[str, str] = field(default_factory=dict)
    returned: str = ""
    results: list[Edge] = field(default_factory=list)


class _Plan(NamedTuple):
    """How to read the arguments of an operator: (name, text of the default), interchangeable ones first."""

    params: tuple[tuple[str, str], ...]
    pair: tuple[str, ...]
    kind: Operator
    writes: bool


_plans: dict[str, _Plan] = {}


def _plan(op: str) -> _Plan:
    kind = operator(op)
    pair = kind.commutative
    names = [*pair, *(param.name for param in kind.params if param.name not in pair)]
    defaults = [
        "" if kind.by_name[name].required else text(kind.by_name[name].default, [], {}) for name in names
    ]  # fmt: skip
    _plans[op] = _Plan(tuple(zip(names, defaults)), pair, kind, kind.effect == "write")
    return _plans[op]


def wiring(graph: Graph, naming: Naming) -> Wiring:
    """The wiring of ``graph`` with its free symbols renamed; `GraphError` for arguments that are no plain data."""
    wires = Wiring()
    found: list[Ref] = []
    wires.returned = "return " + text(graph.result, found, naming)
    if graph.train_result is not None:
        trained: list[Ref] = []
        shown = "return " + text(graph.train_result, trained, naming)
        if (shown, trained) != (wires.returned, found):
            wires.returned += " in training " + shown
            found += trained
    wires.results = found  # type: ignore[assignment]
    places = {name: place for place, name in argument_places(graph.arguments)}
    live = {ref[0] for ref in found}
    shared = _read_steps(graph, naming, wires, places, live)
    if shared:
        _order_effects(graph, wires, shared)
    return wires


def _read_steps(graph: Graph, naming: Naming, wires: Wiring, places: Mapping[str, str], live: set[str]) -> set[str]:
    """Fill in the live nodes; gives the keys of tensors that some node writes and that are used more than once."""
    contents, operands, tensors = wires.contents, wires.operands, wires.tensors
    canonical: dict[str, str] = {}
    repeated: set[str] = set()
    written: set[str] = set()
    for step in reversed(graph.steps):
        plan = _plans.get(step.op) or _plan(step.op)
        name, args = step.name, step.args
        if name not in live:
            if not plan.writes or args.get("training") is False:
                continue
            wires.writes.append(name)
        commutes = plan.pair and plan.kind.commutes(args)
        if commutes:
            args = _edge_first(args, plan.pair)
        refs: list[Ref] = []
        parts = [step.op]
        for key, default in plan.params:
            value = args[key]
            kind = type(value)
            if kind is Edge:
                refs.append(value)
                live.add(value[0])
                parts.append(key)
                continue
            if kind is Weight:
                own = canonical.get(value[0])
                if own is None:
                    own = canonical[value[0]] = _canonical_key(graph, value[0], step)
                    if own in tensors:
                        repeated.add(own)
                    else:
                        tensors[own] = _tensor_text(graph, own, naming)
                else:
                    repeated.add(own)
                refs.append(Weight(own))
                parts.append(key)
                continue
            if kind is int or kind is bool or value is None:
                shown = str(value)
            elif kind is tuple:
                for entry in value:
                    if type(entry) not in _PLAIN:
                        shown = _nested(graph, value, refs, naming, wires, live, canonical, repeated, step)
                        break
                else:
                    shown = ascii(value)
            elif kind is float or kind is str:
                shown = ascii(value)
            else:
                shown = _nested(graph, value, refs, naming, wires, live, canonical, repeated, step)
            if shown != default:
                parts.append(f"{key}={shown}")
        if step.mode or step.autocast or not step.grad:
            parts.append(f"/{step.mode!a} {step.grad} {step.autocast!a}")
        if step.op == "input":
            parts.append("at " + places.get(name, "nowhere"))
        outputs = len(graph.types(name))
        if outputs != 1:
            parts.append(f"/{outputs}")
        contents[name] = " ".join(parts)
        operands[name] = refs
        if commutes and len(refs) > 1 and type(refs[1]) is Edge and refs[0] != refs[1] and type(refs[0]) is Edge:
            wires.pairs.append(name)
        if plan.writes:
            written.update(_written(plan.kind, step, canonical))
    return written & repeated


def _nested(
    graph: Graph, value: Any, refs: list[Ref], naming: Naming, wires: Wiring, live: set[str],
    canonical: dict[str, str], repeated: set[str], step: Step,
) -> str:  # fmt: skip
    """The text of an argument that may hold edges, weights and free sizes inside."""
    inner: list[Ref] = []
    shown = text(value, inner, naming)
    for ref in inner:
        if type(ref) is Weight:
            own = canonical[ref.key] = _canonical_key(graph, ref.key, step)
            if own in wires.tensors:
                repeated.add(own)
            else:
                wires.tensors[own] = _tensor_text(graph, own, naming)
            refs.append(Weight(own))
        else:
            live.add(ref[0])
            refs.append(ref)
    return shown


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
    for plain in (bool, int, float, complex, str):
        if isinstance(value, plain):
            return ascii(plain(value))
    raise GraphError(f"{value!r} ({kind.__name__}) is no plain data; a graph holds numbers, strings, None, tuples, lists, dicts")


def _edge_first(args: Mapping[str, Any], pair: tuple[str, ...]) -> Mapping[str, Any]:
    """The arguments with an edge before a number: ``2 * x`` is ``x * 2``."""
    first, second = args[pair[0]], args[pair[1]]
    swap = type(first) is not Edge and (type(second) is Edge or ascii(second) < ascii(first))
    return {**args, pair[0]: second, pair[1]: first} if swap else args


# -- the tensor table --------------------------------------------------------------------------------------------------
def _canonical_key(graph: Graph, key: str, step: Step) -> str:
    """The key of the entry that holds the tensor, behind all aliases."""
    tensors, current, hops = graph.tensors, key, 0
    while True:
        entry = tensors.get(current)
        if entry is None or hops > len(tensors):
            raise GraphError(f"{step.op} {step.name!r} uses the tensor {key!r}, which the table does not have")
        if entry.alias_of is None:
            return current
        current, hops = entry.alias_of, hops + 1


def _tensor_text(graph: Graph, key: str, naming: Naming) -> str:
    entry = graph.tensors[key]
    value = f" = {entry.constant.sha256!a}" if entry.constant is not None else ""
    return f"{entry.kind!a} {entry.type.dtype!a} {text(entry.type.shape, [], naming)}{value}"


def _written(kind: Operator, step: Step, canonical: Mapping[str, str]) -> list[str]:
    if step.args.get("training") is False:
        return []
    roles = kind.buffers() or kind.by_name
    return [canonical[ref.key] for role in roles for ref in weights(step.args.get(role))]


def _order_effects(graph: Graph, wires: Wiring, shared: set[str]) -> None:
    """Make nodes that use a written tensor read the last node that wrote it before them: their order is part of the meaning."""
    writer: dict[str, str] = {}
    reached: set[str] = set()
    for step in graph.steps:
        refs = wires.operands.get(step.name)
        if refs is None:
            continue
        used = dict.fromkeys(ref.key for ref in refs if type(ref) is Weight and ref.key in shared)
        places = {key: refs.index(Weight(key)) for key in used}
        for key in used:
            if key in writer:
                refs.append(Edge(writer[key]))
                reached.add(writer[key])
                wires.contents[step.name] += f" after {places[key]}"
        kind = operator(step.op)
        if kind.effect == "write" and used:
            own = {key: _canonical_key(graph, key, step) for key in (ref.key for ref in weights(tuple(step.args.values())))}
            writer.update(dict.fromkeys((key for key in _written(kind, step, own) if key in used), step.name))
    wires.writes[:] = [name for name in wires.writes if name not in reached]


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
        yield {symbol: "n0" for symbol in symbols}
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
        if step.name in live or (operator(step.op).effect == "write" and step.args.get("training") is not False):
            live.add(step.name)
            live.update(edge.node for edge in edges(tuple(step.args.values())))
    return live


@lru_cache(4096)
def _symbols(size: Size) -> frozenset[str]:
    return size.symbols


@lru_cache(4096)
def _size_text(size: Size, naming: tuple[tuple[str, str], ...]) -> str:
    unknown = sorted(size.symbols.difference(dict(naming)))
    if unknown:
        raise GraphError(f"the size {size} depends on {unknown[0]!r}, a symbol that no input of the graph has")
    return f"<{size.substitute({symbol: Size.symbol(name) for symbol, name in naming})}>"
