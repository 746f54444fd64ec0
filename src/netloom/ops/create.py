"""Tensors made from sizes: zeros, ones, full, empty, ranges, grids; free-standing or like another tensor."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

from ..errors import ShapeError
from .arguments import DType, Param, attr, choice, dtype_attr, integer, ints, number, optional, scalar, tensor, tensors
from .dims import Dims, Product, names
from .dtypes import is_complex, is_integer, number_dtype, promote
from .layout import FORMATS, check_format
from .operator import Operator, TensorType
from .size import Size
from .view import plain_sizes

FLOAT = DType("float32")


def without_none(call: dict[str, Any]) -> dict[str, Any]:
    """A call without its absent arguments, so that their defaults count."""
    return {name: value for name, value in call.items() if value is not None}


class Filled(Operator):
    """Base of operators that make a tensor of ``shape`` and ``dtype`` from nothing."""

    params: ClassVar[tuple[Param, ...]] = (attr("shape", ints(low=0)), attr("dtype", dtype_attr, FLOAT))

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        like = call.pop("like", None)
        if like is not None and call.get("dtype") is None:
            call["dtype"] = DType(type_of(like).dtype)
        if plain_sizes(call["shape"]) is None or any(type_of(v) is not None for v in call.values() if v is not None):
            return None
        return without_none(call)

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.dtype.name, a.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", len(a.shape))
        return Dims({}, (rows,), attrs={"shape": rows})


class Zeros(Filled):
    """Zeros of ``shape``."""

    name = "zeros"
    zero_terms = ("0",)
    code = "torch.zeros({shape}, dtype={dtype}, device={device})"
    calls = {"torch.zeros": "*shape:size, dtype=None", "Tensor.new_zeros": "like, *shape:size, dtype=None"}


class Ones(Filled):
    """Ones of ``shape``."""

    name = "ones"
    code = "torch.ones({shape}, dtype={dtype}, device={device})"
    calls = {"torch.ones": "*shape:size, dtype=None", "Tensor.new_ones": "like, *shape:size, dtype=None"}


class Empty(Filled):
    """Memory of ``shape`` with whatever it holds: to be written before it is read."""

    name = "empty"
    code = "torch.empty({shape}, dtype={dtype}, device={device})"
    calls = {
        "torch.empty": "*shape:size, dtype=None, memory_format=None",
        "Tensor.new_empty": "like, *shape:size, dtype=None",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        if call.pop("memory_format", None) not in (None, "contiguous_format"):
            return None
        return super().from_call(call, type_of)


class Full(Filled):
    """``shape`` full of ``value``; without ``dtype`` the one that suits the number."""

    name = "full"
    zero_terms = ("value",)
    params = (attr("shape", ints(low=0)), attr("value", scalar), attr("dtype", optional(dtype_attr), None))
    code = "torch.full({shape}, {value}, dtype={dtype}, device={device})"
    calls = {
        "torch.full": "shape:size, value:fill_value, dtype=None",
        "Tensor.new_full": "like, shape:size, value:fill_value, dtype=None",
    }

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        dtype = a.dtype if a.dtype is not None else DType(number_dtype(a.value))
        value = a.value
        if isinstance(value, int) and not isinstance(value, bool) and dtype.name.startswith(("float", "bfloat")):
            value = float(value)
        return {"dtype": dtype, "value": value}


class SizeValue(Operator):
    """A size as a tensor without axes: ``torch.tensor(x.shape[0])``."""

    name = "size_value"
    params = (attr("size", number()), attr("dtype", dtype_attr, DType("int64")))
    code = "torch.tensor({size}, dtype={dtype}, device={device})"
    calls = {
        "torch.tensor": "size:data, dtype=None",
        "torch.as_tensor": "size:data, dtype=None",
        "torch.scalar_tensor": "size:s, dtype=None, single=True",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        single = call.pop("single", False)
        if isinstance(call["size"], bool) or not isinstance(call["size"], int | Size | float):
            return None
        if call["dtype"] is None and (single or isinstance(call["size"], float)):
            call["dtype"] = FLOAT
        return without_none(call)

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.dtype.name, ())

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return Dims({}, ((),))


class Like(Operator):
    """Base of operators that make a tensor with the shape of x, and its dtype unless another is given."""

    params: ClassVar[tuple[Param, ...]] = (
        tensor("x"), attr("dtype", optional(dtype_attr), None), attr("memory_format", FORMATS, "preserve_format"),
    )  # fmt: skip

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        if any(type_of(value) is not None for name, value in call.items() if name != "x" and value is not None):
            return None
        return without_none(call)

    def template(self, a: SimpleNamespace) -> str:
        return self.code.replace("{memory_format}", a.memory_format)

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"dtype": a.dtype if a.dtype is not None else DType(a.x.dtype)}

    def infer(self, a: SimpleNamespace) -> TensorType:
        check_format(a.memory_format, a.x.shape)
        return TensorType(a.dtype.name, a.x.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        return Dims({"x": rows}, (rows,))


class ZerosLike(Like):
    """Zeros of the shape of x."""

    name = "zeros_like"
    zero_terms = ("0",)
    code = "torch.zeros_like({x}, dtype={dtype}, memory_format=torch.{memory_format})"
    calls = {"torch.zeros_like": "x:input, dtype=None, memory_format=None", "Tensor.zero_": "x"}


class OnesLike(Like):
    """Ones of the shape of x."""

    name = "ones_like"
    code = "torch.ones_like({x}, dtype={dtype}, memory_format=torch.{memory_format})"
    calls = {"torch.ones_like": "x:input, dtype=None, memory_format=None"}


class EmptyLike(Like):
    """Memory of the shape of x with whatever it holds: to be written before it is read."""

    name = "empty_like"
    code = "torch.empty_like({x}, dtype={dtype}, memory_format=torch.{memory_format})"
    calls = {"torch.empty_like": "x:input, dtype=None, memory_format=None"}


class FullLike(Like):
    """The shape of x full of ``value``."""

    name = "full_like"
    zero_terms = ("value",)
    params = (
        tensor("x"), attr("value", scalar), attr("dtype", optional(dtype_attr), None),
        attr("memory_format", FORMATS, "preserve_format"),
    )  # fmt: skip
    code = "torch.full_like({x}, {value}, dtype={dtype}, memory_format=torch.{memory_format})"
    calls = {
        "torch.full_like": "x:input, value:fill_value, dtype=None, memory_format=None",
        "Tensor.fill_": "x, value",
        "torch.fill": "x:input, value",
    }

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        found = super().normalize(a)
        whole = isinstance(a.value, int) and not isinstance(a.value, bool)
        return found | ({"value": float(a.value)} if whole and "float" in found["dtype"].name else {})


class Arange(Operator):
    """Numbers from ``start`` up to but without ``end`` in steps of ``step``: (count).

    >>> import netloom as nl
    >>> nl.arange(0, 10, 3).type
    TensorType(dtype='int64', shape=(4,))
    """

    name = "arange"
    params = (
        attr("start", number()), attr("end", number()), attr("step", number(), 1), attr("dtype", optional(dtype_attr), None),
    )  # fmt: skip
    code = "torch.arange({start}, {end}, {step}, dtype={dtype}, device={device})"
    calls = {"torch.arange": "first:start=None, second:end=None, step=1, dtype=None"}

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        first, second = call.pop("first"), call.pop("second")
        start, end = (0 if first is None else first, second) if second is not None else (0, first)
        made = {"start": start, "end": end, **call}
        return None if any(type_of(v) is not None for v in made.values() if v is not None) else without_none(made)

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        if a.dtype is not None:
            return {}
        whole = all(isinstance(v, int | Size) for v in (a.start, a.end, a.step))
        return {"dtype": DType("int64") if whole else FLOAT}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.dtype.name in ("bool", "uint16", "uint32", "uint64") or is_complex(a.dtype.name):
            raise ShapeError(f"there are no ranges of {a.dtype.name}; make one of int64 and convert it")
        given = (a.start, a.end, a.step)
        if any(isinstance(v, float) and not math.isfinite(v) for v in given):
            raise ShapeError(f"start, end, step = {given}; expected finite numbers")
        # torch truncates what it is given to the dtype of the result before it counts.
        whole = is_integer(a.dtype.name)
        start, end, step = (int(v) if whole and isinstance(v, float) else v for v in given)
        if step == 0:
            kept = "" if a.step == 0 else f" as {a.dtype.name}"
            raise ShapeError(f"step {a.step} is 0{kept}; expected any other number")
        span = end - start
        if (step > 0 and span < 0) or (step < 0 and span > 0):
            raise ShapeError(f"steps of {a.step} lead away from {a.end}, starting at {a.start}; swap them or change the sign")
        if isinstance(step, int) and isinstance(span, int | Size):
            return TensorType(a.dtype.name, (-(-span // step),))
        return TensorType(a.dtype.name, (math.ceil(span / step),))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        # What stands at an index is its position: an index taken out leaves another range behind.
        counted = a.start == 0 and a.step == 1 and isinstance(a.end, int | Size)
        return Dims({}, (("n",),), attrs={"end": "n"} if counted else {}, fixed=frozenset({"n"}))


class Linspace(Operator):
    """``steps`` evenly spaced numbers from ``start`` to ``end``, both included."""

    name = "linspace"
    params = (attr("start", number()), attr("end", number()), attr("steps", integer(0)), attr("dtype", dtype_attr, FLOAT))
    code = "torch.linspace({start}, {end}, {steps}, dtype={dtype}, device={device})"
    calls = {"torch.linspace": "start, end, steps, dtype=None"}

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return None if any(type_of(v) is not None for v in call.values() if v is not None) else without_none(call)

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.dtype.name, (a.steps,))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        # As of a range, what stands at an index follows from its position.
        return Dims({}, (("n",),), attrs={"steps": "n"}, fixed=frozenset({"n"}))


class Eye(Operator):
    """The identity matrix (n, m), square unless ``m`` is given."""

    name = "eye"
    params = (attr("n", integer(0)), attr("m", optional(integer(0)), None), attr("dtype", dtype_attr, FLOAT))
    code = "torch.eye({n}, {m}, dtype={dtype}, device={device})"
    calls = {"torch.eye": "n, m=None, dtype=None"}

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return without_none(call)

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"m": a.n if a.m is None else a.m}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.dtype.name, (a.n, a.m))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        # Rows and columns that stay must be the same ones.
        square = bool(a.n == a.m) and isinstance(a.n, int)
        if square:
            return Dims({}, (("n", "n"),), attrs={"n": "n", "m": "n"})
        return Dims({}, (("n", "m"),), attrs={"n": "n", "m": "m"}, fixed=frozenset({"n", "m"}))


class Meshgrid(Operator):
    """Coordinates of a grid: vectors of n, m, … elements → as many tensors (n, m, …), or (m, n, …) for ``indexing="xy"``."""

    name = "meshgrid"
    params = (tensors("tensors"), attr("indexing", choice("ij", "xy"), "ij"))
    calls = {"torch.meshgrid": "*tensors, indexing=None"}
    view = True

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return without_none(call)

    def template(self, a: SimpleNamespace) -> str:
        return "torch.meshgrid({tensors}, indexing={indexing})" + ("" if len(a.tensors) > 1 else "[0]")

    def infer(self, a: SimpleNamespace) -> tuple[TensorType, ...]:
        if any(t.rank > 1 for t in a.tensors) or len({t.dtype for t in a.tensors}) > 1:
            raise ShapeError("meshgrid takes vectors of one dtype, not " + ", ".join(map(str, a.tensors)))
        shape = self._order(a, tuple(t.shape[0] if t.shape else 1 for t in a.tensors))
        return tuple(TensorType(t.dtype, shape) for t in a.tensors)

    def _order(self, a: SimpleNamespace, row: tuple[Any, ...]) -> tuple[Any, ...]:
        return (row[1], row[0], *row[2:]) if a.indexing == "xy" and len(row) > 1 else row

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", len(a.tensors))
        operands = tuple((row,) if t.rank else () for row, t in zip(rows, a.tensors))
        fixed = frozenset(row for row, t in zip(rows, a.tensors) if not t.rank)
        return Dims({"tensors": operands}, (self._order(a, rows),) * len(rows), fixed=fixed)


class CartesianProd(Operator):
    """All combinations of the elements of vectors: n, m, … elements → (n·m·…, number of vectors)."""

    name = "cartesian_prod"
    params = (tensors("tensors"),)
    code = "torch.cartesian_prod(*{tensors})"
    calls = {"torch.cartesian_prod": "*tensors"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if any(t.rank != 1 for t in a.tensors) or len({t.dtype for t in a.tensors}) > 1:
            raise ShapeError("cartesian_prod takes vectors of one dtype, not " + ", ".join(map(str, a.tensors)))
        if len(a.tensors) == 1:
            return a.tensors[0]  # type: ignore[no-any-return]
        return TensorType(promote(*a.tensors), (math.prod(t.shape[0] for t in a.tensors), len(a.tensors)))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", len(a.tensors))
        operands = tuple((row,) for row in rows)
        if len(rows) == 1:
            return Dims({"tensors": operands}, (rows,))
        return Dims({"tensors": operands}, ((Product(rows), "count"),), fixed=frozenset({"count"}))
