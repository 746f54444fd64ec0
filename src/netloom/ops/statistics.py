"""Variance, norms, quantiles, and running sums along an axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar

from ..errors import ShapeError
from .arguments import DType, Param, attr, boolean, choice, dtype_attr, either, integer, ints, number, operand, optional, tensor
from .dims import Dims, names
from .dtypes import is_complex, is_float, is_integer, promote_pair, real_of
from .operator import Operator, TensorType, pretty
from .reduce import Reduction, both, reduced, reduction_dims


def _bessel(call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
    """A call of ``var`` or its kin: ``unbiased`` may stand where ``dim`` stands, and means correction 1 or 0."""
    unbiased, correction = call.pop("unbiased", None), call.get("correction")
    if isinstance(call["dim"], bool):
        unbiased, call["dim"] = call["dim"], None
    if unbiased is not None:
        correction = 1 if unbiased else 0
    return call | {"correction": 1 if correction is None else correction}


_SPREAD = "dim=None, unbiased=None, keepdim=False, correction=None"


class Spread(Reduction):
    """Base of variances and deviations; the divisor is the number of elements less ``correction``."""

    params = (
        tensor("x"), attr("dim", optional(ints()), None, axis_of="x"), attr("correction", number(), 1),
        attr("keepdim", boolean, False),
    )  # fmt: skip

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return _bessel(call, type_of)

    def coupling(self, a: SimpleNamespace) -> str:
        return "other" if a.correction else "average"

    def result_dtype(self, a: SimpleNamespace) -> str:
        if is_integer(a.x.dtype):
            raise ShapeError(f"{self.name} takes floating point numbers, not {a.x.dtype}; convert x first")
        return real_of(a.x.dtype)


class Var(Spread):
    """Variance over ``dim``."""

    name = "var"
    zero_terms = ("x",)
    code = "torch.var({x}, {dim}, correction={correction}, keepdim={keepdim})"
    calls = both("var", _SPREAD)


class Std(Spread):
    """Standard deviation over ``dim``."""

    name = "std"
    zero_terms = ("x",)
    code = "torch.std({x}, {dim}, correction={correction}, keepdim={keepdim})"
    calls = both("std", _SPREAD)


class VarMean(Spread):
    """Variance and mean over ``dim``."""

    name = "var_mean"
    zero_terms = ("x",)
    code = "torch.var_mean({x}, {dim}, correction={correction}, keepdim={keepdim})"
    calls = {"torch.var_mean": f"x:input, {_SPREAD}"}

    def infer(self, a: SimpleNamespace) -> tuple[TensorType, ...]:  # type: ignore[override]
        shape = reduced(a.x.shape, a.dim, a.keepdim)
        return TensorType(self.result_dtype(a), shape), TensorType(a.x.dtype, shape)


class StdMean(VarMean):
    """Standard deviation and mean over ``dim``."""

    name = "std_mean"
    zero_terms = ("x",)
    code = "torch.std_mean({x}, {dim}, correction={correction}, keepdim={keepdim})"
    calls = {"torch.std_mean": f"x:input, {_SPREAD}"}


# -- norms ---------------------------------------------------------------------------------------------------------------
def norm_dtype(a: SimpleNamespace, name: str) -> str:
    """The dtype of a norm of x, computed in ``dtype`` where that is given; `ShapeError` where torch takes neither."""
    if is_integer(a.x.dtype):
        raise ShapeError(f"{name} takes floating point or complex numbers, not {a.x.dtype}")
    wide = a.x.dtype if a.dtype is None else a.dtype.name
    if is_complex(wide) != is_complex(a.x.dtype) or promote_pair(a.x.dtype, wide) != wide:
        raise ShapeError(f"{name} of {a.x.dtype} cannot be computed in {wide}; state a wider dtype of the same kind, or none")
    return real_of(wide)


def norm_coupling(p: Any) -> str:
    """How a p-norm couples the axes it is over: zeros add nothing to it, unless p is negative."""
    if isinstance(p, str) or p >= 0:
        return ""
    return "average" if p == -math.inf else "other"


class VectorNorm(Reduction):
    """(Σ |x|^p)^(1/p) over ``dim``, with p = ``ord``."""

    name = "vector_norm"
    zero_terms = ("x",)
    params = (
        tensor("x"), attr("ord", number(), 2.0), attr("dim", optional(ints()), None, axis_of="x"),
        attr("keepdim", boolean, False), attr("dtype", optional(dtype_attr), None),
    )  # fmt: skip
    code = "torch.linalg.vector_norm({x}, {ord}, {dim}, {keepdim}, dtype={dtype})"
    calls = {
        "torch.linalg.vector_norm": "x, ord=2.0, dim=None, keepdim=False, dtype=None",
        "torch.linalg.norm": "x:A, ord=None, dim=None, keepdim=False, dtype=None, general=True",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        if call.pop("general", False):
            one_axis = type(call["dim"]) is not tuple and (call["dim"] is not None or type_of(call["x"]).rank == 1)
            if call["ord"] is None and (call["dim"] is None or one_axis):
                call["ord"] = 2.0
            elif not one_axis:
                return None
        return call if isinstance(call["ord"], int | float) else None

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        found = super().normalize(a) | {"ord": float(a.ord)}
        return found | ({"dtype": None} if a.dtype is not None and a.dtype.name == a.x.dtype else {})

    def coupling(self, a: SimpleNamespace) -> str:
        return norm_coupling(a.ord)

    def flat_at_zero(self, a: SimpleNamespace) -> bool:
        return bool(a.ord != 1)

    def result_dtype(self, a: SimpleNamespace) -> str:
        return norm_dtype(a, self.name)


class Norm(Reduction):
    """``torch.norm``: the p-norm over ``dim``, where p is a number or "fro"."""

    name = "norm"
    zero_terms = ("x",)
    params = (
        tensor("x"), attr("p", either(choice("fro"), number()), "fro"), attr("dim", optional(ints()), None, axis_of="x"),
        attr("keepdim", boolean, False), attr("dtype", optional(dtype_attr), None),
    )  # fmt: skip
    code = "torch.norm({x}, {p}, {dim}, {keepdim}, dtype={dtype})"
    calls = both("norm", "p='fro', dim=None, keepdim=False, dtype=None")

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        # torch.norm takes other kernels for dim=None than for all axes listed.
        dims = tuple(sorted(a.dim)) if a.dim else None
        return {"dim": dims, "p": a.p if isinstance(a.p, str) else float(a.p)}

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return None if call["dim"] == () else call | {"p": 2.0 if call["p"] is None else call["p"]}

    def coupling(self, a: SimpleNamespace) -> str:
        return norm_coupling(a.p)

    def flat_at_zero(self, a: SimpleNamespace) -> bool:
        return bool(a.p != 1)

    def result_dtype(self, a: SimpleNamespace) -> str:
        return norm_dtype(a, self.name)


class MatrixNorm(Operator):
    """Frobenius norm of the matrices in the two axes ``dim``."""

    name = "matrix_norm"
    zero_terms = ("x",)
    params = (
        tensor("x"),
        attr("ord", choice("fro"), "fro"),
        attr("dim", ints(2), (-2, -1), axis_of="x"),
        attr("keepdim", boolean, False),
        attr("dtype", optional(dtype_attr), None),
    )
    code = "torch.linalg.matrix_norm({x}, {ord}, {dim}, {keepdim}, dtype={dtype})"
    calls = {"torch.linalg.matrix_norm": "x:A, ord='fro', dim=(-2, -1), keepdim=False, dtype=None"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.rank < 2:
            raise ShapeError(f"matrix_norm takes matrices, not {a.x}")
        return TensorType(norm_dtype(a, self.name), reduced(a.x.shape, a.dim, a.keepdim))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return reduction_dims(a.x.rank, a.dim, a.keepdim)


class Quantile(Operator):
    """The quantiles ``q`` (a number, or a vector whose axis comes first) along ``dim``, or of all elements."""

    name = "quantile"
    zero_terms = ("x",)
    params = (
        tensor("x"), operand("q"), attr("dim", optional(integer()), None, axis_of="x"), attr("keepdim", boolean, False),
        attr("interpolation", choice("linear", "lower", "higher", "midpoint", "nearest"), "linear"),
    )  # fmt: skip
    code = "torch.quantile({x}, {q}, {dim}, {keepdim}, interpolation={interpolation})"
    calls = both("quantile", "q, dim=None, keepdim=False, interpolation='linear'")

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.dtype not in ("float32", "float64"):
            raise ShapeError(f"{self.name} takes float32 or float64, not {a.x.dtype}")
        if a.x.numel == 0:
            raise ShapeError(f"{self.name} of an empty tensor {pretty(a.x.shape)} has no result")
        lead = self._lead(a)
        return TensorType(a.x.dtype, (*lead, *reduced(a.x.shape, None if a.dim is None else (a.dim,), a.keepdim)))

    def _lead(self, a: SimpleNamespace) -> tuple[Any, ...]:
        if not isinstance(a.q, TensorType):
            if not 0 <= a.q <= 1:
                raise ShapeError(f"q = {a.q}; expected a number in [0, 1]")
            return ()
        if a.q.rank > 1 or a.q.dtype != a.x.dtype:
            raise ShapeError(f"q must be a number or a vector of {a.x.dtype}, not {a.q}")
        return a.q.shape  # type: ignore[no-any-return]

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        tied = reduction_dims(a.x.rank, None if a.dim is None else (a.dim,), a.keepdim, kind="other")
        if not isinstance(a.q, TensorType):
            return tied
        lead = names("q", a.q.rank)
        return replace(tied, operands={**tied.operands, "q": lead}, outputs=((*lead, *tied.outputs[0]),))


class NanQuantile(Quantile):
    """As `Quantile`, without NaN."""

    name = "nanquantile"
    zero_terms = ("x",)
    code = "torch.nanquantile({x}, {q}, {dim}, {keepdim}, interpolation={interpolation})"
    calls = both("nanquantile", "q, dim=None, keepdim=False, interpolation='linear'")


# -- running along an axis ---------------------------------------------------------------------------------------------
class Scan(Operator):
    """Base of cumulative sums and products along ``dim``."""

    params: ClassVar[tuple[Param, ...]] = (
        tensor("x"),
        attr("dim", integer(), axis_of="x"),
        attr("dtype", optional(dtype_attr), None),
    )

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"dtype": a.dtype or DType("int64" if is_integer(a.x.dtype) else a.x.dtype)}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.dtype.name, a.x.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        return Dims({"x": rows}, (rows,) * len(outputs), fixed=frozenset(rows[a.dim : a.dim + 1]))


class Cumsum(Scan):
    """Sums of the elements so far along ``dim``."""

    name = "cumsum"
    zero_terms = ("x",)
    code = "torch.cumsum({x}, {dim}, dtype={dtype})"
    calls = both("cumsum", "dim, dtype=None")


class Cumprod(Scan):
    """Products of the elements so far along ``dim``."""

    name = "cumprod"
    zero_terms = ("x",)
    code = "torch.cumprod({x}, {dim}, dtype={dtype})"
    calls = both("cumprod", "dim, dtype=None")


class Cummax(Scan):
    """The largest elements so far along ``dim``, and their indices."""

    name = "cummax"
    params = (tensor("x"), attr("dim", integer(), axis_of="x"))
    code = "torch.cummax({x}, {dim})"
    calls = both("cummax", "dim")

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {}

    def infer(self, a: SimpleNamespace) -> tuple[TensorType, ...]:  # type: ignore[override]
        if is_complex(a.x.dtype):
            raise ShapeError(f"{self.name} needs an order, which {a.x.dtype} has not; use abs first")
        return a.x, TensorType("int64", a.x.shape)


class Cummin(Cummax):
    """The smallest elements so far along ``dim``, and their indices."""

    name = "cummin"
    code = "torch.cummin({x}, {dim})"
    calls = both("cummin", "dim")


class LogCumsumExp(Scan):
    """log Σ exp of the elements so far along ``dim``."""

    name = "logcumsumexp"
    params = (tensor("x"), attr("dim", integer(), axis_of="x"))
    code = "torch.logcumsumexp({x}, {dim})"
    calls = both("logcumsumexp", "dim")

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if not is_float(a.x.dtype) and not is_complex(a.x.dtype):
            raise ShapeError(f"logcumsumexp takes floating point numbers, not {a.x.dtype}")
        return a.x  # type: ignore[no-any-return]
