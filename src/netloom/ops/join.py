"""Tensors put together and taken apart: cat, stack, split (also chunk), unbind."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import attr, either, integer, ints, tensor, tensors
from .dims import Axes, Axis, Concat, Dims, names
from .dtypes import promote
from .operator import Operator, TensorType, axis, pretty
from .size import Size
from .view import dropped, inserted_axis, plain_sizes, replaced

#: More results than this of one call are a mistake, or an attack on memory.
MAX_PARTS = 100_000


def _skipped(t: TensorType) -> bool:
    """cat leaves out empty tensors with one axis, whatever the rank of the others."""
    return bool(t.shape == (0,))


class Cat(Operator):
    """Tensors one after another along ``dim``; their other axes must be equal.

    >>> import netloom as nl
    >>> nl.cat(nl.input(3, 8, 8), nl.input(5, 8, 8), dim=1).shape
    (Size('N'), 8, 8, 8)
    """

    name = "cat"
    precedence = 2
    saves_output = False
    params = (tensors("tensors"), attr("dim", integer(), 1))
    code = "torch.cat({tensors}, {dim})"
    calls = {
        "torch.cat": "tensors, dim=0",
        "torch.concat": "tensors, dim=0",
        "torch.concatenate": "tensors, dim:axis=0",
        "torch.hstack": "tensors, stacked=1",
        "torch.column_stack": "tensors, stacked=1, wide=True",
        "torch.vstack": "tensors, stacked=0",
        "torch.row_stack": "tensors, stacked=0",
        "torch.dstack": "tensors, stacked=2",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        if type(call["tensors"]) is not tuple:
            return None
        if "stacked" not in call:
            return call
        ranks = {type_of(t).rank for t in call["tensors"]}
        dim = call["stacked"]
        if ranks == {1} and dim == 1 and "wide" not in call:
            dim = 0
        elif min(ranks) <= max(dim, 1):
            return None
        return {"tensors": call["tensors"], "dim": dim}

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        rank = max(t.rank for t in a.tensors)
        if any(t.rank == 0 for t in a.tensors):
            raise ShapeError("a tensor without axes cannot be concatenated; use stack")
        return {"dim": axis(a.dim, rank, "dim")}

    def infer(self, a: SimpleNamespace) -> TensorType:
        first = next((t for t in a.tensors if not _skipped(t)), a.tensors[0])
        total: Any = 0
        for t in a.tensors:
            if _skipped(t):
                continue
            if t.rank != first.rank or a.dim >= first.rank or dropped(t.shape, a.dim) != dropped(first.shape, a.dim):
                raise ShapeError(f"{pretty(first.shape)} and {pretty(t.shape)} must be equal on every axis but {a.dim}")
            total = total + t.shape[a.dim]
        # Concatenation promotes by dtype alone: a tensor without axes counts as much as any.
        dtype = promote(*(TensorType(t.dtype, (1,)) for t in a.tensors))
        return TensorType(dtype, replaced(first.shape, a.dim, total))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", outputs[0].rank)
        parts = [f"c{k}" for k, t in enumerate(a.tensors) if not _skipped(t)]
        operands = [("none",) if _skipped(t) else replaced(rows, a.dim, f"c{k}") for k, t in enumerate(a.tensors)]
        if not parts:
            return super().dims(a, outputs)
        whole: Axis = parts[0] if len(parts) == 1 else Concat(tuple(parts))
        fixed = frozenset({"none"} if len(parts) < len(a.tensors) else ())
        return Dims({"tensors": tuple(operands)}, (replaced(rows, a.dim, whole),), fixed=fixed)

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        # Every index along dim is of one part alone.
        return tuple(f"tensors[{k}]" for k, row in enumerate(dims.operands["tensors"]) if label in row)


class Stack(Operator):
    """Tensors of one shape along a new axis ``dim``."""

    name = "stack"
    zero_terms = ("tensors",)
    precedence = 1
    params = (tensors("tensors"), attr("dim", integer(), 0))
    code = "torch.stack({tensors}, {dim})"
    calls = {
        "torch.stack": "tensors, dim=0",
        "torch.hstack": "tensors, of_rank=0, dim=0",
        "torch.vstack": "tensors, of_rank=1, dim=0",
        "torch.row_stack": "tensors, of_rank=1, dim=0",
        "torch.dstack": "tensors, of_rank=2, dim=2",
        "torch.column_stack": "tensors, of_rank=1, dim=1",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        if type(call["tensors"]) is not tuple:
            return None
        rank = call.pop("of_rank", None)
        return call if rank is None or all(type_of(t).rank == rank for t in call["tensors"]) else None

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"dim": inserted_axis(a.dim, a.tensors[0].rank)}

    def infer(self, a: SimpleNamespace) -> TensorType:
        shape = a.tensors[0].shape
        for t in a.tensors:
            if t.shape != shape:
                raise ShapeError(f"{pretty(shape)} and {pretty(t.shape)} must have one shape; use cat for different sizes")
        dtype = promote(*(TensorType(t.dtype, (1,)) for t in a.tensors))
        return TensorType(dtype, (*shape[: a.dim], len(a.tensors), *shape[a.dim :]))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.tensors[0].rank)
        out = (*rows[: a.dim], "count", *rows[a.dim :])
        return Dims({"tensors": (rows,) * len(a.tensors)}, (out,), fixed=frozenset({"count"}))


class Split(Operator):
    """x cut along ``dim`` into parts of ``sizes``; one number cuts parts of that size, the last one smaller.

    The normal form lists the size of every part; ``torch.chunk`` and ``tensor_split`` are splits too.
    """

    name = "split"
    zero_terms = ("x",)
    params = (tensor("x"), attr("sizes", either(integer(1), ints(low=0))), attr("dim", integer(), 1, axis_of="x"))
    code = "torch.split({x}, {sizes}, {dim})"
    view = True
    calls = {
        "torch.split": "x:tensor, sizes:split_size_or_sections, dim=0",
        "Tensor.split": "x, sizes:split_size, dim=0",
        "torch.split_with_sizes": "x:input, sizes:split_sizes, dim=0",
        "Tensor.split_with_sizes": "x, sizes:split_sizes, dim=0",
        "torch.chunk": "x:input, chunks, dim=0",
        "Tensor.chunk": "x, chunks, dim=0",
        "torch.tensor_split": "x:input, places:indices_or_sections, dim=0",
        "Tensor.tensor_split": "x, places:indices_or_sections, dim=0",
        "torch.hsplit": "x:input, places:indices_or_sections, dim=1, even=True",
        "Tensor.hsplit": "x, places:indices_or_sections, dim=1, even=True",
        "torch.vsplit": "x:input, places:indices_or_sections, dim=0, even=True",
        "Tensor.vsplit": "x, places:indices_or_sections, dim=0, even=True",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        shape = type_of(call["x"]).shape
        if not shape:
            return None
        if call.pop("even", False) and len(shape) == 1:
            call["dim"] = 0
        dim = axis(call["dim"], len(shape), "dim")
        if "chunks" in call:
            return {"x": call["x"], "sizes": _chunks(shape[dim], call["chunks"]), "dim": dim}
        if "places" in call:
            sizes = _placed(shape[dim], call["places"])
            return None if sizes is None else {"x": call["x"], "sizes": sizes, "dim": dim}
        one = type(call["sizes"]) is not tuple
        return None if plain_sizes(call["sizes"]) is None or (one and call["sizes"] == 0) else call

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        if not a.x.shape:
            raise ShapeError("a tensor without axes cannot be split")
        size = a.x.shape[a.dim]
        if type(a.sizes) is not tuple:
            return {"sizes": _pieces(size, a.sizes)}
        if sum(a.sizes) != size:
            raise ShapeError(f"sizes {a.sizes} add up to {sum(a.sizes)}, axis {a.dim} of {pretty(a.x.shape)} has {size}")
        return {}

    def template(self, a: SimpleNamespace) -> str:
        return self.code if len(a.sizes) > 1 else f"{self.code}[0]"

    def infer(self, a: SimpleNamespace) -> tuple[TensorType, ...]:
        return tuple(TensorType(a.x.dtype, replaced(a.x.shape, a.dim, size)) for size in a.sizes)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows, parts = names("d", a.x.rank), names("s", len(a.sizes))
        whole: Axis = parts[0] if len(parts) == 1 else Concat(parts)
        out: tuple[Axes, ...] = tuple(replaced(rows, a.dim, part) for part in parts)
        return Dims({"x": replaced(rows, a.dim, whole)}, out, attrs={"sizes": parts})


def _pieces(size: Any, piece: Any) -> tuple[Any, ...]:
    """Sizes of the parts when ``size`` is cut into parts of ``piece``."""
    if isinstance(size, Size) and not isinstance(piece, Size):
        raise ShapeError(f"the free size {size} splits into an unknown number of parts of {piece}; use chunk")
    if size == 0:
        return (0,)
    count = -(-size // piece)
    if isinstance(count, Size):
        raise ShapeError(f"the free size {size} splits into an unknown number of parts of {piece}; use chunk")
    if count > MAX_PARTS:
        raise ShapeError(f"{size} splits into {count} parts of {piece}; at most {MAX_PARTS} make sense, use reshape")
    return (*(piece,) * (count - 1), size - piece * (count - 1))


def _chunks(size: Any, chunks: int) -> tuple[Any, ...]:
    if not isinstance(chunks, int) or chunks < 1:
        raise ShapeError(f"chunks = {chunks}; expected a number ≥ 1")
    if size == 0:
        return (0,) * chunks
    piece = -(-size // chunks)
    if isinstance(size, Size):
        return (*(piece,) * (chunks - 1), size - piece * (chunks - 1))
    return _pieces(size, piece)


def _placed(size: Any, places: Any) -> tuple[Any, ...] | None:
    """Sizes of the parts of ``tensor_split``: a number of nearly equal parts, or the places to cut at."""
    given = plain_sizes(places)
    if given is None or isinstance(size, Size):
        return None
    if type(places) is not tuple:
        if places < 1:
            return None
        return tuple(size // places + (1 if i < size % places else 0) for i in range(places))
    cuts = [min(max(p + size if p < 0 else p, 0), size) for p in given]
    edges = [0, *cuts, size]
    if any(b < a for a, b in zip(edges, edges[1:])):
        return None
    return tuple(b - a for a, b in zip(edges, edges[1:]))


class Unbind(Operator):
    """The slices of x along ``dim``, without that axis: (2, N, C) → two of (N, C)."""

    name = "unbind"
    zero_terms = ("x",)
    params = (tensor("x"), attr("dim", integer(), 0, axis_of="x"))
    code = "torch.unbind({x}, {dim})"
    view = True
    calls = {"torch.unbind": "x:input, dim=0", "Tensor.unbind": "x, dim=0"}

    def template(self, a: SimpleNamespace) -> str:
        return self.code if a.x.shape[a.dim] != 1 else f"{self.code}[0]"

    def infer(self, a: SimpleNamespace) -> tuple[TensorType, ...]:
        if not a.x.shape:
            raise ShapeError("a tensor without axes cannot be unbound")
        count = a.x.shape[a.dim]
        if isinstance(count, Size) or count == 0:
            raise ShapeError(f"axis {a.dim} of {pretty(a.x.shape)} must have a known size ≥ 1 to be unbound")
        if count > MAX_PARTS:
            raise ShapeError(f"axis {a.dim} of {pretty(a.x.shape)} has more than {MAX_PARTS} slices; use getitem")
        return (TensorType(a.x.dtype, dropped(a.x.shape, a.dim)),) * count

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        return Dims({"x": rows}, (dropped(rows, a.dim),) * len(outputs), fixed=frozenset({rows[a.dim]}))


class Piled(Operator):
    """Base of stacking calls that first bring tensors of different ranks to a common one."""

    params = (tensors("tensors"),)
    dim = 0

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return call if type(call["tensors"]) is tuple else None

    def raised(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """The shape of a tensor when it is joined."""
        return (1,) * (2 - len(shape)) + shape

    def infer(self, a: SimpleNamespace) -> TensorType:
        shapes = [self.raised(t.shape) for t in a.tensors]
        for shape in shapes:
            if len(shape) != len(shapes[0]) or dropped(shape, self.dim) != dropped(shapes[0], self.dim):
                raise ShapeError(f"{pretty(shapes[0])} and {pretty(shape)} must be equal on every axis but {self.dim}")
        dtype = promote(*(TensorType(t.dtype, (1,)) for t in a.tensors))
        return TensorType(dtype, replaced(shapes[0], self.dim, sum(shape[self.dim] for shape in shapes)))


class VStack(Piled):
    """Vectors as rows and matrices, one below the other; equal ranks are a `Cat` or `Stack`."""

    name = "vstack"
    code = "torch.vstack({tensors})"
    calls = {"torch.vstack": "tensors", "torch.row_stack": "tensors"}


class ColumnStack(Piled):
    """Vectors as columns and matrices, side by side; equal ranks are a `Cat` or `Stack`."""

    name = "column_stack"
    code = "torch.column_stack({tensors})"
    calls = {"torch.column_stack": "tensors"}
    dim = 1

    def raised(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*shape, *(1,) * (2 - len(shape)))


class DStack(Piled):
    """Vectors and matrices as layers, one behind the other; tensors of three axes or more are a `Cat`."""

    name = "dstack"
    code = "torch.dstack({tensors})"
    calls = {"torch.dstack": "tensors"}
    dim = 2

    def raised(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}.get(len(shape), shape)
