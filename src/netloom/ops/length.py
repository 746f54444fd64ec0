"""Lengths, directions and distances of vectors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import attr, boolean, integer, ints, tensor
from .checks import real
from .dims import Dims, couple, elementwise, labels, names
from .dtypes import promote, real_of, to_float
from .operator import Operator, TensorType, axis, broadcast, pretty
from .pointwise import require_kind, tensor_shapes


class Normalize(Operator):
    """x divided by its p-norm along axes, or by eps where that is larger."""

    name = "normalize"
    params = (
        tensor("x"), attr("p", real(), 2.0), attr("dim", ints(), (1,), axis_of="x"), attr("eps", real(), 1e-12),
    )  # fmt: skip
    code = "F.normalize({x}, {p}, {dim}, {eps})"
    calls = {"F.normalize": "x:input, p=2.0, dim=1, eps=1e-12"}

    def template(self, a: SimpleNamespace) -> str:
        return self.code.replace("{dim}", str(a.dim[0])) if len(a.dim) == 1 else self.code

    def infer(self, a: SimpleNamespace) -> TensorType:
        require_kind(a.x.dtype, "fc")
        return a.x

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes = names("d", a.x.rank)
        return couple(Dims({"x": axes}, (axes,)), (axes[i] for i in a.dim if axes), "zeros" if a.p > 0 else "other")

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        return ("x",)


class WeightNorm(Operator):
    """A weight from its direction v and its length g along an axis (−1: one length for all). (Salimans and Kingma 2016)"""

    name = "weight_norm"
    params = (tensor("v"), tensor("g"), attr("dim", integer(-1), 0))
    code = "torch._weight_norm({v}, {g}, {dim})"
    calls = {"torch._weight_norm": "v, g, dim=0"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        require_kind(a.v.dtype, "f")
        expected = () if a.dim == -1 else tuple(size if i == a.dim else 1 for i, size in enumerate(a.v.shape))
        if a.dim >= a.v.rank:
            raise ShapeError(f"dim {a.dim} is out of range for {a.v.rank} axes; use one in [-1, {a.v.rank - 1}]")
        if a.g.shape != expected:
            raise ShapeError(f"lengths {pretty(a.g.shape)} do not fit {pretty(a.v.shape)}; they must be {pretty(expected)}")
        if a.v.dtype != a.g.dtype:
            raise ShapeError(f"v is {a.v.dtype} where g is {a.g.dtype}; convert one of them")
        return a.v

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes = names("d", a.v.rank)
        lengths = tuple(axes[i] if i == a.dim else f"g{i}" for i in range(a.g.rank))
        fixed = frozenset(label for label in lengths if label[0] == "g")
        tied = Dims({"v": axes, "g": lengths}, (axes,), fixed=fixed)
        return couple(tied, (axis for axis in axes if axis not in lengths), "zeros")

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        # Where all of a direction is zero, it is none.
        return ("v",) if label in dims.coupled else ("g",)


class CosineSimilarity(Operator):
    """Cosine of the angle between two tensors along an axis, which goes away."""

    name = "cosine_similarity"
    zero_terms = ("x1 x2",)
    params = (tensor("x1"), tensor("x2"), attr("dim", integer(), 1), attr("eps", real(0), 1e-8))
    code = "F.cosine_similarity({x1}, {x2}, {dim}, {eps})"
    calls = dict.fromkeys(("F.cosine_similarity", "torch.cosine_similarity"), "x1, x2, dim=1, eps=1e-08")

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"dim": axis(a.dim, len(broadcast(a.x1.shape, a.x2.shape)), "dim")}

    def infer(self, a: SimpleNamespace) -> TensorType:
        dtype = promote(a.x1, a.x2)
        require_kind(dtype, "f")
        shape = broadcast(a.x1.shape, a.x2.shape)
        return TensorType(dtype, shape[: a.dim] + shape[a.dim + 1 :])

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        tied = elementwise(tensor_shapes({"x1": a.x1, "x2": a.x2}), broadcast(a.x1.shape, a.x2.shape))
        out = tied.outputs[0]
        rest = Dims(tied.operands, (out[: a.dim] + out[a.dim + 1 :],), fixed=tied.fixed)
        within = labels(out[a.dim : a.dim + 1])
        # What stretches along the axis has a length of its own.
        both = all(label in tied.operands[name] for label in within for name in ("x1", "x2"))
        return couple(rest, within, "zeros" if both else "average")


class PairwiseDistance(Operator):
    """p-norm of the difference of two tensors (plus eps) along the last axis."""

    name = "pairwise_distance"
    params = (
        tensor("x1"), tensor("x2"), attr("p", real(), 2.0), attr("eps", real(), 1e-6), attr("keepdim", boolean, False),
    )  # fmt: skip
    code = "F.pairwise_distance({x1}, {x2}, {p}, {eps}, {keepdim})"
    calls = dict.fromkeys(("F.pairwise_distance", "torch.pairwise_distance"), "x1, x2, p=2.0, eps=1e-06, keepdim=False")

    def infer(self, a: SimpleNamespace) -> TensorType:
        shape = broadcast(a.x1.shape, a.x2.shape)
        if "bool" in (a.x1.dtype, a.x2.dtype):
            raise ShapeError("x1 and x2 cannot be bool; convert them to a float dtype first")
        return TensorType(real_of(to_float(promote(a.x1, a.x2))), shape[:-1] + ((1,) if a.keepdim and shape else ()))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        tied = elementwise(tensor_shapes({"x1": a.x1, "x2": a.x2}), broadcast(a.x1.shape, a.x2.shape))
        out = tied.outputs[0][:-1] + (("one",) if outputs[0].rank == len(tied.outputs[0]) > 0 else ())
        rest = Dims(tied.operands, (out,), fixed=tied.fixed | {"one"})
        return couple(rest, labels(tied.outputs[0][-1:]), "other")
