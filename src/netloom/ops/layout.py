"""Operators that keep every number: copies, memory layout, and the end of gradients."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

from ..errors import ShapeError
from .arguments import Param, attr, choice, tensor
from .dims import Dims, elementwise
from .dtypes import is_integer
from .operator import Operator, TensorType, pretty

FORMATS = choice("contiguous_format", "channels_last", "channels_last_3d", "preserve_format")


def check_format(memory_format: str | None, shape: tuple[Any, ...]) -> None:
    """Refuse a memory format that is for another number of axes."""
    rank = {"channels_last": 4, "channels_last_3d": 5}.get(memory_format or "")
    if rank is not None and len(shape) != rank:
        raise ShapeError(f"memory format {memory_format} is for {rank} axes, not for {pretty(shape)}")


class _Same(Operator):
    """Base of operators whose result has the numbers of their operand."""

    params: ClassVar[tuple[Param, ...]] = (tensor("x"),)

    def infer(self, a: SimpleNamespace) -> TensorType:
        check_format(getattr(a, "memory_format", None), a.x.shape)
        return a.x  # type: ignore[no-any-return]

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return elementwise({"x": a.x.shape}, outputs[0].shape)


class Contiguous(_Same):
    """x laid out in memory in row-major order, or in another format."""

    name = "contiguous"
    zero_terms = ("x",)
    params = (tensor("x"), attr("memory_format", FORMATS, "contiguous_format"))
    code = "{x}.contiguous(memory_format=torch.{memory_format})"
    calls = {"Tensor.contiguous": "x, memory_format='contiguous_format'"}

    def template(self, a: SimpleNamespace) -> str:
        return f"{{x}}.contiguous(memory_format=torch.{a.memory_format})"


class Clone(_Same):
    """A copy of x."""

    name = "clone"
    zero_terms = ("x",)
    params = (tensor("x"), attr("memory_format", FORMATS, "preserve_format"))
    code = "{x}.clone(memory_format=torch.{memory_format})"
    calls = {
        "Tensor.clone": "x, memory_format='preserve_format'",
        "torch.clone": "x:input, memory_format='preserve_format'",
    }

    def template(self, a: SimpleNamespace) -> str:
        return f"{{x}}.clone(memory_format=torch.{a.memory_format})"


class RequiresGrad(_Same):
    """x itself, which from here on requires gradients: what `torch.autograd.grad` in a forward differentiates by."""

    name = "requires_grad"
    code = "{x}.requires_grad_()"
    calls: ClassVar[dict[str, str]] = {}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if is_integer(a.x.dtype):
            raise ShapeError(f"only floating point and complex numbers can require gradients, not {a.x.dtype}; convert x first")
        return super().infer(a)


class Detach(_Same):
    """x, through which no gradient flows."""

    name = "detach"
    zero_terms = ("x",)
    code = "{x}.detach()"
    view = True
    calls = {"Tensor.detach": "x", "torch.detach": "x:input", "Tensor.data": "x"}
