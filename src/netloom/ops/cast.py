"""Conversions of dtype."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from .arguments import DType, attr, dtype_attr, optional, tensor
from .dims import Dims, elementwise
from .layout import FORMATS, check_format
from .operator import Operator, TensorType

_METHODS = {
    "float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16", "long": "int64", "int": "int32",
    "short": "int16", "char": "int8", "byte": "uint8", "bool": "bool", "cfloat": "complex64", "cdouble": "complex128",
    "chalf": "complex32",
}  # fmt: skip
_OLD_TYPES = {
    "FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16", "BFloat16Tensor": "bfloat16",
    "LongTensor": "int64", "IntTensor": "int32", "ShortTensor": "int16", "CharTensor": "int8", "ByteTensor": "uint8",
    "BoolTensor": "bool",
}  # fmt: skip


class To(Operator):
    """x as another dtype, perhaps in another memory format.

    >>> import netloom as nl
    >>> nl.to(nl.input(3), "float64").dtype
    'float64'
    """

    name = "to"
    zero_terms = ("x",)
    params = (tensor("x"), attr("dtype", optional(dtype_attr), None), attr("memory_format", optional(FORMATS), None))
    code = "{x}.to({dtype})"
    calls = {
        "Tensor.to": "x, first:dtype=None, second=None, third=None, fourth=None, other=None, copy=False, memory_format=None",
        "Tensor.type": "x, first:dtype",
        "Tensor.type_as": "x, other",
        **{f"Tensor.{method}": f"x, memory_format=None, first='{dtype}'" for method, dtype in _METHODS.items()},
    }

    def template(self, a: SimpleNamespace) -> str:
        return self.code if a.memory_format is None else f"{{x}}.to({{dtype}}, memory_format=torch.{a.memory_format})"

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        dtype = None
        for name in ("first", "second", "third", "fourth", "other"):
            dtype = dtype or _dtype_of(call.get(name), type_of)
        if call.get("copy") and (dtype is None or dtype.name == type_of(call["x"]).dtype):
            return None
        return {"x": call["x"], "dtype": dtype, "memory_format": call.get("memory_format")}

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        plain = a.memory_format in (None, "preserve_format")
        return {"dtype": a.dtype or DType(a.x.dtype), "memory_format": None if plain else a.memory_format}

    def infer(self, a: SimpleNamespace) -> TensorType:
        check_format(a.memory_format, a.x.shape)
        return TensorType(a.dtype.name, a.x.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return elementwise({"x": a.x.shape}, outputs[0].shape)


def _dtype_of(value: Any, type_of: Callable[[Any], TensorType]) -> DType | None:
    """The dtype that an argument of ``Tensor.to`` names: a dtype, its name, or a tensor that has it; None for a device."""
    if isinstance(value, DType):
        return value
    if isinstance(value, str):
        name = value.removeprefix("torch.")
        name = _OLD_TYPES.get(name, name)
        return DType(name) if name in _METHODS.values() else None
    kind = None if value is None or isinstance(value, bool) else type_of(value)
    return DType(kind.dtype) if kind is not None else None
