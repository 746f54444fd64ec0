"""Operators without operands: where values come from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from .operator import Operator, TensorType, attr, dtype_attr, ints, weight


class Input(Operator):
    """A tensor the caller gives."""

    name = "input"
    params = (attr("dtype", dtype_attr), attr("shape", ints(low=0)))

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.dtype.name, a.shape)


class Parameter(Operator):
    """A parameter or buffer used outside the call that owns it: a position table, a layer scale, a shared matrix."""

    name = "parameter"
    params = (weight("value"), attr("dtype", dtype_attr), attr("shape", ints(low=0)))
    code = "{value}"

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        return {"value": TensorType(a.dtype.name, a.shape)}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.dtype.name, a.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Any:
        from .dims import Dims, names

        axes = names("p", a.value.rank)
        return Dims({"value": axes}, (axes,), attrs={"shape": axes})

    def init(self, role: str, a: SimpleNamespace) -> tuple[Any, ...]:
        return ("normal", 0.0, 0.02)
