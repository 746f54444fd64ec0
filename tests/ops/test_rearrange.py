"""Shuffles, windows, padding, diagonals and triangles against torch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.replay import refused, replay

X = torch.arange(2 * 8 * 4 * 6, dtype=torch.float32).reshape(2, 8, 4, 6)
MATRIX = torch.randn(4, 6)
VECTOR = torch.randn(5)
POINT = torch.tensor(3.0)

SAME_AS_TORCH = [
    ("roll", "torch.roll", X, (-1, 2), (2, 3)),
    ("roll", "Tensor.roll", X, 3),
    ("flip", "torch.flip", X, (-1, 0)),
    ("flip", "Tensor.flip", X, 1, 2),
    ("flip", "torch.fliplr", MATRIX),
    ("rot90", "torch.rot90", X, 1, (2, 3)),
    ("rot90", "Tensor.rot90", X, -2, (-1, 0)),
    ("pixel_shuffle", "F.pixel_shuffle", X, 2),
    ("pixel_unshuffle", "F.pixel_unshuffle", X[0], 2),
    ("channel_shuffle", "F.channel_shuffle", X, 4),
    ("sliding_windows", "Tensor.unfold", X, -1, 3, 2),
    ("sliding_windows", "Tensor.unfold", POINT, 0, 1, 1),
    ("pad", "F.pad", X, (1, 2)),
    ("pad", "F.pad", X, (0, 0, 0, 0, 2, 3), "constant", 1.5),
    ("pad", "F.pad", X, (-1, 2, 0, -3)),
    ("pad", "F.pad", X, (1, 2, 3, 1), "reflect"),
    ("pad", "F.pad", X[0], (7, 2), "replicate"),
    ("pad", "F.pad", X, (6, 2, 0, 1), "circular"),
    ("pad", "F.pad", X.long(), (1, 1), "constant", 7),
    ("diagonal", "torch.diagonal", MATRIX, 1),
    ("diagonal", "Tensor.diagonal", X, -2, -1, 1),
    ("diagonal", "torch.linalg.diagonal", X),
    ("diag", "torch.diag", MATRIX, -1),
    ("diag", "Tensor.diag", VECTOR, 2),
    ("diag_embed", "torch.diag_embed", MATRIX),
    ("diag_embed", "torch.diag_embed", MATRIX, 1, 0, -1),
    ("tril", "torch.tril", X, -1),
    ("triu", "Tensor.triu", MATRIX, 1),
    ("tril_indices", "torch.tril_indices", 4, 3, -1),
    ("triu_indices", "torch.triu_indices", 3, 5, 1),
]


@pytest.mark.parametrize("case", SAME_AS_TORCH, ids=lambda case: case[1])
def test_same_as_torch(case):
    op, path, *args = case
    replay(op, path, *args)


REFUSED = [
    ("roll", "torch.roll", X, (1, 2), (1,)),
    ("flip", "torch.flip", X, (1, 1)),
    ("rot90", "torch.rot90", X, 1, (1, 1)),
    ("pixel_shuffle", "F.pixel_shuffle", X, 3),
    ("pixel_unshuffle", "F.pixel_unshuffle", X, 4),
    ("channel_shuffle", "F.channel_shuffle", X, 3),
    ("sliding_windows", "Tensor.unfold", X, 2, 5, 1),
    ("pad", "F.pad", X, (1, 2, 3)),
    ("pad", "F.pad", X, (-4, -3)),
    ("pad", "F.pad", X, (6, 0, 0, 0), "reflect"),
    ("pad", "F.pad", MATRIX, (1, 1, 1, 1), "reflect"),
    ("pad", "F.pad", X, (7, 0, 0, 0), "circular"),
    ("diagonal", "torch.diagonal", X, 0, 1, -3),
    ("diag", "torch.diag", X),
    ("tril", "torch.tril", VECTOR),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case[1])
def test_refused_as_torch_refuses(case):
    assert refused(*case)


@given(st.integers(0, 5), st.integers(0, 5), st.integers(-6, 6), st.booleans())
def test_triangle_indices(row, col, offset, upper):
    name = "triu_indices" if upper else "tril_indices"
    replay(name, f"torch.{name}", row, col, offset)
