"""The same elements under another shape: reshape, flatten, unflatten, and views under another dtype."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import DType, attr, dtype_attr, integer, ints, tensor
from .dims import Axis, Dims, Product, names, regroup
from .dtypes import DTYPES
from .operator import Operator, TensorType, axis, pretty
from .size import Size


def plain_sizes(values: Any) -> tuple[Any, ...] | None:
    """Sizes as a call gives them, or None where one of them is not a number (a tensor, a dtype)."""
    values = tuple(values) if isinstance(values, tuple | list) else (values,)
    return values if all(isinstance(v, int | Size) and not isinstance(v, bool) for v in values) else None


def filled(sizes: tuple[Any, ...], numel: Any, whole: str) -> tuple[Any, ...]:
    """``sizes`` with its -1 replaced by what makes their product ``numel``; ``whole`` names what is split in errors."""
    wild = [i for i, size in enumerate(sizes) if size == -1]
    if any(size < -1 for size in sizes) or len(wild) > 1:
        raise ShapeError(f"shape {pretty(sizes)} is invalid; every size must be ≥ 0, and at most one may be -1")
    rest = prod(size for size in sizes if size != -1)
    if not wild:
        if rest != numel:
            raise ShapeError(f"shape {pretty(sizes)} has {rest} elements, {whole} has {numel}; they must be equal")
        return sizes
    if rest == 0:
        raise ShapeError(f"-1 in {pretty(sizes)} is ambiguous for {whole}, which is empty; state every size")
    try:
        even = numel % rest == 0
    except ShapeError:
        even = False
    if not even:
        raise ShapeError(f"{whole} has {numel} elements, which {pretty(sizes)} does not divide; the sizes must multiply to it")
    return tuple(numel // rest if size == -1 else size for size in sizes)


class Reshape(Operator):
    """The elements of x in row-major order under another shape, of which one size may be -1.

    >>> import netloom as nl
    >>> nl.reshape(nl.input(3, 4), (-1, 6)).shape
    (Size('2*N'), 6)
    """

    name = "reshape"
    zero_terms = ("x",)
    precedence = 1
    params = (tensor("x"), attr("shape", ints(low=-1)))
    code = "torch.reshape({x}, {shape})"
    view = True
    calls = {
        "Tensor.view": "x, *shape:size",
        "Tensor.reshape": "x, *shape",
        "torch.reshape": "x:input, shape",
        "Tensor.view_as": "x, other",
        "Tensor.reshape_as": "x, other",
        "torch.atleast_1d": "x:tensors, at_least=1",
        "torch.atleast_2d": "x:tensors, at_least=2",
        "torch.atleast_3d": "x:tensors, at_least=3",
        "torch.ravel": "x:input, at_least=0",
        "Tensor.ravel": "x, at_least=0",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        own = type_of(call["x"])
        if own is None:
            return None
        if "other" in call:
            return {"x": call["x"], "shape": type_of(call["other"]).shape}
        if "at_least" in call:
            return {"x": call["x"], "shape": _raised(own.shape, call["at_least"])}
        shape = plain_sizes(call["shape"])
        return None if shape is None else {"x": call["x"], "shape": shape}

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"shape": filled(a.shape, a.x.numel, f"the tensor {pretty(a.x.shape)}")}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.x.dtype, a.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        if a.x.numel == 0:
            return super().dims(a, outputs)
        before: list[Axis] = []
        after: list[Axis] = []
        fixed: set[str] = set()
        for k, (left, right) in enumerate(runs(a.x.shape, a.shape)):
            try:
                rows, columns = regroup(left, right, f"r{k}_")
                loose = {label for label in (*rows, *columns) if isinstance(label, str) and label.rpartition("_")[2][0] in "xy"}
            except ShapeError:
                # Axes whose sizes share no factor cannot be followed; those of the other runs still can.
                rows, columns = names(f"r{k}_x", len(left)), names(f"r{k}_y", len(right))
                loose = {*rows, *columns}
            before += rows
            after += columns
            fixed |= loose
        return Dims({"x": tuple(before)}, (tuple(after),), attrs={"shape": tuple(after)}, fixed=frozenset(fixed))


def runs(before: tuple[Any, ...], after: tuple[Any, ...]) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Both shapes cut into the shortest runs of axes that hold equally many elements.

    >>> runs((7, 2, 3, 4), (7, 3, 2, 4))
    [((7,), (7,)), ((2, 3), (3, 2)), ((4,), (4,))]
    """
    found = []
    i = j = 0
    while i < len(before) or j < len(after):
        first, second = i, j
        left: Any = 1
        right: Any = 1
        while first == i and second == j or left != right:
            if i < len(before) and (left <= right or j == len(after)):
                left, i = left * before[i], i + 1
            else:
                right, j = right * after[j], j + 1
        found.append((before[first:i], after[second:j]))
    return found


def _raised(shape: tuple[Any, ...], rank: int) -> tuple[Any, ...]:
    """The shape that ``atleast_1d`` and its kin give; flat where ``rank`` is 0."""
    if rank == 0:
        return (prod(shape),)
    if len(shape) >= rank:
        return shape
    if rank == 3 and shape:
        return (1, *shape, 1) if len(shape) == 1 else (*shape, 1)
    return (1,) * (rank - len(shape)) + shape


class Flatten(Operator):
    """Axes ``start_dim`` to ``end_dim`` as one: (N, C, H, W) → (N, C·H·W) by default."""

    name = "flatten"
    zero_terms = ("x",)
    params = (
        tensor("x"), attr("start_dim", integer(), 1, axis_of="x"), attr("end_dim", integer(), -1, axis_of="x"),
    )  # fmt: skip
    code = "torch.flatten({x}, {start_dim}, {end_dim})"
    view = True
    calls = {"torch.flatten": "x:input, start_dim=0, end_dim=-1", "Tensor.flatten": "x, start_dim=0, end_dim=-1"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.start_dim > a.end_dim:
            raise ShapeError(f"start_dim {a.start_dim} comes after end_dim {a.end_dim}; swap them")
        if not a.x.shape:
            return TensorType(a.x.dtype, (1,))
        middle = prod(a.x.shape[a.start_dim : a.end_dim + 1])
        return TensorType(a.x.dtype, (*a.x.shape[: a.start_dim], middle, *a.x.shape[a.end_dim + 1 :]))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        if not rows:
            return Dims({"x": ()}, (("one",),), fixed=frozenset({"one"}))
        inner = rows[a.start_dim : a.end_dim + 1]
        middle: Axis = inner[0] if len(inner) == 1 else Product(inner)
        return Dims({"x": rows}, ((*rows[: a.start_dim], middle, *rows[a.end_dim + 1 :]),))


class Unflatten(Operator):
    """Axis ``dim`` as several of the sizes given, one of which may be -1: (N, g·c) → (N, g, c)."""

    name = "unflatten"
    zero_terms = ("x",)
    params = (tensor("x"), attr("dim", integer(), axis_of="x"), attr("sizes", ints(low=-1)))
    code = "torch.unflatten({x}, {dim}, {sizes})"
    view = True
    calls = {"torch.unflatten": "x:input, dim, sizes", "Tensor.unflatten": "x, dim, sizes"}

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        if not a.x.shape:
            raise ShapeError("a tensor without axes has nothing to unflatten")
        if not a.sizes:
            raise ShapeError("sizes is empty; give at least one")
        return {"sizes": filled(a.sizes, a.x.shape[a.dim], f"axis {a.dim} of {pretty(a.x.shape)}")}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.x.dtype, (*a.x.shape[: a.dim], *a.sizes, *a.x.shape[a.dim + 1 :]))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        parts = names("p", len(a.sizes))
        whole: Axis = parts[0] if len(parts) == 1 else Product(parts)
        out = (*rows[: a.dim], *parts, *rows[a.dim + 1 :])
        fixed = frozenset(parts) if 0 in a.sizes else frozenset()
        return Dims({"x": (*rows[: a.dim], whole, *rows[a.dim + 1 :])}, (out,), attrs={"sizes": parts}, fixed=fixed)


class Bitcast(Operator):
    """The bytes of x read as another dtype; the last axis shrinks or grows where its size differs."""

    name = "bitcast"
    zero_terms = ("x",)
    params = (tensor("x"), attr("dtype", dtype_attr))
    code = "{x}.view({dtype})"
    view = True
    calls = {"Tensor.view": "x, dtype"}

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return call if isinstance(call["dtype"], DType) else None

    def infer(self, a: SimpleNamespace) -> TensorType:
        have, want = DTYPES[a.x.dtype][1], DTYPES[a.dtype.name][1]
        if have == want:
            return TensorType(a.dtype.name, a.x.shape)
        if not a.x.shape or a.x.shape[-1] * have % want:
            raise ShapeError(f"the last axis of {a.x} does not hold a whole number of {a.dtype.name}; cast with to() instead")
        return TensorType(a.dtype.name, (*a.x.shape[:-1], a.x.shape[-1] * have // want))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        if a.x.shape == outputs[0].shape:
            return Dims({"x": rows}, (rows,))
        return Dims({"x": rows}, ((*rows[:-1], "last"),), fixed=frozenset({rows[-1], "last"}))


def dropped(rows: tuple[Any, ...], axes: Any) -> tuple[Any, ...]:
    """``rows`` (labels or sizes) without those at ``axes``."""
    gone = set(axes) if isinstance(axes, tuple | list) else {axes}
    return tuple(row for i, row in enumerate(rows) if i not in gone)


def replaced(rows: tuple[Any, ...], axis: int, new: Any) -> tuple[Any, ...]:
    """``rows`` (labels or sizes) with ``new`` at ``axis``."""
    return (*rows[:axis], new, *rows[axis + 1 :])


def inserted_axis(value: int, rank: int, what: str = "dim") -> int:
    """Where a new axis goes, counted in the result of ``rank`` + 1 axes."""
    return axis(value, rank + 1, what)
