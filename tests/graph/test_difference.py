"""Diffs: exact on every single edit, empty exactly for the same computation, sensible on real networks."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import GraphError
from netloom.graph.difference import Diff
from netloom.graph.graph import Argument, Graph, Step
from netloom.ops import DType, Edge, Size
from netloom.testing.graphs import graphs
from tests.graph.graph_edits import EDITS, Edited, random_edit
from tests.graph.graph_variants import disguised, random_graph

LISTS = ("added", "removed", "resized", "changed", "rewired")


def is_just(difference: Diff, edit: Edited) -> bool:
    """Whether a diff says what an edit did and nothing else."""
    found = getattr(difference, edit.kind)
    if len(difference) != 1 or not found:
        return False
    if edit.kind in ("added", "removed"):
        return bool(found[0].op == edit.what)
    return edit.what is None or set(found[0].values) == edit.what


# -- single edits ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", EDITS)
@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), size=st.integers(3, 14))
def test_a_single_edit_is_found_and_nothing_else(name: str, seed: int, size: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, size)
    edit = random_edit(graph, rng, name)
    if edit is None or edit.graph is None:
        return
    for other in (edit.graph, disguised(edit.graph, rng)):
        difference = nl.diff(graph, other)
        if graph.hash == other.hash:
            assert not difference
            continue
        # Without names, two inputs that change places may as well be one operand that reads the other.
        alike = edit.kind == "inputs" and other is not edit.graph and len(difference) == len(difference.rewired) == 1
        assert is_just(difference, edit) or alike, f"{difference!r}\n{difference}"


@settings(max_examples=40)
@given(graph=graphs(), seed=st.integers(0, 10**6), name=st.sampled_from(sorted(EDITS)))
def test_edits_of_all_kinds_of_graphs(graph: Graph, seed: int, name: str) -> None:
    edit = random_edit(graph, random.Random(seed), name)
    if edit is not None and edit.graph is not None and edit.graph.hash != graph.hash:
        difference = nl.diff(graph, edit.graph)
        # A parameter that is read by two calls changes with both.
        assert is_just(difference, edit), f"{difference!r}\n{graph}\n{edit.graph}"


def test_edits_find_places() -> None:
    """The properties above would prove little if edits were mostly skipped."""
    counts = dict.fromkeys(EDITS, 0)
    for seed in range(60):
        rng = random.Random(seed)
        graph = random_graph(rng, 10)
        for name in EDITS:
            edit = random_edit(graph, rng, name)
            counts[name] += edit is not None and edit.graph is not None and edit.graph.hash != graph.hash
    assert all(count >= 10 for count in counts.values()), counts


def residual_network(widths: tuple[int, ...], blocks: int = 2) -> Graph:
    x = y = nl.input(3, 16, 16)
    for stage, width in enumerate(widths):
        y = nl.relu(nl.batch_norm(nl.conv2d(y, width, kernel=3, padding=1, name=f"stage{stage}.stem")))
        for i in range(blocks):
            inner = nl.relu(nl.conv2d(y, width, kernel=3, padding=1, name=f"stage{stage}.{i}.a"))
            y = nl.relu(nl.add(nl.conv2d(inner, width, kernel=3, padding=1, name=f"stage{stage}.{i}.b"), y))
    return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(y, 1)), 10, name="head"))


@given(
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=3), new=st.integers(10, 20), place=st.integers(0, 2),
    seed=st.integers(0, 999),
)  # fmt: skip
@settings(max_examples=8)
def test_a_width_resized_consistently(widths: list[int], new: int, place: int, seed: int) -> None:
    place %= len(widths)
    a = residual_network(tuple(widths))
    b = residual_network((*widths[:place], new, *widths[place + 1 :]))
    layers = {f"stage{place}.{name}" for name in ("stem", "0.b", "1.b", "0.a", "1.a")}
    for other in (b, disguised(b, random.Random(seed))):
        difference = nl.diff(a, other)
        assert {change.before for change in difference.resized} == layers
        assert all(change.values == {"out": (widths[place], new)} for change in difference.resized)
        assert len(difference) == len(layers)
    following = nl.diff(a, b).followers
    assert "head" in following if place == len(widths) - 1 else f"stage{place + 1}.stem" in following


# -- several edits -------------------------------------------------------------------------------------------------------
@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), size=st.integers(6, 20), count=st.integers(2, 3))
def test_grandchildren_are_a_few_edits_away(seed: int, size: int, count: int) -> None:
    rng = random.Random(seed)
    graph = other = random_graph(rng, size)
    done = 0
    for _ in range(count):
        edit = random_edit(other, rng, rng.choice(sorted(set(EDITS) - {"add_node"})))
        if edit is not None and edit.graph is not None:
            other, done = edit.graph, done + 1
    assert len(nl.diff(graph, other)) <= done


# -- empty exactly for the same computation --------------------------------------------------------------------------------
@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 14))
def test_a_renamed_copy_differs_in_nothing(seed: int, size: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, size)
    copy = disguised(graph, rng)
    difference = nl.diff(graph, copy)
    assert not difference and len(difference) == 0
    for before, after in difference.matches.items():
        assert graph[before].op == copy[after].op
        assert sorted(difference.matches[edge.node] for edge in graph[before].operands) == sorted(
            edge.node for edge in copy[after].operands
        )


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), first=st.integers(1, 4), second=st.integers(1, 4))
def test_empty_exactly_where_the_hashes_are_equal(seed: int, first: int, second: int) -> None:
    rng = random.Random(seed)
    a, b = random_graph(rng, first), random_graph(rng, second)
    assert (a.hash == b.hash) == (not nl.diff(a, b))


@settings(max_examples=20)
@given(a=graphs(max_size=6), b=graphs(max_size=6))
def test_any_two_graphs_can_be_compared(a: Graph, b: Graph) -> None:
    difference = nl.diff(a, b)
    assert bool(difference) == (a.hash != b.hash)
    assert not nl.diff(a, a)
    assert nl.diff(a, a).matches == {name: name for name in nl.diff(a, a).matches}
    document = json.loads(difference.to_json())
    assert [node["name"] for node in document["added"]] == [node.name for node in difference.added]
    assert str(difference) and "Diff" in repr(difference)
    everything = {node.name for node in difference.added} | set(difference.matches.values())
    assert len(everything) == len(difference.added) + len(difference.matches)


def test_dead_nodes_and_initialisation_are_no_difference() -> None:
    x = nl.input(4)
    y = nl.relu(nl.linear(x, 4))
    graph = nl.Graph(x, y)
    steps = [*graph.steps, Step("dead", "relu", {"x": Edge("x")})]
    assert not nl.diff(graph, Graph.make(steps, graph.tensors, graph.arguments, graph.result, symbols=graph.symbols))


def test_inputs_that_come_and_go() -> None:
    def network(*names: str) -> Graph:
        inputs = [nl.input(4, name=name) for name in names]
        total: Any = inputs[0]
        for value in inputs[1:]:
            total = nl.sub(nl.tanh(total), value)
        return nl.Graph(tuple(inputs), nl.relu(total))

    difference = nl.diff(network("a", "b"), network("a", "b", "c"))
    assert [node.name for node in difference.added] == ["c", "tanh_1", "sub_1"]
    assert difference.inputs is None and not difference.rewired and not difference.outputs


def test_free_symbols_are_told_apart_by_place() -> None:
    def network(first: str, second: str) -> Graph:
        steps = [
            Step("x", "input", {"dtype": DType("float32"), "shape": (Size.symbol(first), 4)}),
            Step("z", "input", {"dtype": DType("float32"), "shape": (Size.symbol(second), 4)}),
            Step("act", "relu", {"x": Edge("x")}),
        ]
        arguments = [Argument("x", Edge("x")), Argument("z", Edge("z"))]
        return Graph.make(steps, {}, arguments, (Edge("act"), Edge("z")), symbols={first: 1, second: 1})

    assert not nl.diff(network("N", "T"), network("T", "N"))
    assert [change.values for change in nl.diff(network("N", "T"), network("N", "N")).resized]


# -- what it says --------------------------------------------------------------------------------------------------------------
def test_table_and_json_of_a_small_diff() -> None:
    def network(width: int, activation: Any, kernel: int) -> Graph:
        x = nl.input(3, 8, 8)
        y = activation(nl.conv2d(x, width, kernel=kernel, padding=kernel // 2, name="stem"), name="act")
        return nl.Graph(x, nl.linear(nl.flatten(y, name="flat"), 10, name="head"))

    difference = nl.diff(network(16, nl.relu, 3), network(12, nl.gelu, 5))
    assert str(difference).splitlines() == [
        "resized     stem  out 16 → 12",
        "                  with them head",
        "changed     stem  kernel 3 → 5, padding 1 → 2",
        "            act   relu → gelu",
        "parameters  10.7K → 8.6K  −2.1K",
        "FLOPs       75.8K → 131K  +54.8K",
    ]
    document = json.loads(difference.to_json())
    assert document["format"] == "netloom-diff" and document["version"] == 1
    assert document["resized"] == [{"before": "stem", "after": "stem", "values": {"out": ["16", "12"]}}]
    assert document["a"]["parameters"] == network(16, nl.relu, 3).num_params
    assert document["matches"]["head"] == "head"


def test_weights_that_are_shared() -> None:
    def network(tied: bool) -> Graph:
        x = nl.input(4)
        first = nl.linear(x, 4, name="first")
        like = {"like": first} if tied else {}
        return nl.Graph(x, nl.graph.builder.call("linear", nl.relu(first), 4, name="second", **like))

    difference = nl.diff(network(False), network(True))
    assert [change.name for change in difference.rewired] == ["second"]
    assert set(difference.rewired[0].values) == {"weight", "bias"}
    assert "second  weight: its own → shared with first" in str(difference)


def test_what_is_no_graph_is_refused() -> None:
    graph = nl.Graph(x := nl.input(4), nl.relu(x))
    with pytest.raises(GraphError, match="not a str"):
        nl.diff(graph, "resnet18")  # type: ignore[arg-type]
    import torch

    with pytest.raises(GraphError, match="nl.trace"):
        nl.diff(torch.nn.Linear(2, 2), graph)  # type: ignore[arg-type]


# -- real networks -------------------------------------------------------------------------------------------------------------
def traced(name: str) -> Graph:
    import torch

    try:
        from benchmarks import torchvision_shim  # noqa: F401  (before torchvision)

        import torchvision  # isort: skip
    except ImportError:
        pytest.skip("torchvision is not installed")
    return nl.trace(getattr(torchvision.models, name)(), torch.zeros(2, 3, 64, 64))


def test_resnet18_against_resnet34() -> None:
    small, large = traced("resnet18"), traced("resnet34")
    for other in (large, disguised(large, random.Random(0))):
        difference = nl.diff(small, other)
        assert len(difference) == len(difference.added) == 56
    assert len(nl.diff(large, small).removed) == 56
    text = str(nl.diff(small, large))
    for stage, count in (("layer1", "+1 block "), ("layer2", "+2 blocks"), ("layer3", "+4 blocks"), ("layer4", "+1 block ")):
        assert any(stage in line and count in line for line in text.splitlines()), text
    assert "11.7M → 21.8M  +10.1M" in text


def test_rates_that_fall_with_depth_are_one_row() -> None:
    def network(rate: float) -> Graph:
        x = y = nl.input(4)
        for i in range(6):
            y = nl.dropout(nl.linear(y, 4, name=f"l{i}"), rate * (i + 1), name=f"d{i}")
        return nl.Graph(x, y)

    difference = nl.diff(network(0.1), network(0.05))
    assert len(difference.changed) == 6
    assert str(difference) == "changed  d0, d1, d2 and 3 more  p 0.1 → 0.05, …, p 0.6 → 0.3"
