"""Promotion of dtypes: for every pair and every kind of operand as torch has it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from netloom.errors import ShapeError
from netloom.ops import TensorType
from netloom.ops.dtypes import DTYPES, promote, promote_pair

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf")


def outcome(function: Any, *args: Any) -> str:
    """The dtype's name, or "refused"."""
    try:
        return str(function(*args)).removeprefix("torch.")
    except (RuntimeError, ShapeError):
        return "refused"


@pytest.mark.parametrize("a", DTYPES)
def test_pairs(a: str) -> None:
    for b in DTYPES:
        expected = outcome(torch.promote_types, getattr(torch, a), getattr(torch, b))
        assert outcome(promote_pair, a, b) == expected, (a, b)


def operands(dtype: str) -> list[tuple[Any, Any]]:
    """(ours, torch's) of a tensor with axes and one without."""
    return [(TensorType(dtype, shape), torch.empty(shape, dtype=getattr(torch, dtype))) for shape in ((2,), ())]


@pytest.mark.parametrize("a", DTYPES)
def test_tensors_with_axes_without_and_numbers(a: str) -> None:
    numbers = [(n, n) for n in (True, 2, 0.5, 1j)]
    others = [pair for b in DTYPES for pair in operands(b)] + numbers
    for (ours, theirs), (other, torchs) in itertools.product(operands(a), others):
        assert outcome(promote, ours, other) == outcome(torch.result_type, theirs, torchs), (ours, other)
        assert outcome(promote, other, ours) == outcome(torch.result_type, torchs, theirs), (other, ours)
