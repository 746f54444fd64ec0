"""Gathering and scattering, one-hot rows, sorted look-ups against torch."""

from __future__ import annotations

import pytest
import torch

from tests.ops.replay import refused, replay

X = torch.randn(4, 5, 6)
INDEX = torch.randint(0, 4, (3, 5, 2))
SOURCE = torch.randn(3, 5, 6)
ROWS = torch.tensor([0, 2, 3])
MASK = torch.rand(4, 5, 6) > 0.5
SORTED = torch.arange(6).float()

SAME_AS_TORCH = [
    ("gather", "torch.gather", X, 0, INDEX),
    ("gather", "Tensor.gather", X, -1, torch.zeros(4, 5, 9, dtype=torch.int64)),
    ("gather", "torch.gather", torch.randn(3), 0, torch.tensor([0, 0])),
    ("take_along_dim", "torch.take_along_dim", X, INDEX[:1, :, :1], 0),
    ("take_along_dim", "torch.take_along_dim", X, ROWS),
    ("scatter", "torch.scatter", X, 0, INDEX, SOURCE),
    ("scatter", "Tensor.scatter", X, 0, INDEX, 2.5),
    ("scatter", "Tensor.scatter", X, 0, INDEX, SOURCE, {"reduce": "add"}),
    ("scatter_add", "torch.scatter_add", X, 0, INDEX, SOURCE),
    ("scatter_reduce", "Tensor.scatter_reduce", X, 0, INDEX, SOURCE, "amax", {"include_self": False}),
    ("index_select", "torch.index_select", X, -1, ROWS),
    ("index_add", "torch.index_add", X, 0, ROWS, SOURCE, {"alpha": 2}),
    ("index_copy", "Tensor.index_copy", X, 0, ROWS, SOURCE),
    ("index_fill", "torch.index_fill", X, 1, ROWS, 3.0),
    ("index_fill", "torch.index_fill", X, 1, ROWS, torch.tensor(1.0)),
    ("masked_scatter", "torch.masked_scatter", X, MASK, torch.randn(200)),
    ("masked_scatter", "Tensor.masked_scatter", X, MASK[:, :1], torch.randn(200)),
    ("setitem", "torch.index_put", X, (ROWS, ROWS), torch.randn(6)),
    ("one_hot", "F.one_hot", INDEX, 7),
    ("searchsorted", "torch.searchsorted", SORTED, X),
    ("searchsorted", "torch.searchsorted", X.sort().values, X[..., :2].contiguous(), {"right": True, "out_int32": True}),
    ("searchsorted", "torch.searchsorted", SORTED, 2.5, {"side": "right"}),
    ("bucketize", "torch.bucketize", X, SORTED, {"right": True}),
    ("histc", "torch.histc", X, 5, -1, 1),
]


def split(case):
    op, path, *rest = case
    kwargs = rest.pop() if rest and isinstance(rest[-1], dict) else {}
    return op, path, rest, kwargs


@pytest.mark.filterwarnings("ignore:The reduce argument of torch.scatter")
@pytest.mark.parametrize("case", SAME_AS_TORCH, ids=lambda case: case[1])
def test_same_as_torch(case):
    op, path, args, kwargs = split(case)
    replay(op, path, *args, **kwargs)


REFUSED = [
    ("gather", "torch.gather", X, 0, INDEX.float()),
    ("gather", "torch.gather", X, 0, INDEX[0]),
    ("gather", "torch.gather", X, 0, torch.zeros(4, 6, 2, dtype=torch.int64)),
    ("scatter", "torch.scatter", X, 0, INDEX, SOURCE.double()),
    ("scatter", "torch.scatter", X, 0, INDEX, SOURCE[:, :4]),
    ("index_select", "torch.index_select", X, 0, INDEX),
    ("index_add", "torch.index_add", X, 0, ROWS, SOURCE[:2]),
    ("masked_scatter", "torch.masked_scatter", X, MASK.long(), SOURCE),
    ("one_hot", "F.one_hot", X, 3),
    ("searchsorted", "torch.searchsorted", X, SORTED),
    ("bucketize", "torch.bucketize", X, X),
    ("histc", "torch.histc", INDEX),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case[1])
def test_refused_as_torch_refuses(case):
    op, path, args, kwargs = split(case)
    assert refused(op, path, *args, **kwargs)
