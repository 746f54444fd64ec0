"""Calls that have no operator: recorded with their function's name, so that they run, print and hash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import TraceError
from ..ops import Edge

if TYPE_CHECKING:
    from .recorder import Recorder


def target_name(func: Any) -> str:
    """The name under which a function is found again: ``torch.X``, ``Tensor.X``, ``torch.nn.functional.X``, or ``module:name``."""
    import torch

    name = getattr(func, "__name__", "")
    owner = getattr(func, "__self__", None)
    if name == "__get__" and owner is not None:
        return f"Tensor.{owner.__name__}"
    for holder, prefix in ((torch.nn.functional, "torch.nn.functional"), (torch, "torch"), (torch.Tensor, "Tensor"),
                           (torch._C._nn, "torch._C._nn"), (torch.special, "torch.special"),
                           (torch.linalg, "torch.linalg"), (torch.fft, "torch.fft")):  # fmt: skip
        if getattr(holder, name, None) == func:
            return f"{prefix}.{name}"
    return f"{getattr(func, '__module__', '') or 'unknown'}:{getattr(func, '__qualname__', name)}"


def opaque(recorder: Recorder, func: Any, args: Any, kwargs: Any, actual: Any, results: list[Any], target: str = "") -> Any:
    """Record a call of ``func`` that gave ``actual`` (whose tensors are ``results``)."""
    from .recorder import _DROPPED, Foreign, _flat, type_of_tensor

    target = target or target_name(func)
    plain_args = recorder._edge_ref(_without_foreign(recorder._ir(tuple(args)), target, Foreign))
    pairs = tuple(
        (name, recorder._edge_ref(_without_foreign(recorder._ir(value), target, Foreign)))
        for name, value in kwargs.items()
        if name not in _DROPPED
    )
    types = tuple(type_of_tensor(t) for t in results)
    data = {
        "target": target,
        "args": plain_args,
        "kwargs": pairs,
        "types": tuple((t.dtype, t.shape) for t in types),
        "nested": None,
    }
    record = recorder.add("opaque", data, types, constant=False)
    inplace = target.endswith("_") and not target.endswith("__") and any(r is a for r in results for a in _flat(args))
    for index, tensor in enumerate(results):
        edge = Edge(record.number, index)  # type: ignore[arg-type]
        if inplace:
            raise TraceError(f"{target} writes in place and netloom has no operator for it; use its pure form")
        if recorder.aliases.handle(tensor) is not None:
            tensor_alias = tensor.view_as(tensor)
            recorder.aliases.fresh(tensor_alias, edge)
            if tensor is actual:
                return tensor_alias
            continue
        recorder.aliases.fresh(tensor, edge)
    return actual


def _without_foreign(value: Any, target: str, foreign: type) -> Any:
    if isinstance(value, foreign):
        raise TraceError(f"{target} takes an argument of type {type(value.value).__name__}, which a graph cannot hold")  # type: ignore[attr-defined]
    if type(value) is tuple:
        return tuple(_without_foreign(v, target, foreign) for v in value)
    return value
