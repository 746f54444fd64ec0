"""From numbers to classes: one-hot rows, places in sorted lists, histograms."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import attr, boolean, integer, number, operand, tensor
from .dims import Dims, couple, names
from .dtypes import is_complex, is_float, promote
from .operator import Operator, TensorType, pretty


class OneHot(Operator):
    """Indices (…) → (…, num_classes) of int64, 1 at the index and 0 elsewhere."""

    name = "one_hot"
    params = (tensor("x"), attr("num_classes", integer(1)))
    code = "F.one_hot({x}, {num_classes})"
    calls = {"F.one_hot": "x:tensor, num_classes=-1"}

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return None if call["num_classes"] == -1 else call

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.dtype != "int64":
            raise ShapeError(f"indices must be int64, not {a.x.dtype}; convert them with to(dtype=int64)")
        return TensorType("int64", (*a.x.shape, a.num_classes))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        # Which classes there are, the numbers in x say.
        return Dims({"x": rows}, ((*rows, "c"),), attrs={"num_classes": "c"}, fixed=frozenset({"c"}))


def _index_dtype(a: SimpleNamespace) -> str:
    return "int32" if a.out_int32 else "int64"


class SearchSorted(Operator):
    """Where each of ``values`` (a tensor or a number) goes in the sorted last axis of ``x``."""

    name = "searchsorted"
    params = (
        tensor("x"), operand("values"), attr("out_int32", boolean, False), attr("right", boolean, False),
        tensor("sorter", None),
    )  # fmt: skip
    code = "torch.searchsorted({x}, {values}, out_int32={out_int32}, right={right}, sorter={sorter})"
    calls = {
        "torch.searchsorted": "x:sorted_sequence, values:input, out_int32=False, right=False, side=None, sorter=None",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        side = call.pop("side")
        return call if side is None else call | {"right": side == "right"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.rank == 0:
            raise ShapeError("the sorted sequence needs at least one axis")
        if a.sorter is not None and (a.sorter.shape != a.x.shape or a.sorter.dtype != "int64"):
            raise ShapeError(f"sorter {a.sorter} must be int64 of the shape {pretty(a.x.shape)}")
        if not isinstance(a.values, TensorType):
            if a.x.rank != 1:
                raise ShapeError(f"a number is looked up in a vector, not in {pretty(a.x.shape)}")
            return TensorType(_index_dtype(a), ())
        if a.x.rank > 1 and a.x.shape[:-1] != a.values.shape[:-1]:
            raise ShapeError(f"{pretty(a.x.shape)} and {pretty(a.values.shape)} must agree on every axis but the last")
        promote(a.x, a.values)  # (refuses what torch does not compare)
        return TensorType(_index_dtype(a), a.values.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        lead = names("n", a.x.rank - 1)
        operands: dict[str, Any] = {"x": (*lead, "s")}
        if a.sorter is not None:
            operands["sorter"] = operands["x"]
        out: tuple[str, ...] = ()
        if isinstance(a.values, TensorType):
            out = names("v", a.values.rank) if a.x.rank == 1 else (*lead, "v")
            operands["values"] = out
        return Dims(operands, (out,), fixed=frozenset({"s"}))


class Bucketize(Operator):
    """The bucket of each element of x between sorted ``boundaries`` (a vector)."""

    name = "bucketize"
    params = (tensor("x"), tensor("boundaries"), attr("out_int32", boolean, False), attr("right", boolean, False))
    code = "torch.bucketize({x}, {boundaries}, out_int32={out_int32}, right={right})"
    calls = {"torch.bucketize": "x:input, boundaries, out_int32=False, right=False"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.boundaries.rank != 1:
            raise ShapeError(f"boundaries {pretty(a.boundaries.shape)} must be a vector")
        promote(a.x, a.boundaries)
        return TensorType(_index_dtype(a), a.x.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        return Dims({"x": rows, "boundaries": ("b",)}, (rows,), fixed=frozenset({"b"}))


class Histc(Operator):
    """Numbers of elements in ``bins`` equal intervals from ``min`` to ``max`` (the range of x where both are 0)."""

    name = "histc"
    params = (tensor("x"), attr("bins", integer(1), 100), attr("min", number(), 0), attr("max", number(), 0))
    code = "torch.histc({x}, {bins}, {min}, {max})"
    calls = {
        "torch.histc": "x:input, bins=100, min=0, max=0",
        "Tensor.histc": "x, bins=100, min=0, max=0",
    }

    def infer(self, a: SimpleNamespace) -> TensorType:
        if is_complex(a.x.dtype) or not is_float(a.x.dtype):
            raise ShapeError(f"histc takes floating point numbers, not {a.x.dtype}; convert x first")
        if a.min > a.max:
            raise ShapeError(f"min = {a.min} must not exceed max = {a.max}")
        return TensorType(a.x.dtype, (a.bins,))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        return couple(Dims({"x": rows}, (("b",),), attrs={"bins": "b"}), ("b", *rows), "other")
