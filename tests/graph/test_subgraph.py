"""`Graph.subgraph`: the part under a module path stands by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import netloom as nl
from netloom.errors import GraphError
from netloom.graph.builder import call
from netloom.graph.graph import Graph
from netloom.ops import Edge


def network() -> Graph:
    x = nl.input(4, name="x")
    a = nl.linear(x, 4, name="stem")
    b = nl.relu(nl.linear(a, 4, name="block.fc"), name="block.relu")
    c = nl.add(b, a, name="block.add")
    return nl.Graph(x, {"out": nl.linear(nl.sub(c, b), 2, name="block2.fc"), "hidden": c})


def test_values_that_cross_become_inputs_and_outputs() -> None:
    part = network().subgraph("block")
    part.check()
    assert [(step.name, step.op) for step in part.steps] == [
        ("stem", "input"), ("block.fc", "linear"), ("block.relu", "relu"), ("block.add", "add"),
    ]  # fmt: skip
    assert [argument.name for argument in part.arguments] == ["stem"]
    assert part.result == (Edge("block.relu"), Edge("block.add"))
    assert list(part.tensors) == ["block.fc.weight", "block.fc.bias"]
    assert part["stem"].types == network()["stem"].types
    assert part.symbols == {"N": 1}


def test_one_node() -> None:
    part = network().subgraph("block2.fc")
    part.check()
    x = nl.input(4)
    assert part.hash == nl.Graph(x, nl.linear(x, 2)).hash


def test_a_prefix_is_a_path_not_a_string() -> None:
    assert {node.name for node in network().subgraph("block")} & {"block2.fc"} == set()


def test_the_whole_of_it() -> None:
    x = nl.input(4, name="net.x")
    graph = nl.Graph(x, nl.relu(nl.linear(x, 3, name="net.fc"), name="net.relu"))
    part = graph.subgraph("net")
    part.check()
    assert (part.steps, part.result, part.hash) == (graph.steps, graph.result, graph.hash)


def test_near_prefixes_are_offered() -> None:
    with pytest.raises(GraphError, match="no node lies under 'blok'; did you mean 'block'"):
        network().subgraph("blok")
    with pytest.raises(GraphError, match="no node lies under 'zzzzz'; there are 'x', 'stem'"):
        network().subgraph("zzzzz")


def test_several_results_of_one_node_enter() -> None:
    x = nl.input(6, name="x")
    a, b, c = nl.split(x, 2, name="parts")
    graph = nl.Graph(x, nl.sub(nl.relu(c, name="in.c"), nl.relu(a, name="in.a"), name="in.sub"))
    part = graph.subgraph("in")
    part.check()
    assert [node.name for node in part.inputs] == ["parts", "parts_2"]
    assert part["in.c"].operands == (Edge("parts_2"),)
    assert part["in.a"].operands == (Edge("parts"),)


def test_second_calls_of_a_shared_module_belong_to_it() -> None:
    x = nl.input(4, name="x")
    first = nl.linear(x, 4, name="fc")
    second = call("linear", nl.relu(first, name="act"), 4, like=first, name="fc@2")
    part = nl.Graph(x, second).subgraph("fc")
    part.check()
    assert [node.name for node in part] == ["x", "act", "fc", "fc@2"]
    assert list(part.tensors) == ["fc.weight", "fc.bias"]


def test_argument_names_are_identifiers() -> None:
    x = nl.input(4, name="0")
    graph = nl.Graph(x, nl.add(nl.relu(nl.relu(x, name="0.b"), name="1.c"), x, name="1.d"))
    part = graph.subgraph("1")
    part.check()
    assert [argument.name for argument in part.arguments] == ["x_0", "x_0_b"]


def test_ties_that_are_cut_leave_one_first_name() -> None:
    x = nl.input(4, name="x")
    layers = [nl.linear(x, 4, bias=False, name=name) for name in ("out.a", "in.b", "in.c")]
    graph = nl.Graph(x, nl.cat(nl.sub(layers[1], layers[2], name="in.sub"), layers[0], dim=1))
    tensors: dict[str, Any] = {
        key: replace(entry, alias_of=None if key == "out.a.weight" else "out.a.weight") for key, entry in graph.tensors.items()
    }
    tied = Graph.make(graph.steps, tensors, graph.arguments, graph.result, symbols=graph.symbols)
    part = tied.subgraph("in")
    part.check()
    assert {key: entry.alias_of for key, entry in part.tensors.items()} == {"in.b.weight": None, "in.c.weight": "in.b.weight"}
    assert part.num_params == 16


def test_unused_tensors_under_the_prefix_come_along() -> None:
    graph = network()
    spare = {"block.spare": graph.tensors["stem.weight"], "spare": graph.tensors["stem.weight"]}
    more = Graph.make(graph.steps, {**graph.tensors, **spare}, graph.arguments, graph.result, symbols=graph.symbols)
    assert set(more.subgraph("block").tensors) == {"block.fc.weight", "block.fc.bias", "block.spare"}


def test_where_nothing_leaves_the_last_results_do() -> None:
    x = nl.input(4, name="x")
    graph = nl.Graph(x, (nl.relu(x), nl.relu(nl.batch_norm(x, name="dead.bn"), name="dead.relu")))
    cut = Graph.make(graph.steps, graph.tensors, graph.arguments, graph.result[0], symbols=graph.symbols)
    part = cut.subgraph("dead")
    part.check()
    assert part.result == Edge("dead.relu")


def test_nodes_of_one_mode() -> None:
    x = nl.input(4, name="x")
    graph = nl.Graph(x, (nl.relu(x, name="in.eval"), nl.sigmoid(x, name="in.train")))
    steps = [replace(s, mode=s.name.removeprefix("in.")) if s.op != "input" else s for s in graph.steps]
    first, second = graph.result
    both = Graph.make(steps, {}, graph.arguments, first, train_result=second, symbols=graph.symbols)
    both.check()
    part = both.subgraph("in")
    part.check()
    assert (part.result, part.train_result) == (Edge("in.eval"), Edge("in.train"))
    alone = both.subgraph("in.train")
    alone.check()
    assert alone["in.train"].step.mode == ""
