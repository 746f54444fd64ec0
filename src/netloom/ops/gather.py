"""Reading and writing at indices along one axis: gather, scatter, index_select and their kin."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

from ..errors import ShapeError
from .arguments import Param, attr, boolean, choice, integer, number, operand, optional, tensor
from .dims import Dims, elementwise, names
from .operator import Operator, TensorType, broadcast, pretty
from .view import dropped, replaced


def check_index(index: TensorType) -> None:
    """Refuse anything but integer indices."""
    if index.dtype not in ("int32", "int64"):
        raise ShapeError(f"indices must be int64 or int32, not {index.dtype}; convert them with to(dtype=int64)")


def _at_least_one(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    return shape or (1,)


def _check_inside(index: TensorType, of: TensorType, dim: int | None, what: str) -> None:
    """Every axis of the index but ``dim`` may be as long as that of the tensor, no longer."""
    if len(_at_least_one(index.shape)) != len(_at_least_one(of.shape)):
        raise ShapeError(f"index {pretty(index.shape)} and {what} {pretty(of.shape)} must have the same number of axes")
    for i, (have, limit) in enumerate(zip(_at_least_one(index.shape), _at_least_one(of.shape))):
        if i != dim and have > limit:
            raise ShapeError(f"index {pretty(index.shape)} exceeds {what} {pretty(of.shape)} at axis {i}")


class _Ties:
    """Labels shared by tensors that line up axis by axis, where their sizes are equal; elsewhere axes are fixed."""

    def __init__(self, shape: tuple[Any, ...]) -> None:
        self.shape, self.rows = shape, names("d", len(shape))
        self.fixed: set[str] = set()

    def row(self, prefix: str, shape: tuple[Any, ...], dim: int | None) -> tuple[str, ...]:
        """Labels of a tensor of ``shape`` whose axis ``dim`` has nothing to do with that of the others."""
        labels = []
        for i, size in enumerate(shape):
            label = self.rows[i] if i < len(self.rows) and i != dim and size == self.shape[i] else f"{prefix}{i}"
            if label.startswith(prefix) and (i != dim):
                self.fixed.add(label)
                self.fixed.update(self.rows[i : i + 1])
            labels.append(label)
        return tuple(labels)


class Gather(Operator):
    """``out[i][j] = x[index[i][j]][j]`` for ``dim`` 0: elements of x at the indices given along ``dim``."""

    name = "gather"
    zero_terms = ("x",)
    params = (tensor("x"), tensor("index"), attr("dim", integer(), axis_of="x"), attr("sparse_grad", boolean, False))
    code = "torch.gather({x}, {dim}, {index}, sparse_grad={sparse_grad})"
    calls = {"torch.gather": "x:input, dim, index, sparse_grad=False", "Tensor.gather": "x, dim, index, sparse_grad=False"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        check_index(a.index)
        if a.index.numel != 0:
            _check_inside(a.index, a.x, a.dim, "the tensor")
        return TensorType(a.x.dtype, a.index.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        ties = _Ties(a.x.shape)
        index = ties.row("i", a.index.shape, a.dim)
        fixed = ties.fixed | set(ties.rows[a.dim : a.dim + 1])
        return Dims({"x": ties.rows, "index": index}, (index,), fixed=frozenset(fixed))


class TakeAlongDim(Operator):
    """`Gather` whose other axes broadcast; over the flat tensor without ``dim``."""

    name = "take_along_dim"
    zero_terms = ("x",)
    params = (tensor("x"), tensor("indices"), attr("dim", optional(integer()), None, axis_of="x"))
    code = "torch.take_along_dim({x}, {indices}, {dim})"
    calls = {"torch.take_along_dim": "x:input, indices, dim=None", "Tensor.take_along_dim": "x, indices, dim=None"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.indices.dtype != "int64":
            raise ShapeError(f"indices must be int64, not {a.indices.dtype}; convert them with to(dtype=int64)")
        if a.dim is None:
            return TensorType(a.x.dtype, (a.indices.numel,))
        if a.x.rank != a.indices.rank:
            raise ShapeError(f"indices {pretty(a.indices.shape)} and {pretty(a.x.shape)} must have the same number of axes")
        shape = broadcast(dropped(a.x.shape, a.dim), dropped(a.indices.shape, a.dim))
        return TensorType(a.x.dtype, (*shape[: a.dim], *a.indices.shape[a.dim : a.dim + 1], *shape[a.dim :]))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        if a.dim is None or not a.x.rank:
            return super().dims(a, outputs)
        # Along dim the result has the axis of the indices, whose numbers are places on that of x.
        tied = elementwise({"x": replaced(a.x.shape, a.dim, None), "indices": a.indices.shape}, outputs[0].shape)
        return Dims(tied.operands, tied.outputs, fixed=tied.fixed)


class Scatter(Operator):
    """A copy of x with ``src`` (a tensor or a number) written at the indices given along ``dim``.

    ``reduce`` add or multiply combines with what is there.
    """

    name = "scatter"
    zero_terms = ("x", "src")
    params: ClassVar[tuple[Param, ...]] = (
        tensor("x"), tensor("index"), operand("src"), attr("dim", integer(), axis_of="x"),
        attr("reduce", optional(choice("add", "multiply")), None),
    )  # fmt: skip
    calls = {
        "torch.scatter": "x:input, dim, index, src:value, reduce=None",
        "Tensor.scatter": "x, dim, index, src:value, reduce=None",
    }  # fmt: skip

    def template(self, a: SimpleNamespace) -> str:
        return "torch.scatter({x}, {dim}, {index}, {src}" + (")" if a.reduce is None else ", reduce={reduce})")

    def infer(self, a: SimpleNamespace) -> TensorType:
        check_index(a.index)
        if a.index.numel != 0:
            _check_inside(a.index, a.x, a.dim, "the tensor")
        if isinstance(a.src, TensorType):
            if a.src.dtype != a.x.dtype:
                raise ShapeError(f"src of {a.src.dtype} is written into {a.x.dtype}; convert one of them")
            if a.index.numel != 0:
                _check_inside(a.index, a.src, None, "src")
        return a.x  # type: ignore[no-any-return]

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        ties = _Ties(a.x.shape)
        index = ties.row("i", a.index.shape, a.dim)
        operands = {"x": ties.rows, "index": index}
        fixed = ties.fixed | set(ties.rows[a.dim : a.dim + 1]) | set(index[a.dim : a.dim + 1])
        if isinstance(a.src, TensorType):
            row = []
            for i, size in enumerate(a.src.shape):
                same = i < a.index.rank and size == a.index.shape[i]
                row.append(index[i] if same else f"s{i}")
                if not same:
                    fixed |= {f"s{i}", *index[i : i + 1]}
            operands["src"] = tuple(row)
        return Dims(operands, (ties.rows,), fixed=frozenset(fixed))


class ScatterAdd(Scatter):
    """A copy of x with the elements of ``src`` added at the indices given along ``dim``."""

    name = "scatter_add"
    zero_terms = ("x", "src")
    params: ClassVar[tuple[Param, ...]] = (tensor("x"), tensor("index"), tensor("src"), attr("dim", integer(), axis_of="x"))
    code = "torch.scatter_add({x}, {dim}, {index}, {src})"
    calls = {"torch.scatter_add": "x:input, dim, index, src", "Tensor.scatter_add": "x, dim, index, src"}

    def template(self, a: SimpleNamespace) -> str:
        return self.code


class ScatterReduce(ScatterAdd):
    """A copy of x in which every place holds the ``reduce`` of the elements of ``src`` sent to it (and its own)."""

    name = "scatter_reduce"
    zero_terms = ("x", "src")
    params = (
        tensor("x"), tensor("index"), tensor("src"), attr("dim", integer(), axis_of="x"),
        attr("reduce", choice("sum", "prod", "mean", "amax", "amin")), attr("include_self", boolean, True),
    )  # fmt: skip
    code = "torch.scatter_reduce({x}, {dim}, {index}, {src}, {reduce}, include_self={include_self})"
    calls = {
        "torch.scatter_reduce": "x:input, dim, index, src, reduce, include_self=True",
        "Tensor.scatter_reduce": "x, dim, index, src, reduce, include_self=True",
    }


class IndexSelect(Operator):
    """The slices of x along ``dim`` at the indices in a vector."""

    name = "index_select"
    zero_terms = ("x",)
    params = (tensor("x"), tensor("index"), attr("dim", integer(), axis_of="x"))
    code = "torch.index_select({x}, {dim}, {index})"
    calls = {"torch.index_select": "x:input, dim, index", "Tensor.index_select": "x, dim, index"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        _check_vector(a.index)
        return TensorType(a.x.dtype, replaced(a.x.shape, a.dim, a.index.numel) if a.x.rank else ())

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        if not rows or not a.index.rank:
            return super().dims(a, outputs)
        return Dims({"x": rows, "index": ("i",)}, (replaced(rows, a.dim, "i"),), fixed=frozenset({rows[a.dim]}))


def _check_vector(index: TensorType) -> None:
    check_index(index)
    if index.rank > 1:
        raise ShapeError(f"index {pretty(index.shape)} must be a vector")


class IndexAdd(Operator):
    """A copy of x with ``alpha`` times the slices of ``source`` added to the slices at the indices along ``dim``."""

    name = "index_add"
    zero_terms = ("x", "source")
    params: ClassVar[tuple[Param, ...]] = (
        tensor("x"), tensor("index"), tensor("source"), attr("dim", integer(), axis_of="x"), attr("alpha", number(), 1),
    )  # fmt: skip
    code = "torch.index_add({x}, {dim}, {index}, {source}, alpha={alpha})"
    calls = {
        "torch.index_add": "x:input, dim, index, source, alpha=1", "Tensor.index_add": "x, dim, index, source, alpha=1",
    }  # fmt: skip

    def infer(self, a: SimpleNamespace) -> TensorType:
        _check_vector(a.index)
        if a.source.dtype != a.x.dtype:
            raise ShapeError(f"source of {a.source.dtype} goes into {a.x.dtype}; convert one of them")
        wanted = replaced(_at_least_one(a.x.shape), a.dim, a.index.numel)
        if not a.x.rank and a.source.rank and type(self) is IndexAdd:
            raise ShapeError(f"source {pretty(a.source.shape)} must have no axes, as x has none")
        if _at_least_one(a.source.shape) != wanted:
            raise ShapeError(f"source {pretty(a.source.shape)} must be {pretty(wanted)} for {a.index.numel} indices")
        return a.x  # type: ignore[no-any-return]

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        if not rows or not a.index.rank or not a.source.rank:
            return super().dims(a, outputs)
        operands = {"x": rows, "index": ("i",), "source": replaced(rows, a.dim, "i")}
        # An index of zero is a place like any other.
        return Dims(operands, (rows,), fixed=frozenset({rows[a.dim]}), coupled={"i": "other"})


class IndexCopy(IndexAdd):
    """A copy of x with the slices of ``source`` in place of the slices at the indices along ``dim``."""

    name = "index_copy"
    zero_terms = ("x", "source")
    params = (tensor("x"), tensor("index"), tensor("source"), attr("dim", integer(), axis_of="x"))
    code = "torch.index_copy({x}, {dim}, {index}, {source})"
    calls = {"torch.index_copy": "x:input, dim, index, source", "Tensor.index_copy": "x, dim, index, source"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.index.dtype != "int64":
            raise ShapeError(f"indices must be int64, not {a.index.dtype}")
        return super().infer(a)


class IndexFill(Operator):
    """A copy of x with ``value`` (a number, or a tensor without axes) in the slices at the indices along ``dim``."""

    name = "index_fill"
    zero_terms = ("x", "value")
    params = (tensor("x"), tensor("index"), operand("value"), attr("dim", integer(), axis_of="x"))
    code = "torch.index_fill({x}, {dim}, {index}, {value})"
    calls = {"torch.index_fill": "x:input, dim, index, value", "Tensor.index_fill": "x, dim, index, value"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.index.dtype != "int64":
            raise ShapeError(f"indices must be int64, not {a.index.dtype}")
        _check_vector(a.index)
        if isinstance(a.value, TensorType) and a.value.rank:
            raise ShapeError(f"value {pretty(a.value.shape)} must be a number or a tensor without axes")
        return a.x  # type: ignore[no-any-return]

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        operands: dict[str, Any] = {"x": rows, "index": names("i", a.index.rank)}
        if isinstance(a.value, TensorType):
            operands["value"] = ()
        return Dims(operands, (rows,), fixed=frozenset(rows[a.dim : a.dim + 1]))


class MaskedScatter(Operator):
    """x with the elements where ``mask`` is true replaced, in order, by those of ``source``."""

    name = "masked_scatter"
    params = (tensor("x"), tensor("mask"), tensor("source"))
    code = "torch.masked_scatter({x}, {mask}, {source})"
    calls = {"torch.masked_scatter": "x:input, mask, source", "Tensor.masked_scatter": "x, mask, source"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.mask.dtype != "bool":
            raise ShapeError(f"the mask must be bool, not {a.mask.dtype}; compare it with a number")
        if a.x.dtype != a.source.dtype:
            raise ShapeError(f"source of {a.source.dtype} goes into {a.x.dtype}; convert one of them")
        return TensorType(a.x.dtype, broadcast(a.x.shape, a.mask.shape))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        tied = elementwise({"x": a.x.shape, "mask": a.mask.shape}, outputs[0].shape)
        source = names("s", a.source.rank)
        every = {*tied.outputs[0], *source, *tied.fixed}
        return Dims({**tied.operands, "source": source}, tied.outputs, fixed=frozenset(map(str, every)))
