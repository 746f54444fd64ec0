"""Extremes with their places: max, min, argmax, argmin, median, mode, k-th values, top-k, sorting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar

from ..errors import ShapeError
from .arguments import Param, attr, boolean, integer, optional, tensor
from .dims import Dims, names
from .dtypes import is_complex
from .operator import Operator, TensorType, pretty
from .reduce import both, reduced, reduction_dims
from .view import replaced


def check_ordered(x: TensorType, name: str, dim: int | None = None) -> None:
    """Refuse complex numbers and, where an extreme is looked for, an empty axis."""
    if is_complex(x.dtype):
        raise ShapeError(f"{name} needs an order, which {x.dtype} has not; use abs first")
    if dim is None and x.numel == 0 or dim is not None and x.rank and x.shape[dim] == 0:
        raise ShapeError(f"{name} over an empty axis of {pretty(x.shape)} has no result")


class Whole(Operator):
    """Base of extremes of all elements."""

    params = (tensor("x"),)

    def infer(self, a: SimpleNamespace) -> TensorType:
        check_ordered(a.x, self.name)
        return TensorType(a.x.dtype, ())

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return reduction_dims(a.x.rank, None, False, kind="average")


class Max(Whole):
    """The largest of all elements."""

    name = "max"
    precedence = 2
    code = "torch.max({x})"
    calls = {"torch.max": "x:input", "Tensor.max": "x"}


class Min(Whole):
    """The smallest of all elements."""

    name = "min"
    precedence = 2
    code = "torch.min({x})"
    calls = {"torch.min": "x:input", "Tensor.min": "x"}


class Median(Whole):
    """The lower median of all elements."""

    name = "median"
    precedence = 1
    code = "torch.median({x})"
    calls = {"torch.median": "x:input", "Tensor.median": "x"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if is_complex(a.x.dtype):
            raise ShapeError(f"median needs an order, which {a.x.dtype} has not; use abs first")
        return TensorType(a.x.dtype, ())


def _numbered(tied: Dims, output: int) -> Dims:
    """Dims of a reduction of which an output holds indices of the reduced axes."""
    return replace(tied, numbered=dict.fromkeys(tied.coupled, output))


class Along(Operator):
    """Base of extremes along ``dim``: values and their indices."""

    params: ClassVar[tuple[Param, ...]] = (tensor("x"), attr("dim", integer(), axis_of="x"), attr("keepdim", boolean, False))

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return call if isinstance(call["dim"], int) and not isinstance(call["dim"], bool) else None

    def infer(self, a: SimpleNamespace) -> tuple[TensorType, ...]:
        check_ordered(a.x, self.name, a.dim)
        shape = reduced(a.x.shape, (a.dim,), a.keepdim)
        return TensorType(a.x.dtype, shape), TensorType("int64", shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return _numbered(reduction_dims(a.x.rank, (a.dim,), a.keepdim, 2, "other"), 1)


class MaxAlong(Along):
    """The largest elements along ``dim``, and their indices."""

    name = "max_along"
    precedence = 1
    code = "torch.max({x}, {dim}, {keepdim})"
    calls = both("max", "dim, keepdim=False")


class MinAlong(Along):
    """The smallest elements along ``dim``, and their indices."""

    name = "min_along"
    precedence = 1
    code = "torch.min({x}, {dim}, {keepdim})"
    calls = both("min", "dim, keepdim=False")


class MedianAlong(Along):
    """The lower medians along ``dim``, and their indices."""

    name = "median_along"
    code = "torch.median({x}, {dim}, {keepdim})"
    calls = both("median", "dim, keepdim=False")


class Mode(Along):
    """The most frequent elements along ``dim``, and indices of theirs."""

    name = "mode"
    params = (tensor("x"), attr("dim", integer(), -1, axis_of="x"), attr("keepdim", boolean, False))
    code = "torch.mode({x}, {dim}, {keepdim})"
    calls = both("mode", "dim=-1, keepdim=False")


class KthValue(Along):
    """The ``k``-th smallest elements along ``dim``, and their indices."""

    name = "kthvalue"
    params = (tensor("x"), attr("k", integer(1)), attr("dim", integer(), -1, axis_of="x"), attr("keepdim", boolean, False))
    code = "torch.kthvalue({x}, {k}, {dim}, {keepdim})"
    calls = both("kthvalue", "k, dim=-1, keepdim=False")

    def infer(self, a: SimpleNamespace) -> tuple[TensorType, ...]:
        check_ordered(a.x, self.name, a.dim)
        size = a.x.shape[a.dim] if a.x.rank else 1
        if a.k > size:
            raise ShapeError(f"k = {a.k} exceeds axis {a.dim} of {pretty(a.x.shape)}; use one in [1, {size}]")
        return super().infer(a)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        tied = super().dims(a, outputs)
        return replace(tied, fixed=tied.fixed | ({f"d{a.dim}"} if a.x.rank else set()))


class Aminmax(Operator):
    """Smallest and largest elements along ``dim``, or of all."""

    name = "aminmax"
    zero_terms = ("x",)
    params = (tensor("x"), attr("dim", optional(integer()), None, axis_of="x"), attr("keepdim", boolean, False))
    code = "torch.aminmax({x}, dim={dim}, keepdim={keepdim})"
    calls = both("aminmax", "dim=None, keepdim=False")

    def infer(self, a: SimpleNamespace) -> tuple[TensorType, ...]:
        check_ordered(a.x, self.name, a.dim)
        found = TensorType(a.x.dtype, reduced(a.x.shape, None if a.dim is None else (a.dim,), a.keepdim))
        return found, found

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return reduction_dims(a.x.rank, None if a.dim is None else (a.dim,), a.keepdim, 2, "average")


class Argmax(Operator):
    """Index of the largest element along ``dim``, or of all in row-major order."""

    name = "argmax"
    params = (tensor("x"), attr("dim", optional(integer()), None, axis_of="x"), attr("keepdim", boolean, False))
    code = "torch.argmax({x}, {dim}, {keepdim})"
    calls = both("argmax", "dim=None, keepdim=False")

    def infer(self, a: SimpleNamespace) -> TensorType:
        check_ordered(a.x, self.name, a.dim)
        if a.x.dtype == "bool":
            raise ShapeError(f"{self.name} does not take bool; convert to another dtype first")
        return TensorType("int64", reduced(a.x.shape, None if a.dim is None else (a.dim,), a.keepdim))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return _numbered(reduction_dims(a.x.rank, None if a.dim is None else (a.dim,), a.keepdim, kind="other"), 0)


class Argmin(Argmax):
    """Index of the smallest element along ``dim``, or of all in row-major order."""

    name = "argmin"
    code = "torch.argmin({x}, {dim}, {keepdim})"
    calls = both("argmin", "dim=None, keepdim=False")


class TopK(Operator):
    """The ``k`` largest (or smallest) elements along ``dim``, and their indices."""

    name = "topk"
    params = (
        tensor("x"), attr("k", integer(0)), attr("dim", integer(), -1, axis_of="x"),
        attr("largest", boolean, True), attr("sorted", boolean, True),
    )  # fmt: skip
    code = "torch.topk({x}, {k}, {dim}, {largest}, {sorted})"
    calls = both("topk", "k, dim=-1, largest=True, sorted=True")

    def infer(self, a: SimpleNamespace) -> tuple[TensorType, ...]:
        if is_complex(a.x.dtype) or a.x.dtype == "bool":
            raise ShapeError(f"topk needs an order, which {a.x.dtype} has not; convert x first")
        size = a.x.shape[a.dim] if a.x.rank else 1
        if a.k > size:
            raise ShapeError(f"k = {a.k} exceeds axis {a.dim} of {pretty(a.x.shape)}; use k ≤ {size}")
        shape = replaced(a.x.shape, a.dim, a.k) if a.x.rank else ()
        return TensorType(a.x.dtype, shape), TensorType("int64", shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        if not rows:
            return Dims({"x": ()}, ((), ()))
        out = replaced(rows, a.dim, "k")
        return Dims({"x": rows}, (out, out), attrs={"k": "k"}, fixed=frozenset({rows[a.dim], "k"}))


class Sorting(Operator):
    """Base of `Sort` and `Argsort`."""

    params = (
        tensor("x"), attr("dim", integer(), -1, axis_of="x"), attr("descending", boolean, False),
        attr("stable", boolean, False),
    )  # fmt: skip

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return call | {"stable": bool(call["stable"])}

    def _sorted(self, a: SimpleNamespace) -> tuple[TensorType, TensorType]:
        if is_complex(a.x.dtype):
            raise ShapeError(f"sorting needs an order, which {a.x.dtype} has not; use abs first")
        return a.x, TensorType("int64", a.x.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        return Dims({"x": rows}, (rows,) * len(outputs), fixed=frozenset(rows[a.dim : a.dim + 1]))


class Sort(Sorting):
    """The elements in order along ``dim``, and their indices."""

    name = "sort"
    code = "torch.sort({x}, dim={dim}, descending={descending}, stable={stable})"
    calls = both("sort", "dim=-1, descending=False, stable=None")

    def infer(self, a: SimpleNamespace) -> tuple[TensorType, ...]:
        return self._sorted(a)


class Argsort(Sorting):
    """The indices that put the elements in order along ``dim``."""

    name = "argsort"
    code = "torch.argsort({x}, dim={dim}, descending={descending}, stable={stable})"
    calls = both("argsort", "dim=-1, descending=False, stable=None")

    def infer(self, a: SimpleNamespace) -> TensorType:
        return self._sorted(a)[1]
