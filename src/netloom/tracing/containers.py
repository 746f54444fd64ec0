"""What a model returns, as a plain tree; foreign containers become dicts and are remembered by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from ..errors import TraceError
from ..graph.foreign import remember
from ..ops import Edge
from .freeing import Probes


class Unholdable(TraceError):
    """A result of a class that a graph cannot hold."""


def plain_tree(value: Any, edge_of: Callable[[Any], Edge], left_out: list[str]) -> Any:
    """``value`` with edges for tensors, in tuples, lists and dicts only.

    Fields of a dict or dataclass that a graph cannot hold (a cache object) are left out, and named in ``left_out``.
    """
    if isinstance(value, torch.Tensor):
        return edge_of(value)
    if isinstance(value, int | float | bool | str | complex | type(None)):
        return value
    if type(value) in (tuple, list):
        return type(value)(plain_tree(v, edge_of, left_out) for v in value)
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return remember(type(value), {f: plain_tree(v, edge_of, left_out) for f, v in zip(value._fields, value)})
    if isinstance(value, tuple):
        return tuple(plain_tree(v, edge_of, left_out) for v in value)
    if isinstance(value, Mapping):
        if not all(isinstance(k, str) for k in value):
            raise TraceError(f"the model returns a {type(value).__name__} whose keys are not all strings")
        tree = _fields(value.items(), edge_of, left_out)
        return tree if type(value) is dict else remember(type(value), tree)
    if isinstance(value, list):
        return [plain_tree(v, edge_of, left_out) for v in value]
    if dataclasses.is_dataclass(value):
        tree = _fields([(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)], edge_of, left_out)
        return remember(type(value), tree)
    if isinstance(value, torch.dtype | torch.device):
        return str(value)
    raise Unholdable(
        f"the model returns a {type(value).__name__}, which a graph cannot hold; return tensors in tuples, lists, dicts or "
        "dataclasses"
    )


def _fields(items: Iterable[tuple[str, Any]], edge_of: Callable[[Any], Edge], left_out: list[str]) -> dict[str, Any]:
    tree = {}
    for name, value in items:
        try:
            tree[name] = plain_tree(value, edge_of, left_out)
        except Unholdable:
            left_out.append(f"the result {name!r} is left out: a graph cannot hold a {type(value).__name__}")
    return tree


def symbolic(first: Any, trees: list[Any], probes: Probes) -> Any:
    """The result tree with sizes in place of ints that follow a free axis."""
    if type(first) is Edge:
        return first
    if type(first) in (tuple, list):
        return type(first)(symbolic(child, [t[i] for t in trees], probes) for i, child in enumerate(first))
    if isinstance(first, dict):
        made = {key: symbolic(child, [t[key] for t in trees], probes) for key, child in first.items()}
        return made if type(first) is dict else type(first)(made)  # type: ignore[call-arg]
    if type(first) is int:
        return probes.number(tuple(trees))
    return first
