"""`train_many`: every network ends as it would alone."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.errors import TrainingError
from netloom.tasks import Task
from netloom.tasks.parts import Split
from netloom.tasks.random_regression import regression
from netloom.training import Recipe, TrainingResult
from netloom.training.many import seeds_of
from netloom.training.many_results import StackedResult
from netloom.training.many_training import cast_task

MIXED = nl.spaces.MLP(
    6, 1, layers=range(4), widths=range(1, 12), bias=(True, False),
    activations=("relu", "tanh", "sigmoid", "gelu", "silu", "elu", "softplus", "leaky_relu", "mish", "softsign"),
)  # fmt: skip


def mixed(count: int, seed: int = 0) -> list[nl.Graph]:
    rng = np.random.default_rng(seed)
    return [MIXED.sample(rng) for _ in range(count)]


def tasks(count: int, **settings: Any) -> list[Task]:
    usual = {"in_features": 6, "num_train": 60, "num_valid": 20, "num_test": 1}
    return [regression(i, **(usual | settings)) for i in range(count)]


def largest_difference(one: TrainingResult, other: TrainingResult) -> float:
    """Of weights, best weights and curves, relative to the size of what is compared."""
    assert (one.status, one.reason, one.steps, one.best_epoch) == (other.status, other.reason, other.steps, other.best_epoch)
    assert len(one.curve) == len(other.curve)
    found = [0.0]

    def compare(a: torch.Tensor, b: torch.Tensor, least: float = 1e-3) -> None:
        assert a.shape == b.shape and a.dtype == b.dtype
        if a.numel():
            found.append(float((a - b).norm() / a.norm().clamp(min=least)))

    for states in ((one.network.state_dict(), other.network.state_dict()), (one.best_state, other.best_state)):
        if states[0] is None:
            assert states[1] is None
            continue
        assert list(states[0]) == list(states[1])
        for key in states[0]:
            compare(states[0][key], states[1][key])
    columns = ("train_loss", "valid_loss", "score", "train_score")
    for a, b in zip(one.curve, other.curve):
        assert a.epoch == b.epoch
        # An R² may be near 0, where its rounding is not.
        compare(*(torch.tensor([getattr(p, name) for name in columns], dtype=torch.float64) for p in (a, b)), least=0.1)
    compare(*(torch.tensor([r.score, r.best_score], dtype=torch.float64).nan_to_num() for r in (one, other)), least=0.1)
    return max(found)


def compare_with_alone(graphs: list[nl.Graph], given: list[Task], recipe: Recipe, seed: int = 3, dtype: Any = None) -> float:
    """The largest difference between training together and one after the other."""
    together = nl.train_many(graphs, given, recipe, seed=seed, dtype=dtype)
    assert [r.remarks for r in together] == [()] * len(graphs), "not all were trained together"
    worst = 0.0
    for graph, task, result in zip(graphs, given, together):
        network: Any = graph
        if dtype is not None:
            network, task = nl.build(graph, seed=result.seed).to(dtype), cast_task(task, dtype)
        alone = nl.train(network, task, recipe, seed=result.seed)
        worst = max(worst, largest_difference(alone, result))
    return worst


RECIPES = {
    "adam": Recipe(epochs=3, batch_size=16, weight_decay=0.0, clip_norm=None, schedule="constant", warmup=0),
    "adamw, clipped, cosine": Recipe(epochs=3, batch_size=16, clip_norm=0.3, weight_decay=0.1),
    "biases not decayed": Recipe(epochs=3, batch_size=16, weight_decay=0.5, decay_biases=False),
    "sgd": Recipe(epochs=3, batch_size=16, optimizer="sgd", momentum=0.0, learning_rate=0.05, clip_norm=None),
    "nesterov, one cycle": Recipe(epochs=3, batch_size=16, optimizer="sgd", nesterov=True, schedule="one-cycle"),
    "averaged": Recipe(epochs=3, batch_size=16, ema_decay=0.9),
    "patient": Recipe(epochs=12, batch_size=16, patience=1, learning_rate=0.1),
    "steps": Recipe(epochs=9, batch_size=16, max_steps=10),
    "multiply-adds": Recipe(epochs=9, batch_size=16, max_multiply_adds=40_000),
    "batches that leave a rest": Recipe(epochs=2, batch_size=23),
    "batches that leave one sample": Recipe(epochs=2, batch_size=59),
    "one batch": Recipe(epochs=3, batch_size=1000),
    "milestones": Recipe(epochs=4, batch_size=16, schedule="multi-step", milestones=(1, 3), warmup=0),
}


@pytest.mark.parametrize("name", RECIPES)
def test_each_ends_as_alone(name: str) -> None:
    assert compare_with_alone(mixed(12), tasks(12), RECIPES[name], dtype=torch.float64) < 1e-10


def test_float64_after_300_steps() -> None:
    recipe = Recipe(epochs=100, batch_size=20, max_steps=300, learning_rate=1e-2, weight_decay=0.0, clip_norm=None)
    assert compare_with_alone(mixed(10, seed=1), tasks(10), recipe, dtype=torch.float64) < 1e-8


def test_float32_after_20_steps() -> None:
    recipe = Recipe(epochs=7, batch_size=20, max_steps=20, learning_rate=1e-2)
    assert compare_with_alone(mixed(30, seed=2), tasks(30), recipe) < 1e-4


def test_final_losses_are_distributed_as_alone() -> None:
    """After many steps in float32 rounding has led each network its own way; together they must do as well."""
    from scipy.stats import ks_2samp

    graph = mixed(40, seed=4)[3:4] * 40
    recipe = Recipe(epochs=60, batch_size=20, learning_rate=1e-2)
    task = tasks(1)[0]
    together = nl.train_many(graph, task, recipe, seed=range(40))
    alone = [nl.train(graph[0], task, recipe, seed=100 + seed) for seed in range(40)]
    losses = [[result.curve[-1].valid_loss for result in results] for results in (together, alone)]
    assert np.std(losses[0]) > 0
    assert ks_2samp(*losses).pvalue > 0.01


def test_classes() -> None:
    digits = nl.tasks.load("digits")
    rng = np.random.default_rng(0)
    space = nl.spaces.MLP(input_shape=(1, 8, 8), num_classes=10, layers=(1, 2), widths=(5, 12), activations=("relu", "sigmoid"))
    graphs = [space.sample(rng) for _ in range(6)]
    recipe = Recipe(epochs=2, batch_size=128, label_smoothing=0.1)
    assert compare_with_alone(graphs, [digits] * 6, recipe, dtype=torch.float64) < 1e-10
    worst = max(result.score for result in nl.train_many(graphs, "digits", Recipe(epochs=5, learning_rate=1e-2)))
    assert worst > 0.8


def test_classes_of_several_splits() -> None:
    """Tasks that differ are gathered network by network; those that do not are read once for all."""
    given = [nl.tasks.load(f"digits?seed={seed % 2}") for seed in range(4)]
    x = nl.input(1, 8, 8)
    graphs = [nl.Graph(x, nl.linear(nl.relu(nl.linear(nl.flatten(x), width)), 10)) for width in (3, 8, 8, 20)]
    assert compare_with_alone(graphs, given, Recipe(epochs=1, batch_size=100), dtype=torch.float64) < 1e-10


def test_several_targets_and_input_sizes() -> None:
    graphs, given = [], []
    for i, features in enumerate((3, 5, 9)):
        x = nl.input(features)
        graphs.append(nl.Graph(x, nl.tanh(nl.linear(nl.tanh(nl.linear(x, 4 + i)), 3, bias=False))))
        given.append(regression(i, in_features=features, num_targets=3, num_train=50, num_valid=30))
    assert compare_with_alone(graphs, given, Recipe(epochs=3, batch_size=16), dtype=torch.float64) < 1e-10


def test_tasks_of_different_length() -> None:
    given = [regression(i, in_features=6, num_train=40 + 7 * i, num_valid=10 + i) for i in range(4)]
    assert compare_with_alone(mixed(4), given, Recipe(epochs=2, batch_size=16), dtype=torch.float64) < 1e-10


def test_targets_far_from_zero() -> None:
    """R² is a difference of large numbers there, unless it is taken about the mean."""
    (task,) = tasks(1)
    far = replace(task, train=Split(task.train.x, task.train.y + 1e4), valid=Split(task.valid.x, task.valid.y + 1e4))
    graph, recipe = mixed(1)[0], Recipe(epochs=1, batch_size=59)
    together, alone = nl.train_many([graph], far, recipe)[0], nl.train(graph, far, recipe)
    assert together.curve[0].score == pytest.approx(alone.curve[0].score, rel=1e-3)


def test_constant_targets_give_no_variance_to_explain() -> None:
    (task,) = tasks(1)
    flat = replace(task, valid=Split(task.valid.x, torch.ones_like(task.valid.y)))
    graph = mixed(1)[0]
    assert nl.train_many([graph], flat, epochs=1)[0].score == nl.train(graph, flat, epochs=1).score == 0.0


# -- what goes wrong in one network --------------------------------------------------------------------------------
def test_one_that_diverges_disturbs_no_other() -> None:
    """A target of 1e30 makes squared errors infinite in float32: at once in some networks, as tasks differ."""
    graphs, given = mixed(9, seed=5), tasks(9)
    y = given[4].train.y.clone()
    y[17] = 1e30
    given[4] = replace(given[4], train=Split(given[4].train.x, y))
    recipe = Recipe(epochs=3, batch_size=16, clip_norm=None)
    together = nl.train_many(graphs, given, recipe)
    alone = [nl.train(graph, task, recipe) for graph, task in zip(graphs, given)]
    assert [result.status for result in together] == ["ok"] * 4 + ["diverged"] + ["ok"] * 4
    for a, b in zip(alone, together):
        assert largest_difference(a, b) < 1e-4
    assert math.isnan(together[4].score) and together[4].curve == () and together[4].best_state is None
    assert 0 < together[4].steps < 4, "the step before the bad batch is the last"


def test_divergence_in_the_validation_part() -> None:
    graphs, given = mixed(3, seed=6), tasks(3)
    given[1] = replace(given[1], valid=Split(given[1].valid.x, given[1].valid.y * 1e30))
    results = nl.train_many(graphs, given, epochs=2)
    assert [(r.status, r.reason, len(r.curve)) for r in results] == [
        ("ok", "epochs", 2), ("diverged", "validation loss", 0), ("ok", "epochs", 2),
    ]  # fmt: skip


def test_a_rate_far_too_high() -> None:
    recipe = Recipe(epochs=5, batch_size=16, optimizer="sgd", momentum=0.0, learning_rate=2.0, clip_norm=None, warmup=0)
    graphs, given = mixed(20, seed=7), tasks(20)
    together = nl.train_many(graphs, given, recipe)
    alone = [nl.train(graph, task, recipe) for graph, task in zip(graphs, given)]
    assert {result.status for result in together} == {"diverged", "ok"}
    assert [(r.status, r.steps, len(r.curve)) for r in together] == [(r.status, r.steps, len(r.curve)) for r in alone]
    for result in together:
        assert all(torch.isfinite(weight).all() for weight in result.network.parameters()) or result.status == "diverged"


# -- what is not stacked -------------------------------------------------------------------------------------------
def test_other_operators_are_trained_alone_and_said_so() -> None:
    x = nl.input(6)
    normed = nl.Graph(x, nl.linear(nl.relu(nl.layer_norm(nl.linear(x, 4))), 1))
    skipping = nl.Graph(x, nl.linear((h := nl.relu(nl.linear(x, 4))) + nl.linear(h, 4), 1))
    graphs = [normed, *mixed(2), skipping]
    results = nl.train_many(graphs, tasks(4), epochs=2)
    assert [r.remarks for r in results] == [
        ("trained alone: 'layer_norm' is no linear layer or activation",), (), (), ("trained alone: its values branch",),
    ]  # fmt: skip
    for graph, task, result in zip(graphs, tasks(4), results):
        assert largest_difference(nl.train(graph, task, epochs=2), result) < 1e-4


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [(Recipe(optimizer="muon", epochs=1), "Muon"), (Recipe(precision="bfloat16", epochs=1), "autocast")],
)
def test_recipes_that_are_not_stacked(recipe: Recipe, reason: str) -> None:
    (result,) = nl.train_many(mixed(1), tasks(1), recipe)
    assert reason in result.remarks[0] and result.status == "ok"


def test_alone_in_float64() -> None:
    x = nl.input(6)
    (result,) = nl.train_many([nl.Graph(x, nl.linear(nl.layer_norm(x), 1))], tasks(1), epochs=1, dtype="float64")
    assert result.remarks and {weight.dtype for weight in result.network.parameters()} == {torch.float64}


# -- modules -------------------------------------------------------------------------------------------------------
def test_networks_are_trained_in_place_from_their_weights() -> None:
    graphs, given = mixed(4), tasks(4)
    networks = [nl.build(graph, seed=50 + i) for i, graph in enumerate(graphs)]
    copies = [nl.build(graph, weights=network) for graph, network in zip(graphs, networks)]
    results = nl.train_many(networks, given, epochs=2, seed=9)
    for network, copy, task, result in zip(networks, copies, given, results):
        assert result.network is network and not network.training and result.remarks == ()
        assert all(weight.grad is None for weight in network.parameters())
        assert largest_difference(nl.train(copy, task, epochs=2, seed=9), result) < 1e-4


def test_modules_without_a_graph_are_trained_alone() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    (result,) = nl.train_many([module], tasks(1), epochs=1)
    assert result.network is module and "no graph" in result.remarks[0]


def test_frozen_weights_stay() -> None:
    network = nl.build(mixed(3)[2], seed=0)
    frozen = next(iter(network.parameters())).requires_grad_(False)
    before = frozen.clone()
    (result,) = nl.train_many([network], tasks(1), epochs=1)
    assert "not learned" in result.remarks[0] and torch.equal(frozen, before)


# -- results -------------------------------------------------------------------------------------------------------
def test_results_are_in_the_order_given_and_told_of() -> None:
    graphs, told = mixed(15, seed=8), []
    x = nl.input(6)
    graphs[3] = nl.Graph(x, nl.linear(nl.layer_norm(x), 1))
    results = nl.train_many(graphs, tasks(15), epochs=1, on_result=lambda place, result: told.append((place, result)))
    assert [result.network.graph for result in results] == graphs
    assert sorted(place for place, _ in told) == list(range(15)) and all(results[place] is result for place, result in told)


def test_a_result_is_made_once_and_goes_to_other_processes() -> None:
    (result,) = nl.train_many(mixed(1), tasks(1), epochs=2)
    assert isinstance(result, StackedResult) and result.network is result.network and result.curve is result.curve
    sent = pickle.loads(pickle.dumps(result))
    assert sent.curve == result.curve and sent.score == result.score
    for key, tensor in result.final_state.items():
        assert torch.equal(sent.final_state[key], tensor)
    assert list(result.curve_frame()["epoch"]) == [1, 2]


def test_best_weights_are_restored_where_asked_for() -> None:
    recipe = Recipe(epochs=8, batch_size=16, learning_rate=0.3, schedule="constant")
    graphs, given = mixed(6, seed=9), tasks(6)
    results = nl.train_many(graphs, given, recipe, restore_best=True)
    assert any(result.best_epoch < 8 for result in results)
    for task, result in zip(given, results):
        assert nl.training.evaluate(result.network, task.valid).score == pytest.approx(result.best_score, abs=1e-4)


def test_seconds_are_shares_of_the_whole() -> None:
    import time

    start = time.perf_counter()
    results = nl.train_many(mixed(50), tasks(50), epochs=2)
    assert 0 < sum(result.seconds for result in results) < time.perf_counter() - start
    curve = results[0].curve
    assert curve[0].seconds < curve[1].seconds <= results[0].seconds


def test_a_limit_in_seconds_is_one_of_shares() -> None:
    results = nl.train_many(mixed(4), tasks(4), Recipe(epochs=100_000, batch_size=16, max_seconds=0.02))
    assert {(result.status, result.reason) for result in results} == {("time_limit", "seconds")}
    assert all(result.seconds < 5 and math.isfinite(result.score) for result in results)


# -- seeds ---------------------------------------------------------------------------------------------------------
def test_one_seed_for_all_varies_where_all_else_is_equal() -> None:
    graph, task = mixed(1)[0], tasks(1)[0]
    results = nl.train_many([graph] * 3, task, epochs=1, seed=5)
    assert [result.seed for result in results] == [5, 6, 7]
    assert len({result.score for result in results}) == 3
    assert [r.seed for r in nl.train_many([graph] * 3, tasks(3), epochs=1, seed=5)] == [5, 5, 5]


def test_seeds_of_each() -> None:
    graph = mixed(1)[0]
    results = nl.train_many([graph] * 3, tasks(1)[0], epochs=1, seed=np.array([4, 4, 9]))
    assert [result.seed for result in results] == [4, 4, 9]
    assert results[0].score == results[1].score != results[2].score
    assert seeds_of([graph, graph], tasks(1) * 2, [1, 2]) == [1, 2]


def test_initial_weights_are_those_of_build() -> None:
    graph = mixed(1)[0]
    (result,) = nl.train_many([graph], tasks(1), Recipe(epochs=1, learning_rate=0.0, weight_decay=0.0), seed=12)
    for key, weight in nl.build(graph, seed=12).state_dict().items():
        assert torch.equal(result.network.state_dict()[key], weight)


def test_global_generator_stays() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    nl.train_many(mixed(3), tasks(3), epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_whatever_mode_of_gradients_the_caller_is_in(mode: Any) -> None:
    graphs = mixed(3)
    graphs.append(nl.Graph(x := nl.input(6), nl.linear(nl.mish(nl.linear(nl.softsign(nl.linear(x, 5)), 3)), 1)))
    with mode():
        inside = nl.train_many(graphs, tasks(4), epochs=2)
        networks = [result.network for result in inside]
    for network, result in zip(networks, nl.train_many(graphs, tasks(4), epochs=2)):
        network(torch.zeros(2, 6)).sum().backward()
        assert all(torch.equal(tensor, result.final_state[key]) for key, tensor in network.state_dict().items())


def test_recipes_of_each() -> None:
    recipes = [Recipe(epochs=1 + i % 2, batch_size=16) for i in range(4)]
    assert [len(result.curve) for result in nl.train_many(mixed(4), tasks(4), recipes)] == [1, 2, 1, 2]


# -- bad input -----------------------------------------------------------------------------------------------------
def test_nothing_to_train() -> None:
    assert nl.train_many([], tasks(1)[0]) == []


@pytest.mark.parametrize(
    ("graphs", "given", "options", "message"),
    [
        (["net"], "digits", {}, "network 0: nl.train_many takes Graphs or nn.Modules, not a str"),
        (mixed(2), tasks(3), {}, "tasks: 3 for 2 networks; give one for all, or one for each"),
        (mixed(2), tasks(2), {"seed": [1]}, "seed: 1 for 2 networks"),
        (mixed(2), tasks(2), {"seed": -1}, "seed = -1; expected"),
        (mixed(2), tasks(2), {"dtype": "float16"}, "dtype = 'float16'; expected 'float32' or 'float64'"),
        (mixed(2), [*tasks(1), regression(0, in_features=5)], {}, "network 1: the graph takes samples of 6"),
        (mixed(2), 7, {}, "needs a task"),
        (mixed(1), tasks(1), {"recipe": "exprss"}, "did you mean 'express'"),
        (mixed(1), tasks(1), {"recipe": {"epoch": 3}}, "did you mean 'epochs'"),
        (mixed(1), tasks(1), {"device": "moon"}, "moon"),
    ],
)
def test_what_does_not_fit_is_refused(graphs: Any, given: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message.replace("(", r"\(")):
        nl.train_many(graphs, given, **options)
