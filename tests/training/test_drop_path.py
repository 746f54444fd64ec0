"""What a residual branch is, and that dropping one is what the literature says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.training.drop_path import Branch, DropPath, branches


def conv(x: Any, channels: int, **given: Any) -> Any:
    return nl.conv2d(x, channels, kernel=3, padding=1, **given)


def identity_block(x: Any) -> Any:
    return nl.add(nl.batch_norm(conv(nl.relu(conv(x, 4)), 4)), x, name="sum")


def projection_block(x: Any) -> Any:
    y = nl.batch_norm(conv(nl.relu(conv(x, 8, stride=2)), 8))
    return nl.add(nl.conv2d(x, 8, kernel=1, stride=2), y, name="sum")


def before_the_norm(x: Any) -> Any:
    y = nl.relu(nl.batch_norm(x))
    return nl.add(x, conv(y, 4), name="sum")


def squeeze_and_excite(x: Any) -> Any:
    y = nl.batch_norm(conv(x, 4))
    gate = nl.sigmoid(nl.conv2d(nl.mean(y, dim=(2, 3), keepdim=True), 4, kernel=1))
    return nl.add(nl.mul(y, gate), x, name="sum")


def darts_cell(x: Any) -> Any:
    a = nl.relu(conv(x, 4))
    b = nl.relu(conv(a, 4))
    return nl.mul(nl.add(conv(x, 4), conv(b, 4), name="sum"), b)


def darts_cell_with_skip(x: Any) -> Any:
    a = nl.relu(conv(x, 4))
    return nl.mul(nl.add(a, nl.max_pool2d(x, kernel=3, stride=1, padding=1), name="sum"), a)


def reparametrised(x: Any) -> Any:
    inner = nl.add(nl.batch_norm(conv(x, 4)), nl.batch_norm(conv(x, 4)), name="inner")
    return nl.add(inner, x, name="sum")


def a_bias(x: Any) -> Any:
    return nl.add(conv(x, 4), nl.parameter(1, 4, 8, 8), name="sum")


def doubled(x: Any) -> Any:
    y = conv(x, 4)
    return nl.add(y, y, name="sum")


CASES: list[tuple[Callable[[Any], Any], list[tuple[str, str]]]] = [
    (identity_block, [("sum", "x")]),
    (projection_block, [("sum", "y")]),
    (before_the_norm, [("sum", "y")]),
    (squeeze_and_excite, [("sum", "x")]),
    (darts_cell, [("sum", "x"), ("sum", "y")]),
    (darts_cell_with_skip, [("sum", "y")]),
    (reparametrised, [("sum", "x")]),
    (a_bias, []),
    (doubled, []),
]


def graph_of(block: Callable[[Any], Any]) -> nl.Graph:
    x = nl.input(4, 8, 8)
    y = block(nl.relu(nl.conv2d(x, 4, kernel=1)))
    return nl.Graph(x, nl.linear(nl.mean(y, dim=(2, 3)), 10))


@pytest.mark.parametrize(("block", "expected"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_branches_follow_from_the_graph(block: Callable[[Any], Any], expected: list[tuple[str, str]]) -> None:
    assert branches(graph_of(block)) == tuple(Branch(*names) for names in expected)


def test_every_skip_of_published_cells_stays() -> None:
    """In a cell of NAS-Bench-201, skip connections are kept and every other operator of a sum is a branch."""
    space = nl.spaces.NASBench201(num_classes=10)
    cell = "|skip_connect~0|+|nor_conv_3x3~0|skip_connect~1|+|nor_conv_3x3~0|avg_pool_3x3~1|nor_conv_1x1~2|"
    graph = space.from_string(cell)
    found = branches(graph)
    assert found
    for branch in found:
        operand = graph[branch.sum].step.args[branch.operand].node
        assert graph[operand].op in ("batch_norm", "avg_pool2d", "add"), operand


def test_transformers_have_two_branches_a_layer() -> None:
    layer = torch.nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True)
    model = torch.nn.Sequential(layer, torch.nn.TransformerEncoderLayer(16, 4, 32, batch_first=True))
    graph = nl.trace(model, torch.randn(2, 5, 16))
    assert len(branches(graph)) == 4


# -- dropping ------------------------------------------------------------------------------------------------------
def test_without_probability_the_network_computes_what_it_did() -> None:
    network = nl.build(graph_of(squeeze_and_excite), seed=0)
    dropped = DropPath(network)
    x = torch.randn(5, 4, 8, 8)
    assert torch.equal(dropped(x), network(x))
    assert dropped.network.graph.tensors == network.graph.tensors


def test_a_sample_keeps_a_branch_scaled_or_skips_it_whole() -> None:
    x = nl.input(4)
    network = nl.build(nl.Graph(x, nl.add(x, nl.relu(nl.linear(x, 4)), name="sum")), seed=0)
    dropped = DropPath(network)
    dropped.probability = 0.25
    batch = torch.randn(4000, 4)
    branch = network(batch) - batch
    given = dropped(batch, torch.Generator().manual_seed(0)) - batch
    skipped = given.abs().amax(1) < 1e-6
    kept = (given - branch / 0.75).abs().amax(1) < 1e-5
    assert (skipped | kept).all() and abs(float(skipped[branch.abs().amax(1) > 0.1].float().mean()) - 0.25) < 0.03


def test_branches_are_dropped_independently_of_each_other() -> None:
    network = nl.build(graph_of(lambda x: identity_block_twice(x)), seed=0)
    dropped = DropPath(network)
    assert dropped.ranks == (4, 4)
    dropped.probability = 0.5
    seen = set()
    x = torch.randn(1, 4, 8, 8)
    for seed in range(40):
        seen.add(tuple(round(v, 4) for v in dropped(x, torch.Generator().manual_seed(seed)).flatten().tolist()))
    assert len(seen) == 4


def identity_block_twice(x: Any) -> Any:
    y = nl.add(x, conv(x, 4), name="first")
    return nl.add(y, conv(y, 4), name="second")


def test_the_network_and_its_twin_share_weights_gradients_and_statistics() -> None:
    network = nl.build(graph_of(identity_block), seed=0)
    dropped = DropPath(network)
    dropped.probability = 0.5
    dropped.train()
    dropped(torch.randn(6, 4, 8, 8)).sum().backward()
    for name, weight in network.named_parameters():
        assert weight is dropped.network.get_parameter(name) and weight.grad is not None
    assert network.get_buffer("batch_norm.num_batches_tracked") == 1
    assert network.get_buffer("batch_norm.running_mean").abs().sum() > 0


def test_the_probability_grows_with_the_epochs_or_is_constant() -> None:
    from netloom.training import Recipe
    from netloom.training.learner import NetworkLearner

    graph = graph_of(identity_block)
    batch = (torch.randn(4, 4, 8, 8), torch.randint(0, 10, (4,)))
    for growth, expected in (("linear", [0.0, 0.1, 0.2, 0.3, 0.4, 0.4]), ("constant", [0.4] * 6)):
        recipe = Recipe(drop_path=0.4, drop_path_growth=growth)
        learner = NetworkLearner(nl.build(graph, seed=0), recipe, steps_per_epoch=2, horizon=4, classes=10)
        found = []
        for _ in range(6):
            learner.step(batch)
            found.append(learner.drop_path.probability)  # type: ignore[union-attr]
        assert found == pytest.approx(expected)


def test_drop_path_regularises_and_evaluation_is_without_it() -> None:
    rng = np.random.default_rng(0)
    task = nl.tasks.from_arrays(rng.normal(size=(200, 4, 8, 8)), rng.integers(0, 10, 200))
    plain, dropped = (nl.train(graph_of(identity_block_twice), task, {"drop_path": p}, epochs=3) for p in (0.0, 0.5))
    assert plain.curve[-1].train_loss != dropped.curve[-1].train_loss
    x = task.valid.x
    assert torch.equal(dropped.network(x), dropped.network(x)) and dropped.network.graph == graph_of(identity_block_twice)
