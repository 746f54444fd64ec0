"""Edges that come and go; numbers are the rows of NaiveNASlib's table of answers.

Where a node of one operand gets a second, the reference adds within that node; here an addition is put before it. And where
a concatenation has one part left, it goes.
"""

from __future__ import annotations

from typing import Any

import pytest

import netloom as nl
from tests.mutate.conformance import (
    NEW,
    add,
    cat,
    checked,
    edited,
    graph_of,
    inv,
    layer,
    new,
    preserved,
    reads,
    refused,
    sizes,
    source,
)


# -- 20, 28, 29: into what keeps its size --------------------------------------------------------------------------------
def test_20_a_sum_of_two_layers() -> None:
    x = source()
    v3 = layer(inv(layer(x, 3, "v1"), "v2"), 2, "v3")
    edit = edited(nl.Graph(x, (v3, layer(layer(x, 7, "vnew"), 2, "head"))))
    edit.connect("vnew", "v2")
    assert sizes(edit, "v1", "vnew", "v2") == (7, 7, 7)
    assert edit.plan.indices("v1.weight") == edit.plan.indices("v3.weight", 1) == new([0, 1, 2], 7)
    assert edit.plan.indices("vnew.weight") == list(range(7))
    assert reads(edit, reads(edit, "v2")[0]) == ["v1", "vnew"]
    checked(edit)


def test_28_the_smaller_of_two_grows() -> None:
    x = source()
    v1, v2 = layer(x, 5, "v1"), layer(x, 4, "v2")
    edit = edited(nl.Graph(x, (layer(inv(v1, "v3"), 3, "v4"), layer(v2, 2, "v5"))))
    edit.connect("v2", "v3")
    assert sizes(edit, "v1", "v2", "v3") == (5, 5, 5)
    assert edit.plan.indices("v2.weight") == edit.plan.indices("v5.weight", 1) == [0, 1, 2, 3, NEW]
    assert edit.plan.indices("v4.weight", 1) == list(range(5))
    checked(edit)


def test_29_an_input_is_the_measure() -> None:
    x = source()
    edit = edited(nl.Graph(x, layer(inv(layer(x, 5, "v1"), "v2"), 3, "v3")))
    edit.connect("in", "v2")
    assert sizes(edit, "in", "v1", "v2") == (3, 3, 3)
    assert edit.plan.indices("v1.weight") == edit.plan.indices("v3.weight", 1) == [2, 3, 4]
    checked(edit)


# -- 25 to 27: out of a concatenation ------------------------------------------------------------------------------------
def test_25_the_part_that_is_left() -> None:
    x = source()
    v1, v2 = layer(x, 5, "v1"), layer(x, 4, "v2")
    edit = edited(nl.Graph(x, (layer(cat(v1, v2, name="v3"), 3, "v4"), layer(v2, 2, "v5"))))
    edit.disconnect("v2", "v3")
    assert sizes(edit, "v1", "v2") == (5, 4) and reads(edit, "v4") == ["v1"] and reads(edit, "v5") == ["v2"]
    assert edit.plan.indices("v4.weight", 1) == [0, 1, 2, 3, 4]
    assert edit.plan.indices("v5.weight", 1) == [0, 1, 2, 3]
    checked(edit)
    edit["v1"].resize(out=+2)
    assert edit.plan.indices("v4.weight", 1) == new(range(5), 7)
    checked(edit)


@pytest.mark.parametrize(
    "number, left, kept", [(0, ["v2", "v1"], list(range(5, 14))), (1, ["v1", "v2"], list(range(9)))]
)
def test_26_one_of_two_edges(number: int, left: list[str], kept: list[int]) -> None:
    x = source()
    v1, v2 = layer(x, 5, "v1"), layer(x, 4, "v2")
    edit = edited(graph_of(x, cat(v1, v2, v1, name="v3")))
    edit.disconnect("v1", "v3", number=number)
    assert reads(edit, "v3") == left and sizes(edit, "v3", "v1", "v2") == (9, 5, 4)
    assert edit.plan.indices("head.weight", 1) == kept
    checked(edit)


def test_27_readers_keep_the_weights_of_the_parts_that_stay() -> None:
    """The reference shrinks v1 to [2] and v3 to [3, 4] first, and its reader keeps [2, 6, 10, 11]; nothing asks for that."""
    x = source()
    v4 = cat(layer(x, 3, "v1"), layer(x, 4, "v2"), layer(x, 5, "v3"), name="v4")
    edit = edited(nl.Graph(x, layer(v4, 3, "v5")))
    edit.disconnect("v2", "v4")
    assert sizes(edit, "v1", "v3", "v4") == (3, 5, 8) and reads(edit, "v4") == ["v1", "v3"]
    assert edit.plan.indices("v5.weight", 1) == [0, 1, 2, 7, 8, 9, 10, 11]
    assert edit.plan.indices("v1.weight") == [0, 1, 2] and edit.plan.indices("v3.weight") == [0, 1, 2, 3, 4]
    checked(edit)


# -- 30: into a concatenation --------------------------------------------------------------------------------------------
def test_30_one_more_part() -> None:
    x = source()
    v1, v2, v3 = layer(x, 3, "v1"), layer(x, 4, "v2"), layer(x, 5, "v3")
    edit = edited(nl.Graph(x, (layer(cat(v1, v2, name="v4"), 3, "v5"), layer(v3, 2, "v6"))))
    edit.connect("v3", "v4")
    assert reads(edit, "v4") == ["v1", "v2", "v3"] and edit.graph["v4"].in_sizes == (3, 4, 5)
    assert edit.plan.indices("v5.weight", 1) == new(range(7), 12)
    preserved(edit)


def test_30_and_off_again() -> None:
    x = source()
    v1, v2, v3 = layer(x, 3, "v1"), layer(x, 4, "v2"), layer(x, 5, "v3")
    edit = edited(nl.Graph(x, (layer(cat(v1, v2, name="v4"), 3, "v5"), layer(v3, 2, "v6"))))
    edit.connect("v3", "v4")
    edit.disconnect("v3", "v4")
    assert edit.plan.indices("v5.weight", 1) == list(range(7)) and edit.graph.hash == edit.plan.before.hash
    checked(edit)


# -- 31: sizes that would have to hold themselves ------------------------------------------------------------------------
@pytest.mark.parametrize(
    "ask",
    [
        lambda edit: edit.connect("p1", "v5"),
        lambda edit: edit.connect("p1", "v5", operand=1),
        lambda edit: edit.remove("p1"),
    ],
)
def test_31_a_cycle_of_sizes(ask: Any) -> None:
    x = source()
    v2 = layer(x, 5, "v2")
    v3 = inv(v2, "v3")
    v4 = cat(layer(v3, 3, "p1"), layer(v3, 2, "p2"), name="v4")
    refused(edited(graph_of(x, add(v4, v2, "v5"))), ask, "no sizes give axis 1 of")


# -- edges that cannot be ------------------------------------------------------------------------------------------------
def test_an_edge_back_in_time() -> None:
    x = source()
    graph = graph_of(x, layer(inv(layer(x, 3, "v1"), "v2"), 3, "v3"))
    refused(edited(graph), lambda edit: edit.connect("v3", "v2"), "'v2' would come before itself: 'v3' depends on it")


def test_an_edge_that_is_not_there() -> None:
    x = source()
    graph = graph_of(x, cat(layer(x, 3, "v1"), layer(x, 3, "v2"), name="v3"))
    refused(edited(graph), lambda edit: edit.disconnect("in", "v3"), "'in' does not go into 'v3'")
    refused(edited(graph), lambda edit: edit.disconnect("v1", "v3", number=1), "reads 'v1' 1 times; there is no number 1")
