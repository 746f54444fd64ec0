"""Mutations put together: each does what it says with functions that leave a trace, and with real edits."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.errors import EditError
from netloom.mutate import Edit
from netloom.mutate.combinators import (
    ByValue,
    Chain,
    Each,
    Filter,
    OneOf,
    Record,
    Recorded,
    Shield,
    When,
    Within,
    WithProbability,
    node_values,
)
from netloom.mutate.edge_mutations import AddEdge
from netloom.mutate.mutations import Activation, AddNode, Kernel, RemoveNode, Resize
from netloom.mutate.samplers import LinearLayer
from tests.mutate.mutating import Draws, chain, checked, network, sizes

GROWN = Resize(0.5, 0.5, probability=1)


def tried(calls: list[str], name: str, changes: bool = True) -> Any:
    """A mutation of the user's own, which writes down that it was asked."""

    def mutation(edit: Edit, rng: np.random.Generator) -> bool:
        calls.append(name)
        return changes

    return mutation


def test_a_chain_does_all() -> None:
    calls: list[str] = []
    edit = nl.edit(chain(3, 4))
    assert Chain(tried(calls, "a"), tried(calls, "b", False), tried(calls, "c"))(edit, Draws())
    assert calls == ["a", "b", "c"] and not Chain(tried(calls, "d", False))(edit, Draws()) and not Chain()(edit, Draws())


def test_one_of_several_by_weight() -> None:
    calls: list[str] = []
    edit, rng = nl.edit(chain(3, 4)), np.random.default_rng(0)
    mutation = OneOf(tried(calls, "a"), tried(calls, "b"), tried(calls, "never"), weights=(1, 3, 0))
    assert all(mutation(edit, rng) for _ in range(400))
    count = Counter(calls)
    assert set(count) == {"a", "b"} and 60 < count["a"] < 140


def test_one_of_several_goes_on_until_one_changes_something() -> None:
    calls: list[str] = []
    edit, rng = nl.edit(chain(3, 4)), np.random.default_rng(0)
    assert OneOf(tried(calls, "a", False), tried(calls, "b"), tried(calls, "c", False))(edit, rng) and calls[-1] == "b"
    calls.clear()
    assert not OneOf(tried(calls, "a", False), tried(calls, "b", False))(edit, rng) and sorted(calls) == ["a", "b"]


def test_probabilities_are_those_given() -> None:
    calls: list[str] = []
    edit, rng = nl.edit(chain(3, 4)), np.random.default_rng(0)
    for _ in range(500):
        WithProbability(tried(calls, "a"), 0.2)(edit, rng)
    assert 70 < len(calls) < 130


def test_each_node_by_itself() -> None:
    edit = nl.edit(network(chain(3, 4, 5, 6)))
    assert Each(GROWN)(edit, Draws()) and sizes(edit) == [6, 8, 9] and len(edit.plan.stages) == 1
    assert Each(Chain(AddNode(LinearLayer()), AddNode(LinearLayer(("tanh",)))))(edit, Draws())
    assert [node.op for node in edit.graph] == ["input", *["linear", "linear", "tanh", "linear", "relu"] * 3, "linear"]
    checked(edit)
    rng, found = np.random.default_rng(0), 0
    for _ in range(100):
        one = nl.edit(chain(3, 4, 5, 6))
        Each(GROWN, 0.2)(one, rng)
        found += sum(new > old for new, old in zip(sizes(one), (4, 5, 6)))
    assert 35 < found < 85


# -- by value ------------------------------------------------------------------------------------------------------------
def test_nodes_have_the_mean_value_of_their_neurons() -> None:
    value = {"v1": [1.0, 2.0, 3.0, 6.0], "v2": torch.tensor([5.0, 5.0, 5.0])}
    edit = nl.edit(chain(3, 4, 3), value=value)
    assert node_values(edit, ["v1", "v2"]) == {"v1": 3.0, "v2": 5.0}
    assert node_values(nl.edit(chain(3, 4, 3)), ["v1"]) == {"v1": None}


@pytest.mark.parametrize("high", [True, False])
def test_probabilities_follow_values_and_have_the_mean_asked_for(high: bool) -> None:
    values: dict[str, float | None] = {f"n{i}": float(v) for i, v in enumerate((1, 2, 2, 3, 7))}
    chances = list(ByValue(Chain(), 0.1, high=high).probabilities({**values, "none": None}).values())
    ranked = chances[:5] if high else chances[4::-1]
    assert sorted(ranked) == ranked and ranked[0] < 0.1 < ranked[-1] and chances[1] == chances[2]
    assert sum(chances) / 6 == pytest.approx(0.1)
    # p^e, with e = spread^z and one constant for all: the most valuable has z = 1, the mean and what has no value z = 0.
    assert np.log(chances[4] / chances[5]) == pytest.approx(np.log(0.1) * ((0.5 if high else 2.0) - 1))


def test_likely_ones_are_those_of_high_or_of_low_value() -> None:
    value = {"v1": [1.0] * 4, "v2": [2.0] * 4, "v3": [9.0] * 4}
    for high in (True, False):
        rng, found = np.random.default_rng(0), Counter[str]()
        for _ in range(150):
            edit = nl.edit(chain(3, 4, 4, 4), value=value)
            ByValue(GROWN, 0.2, high=high)(edit, rng)
            found.update(name for name in value if edit.graph[name].out_size > 4)
        assert 60 < sum(found.values()) < 120
        assert (found["v3"] > 2 * found["v1"]) if high else (found["v1"] > 2 * found["v3"])


def test_nodes_without_values_are_alike() -> None:
    assert ByValue(Chain(), 0.3).probabilities({"a": None, "b": None}) == {"a": 0.3, "b": 0.3}
    assert ByValue(Chain(), 0.3).probabilities({}) == {}
    assert not ByValue(GROWN, 0.0)(nl.edit(chain(3, 4)), np.random.default_rng(0))


def test_a_function_that_chooses_for_itself_has_no_nodes_to_draw() -> None:
    with pytest.raises(EditError, match="is a function and chooses its own nodes; derive from"):
        ByValue(tried([], "a"), 0.5)(nl.edit(chain(3, 4)), Draws())


# -- at certain nodes ----------------------------------------------------------------------------------------------------
def modules() -> nl.Graph:
    x = value = nl.input(3, name="in")
    for name in ("body.a", "body.b", "bodyguard", "top"):
        value = nl.linear(value, 4, name=name)
    return nl.Graph(x, nl.linear(value, 2, name="head"))


@pytest.mark.parametrize(
    "nodes, grown",
    [
        ("body", [6, 6, 4, 4]),
        (["body.b", "top"], [4, 6, 4, 6]),
        (lambda node: node.name.endswith("d"), [4, 4, 6, 4]),
        ("gone", [4, 4, 4, 4]),
    ],
)
def test_some_nodes_only_or_all_but_those(nodes: Any, grown: list[int]) -> None:
    edit = nl.edit(modules())
    assert Filter(nodes, GROWN)(edit, Draws()) == (6 in grown) and sizes(edit) == grown
    edit = nl.edit(modules())
    Shield(nodes, GROWN)(edit, Draws())
    assert sizes(edit) == [10 - size for size in grown]


def test_shields_hold_within_chains_and_let_pass_what_is_allowed() -> None:
    edit = nl.edit(modules())
    Shield("body", Chain(GROWN, Each(RemoveNode())), allowed=(RemoveNode,))(edit, Draws())
    assert [node.name for node in edit.graph] == ["in", "head"]
    edit = nl.edit(modules())
    Shield("body", Filter(["body.a", "top"], Chain(GROWN, Each(RemoveNode()))))(edit, Draws())
    assert [node.name for node in edit.graph] == ["in", "body.a", "body.b", "bodyguard", "head"]
    assert edit.graph["body.a"].out_size == 4


def test_shields_hold_for_the_targets_of_edges() -> None:
    edit = nl.edit(network(modules()))
    assert not Shield(["bodyguard", "top"], AddEdge(1, "add"))(edit, np.random.default_rng(0))
    assert Shield("bodyguard", AddEdge(1, "add"))(edit, np.random.default_rng(0))
    assert edit.graph["top"].operands[0].node == "add" and edit.graph["bodyguard"].operands[0].node == "body.b"


# -- limits --------------------------------------------------------------------------------------------------------------
def test_conditions_choose_what_is_done() -> None:
    edit = nl.edit(chain(3, 8))
    mutation = When(lambda graph: graph.num_params > 60, Resize(-0.5, -0.5, 1), otherwise=GROWN)
    found = []
    for _ in range(3):
        assert mutation(edit, Draws())
        found += sizes(edit)
    assert found == [12, 6, 9]
    assert not When(lambda graph: False, GROWN)(edit, Draws())


def test_what_exceeds_a_limit_is_undone() -> None:
    graph = chain(3, 8)
    wide, narrow = Chain(GROWN, Activation(), GROWN), Resize(-0.25, -0.25, 1)
    for limit in ({"max_params": 60}, {"max_flops": 100}, {"cost": (lambda graph: graph["v1"].out_size, 10)}):
        edit = nl.edit(network(graph))
        narrow(edit, Draws())
        once = edit.graph
        assert not Within(wide, **limit)(edit, Draws()) and edit.graph == once  # type: ignore[arg-type]
        assert Within(Resize(0.1, 0.1, 1), **limit)(edit, Draws()) and sizes(edit) == [7]  # type: ignore[arg-type]
        checked(edit)


def test_a_network_beyond_a_limit_may_shrink_and_change_but_not_grow() -> None:
    limit = {"max_params": 10.0}
    edit = nl.edit(chain(3, 8, 8))
    assert not Within(GROWN, **limit)(edit, Draws())
    assert Within(Resize(-0.5, -0.5, 1), **limit)(edit, Draws()) and sizes(edit) == [4, 4]
    x = nl.input(1, 8, 8)
    edit = nl.edit(nl.Graph(x, nl.flatten(nl.relu(nl.conv2d(x, 2, kernel=3)))))
    assert Within(Activation(("tanh",)), **limit)(edit, Draws()) and not Within(Kernel(2, 2), **limit)(edit, Draws())


def test_what_happened_is_recorded() -> None:
    history: list[Recorded] = []
    edit = nl.edit(chain(3, 8))
    graph = edit.graph
    assert Record(Chain(GROWN, RemoveNode()), history.append)(edit, Draws())
    assert not Record(RemoveNode(), history.append)(edit, Draws())
    (what,) = history
    assert what.before is graph and what.after is edit.graph and what.mutation == Chain(GROWN, RemoveNode())
    assert what.titles == ("'v1' = 12", "remove v1")


def test_mistakes_are_named() -> None:
    with pytest.raises(EditError, match=r"OneOf: weights = \[1\] for 2 mutations"):
        OneOf(GROWN, GROWN, weights=[1])
    with pytest.raises(EditError, match="OneOf: weights = None for 0 mutations"):
        OneOf()
    with pytest.raises(EditError, match="WithProbability: p = 5; expected a probability"):
        WithProbability(GROWN, 5)
