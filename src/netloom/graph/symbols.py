"""The places of inputs among the arguments, and canonical names for free symbols."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import permutations, product
from math import factorial, prod
from typing import TYPE_CHECKING, Any

from ..errors import GraphError
from ..ops import Edge, Size
from .contents import Naming

if TYPE_CHECKING:
    from .graph import Argument, Graph

#: Orders of symbols that are tried where an input's first free axis mixes several (``N*T``) and none is known before.
MAX_NAMINGS = 720


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


def namings(graph: Graph, live: Callable[[Graph], set[str]]) -> Iterator[Naming]:
    """Numbers for the free symbols, by first appearance in the inputs that are used; several where that leaves a choice.

    ``live`` gives the names of the nodes that count.
    """
    shapes: dict[str, Any] = {step.name: step.args["shape"] for step in graph.steps if step.op == "input"}
    symbols = {symbol for shape in shapes.values() for size in shape if type(size) is Size for symbol in _symbols(size)}
    if len(symbols) <= 1:
        yield dict.fromkeys(symbols, "n0")
        return
    used = live(graph)
    order = [node for _, node in argument_places(graph.arguments)]
    order.sort(key=lambda node: node not in used)
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


@lru_cache(4096)
def _symbols(size: Size) -> frozenset[str]:
    return size.symbols
