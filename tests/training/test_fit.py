"""`nl.train` on real data: what it learns, how it ends, what it refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.errors import NetloomError, TaskError, TrainingError
from netloom.training import Epoch, Recipe, evaluate
from netloom.training.precision import better_channels_last


@pytest.fixture(scope="module")
def digits() -> nl.tasks.Task:
    torch.set_num_threads(1)
    return nl.tasks.load("digits")


@pytest.fixture(scope="module")
def waves() -> nl.tasks.Task:
    """A regression of two targets: 500 samples of 6 features."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 6))
    y = np.stack([np.sin(x[:, 0]) + x[:, 1], x[:, 2] * 100 + 1000], 1)
    return nl.tasks.from_arrays(x, y)


def small(classes: int = 10) -> nl.Graph:
    x = nl.input(1, 8, 8)
    y = nl.max_pool2d(nl.relu(nl.batch_norm(nl.conv2d(x, 8, kernel=3, padding=1))), kernel=2)
    return nl.Graph(x, nl.linear(nl.dropout(nl.flatten(y), p=0.1), classes))


def perceptron(outputs: int, features: int = 6) -> nl.Graph:
    x = nl.input(features)
    return nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 32)), outputs))


class OnBatches(torch.nn.Module):
    """A linear classifier that calls ``then(x)`` first."""

    def __init__(self, then: Any) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(64, 10)
        self.then = then

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.then(x)
        return self.layer(x.flatten(1))


# -- learning ------------------------------------------------------------------------------------------------------
def test_training_learns_digits_and_is_repeatable(digits: nl.tasks.Task) -> None:
    first, second, other = (nl.train(small(), digits, epochs=6, seed=seed) for seed in (1, 1, 2))
    assert first.score > 0.9 and first.status == "ok" and first.reason == "epochs" and len(first.curve) == 6
    assert first.score == evaluate(first.network, digits.valid).accuracy == first.curve[-1].score
    assert [p.train_loss for p in first.curve] == [p.train_loss for p in second.curve]
    assert [p.train_loss for p in first.curve] != [p.train_loss for p in other.curve]
    assert all(torch.equal(a, b) for a, b in zip(first.network.parameters(), second.network.parameters()))
    assert not first.network.training and all(p.grad is None for p in first.network.parameters())
    assert first.curve[-1].train_score > 0.9 and first.steps == 6 * 17
    assert first.recipe == Recipe(epochs=6) and first.seed == 1
    assert digits.test_reads == 0


def test_the_curve_is_a_frame(digits: nl.tasks.Task) -> None:
    frame = nl.train(small(), digits, epochs=3).curve_frame()
    assert list(frame.columns) == [
        "epoch", "train_loss", "valid_loss", "score", "seconds", "train_score", "epoch_seconds",
    ]  # fmt: skip
    assert list(frame["epoch"]) == [1, 2, 3] and frame["epoch_seconds"].sum() == pytest.approx(frame["seconds"].iloc[-1])


def test_the_global_generator_is_left_alone(digits: nl.tasks.Task) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    nl.train(small(), digits, epochs=1)
    assert torch.equal(before, torch.get_rng_state())


def test_what_the_caller_is_in_does_not_matter(digits: nl.tasks.Task) -> None:
    plain = nl.train(small(), digits, epochs=1)
    with torch.no_grad():
        without = nl.train(small(), digits, epochs=1)
    with torch.inference_mode():
        inferring = nl.train(small(), digits, epochs=1)
    assert plain.curve[0].train_loss == without.curve[0].train_loss == inferring.curve[0].train_loss


def test_a_module_is_trained_in_place(digits: nl.tasks.Task) -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    result = nl.train(module, "digits", epochs=10, recipe={"learning_rate": 0.02})
    assert result.network is module and evaluate(module, digits.valid).accuracy == result.score > 0.85


def test_frozen_weights_stay(digits: nl.tasks.Task) -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    module[1].requires_grad_(False)
    before = module[1].weight.clone()
    nl.train(module, digits, epochs=2)
    assert torch.equal(before, module[1].weight) and not module[1].weight.requires_grad


def test_regression_learns_targets_of_any_scale(waves: nl.tasks.Task) -> None:
    result = nl.train(perceptron(2), waves, {"learning_rate": 0.01}, epochs=40)
    assert result.status == "ok" and result.score > 0.9 and result.curve[-1].train_score > 0.9
    assert result.score == evaluate(result.network, waves.valid).score


def test_regression_of_one_target_takes_a_network_without_an_axis_for_it() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 6))
    task = nl.tasks.from_arrays(x, x[:, 0] * 2 + 1)
    flat = nl.input(6)
    graph = nl.Graph(flat, nl.squeeze(nl.linear(flat, 1), 1))
    assert nl.train(graph, task, {"learning_rate": 0.05}, epochs=30).score > 0.9


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "muon"])
@pytest.mark.parametrize("schedule", ["cosine", "one-cycle", "linear", "constant", "exponential", "multi-step"])
def test_every_optimizer_and_schedule_learns(digits: nl.tasks.Task, optimizer: str, schedule: str) -> None:
    recipe = {
        "optimizer": optimizer, "schedule": schedule, "learning_rate": 0.1 if optimizer == "sgd" else 0.01,
        "nesterov": optimizer != "adamw", "gamma": 0.7, "milestones": [2], "label_smoothing": 0.05,
    }  # fmt: skip
    assert nl.train(small(), digits, recipe, epochs=3).score > 0.8


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "auto"])
def test_lower_precision_learns_and_leaves_float32(digits: nl.tasks.Task, precision: str) -> None:
    result = nl.train(small(), digits, {"precision": precision, "channels_last": True}, epochs=4)
    assert result.status == "ok" and result.score > 0.85
    assert all(p.dtype == torch.float32 and p.is_contiguous() for p in result.network.parameters())
    assert result.recipe is not None and result.recipe.precision in ("bfloat16", "float16", "float32")
    assert evaluate(result.network, digits.valid).accuracy == pytest.approx(result.score, abs=0.02)
    assert evaluate(result.network, digits.valid, precision=precision).accuracy == pytest.approx(result.score, abs=0.02)
    with pytest.raises(TrainingError, match="precision = 'half'; expected one of float32"):
        evaluate(result.network, digits.valid, precision="half")


def test_what_processors_miscompute_is_trained_in_float32(digits: nl.tasks.Task) -> None:
    """Found on a sampled network: strides above the size of what is left of an image, in bfloat16."""
    x = nl.input(1, 8, 8)
    y = nl.relu(nl.conv2d(x, 16, kernel=3, stride=4, padding=1))
    graph = nl.Graph(x, nl.linear(nl.flatten(nl.conv2d(y, 128, kernel=3, stride=4, padding=1, name="late")), 10))
    result = nl.train(graph, digits, {"precision": "bfloat16"}, epochs=3)
    plain = nl.train(graph, digits, {"precision": "float32"}, epochs=3)
    assert result.status == "ok" and result.score == plain.score and not plain.remarks
    assert result.recipe == plain.recipe and "float32" in result.remarks[0] and "'late'" in result.remarks[0]


def test_channels_last_is_a_matter_of_memory_only(digits: nl.tasks.Task) -> None:
    plain, turned = (nl.train(small(), digits, {"channels_last": value}, epochs=2) for value in (False, True))
    assert [p.train_loss for p in turned.curve] == pytest.approx([p.train_loss for p in plain.curve], rel=1e-3)


def test_the_layout_is_chosen_where_a_recipe_leaves_it_open() -> None:
    """Pooling NAS-Bench-201's cells takes half the time with channels last; small and foreign networks stay as they are."""
    x = nl.input(3, 32, 32)
    y = nl.max_pool2d(nl.relu(nl.conv2d(x, 16, kernel=3)), kernel=4, stride=1)
    graph = nl.Graph(x, nl.linear(nl.flatten(nl.avg_pool2d(y, kernel=4)), 10))
    assert better_channels_last(graph, "cpu") and better_channels_last(nl.build(graph), "cpu")
    assert not better_channels_last(graph, "meta") and not better_channels_last(small(), "cpu")
    assert not better_channels_last(torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3), torch.nn.MaxPool2d(2)), "cpu")

    class Opaque(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.MaxPool2d(2), torch.nn.Conv2d(16, 16, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return Doubled.apply(self.layers(x)).flatten(1)

    assert not better_channels_last(nl.trace(Opaque(), torch.zeros(2, 3, 32, 32)), "cpu")

    rng = np.random.default_rng(0)
    task = nl.tasks.from_arrays(rng.normal(size=(200, 3, 32, 32)).astype("f"), np.arange(200) % 10)
    chosen, plain, asked = (nl.train(graph, task, {"channels_last": value}, epochs=2) for value in (None, False, True))
    assert [p.train_loss for p in chosen.curve] == [p.train_loss for p in asked.curve]
    assert [p.train_loss for p in chosen.curve] == pytest.approx([p.train_loss for p in plain.curve], rel=1e-3)
    assert all(p.is_contiguous() for p in chosen.network.parameters()) and chosen.recipe == nl.training.Recipe(epochs=2)
    scores = [evaluate(chosen.network, task.valid, channels_last=value) for value in (None, False, True)]
    assert scores[0] == scores[2] and scores[0].loss == pytest.approx(scores[1].loss, rel=1e-5)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: object, *gradients: torch.Tensor) -> torch.Tensor:
        return 2 * gradients[0]


def test_augmentation_is_on_training_batches_alone(digits: nl.tasks.Task) -> None:
    means: list[float] = []
    module = OnBatches(lambda x: means.append(float(x.abs().mean())) if module.training else None)
    nl.train(module, digits, {"crop": 1, "cutout": 4}, epochs=1)
    plain = float(digits.train.x.abs().mean())
    assert all(mean < 0.95 * plain for mean in means)
    seen: list[torch.Tensor] = []
    module.then = lambda x: None if module.training else seen.append(x)
    nl.train(module, digits, {"crop": 1, "cutout": 4}, epochs=1)
    assert torch.equal(torch.cat(seen), digits.valid.x)


def test_the_average_is_what_is_scored_and_kept(digits: nl.tasks.Task) -> None:
    result = nl.train(small(), digits, {"ema_decay": 0.95, "schedule": "constant"}, epochs=4)
    assert evaluate(result.network, digits.valid).accuracy == result.score > 0.85
    plain = nl.train(small(), digits, {"schedule": "constant"}, epochs=4)
    assert [p.train_loss for p in plain.curve] == [p.train_loss for p in result.curve]
    assert any(not torch.equal(a, b) for a, b in zip(plain.network.parameters(), result.network.parameters()))


def test_auxiliary_heads_are_learned_from(digits: nl.tasks.Task) -> None:
    x = nl.input(1, 8, 8)
    hidden = nl.relu(nl.linear(nl.flatten(x), 32))
    graph = nl.Graph(x, (nl.linear(hidden, 10, name="head"), nl.linear(hidden, 10, name="auxiliary")))
    start = nl.train(graph, digits, {"learning_rate": 0.0}, epochs=1)
    loss = {
        weight: nl.train(graph, digits, {"learning_rate": 0.0, "auxiliary_weight": weight}, epochs=1).curve[0].train_loss
        for weight in (0.0, 0.4, 1.0)
    }
    assert loss[0.0] < loss[0.4] < loss[1.0] and loss[0.4] == start.curve[0].train_loss
    assert loss[0.4] - loss[0.0] == pytest.approx(0.4 * (loss[1.0] - loss[0.0]), rel=1e-3)
    idle, busy = (nl.train(graph, digits, {"auxiliary_weight": weight}, epochs=2) for weight in (0.0, 0.4))
    fresh = start.network.get_parameter("auxiliary.bias")
    assert torch.equal(idle.network.get_parameter("auxiliary.bias"), fresh)
    assert not torch.equal(busy.network.get_parameter("auxiliary.bias"), fresh)
    assert busy.score == evaluate(busy.network, digits.valid).score > 0.6


def test_an_auxiliary_head_of_training_mode_alone(digits: nl.tasks.Task) -> None:
    class Headed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head, self.auxiliary = (torch.nn.Linear(i, o) for i, o in ((64, 16), (16, 10), (16, 10)))

        def forward(self, x: torch.Tensor) -> Any:
            hidden = self.body(x.flatten(1)).relu()
            return {"logits": self.head(hidden), "aux": self.auxiliary(hidden) if self.training else None}

    module = Headed()
    traced = nl.trace(module, torch.randn(2, 1, 8, 8))
    for network in (module, traced):
        assert nl.train(network, digits, {"learning_rate": 0.01}, epochs=15).score > 0.8


# -- how it ends ---------------------------------------------------------------------------------------------------
def test_divergence_is_a_status_and_the_weights_are_those_before(digits: nl.tasks.Task) -> None:
    recipe = {"learning_rate": 1000.0, "optimizer": "sgd", "clip_norm": None, "warmup": 0.0, "weight_decay": 0.0}
    result = nl.train(small(), digits, recipe, epochs=5)
    assert result.status == "diverged" and math.isnan(result.score) and result.network is not None
    module = OnBatches(lambda x: None)
    calls = iter([1.0, 1.0, math.nan])
    module.forward = lambda x: module.layer(x.flatten(1)) * next(calls)  # type: ignore[method-assign]
    before: list[torch.Tensor] = []
    module.layer.register_forward_pre_hook(lambda layer, _: before.append(layer.weight.detach().clone()))
    assert nl.train(module, digits, epochs=1).status == "diverged"
    assert torch.equal(module.layer.weight, before[2]) and not torch.equal(before[1], before[2])


def test_waiting_for_no_loss_ends_the_same(digits: nl.tasks.Task) -> None:
    """On other devices the loss is looked at later; forced here, the weights are still those before the bad step."""
    from netloom.training.batches import batches_of
    from netloom.training.learner import NetworkLearner
    from netloom.training.loop import Limits, run_loop

    found = {}
    for wait in (True, False):
        for bad in (None, 5):
            torch.manual_seed(0)
            module = OnBatches(lambda x: None)
            learner = NetworkLearner(module, Recipe(), 17, 34, classes=10, wait=wait)
            batches = batches_of(digits.train, Recipe(), 0)

            def spoiled(epoch: int, first: int, bad: Any = bad, batches: Any = batches) -> Any:
                for i, (x, y) in enumerate(batches(epoch, first)):
                    yield (x * math.nan if i == bad else x), y

            result = run_loop(learner, spoiled, None, Limits(epochs=2))
            found[wait, bad] = (result.status, result.steps, module.layer.weight.detach())
    assert found[True, 5][:2] == found[False, 5][:2] == ("diverged", 5)
    assert torch.equal(found[True, 5][2], found[False, 5][2])
    assert found[False, None][:2] == ("ok", 34) and torch.equal(found[True, None][2], found[False, None][2])


def test_time_limit_is_a_status(digits: nl.tasks.Task) -> None:
    for given in ({"max_seconds": 0.05}, {"recipe": {"max_seconds": 0.05}}):
        result = nl.train(small(), digits, epochs=1000, **given)  # type: ignore[arg-type]
        assert result.status == "time_limit" and 0 <= result.score <= 1 and len(result.curve) < 1000


@pytest.mark.parametrize(
    ("error", "status"),
    [(RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out_of_memory"), (ValueError("mine"), "failed")],
)
def test_what_a_network_raises_is_a_status(digits: nl.tasks.Task, error: Exception, status: str) -> None:
    calls: list[int] = []

    def then(x: torch.Tensor) -> None:
        calls.append(1)
        if len(calls) > 30:
            raise error

    result = nl.train(OnBatches(then), digits, epochs=9)
    assert result.status == status and str(error) in result.error and "raise error" in result.error
    assert len(result.curve) == 1 and math.isnan(result.score) and result.best_epoch == 1


def test_weights_that_memory_has_no_room_for_are_a_status(digits: nl.tasks.Task) -> None:
    x = nl.input(1, 8, 8)
    huge = nl.Graph(x, nl.linear(nl.linear(nl.flatten(x), 2**45), 10))
    result = nl.train(huge, digits)
    assert result.status == "out_of_memory" and result.network is None and result.error and math.isnan(result.score)
    with pytest.raises(TrainingError, match="no best weights"):
        result.restore_best()


def test_batches_of_one_are_left_out_where_they_can_be_and_a_status_where_not() -> None:
    rng = np.random.default_rng(0)
    x = nl.input(4)
    normed = nl.Graph(x, nl.linear(nl.batch_norm(nl.linear(x, 8)), 2))
    for samples in (33, 65, 129):  # one sample more than fills the batches
        x_train = rng.normal(size=(samples + 40, 4))
        y = (x_train[:, 0] > 0).astype(int)
        task = nl.tasks.from_arrays(x_train, y, valid=20, test=20)
        assert len(task.train) == samples
        assert nl.train(normed, task, {"batch_size": 32}, epochs=2).status == "ok"
    result = nl.train(normed, task, {"batch_size": 1}, epochs=1)
    assert result.status == "failed" and "Expected more than 1 value per channel" in result.error
    assert nl.train(nl.Graph(x, nl.linear(x, 2)), task, {"batch_size": 1}, epochs=2).score > 0.8


def test_limits_in_steps_and_multiply_adds(digits: nl.tasks.Task) -> None:
    graph = small()
    assert nl.train(graph, digits, {"max_steps": 20}, epochs=9).steps == 20
    for network in (graph, torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))):
        macs = graph.flops // 2 if network is graph else 640
        result = nl.train(network, digits, {"max_multiply_adds": macs * 3 * 64 * 10.5}, epochs=9)
        assert (result.steps, result.status, result.reason) == (10, "ok", "steps")
    with pytest.raises(TrainingError, match="cannot be traced.*use max_steps"):
        nl.train(OnBatches(lambda x: bool(x.sum() > 0)), digits, {"max_multiply_adds": 1e9})


def test_a_schedule_ends_with_the_limit_in_steps(digits: nl.tasks.Task) -> None:
    whole = nl.train(small(), digits, epochs=1)
    cut = nl.train(small(), digits, {"max_steps": 17}, epochs=50)
    assert [p.train_loss for p in whole.curve] == [p.train_loss for p in cut.curve]


def test_patience_and_the_best_weights(digits: nl.tasks.Task) -> None:
    result = nl.train(small(), digits, {"patience": 2, "learning_rate": 0.01, "schedule": "constant"}, epochs=60)
    assert result.reason == "patience" and len(result.curve) == result.best_epoch + 2 < 60
    assert result.best_score == max(p.score for p in result.curve) == result.curve[result.best_epoch - 1].score
    assert evaluate(result.network, digits.valid).score == result.score
    assert evaluate(result.restore_best(), digits.valid).score == result.best_score
    again = nl.train(
        small(), digits, {"patience": 2, "learning_rate": 0.01, "schedule": "constant"}, epochs=60, restore_best=True
    )
    assert evaluate(again.network, digits.valid).score == again.best_score


def test_callbacks_are_told_and_can_end_it(digits: nl.tasks.Task) -> None:
    seen: list[Epoch] = []

    def on_epoch(epoch: Epoch) -> bool:
        seen.append(epoch)
        return len(seen) == 2

    result = nl.train(small(), digits, epochs=5, on_epoch=on_epoch)
    assert tuple(seen) == result.curve and len(seen) == 2 and result.reason == "callback"


def test_progress_is_a_line_for_each_epoch(digits: nl.tasks.Task, capsys: pytest.CaptureFixture[str]) -> None:
    nl.train(small(), digits, epochs=2, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[1].startswith("epoch 2/2  loss ") and "accuracy: training 0." in lines[1]
    nl.train(small(), digits, epochs=1)
    assert capsys.readouterr().err == ""


# -- what is refused -----------------------------------------------------------------------------------------------
def test_graphs_that_do_not_fit_the_task_are_refused(digits: nl.tasks.Task, waves: nl.tasks.Task) -> None:
    with pytest.raises(TrainingError, match="needs one output of 10 logits"):
        nl.train(small(11), digits)
    x = nl.input(3, 32, 32)
    with pytest.raises(TrainingError, match="takes samples of 3×32×32; task 'digits' has samples of 1×8×8"):
        nl.train(nl.Graph(x, nl.linear(nl.flatten(x), 10)), digits)
    with pytest.raises(TrainingError, match="needs one output of 2 values"):
        nl.train(perceptron(3), waves)
    flat = nl.input(1, 8, 8)
    two = nl.Graph(flat, (nl.linear(nl.flatten(flat), 10), nl.linear(nl.flatten(flat), 3)))
    with pytest.raises(TrainingError, match="further outputs, of auxiliary heads, must be alike"):
        nl.train(two, digits)
    with pytest.raises(TrainingError, match="takes samples of"):
        nl.train(nl.build(perceptron(10)), digits)


def test_modules_that_do_not_fit_the_task_are_refused(digits: nl.tasks.Task, waves: nl.tasks.Task) -> None:
    with pytest.raises(TrainingError, match=r"logits of shape \(64, 10\), not shape"):
        nl.train(torch.nn.Conv2d(1, 10, 3), digits)
    with pytest.raises(TrainingError, match=r"logits of shape \(64, 10\), not shape \(64, 1000\)"):
        nl.train(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 1000)), digits)
    with pytest.raises(TrainingError, match=r"values of shape \(64, 2\), not shape \(64, 3\)"):
        nl.train(torch.nn.Linear(6, 3), waves)

    class Nothing(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> Any:
            return None

    with pytest.raises(TrainingError, match="not a NoneType"):
        nl.train(Nothing(6, 2), waves)
    with pytest.raises(TrainingError, match="no parameter"):
        nl.train(torch.nn.Flatten(), digits)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"network_or_graph": 3}, "not a int"),
        ({"task": [1, 2]}, "not a list"),
        ({"task": "digit"}, "did you mean 'digits'"),
        ({"recipe": "slow"}, "unknown recipe"),
        ({"recipe": "express?epochs"}, "'epochs' has no value"),
        ({"recipe": "express?epoch=3"}, "did you mean 'epochs'"),
        ({"seed": -1}, "seed = -1"),
        ({"seed": 1.5}, "seed = 1.5"),
        ({"epochs": 0}, "epochs = 0"),
        ({"max_seconds": 0}, "max_seconds = 0"),
        ({"device": "gpu9"}, "device = 'gpu9'"),
        ({"network_or_graph": torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(10))}, "1.weight has no shape yet"),
        ({"every_steps": 3}, "say where to, too"),
        ({"recipe": {"drop_path": 0.2}, "network_or_graph": torch.nn.Linear(64, 10)}, "drop_path needs a network with a graph"),
    ],
)
def test_mistakes_are_refused_before_anything_happens(given: dict[str, Any], message: str) -> None:
    with pytest.raises(NetloomError, match=message):
        nl.train(**{"network_or_graph": small(), "task": "digits", **given})


def test_images_are_needed_for_what_changes_images(waves: nl.tasks.Task) -> None:
    with pytest.raises(TrainingError, match="recipe: crop changes images .* samples are 6; leave out crop, flip"):
        nl.train(perceptron(2), waves, {"crop": 2, "flip": True})
    assert issubclass(TaskError, NetloomError)
