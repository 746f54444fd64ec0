"""Scores and losses, held to scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, r2_score, top_k_accuracy_score

import netloom as nl
from netloom.errors import TrainingError
from netloom.training import evaluate
from netloom.training.losses import Meter, outputs_of


def classes(samples: int, count: int, seed: int = 0) -> tuple[nl.tasks.Split, torch.nn.Module]:
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(samples, 7, generator=generator), torch.randint(0, count, (samples,), generator=generator)
    torch.manual_seed(seed)
    return nl.tasks.Split(x, y), torch.nn.Linear(7, count)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 50, 100, 512])
@pytest.mark.parametrize("count", [3, 19, 20, 40])
def test_classification_is_scikit_learns(count: int, batch_size: int) -> None:
    split, network = classes(101, count)
    found = evaluate(network, split, batch_size)
    chances = network(split.x).softmax(1).detach().double().numpy()
    labels = np.arange(count)
    assert found.score == found.accuracy == accuracy_score(split.y, chances.argmax(1)) and found.samples == 101
    assert found.loss == pytest.approx(log_loss(split.y, chances / chances.sum(1, keepdims=True), labels=labels), rel=1e-5)
    if count >= 20:
        assert found.top5 == pytest.approx(top_k_accuracy_score(split.y, chances, k=5, labels=labels))
    else:
        assert found.top5 is None


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_regression_is_scikit_learns(targets: int, offset: float) -> None:
    torch.manual_seed(0)
    x = torch.randn(300, 5)
    y = x[:, :targets] * 3 + torch.randn(300, targets) + offset
    network = torch.nn.Linear(5, targets)
    with torch.no_grad():
        network.bias += offset
    found = evaluate(network, nl.tasks.Split(x, y), 64)
    predicted = network(x).detach().double()
    assert found.score == pytest.approx(r2_score(y, predicted), abs=1e-5)
    assert found.loss == pytest.approx(float((predicted - y.double()).square().mean()), rel=1e-4)


def test_r2_of_a_constant_target_is_scikit_learns() -> None:
    y = torch.tensor([[1.0, 2.0], [1.0, 4.0]])
    for predicted in (torch.tensor([[1.0, 2.0], [1.0, 4.0]]), torch.tensor([[1.5, 2.0], [1.0, 4.0]])):
        meter = Meter()
        meter.add(predicted, y)
        assert meter.read()[0] == pytest.approx(r2_score(y, predicted))


def test_a_meter_counts_what_it_was_given_since_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Meter, "MOST_KEPT", 40)
    meter = Meter()
    assert math.isnan(meter.read()[0])
    logits, y = torch.randn(30, 3), torch.randint(0, 3, (30,))
    for rows in torch.arange(30).split(7):
        meter.add(logits[rows], y[rows])
    again = Meter()
    again.load_state_dict(meter.state_dict())
    expected = float((logits.argmax(1) == y).float().mean())
    assert meter.read()[0] == pytest.approx(expected) == again.read()[0]
    assert math.isnan(meter.read()[0])


def test_every_mode_is_restored() -> None:
    split, _ = classes(20, 3)
    module = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(7, 3))
    module.train()
    module[0].eval()
    assert evaluate(module, split) == evaluate(module, split)
    assert module.training and not module[0].training and module[1].training


def test_no_last_batch_of_one_sample() -> None:
    sizes: list[int] = []

    class Squeezing(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sizes.append(len(x))
            return super().forward(x).squeeze()

    split, _ = classes(129, 3)
    for batch_size in (2, 3, 64, 128):
        sizes.clear()
        if batch_size > 2:
            evaluate(Squeezing(7, 3), split, batch_size)
            assert sum(sizes) == 129 and min(sizes) > 1


def test_the_first_of_several_outputs_counts() -> None:
    a, b = torch.ones(2), torch.zeros(3)
    assert [len(o) for o in outputs_of({"logits": a, "aux": None, "more": [b, (a,)]})] == [2, 3, 2]
    assert outputs_of(None) == [] and outputs_of("text") == ["text"]


def test_what_is_no_answer_is_refused() -> None:
    split, _ = classes(10, 3)
    with pytest.raises(TrainingError, match=r"logits of shape \(10, classes\), not shape \(10, 2, 2\)"):
        evaluate(torch.nn.Sequential(torch.nn.Linear(7, 4), torch.nn.Unflatten(1, (2, 2))), split)
    for size in (0, 2.5, True):
        with pytest.raises(TrainingError, match="batch_size"):
            evaluate(torch.nn.Linear(7, 3), split, size)  # type: ignore[arg-type]
