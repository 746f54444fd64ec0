"""Reductions over axes: sums, means, extremes, logic, log-sum-exp."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

from ..errors import ShapeError
from .arguments import DType, Param, attr, boolean, dtype_attr, integer, ints, optional, tensor
from .dims import Dims, names
from .dtypes import is_complex, is_float, is_integer
from .operator import Operator, TensorType, pretty
from .view import plain_sizes


def reduced(rows: tuple[Any, ...], dims: tuple[int, ...] | None, keepdim: bool, one: Any = 1) -> tuple[Any, ...]:
    """``rows`` (sizes or labels) after a reduction over ``dims`` (all axes where None); kept axes become ``one``."""
    gone = range(len(rows)) if dims is None else dims
    if keepdim:
        return tuple((f"{one}{i}" if isinstance(one, str) else one) if i in gone else row for i, row in enumerate(rows))
    return tuple(row for i, row in enumerate(rows) if i not in gone)


def reduction_dims(rank: int, dims: tuple[int, ...] | None, keepdim: bool, count: int = 1, kind: str = "") -> Dims:
    """Dims of a reduction with ``count`` outputs: reduced axes are in the operand only, summed over or coupled by ``kind``."""
    rows = names("d", rank)
    out = reduced(rows, dims, keepdim, "one")
    fixed = frozenset(label for label in out if label.startswith("one"))
    coupled = {label: kind for label in rows if label not in out and kind}
    return Dims({"x": rows}, (out,) * count, fixed=fixed, coupled=coupled)


class Reduction(Operator):
    """Base of reductions over ``dim`` (one axis, several, or all where None), kept with size 1 where ``keepdim``.

    The normal form lists the axes in order; all of them are written as None.
    """

    params: ClassVar[tuple[Param, ...]] = (
        tensor("x"),
        attr("dim", optional(ints()), None, axis_of="x"),
        attr("keepdim", boolean, False),
    )
    empty_means_all = True
    coupled: ClassVar[str] = "other"

    def coupling(self, a: SimpleNamespace) -> str:
        """How the reduced axes are coupled (see `Dims`), "" where they are summed over: ``coupled`` unless it depends."""
        return self.coupled

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        if a.dim is None or (not a.dim and self.empty_means_all):
            return {"dim": None}
        dims = tuple(sorted(d for d in a.dim if a.x.rank))
        return {"dim": None if len(dims) == a.x.rank else dims}

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        if call.get("dim") is not None and plain_sizes(call["dim"]) is None:
            return None
        return call

    def template(self, a: SimpleNamespace) -> str:
        if a.dim is None and not a.keepdim and "{dim}, {keepdim}" in self.code and self.whole:
            return self.whole
        return self.code

    whole = ""

    def result_dtype(self, a: SimpleNamespace) -> str:
        return str(a.x.dtype)

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(self.result_dtype(a), reduced(a.x.shape, a.dim, a.keepdim))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return reduction_dims(a.x.rank, a.dim, a.keepdim, len(outputs), self.coupling(a))


def both(name: str, signature: str) -> dict[str, str]:
    """``calls`` of a function that is also a method."""
    return {f"torch.{name}": f"x:input, {signature}", f"Tensor.{name}": f"x, {signature}"}


class Accumulation(Reduction):
    """Base of sums: integers add up as int64, and ``dtype`` converts x first."""

    params = (*Reduction.params, attr("dtype", optional(dtype_attr), None))

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        own = "int64" if is_integer(a.x.dtype) else a.x.dtype
        same = a.dtype is not None and a.dtype.name == own and (a.x.dtype == own or is_integer(a.x.dtype))
        return super().normalize(a) | ({"dtype": None} if same else {})

    def result_dtype(self, a: SimpleNamespace) -> str:
        if a.dtype is not None:
            return str(a.dtype.name)
        return "int64" if is_integer(a.x.dtype) else str(a.x.dtype)


class Sum(Accumulation):
    """Sum over ``dim``.

    >>> import netloom as nl
    >>> nl.sum(nl.input(3, 8, 8), (2, 3)).shape
    (Size('N'), 3)
    """

    name = "sum"
    zero_terms = ("x",)
    coupled = ""
    code = "torch.sum({x}, {dim}, {keepdim}, dtype={dtype})"
    whole = "torch.sum({x}, dtype={dtype})"
    calls = both("sum", "dim:dim=None, keepdim=False, dtype=None")


class NanSum(Accumulation):
    """Sum over ``dim`` of what is not NaN."""

    name = "nansum"
    zero_terms = ("x",)
    coupled = ""
    code = "torch.nansum({x}, {dim}, {keepdim}, dtype={dtype})"
    calls = both("nansum", "dim=None, keepdim=False, dtype=None")


class Mean(Accumulation):
    """Mean over ``dim``."""

    name = "mean"
    zero_terms = ("x",)
    coupled = "average"
    code = "torch.mean({x}, {dim}, {keepdim}, dtype={dtype})"
    whole = "torch.mean({x}, dtype={dtype})"
    calls = both("mean", "dim=None, keepdim=False, dtype=None")

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        same = a.dtype is not None and a.dtype.name == a.x.dtype
        return Reduction.normalize(self, a) | ({"dtype": None} if same else {})

    def padded(self, a: SimpleNamespace, label: str, old: int, new: int) -> dict[str, Any] | None:
        # The sum stays; it is divided by more.
        return {"times": new / old}

    def result_dtype(self, a: SimpleNamespace) -> str:
        dtype = a.x.dtype if a.dtype is None else a.dtype.name
        if is_integer(dtype):
            raise ShapeError(f"the mean of {dtype} numbers is no {dtype}; state dtype=float32 or convert x first")
        return str(dtype)


class NanMean(Mean):
    """Mean over ``dim`` of what is not NaN."""

    name = "nanmean"
    zero_terms = ("x",)
    code = "torch.nanmean({x}, {dim}, {keepdim}, dtype={dtype})"
    whole = ""
    calls = both("nanmean", "dim=None, keepdim=False, dtype=None")

    def padded(self, a: SimpleNamespace, label: str, old: int, new: int) -> dict[str, Any] | None:
        return None

    def result_dtype(self, a: SimpleNamespace) -> str:
        if not is_float(a.x.dtype) and not is_complex(a.x.dtype):
            raise ShapeError(f"nanmean takes floating point numbers, not {a.x.dtype}")
        return super().result_dtype(a)


class LogSumExp(Reduction):
    """log Σ exp over ``dim``."""

    name = "logsumexp"
    params = (tensor("x"), attr("dim", ints(), axis_of="x"), attr("keepdim", boolean, False))
    code = "torch.logsumexp({x}, {dim}, {keepdim})"
    calls = both("logsumexp", "dim, keepdim=False") | {"torch.special.logsumexp": "x:input, dim, keepdim=False"}

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"dim": tuple(sorted(a.dim)) if a.dim else tuple(range(a.x.rank))}

    def result_dtype(self, a: SimpleNamespace) -> str:
        return "float32" if is_integer(a.x.dtype) else str(a.x.dtype)


class Extreme(Reduction):
    """Base of `Amax` and `Amin`."""

    coupled = "average"

    def infer(self, a: SimpleNamespace) -> TensorType:
        _check_ordered(a.x, self.name)
        _check_not_empty(a.x, a.dim, self.name)
        return super().infer(a)


def _check_ordered(x: TensorType, name: str) -> None:
    if is_complex(x.dtype):
        raise ShapeError(f"{name} needs an order, which {x.dtype} has not; use abs first")


def _check_not_empty(x: TensorType, dims: tuple[int, ...] | None, name: str) -> None:
    gone = range(x.rank) if dims is None else dims
    if any(x.shape[i] == 0 for i in gone if x.rank):
        raise ShapeError(f"{name} over an empty axis of {pretty(x.shape)} has no result")


class Amax(Extreme):
    """Largest element over ``dim``; the gradient is shared among equals."""

    name = "amax"
    zero_terms = ("x",)
    code = "torch.amax({x}, {dim}, {keepdim})"
    calls = both("amax", "dim=(), keepdim=False")

    def template(self, a: SimpleNamespace) -> str:
        return self.code if a.dim is not None else self.code.replace("{dim}", "()")


class Amin(Extreme):
    """Smallest element over ``dim``; the gradient is shared among equals."""

    name = "amin"
    zero_terms = ("x",)
    code = "torch.amin({x}, {dim}, {keepdim})"
    calls = both("amin", "dim=(), keepdim=False")

    def template(self, a: SimpleNamespace) -> str:
        return self.code if a.dim is not None else self.code.replace("{dim}", "()")


class Logical(Reduction):
    """Base of `All` and `Any`."""

    def result_dtype(self, a: SimpleNamespace) -> str:
        return "uint8" if a.x.dtype == "uint8" else "bool"


class All(Logical):
    """Whether all elements over ``dim`` are true."""

    name = "all"
    zero_terms = ("x",)
    coupled = "average"
    code = "torch.all({x}, {dim}, {keepdim})"
    whole = "torch.all({x})"
    calls = both("all", "dim=None, keepdim=False")


class AnyTrue(Logical):
    """Whether any element over ``dim`` is true."""

    name = "any"
    zero_terms = ("x",)
    coupled = ""
    code = "torch.any({x}, {dim}, {keepdim})"
    whole = "torch.any({x})"
    calls = both("any", "dim=None, keepdim=False")


class CountNonzero(Operator):
    """Number of elements over ``dim`` that are not zero."""

    name = "count_nonzero"
    zero_terms = ("x",)
    params = (tensor("x"), attr("dim", optional(ints()), None, axis_of="x"))
    code = "torch.count_nonzero({x}, {dim})"
    calls = both("count_nonzero", "dim=None")

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"dim": tuple(sorted(a.dim)) if a.dim and a.x.rank else None}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType("int64", reduced(a.x.shape, a.dim, False))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return reduction_dims(a.x.rank, a.dim, False)


class Prod(Operator):
    """Product over one axis ``dim``, or of all elements."""

    name = "prod"
    zero_terms = ("x",)
    params = (
        tensor("x"), attr("dim", optional(integer()), None, axis_of="x"), attr("keepdim", boolean, False),
        attr("dtype", optional(dtype_attr), None),
    )  # fmt: skip
    calls = both("prod", "dim=None, keepdim=False, dtype=None")

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return None if type(call["dim"]) is tuple else call

    def template(self, a: SimpleNamespace) -> str:
        return "torch.prod({x}, dtype={dtype})" if a.dim is None else "torch.prod({x}, {dim}, {keepdim}, dtype={dtype})"

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        dtype = DType(a.x.dtype) if a.dtype is None and not is_integer(a.x.dtype) else a.dtype or DType("int64")
        return {"dtype": dtype, "keepdim": a.keepdim and a.dim is not None}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.dtype.name, reduced(a.x.shape, None if a.dim is None else (a.dim,), a.keepdim))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return reduction_dims(a.x.rank, None if a.dim is None else (a.dim,), a.keepdim, kind="other")
