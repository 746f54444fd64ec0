"""Random edges as values, as NaiveGAflux's tests have them."""

from __future__ import annotations

import pytest

import netloom as nl
from netloom.mutate.combinators import Filter
from netloom.mutate.edge_mutations import AddEdge, RemoveEdge, edge_targets
from tests.mutate.mutating import Draws, chain, checked, conv, network


def pools_and_strides() -> nl.Graph:
    x = nl.input(3, 16, 16, name="in")
    v2 = conv(conv(x, 4, "v1"), 5, "v2")
    v5 = conv(conv(nl.max_pool2d(v2, 2, name="v3"), 5, "v4"), 5, "v5")
    v8 = conv(conv(conv(v5, 6, "v6", stride=2), 6, "v7"), 6, "v8")
    v10 = conv(conv(v8, 6, "v9", kernel=1), 7, "v10")
    return nl.Graph(x, nl.linear(nl.linear(nl.mean(v10, (2, 3), name="pool"), 4, name="dense"), 2))


def test_targets_of_edges_are_those_at_which_space_is_the_same() -> None:
    graph = pools_and_strides()
    expected = {
        "in": ["v2", "v3"], "v1": ["v3"], "v2": [], "v3": ["v5", "v6"], "v4": ["v6"], "v6": ["v8", "v9"], "v9": [], "v10": [],
        "pool": [],
    }  # fmt: skip
    assert {name: edge_targets(graph, name) for name in expected} == expected


@pytest.mark.parametrize("merge", ["add", "cat"])
def test_an_edge_is_added_once_and_removed_again(merge: str) -> None:
    edit = nl.edit(network(pools_and_strides()))
    assert AddEdge(1, merge).at(edit, Draws(), "v1")
    (joined,) = (node for node in edit.graph if node.op == merge)
    assert [edge.node for edge in joined.operands] == ["v2", "v1"] and edit.graph["v3"].operands[0].node == joined.name
    checked(edit)
    graph = edit.graph
    assert not AddEdge(1, merge).at(edit, Draws(), "v1") and edit.graph is graph
    assert RemoveEdge().at(edit, Draws(), "v1") and merge not in {node.op for node in edit.graph}
    checked(edit)


def test_an_edge_for_which_there_are_no_sizes_leaves_no_merge_behind() -> None:
    edit = nl.edit(network(chain(3, 4, 5)))
    edit.limit("v1", at_least=4, at_most=4)
    before = edit.graph
    assert not AddEdge(1, "add").at(edit, Draws(), "in") and edit.graph is before


def test_a_merge_gets_one_more_part_as_it_is() -> None:
    x = nl.input(3, name="in")
    v1 = nl.linear(x, 4, name="v1")
    v2 = nl.linear(v1, 5, name="v2")
    graph = nl.Graph(x, nl.linear(nl.cat([v2, nl.linear(v2, 6, name="v3")], 1, name="both"), 2))
    edit = nl.edit(network(graph))
    # Nearest first: v3 by its chance of one half, then the concatenation.
    assert edge_targets(graph, "v1") == ["v3", "both"]
    assert Filter(lambda node: node.name != "v3", AddEdge(1, "add"))(edit, Draws())
    assert [edge.node for edge in edit.graph["both"].operands] == ["v2", "v3", "v1"]
    checked(edit)


def test_an_edge_goes_only_where_something_else_reads_the_value() -> None:
    x = nl.input(3, name="in")
    v1 = nl.linear(x, 4, name="v1")
    v3 = nl.linear(nl.linear(v1, 3, name="v2"), 4, name="v3")
    edit = nl.edit(network(nl.Graph(x, nl.linear(nl.cat([v1, v3], 1, name="v4"), 2, name="head"))))
    assert RemoveEdge().candidates(edit) == ("v1",)
    assert not RemoveEdge().at(edit, Draws(), "v3")
    assert RemoveEdge()(edit, Draws()) and edit.graph["head"].operands[0].node == "v3"
    checked(edit)


def test_what_goes_into_a_merge_twice_is_left_alone() -> None:
    x = nl.input(3)
    v1 = nl.linear(x, 4, name="v1")
    edit = nl.edit(nl.Graph(x, nl.linear(nl.cat([v1, v1, nl.linear(v1, 2)], 1), 2)))
    assert not RemoveEdge()(edit, Draws())
