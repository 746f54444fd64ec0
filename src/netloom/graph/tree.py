"""Nested containers of values: what a model takes and returns.

A tree is an `Edge`, plain data (a literal), a `tuple`, a `list`, a `Slice`, or a `dict` with string keys; ``None`` is a
literal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..ops import Edge, Slice, Weight


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its path, in order: ``("hidden.0", leaf)``."""
    if type(tree) in (tuple, list, Slice):
        for i, child in enumerate(tree):
            yield from leaves(child, f"{path}.{i}" if path else str(i))
    elif type(tree) is dict:
        for key, child in tree.items():
            yield from leaves(child, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree


def map_leaves(tree: Any, function: Callable[[Any], Any]) -> Any:
    """The same containers with ``function`` of every leaf in its place."""
    if type(tree) in (tuple, list):
        return type(tree)(map_leaves(child, function) for child in tree)
    if type(tree) is Slice:
        return Slice(*(map_leaves(child, function) for child in tree))
    if type(tree) is dict:
        return {key: map_leaves(child, function) for key, child in tree.items()}
    return function(tree)


def edges(tree: Any) -> list[Edge]:
    """All edges in a tree (or in the arguments of a step), in order."""
    found: list[Edge] = []
    _collect(tree, found)
    return found


def _collect(tree: Any, found: list[Edge]) -> None:
    kind = type(tree)
    if kind is Edge:
        found.append(tree)
    elif kind is tuple or kind is list or kind is Slice:
        for child in tree:
            _collect(child, found)
    elif kind is dict:
        for child in tree.values():
            _collect(child, found)


def weights(tree: Any) -> list[Weight]:
    """All weights in a tree (or in the arguments of a step), in order."""
    kind = type(tree)
    if kind is Weight:
        return [tree]
    if kind is tuple or kind is list or kind is Slice:
        return [weight for child in tree for weight in weights(child)]
    if kind is dict:
        return [weight for child in tree.values() for weight in weights(child)]
    return []


def same(a: Any, b: Any) -> bool:
    """Equal in type as well as in value, at every depth: ``1``, ``1.0`` and ``True`` differ, ``nan`` equals itself.

    Dicts are the same only in the same order, because that is the order in which a network returns them.

    >>> same((1, 2.0), (1, 2)), same(float("nan"), float("nan")), same(0.0, -0.0)
    (False, True, False)
    """
    if a is b:
        return True
    kind = type(a)
    if kind is not type(b):
        return False
    if kind is float or kind is complex:
        return repr(a) == repr(b)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    if kind is dict:
        return list(a) == list(b) and all(map(same, a.values(), b.values()))
    return bool(a == b)


def same_fields(a: Any, b: Any) -> bool:
    """Two values of one dataclass whose fields, those that it is made from, are all the `same`."""
    return type(a) is type(b) and all(same(getattr(a, name), getattr(b, name)) for name in a.__match_args__)
