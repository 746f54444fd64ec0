"""Copies of a model to trace: same objects, but tensors on the meta device (or fresh real ones), nothing shared.

The original is never run: what a forward pass changes (caches, counters, buffers) changes in the copy.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

_ATOMS = frozenset((int, float, bool, str, bytes, complex, type(None), type))
_EMPTIED = frozenset((dict, OrderedDict, set, list))
_PLAIN_MODULE_SLOTS = ("__deepcopy__", "__reduce__", "__getstate__")


class Cloner:
    """Copies a module and remembers which copied tensor stands for which original.

    ``origin`` maps the id of a copied tensor to the original tensor.
    """

    def __init__(self, meta: bool) -> None:
        import torch

        self.torch = torch
        self.meta = meta
        self.memo: dict[int, Any] = {}
        self.origin: dict[int, Any] = {}
        self.keep: list[Any] = []
        self.plain: dict[type, bool] = {}

    def clone(self, value: Any) -> Any:
        """A deep copy of any value, tensors replaced."""
        kind = type(value)
        if kind in _ATOMS:
            return value
        found = self.memo.get(id(value))
        if found is not None:
            return found
        if kind is dict or kind is OrderedDict:
            if not value:
                return kind()
            made: Any = kind()
            self._note(value, made)
            for key, item in value.items():
                made[key] = self.clone(item)
            return made
        if kind is list or kind is set:
            made = kind()
            self._note(value, made)
            (made.extend if kind is list else made.update)([self.clone(item) for item in value])
            return made
        if kind is tuple:
            return tuple(self.clone(item) for item in value)
        if isinstance(value, self.torch.Tensor):
            return self.tensor(value)
        if isinstance(value, self.torch.nn.Module) and self._is_plain(kind):
            made = object.__new__(kind)
            self._note(value, made)
            fields = made.__dict__
            for key, item in value.__dict__.items():
                item_kind = type(item)
                if item_kind in _ATOMS:
                    fields[key] = item
                elif item_kind in _EMPTIED and not item:
                    fields[key] = item_kind()
                else:
                    fields[key] = self.clone(item)
            return made
        if isinstance(value, self.torch.Generator):
            made = self.torch.Generator(value.device)
            made.set_state(value.get_state())
            self._note(value, made)
            return made
        return self._deepcopy(value)

    def tensor(self, value: Any) -> Any:
        """The stand-in for a tensor: meta with the same strides, or a real copy; views of one storage stay views."""
        found = self.memo.get(id(value))
        if found is not None:
            return found
        torch = self.torch
        if self.meta:
            made = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
        else:
            made = value.detach().clone()
        if type(value) is torch.nn.Parameter:
            made = torch.nn.Parameter(made, requires_grad=False)
        elif type(value) is torch.nn.Buffer:
            made = torch.nn.Buffer(made, persistent=value.persistent)
        self._note(value, made)
        self.origin[id(made)] = value
        return made

    def _note(self, value: Any, made: Any) -> None:
        self.memo[id(value)] = made
        self.keep.append(value)
        self.keep.append(made)

    def _is_plain(self, kind: type) -> bool:
        """Modules that copy by their ``__dict__``: those that do not define copying themselves."""
        known = self.plain.get(kind)
        if known is None:
            module = self.torch.nn.Module
            known = all(getattr(kind, s, None) is getattr(module, s, getattr(object, s, None)) for s in _PLAIN_MODULE_SLOTS)
            self.plain[kind] = known
        return known

    def _deepcopy(self, value: Any) -> Any:
        """copy.deepcopy with our stand-ins for every tensor that hangs off the value."""
        for tensor in _tensors_in(value, self.torch, set()):
            self.tensor(tensor)
        return copy.deepcopy(value, self.memo)


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
