"""Diagonals and triangles of matrices."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import DType, attr, dtype_attr, integer, tensor
from .dims import Dims, names
from .operator import REGISTRY, Operator, TensorType, axes, pretty
from .view import dropped


def _length(rows: Any, columns: Any, offset: int) -> Any:
    """Number of elements on a diagonal of a matrix."""
    if offset > 0:
        columns = columns - offset
    else:
        rows = rows + offset
    least = rows if rows <= columns else columns
    return least if least >= 0 else 0


class Diagonal(Operator):
    """The diagonal of the matrices in axes ``dim1`` and ``dim2``, as the last axis of a view."""

    name = "diagonal"
    zero_terms = ("x",)
    params = (tensor("x"), attr("offset", integer(), 0), attr("dim1", integer(), 0), attr("dim2", integer(), 1))
    code = "torch.diagonal({x}, {offset}, {dim1}, {dim2})"
    view = True
    calls = {
        "torch.diagonal": "x:input, offset=0, dim1=0, dim2=1",
        "Tensor.diagonal": "x, offset=0, dim1=0, dim2=1",
        "torch.linalg.diagonal": "x:A, offset=0, dim1=-2, dim2=-1",
    }

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        dim1, dim2 = axes((a.dim1, a.dim2), a.x.rank, "dims")
        return {"dim1": dim1, "dim2": dim2}

    def infer(self, a: SimpleNamespace) -> TensorType:
        length = _length(a.x.shape[a.dim1], a.x.shape[a.dim2], a.offset)
        return TensorType(a.x.dtype, (*dropped(a.x.shape, (a.dim1, a.dim2)), length))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        fixed = frozenset({rows[a.dim1], rows[a.dim2], "length"})
        return Dims({"x": rows}, ((*dropped(rows, (a.dim1, a.dim2)), "length"),), fixed=fixed)


class Diag(Operator):
    """The diagonal of a matrix as a vector of its own, or a matrix with a vector on its diagonal."""

    name = "diag"
    zero_terms = ("x",)
    params = (tensor("x"), attr("diagonal", integer(), 0))
    code = "torch.diag({x}, {diagonal})"
    calls = {"torch.diag": "x:input, diagonal=0", "Tensor.diag": "x, diagonal=0"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.rank not in (1, 2):
            raise ShapeError(f"diag takes a vector or a matrix, not {pretty(a.x.shape)}; use diagonal or diag_embed")
        if a.x.rank == 1:
            size = a.x.shape[0] + abs(a.diagonal)
            return TensorType(a.x.dtype, (size, size))
        rows, columns = a.x.shape
        return TensorType(a.x.dtype, (_length(rows, columns, a.diagonal),))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        if a.x.rank == 1 and a.diagonal == 0:
            return Dims({"x": ("d",)}, (("d", "d"),))
        return _frozen(a, outputs)


class DiagonalScatter(Operator):
    """x with ``value`` on a diagonal: what a write through a `Diagonal` view leaves."""

    name = "diagonal_scatter"
    zero_terms = ("x", "value")
    params = (
        tensor("x"), tensor("value"), attr("offset", integer(), 0), attr("dim1", integer(), 0, "x"),
        attr("dim2", integer(), 1, "x"),
    )  # fmt: skip
    code = "torch.diagonal_scatter({x}, {value}, {offset}, {dim1}, {dim2})"
    calls = {
        "torch.diagonal_scatter": "x:input, value:src, offset=0, dim1=0, dim2=1",
        "Tensor.diagonal_scatter": "x, value:src, offset=0, dim1=0, dim2=1",
    }

    def infer(self, a: SimpleNamespace) -> TensorType:
        target: Any = REGISTRY["diagonal"].infer(SimpleNamespace(x=a.x, offset=a.offset, dim1=a.dim1, dim2=a.dim2))
        if a.value.shape != target.shape:
            raise ShapeError(f"the diagonal is {pretty(target.shape)}, the value {pretty(a.value.shape)}; they must agree")
        return a.x  # type: ignore[no-any-return]

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return super().dims(a, outputs)


class DiagEmbed(Operator):
    """Matrices in axes ``dim1``, ``dim2`` with the last axis of x on their diagonal."""

    name = "diag_embed"
    zero_terms = ("x",)
    params = (tensor("x"), attr("offset", integer(), 0), attr("dim1", integer(), -2), attr("dim2", integer(), -1))
    code = "torch.diag_embed({x}, {offset}, {dim1}, {dim2})"
    calls = {
        "torch.diag_embed": "x:input, offset=0, dim1=-2, dim2=-1",
        "Tensor.diag_embed": "x, offset=0, dim1=-2, dim2=-1",
    }

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        dim1, dim2 = axes((a.dim1, a.dim2), a.x.rank + 1, "dims")
        return {"dim1": dim1, "dim2": dim2}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if not a.x.shape:
            raise ShapeError("a tensor without axes has nothing to put on a diagonal")
        size = a.x.shape[-1] + abs(a.offset)
        return TensorType(a.x.dtype, self._with_matrix(a, a.x.shape[:-1], size, size))

    def _with_matrix(self, a: SimpleNamespace, lead: tuple[Any, ...], first: Any, second: Any) -> tuple[Any, ...]:
        rest = iter(lead)
        return tuple(first if i == a.dim1 else second if i == a.dim2 else next(rest) for i in range(len(lead) + 2))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        fixed = frozenset({rows[-1], "row", "column"})
        return Dims({"x": rows}, (self._with_matrix(a, rows[:-1], "row", "column"),), fixed=fixed)


class Triangle(Operator):
    """Base of `Tril` and `Triu`."""

    params = (tensor("x"), attr("diagonal", integer(), 0))

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.rank < 2:
            raise ShapeError(f"{pretty(a.x.shape)} is no matrix; it needs at least two axes")
        return a.x

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        return Dims({"x": rows}, (rows,), fixed=frozenset(rows[-2:]))


class Tril(Triangle):
    """The lower triangle up to ``diagonal``, zeros above."""

    name = "tril"
    zero_terms = ("x",)
    code = "torch.tril({x}, {diagonal})"
    calls = {"torch.tril": "x:input, diagonal=0", "Tensor.tril": "x, diagonal=0"}


class Triu(Triangle):
    """The upper triangle from ``diagonal``, zeros below."""

    name = "triu"
    zero_terms = ("x",)
    code = "torch.triu({x}, {diagonal})"
    calls = {"torch.triu": "x:input, diagonal=0", "Tensor.triu": "x, diagonal=0"}


class TriangleIndices(Operator):
    """Base of `TrilIndices` and `TriuIndices`: (2, count) of row and column numbers."""

    params = (
        attr("row", integer(0)), attr("col", integer(0)), attr("offset", integer(), 0),
        attr("dtype", dtype_attr, DType("int64")),
    )  # fmt: skip
    upper = False

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        return {name: value for name, value in call.items() if value is not None}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.dtype.name not in ("int32", "int64"):
            raise ShapeError(f"indices are int32 or int64, not {a.dtype.name}")
        if type(a.row) is not int or type(a.col) is not int:
            raise ShapeError(f"the triangle of {a.row} × {a.col} is of unknown size; rows and columns must be plain numbers")
        first = a.offset + (0 if self.upper else 1)
        below = _ramp(first, a.row) - _ramp(first - a.col, a.row)
        return TensorType(a.dtype.name, (2, a.row * a.col - below if self.upper else below))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return _frozen(a, outputs)


def _ramp(first: int, count: int) -> int:
    """The sum of ``max(first + i, 0)`` over i below ``count``."""
    last, before = max(first + count - 1, 0), max(first - 1, 0)
    return (last * (last + 1) - before * (before + 1)) // 2


class TrilIndices(TriangleIndices):
    """Rows and columns of the lower triangle of a ``row`` × ``col`` matrix."""

    name = "tril_indices"
    code = "torch.tril_indices({row}, {col}, {offset}, dtype={dtype}, device={device})"
    calls = {"torch.tril_indices": "row, col, offset=0, dtype=None"}


class TriuIndices(TriangleIndices):
    """Rows and columns of the upper triangle of a ``row`` × ``col`` matrix."""

    name = "triu_indices"
    code = "torch.triu_indices({row}, {col}, {offset}, dtype={dtype}, device={device})"
    calls = {"torch.triu_indices": "row, col, offset=0, dtype=None"}
    upper = True


def _frozen(a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
    operands = {"x": names("d", a.x.rank)} if hasattr(a, "x") else {}
    rows = tuple(names(f"y{k}_", t.rank) for k, t in enumerate(outputs))
    fixed = frozenset(label for row in (*operands.values(), *rows) for label in row)
    return Dims(operands, rows, fixed=fixed)
