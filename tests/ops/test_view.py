"""Views, axes, repetition, joining and splitting against torch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import ShapeError
from netloom.ops import Size
from tests.ops.replay import refused, replay

X = torch.arange(2 * 6 * 4 * 5, dtype=torch.float32).reshape(2, 6, 4, 5)
ONES = torch.randn(1, 3, 1, 4)
MATRIX = torch.randn(4, 6)
POINT = torch.tensor(3.0)

SAME_AS_TORCH = [
    ("reshape", "Tensor.view", X, 2, -1, 5),
    ("reshape", "Tensor.view", X, (2, 2, 3, 20)),
    ("reshape", "Tensor.reshape", X, (8, 30)),
    ("reshape", "torch.reshape", X, (-1,)),
    ("reshape", "torch.reshape", POINT, (1, 1)),
    ("reshape", "torch.reshape", ONES, (3, 4)),
    ("reshape", "torch.reshape", ONES, (3, 1, 4, 1, 1)),
    ("reshape", "torch.reshape", torch.zeros(0, 3), (3, 0)),
    ("reshape", "Tensor.view_as", MATRIX, torch.zeros(2, 2, 6)),
    ("reshape", "Tensor.reshape_as", MATRIX, torch.zeros(6, 4)),
    ("reshape", "torch.atleast_1d", POINT),
    ("reshape", "torch.atleast_2d", torch.zeros(3)),
    ("reshape", "torch.atleast_3d", torch.zeros(3)),
    ("reshape", "torch.atleast_3d", MATRIX),
    ("reshape", "torch.ravel", MATRIX),
    ("flatten", "torch.flatten", X, 1),
    ("flatten", "Tensor.flatten", X, -3, -2),
    ("flatten", "torch.flatten", X),
    ("flatten", "torch.flatten", POINT),
    ("unflatten", "torch.unflatten", X, 1, (2, -1)),
    ("unflatten", "Tensor.unflatten", X, -1, (5,)),
    ("unflatten", "Tensor.unflatten", torch.zeros(2, 0), 1, (0, 3)),
    ("bitcast", "Tensor.view", MATRIX, torch.int32),
    ("bitcast", "Tensor.view", MATRIX, torch.int16),
    ("bitcast", "Tensor.view", MATRIX, torch.float64),
    ("view_as_complex", "torch.view_as_complex", torch.randn(3, 4, 2)),
    ("view_as_real", "torch.view_as_real", torch.randn(3, 4, dtype=torch.complex64)),
    ("permute", "torch.permute", X, (0, 2, 3, 1)),
    ("permute", "Tensor.permute", X, 0, -1, 1, 2),
    ("permute", "torch.movedim", X, 1, -1),
    ("permute", "Tensor.moveaxis", X, (0, 1), (2, 0)),
    ("transpose", "torch.transpose", X, -1, 1),
    ("transpose", "Tensor.swapaxes", X, 0, 2),
    ("transpose", "torch.swapdims", POINT, 0, -1),
    ("transpose", "Tensor.T", MATRIX),
    ("transpose", "Tensor.t", MATRIX),
    ("transpose", "Tensor.mT", X),
    ("transpose", "Tensor.mH", X),
    ("permute", "Tensor.t", torch.zeros(3)),
    ("adjoint", "Tensor.mH", torch.randn(2, 3, 4, dtype=torch.complex64)),
    ("squeeze", "torch.squeeze", ONES),
    ("squeeze", "Tensor.squeeze", ONES, 1),
    ("squeeze", "torch.squeeze", ONES, (0, 1, -2)),
    ("squeeze", "torch.squeeze", POINT, 0),
    ("unsqueeze", "torch.unsqueeze", X, -1),
    ("unsqueeze", "Tensor.unsqueeze", POINT, 0),
    ("expand", "Tensor.expand", ONES, 2, -1, 5, -1),
    ("expand", "Tensor.expand", torch.zeros(1, 3), (4, 2, 3)),
    ("expand", "torch.broadcast_to", ONES, (7, 1, 3, 2, 4)),
    ("expand", "Tensor.expand_as", POINT, MATRIX),
    ("broadcast_tensors", "torch.broadcast_tensors", torch.zeros(3, 1), torch.zeros(4), POINT),
    ("repeat", "Tensor.repeat", MATRIX, 3, 1, 2),
    ("repeat", "Tensor.repeat", MATRIX, (0, 2)),
    ("repeat", "torch.tile", MATRIX, (2,)),
    ("repeat", "Tensor.tile", MATRIX, 2, 1, 1),
    ("repeat_interleave", "torch.repeat_interleave", MATRIX, 3, 1),
    ("repeat_interleave", "Tensor.repeat_interleave", MATRIX, 2),
    ("cat", "torch.cat", [MATRIX, MATRIX[:1]], 0),
    ("cat", "torch.cat", [torch.zeros(0), MATRIX, MATRIX.half()], -1),
    ("cat", "torch.cat", [torch.zeros(0), torch.zeros(0)]),
    ("cat", "torch.hstack", [torch.zeros(2), torch.zeros(3)]),
    ("cat", "torch.hstack", [MATRIX, MATRIX]),
    ("cat", "torch.vstack", [MATRIX, MATRIX]),
    ("cat", "torch.column_stack", [MATRIX, MATRIX]),
    ("cat", "torch.dstack", [X, X]),
    ("stack", "torch.stack", [MATRIX, MATRIX, MATRIX.double()], -1),
    ("stack", "torch.vstack", [torch.zeros(3), torch.ones(3)]),
    ("stack", "torch.dstack", [MATRIX, MATRIX]),
    ("stack", "torch.column_stack", [torch.zeros(3), torch.ones(3)]),
    ("stack", "torch.hstack", [POINT, POINT]),
    ("vstack", "torch.vstack", [MATRIX, MATRIX[0]]),
    ("column_stack", "torch.column_stack", [MATRIX, MATRIX[:, 0]]),
    ("dstack", "torch.dstack", [torch.zeros(3), torch.ones(3)]),
    ("split", "torch.split", X, 4, 1),
    ("split", "Tensor.split", X, [1, 5, 0], 1),
    ("split", "Tensor.split", X, 9, -1),
    ("split", "torch.chunk", X, 4, 1),
    ("split", "Tensor.chunk", X, 3, -1),
    ("split", "torch.tensor_split", X, 4, 3),
    ("split", "Tensor.tensor_split", X, (1, 4), 1),
    ("split", "torch.hsplit", X, 3),
    ("split", "torch.vsplit", X, 2),
    ("unbind", "torch.unbind", X, 1),
    ("unbind", "Tensor.unbind", ONES),
]


@pytest.mark.parametrize("case", SAME_AS_TORCH, ids=lambda case: case[1])
def test_same_as_torch(case):
    op, path, *args = case
    replay(op, path, *args)


REFUSED = [
    ("reshape", "torch.reshape", MATRIX, (5, 5)),
    ("reshape", "torch.reshape", MATRIX, (-1, -1)),
    ("reshape", "torch.reshape", torch.zeros(0, 3), (-1, 0)),
    ("reshape", "torch.reshape", MATRIX, (-1, 7)),
    ("flatten", "torch.flatten", X, 2, 1),
    ("unflatten", "torch.unflatten", X, 1, (4, -1)),
    ("bitcast", "Tensor.view", torch.zeros(3, 3), torch.float64),
    ("permute", "torch.permute", X, (0, 1, 2)),
    ("permute", "torch.permute", X, (0, 1, 2, 2)),
    ("transpose", "torch.transpose", X, 0, 4),
    ("squeeze", "torch.squeeze", X, 4),
    ("unsqueeze", "torch.unsqueeze", X, 5),
    ("expand", "Tensor.expand", MATRIX, 8, 6),
    ("expand", "Tensor.expand", MATRIX, -1, 4, 6),
    ("expand", "Tensor.expand", MATRIX, 6),
    ("repeat", "Tensor.repeat", MATRIX, 2),
    ("cat", "torch.cat", [MATRIX, MATRIX.T], 0),
    ("cat", "torch.cat", [POINT, POINT], 0),
    ("stack", "torch.stack", [MATRIX, MATRIX.T]),
    ("split", "torch.split", X, [1, 2], 1),
    ("unbind", "torch.unbind", POINT),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case[1])
def test_refused_as_torch_refuses(case):
    assert refused(*case)


def test_one_computation_has_one_normal_form():
    assert replay("split", "torch.chunk", X, 3, 1) == replay("split", "torch.split", X, 2, -3) | {"x": nl.ops.Edge("t0")}
    assert replay("squeeze", "torch.squeeze", ONES) == replay("squeeze", "torch.squeeze", ONES, (2, 0, 1))
    assert replay("transpose", "torch.transpose", X, 1, -1) == replay("transpose", "torch.transpose", X, 3, 1)
    assert replay("expand", "Tensor.expand", ONES, 2, -1, 5, -1)["shape"] == (2, 3, 5, 4)


def test_free_batch():
    n = Size.symbol("N")
    x = nl.input(6, 4)
    assert nl.reshape(x, (-1, 3, 2, 4)).shape == (n, 3, 2, 4)
    assert nl.reshape(x, (n * 6, 4)).shape == (6 * n, 4)
    assert nl.reshape(x, (-1,)).shape == (24 * n,)
    assert nl.expand(nl.parameter(1, 1, 4), (n, 6, -1)).shape == (n, 6, 4)
    assert [v.shape for v in nl.split(x, (2, 4))] == [(n, 2, 4), (n, 4, 4)]
    with pytest.raises(ShapeError, match="free size N"):
        nl.split(x, 3, dim=0)
    with pytest.raises(ShapeError, match="known size"):
        nl.unbind(x)


@given(st.lists(st.integers(1, 6), max_size=4), st.data())
def test_reshape_between_random_shapes(shape, data):
    numel = torch.zeros(shape).numel()
    rest, after = numel, []
    while rest > 1:
        after.append(data.draw(st.sampled_from([d for d in range(2, rest + 1) if rest % d == 0])))
        rest //= after[-1]
    for place in data.draw(st.lists(st.integers(0, 4), max_size=2)):
        after.insert(min(place, len(after)), 1)
    replay("reshape", "torch.reshape", torch.arange(numel).reshape(shape), tuple(after))
