"""Matrix products, and distances between all pairs of rows."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import attr, choice, dtype_attr, optional, scalar, tensor
from .checks import real
from .dims import Dims, Product, couple, elementwise, names
from .dtypes import DTYPES, is_complex, is_float, promote
from .operator import Operator, TensorType, axes, broadcast, pretty


def same_dtype(*operands: TensorType) -> str:
    """The dtype that all operands share; `ShapeError` where they differ or are bool."""
    found = sorted({operand.dtype for operand in operands})
    if len(found) > 1:
        raise ShapeError(f"the operands must have equal dtypes, not {' and '.join(found)}; convert them")
    if found[0] == "bool":
        raise ShapeError("the operands cannot be bool; convert them to a number dtype first")
    return found[0]


class Matmul(Operator):
    """Matrix product over the last two axes, the others broadcast: (…, m, k) @ (…, k, n) → (…, m, n).

    A vector counts as a row on the left and a column on the right, and its axis goes away.

    >>> import netloom as nl
    >>> (nl.input(8, 16) @ nl.parameter(16, 4)).shape
    (Size('N'), 8, 4)
    """

    name = "matmul"
    zero_terms = ("x y",)
    params = (tensor("x"), tensor("y"))
    code = "torch.matmul({x}, {y})"
    calls = {
        "torch.matmul": "x:input, y:other",
        "torch.linalg.matmul": "x:input, y:other",
        "Tensor.matmul": "x, y:other",
        "Tensor.__matmul__": "x, y:other",
        "Tensor.__rmatmul__": "y, x:other",
    }

    def infer(self, a: SimpleNamespace) -> TensorType:
        dtype = same_dtype(a.x, a.y)
        if not a.x.rank or not a.y.rank:
            raise ShapeError("a tensor without axes has no matrix product; multiply it elementwise")
        rows = a.x.shape[-2:-1]
        columns = a.y.shape[-1:] if a.y.rank > 1 else ()
        inner = a.y.shape[-2] if a.y.rank > 1 else a.y.shape[0]
        if a.x.shape[-1] != inner:
            raise ShapeError(
                f"{pretty(a.x.shape)} and {pretty(a.y.shape)} do not multiply: {a.x.shape[-1]} columns against {inner} rows; "
                "transpose one of them"
            )
        return TensorType(dtype, (*broadcast(a.x.shape[:-2], a.y.shape[:-2]), *rows, *columns))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        lead = elementwise({"x": a.x.shape[:-2], "y": a.y.shape[:-2]}, broadcast(a.x.shape[:-2], a.y.shape[:-2]), "b")
        x = (*lead.operands["x"], "m", "k") if a.x.rank > 1 else ("k",)
        y = (*lead.operands["y"], "k", "n") if a.y.rank > 1 else ("k",)
        out = (*lead.outputs[0], *(("m",) if a.x.rank > 1 else ()), *(("n",) if a.y.rank > 1 else ()))
        return Dims({"x": x, "y": y}, (out,), fixed=lead.fixed)

    def flops(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Any:
        # torch counts products with matrices on the right; those with a vector there are kernels it leaves out.
        return 0 if a.y.rank == 1 else 2 * outputs[0].numel * a.x.shape[-1]


class _Ranked(Matmul):
    """Base of products of operands with given numbers of axes, which do not broadcast."""

    ranks: tuple[int, int] = (2, 2)

    def infer(self, a: SimpleNamespace) -> TensorType:
        if (a.x.rank, a.y.rank) != self.ranks:
            raise ShapeError(
                f"the operands must have {self.ranks[0]} and {self.ranks[1]} axes, not {pretty(a.x.shape)} "
                f"and {pretty(a.y.shape)}; use matmul"
            )
        if a.x.shape[:-2] != a.y.shape[:-2]:
            shapes = f"{pretty(a.x.shape)} and {pretty(a.y.shape)}"
            raise ShapeError(f"{shapes} differ in their batch axis, which does not stretch here; use matmul")
        return super().infer(a)


class Mm(_Ranked):
    """Matrix times matrix: (m, k), (k, n) → (m, n)."""

    name = "mm"
    code = "torch.mm({x}, {y})"
    calls = {"torch.mm": "x:input, y:mat2", "Tensor.mm": "x, y:mat2"}


class Bmm(_Ranked):
    """Matrices times matrices, one by one: (b, m, k), (b, k, n) → (b, m, n)."""

    name = "bmm"
    ranks = (3, 3)
    code = "torch.bmm({x}, {y})"
    calls = {"torch.bmm": "x:input, y:mat2", "Tensor.bmm": "x, y:mat2"}


class Mv(_Ranked):
    """Matrix times vector: (m, k), (k) → (m)."""

    name = "mv"
    ranks = (2, 1)
    code = "torch.mv({x}, {y})"
    calls = {"torch.mv": "x:input, y:vec", "Tensor.mv": "x, y:vec"}


class Dot(_Ranked):
    """Inner product of two vectors: (k), (k) → ()."""

    name = "dot"
    ranks = (1, 1)
    code = "torch.dot({x}, {y})"
    calls = {
        "torch.dot": "x:input, y:tensor", "Tensor.dot": "x, y:tensor",
        "torch.vdot": "x:input, y:other, conjugate=True", "Tensor.vdot": "x, y:other, conjugate=True",
    }  # fmt: skip

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        """``vdot`` is the same for real numbers."""
        if not call.pop("conjugate", False):
            return call
        own = type_of(call["x"])
        return call if own is not None and not is_complex(own.dtype) else None


class Outer(Operator):
    """All products of two vectors: (m), (n) → (m, n)."""

    name = "outer"
    zero_terms = ("x y",)
    params = (tensor("x"), tensor("y"))
    code = "torch.outer({x}, {y})"
    calls = {
        **dict.fromkeys(("torch.outer", "torch.ger"), "x:input, y:vec2"),
        **dict.fromkeys(("Tensor.outer", "Tensor.ger"), "x, y:vec2"),
    }

    def infer(self, a: SimpleNamespace) -> TensorType:
        if (a.x.rank, a.y.rank) != (1, 1):
            raise ShapeError(f"outer takes two vectors, not {pretty(a.x.shape)} and {pretty(a.y.shape)}; flatten them")
        return TensorType(promote(a.x, a.y), (*a.x.shape, *a.y.shape))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return Dims({"x": ("m",), "y": ("n",)}, (("m", "n"),))


class Kron(Operator):
    """Kronecker product: every element of x times all of y, axis by axis."""

    name = "kron"
    zero_terms = ("x y",)
    params = (tensor("x"), tensor("y"))
    code = "torch.kron({x}, {y})"
    calls = {"torch.kron": "x:input, y:other", "Tensor.kron": "x, y:other"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        rank = max(a.x.rank, a.y.rank)
        x, y = ((1,) * (rank - t.rank) + t.shape for t in (a.x, a.y))
        return TensorType(promote(a.x, a.y), tuple(i * j for i, j in zip(x, y)))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        x, y = names("x", a.x.rank), names("y", a.y.rank)
        rank = max(len(x), len(y))
        rows = ((None,) * (rank - len(x)) + x, (None,) * (rank - len(y)) + y)
        out = tuple(Product((i, j)) if i and j else i or j for i, j in zip(*rows))
        return Dims({"x": x, "y": y}, (out,))  # type: ignore[arg-type]


# -- sum of a tensor and a product -----------------------------------------------------------------------------------
class Addmm(Operator):
    """beta · x + alpha · (a @ b): x broadcasts to (m, n); a (m, k), b (k, n)."""

    name = "addmm"
    zero_terms = ("x", "a b")
    params = (tensor("x"), tensor("a"), tensor("b"), attr("beta", scalar, 1), attr("alpha", scalar, 1))
    code = "torch.addmm({x}, {a}, {b}, beta={beta}, alpha={alpha})"
    calls = {
        "torch.addmm": "x:input, a:mat1, b:mat2, beta=1, alpha=1",
        "Tensor.addmm": "x, a:mat1, b:mat2, beta=1, alpha=1",
    }
    ranks: tuple[int, int] = (2, 2)
    summed = False

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {name: 1 for name in ("beta", "alpha") if getattr(a, name) == 1}

    def infer(self, a: SimpleNamespace) -> TensorType:
        dtype = same_dtype(a.x, a.a, a.b)
        if (a.a.rank, a.b.rank) != self.ranks:
            raise ShapeError(
                f"a and b must have {self.ranks[0]} and {self.ranks[1]} axes, not {pretty(a.a.shape)} and {pretty(a.b.shape)}; "
                "reshape them"
            )
        inner = a.b.shape[-2] if a.b.rank > 1 else a.b.shape[0]
        if a.a.shape[-1] != inner or a.a.shape[:-2] != a.b.shape[:-2]:
            raise ShapeError(f"{pretty(a.a.shape)} and {pretty(a.b.shape)} do not multiply; transpose one of them")
        shape = self.product_shape(a)
        if broadcast(a.x.shape, shape) != shape:
            raise ShapeError(f"{pretty(a.x.shape)} does not broadcast to the product {pretty(shape)}")
        return TensorType(dtype, shape)

    def product_shape(self, a: SimpleNamespace) -> tuple[Any, ...]:
        """Shape of the product."""
        lead = () if self.summed else a.a.shape[:-2]
        return (*lead, a.a.shape[-2], *(a.b.shape[-1:] if a.b.rank > 1 else ()))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        lead = ("b",) if a.a.rank == 3 else ()
        columns = ("n",) if a.b.rank > 1 else ()
        out = (*(() if self.summed else lead), "m", *columns)
        shape, offset = outputs[0].shape, outputs[0].rank - a.x.rank
        x = tuple(out[offset + i] if size == shape[offset + i] else f"x{i}" for i, size in enumerate(a.x.shape))
        return Dims(
            {"x": x, "a": (*lead, "m", "k"), "b": (*lead, "k", *columns)}, (out,),
            fixed=frozenset(label for label in x if label not in out),
        )  # fmt: skip

    def flops(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Any:
        # torch counts addmm and baddbmm only.
        return 0 if self.summed or a.b.rank == 1 else 2 * a.a.numel * a.b.shape[-1]


class Addmv(Addmm):
    """beta · x + alpha · (a @ b) for a vector b: a (m, k), b (k) → (m)."""

    name = "addmv"
    code = "torch.addmv({x}, {a}, {b}, beta={beta}, alpha={alpha})"
    calls = {
        "torch.addmv": "x:input, a:mat, b:vec, beta=1, alpha=1",
        "Tensor.addmv": "x, a:mat, b:vec, beta=1, alpha=1",
    }
    ranks = (2, 1)


class Baddbmm(Addmm):
    """beta · x + alpha · (a @ b), matrix by matrix: a (b, m, k), b (b, k, n) → (b, m, n)."""

    name = "baddbmm"
    code = "torch.baddbmm({x}, {a}, {b}, beta={beta}, alpha={alpha})"
    calls = {
        "torch.baddbmm": "x:input, a:batch1, b:batch2, beta=1, alpha=1",
        "Tensor.baddbmm": "x, a:batch1, b:batch2, beta=1, alpha=1",
    }
    ranks = (3, 3)


class Addbmm(Baddbmm):
    """beta · x + alpha · Σ (a @ b) over the batch: a (b, m, k), b (b, k, n) → (m, n)."""

    name = "addbmm"
    code = "torch.addbmm({x}, {a}, {b}, beta={beta}, alpha={alpha})"
    calls = {
        "torch.addbmm": "x:input, a:batch1, b:batch2, beta=1, alpha=1",
        "Tensor.addbmm": "x, a:batch1, b:batch2, beta=1, alpha=1",
    }
    summed = True


# -- contractions ----------------------------------------------------------------------------------------------------
def _axis_pairs(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, tuple | list) and len(value) == 2:
        rows = tuple(tuple(row) if isinstance(row, tuple | list) else (row,) for row in value)
        if len(rows[0]) == len(rows[1]) and all(type(i) is int for row in rows for i in row):
            return rows
    raise ValueError("a number of axes, or two lists of axes of equal length")


class Tensordot(Operator):
    """Sum of products over pairs of axes: ``dims`` last axes of x with the first of y, or two lists of axes."""

    name = "tensordot"
    zero_terms = ("x y",)
    params = (tensor("x"), tensor("y"), attr("dims", _axis_pairs, 2))
    code = "torch.tensordot({x}, {y}, dims={dims})"
    calls = {"torch.tensordot": "x:a, y:b, dims=2", "torch.functional.tensordot": "x:a, y:b, dims=2"}

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        try:
            return call | {"dims": _axis_pairs(call["dims"])}
        except ValueError:
            return None

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        if isinstance(a.dims, tuple):
            return {"dims": (axes(a.dims[0], a.x.rank, "axis of x"), axes(a.dims[1], a.y.rank, "axis of y"))}
        if a.dims > min(a.x.rank, a.y.rank):
            raise ShapeError(f"dims {a.dims} exceeds the axes of {pretty(a.x.shape)} or {pretty(a.y.shape)}; use fewer")
        return {"dims": (tuple(range(a.x.rank - a.dims, a.x.rank)), tuple(range(a.dims)))}

    def infer(self, a: SimpleNamespace) -> TensorType:
        dtype = same_dtype(a.x, a.y)
        for i, j in zip(*a.dims):
            if a.x.shape[i] != a.y.shape[j] and 1 not in (a.x.shape[i], a.y.shape[j]):
                raise ShapeError(f"axis {i} of {pretty(a.x.shape)} and axis {j} of {pretty(a.y.shape)} differ; pair equal axes")
        return TensorType(dtype, (*left_over(a.x.shape, a.dims[0]), *left_over(a.y.shape, a.dims[1])))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        x, y = list(names("x", a.x.rank)), list(names("y", a.y.rank))
        fixed = set()
        for i, j in zip(*a.dims):
            if a.x.shape[i] == a.y.shape[j]:
                y[j] = x[i]
            else:
                fixed |= {x[i], y[j]}
        out = (*left_over(tuple(x), a.dims[0]), *left_over(tuple(y), a.dims[1]))
        return Dims({"x": tuple(x), "y": tuple(y)}, (out,), fixed=frozenset(fixed))

    def flops(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Any:
        if outputs[0].numel == 1:
            return 0  # a dot product, which torch leaves out
        # A paired axis of size 1 on either side is summed away before the product.
        inner = prod(a.x.shape[i] for i, j in zip(*a.dims) if a.x.shape[i] == a.y.shape[j])
        return 2 * outputs[0].numel * inner


def left_over(row: tuple[Any, ...], taken: tuple[int, ...]) -> tuple[Any, ...]:
    """The entries of ``row`` outside the positions ``taken``."""
    return tuple(entry for i, entry in enumerate(row) if i not in taken)


class Cdist(Operator):
    """p-norm distances between all pairs of rows: (…, P, M), (…, R, M) → (…, P, R)."""

    name = "cdist"
    zero_terms = ("x1", "x2")
    params = (
        tensor("x1"), tensor("x2"), attr("p", real(0), 2.0),
        attr(
            "compute_mode",
            choice("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist"),
            "use_mm_for_euclid_dist_if_necessary",
        ),
    )  # fmt: skip
    code = "torch.cdist({x1}, {x2}, {p}, {compute_mode})"
    calls = dict.fromkeys(
        ("torch.cdist", "torch.functional.cdist"), "x1, x2, p=2.0, compute_mode='use_mm_for_euclid_dist_if_necessary'"
    )

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x1.rank < 2 or a.x2.rank < 2 or a.x1.shape[-1] != a.x2.shape[-1]:
            raise ShapeError(f"{pretty(a.x1.shape)} and {pretty(a.x2.shape)} are not rows of equal length (…, P, M), (…, R, M)")
        dtype = same_dtype(a.x1, a.x2)
        if not is_float(dtype):
            raise ShapeError(f"rows cannot be {dtype}; convert them to a float dtype first")
        lead = broadcast(a.x1.shape[:-2], a.x2.shape[:-2])
        return TensorType(dtype, (*lead, a.x1.shape[-2], a.x2.shape[-2]))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        lead = elementwise({"x1": a.x1.shape[:-2], "x2": a.x2.shape[:-2]}, outputs[0].shape[:-2], "b")
        return Dims(
            {"x1": (*lead.operands["x1"], "p", "m"), "x2": (*lead.operands["x2"], "r", "m")},
            ((*lead.outputs[0], "p", "r"),), fixed=lead.fixed, coupled={"m": "zeros"},
        )  # fmt: skip


class GroupedMm(Operator):
    """Products of groups of rows with one matrix each: x (T, k), y (g, k, n), ends of the groups offs (g) → (T, n).

    Also (g, m, k), (g, k, n) → (g, m, n); (m, T), (T, n) with offs → (g, m, n); (g, m, k), (k, T) with offs → (m, T).
    """

    name = "grouped_mm"
    zero_terms = ("x y",)
    params = (tensor("x"), tensor("y"), tensor("offs", None), attr("dtype", optional(dtype_attr), None))
    calls = dict.fromkeys(("torch._grouped_mm", "F.grouped_mm"), "x:mat_a, y:mat_b, offs=None, bias=None, dtype:out_dtype=None")
    code = "torch._grouped_mm({x}, {y}, offs={offs}, out_dtype={dtype})"

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        return call if call.pop("bias") is None else None

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"dtype": None} if a.dtype is not None and a.dtype.name == a.x.dtype else {}

    def infer(self, a: SimpleNamespace) -> TensorType:
        dtype = same_dtype(a.x, a.y)
        if a.dtype is not None and a.dtype.name != dtype:
            raise ShapeError(f"dtype {a.dtype.name} is not that of the operands, {dtype}; leave it out and convert the result")
        ranks = (a.x.rank, a.y.rank)
        if any(rank not in (2, 3) for rank in ranks) or a.x.shape[-1] != a.y.shape[-2]:
            raise ShapeError(f"{pretty(a.x.shape)} and {pretty(a.y.shape)} do not multiply in groups")
        if (a.offs is None) != (ranks == (3, 3)) or (a.offs is not None and (a.offs.rank != 1 or a.offs.dtype != "int32")):
            raise ShapeError("offs must be the int32 ends of the groups where one operand has 2 axes, and absent otherwise")
        groups = {t.shape[0] for t in (a.x, a.y) if t.rank == 3} | ({a.offs.shape[0]} if a.offs is not None else set())
        if len(groups) != 1:
            raise ShapeError(f"the operands disagree on the number of groups: {' and '.join(map(str, groups))}")
        lead = a.x.shape[:-2] if ranks == (3, 3) else a.offs.shape if ranks == (2, 2) else ()
        return TensorType(dtype, (*lead, a.x.shape[-2], a.y.shape[-1]))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        x = ("g", "m", "k") if a.x.rank == 3 else ("m", "k")
        y = ("g", "k", "n") if a.y.rank == 3 else ("k", "n")
        out = ("g", "m", "n") if outputs[0].rank == 3 else ("m", "n")
        # Kernels want rows of whole 16 bytes, whichever of their axes is the contiguous one.
        step = 16 // DTYPES[a.x.dtype][1]
        multiples = {
            label: step for label, size in (("k", a.x.shape[-1]), ("n", a.y.shape[-1]))
            if isinstance(size, int) and size % step == 0
        }  # fmt: skip
        if a.offs is None:
            return Dims({"x": x, "y": y}, (out,), multiples=multiples)
        # Groups are ranges of one axis: which of them an index is in depends on its place.
        ranged = "k" if a.x.rank == a.y.rank else "m" if a.x.rank == 2 else "n"
        return couple(Dims({"x": x, "y": y, "offs": ("g",)}, (out,), multiples=multiples), ("g", ranged), "other")
