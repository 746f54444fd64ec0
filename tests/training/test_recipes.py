"""Recipes as values: fields and their ranges, JSON, hashes, and the ready-made ones."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from netloom.errors import TrainingError
from netloom.training import READY_MADE, Recipe, recipe
from netloom.training.recipes import EXTENT, batches_per_epoch


def test_recipe_goes_to_json_and_back() -> None:
    given = Recipe(epochs=3, optimizer="sgd", clip_norm=None, milestones=(2, 5), schedule="multi-step", betas=(0.8, 0.99))
    assert Recipe.from_json(given.to_json()) == given and recipe(given) is given
    assert Recipe.from_json(asdict(given)) == given and set(json.loads(given.to_json())) == {f.name for f in fields(Recipe)}
    assert recipe("express", epochs=4) == Recipe(epochs=4)
    assert recipe({"epochs": 2}, batch_size=8) == Recipe(epochs=2, batch_size=8)


def test_recipe_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text('\ufeff{"epochs": 7}', encoding="utf-8")
    assert recipe(str(path)).epochs == 7
    with pytest.raises(TrainingError, match="cannot be read"):
        recipe(str(tmp_path / "none.json"))


def test_hash_is_of_everything_but_epochs() -> None:
    plain = Recipe()
    assert Recipe(epochs=99).hash == plain.hash
    changes: dict[str, Any] = {
        "batch_size": 32, "optimizer": "sgd", "learning_rate": 1e-3, "weight_decay": 0.1, "momentum": 0.8,
        "schedule": "constant", "warmup": 0.2, "label_smoothing": 0.1, "clip_norm": None, "betas": (0.9, 0.95),
        "decay_biases": False, "warmup_epochs": 1,
        "final_rate": 0.1, "gamma": 0.5, "milestones": (3,), "horizon_epochs": 20, "crop": 4, "flip": True,
        "cutout": 8, "drop_path": 0.1, "drop_path_growth": "linear", "auxiliary_weight": 0.3, "precision": "bfloat16",
        "channels_last": True, "ema_decay": 0.99, "patience": 3, "max_steps": 5, "max_multiply_adds": 1e9, "max_seconds": 5,
    }  # fmt: skip
    hashes = {name: Recipe(**{name: value}).hash for name, value in changes.items()}
    hashes["nesterov"] = Recipe(optimizer="sgd", nesterov=True).hash
    assert len({plain.hash, *hashes.values()}) == len(hashes) + 1
    assert set(hashes) | {"epochs"} == {field.name for field in fields(Recipe)}


def test_hashes_do_not_change_between_versions() -> None:
    """Stores file results under them. A field that a recipe leaves at its default is not part of its hash."""
    assert Recipe().hash == "beca4aaea191a6a65c1c5976ea77355c74b9844e46a9efda5898ba0aac98e21d"
    assert {name: made.hash[:16] for name, made in READY_MADE.items()} == {
        "express": "beca4aaea191a6a6", "thorough": "40ecfef4726381b9", "sophius-50": "d37ea3e730b83666",
        "ppuda-50": "e734ceab94263aff", "darts-600": "e2bdc73c622245c4",
    }  # fmt: skip


def test_whole_numbers_are_the_numbers_they_are() -> None:
    assert Recipe(learning_rate=1, betas=(0, 0.5)).hash == Recipe(learning_rate=1.0, betas=(0.0, 0.5)).hash
    assert Recipe(milestones=[1, 2], schedule="multi-step").milestones == (1.0, 2.0)  # type: ignore[arg-type]


def test_ready_made_recipes_are_the_published_ones() -> None:
    conv, cells, darts = (READY_MADE[name] for name in ("sophius-50", "ppuda-50", "darts-600"))
    assert (conv.epochs, conv.batch_size, conv.optimizer, conv.learning_rate) == (50, 256, "adamw", 1e-3)
    assert (conv.schedule, conv.gamma, conv.warmup, conv.clip_norm) == ("exponential", 0.95, 0.0, None)
    assert not (conv.crop or conv.flip or conv.cutout or conv.label_smoothing)
    for made, epochs in ((cells, 50), (darts, 600)):
        assert (made.epochs, made.batch_size, made.optimizer, made.momentum) == (epochs, 96, "sgd", 0.9)
        assert (made.learning_rate, made.weight_decay, made.clip_norm, made.schedule) == (0.025, 3e-4, 5.0, "cosine")
        assert made.crop == 4 and made.flip and made.final_rate == 0 and made.warmup == 0
    assert (darts.cutout, darts.drop_path, darts.drop_path_growth, darts.auxiliary_weight) == (16, 0.2, "linear", 0.4)
    assert not cells.cutout and not cells.drop_path


@pytest.mark.parametrize(
    ("given", "is_extendable"),
    [
        ({}, False),
        ({"horizon_epochs": 30}, True),
        ({"schedule": "constant"}, False),  # its warm-up is a share of all steps
        ({"schedule": "constant", "warmup": 0.0}, True),
        ({"schedule": "constant", "warmup_epochs": 2}, True),
        ({"schedule": "exponential", "warmup": 0.0}, True),
        ({"schedule": "multi-step", "milestones": (3,), "warmup": 0.0}, True),
        ({"schedule": "exponential", "warmup": 0.0, "drop_path": 0.1, "drop_path_growth": "linear"}, False),
    ],
)
def test_what_depends_on_its_end_says_so(given: dict[str, Any], is_extendable: bool) -> None:
    assert Recipe(**given).is_extendable is is_extendable


def test_course_leaves_out_how_far_to_go() -> None:
    assert set(asdict(Recipe())) - set(Recipe().course()) == set(EXTENT)
    assert Recipe(epochs=3, max_seconds=5).course() == Recipe().course() != Recipe(cutout=3).course()


def test_no_batch_of_a_single_sample() -> None:
    assert [batches_per_epoch(n, 64) for n in (64, 65, 66, 128, 10, 1)] == [1, 1, 2, 2, 1, 1]
    assert batches_per_epoch(5, 1) == 5
    assert Recipe(epochs=3).steps(65) == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "epochs = 0; expected an integer ≥ 1"),
        ({"epochs": 2.0}, "epochs = 2.0"),
        ({"epochs": True}, "epochs = True"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"optimizer": "adam"}, "one of adamw, sgd, muon"),
        ({"optimizer": ["sgd"]}, "one of adamw"),
        ({"learning_rate": math.nan}, "learning_rate = nan"),
        ({"learning_rate": "fast"}, "learning_rate = 'fast'; expected a number"),
        ({"clip_norm": 0}, "clip_norm = 0; expected a number > 0, or none"),
        ({"clip_norm": math.inf}, "clip_norm = inf"),
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"betas": (0.9, 1.0)}, "two numbers in"),
        ({"betas": 0.9}, "two numbers in"),
        ({"milestones": (5, 3), "schedule": "multi-step"}, "ascending order"),
        ({"schedule": "multi-step"}, "has no milestones"),
        ({"nesterov": True}, "nesterov = True needs"),
        ({"flip": 1}, "flip = 1; expected true or false"),
        ({"drop_path": 1.0}, r"drop_path = 1.0; expected a number in \[0, 1\)"),
        ({"ema_decay": 1}, "ema_decay = 1"),
        ({"precision": "int8"}, "precision = 'int8'; expected one of float32, bfloat16, float16, auto"),
        ({"patience": 0}, "patience = 0"),
        ({"max_steps": None, "max_seconds": -1}, "max_seconds = -1"),
        ({"horizon_epochs": 0}, "horizon_epochs = 0"),
        ({"batch_size": None}, "batch_size = None; expected an integer ≥ 1$"),
    ],
)
def test_bad_recipes_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        recipe(given)


@pytest.mark.parametrize(
    ("spec", "message"),
    [("expres", "did you mean 'express'"), ("mine.json", "cannot be read"), ("fast", "there is: express, thorough")],
)
def test_unknown_recipes_are_refused(spec: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        recipe(spec)


def test_changes_are_checked_as_fields() -> None:
    with pytest.raises(TrainingError, match="a recipe has no setting 'lr'"):
        recipe("express", lr=0.1)


@pytest.mark.parametrize("document", ["{", "[1]", "3", "null", '"express"'])
def test_recipe_json_that_is_none_is_refused(document: str) -> None:
    with pytest.raises(TrainingError):
        Recipe.from_json(document)
