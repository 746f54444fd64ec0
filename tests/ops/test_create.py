"""Factories, casts and random tensors against torch."""

from __future__ import annotations

import pytest
import torch

import netloom as nl
from netloom.ops import Size
from tests.ops.replay import refused, replay

X = torch.randn(2, 6, 4, 5)
TURNED = X.permute(0, 2, 3, 1)
LONGS = torch.arange(6)

SAME_AS_TORCH = [
    ("zeros", "torch.zeros", 2, 3),
    ("zeros", "torch.zeros", (2, 3), {"dtype": torch.int64}),
    ("zeros", "torch.zeros", ()),
    ("zeros", "Tensor.new_zeros", X.half(), 4),
    ("ones", "torch.ones", [4]),
    ("ones", "Tensor.new_ones", LONGS, (2, 2)),
    ("full", "torch.full", (2,), 3),
    ("full", "torch.full", (2,), 3, {"dtype": torch.float16}),
    ("full", "torch.full", (2, 0), True),
    ("full", "Tensor.new_full", LONGS, (3,), 7),
    ("empty", "torch.empty", 2, 3),
    ("empty", "Tensor.new_empty", X, (2, 1, 1)),
    ("size_value", "torch.scalar_tensor", 3),
    ("zeros_like", "torch.zeros_like", TURNED),
    ("zeros_like", "torch.zeros_like", X, {"dtype": torch.bool, "memory_format": torch.channels_last}),
    ("ones_like", "torch.ones_like", LONGS),
    ("full_like", "torch.full_like", TURNED, 2),
    ("empty_like", "torch.empty_like", TURNED),
    ("arange", "torch.arange", 7),
    ("arange", "torch.arange", 2, 9, 3),
    ("arange", "torch.arange", 0, 1, 0.3),
    ("arange", "torch.arange", 5, 0, -2, {"dtype": torch.float64}),
    ("arange", "torch.arange", 5.0),
    ("linspace", "torch.linspace", 0, 1, 7),
    ("eye", "torch.eye", 3),
    ("eye", "torch.eye", 3, 5, {"dtype": torch.int32}),
    ("meshgrid", "torch.meshgrid", LONGS, torch.arange(3), {"indexing": "ij"}),
    ("meshgrid", "torch.meshgrid", [torch.zeros(2), torch.zeros(3), torch.zeros(4)], {"indexing": "xy"}),
    ("cartesian_prod", "torch.cartesian_prod", LONGS, torch.arange(3)),
    ("to", "Tensor.to", X, torch.float16),
    ("to", "Tensor.to", TURNED, torch.device("cpu"), torch.float64, True),
    ("to", "Tensor.to", LONGS, X),
    ("to", "Tensor.to", X, {"dtype": torch.int64}),
    ("to", "Tensor.to", X, {"memory_format": torch.channels_last}),
    ("to", "Tensor.float", LONGS),
    ("to", "Tensor.bool", LONGS),
    ("to", "Tensor.type", LONGS, torch.float16),
    ("to", "Tensor.type", LONGS, "torch.FloatTensor"),
    ("to", "Tensor.type_as", LONGS, X),
    ("contiguous", "Tensor.contiguous", TURNED),
    ("contiguous", "Tensor.contiguous", X, {"memory_format": torch.channels_last}),
    ("clone", "Tensor.clone", TURNED),
    ("clone", "torch.clone", TURNED, {"memory_format": torch.contiguous_format}),
    ("detach", "Tensor.detach", X),
    ("rand", "torch.rand", 2, 3),
    ("randn", "torch.randn", (2, 3), {"dtype": torch.float64}),
    ("randint", "torch.randint", 5, (3, 4)),
    ("randint", "torch.randint", 2, 5, (3, 4), {"dtype": torch.int32}),
    ("randperm", "torch.randperm", 9),
    ("rand_like", "torch.rand_like", TURNED),
    ("randn_like", "torch.randn_like", X, {"dtype": torch.float64}),
    ("randint_like", "torch.randint_like", LONGS, 3),
    ("randint_like", "torch.randint_like", X, 3, 9),
    ("bernoulli", "torch.bernoulli", X.sigmoid()),
    ("bernoulli", "Tensor.bernoulli", X, 0.25),
    ("normal", "torch.normal", X, 0.5),
    ("normal", "torch.normal", 1.0, X.abs()),
    ("normal", "torch.normal", 0.0, 2.0, (3, 4)),
    ("multinomial", "torch.multinomial", X[0, 0].abs(), 2),
    ("multinomial", "Tensor.multinomial", X[0, 0, 0].abs(), 20, True),
]


def split(case):
    op, path, *rest = case
    kwargs = rest.pop() if rest and isinstance(rest[-1], dict) else {}
    return op, path, rest, kwargs


@pytest.mark.parametrize("case", SAME_AS_TORCH, ids=lambda case: case[1])
def test_same_as_torch(case):
    op, path, args, kwargs = split(case)
    replay(op, path, *args, **kwargs)


FILLS = [
    ("uniform_like", "Tensor.uniform_", (-1.0, 2.0)),
    ("normal_like", "Tensor.normal_", (1.0, 3.0)),
    ("exponential_like", "Tensor.exponential_", (2.0,)),
    ("bernoulli_like", "Tensor.bernoulli_", (0.3,)),
    ("bernoulli_like", "Tensor.bernoulli_", (torch.rand(4, 5, 6),)),
    ("full_like", "Tensor.fill_", (2,)),
    ("zeros_like", "Tensor.zero_", ()),
]


@pytest.mark.parametrize("op, path, args", FILLS, ids=lambda v: v if isinstance(v, str) else "")
def test_fill_in_place_equals_pure_form(op, path, args):
    torch.manual_seed(0)
    wanted = getattr(TURNED.clone(), path.rpartition(".")[2])(*args)
    replay(op, path, TURNED.clone(), *args, expected=wanted)


REFUSED = [
    ("zeros", "torch.zeros", -1),
    ("arange", "torch.arange", 5, 0),
    ("arange", "torch.arange", 0, 5, 0),
    ("linspace", "torch.linspace", 0, 1, -1),
    ("zeros_like", "torch.zeros_like", LONGS, {"memory_format": torch.channels_last}),
    ("contiguous", "Tensor.contiguous", LONGS, {"memory_format": torch.channels_last}),
    ("meshgrid", "torch.meshgrid", X, {"indexing": "ij"}),
    ("randint", "torch.randint", 5, 5, (3,)),
    ("bernoulli", "torch.bernoulli", X, 1.5),
    ("bernoulli", "torch.bernoulli", LONGS),
    ("normal", "torch.normal", LONGS, 1.0),
    ("multinomial", "torch.multinomial", X[0, 0].abs(), 6),
    ("multinomial", "torch.multinomial", LONGS, 2),
    ("uniform_like", "Tensor.uniform_", X, 2.0, 1.0),
    ("exponential_like", "Tensor.exponential_", LONGS, 1.0),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case[1])
def test_refused_as_torch_refuses(case):
    op, path, args, kwargs = split(case)
    assert refused(op, path, *args, **kwargs)


def test_free_sizes():
    n = Size.symbol("N")
    assert nl.arange(0, n).shape == (n,)
    assert nl.zeros((n, 3)).shape == (n, 3)
    assert nl.full((2, n), 1).type == ("int64", (2, n))


def test_values_by_mode_must_agree():
    x = nl.input(4)
    assert nl.by_mode(x, x + 1).shape == x.shape
    with pytest.raises(nl.NetloomError, match="one dtype and shape"):
        nl.by_mode(x, nl.linear(x, 3))
