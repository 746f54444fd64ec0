"""Basic and advanced indexing, reading and writing, against torch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import ShapeError
from netloom.ops import Size, Slice
from tests.ops.replay import evaluated, refused, replay, setitem

X = torch.arange(4 * 5 * 6 * 3, dtype=torch.float32).reshape(4, 5, 6, 3)
ROWS = torch.tensor([0, 2, -1])
PAIRS = torch.tensor([[0, 1, 2], [3, 2, 1]])
COLUMN = torch.tensor([[1], [0]])
LAST = torch.tensor([0, 2, 1])

INDICES = [
    0,
    -1,
    slice(None),
    slice(1, 3),
    slice(None, None, 2),
    slice(3, 1),
    slice(-99, 99),
    (slice(None), slice(1, -1), Ellipsis),
    (Ellipsis, 0),
    (Ellipsis, None),
    (None, Ellipsis, slice(1, None), None),
    (slice(None), None, 2, ..., slice(2, 3)),
    (),
    ROWS,
    (ROWS, PAIRS),
    (slice(None), ROWS, LAST),
    (ROWS, slice(None), LAST),
    (0, ROWS, slice(None), LAST),
    (ROWS, 0, LAST),
    (ROWS, None, LAST),
    (COLUMN, slice(None), LAST, slice(1, 3)),
    (slice(None), [0, 2, 1]),
    (Ellipsis, PAIRS.int() % 3),
]


@pytest.mark.parametrize("index", INDICES, ids=lambda index: repr(index).replace("\n", "")[:50])
def test_getitem_and_setitem(index):
    replay("getitem", "Tensor.__getitem__", X, index)
    part = X[index]
    for value in (torch.randn(part.shape), torch.randn(part.shape[-1:]), torch.tensor(2.0), 7, torch.randn(1, 1, *part.shape)):
        replay("setitem", "Tensor.__setitem__", X, index, value, expected=setitem(X, index, value))


def test_select_and_narrow_are_indexing():
    assert replay("getitem", "torch.select", X, 2, -1) == replay(
        "getitem", "Tensor.__getitem__", X, (slice(None), slice(None), 5)
    )
    assert replay("getitem", "Tensor.narrow", X, 1, -3, 2) == replay(
        "getitem", "Tensor.__getitem__", X, (..., slice(2, 4), slice(None), slice(None))
    )
    replay("getitem", "torch.narrow", X, 0, 1, 0)
    assert refused("getitem", "torch.narrow", X, 1, 3, 3)
    assert refused("getitem", "torch.select", X, 1, 5)


def test_normal_form():
    def index(*given):
        return replay("getitem", "Tensor.__getitem__", X, given)["index"]

    assert index(Ellipsis, -1) == index(slice(None), slice(0, 5), slice(0, None, 1), 2)
    assert index(slice(None), slice(0, -1)) == (Slice(), Slice(0, 4, None))
    assert index(slice(0, 4), Ellipsis) == ()


def test_free_sizes():
    n, t = Size.symbol("N"), Size.symbol("T")
    x = nl.input(6, 4)
    assert x[:, 0].shape == (n, 4)
    assert x[1:].shape == (n - 1, 6, 4)
    assert x[:-1, ::2].shape == (n - 1, 3, 4)
    table = nl.parameter(512, 8)
    assert table[:t].shape == (t, 8)


def test_refused():
    assert refused("getitem", "Tensor.__getitem__", X, (0, 0, 0, 0, 0))
    assert refused("getitem", "Tensor.__getitem__", X, 4)
    assert refused("getitem", "Tensor.__getitem__", X, (ROWS, LAST[:2]))
    assert refused("getitem", "Tensor.__getitem__", X, torch.zeros(3))
    assert refused("getitem", "Tensor.__getitem__", X, slice(None, None, -1))
    with pytest.raises(ShapeError, match="depends on data"):
        evaluated("getitem", "Tensor.__getitem__", (X, X > 3), {})


def test_mask_is_written_where_one_value_goes_in():
    mask = X[..., 0] > 20
    replay("setitem", "Tensor.__setitem__", X, mask, 0.5, expected=setitem(X, mask, 0.5))
    replay("setitem", "Tensor.__setitem__", X, (mask, 1), torch.tensor(2.0), expected=setitem(X, (mask, 1), torch.tensor(2.0)))


ENTRY = st.one_of(
    st.integers(-3, 2),
    st.builds(slice, *[st.one_of(st.none(), st.integers(-7, 7))] * 2, st.one_of(st.none(), st.integers(1, 3))),
    st.none(),
    st.just(Ellipsis),
    st.sampled_from([LAST, COLUMN, PAIRS % 3, torch.tensor([[[1]]])]),
)


@settings(max_examples=200)
@given(st.lists(ENTRY, max_size=5).map(tuple).filter(lambda i: sum(e is Ellipsis for e in i) < 2))
def test_random_indices(index):
    try:
        X[index]
    except (IndexError, RuntimeError):
        assert refused("getitem", "Tensor.__getitem__", X, index)
        return
    replay("getitem", "Tensor.__getitem__", X, index)
