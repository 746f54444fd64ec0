"""Operators about a network's state: constants by value, what differs between training and evaluation, writes to buffers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .dims import Dims, names
from .operator import MODULE, Operator, TensorType, attr, dtype_attr, flag, ints, tensor, weight


class Constant(Operator):
    """A tensor by value, such as an index table written in the model's code; its value lies in the tensor table."""

    name = "constant"
    params = (weight("value"), attr("dtype", dtype_attr), attr("shape", ints(low=0)))
    code = "{value}"

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        return {"value": TensorType(a.dtype.name, a.shape)}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.dtype.name, a.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes = names("c", len(a.shape))
        return Dims({"value": axes}, (axes,), attrs={"shape": axes}, fixed=frozenset(axes))

    def buffers(self) -> frozenset[str]:
        return frozenset({"value"})


class ByMode(Operator):
    """``train`` where the owning module's training flag is set, ``eval`` elsewhere."""

    name = "by_mode"
    params = (tensor("train"), tensor("eval"), attr("training", flag, MODULE))
    code = "{train} if {training} else {eval}"

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.train != a.eval:
            raise ShapeError(f"both modes must give one type, not {a.train} and {a.eval}")
        return a.train  # type: ignore[no-any-return]

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes = names("d", outputs[0].rank)
        return Dims({"train": axes, "eval": axes}, (axes,))


class Assign(Operator):
    """Writes ``value`` into a buffer of the network; the result is what was written."""

    name = "assign"
    params = (weight("target"), tensor("value"), attr("dtype", dtype_attr), attr("shape", ints(low=0)))
    code = "{target}.copy_({value})"
    effect = "write"

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        return {"target": TensorType(a.dtype.name, a.shape)}

    def buffers(self) -> frozenset[str]:
        return frozenset({"target"})

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.value != a.target:
            raise ShapeError(f"the value {a.value} does not fit the buffer {a.target}; reshape or cast it first")
        return a.target  # type: ignore[no-any-return]

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes = names("d", outputs[0].rank)
        return Dims({"target": axes, "value": axes}, (axes,), attrs={"shape": axes})
