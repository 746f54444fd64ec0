"""Choosing between values by a condition, a mask or bounds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import operand, tensor
from .dims import Dims, elementwise
from .dtypes import is_complex, number_dtype, promote
from .operator import Operator, TensorType, broadcast
from .pointwise import Broadcasting, kind_of, require_fit, require_kind, tensor_shapes


class Where(Broadcasting):
    """x where the condition (bool) holds, else y.

    >>> import netloom as nl
    >>> x = nl.input(8)
    >>> nl.where(nl.gt(x, 0), x, 0.0).shape
    (Size('N'), 8)
    """

    name = "where"
    zero_terms = ("x", "y")
    params = (tensor("condition"), operand("x"), operand("y"))
    code = "torch.where({condition}, {x}, {y})"
    calls = {"torch.where": "condition, x:input, y:other", "Tensor.where": "x, condition, y:other"}

    def result_dtype(self, a: SimpleNamespace) -> str:
        if a.condition.dtype not in ("bool", "uint8"):
            raise ShapeError(f"the condition is {a.condition.dtype} where bool is expected; compare it with something")
        return promote(a.x, a.y)


class Clamp(Broadcasting):
    """x kept between min and max: numbers or tensors, one of them at least."""

    name = "clamp"
    params = (tensor("x"), operand("min", None), operand("max", None))
    takes = "bif"
    calls = {
        **dict.fromkeys(("torch.clamp", "torch.clip"), "x:input, min=None, max=None"),
        **dict.fromkeys(("Tensor.clamp", "Tensor.clip"), "x, min=None, max=None"),
        "torch.clamp_min": "x:input, min",
        "Tensor.clamp_min": "x, min",
        "torch.clamp_max": "x:input, max",
        "Tensor.clamp_max": "x, max",
    }

    def template(self, a: SimpleNamespace) -> str:
        bounds = [f"{bound}={{{bound}}}" for bound in ("min", "max") if getattr(a, bound) is not None]
        return f"torch.clamp({{x}}, {', '.join(bounds)})"

    def result_dtype(self, a: SimpleNamespace) -> str:
        bounds = [bound for bound in (a.min, a.max) if bound is not None]
        if not bounds:
            raise ShapeError("give min, max or both; without bounds there is nothing to clamp to")
        if len({isinstance(bound, TensorType) for bound in bounds}) > 1:
            raise ShapeError("one bound is a number and the other a tensor; make both of one kind")
        dtype = promote(a.x, *bounds)
        if dtype == "bool":
            raise ShapeError("x cannot be bool; convert it to another dtype first")
        return dtype

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        low, high = 0 if a.min is None else a.min, 0 if a.max is None else a.max
        if isinstance(low, TensorType) or isinstance(high, TensorType):
            return ("x", "min", "max")
        return ("x",) if low <= 0 <= high else ()


class MaskedFill(Operator):
    """``value`` (a number or a tensor without axes) where the mask (bool) holds, else x."""

    name = "masked_fill"
    zero_terms = ("x", "value")
    params = (tensor("x"), tensor("mask"), operand("value"))
    code = "torch.masked_fill({x}, {mask}, {value})"
    calls = {"torch.masked_fill": "x:input, mask, value", "Tensor.masked_fill": "x, mask, value"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        require_kind(a.mask.dtype, "b", "the mask")
        if isinstance(a.value, TensorType):
            if a.value.rank:
                raise ShapeError(f"value is {a.value} where a number or a tensor without axes is expected; use where instead")
            complex_value = is_complex(a.value.dtype)
        else:
            require_fit(a.value, a.x.dtype, "value")
            complex_value = is_complex(number_dtype(a.value))
        if complex_value and kind_of(a.x.dtype) not in ("complex", "bool"):
            raise ShapeError(f"a complex value does not fit {a.x.dtype}; convert x first")
        return TensorType(a.x.dtype, broadcast(a.x.shape, a.mask.shape))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        values: dict[str, Any] = {"x": a.x, "mask": a.mask, "value": a.value}
        return elementwise(tensor_shapes(values), outputs[0].shape)
