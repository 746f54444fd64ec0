"""Recipes, the loop, and training on real data."""

from __future__ import annotations

import math

import pytest
import torch

import netloom as nl
from netloom.errors import TrainingError
from netloom.training import Recipe, evaluate, recipe, schedules
from netloom.training.recipes import batches_per_epoch


@pytest.fixture(scope="module")
def digits() -> nl.tasks.Task:
    torch.set_num_threads(1)
    return nl.tasks.load("digits")


def small(classes: int = 10) -> nl.Graph:
    x = nl.input(1, 8, 8)
    y = nl.max_pool2d(nl.relu(nl.batch_norm(nl.conv2d(x, 8, kernel=3, padding=1))), kernel=2)
    return nl.Graph(x, nl.linear(nl.dropout(nl.flatten(y), p=0.1), classes))


# -- recipes -------------------------------------------------------------------------------------------------------
def test_recipe_goes_to_json_and_back() -> None:
    given = Recipe(epochs=3, optimizer="sgd", clip_norm=None)
    assert Recipe.from_json(given.to_json()) == given and recipe(given) is given
    assert recipe("express", epochs=4) == Recipe(epochs=4)


def test_recipe_hash_is_of_everything_but_epochs() -> None:
    plain = Recipe()
    assert Recipe(epochs=99).hash == plain.hash
    for change in ({"learning_rate": 1e-3}, {"batch_size": 32}, {"optimizer": "sgd"}, {"clip_norm": None}, {"warmup": 0.2}):
        assert Recipe(**change).hash != plain.hash  # type: ignore[arg-type]
    # Stores file results under this hash: it must not change between versions.
    assert plain.hash.startswith("beca4aaea191a6a6")


def test_rate_rises_then_falls_to_nothing() -> None:
    rates = [schedules.rates(Recipe(learning_rate=1.0, warmup=0.1, epochs=10), 10)(i) for i in range(100)]
    assert rates[:3] == [0.1, 0.2, 0.3] and max(rates) == 1.0 and 0 < rates[-1] < 0.001
    assert all(a >= b for a, b in zip(rates[9:], rates[10:]))
    assert schedules.rates(Recipe(learning_rate=1.0, warmup=0.0, schedule="constant"), 10)(50) == 1.0


def test_no_batch_of_a_single_sample() -> None:
    assert [batches_per_epoch(n, 64) for n in (64, 65, 66, 128, 10)] == [1, 1, 2, 2, 1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "epochs = 0; expected an integer ≥ 1"),
        ({"epochs": 2.0}, "epochs = 2.0"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"optimizer": "adam"}, "one of adamw, sgd"),
        ({"learning_rate": math.nan}, "learning_rate = nan"),
        ({"learning_rate": "fast"}, "learning_rate = 'fast'"),
        ({"clip_norm": 0}, "clip_norm = 0"),
        ({"epoch": 3}, "did you mean 'epochs'"),
    ],
)
def test_bad_recipes_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Recipe.from_json(fields)


@pytest.mark.parametrize(
    ("spec", "message"), [("expres", "did you mean 'express'"), ("x.json", "cannot be read"), (7, "unknown recipe")]
)
def test_unknown_recipes_are_refused(spec: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        recipe(spec)


def test_recipe_json_that_is_none_is_refused() -> None:
    for document in ("{", "[1]", "3"):
        with pytest.raises(TrainingError):
            Recipe.from_json(document)


# -- training ------------------------------------------------------------------------------------------------------
def test_training_learns_digits_and_is_repeatable(digits: nl.tasks.Task) -> None:
    first, second, other = (nl.train(small(), digits, epochs=6, seed=seed) for seed in (1, 1, 2))
    assert first.score > 0.9 and first.status == "ok" and len(first.curve) == 6
    assert first.score == evaluate(first.network, digits.valid).accuracy == first.curve[-1].score
    assert [p.train_loss for p in first.curve] == [p.train_loss for p in second.curve]
    assert [p.train_loss for p in first.curve] != [p.train_loss for p in other.curve]
    assert not first.network.training
    assert list(first.curve_frame()["epoch"]) == [1, 2, 3, 4, 5, 6]
    assert digits.test_reads == 0


def test_training_leaves_the_global_generator_alone(digits: nl.tasks.Task) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    nl.train(small(), digits, epochs=1)
    assert torch.equal(before, torch.get_rng_state())


def test_a_module_is_trained_in_place(digits: nl.tasks.Task) -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    result = nl.train(module, digits, epochs=10, recipe={"learning_rate": 0.02})
    assert result.network is module and evaluate(module, digits.valid).accuracy == result.score > 0.85


def test_divergence_is_a_status(digits: nl.tasks.Task) -> None:
    recipe = {"learning_rate": 1000.0, "optimizer": "sgd", "clip_norm": None, "warmup": 0.0, "weight_decay": 0.0}
    result = nl.train(small(), digits, recipe, epochs=5)
    assert result.status == "diverged" and math.isnan(result.score)


def test_time_limit_is_a_status(digits: nl.tasks.Task) -> None:
    result = nl.train(small(), digits, epochs=1000, max_seconds=0.05)
    assert result.status == "time_limit" and 0 <= result.score <= 1 and len(result.curve) < 1000


def test_graphs_that_do_not_fit_the_task_are_refused(digits: nl.tasks.Task) -> None:
    with pytest.raises(TrainingError, match="needs one output of 10 logits"):
        nl.train(small(11), digits)
    x = nl.input(3, 32, 32)
    with pytest.raises(TrainingError, match="takes samples of 3×32×32; task 'digits' has samples of 1×8×8"):
        nl.train(nl.Graph(x, nl.linear(nl.flatten(x), 10)), digits)
    with pytest.raises(TrainingError, match="not a int"):
        nl.train(3, digits)
    with pytest.raises(TrainingError, match="no parameter"):
        nl.train(torch.nn.Flatten(), digits)
    with pytest.raises(TrainingError, match="logits of shape"):
        nl.train(torch.nn.Conv2d(1, 10, 3), digits)


def test_evaluate_restores_every_mode(digits: nl.tasks.Task) -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(64, 10))
    module.train()
    module[1].eval()
    evaluate(module, digits.valid)
    assert module.training and not module[1].training and module[2].training
