"""Sizes and neurons that a request for a size leads to; numbers are the rows of NaiveNASlib's table of answers."""

from __future__ import annotations

from typing import Any

import pytest

import netloom as nl
from netloom.errors import NetloomWarning
from tests.mutate.conformance import (
    NEW,
    add,
    cat,
    checked,
    edited,
    graph_of,
    inv,
    layer,
    network,
    no_worse,
    preserved,
    refused,
    sizes,
    source,
)


def two(first: int = 5) -> nl.Graph:
    x = source()
    return graph_of(x, layer(layer(x, first, "v1"), 4, "v2"))


# -- 1 to 3: neurons that go and come ------------------------------------------------------------------------------------
def test_1_the_least_valuable_neurons_go() -> None:
    edit = edited(two())
    edit["v1"].resize(out=-2)
    assert sizes(edit, "v1", "v2") == (3, 4)
    for key, axis in (("v1.weight", 0), ("v1.bias", 0), ("v2.weight", 1)):
        assert edit.plan.indices(key, axis) == [2, 3, 4]
    assert edit.plan.indices("v2.weight") == [0, 1, 2, 3]
    checked(edit)


def test_2_new_neurons_come_last() -> None:
    edit = edited(two(3), value="magnitude")
    edit["v1"].resize(out=+3)
    assert edit.plan.indices("v1.weight") == edit.plan.indices("v2.weight", 1) == [0, 1, 2, NEW, NEW, NEW]
    preserved(edit)


def test_1_to_3_one_after_the_other() -> None:
    first = edited(two())
    first["v1"].resize(out=-2)
    second = edited(first.result)
    second["v1"].resize(out=+3)
    assert second.plan.indices("v1.weight") == [0, 1, 2, NEW, NEW, NEW]
    third = edited(second.result)
    third["v2"].resize(in_=-2)
    assert sizes(third, "v1") == (4,)
    assert third.plan.indices("v1.weight") == third.plan.indices("v2.weight", 1) == [2, 3, 4, 5]
    checked(third)


def test_1_to_3_in_one_edit_new_neurons_go_first() -> None:
    """The reference has no plan of several stages; here a neuron that is new in one is worth nothing in the next."""
    edit = edited(two())
    edit["v1"].resize(out=-2)
    assert sizes(edit, "v1") == (3,)
    edit["v1"].resize(out=+3)
    assert edit.plan.indices("v1.weight") == [2, 3, 4, NEW, NEW, NEW]
    edit["v2"].resize(in_=-4)
    checked(edit)
    assert edit.plan.indices("v1.weight") == edit.plan.indices("v2.weight", 1) == [3, 4]


# -- 4 to 6: ways to ask -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", [None, "magnitude"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda edit: (edit["v1"].resize(out=+3), edit["v2"].resize(out=+2, relax=True)),
        lambda edit: (edit["v1"].resize(out_to=8), edit["v2"].resize(out_to=6, relax=True)),
        lambda edit: edit.resize(out={"v1": +3, "v2": +2}),
        lambda edit: edit.resize(out_to={"v1": 8, "v2": 6}, relax=True),
        lambda edit: (edit["v2"].resize(in_=+3), edit["head"].resize(in_=(+2,), relax=True)),
        lambda edit: (edit["v2"].resize(in_to=8), edit["head"].resize(in_to=6)),
        lambda edit: (edit["v1"].resize(out=+1), edit["v1"].resize(out=+2), edit["v2"].resize(out=+2)),
    ],
)
def test_4_all_ways_to_ask_are_one(ask: Any, value: Any) -> None:
    edit = edited(two(), value)
    ask(edit)
    assert sizes(edit, "v1", "v2") == (8, 6)
    preserved(edit)


@pytest.mark.parametrize("relax", [False, True])
@pytest.mark.parametrize(
    "ask",
    [
        lambda edit: edit["v3"].resize(out=+1),
        lambda edit: edit["v3"].resize(in_=(+1, +1)),
        lambda edit: edit["in"].resize(out=+1),
        lambda edit: edit["v3"].resize(out=+1, relax=True),
    ],
)
def test_5_what_hangs_on_an_input_stays(ask: Any, relax: bool) -> None:
    x = source()
    graph = graph_of(x, add(layer(x, 3, "v2"), inv(x, "v1"), "v3"))
    refused(edited(graph, relax=relax), ask, "may not change: axis 1 of the result of input 'in'")


@pytest.mark.parametrize("relax", [False, True])
def test_6_a_change_of_nothing(relax: bool) -> None:
    edit = edited(two())
    edit["v1"].resize(out=0, relax=relax)
    assert sizes(edit, "v1", "v2") == (5, 4)
    preserved(edit)


# -- 7 to 9: what is read twice ------------------------------------------------------------------------------------------
def repeated(v1: int = 7, v2: int = 4) -> nl.Graph:
    x = source()
    a, b = layer(x, v1, "v1"), layer(x, v2, "v2")
    return graph_of(x, cat(cat(b, a, name="v3"), b, name="v4"))


def test_7_a_layer_that_counts_twice() -> None:
    edit = edited(graph := repeated())
    edit["v4"].resize(out=-4)
    # The reference says 7 and 2 (0.495): it counts neurons that are lost. 5 and 3 cost 0.336.
    assert sizes(edit, "v4") == (11,)
    no_worse(edit, graph, v2=2, v3=9, v4=11)
    checked(edit)

    edit = edited(repeated(7, 2))
    edit["v4"].resize(out=+6)
    assert sizes(edit, "v1", "v2", "v4") == (11, 3, 17)
    preserved(edit)

    edit = edited(repeated(11, 3))
    edit["v4"].resize(in_=(-2, None), relax=True)
    edit["v4"].resize(in_=(None, +3))
    assert sizes(edit, "v1", "v2") == (6, 6)
    checked(edit)

    edit = edited(repeated(6, 6))
    edit["v4"].resize(in_=(-2, None))
    assert sizes(edit, "v1", "v2") == (5, 5)
    checked(edit)


def twice_added(v1: int, v2: int, v3: int) -> nl.Graph:
    x = source()
    a, b, c = layer(x, v1, "v1"), layer(x, v2, "v2"), layer(x, v3, "v3")
    return graph_of(x, add(cat(a, b, name="v4"), cat(b, c, b, name="v5"), "v6"))


@pytest.mark.parametrize(
    "before, ask, after",
    [
        ((7, 4, 3), lambda v6: v6.resize(out=-4), (5, 2, 3)),
        ((5, 2, 3), lambda v6: v6.resize(out=+6), (9, 4, 5)),
        ((9, 4, 5), lambda v6: (v6.resize(in_=(-2, None)), v6.resize(in_=(None, -2), relax=True)), (8, 3, 5)),
        ((8, 3, 5), lambda v6: v6.resize(in_=(+3, None)), (10, 4, 6)),
    ],
)
def test_8_concatenations_that_are_added(before: Any, ask: Any, after: Any) -> None:
    edit = edited(twice_added(*before))
    ask(edit["v6"])
    assert sizes(edit, "v1", "v2", "v3") == after
    checked(edit)


def test_8_the_same_neurons_go_wherever_they_are_tied() -> None:
    edit = edited(twice_added(7, 4, 3))
    edit["v6"].resize(out=-4)
    # v2 is the first four of v1 as well, and v3 its last three.
    assert edit.plan.indices("v1.weight") == [2, 3, 4, 5, 6]
    assert (edit.plan.indices("v2.weight"), edit.plan.indices("v3.weight")) == ([2, 3], [0, 1, 2])
    assert edit.plan.indices("head.weight", 1) == [2, 3, 4, 5, 6, 9, 10]


def test_9_a_multiple_of_three() -> None:
    x = source()
    v1 = layer(x, 4, "v1")
    graph = graph_of(x, cat(*(inv(v1, f"p{i}") for i in range(3)), name="v2"))
    refused(edited(graph), lambda edit: edit["v2"].resize(out=+2), "3 times the size of 'v1'; ask for 12 or 15")
    edit = edited(graph, relax=True)
    edit["v2"].resize(out=+2)
    with pytest.warns(NetloomWarning, match="'v2' cannot have 14 features; it has 15"):
        assert sizes(edit, "v1", "v2") == (5, 15)
    preserved(edit)


# -- 10 to 15: who gives way ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "ask",
    [
        lambda edit: edit.resize(out={"v1": -1, "v2": 0}),
        lambda edit: edit.resize(out_to={"v1": 3, "v2": 4}),
        lambda edit: edit["v3"].resize(in_=(-1, 0)),
    ],
)
def test_10_two_requests_for_what_is_one_size(ask: Any) -> None:
    x = source()
    graph = graph_of(x, add(v1 := layer(x, 4, "v1"), layer(v1, 4, "v2"), "v3"))
    refused(edited(graph), ask, "no sizes give .* = 3; .* = 4")
    edit = edited(graph, relax=True)
    ask(edit)
    with pytest.warns(NetloomWarning, match="cannot have 4 features; it has 3") as found:
        assert sizes(edit, "v1", "v2", "v3") == (3, 3, 3)
    assert len(found) == 1
    checked(edit)


def test_11_worthless_neurons_of_an_input_stay() -> None:
    x = source()
    edit = edited(graph_of(x, cat(x, layer(x, 5, "v1"), name="v2")), value={"v2": [-9, -9, -9, 1, 2, 3, 4, 5]})
    edit["v1"].resize(out=-3)
    assert sizes(edit, "in", "v1", "v2") == (3, 2, 5)
    assert edit.plan.indices("head.weight", 1) == [0, 1, 2, 6, 7]
    checked(edit)


def test_12_concatenations_of_other_lengths_are_added() -> None:
    x = source()
    v1, v2, v3, v4 = (layer(x, size, f"v{i + 1}") for i, size in enumerate((10, 5, 10, 5)))
    edit = edited(graph_of(x, add(cat(v1, v2, v3, name="v5"), cat(v2, v1, v2, v4, name="v6"), "v7")))
    edit["v7"].resize(out=-7)
    assert sizes(edit, "v1", "v2", "v3", "v4", "v7") == (6, 3, 9, 6, 18)
    checked(edit)


def test_13_growth_in_tied_concatenations_changes_nothing() -> None:
    x = source()
    v1, v2, v3, v4 = (layer(x, size, f"v{i + 1}") for i, size in enumerate((3, 4, 4, 5)))
    edit = edited(graph_of(x, add(cat(v1, v2, v4, name="v5"), cat(v3, v4, v1, name="v6"), "v7")))
    edit["v7"].resize(out=+6)
    assert sizes(edit, "v1", "v2", "v3", "v4", "v7") == (5, 6, 6, 7, 18)
    assert [i for i in edit.plan.indices("head.weight", 1) if i != NEW] == list(range(12))
    preserved(edit)


def test_14_wishes_beside_a_request() -> None:
    x = source()
    graph = graph_of(x, cat(layer(x, 3, "v1"), layer(x, 10, "v2"), name="v3"))
    edit = edited(graph)
    edit["v3"].resize(out=-5, relax=True)
    edit["v1"].resize(out=+2)
    edit["v2"].resize(out=0, relax=True)
    # v3 shall be 8 and v2 10: that v2 is 7 misses them by 4 and 3, the reference's 6 by 3 and 4; 7 is less of a change.
    assert sizes(edit, "v1", "v2", "v3") == (5, 7, 12)
    no_worse(edit, graph, v1=5, v2=6, v3=11)
    checked(edit)
    edit = edited(graph)
    edit["v1"].resize(out=+2)
    edit["v2"].resize(out=-4)
    assert edit.plan.indices("v1.weight") == [0, 1, 2, NEW, NEW]
    assert edit.plan.indices("v2.weight") == [4, 5, 6, 7, 8, 9]
    assert edit.plan.indices("head.weight", 1) == [0, 1, 2, NEW, NEW, 7, 8, 9, 10, 11, 12]
    checked(edit)


def test_15_a_request_reaches_a_distant_part() -> None:
    x = source()
    v0, v2 = layer(x, 10, "v0"), layer(x, 10, "v2")
    v5 = cat(layer(x, 3, "v4a"), add(v2, v0, "v3"), layer(x, 5, "v4b"), name="v5")
    v9 = add(cat(layer(x, 4, "v6"), layer(x, 14, "v7"), name="v8"), v5, "v9")
    graph = graph_of(x, layer(v9, 5, "v10"), cat(v0, v0, name="v1"))
    edit = edited(graph)
    edit["v2"].resize(out=-1)
    assert sizes(edit, "v0", "v6", "v7", "v4a", "v4b") == (9, 4, 13, 3, 5)
    checked(edit)
    edit = edited(edit.result)
    edit["v2"].resize(out=+5)
    assert sizes(edit, "v0", "v6", "v7", "v4a", "v4b") == (14, 4, 18, 3, 5)
    preserved(edit)


# -- 43 to 45: branches beside a sum -------------------------------------------------------------------------------------
def test_43_a_branch_of_a_residual() -> None:
    x = source()
    start = layer(x, 9, "start")
    p1, p2 = layer(layer(start, 3, "a"), 4, "p1"), layer(layer(start, 4, "b"), 5, "p2")
    graph = graph_of(x, add(start, cat(p1, p2, name="join"), "out"))
    edit = edited(graph)
    edit["p2"].resize(out=-2)
    # In the reference p1 grows to 5 beside a start of 8 (0.407); here nothing comes where something goes (0.404).
    assert sizes(edit, "p2", "p1", "start") == (3, 4, 7)
    no_worse(edit, graph, start=8, p1=5, p2=3, join=8)
    checked(edit)


def test_44_a_branch_shared_with_a_pass_through() -> None:
    x = source()
    start = layer(x, 8, "start")
    split = layer(start, 4, "split")
    graph = graph_of(x, add(start, cat(inv(split, "p1"), layer(start, 4, "p2"), name="join"), "out"))
    edit = edited(graph)
    edit["split"].resize(out=-1)
    # As in 43: the reference keeps start at 8 and grows p2 to 5, which costs as much.
    assert sizes(edit, "split", "p2", "start") == (3, 4, 7)
    no_worse(edit, graph, split=3, p2=5)
    checked(edit)


def test_45_a_split_joined_again() -> None:
    x = source()
    start = layer(x, 8, "start")
    split = layer(start, 4, "split")
    edit = edited(graph_of(x, add(start, cat(inv(split, "p1"), inv(split, "p2"), name="join"), "out")))
    edit["split"].resize(out=-1)
    assert sizes(edit, "start", "split", "out") == (6, 3, 6)
    assert edit.plan.indices("start.weight") == [1, 2, 3, 5, 6, 7]
    checked(edit)
    edit = edited(edit.result)
    edit["out"].resize(in_=(+2, None))
    assert sizes(edit, "start", "split", "out") == (8, 4, 8)
    preserved(edit)
    edit = edited(edit.result)
    edit["start"].resize(out=-2)
    assert sizes(edit, "start", "split", "out") == (6, 3, 6)
    checked(edit)


# -- 50 and 51 -----------------------------------------------------------------------------------------------------------
def test_50_concatenations_of_concatenations() -> None:
    x = source()
    v3 = cat(layer(x, 8, "v1"), layer(x, 4, "v2"), name="v3")
    pa1, pb1, pc1 = (inv(v3, name) for name in ("pa1", "pb1", "pc1"))
    pa2 = cat(inv(pa1, "pa1a"), inv(pa1, "pa1b"), name="pa2")
    edit = edited(graph_of(x, cat(pa2, pb1, pc1, layer(v3, 5, "pd1"), name="v4")))
    edit["v4"].resize(out=+8)
    assert sizes(edit, "v4", "v3", "v1", "v2", "pd1", "pa2") == (61, 14, 10, 4, 5, 28)
    preserved(edit)


def test_51_no_time() -> None:
    x = source(1)
    v0 = layer(x, 1000, "v0")
    v1 = cat(v0, v0, v0, name="v1")
    v2 = cat(v1, v0, v1, name="v2")
    net = network(graph_of(x, add(v2, v2, "v3")))
    refused(edited(net, time_limit=1e-9), lambda edit: edit["v3"].resize(out=-30, relax=True), "timed out after 1e-09 s")
    edit = edited(net)
    edit["v3"].resize(out=-30, relax=True)
    assert sizes(edit, "v0", "v3") == (996, 6972)
    checked(edit)
