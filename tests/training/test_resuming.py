"""A training that is killed and called again, or called for more epochs, is the training that was never interrupted."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import netloom as nl
from netloom.errors import TrainingError
from netloom.training import TrainingResult, evaluate
from netloom.training.checkpoints import read_checkpoint

EPOCHS, STEPS = 3, 17  # digits in batches of 64: 17 steps an epoch

#: Everything that remembers something: moments, averages, generators of dropout, drop path and augmentation, a scale.
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {"optimizer": "sgd", "nesterov": True, "learning_rate": 0.1},
    "everything": {
        "optimizer": "adamw", "ema_decay": 0.9, "drop_path": 0.3, "drop_path_growth": "linear", "crop": 1, "flip": True,
        "cutout": 2, "label_smoothing": 0.1, "schedule": "one-cycle", "channels_last": True, "precision": "bfloat16",
    },
    "scaled": {"optimizer": "muon", "momentum": 0.95, "precision": "float16", "learning_rate": 0.01},
}  # fmt: skip


@pytest.fixture(scope="module")
def digits() -> nl.tasks.Task:
    torch.set_num_threads(1)
    return nl.tasks.load("digits")


def residual() -> nl.Graph:
    x = nl.input(1, 8, 8)
    y = nl.relu(nl.batch_norm(nl.conv2d(x, 8, kernel=3, padding=1)))
    y = y + nl.relu(nl.batch_norm(nl.conv2d(y, 8, kernel=3, padding=1)))
    return nl.Graph(x, nl.linear(nl.dropout(nl.flatten(nl.max_pool2d(y, kernel=2)), p=0.2), 10))


def trained(folder: Path | None, recipe: str | dict[str, Any], **given: Any) -> TrainingResult:
    fields = RECIPES[recipe] if isinstance(recipe, str) else recipe
    return nl.train(residual(), "digits", fields, seed=3, checkpoint=folder, **{"epochs": EPOCHS, **given})


def states_equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def same(a: TrainingResult, b: TrainingResult) -> bool:
    """Whether two trainings came to the same, to the bit: weights, curve, best weights."""

    def told(result: TrainingResult) -> list[tuple[float, ...]]:
        return [(p.epoch, p.train_loss, p.valid_loss, p.score, p.train_score) for p in result.curve]

    assert a.best_state is not None and b.best_state is not None
    return (
        states_equal(a.network.state_dict(), b.network.state_dict())
        and states_equal(a.best_state, b.best_state)
        and told(a) == told(b)
        and (a.status, a.steps, a.best_epoch) == (b.status, b.steps, b.best_epoch)
    )


def until_killed(folder: Path, recipe: str, every_steps: int, at: int) -> None:
    """Train, and be killed by the system in the middle of what follows step ``at``."""
    from netloom.training import loop

    def on_step(steps: int) -> None:
        if steps == at:
            os.kill(os.getpid(), signal.SIGKILL)

    whole = loop.run_loop

    def with_steps(*args: Any, **given: Any) -> Any:
        return whole(*args, **{**given, "on_step": on_step})

    from netloom.training import fit

    fit.run_loop = with_steps
    trained(folder, recipe, every_steps=every_steps)


@pytest.fixture(scope="module")
def whole() -> dict[str, TrainingResult]:
    torch.set_num_threads(1)
    return {name: trained(None, name) for name in RECIPES}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that begin as copies, as Unix has them")
@pytest.mark.parametrize("recipe", RECIPES)
def test_killed_at_five_points_and_resumed_it_ends_with_the_same_weights(
    recipe: str, whole: dict[str, TrainingResult], tmp_path: Path
) -> None:
    context = multiprocessing.get_context("fork")
    points = [1, STEPS - 1, STEPS, 2 * STEPS + 5, EPOCHS * STEPS]
    if recipe == "scaled":
        points = points[1::2]  # float16 is slow on most processors
    for i, at in enumerate(points):
        every = (1, 4)[i % 2]
        process = context.Process(target=until_killed, args=(tmp_path / str(at), recipe, every, at))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        found = read_checkpoint(tmp_path / str(at))
        done = 0 if found is None else found[1]["state"]["loop"]["steps"]
        assert done == (at - 1) // every * every  # the kill comes before step `at` is written
        resumed = trained(tmp_path / str(at), recipe, every_steps=every)
        assert same(resumed, whole[recipe]) and not resumed.remarks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that begin as copies, as Unix has them")
def test_killed_again_and_again_it_still_ends_the_same(whole: dict[str, TrainingResult], tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for at in (3, 9, 18, 40, 51):
        process = context.Process(target=until_killed, args=(tmp_path, "everything", 2, at))
        process.start()
        process.join()
    assert same(trained(tmp_path, "everything"), whole["everything"])


EXTENDABLE: dict[str, dict[str, Any]] = {
    "horizon": {"horizon_epochs": 9},
    "constant": {"schedule": "constant", "warmup_epochs": 1},
    "exponential": {"schedule": "exponential", "gamma": 0.8, "warmup": 0.0, "ema_decay": 0.9},
    "multi-step": {"schedule": "multi-step", "milestones": [1, 3], "warmup": 0.0},
}


@pytest.mark.parametrize("kind", EXTENDABLE)
def test_more_epochs_cost_only_themselves_and_end_as_if_asked_for_at_once(kind: str, tmp_path: Path) -> None:
    recipe = EXTENDABLE[kind]
    at_once = trained(None, recipe, epochs=5)
    first = trained(tmp_path, recipe, epochs=2)
    longer = trained(tmp_path, recipe, epochs=5)
    assert same(longer, at_once) and not longer.remarks
    assert longer.curve[:2] == first.curve


def test_where_the_schedule_depends_on_its_end_the_result_says_so(tmp_path: Path) -> None:
    first = trained(tmp_path, "plain", epochs=2)
    longer = trained(tmp_path, "plain", epochs=4)
    assert longer.curve[:2] == first.curve and len(longer.curve) == 4 and longer.steps == 4 * STEPS
    assert len(longer.remarks) == 1 and "from a schedule over 2 epochs to one over 4" in longer.remarks[0]
    assert "horizon_epochs" in longer.remarks[0]


def test_a_finished_training_comes_back_at_once(tmp_path: Path) -> None:
    first = trained(tmp_path, "everything")
    second = trained(tmp_path, "everything")
    assert same(first, second) and second.curve == first.curve
    valid = nl.tasks.load("digits").valid
    assert evaluate(second.network, valid, precision="bfloat16", channels_last=True).score == second.score


def test_a_further_time_limit_goes_on_within_the_epoch(whole: dict[str, TrainingResult], tmp_path: Path) -> None:
    cut = trained(tmp_path, "plain", max_seconds=1e-6)
    assert cut.status == "time_limit" and cut.steps < STEPS
    assert same(trained(tmp_path, "plain"), whole["plain"])


def test_a_module_goes_on_too(digits: nl.tasks.Task, tmp_path: Path) -> None:
    def module() -> torch.nn.Module:
        torch.manual_seed(4)
        return torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.BatchNorm1d(32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
        )

    recipe = {"horizon_epochs": 4}
    at_once = nl.train(module(), digits, recipe, epochs=4)
    nl.train(module(), digits, recipe, epochs=1, checkpoint=tmp_path)
    assert same(nl.train(module(), digits, recipe, epochs=4, checkpoint=tmp_path), at_once)
    wider = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    with pytest.raises(TrainingError, match="its network is"):
        nl.train(wider, digits, recipe, epochs=4, checkpoint=tmp_path)


def test_tied_weights_stay_tied(digits: nl.tasks.Task, tmp_path: Path) -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.body, self.again, self.head = torch.nn.Linear(64, 64), torch.nn.Linear(64, 64), torch.nn.Linear(64, 10)
            self.again.weight = self.body.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.again(self.body(x.flatten(1)).relu()).relu())

    recipe = {"horizon_epochs": 3, "ema_decay": 0.9}
    at_once = nl.train(Tied(), digits, recipe, epochs=3)
    nl.train(Tied(), digits, recipe, epochs=1, checkpoint=tmp_path)
    resumed = nl.train(Tied(), digits, recipe, epochs=3, checkpoint=tmp_path)
    assert same(resumed, at_once) and resumed.network.again.weight is resumed.network.body.weight


def test_buffers_that_a_module_puts_anew_and_extra_state(digits: nl.tasks.Task, tmp_path: Path) -> None:
    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = torch.nn.Linear(64, 10)
            self.register_buffer("calls", torch.zeros(1))
            self.register_buffer("seen", torch.zeros(0), persistent=False)

        def get_extra_state(self) -> dict[str, int]:
            return {"version": 1}

        def set_extra_state(self, state: Any) -> None:
            assert state == {"version": 1}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                self.calls = self.calls + 1
                self.seen = torch.cat([self.seen, x.mean().reshape(1)])
            return self.layer(x.flatten(1)) * (1 + self.calls / 1000)

    recipe = {"horizon_epochs": 3, "ema_decay": 0.9}
    at_once = nl.train(Counting(), digits, recipe, epochs=3)
    nl.train(Counting(), digits, recipe, epochs=2, checkpoint=tmp_path)
    resumed = nl.train(Counting(), digits, recipe, epochs=3, checkpoint=tmp_path)
    assert torch.equal(resumed.network.seen, at_once.network.seen) and len(resumed.network.seen) == 3 * STEPS
    assert torch.equal(resumed.network.calls, at_once.network.calls)
    assert torch.equal(resumed.network.layer.weight, at_once.network.layer.weight)
    assert [p.train_loss for p in resumed.curve] == [p.train_loss for p in at_once.curve]
    resumed.restore_best()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": 4}, "its seed is 3, not 4"),
        ({"recipe": {"learning_rate": 0.5}}, "its recipe optimizer is 'sgd', not 'adamw'"),
        ({"task": "digits?seed=1"}, "its task is"),
        ({"epochs": 1}, "has 3 epochs; 1 are fewer"),
    ],
)
def test_another_training_is_refused(given: dict[str, Any], message: str, tmp_path: Path) -> None:
    trained(tmp_path, "plain")
    wanted = {"network_or_graph": residual(), "task": "digits", "recipe": RECIPES["plain"], "seed": 3, "epochs": EPOCHS}
    with pytest.raises(TrainingError, match=message):
        nl.train(**{**wanted, **given}, checkpoint=tmp_path)
    assert nl.train(**{**wanted, **given}, checkpoint=tmp_path, resume=False).status == "ok"


def test_the_checkpoint_is_data_that_people_can_read(tmp_path: Path) -> None:
    trained(tmp_path, "plain")
    document = json.loads((tmp_path / "checkpoint.json").read_text())
    about = document["about"]
    assert about["network"] == residual().hash and about["seed"] == 3 and about["recipe"]["learning_rate"] == 0.1
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".safetensors", ".safetensors"]
    with pytest.raises(TrainingError, match="cannot be written"):
        trained(tmp_path / "checkpoint.json", "plain")
