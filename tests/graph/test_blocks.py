"""Blocks are found by structure: partition, nesting, equality and costs, on graphs made for the purpose and random ones."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.graph.block_labels import MAX_LINES
from netloom.graph.block_likeness import periods
from netloom.graph.blocks import Block, find_blocks
from netloom.graph.builder import call
from netloom.graph.graph import Argument, Graph
from netloom.graph.tree import map_leaves
from netloom.ops import Edge, Weight
from tests.graph.graph_variants import random_graph


def walk(block: Block) -> Iterator[Block]:
    yield block
    for part in block.parts:
        yield from walk(part)


def tree(block: Block) -> Any:
    """The shape of the tree without names."""
    return block.kind, block.start, block.stop, block.exact, tuple(map(tree, block.parts))


def repeats(block: Block) -> list[tuple[int, bool]]:
    """Count and exactness of the repeats that no other repeat contains."""
    if block.kind == "repeat":
        return [(block.count, block.exact)]
    return [found for part in block.parts for found in repeats(part)]


def check(graph: Graph) -> Block:
    """Everything that holds for the blocks of any graph."""
    root = find_blocks(graph)
    assert root.steps == graph.steps
    for block in walk(root):
        assert (block.kind == "node") == (not block.parts)
        assert len(block) == len(block.steps) == 1 or block.kind != "node"
        if block.parts:
            assert [step for part in block.parts for step in part.steps] == list(block.steps)
            assert len(block.parts) > 1 or block is root
        if block.kind == "repeat":
            assert block.count == len(block.parts) >= 2
            assert block.typical in block.parts
            assert not block.exact or len({len(part.steps) for part in block.parts}) == 1
        else:
            assert block.count == 1 and block.exact
    return root


def renamed(graph: Graph, rng: random.Random) -> Graph:
    """The same graph, step by step, under other names and keys."""
    names = {step.name: f"n{i}" for i, step in enumerate(rng.sample(graph.steps, len(graph.steps)))}
    keys = {key: f"t{i}" for i, key in enumerate(rng.sample(sorted(graph.tensors), len(graph.tensors)))}

    def moved(value: Any) -> Any:
        if type(value) is Edge:
            return Edge(names[value.node], value.index)
        return Weight(keys[value.key]) if type(value) is Weight else value

    steps = [replace(s, name=names[s.name], args={k: map_leaves(v, moved) for k, v in s.args.items()}) for s in graph.steps]
    tensors = {
        keys[key]: replace(entry, alias_of=None if entry.alias_of is None else keys[entry.alias_of])
        for key, entry in graph.tensors.items()
    }
    arguments = [Argument(a.name, map_leaves(a.tree, moved), a.keyword) for a in graph.arguments]
    trained = map_leaves(graph.train_result, moved)
    return Graph.make(steps, tensors, arguments, map_leaves(graph.result, moved), train_result=trained, symbols=graph.symbols)


# -- small architectures ---------------------------------------------------------------------------------------------
def mlp(widths: list[int], inputs: int = 8) -> Graph:
    x = y = nl.input(inputs)
    for width in widths:
        y = nl.relu(nl.linear(y, width))
    return nl.Graph(x, nl.linear(y, 3))


def residual(y: Any, channels: int, stride: int = 1, project: bool = False) -> Any:
    z = nl.relu(nl.batch_norm(nl.conv2d(y, channels, kernel=3, padding=1, stride=stride, bias=False)))
    z = nl.batch_norm(nl.conv2d(z, channels, kernel=3, padding=1, bias=False))
    short = nl.batch_norm(nl.conv2d(y, channels, kernel=1, stride=stride, bias=False)) if project else y
    return nl.relu(nl.add(z, short))


def resnet(depths: tuple[int, ...] = (2, 3, 2), channels: int = 8) -> Graph:
    x = nl.input(3, 32, 32)
    y = nl.relu(nl.batch_norm(nl.conv2d(x, channels, kernel=3, padding=1)))
    for stage, depth in enumerate(depths):
        for block in range(depth):
            first = stage > 0 and block == 0
            y = residual(y, channels << stage, 2 if first else 1, project=first)
    return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(y, (1, 1))), 10))


def transformer(layers: int, alternate: bool = False) -> Graph:
    """Every layer reads one mask; every other one divides by another number."""
    x, mask = nl.input(6, 16), nl.input(6, 6)
    y, bias = x, nl.mul(mask, -2.0)
    for layer in range(layers):
        z = nl.layer_norm(y, (16,))
        q, k, v = (nl.linear(z, 16) for _ in range(3))
        scores = nl.add(nl.div(nl.matmul(q, nl.transpose(k, 1, 2)), 2.0 + (layer % 2 if alternate else 0)), bias)
        y = nl.add(y, nl.linear(nl.matmul(nl.softmax(scores, -1), v), 16))
        y = nl.add(y, nl.linear(nl.gelu(nl.linear(nl.layer_norm(y, (16,)), 32)), 16))
    return nl.Graph((x, mask), nl.linear(y, 4))


def test_residual_network_has_stages_of_blocks() -> None:
    graph = resnet((2, 3, 2))
    root = check(graph)
    assert [(part.kind, part.count, part.exact) for part in root.parts] == [  # stem, three stages, head
        ("node", 1, True), ("group", 1, True), ("repeat", 2, True), ("repeat", 3, False), ("repeat", 2, False),
        ("group", 1, True),
    ]  # fmt: skip
    stem, first, second, third = root.parts[1:5]
    assert [step.op for step in stem.steps] == ["conv2d", "batch_norm", "relu"]
    assert [len(part) for part in second.parts] == [9, 7, 7]
    assert second.parts[1].summary is second.parts[2].summary is second.typical.summary
    assert second.parts[0].summary is not second.parts[1].summary
    assert all(
        part.steps[0].op == "conv2d" and part.steps[-1].op == "relu" for part in (*first.parts, *second.parts, *third.parts)
    )


def test_layers_that_share_a_mask() -> None:
    (found,) = [part for part in check(transformer(5)).parts if part.kind == "repeat"]
    assert (found.count, found.exact) == (5, True)
    assert len({part.summary for part in found.parts}) == 1
    assert [part.kind for part in found.parts[0].parts] == ["group", "group"]  # attention, and what follows it
    assert found.inputs[0].node == "x" and len(found.inputs) == 2 and len(found.outputs) == 1
    assert [step.op for step in found.parts[0].steps][0] == "layer_norm"


def test_alternating_layers_are_pairs() -> None:
    (found,) = [part for part in check(transformer(6, alternate=True)).parts if part.kind == "repeat"]
    assert (found.count, found.exact) == (3, True)
    assert all((pair.kind, pair.count, pair.exact) == ("repeat", 2, False) for pair in found.parts)


def test_chain_of_equal_width() -> None:
    root = check(mlp([16] * 5))
    assert repeats(root) == [(5, False)]  # the first layer reads another width
    assert repeats(check(mlp([8] * 5))) == [(5, True)]


@pytest.mark.parametrize("widths", [[], [4], [4, 8, 16, 32], [32, 16, 8]])
def test_no_repeat_where_nothing_repeats(widths: list[int]) -> None:
    assert repeats(check(mlp(widths))) == []


def test_plain_chain_without_repeats() -> None:
    x = nl.input(3, 16, 16)
    y = nl.relu(nl.conv2d(x, 8, kernel=5))
    y = nl.batch_norm(nl.max_pool2d(y, 2))
    y = nl.gelu(nl.conv2d(nl.dropout(y, 0.1), 16, kernel=3))
    assert repeats(check(nl.Graph(x, nl.softmax(nl.linear(nl.flatten(y), 10), -1)))) == []
    assert [part.kind for part in check(nl.Graph(x, x)).parts] == ["node"]


def test_query_key_value_stay_themselves() -> None:
    x = nl.input(6, 16)
    q, k, v = (nl.linear(x, 16) for _ in range(3))
    graph = nl.Graph(x, nl.matmul(nl.softmax(nl.matmul(q, nl.transpose(k, 1, 2)), -1), v))
    assert repeats(check(graph)) == []


def test_experts_side_by_side() -> None:
    x = y = nl.input(8)
    experts = [nl.linear(nl.gelu(nl.linear(x, 16)), 8) for _ in range(6)]
    for expert in experts:
        y = nl.add(y, expert)
    assert (6, True) in repeats(check(nl.Graph(x, y)))


def test_towers_of_repeats() -> None:
    def tower(y: Any) -> Any:
        for _ in range(4):
            y = nl.relu(nl.batch_norm(nl.conv2d(y, 8, kernel=3, padding=1)))
        return y

    x, z = nl.input(8, 8, 8), nl.input(8, 8, 8)
    (towers,) = [p for p in check(nl.Graph((x, z), nl.cat(tower(x), tower(z), dim=1))).parts if p.kind == "repeat"]
    assert towers.count == 2 and [repeats(part) for part in towers.parts] == [[(4, True)], [(4, True)]]
    assert towers.exact and towers.parts[0].summary is towers.parts[1].summary


def test_dense_layers_read_all_before_them() -> None:
    x = nl.input(8, 8, 8)
    features = [nl.conv2d(x, 8, kernel=1)]
    for _ in range(5):
        y = nl.conv2d(nl.relu(nl.batch_norm(nl.cat(*features, dim=1))), 4, kernel=3, padding=1)
        features.append(y)
    assert repeats(check(nl.Graph(x, nl.mean(nl.cat(*features, dim=1), (2, 3))))) == [(5, False)]


def test_encoder_and_decoder_with_skips() -> None:
    def twice(y: Any, channels: int) -> Any:
        for _ in range(2):
            y = nl.relu(nl.batch_norm(nl.conv2d(y, channels, kernel=3, padding=1)))
        return y

    x = y = nl.input(3, 32, 32)
    skips = []
    for channels in (8, 16, 32):
        skips.append(twice(y, channels))
        y = nl.max_pool2d(skips[-1], 2)
    y = twice(y, 64)
    for channels in (32, 16, 8):
        y = twice(nl.cat(skips.pop(), nl.conv_transpose2d(y, channels, kernel=2, stride=2), dim=1), channels)
    assert repeats(check(nl.Graph(x, nl.conv2d(y, 2, kernel=1)))) == [(2, False)] * 7


def recurrent(shared: int, layers: int = 6) -> Graph:
    """A cell applied again and again; the first ``shared`` steps share its weights, each other has fresh ones."""
    x = nl.input(8)
    y, cell = nl.sigmoid(nl.linear(x, 8)), None
    for step in range(layers):
        made = nl.linear(y, 8) if cell is None or step >= shared else call("linear", y, 8, like=cell)
        cell = made if cell is None else cell
        y = nl.add(nl.tanh(made), x)
    return nl.Graph(x, y)


def test_shared_weights_are_no_fresh_copies() -> None:
    fresh, shared, mixed = (check(recurrent(count)) for count in (0, 6, 3))
    assert [repeats(root) for root in (fresh, shared, mixed)] == [[(6, True)], [(6, True)], [(6, False)]]
    (a,), (b,) = ([p for p in root.parts if p.kind == "repeat"] for root in (fresh, shared))
    assert a.parts[0].summary is b.parts[0].summary
    assert a.summary is not b.summary
    assert (a.summary.num_params, b.summary.num_params) == (6 * 72, 72)


def test_one_attribute_makes_instances_alike_only() -> None:
    def graph(rate: float) -> Graph:
        x = y = nl.input(8)
        for i in range(4):
            y = nl.dropout(nl.relu(nl.linear(y, 8)), rate if i == 2 else 0.1)
        return nl.Graph(x, y)

    assert repeats(check(graph(0.1))) == [(4, True)]
    assert repeats(check(graph(0.2))) == [(4, False)]


def test_a_tap_in_the_middle_is_no_equal_instance() -> None:
    x = y = nl.input(8)
    taps = []
    for i in range(4):
        z = nl.linear(y, 8)
        taps += [z] if i == 1 else []
        y = nl.relu(z)
    assert repeats(check(nl.Graph(x, (y, *taps)))) == [(4, False)]


def test_steps_without_gradients_are_others() -> None:
    graph = mlp([8] * 6)
    steps = [replace(step, grad=i > 6) for i, step in enumerate(graph.steps)]
    frozen = Graph.make(steps, graph.tensors, graph.arguments, graph.result, symbols=graph.symbols)
    assert repeats(check(frozen)) == [(3, True), (3, True)]


def test_last_block_that_lacks_something() -> None:
    x = nl.input(4, 32)
    y, skip = nl.conv1d(x, 8, kernel=1), 0
    for i in range(5):
        gate = nl.mul(nl.tanh(nl.conv1d(y, 8, kernel=3, padding=1)), nl.sigmoid(nl.conv1d(y, 8, kernel=3, padding=1)))
        z = nl.conv1d(gate, 8, kernel=1)
        skip = nl.add(z, skip)
        y = nl.add(y, z) if i < 4 else y
    assert repeats(check(nl.Graph(x, nl.relu(skip)))) == [(5, False)]


# -- properties --------------------------------------------------------------------------------------------------------
@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 40))
def test_random_graphs(seed: int, size: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, size)
    assert tree(check(graph)) == tree(check(renamed(graph, rng)))


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_samples_of_the_convolutional_space(seed: int) -> None:
    graph = nl.spaces.Conv(input_shape=(3, 32, 32), num_classes=10).sample(np.random.default_rng(seed))
    root = check(graph)
    assert tree(root) == tree(find_blocks(renamed(graph, random.Random(seed))))
    assert root.summary.num_params == graph.num_params and root.summary.flops == graph.flops
    assert str(root).count("\n") < MAX_LINES


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(2, 6), st.integers(0, 3), st.integers(0, 10**6))
def test_planted_repeats_are_found(length: int, count: int, before: int, seed: int) -> None:
    """A random chain of different layers, repeated, between others: exactly those instances."""
    rng = random.Random(seed)
    kernels = rng.sample([1, 3, 5, 7], length)
    x = y = nl.input(8, 16, 16)
    for _ in range(before):
        y = nl.tanh(nl.batch_norm(y))
    for _ in range(count):
        for kernel in kernels:
            y = nl.relu(nl.conv2d(y, 8, kernel=kernel, padding=kernel // 2))
    root = check(nl.Graph(x, nl.linear(nl.flatten(y), 2)))
    (found,) = [part for part in root.parts if part.kind == "repeat" and part.steps[0].op == "conv2d"]
    assert (found.count, found.exact, found.start) == (count, True, 1 + 2 * before)


@given(st.lists(st.integers(0, 2), max_size=24))
def test_periods_are_all_there_are(labels: list[int]) -> None:
    found = set(periods(np.array(labels, dtype=np.int64)))
    for start, period, length in found:
        stretch = labels[start : start + length]
        assert length >= 2 * period and stretch[period:] == stretch[:-period]
    for start in range(len(labels)):
        for period in range(1, (len(labels) - start) // 2 + 1):
            if labels[start : start + period] == labels[start + period : start + 2 * period]:
                assert any(a <= start and start + 2 * period <= a + n for a, p, n in found if p == period)


# -- summaries -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", [resnet, lambda: transformer(3), lambda: recurrent(4), lambda: mlp([8, 8])])
def test_costs_add_up(make: Any) -> None:
    graph = make()
    root = find_blocks(graph)
    assert (root.summary.num_params, root.summary.flops) == (graph.num_params, graph.flops)
    assert root.summary.num_nodes == sum(step.op != "input" for step in graph.steps)
    for block in walk(root):
        if block.parts:
            parts = [part.summary for part in block.parts]
            assert block.summary.flops == sum(part.flops for part in parts)
            assert block.summary.num_nodes == sum(part.num_nodes for part in parts)
            assert block.summary.num_params <= sum(part.num_params for part in parts)


def test_ties_count_once() -> None:
    whole = find_blocks(recurrent(6)).summary
    assert whole.num_params == recurrent(6).num_params == 144


def test_equal_blocks_of_different_graphs_are_one_summary() -> None:
    small, large = (find_blocks(resnet(depths)) for depths in ((2,), (4, 2)))
    (a, *_), (b, *_) = ([p for p in root.parts if p.kind == "repeat"] for root in (small, large))
    assert a.parts[0].summary is b.parts[3].summary
    other = find_blocks(resnet((2,), channels=4)).parts[2]
    assert other.kind == "repeat" and other.parts[0].summary is not a.parts[0].summary
    assert other.parts[0].summary.hash != a.parts[0].summary.hash


def test_summary_is_a_graph_under_neutral_names() -> None:
    rng = random.Random(0)
    graph = resnet((3,))
    block, twin = (find_blocks(made).parts[2].parts[1] for made in (graph, renamed(graph, rng)))
    assert block.summary is twin.summary
    assert block.summary.text.startswith("netloom 1\n") and "conv2d(8" in block.summary.text
    part = Graph.from_text(block.summary.text)
    part.check()
    assert part.hash == block.summary.hash == block.summary.graph.hash
    assert (part.num_params, part.flops) == (block.summary.num_params, block.summary.flops)


def test_parts_only_made_in_training_cost_nothing() -> None:
    graph = mlp([8, 8])
    steps = [replace(step, mode="train") if step.op == "relu" else step for step in graph.steps]
    trained = Graph.make(steps, graph.tensors, graph.arguments, graph.result, symbols=graph.symbols)
    root = find_blocks(trained)
    assert root.summary.flops == trained.flops
    assert all(part.summary.flops >= 0 for part in walk(root))


# -- for people ----------------------------------------------------------------------------------------------------------
def test_labels() -> None:
    x = y = nl.input(8)
    for i in range(3):
        y = nl.relu(nl.linear(y, 8, name=f"body.{i}.fc"), name=f"body.{i}.act")
    for i in range(2):
        y = nl.tanh(nl.linear(y, 4, name=f"head.{2 * i}"), name=f"head.{2 * i + 1}")
    root = find_blocks(nl.Graph(x, nl.linear(y, 2, name="head.4")))
    assert [part.label for part in root.parts] == ["x", "body", "head.0–3", "head.4"]
    assert [part.prefix for part in root.parts] == ["x", "body", "head", "head.4"]
    assert [part.label for part in root.parts[1].parts] == ["body.0", "body.1", "body.2"]
    assert find_blocks(mlp([8] * 3)).parts[1].label == "linear–relu"


def test_outline() -> None:
    assert str(resnet((2, 3)).blocks()).splitlines() == [
        "graph: 43 nodes, 15,802 parameters, 11.7 MFLOPs",
        "  block                              operators  output           parameters",
        "  x                                  input      (N, 3, 32, 32)",
        "  conv–bn–relu                                  (N, 8, 32, 32)          240",
        "  conv–bn–relu–conv–bn–add–relu ×2              (N, 8, 32, 32)        2,368",
        "  conv–bn–relu–conv–bn–add–relu ×3~             (N, 16, 16, 16)      13,024",
        "  adaptive_avg_pool–linear                      (N, 10)                 170",
        "  ~ alike, not equal: one of the most frequent is shown",
    ]


def test_outline_of_what_repeats_nothing_tells_every_node() -> None:
    x = nl.input(8)
    graph = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 4, name="hidden"), name="act"), 2, name="head"))
    assert [line.split()[0] for line in str(graph.blocks()).splitlines()[2:]] == ["x", "hidden", "act", "head"]
    (only,) = nl.Graph(x, nl.linear(x, 2)).blocks().parts[1:]
    assert [line.split()[0] for line in str(only).splitlines()] == ["linear:", "block", "linear"]
    assert str(only).startswith("linear: 1 node, 18 parameters")


def test_a_long_name_gives_way_to_the_count() -> None:
    x = y = nl.input(4)
    for _ in range(3):
        y = nl.add(nl.mul(nl.sigmoid(nl.linear(y, 4)), nl.softmax(nl.linear(nl.layer_norm(nl.gelu(nl.linear(y, 4))), 4), 1)), y)
    name, _, rest = str(find_blocks(nl.Graph(x, y))).splitlines()[3].partition(" ×3")
    assert name.startswith("  linear–sigmoid–linear") and name.endswith("…") and rest


def test_outline_tells_parameters_that_nothing_uses() -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    model.dead = torch.nn.Linear(4, 4)
    assert str(nl.trace(model, torch.zeros(2, 4)).blocks()).startswith("graph: 1 node, 10 parameters and 20 that no node uses")


def test_outlines_are_short_and_aligned() -> None:
    for graph in (resnet((2, 3)), transformer(4), mlp(list(range(4, 60)))):
        lines = str(graph.blocks()).splitlines()
        assert len(lines) <= MAX_LINES and max(map(len, lines)) < 150
        column = lines[1].index("output")
        assert all(line[column - 1] == " " for line in lines[1:] if not line.startswith("  ~") and "…" not in line)
    assert graph.blocks().outline(1).count("\n") < MAX_LINES


def test_blocks_are_kept() -> None:
    graph = mlp([8, 8, 8])
    assert graph.blocks() is graph.blocks()


# -- size ------------------------------------------------------------------------------------------------------------------
def test_thousand_nodes_in_no_time() -> None:
    graph = transformer(62)
    assert len(graph) > 1000
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        root = find_blocks(graph)
        best = min(best, time.process_time() - start)
    assert repeats(root) == [(62, True)]
    assert best < 0.5  # measured by benchmarks/blocks.py: a tenth of that


def test_graphs_without_order_take_no_forever() -> None:
    graph = random_graph(random.Random(3), 1500)
    start = time.process_time()
    check(graph)
    assert time.process_time() - start < 10
