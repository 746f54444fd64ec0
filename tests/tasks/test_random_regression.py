"""Random regressions: the functions that seeds draw, and their tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.errors import TaskError
from netloom.tasks.random_regression import RandomRegression, RegressionConfig, regression


def test_parts_are_what_was_asked_for() -> None:
    task = regression(3, in_features=5, num_targets=2, num_train=50, num_valid=20, num_test=10)
    assert task.kind == "regression" and task.num_outputs == 2 and task.input_shape == (5,) and task.score_name == "r2"
    assert [tuple(part.x.shape) for part in (task.train, task.valid, task.read_test())] == [(50, 5), (20, 5), (10, 5)]
    assert task.train.x.dtype == task.train.y.dtype == torch.float32 and tuple(task.train.y.shape) == (50, 2)


def test_seeds_draw_different_tasks_and_the_same_again() -> None:
    hashes = [regression(seed).hash for seed in range(20)]
    assert len(set(hashes)) == 20 and hashes == [regression(seed).hash for seed in range(20)]


def test_inputs_stay_when_the_function_changes_alone() -> None:
    one, other = regression(1), regression(1, noise=0.5, teacher_units=8)
    assert torch.equal(one.train.x, other.train.x) and not torch.equal(one.train.y, other.train.y)


def test_targets_are_standardised_and_noise_is_as_wide_as_said() -> None:
    for seed in range(5):
        truth = RandomRegression(seed, RegressionConfig(num_train=4000, noise=0.3))
        task = truth.task()
        clean = truth(task.train.x.numpy())
        assert clean.mean() == pytest.approx(0, abs=1e-6) and clean.std() == pytest.approx(1, abs=1e-6)
        assert (task.train.y.numpy() - clean).std() == pytest.approx(0.3, rel=0.05)


def test_the_function_may_be_asked_anywhere() -> None:
    truth = RandomRegression(2, RegressionConfig(noise=0.0))
    task = truth.task()
    for part in (task.train, task.valid, task.read_test()):
        np.testing.assert_allclose(truth(part.x.numpy()), part.y.numpy(), atol=1e-6)
    with pytest.raises(TaskError, match=r"x has shape \(3, 4\); expected \(samples, 8\)"):
        truth(np.zeros((3, 4)))


def test_only_some_inputs_count() -> None:
    counts = []
    for seed in range(200):
        truth = RandomRegression(seed, RegressionConfig(relevant=0.6, in_features=10))
        x = np.random.default_rng(0).normal(size=(3, 10))
        moved = [np.abs(truth(x + 3 * np.eye(10)[i]) - truth(x)).max() > 1e-9 for i in range(10)]
        counts.append(sum(moved))
    assert 5.5 < np.mean(counts) < 6.5 and min(counts) >= 1
    assert all(RandomRegression(seed, RegressionConfig(relevant=0.0))._weights["counts"].sum() == 1 for seed in range(20))


@pytest.mark.parametrize("term", ["linear", "teacher", "sine", "product"])
def test_each_term_alone_can_be_learned_from(term: str) -> None:
    weights = dict.fromkeys(("linear", "teacher", "sine", "product"), 0.0) | {term: 1.0}
    truth = RandomRegression(4, RegressionConfig(**weights, noise=0.0, num_train=500))
    x = np.random.default_rng(1).normal(size=(400, 8))
    y, doubled = truth(x), truth(2 * x)
    assert y.std() > 0.1 or term == "product"
    mean, sd = truth._scale
    raw = (y * sd + mean, doubled * sd + mean)
    scaling = {"linear": 2.0, "product": 4.0}.get(term)
    if scaling is not None:
        np.testing.assert_allclose(raw[1], scaling * raw[0], rtol=1e-6)
    else:
        assert not np.allclose(raw[1], 2 * raw[0])


def test_uniform_inputs_have_the_variance_of_normal_ones() -> None:
    x = regression(0, distribution="uniform", num_train=5000).train.x
    assert float(x.abs().max()) <= 3**0.5 and float(x.var()) == pytest.approx(1, abs=0.05)


def test_networks_learn_them() -> None:
    x = nl.input(8)
    graph = nl.Graph(x, nl.linear(nl.tanh(nl.linear(x, 32)), 1))
    recipe = nl.training.Recipe(epochs=60, batch_size=64, learning_rate=2e-2)
    scores = [result.score for result in nl.train_many([graph] * 8, [regression(i) for i in range(8)], recipe)]
    assert np.median(scores) > 0.8


# -- specs and settings --------------------------------------------------------------------------------------------
def test_specs_load_the_same_task() -> None:
    truth = RandomRegression(11, RegressionConfig(in_features=4, noise=0.1, distribution="uniform"))
    assert truth.spec == "regression:11?in_features=4&noise=0.1&distribution=uniform"
    assert nl.tasks.load(truth.spec).hash == truth.task().hash
    assert nl.tasks.load("regression:11").spec == "regression:11" == regression(11).spec


def test_configurations_go_to_json_and_back() -> None:
    config = RegressionConfig(in_features=3, relevant=1, sine=2)
    assert RegressionConfig.from_json(config.to_json()) == config
    assert config.hash == RegressionConfig(in_features=3, relevant=1.0, sine=2.0).hash != RegressionConfig().hash
    assert regression(0, config).hash == regression(0, {"in_features": 3, "relevant": 1, "sine": 2}).hash


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"in_features": 0}, "in_features = 0; expected a whole number ≥ 1"),
        ({"num_train": 1}, "num_train = 1; expected a whole number ≥ 2"),
        ({"num_valid": True}, "num_valid = True"),
        ({"relevant": 1.5}, r"relevant = 1.5; expected a number in \[0, 1\]"),
        ({"noise": float("nan")}, "noise = nan"),
        ({"noise": float("inf")}, "noise = inf"),
        ({"noise": "much"}, "noise = 'much'"),
        ({"distribution": "cauchy"}, "expected one of normal, uniform"),
        ({"linear": 0, "teacher": 0, "sine": 0, "product": 0}, "leave one of them"),
        ({"in_featurs": 3}, "did you mean 'in_features'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        regression(0, **settings)


@pytest.mark.parametrize("seed", [-1, 1.5, True, "one"])
def test_seeds_are_whole_numbers(seed: Any) -> None:
    with pytest.raises(TaskError, match="expected a whole number"):
        regression(seed)


@pytest.mark.parametrize("document", ["{", "[1]", "3"])
def test_what_is_no_object_is_refused(document: str) -> None:
    with pytest.raises(TaskError, match="JSON"):
        RegressionConfig.from_json(document)
