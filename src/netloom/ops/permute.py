"""Axes in another order, axes of size 1 put in and taken out."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import attr, integer, ints, optional, tensor
from .dims import Dims, names
from .operator import Operator, TensorType, axes, pretty
from .view import dropped, inserted_axis, plain_sizes


class Permute(Operator):
    """Axis ``dims[i]`` of x as axis i: (N, C, H, W) → (N, H, W, C) with dims (0, 2, 3, 1)."""

    name = "permute"
    zero_terms = ("x",)
    precedence = 1
    params = (tensor("x"), attr("dims", ints(), axis_of="x"))
    code = "torch.permute({x}, {dims})"
    view = True
    calls = {
        "torch.permute": "x:input, dims",
        "Tensor.permute": "x, *dims",
        "torch.movedim": "x:input, source, destination",
        "Tensor.movedim": "x, source, destination",
        "torch.moveaxis": "x:input, source, destination",
        "Tensor.moveaxis": "x, source, destination",
        "Tensor.T": "x, reversed=True",
        "torch.t": "x:input, reversed=True",
        "Tensor.t": "x, reversed=True",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        x, rank = call["x"], type_of(call["x"]).rank
        if "reversed" in call:
            return {"x": x, "dims": tuple(reversed(range(rank)))} if rank != 2 else None
        if "source" in call:
            source, target = plain_sizes(call["source"]), plain_sizes(call["destination"])
            if source is None or target is None or len(source) != len(target):
                return None
            return {"x": x, "dims": _moved(axes(source, rank), axes(target, rank), rank)}
        dims = plain_sizes(call["dims"])
        return None if dims is None else {"x": x, "dims": dims}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if len(a.dims) != a.x.rank:
            raise ShapeError(f"dims {a.dims} must name each of the {a.x.rank} axes of {pretty(a.x.shape)} once")
        return TensorType(a.x.dtype, tuple(a.x.shape[i] for i in a.dims))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        return Dims({"x": rows}, (tuple(rows[i] for i in a.dims),))


class Adjoint(Operator):
    """The last two axes swapped, and complex numbers conjugated; real ones are a `Transpose`."""

    name = "adjoint"
    zero_terms = ("x",)
    precedence = 1
    params = (tensor("x"),)
    code = "torch.adjoint({x})"
    view = True
    calls = {"torch.adjoint": "x:input", "Tensor.adjoint": "x", "Tensor.mH": "x", "Tensor.H": "x"}

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        own = type_of(call["x"])
        return call if own.dtype.startswith("complex") or own.rank < 2 else None

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.rank == 1:
            raise ShapeError(f"{pretty(a.x.shape)} is no matrix; it needs at least two axes")
        return TensorType(a.x.dtype, self._swapped(a.x.shape))

    def _swapped(self, rows: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*rows[:-2], rows[-1], rows[-2]) if rows else ()

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        return Dims({"x": rows}, (self._swapped(rows),))


def _moved(source: tuple[int, ...], target: tuple[int, ...], rank: int) -> tuple[int, ...]:
    placed = dict(zip(target, source))
    rest = iter(i for i in range(rank) if i not in source)
    return tuple(placed[i] if i in placed else next(rest) for i in range(rank))


class Transpose(Operator):
    """Two axes of x swapped."""

    name = "transpose"
    zero_terms = ("x",)
    params = (tensor("x"), attr("dim0", integer(), axis_of="x"), attr("dim1", integer(), axis_of="x"))
    code = "torch.transpose({x}, {dim0}, {dim1})"
    view = True
    calls = {
        "torch.transpose": "x:input, dim0, dim1",
        "Tensor.transpose": "x, dim0, dim1",
        "torch.swapaxes": "x:input, dim0:axis0, dim1:axis1",
        "Tensor.swapaxes": "x, dim0:axis0, dim1:axis1",
        "torch.swapdims": "x:input, dim0, dim1",
        "Tensor.swapdims": "x, dim0, dim1",
        "torch.t": "x:input, matrix=True",
        "Tensor.t": "x, matrix=True",
        "Tensor.T": "x, matrix=True",
        "Tensor.mT": "x, dim0=-2, dim1=-1",
        "Tensor.mH": "x, dim0=-2, dim1=-1, conjugate=True",
        "Tensor.H": "x, dim0=-2, dim1=-1, conjugate=True",
        "torch.adjoint": "x:input, dim0=-2, dim1=-1, conjugate=True",
        "Tensor.adjoint": "x, dim0=-2, dim1=-1, conjugate=True",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        own = type_of(call["x"])
        if call.pop("matrix", False):
            return call | {"dim0": 0, "dim1": 1} if own.rank == 2 else None
        if call.pop("conjugate", False) and own.dtype.startswith("complex"):
            return None
        return call

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"dim0": min(a.dim0, a.dim1), "dim1": max(a.dim0, a.dim1)}

    def _swapped(self, a: SimpleNamespace, rows: tuple[Any, ...]) -> tuple[Any, ...]:
        if not rows:
            return rows
        order = list(rows)
        order[a.dim0], order[a.dim1] = order[a.dim1], order[a.dim0]
        return tuple(order)

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.x.dtype, self._swapped(a, a.x.shape))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        return Dims({"x": rows}, (self._swapped(a, rows),))


class Squeeze(Operator):
    """x without those of its axes ``dim`` that have size 1; without ``dim``, without any axis of size 1.

    The normal form lists the axes that go.
    """

    name = "squeeze"
    zero_terms = ("x",)
    params = (tensor("x"), attr("dim", optional(ints()), None, axis_of="x"))
    code = "torch.squeeze({x}, {dim})"
    view = True
    calls = {"torch.squeeze": "x:input, dim=None", "Tensor.squeeze": "x, dim=None"}

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        asked = range(a.x.rank) if a.dim is None else a.dim
        return {"dim": tuple(sorted(i for i in asked if i < a.x.rank and a.x.shape[i] == 1))}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.x.dtype, dropped(a.x.shape, a.dim))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        return Dims({"x": rows}, (dropped(rows, a.dim),), fixed=frozenset(rows[i] for i in a.dim))


class Unsqueeze(Operator):
    """x with a new axis of size 1 at ``dim``."""

    name = "unsqueeze"
    zero_terms = ("x",)
    params = (tensor("x"), attr("dim", integer()))
    code = "torch.unsqueeze({x}, {dim})"
    view = True
    calls = {"torch.unsqueeze": "x:input, dim", "Tensor.unsqueeze": "x, dim"}

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"dim": inserted_axis(a.dim, a.x.rank)}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.x.dtype, (*a.x.shape[: a.dim], 1, *a.x.shape[a.dim :]))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        return Dims({"x": rows}, ((*rows[: a.dim], "one", *rows[a.dim :]),), fixed=frozenset({"one"}))
