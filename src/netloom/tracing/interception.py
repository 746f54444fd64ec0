"""What a TorchFunctionMode does not see, intercepted while tracing: module calls, custom autograd functions, transforms."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from types import FunctionType, MethodType
from typing import Any

import torch

from ..errors import TraceError
from .opaque import Hooked, opaque, with_hook
from .recorder import Recorder
from .records import where_in_model
from .transforming import transforms

_DISPATCH = "_netloom_dispatch"


class _Dispatching:
    """Holds the code that stands in for that of ``Function.apply``; it refers to ``__class__`` as the original does."""

    def apply(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        __class__  # type: ignore[name-defined]  # noqa: B018
        return _netloom_dispatch(cls, *args, **kwargs)  # type: ignore[name-defined]  # noqa: F821


@contextlib.contextmanager
def intercepted(recorder: Recorder, modules: Iterable[Any], compiling: bool = False) -> Iterator[None]:
    """Patch torch for the duration of one run of the model's copy, which has ``modules``; everything is put back, whatever
    happens.

    ``compiling`` makes ``torch.compiler.is_compiling()`` true meanwhile.
    """
    function_class = torch.autograd.Function
    applying = function_class.__dict__["apply"].__func__
    original_apply = FunctionType(
        applying.__code__, applying.__globals__, applying.__name__, applying.__defaults__, applying.__closure__
    )
    fastpath = torch.backends.mha.get_fastpath_enabled()

    def apply(kind: Any, *args: Any, **kwargs: Any) -> Any:
        return _autograd_function(recorder, original_apply, kind, args, kwargs)

    def hook(held: Hooked, x: Any) -> Any:
        with torch._C.DisableTorchFunction():
            return with_hook(recorder, x, held.hook)

    original_hook = Hooked.__call__
    held_modes = _grad_modes(recorder)
    Hooked.__call__ = hook  # type: ignore[method-assign, assignment]
    # The code, not the attribute: models bind ``Function.apply`` to names of their own when they are imported.
    applying.__globals__[_DISPATCH] = apply
    applying.__code__ = _Dispatching.apply.__code__
    torch.backends.mha.set_fastpath_enabled(False)
    distribution = torch.distributions.Distribution
    validates = distribution._validate_args
    distribution._validate_args = False  # looks at data, and computes nothing
    is_compiling = torch.compiler.is_compiling
    if compiling:
        torch.compiler.is_compiling = lambda: True
    try:
        with _watched(recorder, modules), transforms(recorder):
            yield
    finally:
        for kind, method, original in held_modes:
            setattr(kind, method, original)
        torch.compiler.is_compiling = is_compiling
        distribution._validate_args = validates
        Hooked.__call__ = original_hook  # type: ignore[method-assign]
        applying.__code__ = original_apply.__code__
        del applying.__globals__[_DISPATCH]
        torch.backends.mha.set_fastpath_enabled(fastpath)


def _grad_modes(recorder: Recorder) -> list[tuple[Any, str, Any]]:
    """Tell the recorder where the model itself turns gradients on; gives what was patched, and the originals."""
    held: list[tuple[Any, str, Any]] = []

    def patched(kind: Any, turns_on: Any) -> None:
        enter, leave = kind.__enter__, kind.__exit__

        def __enter__(self: Any) -> Any:
            self._netloom_before = recorder.enabled
            entered = enter(self)
            if not recorder.transforming:
                recorder.enabled = turns_on(self)
            return entered

        def __exit__(self: Any, *error: Any) -> Any:
            left = leave(self, *error)
            recorder.enabled = self._netloom_before
            return left

        held.extend(((kind, "__enter__", enter), (kind, "__exit__", leave)))
        kind.__enter__, kind.__exit__ = __enter__, __exit__

    patched(torch.enable_grad, lambda self: True)
    patched(torch.no_grad, lambda self: False)
    patched(torch.set_grad_enabled, lambda self: self.mode)
    return held


@contextlib.contextmanager
def _watched(recorder: Recorder, modules: Iterable[Any]) -> Iterator[None]:
    """The copies of the model's modules tell the recorder when they run: by a method of their own, for to patch
    ``nn.Module`` itself would make Python look through all of its subclasses, of which libraries have thousands."""
    stack, paths, generated = recorder.stack, recorder.paths, recorder.generated

    def call(module: Any, *args: Any, **kwargs: Any) -> Any:
        kind = type(module)
        path = paths.get(id(module))
        if path is None:  # a copy that the model made of one of its modules
            return kind._call_impl(module, *args, **kwargs)
        stack.append(path)
        origins = module.__dict__.get("origins")
        generated.append((kind.forward.__code__, origins) if origins else None)
        try:
            return kind._call_impl(module, *args, **kwargs)
        finally:
            stack.pop()
            generated.pop()

    modules = list(modules)
    watched = [module.__dict__ for module in modules]
    for fields, module in zip(watched, modules):
        fields["_call_impl"] = MethodType(call, module)
        for name in ("_backward_hooks", "_backward_pre_hooks"):
            if fields.get(name):  # they look at gradients, of which a trace has none
                fields[name] = OrderedDict()
                note = f"backward hooks of {type(module).__name__} {paths.get(id(module), '')!r} are left out"
                recorder.guards += [note] if note not in recorder.guards else []
    try:
        yield
    finally:
        for fields in watched:
            fields.pop("_call_impl", None)


def _autograd_function(recorder: Recorder, apply: Any, kind: Any, args: Any, kwargs: Any) -> Any:
    """A custom autograd function is one call: its inner operations lack the backward pass that it defines."""
    from torch.utils.checkpoint import CheckpointFunction

    if issubclass(kind, CheckpointFunction):
        function, _, *inputs = args
        return function(*inputs)
    if kind.__module__ == "torch.utils.checkpoint" and any(isinstance(a, dict) for a in args):
        return torch.empty(0)  # torch 2.6 marks here what a checkpoint keeps for its backward pass; it computes nothing
    if recorder.transforming:
        raise TraceError(
            f"{kind.__name__}.apply inside torch.vmap or another function transform ({where_in_model()}) has a backward pass "
            "that no graph can hold there; call it on the whole batch instead"
        )
    tensors = [a for a in args if isinstance(a, torch.Tensor)]
    for tensor in tensors:
        if recorder.aliases.handle(tensor) is None:
            recorder.arguments.ir(tensor)
    versions = [t._version for t in tensors]
    with torch._C.DisableTorchFunction(), torch.no_grad():
        actual = apply(kind, *args, **kwargs)
    results = [t for t in (actual if isinstance(actual, tuple | list) else [actual]) if isinstance(t, torch.Tensor)]
    name = f"{kind.__module__}:{kind.__qualname__}.apply"
    function = Applied(kind)
    before = {id(t): version for t, version in zip(tensors, versions)}
    for tensor in tensors:
        if tensor._version != before[id(tensor)]:
            with torch._C.DisableTorchFunction():
                stand_in = tensor.detach().clone()
                outputs = [t.detach().clone() if t is tensor else t for t in results]
            recorder.aliases.fresh(stand_in, recorder.private(recorder.result_edge(tensor)))
            clean = tuple(stand_in if a is tensor else a for a in args)
            opaque(recorder, function, clean, kwargs, tuple(outputs), outputs, target=name)
            made = next(o for o, t in zip(outputs, results) if t is tensor)
            recorder.aliases.write(tensor, recorder.result_edge(made))
            return actual
    return opaque(recorder, function, args, kwargs, actual, results, target=name)


class Applied:
    """``kind.apply`` looked up when called, so that a trace of a built network meets the function again."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.__name__ = f"{kind.__qualname__}.apply"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.kind.apply(*args, **kwargs)
