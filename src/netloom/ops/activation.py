"""Activation functions, the gates, and softmax."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import MODULE, attr, boolean, choice, dtype_attr, flag, integer, optional, tensor, weight
from .checks import real
from .dims import Concat, Dims, couple, names
from .operator import Operator, TensorType, pretty
from .pointwise import FlatAtZero, Unary, require_fit, require_kind, unary_calls


class Relu(FlatAtZero):
    """max(x, 0)."""

    name = "relu"
    zero_terms = ("x",)
    takes = "if"
    code = "F.relu({x})"
    inplace = "torch.relu_({x})"
    calls = {"F.relu": "x:input, inplace=False", **unary_calls("relu")}


class Relu6(FlatAtZero):
    """min(max(x, 0), 6): hardtanh between 0 and 6."""

    name = "relu6"
    zero_terms = ("x",)
    precedence = 1
    takes = "if"
    code = "F.relu6({x})"
    calls = {"F.relu6": "x:input, inplace=False", "F.hardtanh": "x:input, min_val=-1.0, max_val=1.0, inplace=False"}

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        low, high = call.pop("min_val", 0.0), call.pop("max_val", 6.0)
        return call if (low, high) == (0.0, 6.0) else None


class LeakyRelu(Unary):
    """x where positive, else negative_slope · x."""

    name = "leaky_relu"
    zero_terms = ("x",)
    params = (tensor("x"), attr("negative_slope", real(), 0.01))
    takes = "f"
    code = "F.leaky_relu({x}, {negative_slope})"
    inplace = "F.leaky_relu_({x}, {negative_slope})"
    calls = {"F.leaky_relu": "x:input, negative_slope=0.01, inplace=False"}

    def flat_at_zero(self, a: SimpleNamespace) -> bool:
        return bool(a.negative_slope == 0)


class Prelu(Unary):
    """x where positive, else w · x with a learned w: one for all, or one per channel (axis 1)."""

    name = "prelu"
    zero_terms = ("x",)
    params = (tensor("x"), attr("num_parameters", integer(1), 1), weight("weight"))
    takes = "f"
    code = "F.prelu({x}, {weight})"
    calls = {"F.prelu": "x:input, weight", "torch.prelu": "x:input, weight", "Tensor.prelu": "x, weight"}

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        shape = type_of(call["weight"]).shape
        return call | {"num_parameters": shape[0]} if len(shape) == 1 else None

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        return {"weight": TensorType(a.x.dtype, (a.num_parameters,))}

    def infer(self, a: SimpleNamespace) -> TensorType:
        require_kind(a.x.dtype, self.takes)
        channels = a.x.shape[1] if a.x.rank > 1 else 1
        if a.weight.shape != (a.num_parameters,) or a.num_parameters not in (1, channels):
            raise ShapeError(
                f"weight {pretty(a.weight.shape)} does not fit the {channels} channels (axis 1) of {pretty(a.x.shape)}; "
                f"use num_parameters=1 or {channels}"
            )
        if a.weight.dtype != a.x.dtype:
            raise ShapeError(f"weight is {a.weight.dtype} where x is {a.x.dtype}; convert one of them")
        return a.x

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes = names("d", a.x.rank)
        if a.num_parameters == 1:
            return Dims({"x": axes, "weight": ("w",)}, (axes,), fixed=frozenset({"w"}))
        return Dims({"x": axes, "weight": (axes[1],)}, (axes,), attrs={"num_parameters": axes[1]})

    def init(self, role: str, a: SimpleNamespace) -> tuple[Any, ...]:
        return ("constant", 0.25)


class Rrelu(Unary):
    """Leaky relu whose slope is drawn uniformly in training and is the mean of its bounds otherwise."""

    name = "rrelu"
    zero_terms = ("x",)
    params = (tensor("x"), attr("lower", real(), 1 / 8), attr("upper", real(), 1 / 3), attr("training", flag, MODULE))
    takes = "f"
    code = "F.rrelu({x}, {lower}, {upper}, {training})"
    effect = "random"
    calls = {
        "F.rrelu": "x:input, lower=0.125, upper=0.3333333333333333, training=False, inplace=False",
        "torch.rrelu": "x:input, lower=0.125, upper=0.3333333333333333, training=False",
    }

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.lower > a.upper:
            raise ShapeError(f"lower {a.lower} exceeds upper {a.upper}; swap them")
        if not (math.isfinite(a.lower) and math.isfinite(a.upper)):
            raise ShapeError(f"lower {a.lower} and upper {a.upper} must be finite")
        return super().infer(a)


class Elu(Unary):
    """x where positive, else alpha · (eˣ − 1). (Clevert et al. 2016)"""

    name = "elu"
    zero_terms = ("x",)
    params = (tensor("x"), attr("alpha", real(), 1.0))
    takes = "f"
    code = "F.elu({x}, {alpha})"
    calls = {"F.elu": "x:input, alpha=1.0, inplace=False"}

    def flat_at_zero(self, a: SimpleNamespace) -> bool:
        return bool(a.alpha == 0)


class Celu(Unary):
    """Elu that is smooth for every alpha. (Barron 2017)"""

    name = "celu"
    zero_terms = ("x",)
    params = (tensor("x"), attr("alpha", real(), 1.0))
    takes = "f"
    code = "F.celu({x}, {alpha})"
    calls = {"F.celu": "x:input, alpha=1.0, inplace=False", "torch.celu": "x:input, alpha=1.0"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.alpha == 0:
            raise ShapeError("alpha 0 divides by zero; use another alpha, or relu")
        return super().infer(a)


class Selu(Unary):
    """Scaled elu that keeps mean 0 and variance 1. (Klambauer et al. 2017)"""

    name = "selu"
    zero_terms = ("x",)
    takes = "f"
    code = "F.selu({x})"
    calls = {"F.selu": "x:input, inplace=False", "torch.selu": "x:input"}


class Gelu(Unary):
    """x · Φ(x), exact or in the tanh approximation. (Hendrycks and Gimpel 2016)"""

    name = "gelu"
    zero_terms = ("x",)
    params = (tensor("x"), attr("approximate", choice("none", "tanh"), "none"))
    takes = "f"
    code = "F.gelu({x}, approximate={approximate})"
    calls = {"F.gelu": "x:input, approximate='none'"}


class Silu(Unary):
    """x · sigmoid(x), also called swish."""

    name = "silu"
    zero_terms = ("x",)
    takes = "fc"
    code = "F.silu({x})"
    calls = {"F.silu": "x:input, inplace=False"}


class Mish(Unary):
    """x · tanh(softplus(x)). (Misra 2020)"""

    name = "mish"
    zero_terms = ("x",)
    takes = "f"
    code = "F.mish({x})"
    calls = {"F.mish": "x:input, inplace=False"}


class Sigmoid(Unary):
    """1 / (1 + e⁻ˣ)."""

    name = "sigmoid"
    gives = "float"
    code = "torch.sigmoid({x})"
    calls = {"F.sigmoid": "x:input", **unary_calls("sigmoid", special="expit")}


class Tanh(Unary):
    """Hyperbolic tangent."""

    name = "tanh"
    zero_terms = ("x",)
    gives = "float"
    code = "torch.tanh({x})"
    calls = {"F.tanh": "x:input", **unary_calls("tanh")}


class Hardtanh(Unary):
    """x kept between min_val and max_val."""

    name = "hardtanh"
    params = (tensor("x"), attr("min_val", real(), -1.0), attr("max_val", real(), 1.0))
    takes = "if"
    code = "F.hardtanh({x}, {min_val}, {max_val})"
    calls = {"F.hardtanh": "x:input, min_val=-1.0, max_val=1.0, inplace=False"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.min_val > a.max_val:
            raise ShapeError(f"min_val {a.min_val} exceeds max_val {a.max_val}; swap them")
        require_fit(a.min_val, a.x.dtype, "min_val")
        require_fit(a.max_val, a.x.dtype, "max_val")
        return super().infer(a)

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        return ("x",) if a.min_val <= 0 <= a.max_val else ()

    def flat_at_zero(self, a: SimpleNamespace) -> bool:
        return not a.min_val < 0 < a.max_val


class Hardsigmoid(Unary):
    """relu6(x + 3) / 6."""

    name = "hardsigmoid"
    takes = "f"
    code = "F.hardsigmoid({x})"
    calls = {"F.hardsigmoid": "x:input, inplace=False"}


class Hardswish(Unary):
    """x · relu6(x + 3) / 6. (Howard et al. 2019)"""

    name = "hardswish"
    zero_terms = ("x",)
    takes = "f"
    code = "F.hardswish({x})"
    calls = {"F.hardswish": "x:input, inplace=False"}


class Hardshrink(Unary):
    """0 where |x| ≤ lambd, else x."""

    name = "hardshrink"
    zero_terms = ("x",)
    params = (tensor("x"), attr("lambd", real(), 0.5))
    takes = "f"
    code = "F.hardshrink({x}, {lambd})"
    calls = dict.fromkeys(("F.hardshrink", "torch.hardshrink"), "x:input, lambd=0.5") | {"Tensor.hardshrink": "x, lambd=0.5"}

    def flat_at_zero(self, a: SimpleNamespace) -> bool:
        return bool(a.lambd >= 0)


class Softshrink(FlatAtZero):
    """0 where |x| ≤ lambd, else x moved by lambd towards 0."""

    name = "softshrink"
    zero_terms = ("x",)
    params = (tensor("x"), attr("lambd", real(0), 0.5))
    takes = "f"
    code = "F.softshrink({x}, {lambd})"
    calls = {"F.softshrink": "x:input, lambd=0.5"}


class Tanhshrink(FlatAtZero):
    """x − tanh(x)."""

    name = "tanhshrink"
    zero_terms = ("x",)
    takes = "ifc"
    gives = "float"
    code = "F.tanhshrink({x})"
    calls = {"F.tanhshrink": "x:input"}


class Softplus(Unary):
    """log(1 + e^(beta·x)) / beta, and x itself where beta·x exceeds the threshold."""

    name = "softplus"
    params = (tensor("x"), attr("beta", real(), 1.0), attr("threshold", real(), 20.0))
    takes = "f"
    code = "F.softplus({x}, {beta}, {threshold})"
    calls = {"F.softplus": "x:input, beta=1.0, threshold=20.0"}


class Softsign(Unary):
    """x / (1 + |x|)."""

    name = "softsign"
    zero_terms = ("x",)
    takes = "ifc"
    gives = "float"
    code = "F.softsign({x})"
    calls = {"F.softsign": "x:input"}


class Logsigmoid(Unary):
    """log(sigmoid(x))."""

    name = "logsigmoid"
    takes = "f"
    code = "F.logsigmoid({x})"
    calls = {"F.logsigmoid": "x:input"}


class Threshold(Unary):
    """x where it exceeds the threshold, else the value."""

    name = "threshold"
    params = (tensor("x"), attr("threshold", real()), attr("value", real()))
    takes = "if"
    code = "F.threshold({x}, {threshold}, {value})"
    calls = {
        "F.threshold": "x:input, threshold, value, inplace=False",
        "F._threshold": "x:input, threshold, value, inplace=False",
        "torch.threshold": "x:input, threshold, value",
    }  # fmt: skip

    def infer(self, a: SimpleNamespace) -> TensorType:
        require_fit(a.threshold, a.x.dtype, "threshold")
        require_fit(a.value, a.x.dtype, "value")
        return super().infer(a)

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        return ("x",) if a.threshold < 0 else ("x", "value")

    def flat_at_zero(self, a: SimpleNamespace) -> bool:
        return bool(a.threshold >= 0)


class Glu(Operator):
    """The first half of an axis times the sigmoid of its second half: (…, 2a, …) → (…, a, …). (Dauphin et al. 2017)

    >>> import netloom as nl
    >>> nl.glu(nl.input(64, 10), dim=1).shape
    (Size('N'), 32, 10)
    """

    name = "glu"
    zero_terms = ("x",)
    params = (tensor("x"), attr("dim", integer(), -1, axis_of="x"))
    code = "F.glu({x}, {dim})"
    calls = {"F.glu": "x:input, dim=-1"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        require_kind(a.x.dtype, "f")
        if a.x.rank == 0 or a.x.shape[a.dim] % 2 != 0:
            raise ShapeError(f"axis {a.dim} of {pretty(a.x.shape)} cannot be halved; its size must be even")
        return TensorType(a.x.dtype, (*a.x.shape[: a.dim], a.x.shape[a.dim] // 2, *a.x.shape[a.dim + 1 :]))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes: tuple[Any, ...] = names("d", a.x.rank)
        halved = axes[a.dim]
        return Dims({"x": (*axes[: a.dim], Concat((halved, halved)), *axes[a.dim + 1 :])}, (axes,))


def _over_an_axis(a: SimpleNamespace) -> Dims:
    """Dims of a function that weighs the elements along ``dim`` against each other."""
    rows = names("d", a.x.rank)
    return couple(Dims({"x": rows}, (rows,)), rows[a.dim : a.dim + 1], "other")


class Softmax(Operator):
    """eˣ over its sum along an axis; ``dtype`` converts x first."""

    name = "softmax"
    params = (tensor("x"), attr("dim", integer(), -1, axis_of="x"), attr("dtype", optional(dtype_attr), None))
    code = "torch.softmax({x}, {dim}, dtype={dtype})"
    calls = {
        "F.softmax": "x:input, dim=None, _stacklevel=3, dtype=None",
        "torch.softmax": "x:input, dim, dtype=None",
        "torch.special.softmax": "x:input, dim, dtype=None",
        "Tensor.softmax": "x, dim, dtype=None",
    }

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        call.pop("_stacklevel", None)
        if call.get("dim") is None:
            # F.softmax without dim picks this axis, with a warning.
            call["dim"] = 0 if type_of(call["x"]).rank in (0, 1, 3) else 1
        return call

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"dtype": None} if a.dtype is not None and a.dtype.name == a.x.dtype else {}

    def infer(self, a: SimpleNamespace) -> TensorType:
        dtype = a.dtype.name if a.dtype is not None else a.x.dtype
        require_kind(dtype, "f")
        return TensorType(dtype, a.x.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return _over_an_axis(a)


class LogSoftmax(Softmax):
    """Logarithm of softmax along an axis."""

    name = "log_softmax"
    code = "torch.log_softmax({x}, {dim}, dtype={dtype})"
    calls = {key.replace("softmax", "log_softmax"): signature for key, signature in Softmax.calls.items()}


class Softmin(Softmax):
    """Softmax of −x along an axis."""

    name = "softmin"
    code = "F.softmin({x}, {dim}, dtype={dtype})"
    calls = {"F.softmin": "x:input, dim=None, _stacklevel=3, dtype=None"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        require_kind(a.x.dtype, "ifc", "x")
        return super().infer(a)


class GumbelSoftmax(Operator):
    """Softmax of (x + Gumbel noise) / tau along an axis, one-hot where ``hard``. (Jang et al. 2017)"""

    name = "gumbel_softmax"
    params = (
        tensor("x"), attr("tau", real(), 1.0), attr("hard", boolean, False), attr("dim", integer(), -1, axis_of="x"),
    )  # fmt: skip
    code = "F.gumbel_softmax({x}, tau={tau}, hard={hard}, dim={dim})"
    effect = "random"
    calls = {"F.gumbel_softmax": "x:logits, tau=1, hard=False, eps=1e-10, dim=-1"}

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        call.pop("eps", None)  # torch ignores it
        return call

    def infer(self, a: SimpleNamespace) -> TensorType:
        require_kind(a.x.dtype, "f")
        return a.x

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return _over_an_axis(a)
