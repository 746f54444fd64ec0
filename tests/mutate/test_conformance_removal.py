"""Layers that are taken out, put in, and neurons that are worthless; numbers are the rows of NaiveNASlib's table of answers."""

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


# -- 16 to 19: the two sides differ --------------------------------------------------------------------------------------
def chain() -> nl.Graph:
    x = source()
    return graph_of(x, layer(layer(inv(layer(x, 2, "v1"), "v2"), 4, "v3"), 3, "v4"))


def test_16_the_smaller_side_grows() -> None:
    edit = edited(chain())
    edit.remove("v3")
    assert sizes(edit, "v1", "v2") == (4, 4)
    assert edit.plan.indices("v1.weight") == [0, 1, NEW, NEW]
    assert edit.plan.indices("v4.weight", 1) == [0, 1, 2, 3]
    assert "v3.weight" not in edit.graph.tensors
    checked(edit)


def test_17_the_bigger_side_shrinks_to_its_best() -> None:
    edit = edited(chain())
    edit.remove("v3", align="shrink")
    assert edit.plan.indices("v1.weight") == [0, 1]
    assert edit.plan.indices("v4.weight", 1) == [2, 3]
    checked(edit)


def beside_another() -> nl.Graph:
    x = source()
    v1, v2 = layer(x, 3, "v1"), layer(x, 4, "v2")
    return graph_of(x, cat(v2, layer(v1, 5, "v3"), name="v4"))


def test_18_a_part_of_a_concatenation_grows() -> None:
    edit = edited(beside_another())
    edit.remove("v3")
    assert sizes(edit, "v1", "v2", "v4") == (5, 4, 9)
    assert edit.plan.indices("v1.weight") == [0, 1, 2, NEW, NEW]
    assert edit.plan.indices("head.weight", 1) == list(range(9))
    assert reads(edit, "v4") == ["v2", "v1"]
    checked(edit)


def test_19_what_reads_a_concatenation_shrinks() -> None:
    edit = edited(beside_another())
    edit.remove("v3", align="shrink")
    assert sizes(edit, "v1", "v2", "v4") == (3, 4, 7)
    assert edit.plan.indices("v1.weight") == [0, 1, 2] and edit.plan.indices("v2.weight") == [0, 1, 2, 3]
    assert edit.plan.indices("head.weight", 1) == [0, 1, 2, 3, 6, 7, 8]
    checked(edit)


# -- 21 to 24: worthless neurons, neurons that must go, neurons that may not come ----------------------------------------
def two() -> nl.Graph:
    x = source()
    return graph_of(x, layer(layer(x, 4, "v1"), 5, "v2"))


def test_21_neurons_of_negative_value_go() -> None:
    x = source()
    edit = edited(graph_of(x, layer(x, 6, "v1")), value={"v1": [-1, 1, -1, 1, -1, 1]})
    edit.prune_worthless()
    assert edit.plan.indices("v1.weight") == edit.plan.indices("head.weight", 1) == [1, 3, 5]
    checked(edit)


def test_22_one_neuron_is_left() -> None:
    edit = edited(two(), value={"v1": [-1] * 4, "v2": [-1] * 5})
    edit.prune_worthless()
    assert sizes(edit, "v1", "v2") == (1, 1)
    checked(edit)


def test_23_neurons_that_must_go() -> None:
    edit = edited(two())
    edit["v1"].drop([0, 2])
    edit["v1"].resize(out=+3)
    assert edit.plan.indices("v1.weight") == edit.plan.indices("v2.weight", 1) == new([1, 3], 7)
    checked(edit)


def test_24_neurons_that_may_not_come() -> None:
    edit = edited(two())
    edit.limit("v1", at_most=4)
    edit.limit("v2", at_most=5)
    refused(edit, lambda edit: edit["v1"].resize(out=+2), "no sizes give 'v1' = 6: in the way is 'v1' must be .* at most 4")
    edit = edited(two())
    edit.limit("v2", at_most=5)
    edit["v1"].resize(out=+2)
    assert sizes(edit, "v1", "v2") == (6, 5)
    preserved(edit)


# -- 32, 38 to 42: what must agree when a layer is gone ------------------------------------------------------------------
def test_32_a_branch_of_two_layers_can_lose_one() -> None:
    x = source()
    v2 = layer(x, 5, "v2")
    v3 = inv(v2, "v3")
    p1, p2 = layer(layer(v3, 2, "p1a"), 3, "p1b"), layer(v3, 2, "p2")
    edit = edited(graph_of(x, add(cat(p1, p2, name="v4"), v2, "v5")))
    edit.remove("p1b")
    assert sizes(edit, "p1a", "p2", "v2", "v4") == (3, 2, 5, 5)
    checked(edit)


def test_38_a_size_that_is_a_multiple() -> None:
    x = source()
    v1 = layer(x, 5, "v1")
    join = cat(*(inv(v1, f"p{i}") for i in range(3)), name="join")
    edit = edited(nl.Graph(x, layer(layer(join, 16, "v2"), 4, "v3")))
    edit.remove("v2")
    assert sizes(edit, "v1", "join") == (5, 15)
    assert edit.plan.indices("v3.weight", 1) == list(range(1, 16))
    checked(edit)


def test_39_growth_before_a_concatenation() -> None:
    x = source()
    v1 = layer(x, 5, "v1")
    v3 = inv(cat(inv(v1, "p1"), inv(v1, "p2"), name="v2"), "v3")
    edit = edited(nl.Graph(x, layer(layer(v3, 12, "v4"), 7, "v5")))
    edit.remove("v4")
    assert sizes(edit, "v1", "v2", "v3") == (6, 12, 12)
    assert edit.plan.indices("v5.weight", 1) == list(range(12))
    checked(edit)


def test_40_the_layers_of_a_residual_one_by_one() -> None:
    x = source()
    v1 = layer(x, 10, "v1")
    v4 = layer(cat(layer(v1, 3, "v2"), name="v3"), 10, "v4")
    edit = edited(nl.Graph(x, layer(add(v4, v1, "v5"), 4, "v6")))
    edit.remove("v4")
    assert sizes(edit, "v1", "v2", "v3", "v5") == (10, 10, 10, 10)
    checked(edit)
    edit.remove("v3")
    assert sizes(edit, "v1", "v2", "v5") == (10, 10, 10)
    checked(edit)
    edit.remove("v2")
    assert reads(edit, "v5") == ["v1", "v1"] and sizes(edit, "v1", "v5") == (10, 10)
    checked(edit)


def test_41_layers_of_a_chain_one_by_one() -> None:
    x = source()
    edit = edited(nl.Graph(x, layer(layer(layer(x, 5, "v1"), 4, "v2"), 6, "v3")))
    edit.remove("v2")
    assert edit.plan.indices("v3.weight", 1) == [0, 1, 2, 3, NEW]
    checked(edit)
    edit.remove("v1")
    # The input cannot grow: the best of what v3 read stays, what is new goes.
    assert edit.plan.indices("v3.weight", 1) == [1, 2, 3]
    checked(edit)


def test_42_a_layer_between_two_that_are_held() -> None:
    x = source()
    edit = edited(nl.Graph(x, layer(layer(x, 5, "v2"), 4, "v3")))
    edit.limit("v3", axis="in", at_least=5, at_most=5)
    refused(edit, lambda edit: edit.remove("v2"), "no sizes give axis 1 of 'v2' and of 'in'")
    assert reads(edit, "v3") == ["v2"]


# -- 52: layers that are put in ------------------------------------------------------------------------------------------
def test_52_a_layer_put_in_changes_nothing() -> None:
    x = source()
    edit = edited(nl.Graph(x, layer(layer(x, 5, "v1"), 4, "v2")))
    assert edit.insert_after("v1", nl.op.linear(5, name="new")) == ("new",)
    assert (reads(edit, "new"), reads(edit, "v2")) == (["v1"], ["new"])
    preserved(edit)


def test_52_two_layers_in_a_row() -> None:
    x = source()
    edit = edited(nl.Graph(x, layer(layer(x, 5, "v1"), 4, "v2")))
    first, second = edit.insert_after("v1", [nl.op.linear(5), nl.op.linear(5)])
    assert (reads(edit, first), reads(edit, second), reads(edit, "v2")) == (["v1"], [first], [second])
    (third,) = edit.insert_after("v1", nl.op.linear(5))
    assert (reads(edit, third), reads(edit, first)) == (["v1"], [third])
    preserved(edit)


@pytest.mark.parametrize("only", [["o0", "o2"], ["o1"], ["o2"]])
def test_52_for_some_readers_each_at_its_place(only: Any) -> None:
    x = source()
    v1, other = layer(x, 5, "v1"), layer(x, 4, "other")
    graph = graph_of(x, cat(other, v1, name="o0"), layer(v1, 3, "o1"), cat(v1, other, v1, name="o2"))
    edit = edited(graph)
    edit.insert_after("v1", nl.op.linear(5, name="new"), only=only)
    for name, before in (("o0", ["other", "v1"]), ("o1", ["v1"]), ("o2", ["v1", "other", "v1"])):
        assert reads(edit, name) == [("new" if name in only and each == "v1" else each) for each in before]
    preserved(edit)
