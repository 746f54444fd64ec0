"""Operators without operands: where values come from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import MODULE, attr, dtype_attr, flag, ints, tensor, weight
from .dims import Dims, elementwise, names
from .operator import Operator, TensorType, broadcast, pretty


class Input(Operator):
    """A tensor the caller gives."""

    name = "input"
    params = (attr("dtype", dtype_attr), attr("shape", ints(low=0)))

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.dtype.name, a.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes = names("i", len(a.shape))
        return Dims({}, (axes,), attrs={"shape": axes}, fixed=frozenset(axes))


class Parameter(Operator):
    """A parameter or buffer used outside the call that owns it: a position table, a layer scale, a shared matrix."""

    name = "parameter"
    zero_terms = ("value",)
    params = (weight("value"), attr("dtype", dtype_attr), attr("shape", ints(low=0)))
    code = "{value}"

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        return {"value": TensorType(a.dtype.name, a.shape)}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.dtype.name, a.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes = names("p", a.value.rank)
        return Dims({"value": axes}, (axes,), attrs={"shape": axes})

    def init(self, role: str, a: SimpleNamespace) -> tuple[Any, ...]:
        return ("normal", 0.0, 0.02)


class Constant(Operator):
    """A tensor by value: an index table, a mask, a number written in the model's code. It is a buffer of the network."""

    name = "constant"
    params = (weight("value"), attr("dtype", dtype_attr), attr("shape", ints(low=0)))
    code = "{value}"

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        return {"value": TensorType(a.dtype.name, a.shape)}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.dtype.name, a.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes = names("c", a.value.rank)
        return Dims({"value": axes}, (axes,), attrs={"shape": axes}, fixed=frozenset(axes))

    def buffers(self) -> frozenset[str]:
        return frozenset({"value"})


class ByMode(Operator):
    """``train`` while the owning module trains, else ``eval``: where a model computes differently in the two modes."""

    name = "by_mode"
    zero_terms = ("train", "eval")
    params = (tensor("train"), tensor("eval"), attr("training", flag, MODULE))
    code = "({train} if {training} else {eval})"
    view = True

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.train != a.eval:
            raise ShapeError(f"{a.train} in training and {a.eval} in evaluation must have one dtype and shape")
        return a.train

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes = names("d", a.train.rank)
        return Dims({"train": axes, "eval": axes}, (axes,))


class Assign(Operator):
    """A new value written into a buffer: running statistics, counters, caches."""

    name = "assign"
    params = (weight("target"), tensor("value"), attr("dtype", dtype_attr), attr("shape", ints(low=0)))
    code = "{target}.copy_({value})"
    effect = "write"

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        return {"target": TensorType(a.dtype.name, a.shape)}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if broadcast(a.value.shape, a.shape) != a.shape:
            raise ShapeError(f"a value {pretty(a.value.shape)} does not broadcast to the buffer {pretty(a.shape)}")
        return TensorType(a.dtype.name, a.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        tied = elementwise({"target": a.shape, "value": a.value.shape}, a.shape)
        return Dims(tied.operands, tied.outputs, attrs={"shape": tied.outputs[0]}, fixed=tied.fixed)

    def buffers(self) -> frozenset[str]:
        return frozenset({"target"})
