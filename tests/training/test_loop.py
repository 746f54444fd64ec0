"""The loop, with things that learn but are no networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from netloom.errors import TaskError, TrainingError
from netloom.training import Epoch, Limits, Saving, run_loop
from netloom.training.loop import STEPS_BETWEEN_LOOKS


class Walker:
    """Learns nothing: its loss is the batch, and its state a random walk, so that any step left out or repeated shows."""

    def __init__(self, seed: int = 0, as_tensor: bool = False) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.place = torch.zeros(2)
        self.as_tensor = as_tensor
        self.seen: list[float] = []

    def step(self, batch: float) -> Any:
        if isinstance(batch, Exception):
            raise batch
        self.seen.append(batch)
        self.place += torch.randn(2, generator=self.generator) * (1 + batch)
        return torch.tensor(batch) if self.as_tensor else batch

    def train_score(self) -> float:
        return float(len(self.seen))

    def snapshot(self) -> dict[str, torch.Tensor]:
        return {"place": self.place.clone()}

    def state_dict(self) -> dict[str, Any]:
        return {"place": self.place, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.place.copy_(state["place"])
        self.generator.set_state(state["generator"])


def batches(epoch: int, first: int) -> Iterator[float]:
    yield from [epoch / 10 + i / 100 for i in range(5)][first:]


def constant(*losses: Any) -> Callable[[int, int], list[Any]]:
    return lambda epoch, first: list(losses)[first:]


def ticking(by: float = 1.0) -> Callable[[], float]:
    """A clock that every look moves on."""
    now = [0.0]

    def clock() -> float:
        now[0] += by
        return now[0]

    return clock


# -- measuring -----------------------------------------------------------------------------------------------------
def test_epochs_are_numbered_and_losses_averaged() -> None:
    seen: list[Epoch] = []
    result = run_loop(Walker(), constant(1.0, 3.0), lambda: (0.25, 0.5), Limits(epochs=3), on_epoch=seen.append)
    assert [(p.epoch, p.train_loss, p.valid_loss, p.score, p.train_score) for p in result.curve] == [
        (1, 2.0, 0.25, 0.5, 2.0), (2, 2.0, 0.25, 0.5, 4.0), (3, 2.0, 0.25, 0.5, 6.0),
    ]  # fmt: skip
    assert (result.status, result.reason, result.error, result.steps) == ("ok", "epochs", "", 6)
    assert tuple(seen) == result.curve and all(a.seconds <= b.seconds for a, b in zip(seen, seen[1:]))


def test_the_best_is_the_first_of_the_highest_scores() -> None:
    walker, scores = Walker(), iter([0.3, 0.7, math.nan, 0.7, 0.1])
    places = []
    result = run_loop(
        walker, batches, lambda: (1.0, next(scores)), Limits(epochs=5), on_epoch=lambda _: places.append(walker.place.clone())
    )
    assert result.best is not None and (result.best.epoch, result.best.score) == (2, 0.7)
    assert torch.equal(result.best.state["place"], places[1]) and not torch.equal(places[1], places[4])


def test_without_held_out_data_there_is_no_score() -> None:
    result = run_loop(Walker(), constant(1.0), None, Limits(epochs=2))
    assert result.status == "ok" and math.isnan(result.curve[-1].score) and result.best is None


# -- limits --------------------------------------------------------------------------------------------------------
def test_a_limit_is_asked_for() -> None:
    with pytest.raises(TrainingError, match="would never end"):
        run_loop(Walker(), batches, None, Limits(patience=3))


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (4, 1), (5, 1), (6, 2), (10, 2), (12, 3)])
def test_steps_are_counted_over_epochs(steps: int, epochs: int) -> None:
    walker = Walker()
    result = run_loop(walker, batches, lambda: (0.0, 0.5), Limits(steps=steps))
    assert len(walker.seen) == result.steps == steps and len(result.curve) == epochs
    assert (result.status, result.reason) == ("ok", "steps")


def test_the_clock_cuts_an_epoch_and_what_there_is_is_measured() -> None:
    result = run_loop(Walker(), constant(*[1.0] * 10), lambda: (0.0, 0.5), Limits(100, seconds=14.5), clock=ticking())
    assert (result.status, result.reason) == ("time_limit", "seconds")
    assert len(result.curve) == 2 and 10 < result.steps < 20


def test_the_clock_does_not_take_what_is_finished() -> None:
    times = iter([0.0] * 6 + [99.0] * 50)
    result = run_loop(Walker(), constant(1.0, 1.0), lambda: (0.0, 0.5), Limits(epochs=1, seconds=5), clock=lambda: next(times))
    assert (result.status, result.steps) == ("ok", 2)


def test_patience_ends_what_gets_no_better() -> None:
    scores = iter([0.1, 0.5, 0.4, 0.5, 0.9])
    result = run_loop(Walker(), batches, lambda: (0.0, next(scores)), Limits(epochs=9, patience=2))
    assert len(result.curve) == 4 and (result.status, result.reason) == ("ok", "patience")


def test_a_callback_can_end_it() -> None:
    result = run_loop(Walker(), batches, lambda: (0.0, 0.5), Limits(epochs=9), on_epoch=lambda point: point.epoch == 3)
    assert len(result.curve) == 3 and (result.status, result.reason) == ("ok", "callback")


# -- what goes wrong -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_it_at_that_step(bad: float) -> None:
    walker = Walker()
    result = run_loop(walker, lambda e, first: [1.0, bad if e == 1 else 1.0, 1.0][first:], lambda: (0.0, 0.5), Limits(epochs=4))
    assert result.status == "diverged" and len(result.curve) == 1 and len(walker.seen) == 5 and result.steps == 4


@pytest.mark.parametrize("place", [0, 1, STEPS_BETWEEN_LOOKS - 1, STEPS_BETWEEN_LOOKS, 3 * STEPS_BETWEEN_LOOKS + 7])
def test_losses_of_another_device_are_looked_at_now_and_then_and_the_bad_step_is_named(place: int) -> None:
    losses = [1.0] * (4 * STEPS_BETWEEN_LOOKS)
    losses[place] = math.nan
    walker = Walker(as_tensor=True)
    result = run_loop(walker, constant(*losses), lambda: (0.0, 0.5), Limits(epochs=2))
    assert result.status == "diverged" and result.steps == place and not result.curve
    assert len(walker.seen) < place + STEPS_BETWEEN_LOOKS + 1
    whole = run_loop(Walker(as_tensor=True), constant(1.0, 3.0), lambda: (0.0, 0.5), Limits(epochs=2))
    assert whole.status == "ok" and [p.train_loss for p in whole.curve] == [2.0, 2.0]


def test_a_validation_loss_that_is_not_finite_ends_it() -> None:
    result = run_loop(Walker(), batches, lambda: (math.nan, 0.5), Limits(epochs=4))
    assert (result.status, result.reason, result.curve) == ("diverged", "validation loss", ())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("Expected more than 1 value per channel"), "failed"),
        (MemoryError(), "out_of_memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"), "out_of_memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "out_of_memory"),
        (ZeroDivisionError(), "failed"),
    ],
)
def test_what_a_step_raises_is_a_status(error: Exception, status: str) -> None:
    result = run_loop(Walker(), lambda e, first: [1.0, error if e == 1 else 1.0], lambda: (0.0, 0.5), Limits(epochs=3))
    assert result.status == status and len(result.curve) == 1
    assert result.error.startswith(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def test_the_error_says_where_it_came_from() -> None:
    def evaluate() -> tuple[float, float]:
        return 1 / 0, 0.0

    result = run_loop(Walker(), batches, evaluate, Limits(epochs=1))
    assert result.status == "failed" and "ZeroDivisionError" in result.error and "return 1 / 0, 0.0" in result.error


def test_mistakes_of_the_user_come_through() -> None:
    with pytest.raises(TaskError):
        run_loop(Walker(), constant(TaskError("no such row")), None, Limits(epochs=1))

    def callback(_: Any) -> None:
        raise KeyError("mine")

    for callbacks in ({"on_epoch": callback}, {"on_step": callback}):
        with pytest.raises(KeyError, match="mine"):
            run_loop(Walker(), batches, lambda: (0.0, 0.5), Limits(epochs=1), **callbacks)  # type: ignore[arg-type]


# -- checkpoints ---------------------------------------------------------------------------------------------------
class Killed(BaseException):
    """Ends the process as far as the loop can tell."""


def walked(folder: Path | None, epochs: int, *, every_steps: int | None = 1, kill_at: int = 0, **limits: Any) -> Any:
    """A walk that is killed after step ``kill_at``, if any; gives its place and its result."""

    def on_step(steps: int) -> None:
        if steps == kill_at:
            raise Killed

    walker = Walker()
    saving = None if folder is None else Saving(folder, {"walk": 1}, every_steps=every_steps)

    def evaluate() -> tuple[float, float]:
        return float(walker.place.abs().sum()), float(walker.place.sum().sin())

    result = run_loop(walker, batches, evaluate, Limits(epochs=epochs, **limits), saving=saving, on_step=on_step)
    return walker.place, result


def same_course(a: Any, b: Any) -> bool:
    def told(result: Any) -> list[tuple[float, ...]]:
        return [(p.epoch, p.train_loss, p.valid_loss, p.score) for p in result.curve]

    return told(a) == told(b) and a.steps == b.steps and a.best.epoch == b.best.epoch


@pytest.mark.parametrize("every_steps", [1, 3])
@pytest.mark.parametrize("kill_at", [1, 3, 5, 6, 14])
def test_killed_and_called_again_it_ends_as_if_never_killed(tmp_path: Path, kill_at: int, every_steps: int) -> None:
    place, whole = walked(None, 3)
    with pytest.raises(Killed):
        walked(tmp_path, 3, every_steps=every_steps, kill_at=kill_at)
    again, resumed = walked(tmp_path, 3, every_steps=every_steps)
    assert torch.equal(place, again) and same_course(whole, resumed)
    assert torch.equal(whole.best.state["place"], resumed.best.state["place"])


def test_more_epochs_go_on_from_the_last_one(tmp_path: Path) -> None:
    place, whole = walked(None, 4)
    walked(tmp_path, 2, every_steps=None)
    again, longer = walked(tmp_path, 4, every_steps=None)
    assert torch.equal(place, again) and same_course(whole, longer)


def test_a_training_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    place, _ = walked(tmp_path, 2)
    again, result = walked(tmp_path, 2, kill_at=11)
    assert torch.equal(place, again) and result.steps == 10
    with pytest.raises(TrainingError, match="has 2 epochs; 1 are fewer"):
        walked(tmp_path, 1)


def test_cut_by_steps_it_goes_on_within_the_epoch(tmp_path: Path) -> None:
    place, whole = walked(None, 3)
    _, cut = walked(tmp_path, 3, every_steps=None, steps=7)
    assert len(cut.curve) == 2 and cut.reason == "steps"
    _, same = walked(tmp_path, 3, every_steps=None, steps=7)
    assert same.curve[-1].train_loss == cut.curve[-1].train_loss and same.steps == 7
    again, longer = walked(tmp_path, 3, every_steps=None)
    assert torch.equal(place, again) and same_course(whole, longer)


def test_seconds_go_on_where_they_were(tmp_path: Path) -> None:
    for most in (3.5, 1000.0):
        result = run_loop(
            Walker(), constant(*[1.0] * 9), lambda: (0.0, 0.5), Limits(epochs=2, seconds=most), saving=Saving(tmp_path, {}),
            clock=ticking(),
        )  # fmt: skip
    alone = run_loop(Walker(), constant(*[1.0] * 9), lambda: (0.0, 0.5), Limits(epochs=2), clock=ticking())
    assert result.status == "ok" and result.seconds > alone.seconds


def test_what_diverges_leaves_the_checkpoint_from_before(tmp_path: Path) -> None:
    for _ in range(2):
        result = run_loop(
            Walker(), constant(1.0, math.nan), lambda: (0.0, 0.5), Limits(epochs=2), saving=Saving(tmp_path, {}, every_steps=1)
        )
        assert result.status == "diverged" and result.steps == 1


def test_short_epochs_are_not_each_written(tmp_path: Path) -> None:
    written = []

    class Noting(Saving):
        def write(self, loop: Any, learner: Any) -> None:
            written.append(loop.steps)
            super().write(loop, learner)

    now = [0.0]
    saving = Noting(tmp_path, {}, clock=lambda: now[0])

    def on_epoch(point: Epoch) -> None:
        now[0] += 4.0

    run_loop(Walker(), batches, lambda: (0.0, 0.5), Limits(epochs=8), saving=saving, on_epoch=on_epoch)
    assert written == [15, 30, 40]
