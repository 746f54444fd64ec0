"""Elementwise functions of one tensor, the gates, and softmax."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .dims import Dims, elementwise
from .operator import Operator, TensorType, attr, number, tensor


class Unary(Operator):
    """Base of elementwise functions that keep shape and dtype."""

    params = (tensor("x"),)

    def infer(self, a: SimpleNamespace) -> TensorType:
        return a.x

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return elementwise({"x": a.x.shape}, outputs[0].shape)


class Relu(Unary):
    """max(x, 0)."""

    name = "relu"
    code = "F.relu({x})"
    calls = {"torch.nn.functional.relu": "x:input, inplace=False", "torch.relu": "x:input", "Tensor.relu": "x"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.dtype == "bool" or a.x.dtype.startswith("complex"):
            raise ShapeError(f"relu does not take {a.x.dtype}; convert to float first")
        return a.x
