"""Rounding, signs, absolute values, and the parts of complex numbers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

from ..errors import ShapeError
from .arguments import attr, integer, optional, tensor
from .checks import real
from .dims import Dims, elementwise, names
from .dtypes import real_of
from .operator import Operator, TensorType, broadcast
from .pointwise import FlatAtZero, Unary, kind_of, require_kind, tensor_shapes, unary_calls


class Neg(Unary):
    """−x."""

    name = "neg"
    zero_terms = ("x",)
    takes = "ifc"
    code = "torch.neg({x})"
    calls = unary_calls("neg", "negative")


class Sign(FlatAtZero):
    """−1, 0 or 1."""

    name = "sign"
    zero_terms = ("x",)
    takes = "bif"
    code = "torch.sign({x})"
    calls = unary_calls("sign")


class Sgn(FlatAtZero):
    """x / |x|, 0 at 0: the sign, also of complex numbers."""

    name = "sgn"
    zero_terms = ("x",)
    code = "torch.sgn({x})"
    calls = unary_calls("sgn")


class Floor(FlatAtZero):
    """The largest integer at most x."""

    name = "floor"
    zero_terms = ("x",)
    takes = "if"
    code = "torch.floor({x})"
    calls = unary_calls("floor")


class Ceil(FlatAtZero):
    """The smallest integer at least x."""

    name = "ceil"
    zero_terms = ("x",)
    takes = "if"
    code = "torch.ceil({x})"
    calls = unary_calls("ceil")


class Trunc(FlatAtZero):
    """x without its fraction."""

    name = "trunc"
    zero_terms = ("x",)
    takes = "if"
    code = "torch.trunc({x})"
    calls = unary_calls("trunc", "fix")


class Frac(Unary):
    """x − trunc(x)."""

    name = "frac"
    zero_terms = ("x",)
    takes = "f"
    code = "torch.frac({x})"
    calls = unary_calls("frac")


class Positive(Unary):
    """x itself (Python's ``+x``)."""

    name = "positive"
    zero_terms = ("x",)
    takes = "ifc"
    view = True
    code = "torch.positive({x})"
    calls = unary_calls("positive") | {"Tensor.__pos__": "x"}


class Abs(FlatAtZero):
    """|x|; real for complex numbers."""

    name = "abs"
    zero_terms = ("x",)
    takes = "ifc"
    gives = "real"
    code = "torch.abs({x})"
    calls = unary_calls("abs", "absolute") | {"Tensor.__abs__": "x"}


class Square(FlatAtZero):
    """x²."""

    name = "square"
    zero_terms = ("x",)
    code = "torch.square({x})"
    calls = unary_calls("square")

    def result_dtype(self, dtype: str) -> str:
        return "int64" if dtype == "bool" else dtype


class Round(FlatAtZero):
    """The nearest integer, halves to even; with ``decimals`` that many digits stay."""

    name = "round"
    zero_terms = ("x",)
    params = (tensor("x"), attr("decimals", integer(), 0))
    takes = "if"
    calls = dict.fromkeys(("torch.round", "torch.special.round"), "x:input, decimals=0") | {"Tensor.round": "x, decimals=0"}

    def template(self, a: SimpleNamespace) -> str:
        return "torch.round({x}, decimals={decimals})" if a.decimals else "torch.round({x})"

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.decimals:
            require_kind(a.x.dtype, "f", "x with decimals")
        return super().infer(a)


class Logit(Unary):
    """log(x / (1 − x)), x first kept between eps and 1 − eps where eps is given."""

    name = "logit"
    params = (tensor("x"), attr("eps", optional(real()), None))
    takes = "bif"
    gives = "float"
    code = "torch.logit({x}, {eps})"
    calls = dict.fromkeys(("torch.logit", "torch.special.logit"), "x:input, eps=None") | {"Tensor.logit": "x, eps=None"}


class NanToNum(Unary):
    """x with numbers in place of NaN, +∞ and −∞ (0 and the dtype's largest and smallest unless given)."""

    name = "nan_to_num"
    zero_terms = ("x",)
    params = (
        tensor("x"), attr("nan", optional(real()), None), attr("posinf", optional(real()), None),
        attr("neginf", optional(real()), None),
    )  # fmt: skip
    code = "torch.nan_to_num({x}, {nan}, {posinf}, {neginf})"
    calls = {
        "torch.nan_to_num": "x:input, nan=None, posinf=None, neginf=None",
        "Tensor.nan_to_num": "x, nan=None, posinf=None, neginf=None",
    }


# -- complex numbers ---------------------------------------------------------------------------------------------------
class Angle(FlatAtZero):
    """Angle of complex numbers; 0 or π for real ones."""

    name = "angle"
    zero_terms = ("x",)
    code = "torch.angle({x})"
    calls = unary_calls("angle")

    def result_dtype(self, dtype: str) -> str:
        return "float32" if kind_of(dtype) in ("bool", "integer") else real_of(dtype)


class Real(Unary):
    """The real part."""

    name = "real"
    zero_terms = ("x",)
    gives = "real"
    view = True
    code = "torch.real({x})"
    calls = {"torch.real": "x:input", "Tensor.real": "x"}


class Imag(Unary):
    """The imaginary part of complex numbers."""

    name = "imag"
    zero_terms = ("x",)
    takes = "c"
    gives = "real"
    view = True
    code = "torch.imag({x})"
    calls = {"torch.imag": "x:input", "Tensor.imag": "x"}


class Conj(Unary):
    """The complex conjugate; x itself where real."""

    name = "conj"
    zero_terms = ("x",)
    view = True
    code = "torch.conj({x})"
    calls = unary_calls("conj")


class ConjPhysical(Unary):
    """The complex conjugate, computed at once rather than noted for later."""

    name = "conj_physical"
    zero_terms = ("x",)
    code = "torch.conj_physical({x})"
    calls = unary_calls("conj_physical")


class ResolveConj(Unary):
    """x with a pending conjugation carried out."""

    name = "resolve_conj"
    zero_terms = ("x",)
    view = True
    code = "torch.resolve_conj({x})"
    calls = unary_calls("resolve_conj")


class ViewAsReal(Operator):
    """Complex numbers as pairs (real, imaginary) along a new last axis: (…) → (…, 2)."""

    name = "view_as_real"
    zero_terms = ("x",)
    params = (tensor("x"),)
    view = True
    code = "torch.view_as_real({x})"
    calls = {"torch.view_as_real": "x:input"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        require_kind(a.x.dtype, "c")
        return TensorType(real_of(a.x.dtype), (*a.x.shape, 2))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes = names("d", a.x.rank)
        return Dims({"x": axes}, ((*axes, "two"),), fixed=frozenset({"two"}))


class ViewAsComplex(Operator):
    """Pairs along the last axis as complex numbers: (…, 2) → (…)."""

    name = "view_as_complex"
    zero_terms = ("x",)
    params = (tensor("x"),)
    view = True
    code = "torch.view_as_complex({x})"
    calls = {"torch.view_as_complex": "x:input"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.dtype not in ("float16", "float32", "float64"):
            raise ShapeError(f"x cannot be {a.x.dtype}; convert it to float32 first")
        if not a.x.rank or a.x.shape[-1] != 2:
            raise ShapeError(f"the last axis of {a.x} must have size 2: real and imaginary part")
        return TensorType(complex_of(a.x.dtype), a.x.shape[:-1])

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes = names("d", a.x.rank)
        return Dims({"x": axes}, (axes[:-1],), fixed=frozenset({axes[-1]}))


class Complex(Operator):
    """Complex numbers from their real and imaginary parts, of one float dtype."""

    name = "complex"
    zero_terms: ClassVar[tuple[str, ...]] = ("x", "y")
    params = (tensor("x"), tensor("y"))
    code = "torch.complex({x}, {y})"
    calls = {"torch.complex": "x:real, y:imag"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.dtype != a.y.dtype or a.x.dtype not in ("float16", "float32", "float64"):
            raise ShapeError(f"both parts must have one float dtype, not {a.x.dtype} and {a.y.dtype}; convert them")
        return TensorType(complex_of(a.x.dtype), broadcast(a.x.shape, a.y.shape))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return elementwise(tensor_shapes({"x": a.x, "y": a.y}), outputs[0].shape)


class Polar(Complex):
    """Complex numbers from their absolute value and angle."""

    name = "polar"
    zero_terms = ("x",)
    code = "torch.polar({x}, {y})"
    calls = {"torch.polar": "x:abs, y:angle"}


def complex_of(dtype: str) -> str:
    """The complex dtype whose parts have this float dtype."""
    return {"float16": "complex32", "float32": "complex64", "float64": "complex128"}[dtype]
