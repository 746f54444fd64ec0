"""Copies of a model to trace: same objects, but tensors on the meta device (or fresh real ones), nothing shared.

The original is never run: what a forward pass changes (caches, counters, buffers) changes in the copy.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

_ATOMS = frozenset((int, float, bool, str, bytes, complex, type(None), type))
_EMPTIED = frozenset((dict, OrderedDict, set, list))
_PLAIN_MODULE_SLOTS = ("__deepcopy__", "__reduce__", "__getstate__")
#: What a module was compiled to runs the original.
_COMPILED = "_compiled_call_impl"


class Cloner:
    """Copies a module and remembers which copied tensor stands for which original.

    ``origin`` maps the id of a copied tensor to the original tensor.
    """

    def __init__(self, meta: bool) -> None:
        import torch

        self.torch = torch
        self.meta = meta
        self.device = torch.device("meta")
        #: id of an original → its copy; the originals are kept, so that their ids stay theirs.
        self.memo: dict[int, Any] = {}
        self.origin: dict[int, Any] = {}
        self.keep: list[Any] = []
        way = type(self)
        # Functions, not bound methods: those would keep the cloner, and all it has seen, in a circle.
        self.ways: dict[type, Callable[[Any, Any], Any]] = {
            dict: way._mapping, OrderedDict: way._mapping, list: way._items, set: way._items, tuple: way._tuple,
        }  # fmt: skip

    def clone(self, value: Any) -> Any:
        """A deep copy of any value, tensors replaced."""
        kind = type(value)
        if kind in _ATOMS:
            return value
        found = self.memo.get(id(value))
        if found is not None:
            return found
        way = self.ways.get(kind)
        if way is None:
            way = self.ways[kind] = self._way(kind)
        return way(self, value)

    def _way(self, kind: type) -> Callable[[Any, Any], Any]:
        """How values of a class are copied."""
        way = type(self)
        if issubclass(kind, self.torch.Tensor):
            return way.tensor
        if issubclass(kind, self.torch.nn.Module) and _is_plain(kind, self.torch.nn.Module):
            return way._module
        return way._generator if issubclass(kind, self.torch.Generator) else way._deepcopy

    def _mapping(self, value: Any) -> Any:
        made = type(value)()
        if value:
            self._note(value, made)
            for key, item in value.items():
                made[key] = item if type(item) in _ATOMS else self.clone(item)
        return made

    def _items(self, value: Any) -> Any:
        made = type(value)()
        self._note(value, made)
        (made.extend if type(value) is list else made.update)([self.clone(item) for item in value])
        return made

    def _tuple(self, value: Any) -> Any:
        return tuple([self.clone(item) for item in value])

    def _module(self, value: Any) -> Any:
        made = object.__new__(type(value))
        self._note(value, made)
        fields = made.__dict__
        for key, item in value.__dict__.items():
            kind = type(item)
            if kind in _ATOMS:
                fields[key] = item
            elif kind in _EMPTIED and not item:
                fields[key] = kind()
            elif key != _COMPILED:
                fields[key] = self.clone(item)
        return made

    def tensor(self, value: Any) -> Any:
        """The stand-in for a tensor: meta with the same strides, or a real copy; views of one storage stay views."""
        found = self.memo.get(id(value))
        if found is not None:
            return found
        torch, kind = self.torch, type(value)
        if self.meta:
            made = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=self.device)
        else:
            made = value.detach().clone()
        if kind is torch.nn.Parameter:
            made = torch.nn.Parameter(made, requires_grad=False)
        elif kind is torch.nn.Buffer:
            made = torch.nn.Buffer(made, persistent=value.persistent)
        self._note(value, made)
        self.origin[id(made)] = value
        return made

    def _generator(self, value: Any) -> Any:
        made = self.torch.Generator(value.device)
        made.set_state(value.get_state())
        self._note(value, made)
        return made

    def _note(self, value: Any, made: Any) -> None:
        self.memo[id(value)] = made
        self.keep.append(value)

    def _deepcopy(self, value: Any) -> Any:
        """copy.deepcopy with our stand-ins for every tensor that hangs off the value."""
        for tensor in _tensors_in(value, self.torch, set()):
            self.tensor(tensor)
        return copy.deepcopy(value, self.memo)


def _is_plain(kind: type, module: type) -> bool:
    """Modules that copy by their ``__dict__``: those that do not define copying themselves."""
    return all(getattr(kind, s, None) is getattr(module, s, getattr(object, s, None)) for s in _PLAIN_MODULE_SLOTS)


def _tensors_in(value: Any, torch: Any, seen: set[int], depth: int = 0) -> list[Any]:
    """Tensors reachable from a value through containers and instance dictionaries."""
    if type(value) in _ATOMS or id(value) in seen or depth > 50:
        return []
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        return [value]
    found: list[Any] = []
    children: list[Any] = []
    if isinstance(value, dict):
        children += list(value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        children += list(value)
    if hasattr(value, "__dict__") and not isinstance(value, type):
        children += list(vars(value).values())
    if hasattr(value, "__self__") and not isinstance(value.__self__, type(torch)):
        children.append(value.__self__)
    for name in getattr(type(value), "__slots__", ()):
        if isinstance(name, str) and hasattr(value, name):
            children.append(getattr(value, name))
    for child in children:
        found += _tensors_in(child, torch, seen, depth + 1)
    return found
