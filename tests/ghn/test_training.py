"""Training a hypernetwork: it learns, survives what is not finite, and resumes to the bit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.errors import HypernetworkError, NetloomWarning
from netloom.ghn.meta_learner import MetaLearner
from netloom.ghn.presets import PRESETS, preset
from netloom.ghn.several_processes import train_together
from tests.ghn.networks import small

TASK = nl.tasks.load("digits?train=200&valid=40&test=40")
SETTINGS: dict[str, Any] = {
    "hid": 8,
    "max_channels": 16,
    "kernel": 3,
    "meta_batch": 2,
    "batch_size": 40,
    "epochs": 4,
    "watched": 1,
}


class Small:
    """Networks of one or two convolutions."""

    spec = "small"

    def sample(self, rng: np.random.Generator) -> nl.Graph:
        x = nl.input(1, 8, 8)
        y = x
        for _ in range(int(rng.integers(1, 3))):
            y = nl.relu(nl.conv2d(y, int(rng.choice([4, 8])), kernel=3, padding=1))
        return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(y, 2)), 10))

    def contains(self, graph: nl.Graph) -> bool:
        return True


class Poisoned(Small):
    """Half of the networks give what is not finite."""

    def sample(self, rng: np.random.Generator) -> nl.Graph:
        graph = super().sample(rng)
        if rng.random() < 0.5:
            return graph
        x = nl.input(1, 8, 8)
        y = nl.linear(nl.flatten(x), 10)
        return nl.Graph(x, y / (y - y))


def test_it_learns() -> None:
    result = nl.ghn.train(TASK, "ghn2", Small(), seed=0, learning_rate=1e-2, **{**SETTINGS, "epochs": 12})
    first, last = result.curve[0], result.curve[-1]
    assert result.status == "ok" and result.steps == 60 and result.skipped == 0
    assert last.train_loss < first.train_loss - 0.2 and last.score > 0.2
    assert not result.ghn.training and result.ghn.about["steps"] == 60


@pytest.mark.parametrize("kind", sorted(PRESETS))
def test_every_preset_takes_steps(kind: str) -> None:
    options = {"layers": 1, "heads": 2} if kind == "ghn3" else {}
    result = nl.ghn.train(TASK, kind, Small(), steps=2, **{**SETTINGS, "watched": 0}, **options)
    assert result.status == "ok" and result.steps == 2 and math.isfinite(result.curve[-1].train_loss)
    assert type(result.ghn).__name__ == {"ghn1": "GHN1", "ghn2": "GHN2", "mlp": "MLP", "ghn3": "GHN3"}[kind]


def test_networks_of_deepnets_are_the_default() -> None:
    result = nl.ghn.train(TASK, steps=1, channels=8, max_nodes=40, **{**SETTINGS, "watched": 0})
    assert result.status == "ok" and result.ghn.about["space"].startswith("deepnets1m")


def test_it_resumes_to_the_bit(tmp_path: Path) -> None:
    whole = nl.ghn.train(TASK, "ghn2", Small(), **SETTINGS)
    nl.ghn.train(TASK, "ghn2", Small(), steps=7, checkpoint=tmp_path, **SETTINGS)
    resumed = nl.ghn.train(TASK, "ghn2", Small(), checkpoint=tmp_path, **SETTINGS)
    assert resumed.steps == whole.steps == 20
    for name, tensor in whole.ghn.state_dict().items():
        assert torch.equal(tensor, resumed.ghn.state_dict()[name]), name
    assert [point.train_loss for point in whole.curve] == [point.train_loss for point in resumed.curve]


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    """Through gloo on the CPU: each samples half of the networks, and gradients are summed."""
    space = "conv?input_shape=1x8x8&conv_num=1&lin_num=1&max_params=4000"
    settings = {
        **SETTINGS,
        "watched": 0,
        "steps": 3,
        "task": "digits?train=80&valid=40&test=40",
        "space": space,
        "batch_size": 20,
    }
    alone = nl.ghn.train(**settings)
    train_together(2, {**settings, "out": str(tmp_path / "ghn.safetensors"), "checkpoint": str(tmp_path / "state")})
    together = nl.ghn.load(tmp_path / "ghn.safetensors")
    for name, tensor in alone.ghn.state_dict().items():
        torch.testing.assert_close(together.state_dict()[name], tensor, rtol=1e-3, atol=1e-5)


def test_what_is_not_finite_is_skipped_and_counted() -> None:
    result = nl.ghn.train(TASK, "ghn2", Poisoned(), **SETTINGS)
    assert result.status == "ok" and 5 < result.skipped < 35
    assert all(bool(torch.isfinite(tensor).all()) for tensor in result.ghn.state_dict().values())
    assert math.isfinite(result.curve[-1].train_loss)


def test_gradients_of_a_step_are_those_of_the_mean_loss() -> None:
    """They go through the networks one by one; the whole graph at once gives the same."""
    torch.manual_seed(0)
    ghn = nl.ghn.GHN2((8, 8, 3, 3), 10, hid=8)
    learner = MetaLearner(ghn, Small().sample, preset("ghn2", meta_batch=2, clip_norm=1e9), 0, 10)
    batch = (TASK.train.x[:20], TASK.train.y[:20])
    total: Any = 0.0
    for graph in [subject.graph for subject in learner.subjects()]:
        filled = ghn(graph, keep_grads=True)
        total = total + torch.nn.functional.cross_entropy(filled.train()(batch[0]), batch[1]) / 2
    expected = torch.autograd.grad(total, list(ghn.parameters()), allow_unused=True)
    learner.optimizer.step = lambda *_: None  # type: ignore[method-assign, assignment]
    assert learner.step(batch) == pytest.approx(float(total.detach()), rel=1e-5)
    for parameter, gradient in zip(ghn.parameters(), expected):
        if gradient is not None and parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-6)


def test_rates_are_the_published_ones() -> None:
    assert [round(preset("ghn2").rate(epoch), 4) for epoch in (0, 199, 200, 249, 250)] == [1, 1, 0.1, 0.1, 0.01]
    third = preset("ghn3")
    assert third.rate(0) == pytest.approx(1e-5 / 4e-4) and third.rate(5) == 1 and third.rate(75) == pytest.approx(0)
    assert PRESETS["ghn1"].meta_batch == 1 and PRESETS["ghn1"].virtual_edges == 1 and not PRESETS["ghn1"].normalize


def test_what_is_gone_on_from_stays_as_it_is() -> None:
    start = small(max_shape=(16, 16, 3, 3), hid=8)
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    found = nl.ghn.train(TASK, "ghn2", Small(), steps=1, start=start, **{**SETTINGS, "watched": 0})
    assert not start.training and not start.about
    assert all(torch.equal(tensor, before[name]) for name, tensor in start.state_dict().items())
    assert any(not torch.equal(tensor, before[name]) for name, tensor in found.ghn.state_dict().items())


def test_the_length_of_virtual_edges_is_kept(tmp_path: Path) -> None:
    """What it was trained on is what it looks at ever after."""
    file = tmp_path / "ghn.safetensors"
    made = nl.ghn.train(TASK, "ghn2", Small(), steps=1, out=file, **{**SETTINGS, "watched": 0, "virtual_edges": 2}).ghn
    graph = Small().sample(np.random.default_rng(0))
    for ghn in (made, nl.ghn.load(file)):
        assert ghn.config.virtual_edges == 2 and ghn.predict(graph).view.distances.max() == 2
    assert "ve_cutoff" not in small().config.to_dict()  # published files do not have it


# -- evaluation --------------------------------------------------------------------------------------------------------------
def test_accuracies_are_those_of_filled_networks() -> None:
    ghn = small()
    graphs = [Small().sample(np.random.default_rng(seed)) for seed in range(3)]
    found = nl.ghn.evaluate(ghn, graphs, TASK)
    for graph, accuracy in zip(graphs, found.top1):
        network = ghn(graph).eval()
        with torch.no_grad():
            right = (network(TASK.valid.x).argmax(1) == TASK.valid.y).float().mean()
        assert accuracy == pytest.approx(float(right))
    assert found.mean == pytest.approx(np.mean(found.top1)) and found.max == max(found.top1)
    assert found.standard_error == pytest.approx(np.std(found.top1, ddof=1) / 3**0.5)
    assert all(a <= b for a, b in zip(found.top1, found.top5))


def test_other_classes_are_refused_and_other_data_warned_of() -> None:
    with pytest.raises(HypernetworkError, match="networks of 100 classes, the task 'digits' has 10"):
        nl.ghn.evaluate(small(num_classes=100), [], TASK)
    ghn = small()
    ghn.about["task"] = "imagenet"
    with pytest.warns(NetloomWarning, match="was trained on imagenet, with its classes and normalisation; on digits"):
        nl.ghn.evaluate(ghn, [], TASK)


def test_a_network_that_fails_is_a_result() -> None:
    x = nl.input(3, 8, 8)
    found = nl.ghn.evaluate(
        small(), [nl.Graph(x, nl.linear(nl.flatten(x), 10)), Small().sample(np.random.default_rng(0))], TASK
    )
    assert math.isnan(found.top1[0]) and not math.isnan(found.mean) and "network 0" in found.errors[0]


def test_one_network_is_one_network() -> None:
    """Graphs and Sequentials can be gone through, node by node and layer by layer."""
    ghn, graph = small(), Small().sample(np.random.default_rng(0))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    for network in (graph, model, nl.build(graph, seed=0)):
        assert len(nl.ghn.evaluate(ghn, network, TASK).top1) == 1
    assert nl.ghn.embed(ghn, graph).shape == (1, 16)
    assert nl.ghn.embed(ghn, (graph, graph)).shape == (2, 16)


def test_a_network_of_fewer_classes_is_a_failure() -> None:
    x = nl.input(1, 8, 8)
    found = nl.ghn.evaluate(small(), [nl.Graph(x, nl.linear(nl.flatten(x), 7))], TASK)
    assert "it gives (40, 7) for 40 samples" in found.errors[0]
    assert str(found) == "1 networks, none of which could be evaluated"


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": "a"}, {"max_samples": 0}, {"max_samples": -1}])
def test_counts_of_samples_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(HypernetworkError, match="expected a whole number from 2"):
        nl.ghn.evaluate(small(), [], TASK, **options)


def test_what_is_no_hypernetwork_is_said() -> None:
    for call in (lambda: nl.ghn.evaluate("digits", [], TASK), lambda: nl.ghn.embed("digits", [])):  # type: ignore[arg-type]
        with pytest.raises(HypernetworkError, match="a str is no hypernetwork; nl.ghn.load"):
            call()


def test_embeddings_are_means_of_states() -> None:
    ghn = small()
    graphs = [Small().sample(np.random.default_rng(seed)) for seed in range(5)]
    with torch.no_grad():
        expected = torch.stack([ghn.embed_nodes(graph).mean(0) for graph in graphs])
    torch.testing.assert_close(nl.ghn.embed(ghn, graphs, batch_size=2), expected, rtol=1e-4, atol=1e-6)


# -- mistakes ------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"recipe": "ghn4"}, "unknown preset 'ghn4'; did you mean 'ghn"),
        ({"meta_batches": 4}, "unknown setting 'meta_batches'; did you mean 'meta_batch'"),
        ({"task": "regression:3"}, "is a regression"),
        ({"virtual_edges": 0}, "virtual_edges = 0; expected a whole number from 1"),
        ({"seed": -1}, "seed = -1; expected a whole number from 0"),
        ({"steps": -1}, "steps = -1; expected a whole number from 0"),
        ({"watched": -1}, "watched = -1; expected a whole number from 0"),
        ({"max_seconds": -1.0}, "max_seconds = -1.0; expected a number from 0"),
        ({"out": "ghn.pt"}, "out = 'ghn.pt'; expected a file that ends in .safetensors"),
        ({"channels": 7}, "channels = 7; networks of deepnets1m.* want a multiple of 8"),
        ({"learning_rate": math.inf}, "learning_rate = inf; expected a number above 0"),
        ({"weight_decay": -1.0}, "weight_decay = -1.0; expected a number from 0"),
        ({"recipe": "ghn3", "hypernet": "mlp"}, "hypernet = 'mlp'; expected gnn: layers of ghn3 are transformers"),
        ({"device": "quantum", "watched": 0}, "device = 'quantum'"),
        ({"start": "digits"}, "a str is no hypernetwork"),
        ({"start": small(num_classes=7)}, "go on from predicts networks of 7 classes, the task 'digits' has 10"),
    ],
)
def test_mistakes_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(HypernetworkError, match=said):
        nl.ghn.train(**{"task": TASK, **options})
