"""Sums over axes by index of an atom, against what `kept_indices` says is lost with that index."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import netloom as nl
from netloom.errors import EditError
from netloom.mutate import Take, analyse
from netloom.mutate.atoms import atoms_of, kept_indices, resized
from netloom.mutate.places import dimensions_of, feature_axis, fold, occurrences, unfold, weight_places
from netloom.ops import Concat, Edge, Product

SIZES = {"a": 3, "b": 4, "c": 2}
AXES = {
    "atom": "a",
    "take": Take("b", (3, 0, 0)),
    "heads": Product(("a", "b")),
    "gates": Concat(("a", "b", "a")),
    "fused": Product(("c", Concat(("a", Take("b", (1, 2)))), "b")),
    "nested": Concat((Product(("a", "c")), "b", Product(("b", "a")))),
}


@pytest.mark.parametrize("name", AXES)
def test_an_index_occurs_at_the_positions_that_go_with_it(name: str) -> None:
    axis = AXES[name]
    for atom in atoms_of(axis):
        for i in range(SIZES[atom]):
            kept = kept_indices(axis, SIZES, {atom: [j for j in range(SIZES[atom]) if j != i]})
            found = {int(p) for a, at, index in occurrences(axis, SIZES) if a == atom for p in at[index == i]}
            assert found == set(range(resized(axis, SIZES))) - set(kept)


@pytest.mark.parametrize("name", AXES)
def test_fold_is_the_transpose_of_unfold(name: str) -> None:
    axis, rng = AXES[name], np.random.default_rng(0)
    along = rng.normal(size=resized(axis, SIZES))
    values = {atom: rng.normal(size=SIZES[atom]) for atom in atoms_of(axis)}
    sums = fold(axis, SIZES, along)
    assert {atom: len(each) for atom, each in sums.items()} == {atom: SIZES[atom] for atom in atoms_of(axis)}
    assert sum(sums[atom] @ values[atom] for atom in values) == pytest.approx(along @ unfold(axis, SIZES, values))


def test_an_atom_that_is_multiplied_with_itself_counts_in_both_factors() -> None:
    sums = fold(Product(("c", "c")), SIZES, np.array([1.0, 10, 100, 1000]))
    assert sums["c"].tolist() == [11 + 101, 1100 + 1010]


def test_weights_are_listed_once_and_where_they_make_neurons() -> None:
    x = nl.input(5)
    hidden = nl.linear(x, 4, name="hidden")
    again = nl.linear(nl.relu(hidden), 4, name="next")
    graph = nl.Graph(x, nl.linear(hidden + again, 2, name="head"))
    places = [(place.node, place.key, place.axis, place.how) for place in weight_places(analyse(graph))]
    assert places == [
        ("hidden", "hidden.weight", 0, "hidden"), ("hidden", "hidden.bias", 0, "hidden"),
        ("next", "next.weight", 0, "hidden"), ("next", "next.bias", 0, "hidden"),
    ]  # fmt: skip


def test_neurons_lie_along_channels_or_features() -> None:
    x = nl.input(3, 8, 8)
    y = nl.relu(nl.conv2d(x, 6, kernel=3, name="conv"))
    z = nl.linear(nl.transpose(nl.flatten(y, 2), 1, 2), 7, name="linear")
    dims = analyse(nl.Graph(x, nl.linear(z, 2, name="head")))
    assert [feature_axis(dims, Edge(name)) for name in ("conv", "linear", "head")] == [1, 2, None]


@pytest.mark.parametrize("source, says", [(3, "a int is no network"), ("module", "a Linear must be traced first")])
def test_what_is_no_network_is_refused(source: Any, says: str) -> None:
    import torch

    with pytest.raises(EditError, match=says):
        dimensions_of(torch.nn.Linear(2, 2) if source == "module" else source)
