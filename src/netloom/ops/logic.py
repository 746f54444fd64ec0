"""Comparisons, logical and bitwise operators, shifts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

from ..errors import ShapeError
from .arguments import attr, boolean, operand, tensor
from .checks import real
from .pointwise import Binary, Unary, binary_calls, unary_calls


class _Comparison(Binary):
    """Base of comparisons: the first operand is a tensor (Python swaps ``2 < x`` into ``x > 2``)."""

    params = (tensor("x"), operand("y"))
    takes = "bif"
    gives = "bool"


class Eq(_Comparison):
    """Where x equals y."""

    name = "eq"
    takes = "bifc"
    commutative = ("x", "y")
    code = "torch.eq({x}, {y})"
    calls = binary_calls("eq", dunder="eq")


class Ne(_Comparison):
    """Where x differs from y."""

    name = "ne"
    zero_terms = ("x", "y")
    takes = "bifc"
    commutative = ("x", "y")
    code = "torch.ne({x}, {y})"
    calls = binary_calls("ne", "not_equal", dunder="ne")


class Lt(_Comparison):
    """Where x is less than y."""

    name = "lt"
    zero_terms = ("x", "y")
    code = "torch.lt({x}, {y})"
    calls = binary_calls("lt", "less", dunder="lt")


class Le(_Comparison):
    """Where x is at most y."""

    name = "le"
    code = "torch.le({x}, {y})"
    calls = binary_calls("le", "less_equal", dunder="le")


class Gt(_Comparison):
    """Where x is greater than y."""

    name = "gt"
    zero_terms = ("x", "y")
    code = "torch.gt({x}, {y})"
    calls = binary_calls("gt", "greater", dunder="gt")


class Ge(_Comparison):
    """Where x is at least y."""

    name = "ge"
    code = "torch.ge({x}, {y})"
    calls = binary_calls("ge", "greater_equal", dunder="ge")


class IsClose(Binary):
    """Where x and y differ by at most atol + rtol · |y|; equal dtypes."""

    name = "isclose"
    params = (
        tensor("x"), tensor("y"), attr("rtol", real(0), 1e-5), attr("atol", real(0), 1e-8), attr("equal_nan", boolean, False),
    )  # fmt: skip
    code = "torch.isclose({x}, {y}, {rtol}, {atol}, {equal_nan})"
    calls = {
        "torch.isclose": "x:input, y:other, rtol=1e-05, atol=1e-08, equal_nan=False",
        "Tensor.isclose": "x, y:other, rtol=1e-05, atol=1e-08, equal_nan=False",
    }

    def result_dtype(self, a: SimpleNamespace) -> str:
        if a.x.dtype != a.y.dtype:
            raise ShapeError(f"isclose needs equal dtypes, not {a.x.dtype} and {a.y.dtype}; convert one of them")
        return "bool"


# -- logical: any dtype, zero is false -------------------------------------------------------------------------------
class LogicalAnd(Binary):
    """Where both are not zero."""

    name = "logical_and"
    zero_terms: ClassVar[tuple[str, ...]] = ("x y",)
    params = (tensor("x"), tensor("y"))
    gives = "bool"
    commutative = ("x", "y")
    code = "torch.logical_and({x}, {y})"
    calls = binary_calls("logical_and")


class LogicalOr(LogicalAnd):
    """Where one is not zero."""

    name = "logical_or"
    zero_terms = ("x", "y")
    code = "torch.logical_or({x}, {y})"
    calls = binary_calls("logical_or")


class LogicalXor(LogicalAnd):
    """Where exactly one is not zero."""

    name = "logical_xor"
    zero_terms = ("x", "y")
    code = "torch.logical_xor({x}, {y})"
    calls = binary_calls("logical_xor")


class LogicalNot(Unary):
    """Where x is zero."""

    name = "logical_not"
    gives = "bool"
    code = "torch.logical_not({x})"
    calls = unary_calls("logical_not")


# -- bitwise: integers and bool --------------------------------------------------------------------------------------
class BitwiseAnd(Binary):
    """Bits set in both."""

    name = "bitwise_and"
    zero_terms: ClassVar[tuple[str, ...]] = ("x y",)
    takes = "bi"
    commutative = ("x", "y")
    code = "torch.bitwise_and({x}, {y})"
    calls = binary_calls("bitwise_and", dunder="and rand")


class BitwiseOr(BitwiseAnd):
    """Bits set in one or both."""

    name = "bitwise_or"
    zero_terms = ("x", "y")
    code = "torch.bitwise_or({x}, {y})"
    calls = binary_calls("bitwise_or", dunder="or ror")


class BitwiseXor(BitwiseAnd):
    """Bits set in exactly one."""

    name = "bitwise_xor"
    zero_terms = ("x", "y")
    code = "torch.bitwise_xor({x}, {y})"
    calls = binary_calls("bitwise_xor", dunder="xor rxor")


class BitwiseNot(Unary):
    """Every bit flipped; not, for bool."""

    name = "bitwise_not"
    takes = "bi"
    code = "torch.bitwise_not({x})"
    calls = unary_calls("bitwise_not") | {"Tensor.__invert__": "x"}


class ShiftLeft(Binary):
    """Bits of x moved left by y places."""

    name = "bitwise_left_shift"
    zero_terms = ("x",)
    takes = "bi"
    takes_promoted = "i"
    code = "torch.bitwise_left_shift({x}, {y})"
    calls = binary_calls("bitwise_left_shift", dunder="lshift", swapped="rlshift")


class ShiftRight(ShiftLeft):
    """Bits of x moved right by y places, keeping the sign."""

    name = "bitwise_right_shift"
    zero_terms = ("x",)
    code = "torch.bitwise_right_shift({x}, {y})"
    calls = binary_calls("bitwise_right_shift", dunder="rshift", swapped="rrshift")


class _Test(Unary):
    """Base of tests of every value."""

    gives = "bool"


class IsNan(_Test):
    """Where x is not a number."""

    name = "isnan"
    zero_terms = ("x",)
    code = "torch.isnan({x})"
    calls = unary_calls("isnan")


class IsInf(_Test):
    """Where x is infinite."""

    name = "isinf"
    zero_terms = ("x",)
    code = "torch.isinf({x})"
    calls = unary_calls("isinf")


class IsFinite(_Test):
    """Where x is neither infinite nor NaN."""

    name = "isfinite"
    code = "torch.isfinite({x})"
    calls = unary_calls("isfinite")


class IsPosInf(_Test):
    """Where x is +∞."""

    name = "isposinf"
    zero_terms = ("x",)
    takes = "bif"
    code = "torch.isposinf({x})"
    calls = unary_calls("isposinf")


class IsNegInf(_Test):
    """Where x is −∞."""

    name = "isneginf"
    zero_terms = ("x",)
    takes = "bif"
    code = "torch.isneginf({x})"
    calls = unary_calls("isneginf")


class SignBit(_Test):
    """Where x is negative, −0 included."""

    name = "signbit"
    zero_terms = ("x",)
    takes = "bif"
    code = "torch.signbit({x})"
    calls = unary_calls("signbit")
