"""Arithmetic of two or three tensors or numbers: they broadcast and promote as in torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import attr, choice, operand, scalar, tensor
from .dims import Dims, elementwise
from .dtypes import is_integer, number_dtype, promote
from .operator import Operator, TensorType
from .pointwise import Binary, Broadcasting, binary_calls, kind_of, require_fit, require_kind


class _Scaled(Binary):
    """Base of sum and difference, whose second operand may be scaled by ``alpha``."""

    params = (operand("x"), operand("y"), attr("alpha", scalar, 1))

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"alpha": 1} if a.alpha == 1 and not isinstance(a.alpha, bool) else {}

    def result_dtype(self, a: SimpleNamespace) -> str:
        dtype = promote(a.x, a.y)
        kind = kind_of(dtype)
        if (isinstance(a.alpha, bool) and kind != "bool") or (isinstance(a.alpha, float) and kind in ("bool", "integer")):
            raise ShapeError(f"alpha {a.alpha} does not fit a result of {dtype}; use a number of that kind")
        return dtype


class Add(_Scaled):
    """x + alpha · y."""

    name = "add"
    zero_terms = ("x", "y")
    commutative = ("x", "y")
    # In place the result keeps x's strides, which those of x + y are only where both operands agree.
    inplace = "{x}.add_({y}) if {x}.stride() == {y}.stride() else {x} + {y}"
    saves_output = False
    calls = {
        "torch.add": "x:input, y:other, alpha=1",
        "Tensor.add": "x, y:other, alpha=1",
        "Tensor.__add__": "x, y:other",
        "Tensor.__radd__": "x, y:other",
    }

    def commutes(self, args: Mapping[str, Any]) -> bool:
        return args["alpha"] == 1

    def inplace_when(self, a: SimpleNamespace) -> bool:
        return a.alpha == 1 and a.x == a.y

    def template(self, a: SimpleNamespace) -> str:
        return "({x} + {y})" if a.alpha == 1 and not isinstance(a.alpha, bool) else "torch.add({x}, {y}, alpha={alpha})"


class Sub(_Scaled):
    """x − alpha · y."""

    name = "sub"
    zero_terms = ("x", "y")
    saves_output = False
    calls = {
        **dict.fromkeys(("torch.sub", "torch.subtract"), "x:input, y:other, alpha=1"),
        **dict.fromkeys(("Tensor.sub", "Tensor.subtract"), "x, y:other, alpha=1"),
        "Tensor.__sub__": "x, y:other",
        "torch.rsub": "y:input, x:other, alpha=1",
        "Tensor.__rsub__": "y, x:other",
    }

    def template(self, a: SimpleNamespace) -> str:
        return "({x} - {y})" if a.alpha == 1 and not isinstance(a.alpha, bool) else "torch.sub({x}, {y}, alpha={alpha})"

    def result_dtype(self, a: SimpleNamespace) -> str:
        for value in (a.x, a.y):
            require_kind(value.dtype if isinstance(value, TensorType) else number_dtype(value), "ifc")
        return super().result_dtype(a)


class Mul(Binary):
    """x · y."""

    name = "mul"
    zero_terms = ("x y",)
    commutative = ("x", "y")
    code = "({x} * {y})"
    calls = binary_calls("mul", "multiply", dunder="mul rmul")


class Div(Binary):
    """x / y; ``rounding_mode`` "trunc" or "floor" rounds the quotient and keeps integers."""

    name = "div"
    zero_terms = ("x",)
    params = (operand("x"), operand("y"), attr("rounding_mode", choice(None, "trunc", "floor"), None))
    calls = {
        **dict.fromkeys(("torch.div", "torch.divide"), "x:input, y:other, rounding_mode=None"),
        **dict.fromkeys(("Tensor.div", "Tensor.divide"), "x, y:other, rounding_mode=None"),
        **binary_calls("true_divide", dunder="truediv div"),
    }

    def template(self, a: SimpleNamespace) -> str:
        # A number first: Python's operator would multiply by the reciprocal instead (see Reciprocated).
        if a.rounding_mode is None:
            return "({x} / {y})" if isinstance(a.x, TensorType) else "torch.div({x}, {y})"
        return "torch.div({x}, {y}, rounding_mode={rounding_mode})"

    def result_dtype(self, a: SimpleNamespace) -> str:
        dtype = promote(a.x, a.y)
        if a.rounding_mode is None:
            return "float32" if is_integer(dtype) else dtype
        require_kind(dtype, "if", f"a quotient with rounding_mode={a.rounding_mode!r}")
        return dtype


class Reciprocated(Operator):
    """number / x, computed as torch computes Python's ``number / tensor``: the reciprocal of x times the number."""

    name = "rdiv"
    params = (tensor("x"), attr("number", scalar))
    code = "({number} / {x})"
    calls = dict.fromkeys(("Tensor.__rtruediv__", "Tensor.__rdiv__"), "x, number:other")

    def infer(self, a: SimpleNamespace) -> TensorType:
        floating = TensorType("float32" if is_integer(a.x.dtype) else a.x.dtype, a.x.shape)
        return TensorType(promote(floating, a.number), a.x.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return elementwise({"x": a.x.shape}, outputs[0].shape)


class FloorDivide(Binary):
    """x / y rounded down."""

    name = "floor_divide"
    zero_terms = ("x",)
    takes_promoted = "if"
    code = "torch.floor_divide({x}, {y})"
    calls = binary_calls("floor_divide", dunder="floordiv", swapped="rfloordiv")


class Remainder(FloorDivide):
    """What is left of x over y, with the sign of y (as Python's %)."""

    name = "remainder"
    zero_terms = ("x",)
    code = "torch.remainder({x}, {y})"
    calls = binary_calls("remainder", dunder="mod", swapped="rmod")


class Fmod(FloorDivide):
    """What is left of x over y, with the sign of x (as C's fmod)."""

    name = "fmod"
    zero_terms = ("x",)
    code = "torch.fmod({x}, {y})"
    params = (tensor("x"), operand("y"))
    calls = binary_calls("fmod")


class Pow(Binary):
    """x to the power of y."""

    name = "pow"
    code = "torch.pow({x}, {y})"
    calls = {
        "torch.pow": "x:input, y:exponent",
        "Tensor.pow": "x, y:exponent",
        "Tensor.__pow__": "x, y:exponent",
        "Tensor.__rpow__": "y, x:other",
    }

    def flat_at_zero(self, a: SimpleNamespace) -> bool:
        return not isinstance(a.y, int | float) or a.y > 1

    def result_dtype(self, a: SimpleNamespace) -> str:
        dtype = promote(a.x, a.y)
        if isinstance(a.x, TensorType) and isinstance(a.y, TensorType) and dtype == "bool":
            raise ShapeError("x and y cannot both be bool; convert one to an integer dtype")
        if kind_of(dtype) in ("bool", "integer") and isinstance(a.y, int) and not isinstance(a.y, bool) and a.y < 0:
            raise ShapeError(f"integers to the negative power {a.y} are not integers; convert x to a float dtype first")
        return dtype

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        return _power_terms(a)


class FloatPower(Binary):
    """x to the power of y in double precision."""

    name = "float_power"
    code = "torch.float_power({x}, {y})"
    calls = {"torch.float_power": "x:input, y:exponent", "Tensor.float_power": "x, y:exponent"}

    def result_dtype(self, a: SimpleNamespace) -> str:
        return "complex128" if kind_of(promote(a.x, a.y)) == "complex" else "float64"

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        return _power_terms(a)


def _power_terms(a: SimpleNamespace) -> tuple[str, ...]:
    """What makes a power zero: its base, if the exponent is known to be positive."""
    return ("x",) if isinstance(a.y, int | float) and a.y > 0 else ()


# -- of two tensors --------------------------------------------------------------------------------------------------
class _OfTensors(Binary):
    """Base of functions that torch defines for tensors only, and not for complex ones."""

    params = (tensor("x"), tensor("y"))
    takes = "bif"


class Maximum(_OfTensors):
    """The larger of x and y; NaN where either is."""

    name = "maximum"
    zero_terms = ("x", "y")
    commutative = ("x", "y")
    code = "torch.maximum({x}, {y})"
    calls = binary_calls("maximum", "max")


class Minimum(Maximum):
    """The smaller of x and y; NaN where either is."""

    name = "minimum"
    zero_terms = ("x", "y")
    code = "torch.minimum({x}, {y})"
    calls = binary_calls("minimum", "min")


class Fmax(_OfTensors):
    """The larger of x and y; the other where one is NaN."""

    name = "fmax"
    zero_terms = ("x", "y")
    commutative = ("x", "y")
    code = "torch.fmax({x}, {y})"
    calls = binary_calls("fmax")


class Fmin(_OfTensors):
    """The smaller of x and y; the other where one is NaN."""

    name = "fmin"
    zero_terms = ("x", "y")
    commutative = ("x", "y")
    code = "torch.fmin({x}, {y})"
    calls = binary_calls("fmin")


class Atan2(_OfTensors):
    """Angle of the point (y, x), first operand over second."""

    name = "atan2"
    zero_terms = ("x", "y")
    gives = "float"
    code = "torch.atan2({x}, {y})"
    calls = binary_calls("atan2", "arctan2")


class Hypot(_OfTensors):
    """√(x² + y²)."""

    name = "hypot"
    zero_terms = ("x", "y")
    takes_promoted = "f"
    code = "torch.hypot({x}, {y})"
    calls = binary_calls("hypot")


class Logaddexp(_OfTensors):
    """log(eˣ + eʸ)."""

    name = "logaddexp"
    takes = "bifc"
    takes_promoted = "fc"
    code = "torch.logaddexp({x}, {y})"
    calls = binary_calls("logaddexp")


class Heaviside(_OfTensors):
    """0 where x < 0, ``values`` where x is 0, else 1."""

    name = "heaviside"
    zero_terms = ("x", "values")
    params = (tensor("x"), tensor("values"))
    code = "torch.heaviside({x}, {values})"
    calls = {"torch.heaviside": "x:input, values", "Tensor.heaviside": "x, values"}

    def result_dtype(self, a: SimpleNamespace) -> str:
        if a.x.dtype != a.values.dtype:
            raise ShapeError(f"values are {a.values.dtype} where x is {a.x.dtype}; convert one of them")
        return a.x.dtype


class Copysign(Binary):
    """|x| with the sign of y."""

    name = "copysign"
    zero_terms = ("x",)
    params = (tensor("x"), operand("y"))
    takes = "bif"
    gives = "float"
    code = "torch.copysign({x}, {y})"
    calls = binary_calls("copysign")


class Xlogy(Binary):
    """x · log(y), 0 where x is 0."""

    name = "xlogy"
    zero_terms = ("x",)
    takes = "bif"
    gives = "float"
    code = "torch.xlogy({x}, {y})"
    calls = binary_calls("xlogy", special="xlogy")


# -- of three tensors ------------------------------------------------------------------------------------------------
class Lerp(Broadcasting):
    """x + weight · (end − x): linear interpolation, dtypes all equal."""

    name = "lerp"
    zero_terms = ("x", "end weight")
    params = (tensor("x"), tensor("end"), operand("weight"))
    code = "torch.lerp({x}, {end}, {weight})"
    calls = {"torch.lerp": "x:input, end, weight", "Tensor.lerp": "x, end, weight"}

    def operands(self, a: SimpleNamespace) -> dict[str, Any]:
        found = super().operands(a)
        return found if isinstance(a.weight, TensorType) else {"x": a.x, "end": a.end}

    def result_dtype(self, a: SimpleNamespace) -> str:
        found = {value.dtype for value in self.operands(a).values() if value.rank or value is not a.weight}
        if len(found) > 1:
            raise ShapeError(f"lerp needs equal dtypes, not {' and '.join(sorted(found))}; convert them")
        if isinstance(a.weight, TensorType) and not a.weight.rank:
            return promote(a.x, a.weight)
        require_kind(a.x.dtype, "fc", "x")
        return a.x.dtype


class Addcmul(Broadcasting):
    """x + value · tensor1 · tensor2."""

    name = "addcmul"
    zero_terms = ("x", "tensor1 tensor2")
    params = (tensor("x"), tensor("tensor1"), tensor("tensor2"), attr("value", scalar, 1))
    code = "torch.addcmul({x}, {tensor1}, {tensor2}, value={value})"
    calls = {
        "torch.addcmul": "x:input, tensor1, tensor2, value=1",
        "Tensor.addcmul": "x, tensor1, tensor2, value=1",
    }
    takes_promoted = "ifc"

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"value": 1} if a.value == 1 else {}

    def result_dtype(self, a: SimpleNamespace) -> str:
        dtype = super().result_dtype(a)
        require_fit(a.value, dtype, "value")
        return dtype


class Addcdiv(Addcmul):
    """x + value · tensor1 / tensor2, of floats."""

    name = "addcdiv"
    zero_terms = ("x", "tensor1")
    code = "torch.addcdiv({x}, {tensor1}, {tensor2}, value={value})"
    calls = {
        "torch.addcdiv": "x:input, tensor1, tensor2, value=1",
        "Tensor.addcdiv": "x, tensor1, tensor2, value=1",
    }
    takes_promoted = "fc"

    def result_dtype(self, a: SimpleNamespace) -> str:
        if is_integer(promote(a.tensor1, a.tensor2)):
            raise ShapeError("addcdiv does not divide integers; convert tensor1 or tensor2 to a float dtype")
        return super().result_dtype(a)
