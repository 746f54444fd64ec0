"""Pools against torch: windows that hang over the end, indices, adaptive sizes; and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import ShapeError
from netloom.ops.windows import covered
from tests.ops.replay import replay

X = torch.randn(2, 3, 9, 10)
LINE = torch.randn(2, 3, 11)
VOLUME = torch.randn(2, 3, 5, 6, 7)
POOLED, INDICES = F.max_pool2d(torch.randn(1, 2, 8, 8), 2, return_indices=True)

SAME_AS_TORCH: list[tuple[Any, ...]] = [
    ("max_pool2d", "F.max_pool2d", X, 3, 2, 1),
    ("max_pool2d", "F.max_pool2d", X, (3, 2), None, (1, 0), (2, 1), True),
    ("max_pool2d", "torch.max_pool2d", X[0], 2),
    ("max_pool2d", "F.max_pool2d_with_indices", X, 3, 2),
    ("max_pool1d", "F.max_pool1d", LINE, 2, 3, 0, 1, True),
    ("max_pool1d", "torch.max_pool1d_with_indices", LINE, 2),
    ("max_pool3d", "F.max_pool3d", VOLUME, 2),
    ("max_unpool2d", "F.max_unpool2d", POOLED, INDICES, 2, None, 0, (9, 8)),
    ("max_unpool2d", "F.max_unpool2d", POOLED, INDICES, 2),
    ("avg_pool1d", "F.avg_pool1d", LINE, 3, 2, 1, True, False),
    ("avg_pool2d", "F.avg_pool2d", X, 3, 2, 1, True, False),
    ("avg_pool2d", "F.avg_pool2d", X, 3, 2, 1, False, True, 5),
    ("avg_pool3d", "F.avg_pool3d", VOLUME, (2, 3, 2), 1),
    ("lp_pool1d", "F.lp_pool1d", LINE.abs(), 3.0, 2, None, True),
    ("lp_pool2d", "F.lp_pool2d", X, 2.0, (3, 2), 2),
    ("adaptive_avg_pool1d", "F.adaptive_avg_pool1d", LINE, 4),
    ("adaptive_avg_pool2d", "F.adaptive_avg_pool2d", X, (None, 1)),
    ("adaptive_avg_pool3d", "F.adaptive_avg_pool3d", VOLUME, (1, 2, None)),
    ("adaptive_max_pool1d", "torch.adaptive_max_pool1d", LINE, 4),
    ("adaptive_max_pool2d", "F.adaptive_max_pool2d", X, 2),
    ("adaptive_max_pool3d", "F.adaptive_max_pool3d_with_indices", VOLUME, 2),
]


@pytest.mark.parametrize("case", SAME_AS_TORCH, ids=lambda case: f"{case[1]}-{len(case)}")
def test_same_as_torch(case: tuple[Any, ...]) -> None:
    replay(*case)


def test_normal_forms() -> None:
    assert replay("max_pool2d", "F.max_pool2d", X, 2)["stride"] == (2, 2)
    assert replay("max_pool2d", "torch.max_pool2d", X, 2, ())["stride"] == (2, 2)
    assert replay("adaptive_avg_pool2d", "F.adaptive_avg_pool2d", X, (None, 1))["output_size"] == (9, 1)
    assert replay("max_pool2d", "F.max_pool2d_with_indices", X, 3, return_indices=False)["return_indices"] is True


@given(st.integers(1, 14), st.integers(1, 5), st.integers(1, 5), st.integers(0, 2), st.integers(1, 3), st.booleans())
def test_windows_are_counted_as_torch_counts_them(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool
) -> None:
    try:
        expected = F.max_pool1d(torch.empty(1, 1, size, device="meta"), kernel, stride, padding, dilation, ceil).shape[-1]
    except RuntimeError:
        with pytest.raises(ShapeError):
            nl.max_pool1d(nl.input(1, size), kernel, stride, padding, dilation, ceil)
    else:
        if padding <= kernel // 2:
            assert covered(size, kernel, stride, padding, dilation, ceil) == expected


def test_a_free_axis_with_ceil_mode_is_exact_or_refused() -> None:
    width = nl.Size.symbol("W")
    made = nl.max_pool1d(nl.input(3, width), 3, stride=2, ceil_mode=True)
    for size in range(3, 12):
        assert made.shape[-1].at({"W": size}) == F.max_pool1d(torch.empty(1, 3, size), 3, 2, ceil_mode=True).shape[-1]
    with pytest.raises(ShapeError, match="no closed form"):
        nl.max_pool1d(nl.input(3, width), 1, stride=2, ceil_mode=True)


REFUSED = [
    (lambda x: nl.max_pool2d(x, 2, padding=2), "padding 2 exceeds half of the kernel 2; use padding ≤ 1 or pad first"),
    (lambda x: nl.avg_pool2d(x, 12), "kernel 12×12 exceeds the input 9×10"),
    (lambda x: nl.max_pool2d(nl.input(3, 9, 9, dtype="bool"), 2), "cannot be bool; convert it to an integer or float dtype"),
    (lambda x: nl.avg_pool2d(x, 2, divisor_override=0), "divisor_override 0 divides by zero"),
    (lambda x: nl.max_pool3d(nl.input(3), 2), "has 2 axes where (N, C, D, H, W) or (C, D, H, W) is expected"),
    (lambda x: nl.adaptive_avg_pool2d(x, -1), "output_size = -1; expected an integer ≥ 0"),
    (lambda x: nl.max_unpool2d(x, x, 2), "indices are float32"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_refusals_name_value_expectation_and_mend(make: Any, message: str) -> None:
    with pytest.raises(nl.NetloomError) as caught:
        make(nl.input(3, 9, 10))
    assert message in str(caught.value)
