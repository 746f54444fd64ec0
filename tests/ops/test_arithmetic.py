"""Arithmetic, comparisons, logic, masks and elementary functions against torch, dtype by dtype."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import ShapeError
from netloom.ops import operator
from netloom.ops.pointwise import require_fit
from tests.ops.replay import refused, replay

X = torch.tensor([[1.5, -2.0, 3.0], [0.1, 7.0, -0.7]])
Y = torch.tensor([3.0, -0.3, 1.7])
WHOLE = torch.tensor([3, -7, 2])
MASK = torch.tensor([True, False, True])
WAVES = torch.tensor([1 + 2j, -1j, 0.5 + 0j])
BYTES = torch.tensor([1, 2, 250], dtype=torch.uint8)
HALF = torch.tensor([1.5, -2, 3], dtype=torch.float16)
TRUE = torch.tensor([True, True, True])
ALL = (TRUE, BYTES, WHOLE, HALF, Y, Y.double(), WAVES, torch.tensor(2.5), torch.tensor(3), 2, 2.5, True, 1j)

SAME_AS_TORCH: list[tuple[Any, ...]] = [
    ("add", "Tensor.__radd__", X, 2),
    ("add", "torch.add", WHOLE, 3),
    ("sub", "Tensor.__rsub__", X, 0.1),
    ("sub", "Tensor.__rsub__", WHOLE, 1.5),
    ("sub", "torch.rsub", X, Y),
    ("mul", "Tensor.__mul__", X, Y),
    ("div", "Tensor.__truediv__", X, 3),
    ("div", "torch.div", WHOLE, 2),
    ("rdiv", "Tensor.__rtruediv__", X, 3),
    ("rdiv", "Tensor.__rtruediv__", WHOLE, 0.1),
    ("floor_divide", "Tensor.__floordiv__", X, Y),
    ("floor_divide", "Tensor.__rfloordiv__", WHOLE, 7),
    ("remainder", "Tensor.__mod__", X, Y),
    ("remainder", "Tensor.__rmod__", X, 5),
    ("fmod", "torch.fmod", X, Y),
    ("pow", "Tensor.__pow__", X, 2),
    ("pow", "Tensor.__rpow__", X, -2),
    ("pow", "torch.pow", WHOLE.abs(), Y),
    ("maximum", "torch.max", X, Y),
    ("minimum", "Tensor.min", X, Y),
    ("atan2", "torch.arctan2", X, Y),
    ("lerp", "torch.lerp", X, Y, 0.3),
    ("lerp", "Tensor.lerp", X, Y, Y),
    ("clamp", "Tensor.clamp", X, -1, 1.5),
    ("clamp", "torch.clip", X, None, Y),
    ("clamp", "Tensor.clamp_min", WHOLE, 0.5),
    ("where", "torch.where", MASK, X, 0.0),
    ("where", "Tensor.where", X, MASK, Y),
    ("masked_fill", "Tensor.masked_fill", Y, X > 0, float("-inf")),
    ("masked_fill", "Tensor.masked_fill", X, MASK, torch.tensor(4)),
    ("eq", "Tensor.__eq__", X, 7),
    ("ge", "torch.greater_equal", X, Y),
    ("bitwise_and", "Tensor.__and__", WHOLE, 6),
    ("bitwise_not", "Tensor.__invert__", MASK),
    ("bitwise_left_shift", "Tensor.__rlshift__", WHOLE.abs(), 1),
    ("logical_xor", "torch.logical_xor", X, MASK),
    ("isclose", "torch.isclose", X, X + 1e-7),
    ("round", "Tensor.round", X),
    ("logit", "torch.logit", X, 1e-3),
    ("nan_to_num", "torch.nan_to_num", X / 0, 1.0, 2.0),
    ("abs", "Tensor.__abs__", WAVES),
    ("angle", "torch.angle", WAVES),
    ("polar", "torch.polar", Y, X),
]


@pytest.mark.parametrize("case", SAME_AS_TORCH, ids=lambda case: f"{case[1]}-{case[0]}")
def test_same_as_torch(case: tuple[Any, ...]) -> None:
    replay(*case)


def _torch_or_none(name: str, *args: Any, **options: Any) -> torch.Tensor | None:
    try:
        result: torch.Tensor = getattr(torch, name)(*args, **options)
        return result
    except RuntimeError:
        return None


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "floor_divide", "remainder", "pow", "eq", "bitwise_or", "xlogy"])
def test_two_operands_of_any_dtype_promote_as_in_torch(name: str) -> None:
    for x, y in product(ALL[:9], ALL):
        if torch.result_type(x, y) == torch.complex32:
            continue  # torch computes little with these
        if _torch_or_none(name, x, y) is None:
            refused(name, f"torch.{name}", x, y)
        else:
            replay(name, f"torch.{name}", x, y)


@pytest.mark.parametrize("alpha", [1, 2, 0.5, True])
@pytest.mark.parametrize("x", [Y, WHOLE, MASK], ids=["float", "int", "bool"])
def test_scaled_sums(x: torch.Tensor, alpha: Any) -> None:
    for name in ("add", "sub"):
        if _torch_or_none(name, x, x, alpha=alpha) is None:
            refused(name, f"torch.{name}", x, x, alpha=alpha)
        else:
            replay(name, f"torch.{name}", x, x, alpha=alpha)


@given(st.sampled_from(["uint8", "int8", "int16", "int32", "int64"]), st.integers(-(2**18), 2**18), st.booleans())
def test_numbers_fit_integers_where_torch_says_so(dtype: str, number: int, as_float: bool) -> None:
    value = float(number) if as_float else number
    zeros = torch.zeros(1, dtype=getattr(torch, dtype))
    try:
        zeros.masked_fill(torch.tensor([True]), value)
    except RuntimeError:
        with pytest.raises(ShapeError, match="does not fit"):
            require_fit(value, dtype, "value")
    else:
        require_fit(value, dtype, "value")


def test_division_by_a_tensor_keeps_both_kernels() -> None:
    # Python's 3 / x is 3 · (1 / x) in torch, torch.div(3, x) is not: the last bits differ.
    x = torch.rand(10_000)
    assert not torch.equal(3 / x, torch.div(torch.tensor(3.0), x))
    assert replay("rdiv", "Tensor.__rtruediv__", x, 3)["number"] == 3
    replay("div", "torch.div", torch.tensor(3.0), x)


def test_only_plain_sums_commute() -> None:
    assert operator("add").commutes({"alpha": 1}) and not operator("add").commutes({"alpha": 2})


@pytest.mark.parametrize(
    ("message", "make"),
    [
        ("one of x, y must be a tensor", lambda x: nl.add(1, 2)),
        ("(N, 3) and (N, 4) do not broadcast: 3 against 4 at axis -1", lambda x: x + nl.input(4)),
        ("give min, max or both", lambda x: nl.clamp(x)),
        ("one bound is a number and the other a tensor", lambda x: nl.clamp(x, 0, x)),
        ("the condition is float32 where bool is expected", lambda x: nl.where(x, x, 0)),
        ("integers to the negative power -1 are not integers", lambda x: nl.pow(nl.input(3, dtype="int64"), -1)),
        ("the operand cannot be bool; convert it to an integer, float or complex dtype first", lambda x: nl.neg(nl.gt(x, 0))),
        ("alpha 0.5 does not fit a result of int64", lambda x: nl.add(nl.input(3, dtype="int64"), 1, alpha=0.5)),
    ],
)
def test_refusals_name_value_expectation_and_mend(message: str, make: Any) -> None:
    with pytest.raises(ShapeError) as caught:
        make(nl.input(3))
    assert message in str(caught.value)
