"""Which operator a torch callable stands for, and how its arguments bind.

The table comes from the ``calls`` of all operators: nothing here knows a function by name except those that are not
computation (they give Python values about a tensor) and those that ask for the numbers inside one.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from ..ops import REGISTRY, Operator

#: Calls that describe a tensor without looking at its numbers.
READS = """
    size dim ndimension numel nelement stride storage_offset element_size is_contiguous is_floating_point is_complex is_signed
    is_same_size is_pinned is_shared get_device has_names __len__ __hash__ __repr__ __str__ __format__ untyped_storage
    storage data_ptr is_set_to is_inference is_conj is_neg dense_dim sparse_dim is_coalesced
    is_distributed __dir__ _is_view __reduce_ex__ _version refine_names names is_neg
""".split()
READ_PROPERTIES = """
    shape dtype device ndim requires_grad is_leaf grad_fn layout is_cuda is_cpu is_meta is_sparse is_quantized is_mps
    is_nested is_xla is_mkldnn itemsize nbytes names _version _base output_nr name is_ort is_vulkan is_ipu is_xpu is_hpu
    volatile retains_grad __cuda_array_interface__ is_mtia is_maia grad _grad is_sparse_csr
""".split()
TORCH_READS = """
    is_tensor is_floating_point is_complex is_storage numel is_grad_enabled is_inference_mode_enabled get_default_dtype
    is_same_size result_type promote_types can_cast is_distributed is_conj is_neg is_signed is_inference finfo iinfo
    _assert broadcast_shapes is_autocast_enabled is_autocast_cpu_enabled
""".split()
#: Calls that turn numbers inside a tensor into Python values.
DATA = """
    item __bool__ __int__ __float__ __index__ __complex__ tolist numpy __array__ is_nonzero equal allclose __contains__
""".split()
TORCH_DATA = "is_nonzero equal allclose".split()
#: Calls whose result's shape depends on numbers inside a tensor.
DATA_SHAPES = "nonzero masked_select unique unique_consecutive argwhere bincount".split()


class Slot(NamedTuple):
    """One parameter of a torch callable: our name, torch's keyword, default, and whether it takes the rest."""

    name: str
    keyword: str
    default: Any
    rest: bool


class _Required:
    pass


REQUIRED = _Required()


class Candidate(NamedTuple):
    operator: Operator
    slots: tuple[Slot, ...]


class Resolved(NamedTuple):
    """What a torch callable is: ``kind`` is read, data, shape, call (with candidates; perhaps in place), python or unknown."""

    kind: str
    path: str
    candidates: tuple[Candidate, ...] = ()
    inplace: bool = False


@cache
def slots(signature: str) -> tuple[Slot, ...]:
    """The slots of a signature such as ``"x:input, weight, stride=1, *dims"``."""
    found = []
    depth, part, parts = 0, "", []
    for char in signature:
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += char
    parts.append(part)
    for text in (p.strip() for p in parts):
        if not text or text == "*":
            continue
        name, _, default = text.partition("=")
        rest = name.startswith("*")
        name, _, keyword = name.lstrip("*").strip().partition(":")
        found.append(
            Slot(name.strip(), (keyword or name).strip(), ast.literal_eval(default.strip()) if default else REQUIRED, rest)
        )
    return tuple(found)


def bind(candidate: Candidate, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Arguments by the operator's names, or None where they do not fit the signature."""
    bound: dict[str, Any] = {}
    position = 0
    used = 0
    for slot in candidate.slots:
        if slot.rest:
            rest = args[position:]
            position = len(args)
            if len(rest) == 1 and type(rest[0]) in (tuple, list):
                rest = tuple(rest[0])
            if not rest and slot.keyword in kwargs:
                given = kwargs[slot.keyword]
                rest = tuple(given) if isinstance(given, tuple | list) else (given,)
                used += 1
            bound[slot.name] = tuple(rest)
        elif position < len(args):
            bound[slot.name] = args[position]
            position += 1
        elif slot.keyword in kwargs:
            bound[slot.name] = kwargs[slot.keyword]
            used += 1
        elif slot.name in kwargs:
            bound[slot.name] = kwargs[slot.name]
            used += 1
        elif slot.default is not REQUIRED:
            bound[slot.name] = slot.default
        else:
            return None
    return bound if position >= len(args) and used == len(kwargs) else None


@cache
def _table(num_operators: int) -> dict[Any, Resolved]:
    """Callable → what it stands for, made again when operators have been registered since."""
    import torch

    table: dict[Any, Resolved] = {}
    for name in READS:
        if hasattr(torch.Tensor, name):
            table[getattr(torch.Tensor, name)] = Resolved("read", f"Tensor.{name}")
    for name in READ_PROPERTIES:
        prop: Any = getattr(torch.Tensor, name, None)
        if hasattr(prop, "__get__"):
            table[prop.__get__] = Resolved("read", f"Tensor.{name}")
    for name in TORCH_READS:
        if hasattr(torch, name):
            table[getattr(torch, name)] = Resolved("read", f"torch.{name}")
    for owner, prefix, names in ((torch.Tensor, "Tensor", DATA), (torch, "torch", TORCH_DATA)):
        for name in names:
            if hasattr(owner, name):
                table[getattr(owner, name)] = Resolved("data", f"{prefix}.{name}")
    for owner, prefix in ((torch.Tensor, "Tensor"), (torch, "torch")):
        for name in DATA_SHAPES:
            if hasattr(owner, name):
                table[getattr(owner, name)] = Resolved("shape", f"{prefix}.{name}")
    candidates: dict[str, list[Candidate]] = {}
    for kind in REGISTRY.values():
        for path, signature in kind.calls.items():
            candidates.setdefault(path, []).append(Candidate(kind, slots(signature)))
    for path, found in candidates.items():
        for key, inplace in _forms(path):
            previous = table.get(key)
            if previous is not None and previous.kind == "call":
                merged = previous.candidates + tuple(c for c in found if c not in previous.candidates)
                table[key] = previous._replace(candidates=merged)
            elif previous is None or previous.kind == "shape":
                table[key] = Resolved("call", path, tuple(found), inplace)
    return table


def _forms(path: str) -> list[tuple[Any, bool]]:
    """The callables a path stands for: itself and its in-place forms."""
    import torch

    prefix, _, name = path.rpartition(".")
    owner: Any = {"Tensor": torch.Tensor, "F": torch.nn.functional}.get(prefix)
    if prefix.startswith("netloom."):
        owner = import_module(prefix)
    elif owner is None:
        owner = torch
        for part in prefix.split(".")[1:]:
            owner = getattr(owner, part, None)
    forms = []
    inplace_names = [f"{name}_"]
    if name.startswith("__") and name.endswith("__"):
        inplace_names = [f"__i{name[2:]}"]
    elif prefix == "Tensor":
        inplace_names.append(f"__i{name}__")
    explicit = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
    for form, inplace in ((name, explicit), *((n, True) for n in inplace_names)):
        found = getattr(owner, form, None)
        if found is None:
            continue
        if not callable(found) and hasattr(found, "__get__"):
            found = found.__get__
        forms.append((found, inplace))
    return forms


def resolve(func: Any) -> Resolved:
    """What ``func``, as a TorchFunctionMode receives it, stands for."""
    found = _table(len(REGISTRY)).get(func)
    return found if found is not None else _unknown(func)


@cache
def _unknown(func: Any) -> Resolved:
    import types

    name = getattr(func, "__name__", str(func))
    module = getattr(func, "__module__", None) or ""
    if isinstance(func, types.FunctionType):
        return Resolved("python", f"{module}.{name}" if module != "torch._tensor" else f"Tensor.{name}")
    owner = getattr(func, "__self__", None)
    if name == "__get__" and owner is not None:
        return Resolved("unknown", f"Tensor.{getattr(owner, '__name__', '?')}")
    if type(func).__name__ in ("method_descriptor", "wrapper_descriptor"):
        return Resolved("unknown", f"Tensor.{name}")
    plain = "_VariableFunctions" in str(getattr(func, "__qualname__", ""))
    return Resolved("unknown", f"torch.{name}" if plain else f"{module}.{name}")


def entered(func: Any) -> Callable[..., Any]:
    """A Python function of torch's that runs its own body, where the original would hand the call to the mode first."""
    return _entered(func)


@cache
def _entered(func: Any) -> Callable[..., Any]:
    import types

    no = lambda *args: False  # noqa: E731
    names = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    scope = {**func.__globals__, **dict.fromkeys(names, no)}
    twin = types.FunctionType(func.__code__, scope, func.__name__, func.__defaults__, func.__closure__)
    twin.__kwdefaults__ = func.__kwdefaults__
    return twin
