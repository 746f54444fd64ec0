"""Function transforms (``torch.vmap``, ``torch.func.grad``, ``vjp``, ``jvp``, ``jacrev`` …), as the calls that they come to.

Inside a transform tensors stand for many, or carry gradients of their own, and a TorchFunctionMode sees a function of one
sample. What computes are the calls that the transform's rules make in the end, on the tensors outside: these are recorded, so
that a graph has the batch free, and gives what the transform gives to the bit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ..errors import TraceError
from .calls import resolve
from .recorder import Recorder
from .records import NeedsRealTensors, flat, where_in_model

#: Functions of torch that begin a transform, by the module that holds them, and whether they give a function back.
_ENTRIES = (
    ("torch._functorch.apis", "vmap_impl", False),
    ("torch._functorch.eager_transforms", "grad_and_value_impl", False),
    ("torch._functorch.eager_transforms", "_jvp_with_argnums", False),
    ("torch._functorch.eager_transforms", "_vjp_with_argnums", True),
)


@contextlib.contextmanager
def transforms(recorder: Recorder) -> Iterator[None]:
    """Intercept function transforms while a model's copy runs."""
    from importlib import import_module

    held = []
    for path, name, gives_function in _ENTRIES:
        module = import_module(path)
        original = getattr(module, name, None)
        if original is not None:
            held.append((module, name, original))
            setattr(module, name, _entry(recorder, original, name, gives_function))
    try:
        yield
    finally:
        for module, name, original in held:
            setattr(module, name, original)


def _entry(recorder: Recorder, original: Callable[..., Any], name: str, gives_function: bool) -> Callable[..., Any]:
    def enter(*args: Any, **kwargs: Any) -> Any:
        if recorder.transforming:
            if name != "vmap_impl" and recorder.transforming == "undivided":
                raise _NeedsDerivatives
            return original(*args, **kwargs)
        if name == "vmap_impl":
            found = _of_constants(recorder, original, args, kwargs)
            if found is not NotImplemented:
                return found
        result = within(recorder, original, name == "vmap_impl", *args, **kwargs)
        if not gives_function:
            return result
        output, function, *more = result  # the function is called when its transform has ended

        def pulled(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs) if recorder.transforming else within(recorder, function, False, *args, **kwargs)

        return (output, pulled, *more)

    return enter


def within(recorder: Recorder, function: Callable[..., Any], whole: bool, *args: Any, **kwargs: Any) -> Any:
    """Run ``function`` with every call recorded that it makes, through whatever transforms, on tensors of the trace.

    With ``whole`` calls stay whole if nothing is differentiated inside: how autograd divides a product hangs on what requires
    gradients, which in a trace nothing does.
    """
    started = len(recorder.records)
    try:
        if whole:
            with contextlib.suppress(_NeedsDerivatives):
                recorder.transforming = "undivided"
                with torch._C._AutoDispatchBelowAutograd(), torch._C.DisableTorchFunction(), Lowered(recorder):
                    return function(*args, **kwargs)
            recorder.rewind(started)
        recorder.transforming = "divided"
        with torch._C.DisableTorchFunction(), Lowered(recorder):
            return function(*args, **kwargs)
    except (NotImplementedError, RuntimeError) as error:
        if recorder.meta and "meta" in str(error).lower():
            raise NeedsRealTensors(str(error)) from error
        raise
    finally:
        recorder.transforming = ""


class _NeedsDerivatives(Exception):
    """A function under vmap differentiates."""


class Lowered(TorchDispatchMode):  # type: ignore[misc]
    """Hands the calls that reach torch's kernels to a recorder, by the names under which a model would make them."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace not in ("aten", "prims"):
            raise TraceError(f"{func} inside a function transform has no form in a graph ({where_in_model()})")
        name = func._schema.name.partition("::")[2]
        public = _RENAMED.get(name)
        if name == "native_layer_norm" and self.recorder.transforming == "undivided":
            return self._layer_norm(func, *args)
        if public is not None:
            call, args, kwargs = public(*args, **(kwargs or {}))
        else:
            call, kwargs = _callable(func, name), kwargs or {}
        return self.recorder.__torch_function__(call, (), args, kwargs)


    def _layer_norm(self, func: Any, x: Any, shape: Any, weight: Any, bias: Any, eps: float) -> Any:
        """The function that people call gives the first result; the others are there for a backward pass, of which is none."""
        made = self.recorder.__torch_function__(torch.nn.functional.layer_norm, (), (x, list(shape), weight, bias, eps))
        return (made, *func(x, shape, weight, bias, eps)[1:])


@cache
def _callable(func: Any, name: str) -> Any:
    """What a model would call to reach a kernel: a method, a function, or the kernel itself where there is neither."""
    if name == "_local_scalar_dense":
        return torch.Tensor.item
    given = func._schema.arguments
    holders = [torch.Tensor] if given and given[0].name == "self" and func.namespace == "aten" else []
    for prefix, module in (("linalg_", torch.linalg), ("special_", torch.special), ("fft_", torch.fft)):
        if name.startswith(prefix):
            name, holders = name.removeprefix(prefix), [module]  # type: ignore[list-item]
            break
    else:
        holders += [torch, torch.nn.functional, torch._C._nn]  # type: ignore[list-item]
    found = [each for holder in holders if callable(each := getattr(holder, name, None))]
    for each in found:
        if resolve(each).kind == "call":
            return each
    if found:
        return found[-1]  # what is least of a Python function
    if func._schema.is_mutable:
        raise TraceError(f"{func} inside a function transform has no form in a graph ({where_in_model()})")
    return func


# -- kernels whose arguments are not those of the function that people call ------------------------------------------------
def _slice(x: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    end = None if end is not None and end >= x.shape[dim] else end
    index = (*(slice(None),) * (dim % x.ndim), slice(start or None, end, None if step == 1 else step))
    return torch.Tensor.__getitem__, (x, index), {}


def _index(x: Any, indices: Any) -> Any:
    return torch.Tensor.__getitem__, (x, tuple(slice(None) if i is None else i for i in indices)), {}


def _to_copy(x: Any, **options: Any) -> Any:
    wanted = {name: value for name, value in options.items() if name in ("dtype", "memory_format") and value is not None}
    if wanted.get("dtype", x.dtype) == x.dtype:
        wanted.pop("dtype", None)
        return torch.Tensor.clone, (x,), wanted
    return torch.Tensor.to, (x,), wanted


def _convolution(x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, *rest: Any) -> Any:
    output_padding, groups = rest
    rank = x.ndim - 2
    if transposed:
        call = (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)[rank - 1]
        return call, (x, weight, bias, stride, padding, output_padding, groups, dilation), {}
    return (torch.conv1d, torch.conv2d, torch.conv3d)[rank - 1], (x, weight, bias, stride, padding, dilation, groups), {}


def _embedding(weight: Any, indices: Any, padding: int = -1, *rest: Any) -> Any:
    return torch.nn.functional.embedding, (indices, weight), {"padding_idx": None if padding < 0 else padding}


def _pad(x: Any, pad: Any, value: Any = 0) -> Any:
    return torch.nn.functional.pad, (x, list(pad)), {"value": value}


def _same(x: Any, *_: Any) -> Any:
    return torch.Tensor.view_as, (x, x), {}


_RENAMED: dict[str, Callable[..., Any]] = {
    "slice": _slice,
    "index": _index,
    "_to_copy": _to_copy,
    "convolution": _convolution,
    "embedding": _embedding,
    "constant_pad_nd": _pad,
    "alias": _same,
    "lift_fresh": _same,
    "_unsafe_view": lambda x, size: (torch.Tensor.view, (x, size), {}),
    "_softmax": lambda x, dim, half: (torch.softmax, (x, dim), {"dtype": torch.float32} if half else {}),
    "_log_softmax": lambda x, dim, half: (torch.log_softmax, (x, dim), {"dtype": torch.float32} if half else {}),
}


# -- functions of constants ------------------------------------------------------------------------------------------------
def _of_constants(recorder: Recorder, original: Any, args: Any, kwargs: Any) -> Any:
    """A vmapped function over constants alone is computed, as masks of attention are; NotImplemented for any other."""
    function, in_dims, out_dims, randomness, chunk_size, *given = args
    real = recorder.real_values(tuple(given))
    if any(leaf is None for leaf in flat(real)) or _captures_tensor(function):
        return NotImplemented
    with torch._C.DisableTorchFunction():
        result = original(function, in_dims, out_dims, randomness, chunk_size, *real, **kwargs)
    return recorder.outside(result)


def _captures_tensor(function: Any) -> bool:
    """Whether a function holds tensors, or modules, beside its arguments."""
    pending, seen = [function], set()
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor | torch.nn.Module):
            return True
        if isinstance(value, tuple | list):
            pending += list(value)
        if isinstance(value, dict):
            pending += list(value.values())
        for cell in getattr(value, "__closure__", None) or ():
            with contextlib.suppress(ValueError):
                pending.append(cell.cell_contents)
        pending += [getattr(value, name) for name in ("__wrapped__", "__self__", "func", "args") if hasattr(value, name)]
    return False
