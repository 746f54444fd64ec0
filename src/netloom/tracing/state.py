"""A model's state as a tensor table: every parameter and buffer under every name it has."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch

from ..errors import TraceError
from ..graph.table import Constant
from ..ops import TensorType


class Held(NamedTuple):
    """One entry of a model's state: the tensor object, what kind of entry it is, and the module that has it."""

    key: str
    tensor: Any
    kind: str
    persistent: bool
    owner: Any


def held(module: Any, prefix: str = "") -> list[Held]:
    """All entries in the order of ``state_dict``, aliases and non-persistent buffers included."""
    found = []
    for name, tensor in module._parameters.items():
        if tensor is not None:
            found.append(Held(prefix + name, tensor, "parameter", True, module))
    for name, tensor in module._buffers.items():
        if tensor is not None:
            found.append(Held(prefix + name, tensor, "buffer", name not in module._non_persistent_buffers_set, module))
    for name, child in module._modules.items():
        if child is not None:
            found += held(child, f"{prefix}{name}.")
    return found


def modules_by_path(module: Any) -> dict[str, Any]:
    """Path → module, each module under its first path: what ``named_modules`` gives."""
    found: dict[str, Any] = {}
    _collect(module, "", found, set())
    return found


def _collect(module: Any, path: str, found: dict[str, Any], seen: set[int]) -> None:
    if id(module) in seen:
        return
    seen.add(id(module))
    found[path] = module
    prefix = f"{path}." if path else ""
    for name, child in module._modules.items():
        if child is not None:
            _collect(child, prefix + name, found, seen)


class State:
    """What the entries of a model's state are: the same in every run of a trace.

    ``types`` has the entries that calls take as they are, by key; ``owners`` the keys of tied tensors by the first of them;
    ``buffers`` the values of buffers; ``constants`` the keys of buffers in which networks, as they are built, hold the
    constants of their graphs.
    """

    def __init__(self, entries: list[Held], modules: dict[str, Any]) -> None:
        self.entries, self.modules = entries, modules
        self.constants = _constants_of_networks(modules)
        self.types = {entry.key: type_of_tensor(entry.tensor) for entry in entries if entry.key not in self.constants}
        self.trainable = {entry.key for entry in entries if entry.tensor.requires_grad}
        kept = [entry for entry in entries if entry.kind == "buffer" and entry.tensor.device.type != "meta"]
        self.buffers = {entry.key: entry.tensor for entry in kept}
        self.owners = self._owners()

    def _owners(self) -> dict[str, list[str]]:
        first: dict[int, str] = {}
        owners: dict[str, list[str]] = {}
        for entry in self.entries:
            if entry.key not in self.constants:
                owners.setdefault(first.setdefault(id(entry.tensor), entry.key), []).append(entry.key)
        return {key: names for key, names in owners.items() if len(names) > 1}

    def of_copy(self, copy: Any, memo: dict[int, Any]) -> State:
        """The state of a copy of the model; ``memo`` says what was copied to what."""
        made: State = object.__new__(State)
        made.constants, made.types, made.owners = self.constants, self.types, self.owners
        made.trainable, made.buffers = self.trainable, self.buffers
        if all(id(module) in memo for module in self.modules.values()):
            made.modules = {path: memo[id(module)] for path, module in self.modules.items()}
            made.entries = [
                Held(key, memo[id(tensor)], kind, persistent, memo[id(owner)])
                for key, tensor, kind, persistent, owner in self.entries
            ]
        else:  # a module copies itself in a way of its own
            made.modules, made.entries = modules_by_path(copy), held(copy)
            made.owners = made._owners()
        return made


def _constants_of_networks(modules: dict[str, Any]) -> set[str]:
    """Keys of the buffers in which networks, as they are built, hold the constants of their graphs."""
    keys: set[str] = set()
    for path, module in modules.items():
        if "origins" in module.__dict__:
            held = [step.args["value"].key for step in module.__dict__["graph"].steps if step.op == "constant"]
            keys.update(f"{path}.{key}" if path else key for key in held)
    return keys


def refuse_unfit(entries: list[Held]) -> None:
    """`TraceError` for state that no graph can describe."""
    for entry in entries:
        tensor = entry.tensor
        if torch.nn.parameter.is_lazy(tensor):
            raise TraceError(f"{entry.kind} {entry.key!r} is lazy and has no shape yet; run the model once before tracing it")
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise TraceError(f"{entry.kind} {entry.key!r} is quantised or sparse; netloom takes dense tensors only")


def constant_of(tensor: Any) -> Constant:
    """The tensor by value (without data where it lies on the meta device)."""
    kind = type_of_tensor(tensor)
    if tensor.device.type == "meta":
        return Constant(kind, None, "")
    dense = tensor.detach().cpu().contiguous()
    if dense.numel() == 0:
        return Constant.of(kind, b"")
    raw = dense.reshape(-1).view(torch.uint8) if dense.dtype != torch.bool else dense.reshape(-1).to(torch.uint8)
    return Constant.of(kind, raw.numpy().tobytes())


def observed_init(tensor: Any) -> tuple[Any, ...]:
    """An initialisation rule with the statistics a tensor has now: constant, or normal with its mean and deviation."""
    if tensor.device.type == "meta" or tensor.numel() == 0:
        return ("normal", 0.0, 0.02) if tensor.is_floating_point() else ("constant", 0)
    flat = tensor.detach().reshape(-1)
    if tensor.dtype == torch.bool or not tensor.is_floating_point():
        return ("constant", flat[0].item() if tensor.dtype != torch.bool else bool(flat[0]))
    wide = flat.double()
    std = float(wide.std(correction=0))
    if std == 0.0 or not std < float("inf"):
        return ("constant", float(wide[0]))
    return ("normal", float(wide.mean()), std)


def type_of_tensor(tensor: Any) -> TensorType:
    """dtype and shape of a tensor."""
    return TensorType(dtype_name(tensor.dtype), tuple(tensor.shape))


@cache
def dtype_name(dtype: Any) -> str:
    """``"float32"`` for ``torch.float32``."""
    return str(dtype).removeprefix("torch.")
