"""Sizes that only change in steps, as those of groups do; numbers are the rows of NaiveNASlib's table of answers."""

from __future__ import annotations

import pytest

import netloom as nl
from netloom.errors import NetloomWarning
from netloom.mutate import Edit
from tests.mutate.conformance import (
    add,
    cat,
    checked,
    edited,
    graph_of,
    inv,
    layer,
    new,
    no_worse,
    preserved,
    reads,
    refused,
    sizes,
    source,
)


def steps(edit: Edit, **of: int) -> Edit:
    """Let sizes change in steps: ``v1=3`` what v1 gives, ``v4_in=5`` what v4 reads."""
    for name, step in of.items():
        edit.limit(name.removesuffix("_in"), axis="in" if name.endswith("_in") else "out", step=step)
    return edit


def read_twice(v1: int, v2: int, kind: str) -> nl.Graph:
    """v4 and v5 read v3, which has v1 in it; v2 stands by."""
    x = source()
    a, b = layer(x, v1, "v1"), layer(x, v2, "v2")
    v3 = cat(a, name="v3") if kind == "cat" else inv(a, "v3")
    return nl.Graph(x, (layer(v3, 5, "v4"), layer(v3, 7, "v5"), layer(b, 2, "v6")))


# -- 33 to 36: edges -----------------------------------------------------------------------------------------------------
def test_33_a_concatenation_read_in_steps() -> None:
    edit = steps(edited(read_twice(8, 6, "cat")), v1=2, v2=3, v4_in=5, v5_in=7)
    edit.limit("v1", at_least=8)
    edit.limit("v2", at_least=6)
    edit.connect("v2", "v3")
    assert sizes(edit, "v1", "v2", "v3") == (28, 15, 43)
    assert reads(edit, "v3") == ["v1", "v2"]
    assert edit.plan.indices("v4.weight", 1) == edit.plan.indices("v5.weight", 1) == new(range(8), 43)
    checked(edit)


def test_34_a_sum_read_in_steps() -> None:
    edit = steps(edited(read_twice(8, 6, "add")), v1=2, v2=3, v4_in=5, v5_in=7)
    edit.limit("v1", at_least=8)
    edit.limit("v2", at_least=6)
    edit.connect("v2", "v3")
    assert sizes(edit, "v1", "v2", "v3") == (78, 78, 78)
    checked(edit)


def test_35_readers_that_are_held() -> None:
    edit = steps(edited(read_twice(8, 10, "cat")), v1=3, v2=2, v4_in=5)
    edit.limit("v5", axis="in", at_least=8, at_most=8)
    edit.connect("v2", "v3")
    assert sizes(edit, "v1", "v2", "v3") == (2, 6, 8)
    checked(edit)


def test_36_no_sizes_fit() -> None:
    edit = steps(edited(read_twice(8, 11, "cat")), v1=3, v2=2)
    edit.limit("v4", axis="in", at_least=8, at_most=8)
    edit.limit("v1", at_least=8)  # the reference's layers never shrink here
    edit.limit("v2", at_least=11)
    refused(edit, lambda edit: edit.connect("v2", "v3"), "no sizes give what reads 'v3' with v2 in it")
    assert reads(edit, "v3") == ["v1"]
    edit = steps(edited(read_twice(8, 11, "cat")), v1=3, v2=2)
    edit.limit("v4", axis="in", at_least=8, at_most=8)
    edit.connect("v2", "v3")
    assert sizes(edit, "v1", "v2", "v3") == (5, 3, 8)
    checked(edit)


# -- 37: removal ---------------------------------------------------------------------------------------------------------
def test_37_both_sides_move() -> None:
    x = source()
    graph = nl.Graph(x, layer(layer(layer(x, 10, "v1"), 5, "v2"), 4, "v3"))
    edit = steps(edited(graph), v1=2, v3_in=3)
    refused(edit, lambda edit: edit.remove("v2", align=("grow", "shrink")), "no sizes give axis 1 of")
    # 8 and 14 are the sizes nearby; the reference takes 14, which changes v1 by 4 and what v3 reads by 9.
    edit.remove("v2")
    assert sizes(edit, "v1") == edit.graph["v3"].in_sizes == (8,)
    no_worse(edit, graph, v1=14)
    checked(edit)
    edit = steps(edited(graph), v1=2, v3_in=3)
    edit.limit("v1", at_least=10)
    edit.remove("v2")
    assert sizes(edit, "v1") == edit.graph["v3"].in_sizes == (14,)
    checked(edit)


# -- 46 to 49: requests --------------------------------------------------------------------------------------------------
def test_46_concatenations_of_layers_with_steps() -> None:
    x = source()
    v1, v2, v3, v4 = (layer(x, 100, f"v{i}") for i in (1, 2, 3, 4))
    cc2 = cat(cat(v2, v3, name="cc1"), v1, name="cc2")
    edit = steps(edited(graph_of(x, cat(cc2, v4, v2, name="cc3"))), v2=2, v3=3, v4=5)
    edit["cc3"].resize(out=-60)
    assert sizes(edit, "v2", "v3", "v1", "v4", "cc3") == (86, 91, 87, 90, 440)
    checked(edit)


def test_47_a_concatenation_in_a_sum() -> None:
    x = source()
    v1, v2, v4 = layer(x, 20, "v1"), layer(x, 30, "v2"), layer(x, 70, "v4")
    graph = nl.Graph(x, layer(add(v4, cat(v1, v2, v1, name="v3"), "v5"), 10, "v6"))
    edit = steps(edited(graph), v1=2, v2=3, v4=5, v6_in=7)
    edit["v5"].resize(out=+420)
    assert sizes(edit, "v5", "v4", "v3", "v1", "v2") == (490, 490, 490, 140, 210)
    preserved(edit)


def test_48_sums_of_sums() -> None:
    x = source()
    v1, v2, v4 = layer(x, 20, "v1"), layer(x, 20, "v2"), layer(x, 20, "v4")
    graph = nl.Graph(x, layer(add(v4, add(v1, v2, "v3"), "v5"), 10, "v6"))
    edit = steps(edited(graph), v1=2, v2=3, v4=5, v6_in=7)
    edit["v5"].resize(out=+210)
    assert sizes(edit, "v1", "v2", "v3", "v4", "v5") == (230,) * 5
    preserved(edit)
    edit = steps(edited(graph), v1=2, v2=3, v4=5, v6_in=7)
    refused(edit, lambda edit: edit["v5"].resize(out=+209), "no sizes give 'v5' = 229: in the way is")


def test_49_the_nearest_step() -> None:
    x = source()
    graph = graph_of(x, layer(layer(x, 3, "v1"), 5, "v2"))
    exact = steps(edited(graph), v1=3, v2_in=2)
    refused(exact, lambda edit: edit["v1"].resize(out=+2), "no sizes give 'v1' = 5")
    edit = steps(edited(graph, relax=True), v1=3, v2_in=2)
    edit["v1"].resize(out=+2)
    with pytest.warns(NetloomWarning, match="'v1' cannot have 5 features; it has 9"):
        assert sizes(edit, "v1") == (9,)
    preserved(edit)
    edit = steps(edited(edit.result, relax=True), v1=3, v2_in=2)
    edit["v2"].resize(in_=-2)
    with pytest.warns(NetloomWarning, match="input 0 of 'v2' cannot have 7 features; it has 3"):
        assert sizes(edit, "v1") == (3,)
    checked(edit)
