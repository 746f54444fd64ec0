"""Calls that have no operator: recorded with their function's name, so that they run, print and hash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import TraceError
from ..graph.trusted import GRADIENT, PURE, SETITEM, allow
from ..ops import Edge
from ..ops.functions import gradient, setitem
from .records import DROPPED, Foreign, flat
from .state import type_of_tensor

if TYPE_CHECKING:
    from .recorder import Recorder


def target_name(func: Any) -> str:
    """The name under which a function is found again: ``torch.X``, ``Tensor.X`` and the like, or ``module:name``."""
    import torch

    if func in (setitem, gradient):
        return SETITEM if func is setitem else GRADIENT
    if isinstance(func, torch._ops.OpOverload):
        return f"torch.ops.{func}"
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


def _is_pure(target: str) -> bool:
    """Whether the function's result depends on nothing but its arguments."""
    return target.rpartition(".")[2] in PURE


def opaque(recorder: Recorder, func: Any, args: Any, kwargs: Any, actual: Any, results: list[Any], target: str = "") -> Any:
    """Record a call of ``func`` that gave ``actual`` (whose tensors are ``results``)."""
    target, arguments = target or target_name(func), recorder.arguments
    plain_args = arguments.edge_ref(_without_foreign(arguments.ir(tuple(args)), target))
    pairs = tuple(
        (name, arguments.edge_ref(_without_foreign(arguments.ir(value), target)))
        for name, value in kwargs.items()
        if name not in DROPPED
    )
    types = tuple(type_of_tensor(t) for t in results)
    data = {
        "target": target,
        "args": plain_args,
        "kwargs": pairs,
        "types": tuple((t.dtype, t.shape) for t in types),
        "nested": None,
    }
    allow(target, func)
    record = recorder.add("opaque", data, types, constant=None if _is_pure(target) else 0)
    for index, tensor in enumerate(results):
        edge = Edge(record.number, index)  # type: ignore[arg-type]
        if recorder.aliases.handle(tensor) is not None:
            if tensor is not actual:
                continue
            actual = tensor.view_as(tensor)
            recorder.aliases.fresh(actual, edge)
            _note_sharing(recorder, actual, [tensor])
        else:
            recorder.aliases.fresh(tensor, edge)
            _note_sharing(recorder, tensor, [*flat(args), *flat(kwargs)])
    return actual


def _note_sharing(recorder: Recorder, result: Any, given: list[Any]) -> None:
    """A result that lies in the memory of an argument: a write to either must not be lost on the other."""
    import torch

    made = recorder.aliases.handle(result)
    for tensor in given:
        if isinstance(tensor, torch.Tensor) and recorder.aliases.is_view(result, tensor):
            source = recorder.aliases.handle(tensor)
            if made is not None and source is not None and source.root is not made.root:
                made.root.share(source.root)
                return


def inplace(recorder: Recorder, func: Any, args: Any, kwargs: Any) -> Any:
    """Record an in-place call without operator: made on a private copy, whose value the first tensor then takes."""
    import torch

    target = args[0]
    if func is torch.Tensor.__setitem__:
        recorder.calling.execute(func, args, kwargs)
        result = target.detach().clone()
        made = opaque(recorder, setitem, args, {}, result, [result])
        recorder.aliases.write(target, recorder.result_edge(made))
        return None
    handle = recorder.aliases.handle(target) or recorder.arguments.ir(target).handle
    before = recorder.private(recorder.aliases.read(handle))
    actual = recorder.calling.execute(func, args, kwargs)
    stand_in = target.detach().clone()
    recorder.aliases.fresh(stand_in, before)
    result = target.detach().clone()
    made = opaque(recorder, func, (stand_in, *args[1:]), kwargs, result, [result], target_name(func))
    recorder.aliases.write(target, recorder.result_edge(made))
    return actual


def _without_foreign(value: Any, target: str) -> Any:
    if isinstance(value, Foreign):
        raise TraceError(f"{target} takes an argument of type {type(value.value).__name__}, which a graph cannot hold")
    if type(value) is tuple:
        return tuple(_without_foreign(v, target) for v in value)
    return value


def hooked(recorder: Recorder, tensor: Any, hook: Any) -> None:
    """A gradient hook on an intermediate tensor: the identity with that hook, from here on."""
    if callable(hook) and recorder.aliases.handle(tensor) is not None:
        recorder.aliases.write(tensor, recorder.result_edge(with_hook(recorder, tensor, hook)))


def with_hook(recorder: Recorder, tensor: Any, hook: Any) -> Any:
    """The tensor once more, its gradient going through a hook."""
    name = f"{getattr(hook, '__module__', '')}:{getattr(hook, '__qualname__', type(hook).__qualname__)}#hook"
    result = tensor.detach().clone()
    return opaque(recorder, Hooked(hook), (tensor,), {}, result, [result], target=name)


class Hooked:
    """The identity whose gradient goes through a hook."""

    def __init__(self, hook: Any) -> None:
        self.hook, self.__name__ = hook, getattr(hook, "__name__", "hook")

    def __call__(self, x: Any) -> Any:
        result = x.view_as(x)
        if result.requires_grad:
            result.register_hook(self.hook)
        return result
