"""Reductions, extremes, statistics and scans against torch."""

from __future__ import annotations

import math

import pytest
import torch

from tests.ops.replay import evaluated, refused, replay

X = torch.randn(2, 6, 4, 5)
LONGS = torch.arange(12).reshape(3, 4)
POINT = torch.tensor(3.0)
EMPTY = torch.zeros(2, 0, 3)
COMPLEX = torch.randn(3, 4, dtype=torch.complex64)

SAME_AS_TORCH = [
    ("sum", "torch.sum", X),
    ("sum", "Tensor.sum", X, (1, -1), True),
    ("sum", "torch.sum", LONGS, 0),
    ("sum", "torch.sum", LONGS.bool(), {"dtype": torch.float32}),
    ("sum", "torch.sum", POINT, -1),
    ("sum", "torch.sum", X, ()),
    ("nansum", "torch.nansum", X, 1),
    ("mean", "Tensor.mean", X, {"dim": [-1, -2], "keepdim": True}),
    ("mean", "torch.mean", X),
    ("mean", "torch.mean", X, (0, 1, 2, 3), True),
    ("mean", "torch.mean", LONGS, {"dim": 1, "dtype": torch.float64}),
    ("nanmean", "torch.nanmean", X, 2),
    ("prod", "torch.prod", X, 1, True),
    ("prod", "Tensor.prod", LONGS),
    ("logsumexp", "torch.logsumexp", X, (1, 2)),
    ("amax", "torch.amax", X, (1, 3), True),
    ("amax", "Tensor.amax", X),
    ("amin", "torch.amin", LONGS, -1),
    ("all", "torch.all", LONGS),
    ("all", "Tensor.all", LONGS, 1, True),
    ("any", "torch.any", LONGS.byte(), {"dim": 0}),
    ("any", "torch.any", LONGS, (0, 1)),
    ("count_nonzero", "torch.count_nonzero", LONGS, 0),
    ("max", "torch.max", X),
    ("min", "Tensor.min", LONGS),
    ("median", "torch.median", X),
    ("max_along", "torch.max", X, 1),
    ("min_along", "Tensor.min", X, {"dim": -1, "keepdim": True}),
    ("median_along", "torch.median", X, -1),
    ("mode", "torch.mode", LONGS),
    ("kthvalue", "torch.kthvalue", X, 2, 1),
    ("aminmax", "torch.aminmax", X, {"dim": 1}),
    ("aminmax", "torch.aminmax", X),
    ("argmax", "torch.argmax", X),
    ("argmax", "Tensor.argmax", X, -1, True),
    ("argmin", "torch.argmin", LONGS, 0),
    ("topk", "torch.topk", X, 3, 1),
    ("topk", "Tensor.topk", LONGS, 2, {"largest": False}),
    ("topk", "torch.topk", POINT, 1),
    ("sort", "torch.sort", X, 1, True),
    ("sort", "Tensor.sort", X, {"stable": True, "dim": 2}),
    ("argsort", "torch.argsort", X, 2),
    ("var", "torch.var", X),
    ("var", "torch.var", X, 1, False, True),
    ("var", "Tensor.var", X, False),
    ("var", "torch.var", X, {"dim": (1, 2), "unbiased": False}),
    ("var", "torch.var", X, {"dim": (1, 2), "correction": 2, "keepdim": True}),
    ("std", "Tensor.std", X, -1),
    ("std", "torch.std", COMPLEX),
    ("var_mean", "torch.var_mean", X, {"dim": [1], "correction": 0, "keepdim": True}),
    ("std_mean", "torch.std_mean", X, 0),
    ("vector_norm", "torch.linalg.vector_norm", X, 1, (1, 2)),
    ("vector_norm", "torch.linalg.norm", X, {"dim": -1}),
    ("vector_norm", "torch.linalg.norm", X),
    ("vector_norm", "torch.linalg.vector_norm", COMPLEX, math.inf),
    ("matrix_norm", "torch.linalg.matrix_norm", X),
    ("norm", "torch.norm", X),
    ("norm", "Tensor.norm", X, {"dim": 1, "keepdim": True}),
    ("norm", "Tensor.norm", X, 2, -1),
    ("norm", "torch.norm", X, 1.5, (1, 2)),
    ("quantile", "torch.quantile", X, 0.3, 1, True),
    ("quantile", "torch.quantile", X, torch.tensor([0.1, 0.5]), -1),
    ("nanquantile", "torch.nanquantile", X, 0.5),
    ("cumsum", "torch.cumsum", X, -1),
    ("cumsum", "Tensor.cumsum", LONGS.bool(), 0),
    ("cumprod", "torch.cumprod", X, 1, {"dtype": torch.float64}),
    ("cummax", "torch.cummax", X, 1),
    ("cummin", "Tensor.cummin", LONGS, 0),
    ("logcumsumexp", "torch.logcumsumexp", X, 1),
]


def split(case):
    op, path, *rest = case
    kwargs = rest.pop() if rest and isinstance(rest[-1], dict) else {}
    return op, path, rest, kwargs


@pytest.mark.parametrize("case", SAME_AS_TORCH, ids=lambda case: case[1])
def test_same_as_torch(case):
    op, path, args, kwargs = split(case)
    replay(op, path, *args, **kwargs)


REFUSED = [
    ("sum", "torch.sum", X, (1, -3)),
    ("sum", "torch.sum", X, 4),
    ("mean", "torch.mean", LONGS),
    ("mean", "torch.mean", X, {"dtype": torch.int64}),
    ("amax", "torch.amax", EMPTY, 1),
    ("amax", "torch.amax", COMPLEX),
    ("max", "torch.max", EMPTY),
    ("max_along", "torch.max", EMPTY, 1),
    ("argmax", "torch.argmax", EMPTY),
    ("topk", "torch.topk", X, 7, 1),
    ("kthvalue", "torch.kthvalue", X, 7, 1),
    ("sort", "torch.sort", COMPLEX),
    ("var", "torch.var", LONGS),
    ("vector_norm", "torch.linalg.vector_norm", LONGS),
    ("quantile", "torch.quantile", X, 1.5),
    ("quantile", "torch.quantile", X.half(), 0.5),
    ("cumsum", "torch.cumsum", X, 4),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case[1])
def test_refused_as_torch_refuses(case):
    op, path, args, kwargs = split(case)
    assert refused(op, path, *args, **kwargs)


def test_the_three_meanings_of_max():
    assert evaluated("max_along", "torch.max", (X, X), {}) is None
    assert evaluated("max", "torch.max", (X, 1), {}) is None
    assert evaluated("max", "torch.max", (X,), {}) is not None


def test_one_computation_has_one_normal_form():
    whole = replay("sum", "torch.sum", X)
    assert replay("sum", "torch.sum", X, (3, 2, 1, 0)) == whole
    assert replay("sum", "torch.sum", X, (-1, 1)) == replay("sum", "torch.sum", X, (1, 3), dtype=torch.float32)
    assert replay("var", "torch.var", X, 1, False) == replay("var", "torch.var", X, 1, correction=0)
