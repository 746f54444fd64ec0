"""A copy of a user's model with new tensors in it, on which changes are tried before the model itself has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ...errors import EditError
from ...graph.graph import Graph
from ...tracing.cloning import Cloner
from ...tracing.state import held
from .attributes import Place, fetch, read, write

Modules = dict[str, torch.nn.Module]
#: A change of the module tree, done to whatever tree it is given.
Change = Callable[[Modules], None]


class Placing(Cloner):
    """Copies a module tree with other tensors in place of some; all others are shared with the original."""

    def __init__(self, tensors: Mapping[int, Any]) -> None:
        super().__init__(meta=False)
        self.tensors = tensors

    def tensor(self, value: Any) -> Any:
        found = self.memo.get(id(value))
        if found is None:
            found = self.tensors.get(id(value), value)
            self._note(value, found)
        return found


class Draft:
    """``copy`` has the shapes of ``new``; `set` tries attributes on it; `transfer` gives the model what the copy has."""

    def __init__(self, model: torch.nn.Module, old: Graph, new: Graph, state: Mapping[str, Any]) -> None:
        self.model, self.old, self.new, self.state = model, old, new, state
        #: (the model's tensor, what it becomes), ties once.
        self.tensors: list[tuple[Any, Any]] = []
        self._place()
        cloner = Placing({id(before): after for before, after in self.tensors})
        self.copy: torch.nn.Module = cloner.clone(model).eval()
        self.modules: Modules = dict(self.copy.named_modules())
        self.originals: Modules = dict(model.named_modules())
        self.values: dict[Place, Any] = {}
        self.changes: list[Change] = []

    # -- tensors -------------------------------------------------------------------------------------------------------
    def _place(self) -> None:
        seen: set[int] = set()
        for entry in held(self.model):
            if id(entry.tensor) in seen or entry.key not in self.new.tensors:
                continue
            seen.add(id(entry.tensor))
            value = self._value(entry.key, entry.tensor)
            if value is not entry.tensor:
                self.tensors.append((entry.tensor, value))

    def _value(self, key: str, tensor: Any) -> Any:
        """The new tensor of an entry; its own one where it stays as it is."""
        head = self.new.tensors[key].alias_of or key
        aliases = [k for k, e in self.new.tensors.items() if k == head or e.alias_of == head]
        wanted = self.new.tensors[head].type
        given = next((self.state[k] for k in (key, *aliases) if k in self.state), None)
        if given is None:
            constant = self.new.tensors[head].constant
            if tuple(tensor.shape) == wanted.shape or constant is None or constant.data is None:
                given = tensor
            else:
                data = torch.frombuffer(bytearray(constant.data), dtype=getattr(torch, wanted.dtype)) if constant.data else None
                given = torch.empty(wanted.shape, dtype=tensor.dtype) if data is None else data.reshape(wanted.shape)
        if tuple(given.shape) != wanted.shape:
            raise EditError(f"the tensor {key!r} is {tuple(given.shape)} where the edited graph has {wanted.shape}")
        if given is tensor or (given.shape == tensor.shape and given.data_ptr() == tensor.data_ptr() and not given.is_meta):
            return tensor
        made = given.detach().to(device=tensor.device, dtype=tensor.dtype, copy=True)
        return torch.nn.Parameter(made, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else made

    # -- attributes ----------------------------------------------------------------------------------------------------
    def original(self, place: Place) -> Any:
        """What the model has at a place."""
        return read(self.originals, place)

    def value(self, place: Place) -> Any:
        """What the copy has at a place."""
        return read(self.modules, place)

    def holder(self, place: Place) -> Any:
        """The object of the copy that has the last attribute or key of a place."""
        value: Any = self.modules[place.module]
        for key in place.chain[:-1]:
            value = fetch(value, key)
        return value

    def set(self, values: Mapping[Place, Any]) -> dict[Place, Any]:
        """Change the copy; the values before are given back."""
        before = {place: self.value(place) for place in values}
        for place, value in values.items():
            write(self.modules, place, value)
            self.values[place] = value
        return before

    def change(self, change: Change) -> None:
        """Change the module tree of the copy, and later that of the model."""
        change(self.modules)
        self.changes.append(change)
        self.modules = dict(self.copy.named_modules())

    # -- the model -----------------------------------------------------------------------------------------------------
    def transfer(self) -> None:
        """Give the model the tensors, attributes and modules of the copy; the model's parameters stay the same objects."""
        done: list[tuple[Any, Any, Any]] = []
        modules, tree = self.originals, {path: dict(m._modules) for path, m in self.originals.items()}
        values = {place: value for place, value in self.values.items() if place.module in modules}
        before = {place: self.original(place) for place in values}
        try:
            for tensor, new in self.tensors:
                done.append((tensor, tensor.data, tensor.grad))
                if tensor.shape != new.shape:
                    tensor.grad = None
                tensor.data = new.detach()
            for place, value in values.items():
                write(modules, place, value)
            for change in self.changes:
                change(dict(self.model.named_modules()))
        except Exception as error:
            for tensor, data, grad in done:
                tensor.data, tensor.grad = data, grad
            for place, value in before.items():
                write(modules, place, value)
            for path, children in tree.items():
                modules[path]._modules.clear()
                modules[path]._modules.update(children)
            raise EditError(f"{type(self.model).__name__} cannot be changed in place, and is as it was: {error}") from error
