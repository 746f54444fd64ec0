"""Elementary functions of one real or complex tensor: exponentials, trigonometry, special functions."""

from __future__ import annotations

from .pointwise import Unary, unary_calls


class _Floating(Unary):
    """Base of functions that make float32 of integers and bool."""

    gives = "float"


class Exp(_Floating):
    """eˣ."""

    name = "exp"
    code = "torch.exp({x})"
    calls = unary_calls("exp")


class Expm1(_Floating):
    """eˣ − 1, exact near 0."""

    name = "expm1"
    zero_terms = ("x",)
    code = "torch.expm1({x})"
    calls = unary_calls("expm1", special="expm1")


class Exp2(_Floating):
    """2ˣ."""

    name = "exp2"
    code = "torch.exp2({x})"
    calls = unary_calls("exp2", special="exp2")


class Log(_Floating):
    """Natural logarithm."""

    name = "log"
    code = "torch.log({x})"
    calls = unary_calls("log")


class Log1p(_Floating):
    """log(1 + x), exact near 0."""

    name = "log1p"
    zero_terms = ("x",)
    code = "torch.log1p({x})"
    calls = unary_calls("log1p", special="log1p")


class Log2(_Floating):
    """Logarithm to base 2."""

    name = "log2"
    code = "torch.log2({x})"
    calls = unary_calls("log2")


class Log10(_Floating):
    """Logarithm to base 10."""

    name = "log10"
    code = "torch.log10({x})"
    calls = unary_calls("log10")


class Sqrt(_Floating):
    """Square root."""

    name = "sqrt"
    zero_terms = ("x",)
    code = "torch.sqrt({x})"
    calls = unary_calls("sqrt")


class Rsqrt(_Floating):
    """1 / √x."""

    name = "rsqrt"
    code = "torch.rsqrt({x})"
    calls = unary_calls("rsqrt")


class Reciprocal(_Floating):
    """1 / x."""

    name = "reciprocal"
    code = "torch.reciprocal({x})"
    calls = unary_calls("reciprocal")


class Sin(_Floating):
    """Sine of x in radians."""

    name = "sin"
    zero_terms = ("x",)
    code = "torch.sin({x})"
    calls = unary_calls("sin")


class Cos(_Floating):
    """Cosine of x in radians."""

    name = "cos"
    code = "torch.cos({x})"
    calls = unary_calls("cos")


class Tan(_Floating):
    """Tangent of x in radians."""

    name = "tan"
    zero_terms = ("x",)
    code = "torch.tan({x})"
    calls = unary_calls("tan")


class Asin(_Floating):
    """Arc sine."""

    name = "asin"
    zero_terms = ("x",)
    code = "torch.asin({x})"
    calls = unary_calls("asin", "arcsin")


class Acos(_Floating):
    """Arc cosine."""

    name = "acos"
    code = "torch.acos({x})"
    calls = unary_calls("acos", "arccos")


class Atan(_Floating):
    """Arc tangent."""

    name = "atan"
    zero_terms = ("x",)
    code = "torch.atan({x})"
    calls = unary_calls("atan", "arctan")


class Sinh(_Floating):
    """Hyperbolic sine."""

    name = "sinh"
    zero_terms = ("x",)
    code = "torch.sinh({x})"
    calls = unary_calls("sinh")


class Cosh(_Floating):
    """Hyperbolic cosine."""

    name = "cosh"
    code = "torch.cosh({x})"
    calls = unary_calls("cosh")


class Asinh(_Floating):
    """Inverse hyperbolic sine."""

    name = "asinh"
    zero_terms = ("x",)
    code = "torch.asinh({x})"
    calls = unary_calls("asinh", "arcsinh")


class Acosh(_Floating):
    """Inverse hyperbolic cosine."""

    name = "acosh"
    code = "torch.acosh({x})"
    calls = unary_calls("acosh", "arccosh")


class Atanh(_Floating):
    """Inverse hyperbolic tangent."""

    name = "atanh"
    zero_terms = ("x",)
    code = "torch.atanh({x})"
    calls = unary_calls("atanh", "arctanh")


class Sinc(_Floating):
    """sin(πx) / (πx), 1 at 0."""

    name = "sinc"
    code = "torch.sinc({x})"
    calls = unary_calls("sinc", special="sinc")


class Erf(_Floating):
    """Error function."""

    name = "erf"
    zero_terms = ("x",)
    takes = "bif"
    code = "torch.erf({x})"
    calls = unary_calls("erf", special="erf")


class Erfc(_Floating):
    """1 − erf(x)."""

    name = "erfc"
    takes = "bif"
    code = "torch.erfc({x})"
    calls = unary_calls("erfc", special="erfc")


class Erfinv(_Floating):
    """Inverse of the error function."""

    name = "erfinv"
    zero_terms = ("x",)
    takes = "bif"
    code = "torch.erfinv({x})"
    calls = unary_calls("erfinv", special="erfinv")


class Lgamma(_Floating):
    """Logarithm of the absolute gamma function."""

    name = "lgamma"
    takes = "bif"
    code = "torch.lgamma({x})"
    calls = unary_calls("lgamma", special="gammaln")


class Digamma(_Floating):
    """Derivative of lgamma."""

    name = "digamma"
    takes = "bif"
    code = "torch.digamma({x})"
    calls = unary_calls("digamma", special="digamma psi")


class I0(_Floating):
    """Modified Bessel function of the first kind, order 0."""

    name = "i0"
    takes = "bif"
    code = "torch.i0({x})"
    calls = unary_calls("i0", special="i0")


class Deg2rad(_Floating):
    """Degrees to radians."""

    name = "deg2rad"
    zero_terms = ("x",)
    takes = "bif"
    code = "torch.deg2rad({x})"
    calls = unary_calls("deg2rad")


class Rad2deg(_Floating):
    """Radians to degrees."""

    name = "rad2deg"
    zero_terms = ("x",)
    takes = "bif"
    code = "torch.rad2deg({x})"
    calls = unary_calls("rad2deg")
