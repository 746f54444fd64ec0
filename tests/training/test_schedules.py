"""Learning rates, held to torch's schedulers and to what the words say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from netloom.training import Recipe
from netloom.training.schedules import rates

EPOCHS, STEPS = 8, 5


def scheduled(make: Callable[[torch.optim.Optimizer], Any], highest: float, *, by_step: bool) -> list[float]:
    """The rates that a scheduler of torch gives over 8 epochs of 5 steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=highest)
    scheduler = make(optimizer)
    found = []
    for step in range(EPOCHS * STEPS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if by_step or (step + 1) % STEPS == 0:
            scheduler.step()
    return found


def ours(**given: Any) -> list[float]:
    rate = rates(Recipe(epochs=EPOCHS, learning_rate=0.3, **{"warmup": 0.0, **given}), STEPS)
    return [rate(step) for step in range(EPOCHS * STEPS)]


def test_exponential_and_multi_step_are_torchs() -> None:
    decayed = scheduled(lambda o: lr_scheduler.ExponentialLR(o, 0.9), 0.3, by_step=False)
    assert ours(schedule="exponential", gamma=0.9) == pytest.approx(decayed, rel=1e-12)
    stepped = scheduled(lambda o: lr_scheduler.MultiStepLR(o, [3, 6], 0.2), 0.3, by_step=False)
    assert ours(schedule="multi-step", milestones=(3, 6), gamma=0.2) == pytest.approx(stepped, rel=1e-12)


def test_cosine_is_torchs() -> None:
    annealed = scheduled(lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS * STEPS, eta_min=0.03), 0.3, by_step=True)
    assert ours(schedule="cosine", final_rate=0.1) == pytest.approx(annealed, rel=1e-9)


def test_one_cycle_is_torchs() -> None:
    def make(optimizer: torch.optim.Optimizer) -> Any:
        return lr_scheduler.OneCycleLR(
            optimizer, 0.3, total_steps=EPOCHS * STEPS, pct_start=0.25, cycle_momentum=False, final_div_factor=1e4
        )

    assert ours(schedule="one-cycle", warmup=0.25, final_rate=1 / 25e4) == pytest.approx(
        scheduled(make, 0.3, by_step=True), rel=1e-9
    )


def test_linear_falls_in_equal_steps() -> None:
    found = ours(schedule="linear", final_rate=0.2)
    assert found[0] == 0.3 and found[20] == pytest.approx(0.18) and found[39] == pytest.approx(0.3 * (1 - 0.8 * 39 / 40))


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "exponential"])
def test_warm_up_rises_linearly_to_the_highest(schedule: str) -> None:
    for given in ({"warmup": 0.25}, {"warmup_epochs": 2}):
        found = ours(schedule=schedule, gamma=0.99, **given)
        assert found[:10] == pytest.approx([0.03 * i for i in range(1, 11)])
        assert all(a >= b for a, b in zip(found[10:], found[11:]))


def test_a_horizon_is_the_end() -> None:
    short = rates(Recipe(epochs=2, horizon_epochs=8), STEPS)
    whole = rates(Recipe(epochs=8), STEPS)
    assert [short(i) for i in range(10)] == [whole(i) for i in range(10)]


@pytest.mark.parametrize("schedule", ["cosine", "linear", "one-cycle"])
def test_past_the_end_the_rate_stays(schedule: str) -> None:
    rate = rates(Recipe(schedule=schedule, final_rate=0.1, learning_rate=1.0, epochs=2), STEPS)
    assert rate(10) == pytest.approx(0.1) == pytest.approx(rate(500))


@pytest.mark.parametrize("schedule", ["cosine", "linear", "one-cycle", "constant", "exponential"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_shortest_trainings_have_rates(schedule: str, steps: int) -> None:
    rate = rates(Recipe(schedule=schedule, epochs=1, warmup=0.5, learning_rate=1.0), steps)
    assert all(0 <= rate(i) <= 1 for i in range(steps)) and rate(0) > 0
