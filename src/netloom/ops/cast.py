"""Conversions of dtype."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from .dims import Dims, elementwise
from .layout import FORMATS
from .operator import DType, Operator, TensorType, attr, dtype_attr, optional, tensor

_METHODS = {
    "float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16", "long": "int64", "int": "int32",
    "short": "int16", "char": "int8", "byte": "uint8", "bool": "bool", "cfloat": "complex64", "cdouble": "complex128",
    "chalf": "complex32",
}  # fmt: skip


class To(Operator):
    """x as another dtype, perhaps in another memory format.

    >>> import netloom as nl
    >>> nl.to(nl.input(3), "float64").dtype
    'float64'
    """

    name = "to"
    params = (tensor("x"), attr("dtype", dtype_attr), attr("memory_format", optional(FORMATS), None))
    code = "{x}.to({dtype})"
    calls = {
        "Tensor.to": "x, *rest, dtype=None, memory_format=None, copy=None, other=None",
        "Tensor.type": "x, dtype=None",
        "Tensor.type_as": "x, other",
        **{f"Tensor.{method}": f"x, memory_format=None, dtype='{dtype}'" for method, dtype in _METHODS.items()},
    }

    def template(self, a: SimpleNamespace) -> str:
        return "{x}.to({dtype})" if a.memory_format is None else f"{{x}}.to({{dtype}}, memory_format=torch.{a.memory_format})"

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        dtype = call.get("dtype")
        for given in (*call.get("rest", ()), call.get("other")):
            if isinstance(given, DType):
                dtype = given
            elif not isinstance(given, bool | str) and given is not None:
                dtype = DType(type_of(given).dtype)
        if isinstance(dtype, str):
            dtype = DType(dtype.removeprefix("torch."))
        return {"x": call["x"], "dtype": dtype or DType(type_of(call["x"]).dtype), "memory_format": call.get("memory_format")}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.dtype.name, a.x.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return elementwise({"x": a.x.shape}, outputs[0].shape)
