"""THE training loop: whatever learns by steps over epochs runs through `run_loop`.

It knows neither networks nor tasks. What learns is a `Learner`, an object that steps on batches and whose whole state can be
taken and put back; the loop counts, measures, keeps the best, writes checkpoints, watches the limits and says how it ended.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..errors import NetloomError, TrainingError
from ..measure.kept_memory import give_back, keep_freed
from .failures import is_out_of_memory, told

if TYPE_CHECKING:
    from torch import Tensor

    from .saving import Saving

Batch = TypeVar("Batch")
Batch_contra = TypeVar("Batch_contra", contravariant=True)

#: How a training can end. ``ok``: it went as far as it should. ``diverged``: a loss was no longer finite. ``time_limit``: the
#: clock stopped it. ``out_of_memory`` and ``failed``: a step or an evaluation raised, and ``error`` says what.
OK, DIVERGED, TIME_LIMIT, OUT_OF_MEMORY, FAILED = "ok", "diverged", "time_limit", "out_of_memory", "failed"
STATUSES = (OK, DIVERGED, TIME_LIMIT, OUT_OF_MEMORY, FAILED)

#: After so many steps, losses that another device computes are waited for and looked at.
STEPS_BETWEEN_LOOKS = 200


class Learner(Protocol[Batch_contra]):
    """What learns. A step that is resumed from its state must do what it would have done: generators are part of the state."""

    def step(self, batch: Batch_contra) -> float | Tensor:
        """Learn from a batch and give its loss: a float, or a scalar on a device that need not be waited for.

        Where the loss is not finite, nothing may be learned from the batch, nor (where it is a tensor) from any later one.
        """
        ...

    def train_score(self) -> float:
        """The score over the batches since the last call; nan where there is none."""
        ...

    def snapshot(self) -> dict[str, Tensor]:
        """Copies of the tensors that are worth keeping when they score best."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what the next steps do: a tree of numbers, strings and tensors."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over such a tree."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a training stops: after ``epochs``, ``steps``, ``seconds``, or ``patience`` epochs without a better score."""

    epochs: int | None = None
    steps: int | None = None
    seconds: float | None = None
    patience: int | None = None


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to.

    ``train_loss`` is the mean over its batches while they were learned from, ``train_score`` the score on them;
    ``valid_loss`` and ``score`` are those on the validation part afterwards; ``seconds`` are counted since the start.
    """

    epoch: int
    train_loss: float
    valid_loss: float
    score: float
    seconds: float
    train_score: float = math.nan


@dataclass(frozen=True, slots=True)
class Best:
    """The first epoch with the highest score, and the tensors it had."""

    epoch: int
    score: float
    state: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LoopResult:
    """Curve, status (see `OK` and its neighbours), which limit was met, error, steps, seconds, and the best epoch."""

    curve: tuple[Epoch, ...]
    status: str
    reason: str
    error: str
    steps: int
    seconds: float
    best: Best | None


def run_loop(
    learner: Learner[Batch],
    batches: Callable[[int, int], Iterable[Batch]],
    evaluate: Callable[[], Sequence[Any]] | None = None,
    limits: Limits = Limits(epochs=1),  # noqa: B008 (a frozen value)
    *,
    saving: Saving | None = None,
    on_step: Callable[[int], object] | None = None,
    on_epoch: Callable[[Epoch], object] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> LoopResult:
    """Let ``learner`` step on every batch of every epoch, and measure after each epoch, until a limit is met.

    ``batches(epoch, first)`` gives the batches of an epoch (from 0), from the one numbered ``first`` on. ``evaluate`` returns
    loss and score (the higher the better) on held-out data. ``saving`` writes checkpoints and picks up what is there.
    ``on_step(steps)`` and ``on_epoch(epoch)`` are told; where ``on_epoch`` returns True the training ends there.

    The process keeps the memory that steps free until the training ends (`measure.kept_memory`).

    What goes wrong in the learner is a status; `NetloomError` and what callbacks raise comes through.

    >>> class Constant:
    ...     def step(self, batch): return 1 / batch
    ...     def train_score(self): return 0.5
    ...     def snapshot(self): return {}
    ...     def state_dict(self): return {}
    ...     def load_state_dict(self, state): pass
    >>> result = run_loop(Constant(), lambda epoch, first: [1, 2][first:], lambda: (0.5, 0.9), Limits(epochs=2))
    >>> result.status, [point.train_loss for point in result.curve]
    ('ok', [0.75, 0.75])
    """
    if limits.epochs is None and limits.steps is None and limits.seconds is None:
        raise TrainingError("a training needs a limit in epochs, steps or seconds; this one would never end")
    keep_freed()
    try:
        return _Loop(learner, batches, evaluate, limits, saving, on_step, on_epoch, clock).run()
    finally:
        give_back()


class _Loop:
    """A training in progress."""

    def __init__(
        self,
        learner: Learner[Any],
        batches: Callable[[int, int], Iterable[Any]],
        evaluate: Callable[[], Sequence[Any]] | None,
        limits: Limits,
        saving: Saving | None,
        on_step: Callable[[int], object] | None,
        on_epoch: Callable[[Epoch], object] | None,
        clock: Callable[[], float],
    ) -> None:
        self.learner, self.batches, self.evaluate, self.limits = learner, batches, evaluate, limits
        self.saving, self.on_step, self.on_epoch, self.clock = saving, on_step, on_epoch, clock
        self.curve: list[Epoch] = []
        self.best: Best | None = None
        self.steps = self.first = 0
        self.losses: list[float] = []
        self.unseen: list[Tensor] = []
        self.earlier = 0.0
        self.start = clock()

    def run(self) -> LoopResult:
        if self.saving is not None:
            self._resume(self.saving)
        error = ""
        try:
            status, reason = self._train()
        except NetloomError:
            raise
        except _Raised as raised:
            raise raised.error from None
        except Exception as problem:  # any way in which something that learns can fail
            status, reason, error = OUT_OF_MEMORY if is_out_of_memory(problem) else FAILED, "error", told(problem)
        return LoopResult(tuple(self.curve), status, reason, error, self.steps, self._seconds(), self.best)

    def _seconds(self) -> float:
        return self.earlier + self.clock() - self.start

    # -- epochs ----------------------------------------------------------------------------------------------------
    def _train(self) -> tuple[str, str]:
        """Epoch after epoch; gives status and reason of the end."""
        stopped = False
        while not (reason := "callback" if stopped else self._over()):
            cut = self._steps_of_epoch()
            if cut == DIVERGED or not self._settled():
                return DIVERGED, "loss"
            if self.saving is not None and cut:
                # Before the cut epoch is measured: with a further limit, the rest of it comes first.
                self.saving.write(self, self.learner)
            if not self._measure():
                return DIVERGED, "validation loss"
            if not cut:
                self.losses, self.first = [], 0
            stopped = self.on_epoch is not None and _call(self.on_epoch, self.curve[-1]) is True
            if cut:
                return (TIME_LIMIT if cut == "seconds" else OK), cut
            if self.saving is not None:
                self.saving.after_epoch(self, self.learner)
        if self.saving is not None:
            self.saving.write(self, self.learner)
        return (TIME_LIMIT if reason == "seconds" else OK), reason

    def _over(self) -> str:
        """The limit that is met before another epoch begins, or nothing."""
        limits, done = self.limits, len(self.curve)
        if limits.epochs is not None and done >= limits.epochs:
            return "epochs"
        if limits.steps is not None and self.steps >= limits.steps and not self.first:
            return "steps"
        if limits.patience is not None and self.best is not None and done - self.best.epoch >= limits.patience:
            return "patience"
        if limits.seconds is not None and self._seconds() > limits.seconds and not self.first:
            return "seconds"
        return ""

    def _steps_of_epoch(self) -> str:
        """The steps of one epoch, from where it stands; gives what cut it short, or nothing."""
        learner, limits, on_step, saving = self.learner, self.limits, self.on_step, self.saving
        last = math.inf if limits.steps is None else limits.steps
        late = math.inf if limits.seconds is None else self.start + limits.seconds - self.earlier
        isfinite, clock = math.isfinite, self.clock
        for batch in self.batches(len(self.curve), self.first):
            if self.steps >= last:
                return "steps"
            if clock() > late:
                return "seconds"
            loss = learner.step(batch)
            if type(loss) is float:
                if not isfinite(loss):
                    return DIVERGED
                self.losses.append(loss)
            else:
                self.unseen.append(loss)  # type: ignore[arg-type]
            self.steps += 1
            self.first += 1
            if len(self.unseen) >= STEPS_BETWEEN_LOOKS and not self._settled():
                return DIVERGED
            if on_step is not None:
                _call(on_step, self.steps)
            if saving is not None and saving.is_due(self.steps):
                if not self._settled():
                    return DIVERGED
                saving.write(self, learner)
        return ""

    def _settled(self) -> bool:
        """Wait for losses of another device; whether all are finite. If not, steps are counted up to the first that is not."""
        if not self.unseen:
            return True
        import torch

        values = torch.stack(self.unseen).double().tolist()
        self.unseen = []
        for i, value in enumerate(values):
            if not math.isfinite(value):
                self.steps -= len(values) - i
                return False
            self.losses.append(value)
        return True

    def _measure(self) -> bool:
        """Add a point to the curve and keep the best; False where the loss on held-out data is not finite."""
        valid_loss, score = (math.nan, math.nan) if self.evaluate is None else map(float, self.evaluate()[:2])
        if self.evaluate is not None and not math.isfinite(valid_loss):
            return False
        mean = sum(self.losses) / len(self.losses) if self.losses else math.nan
        number, train_score = len(self.curve) + 1, self.learner.train_score()
        self.curve.append(Epoch(number, mean, valid_loss, score, self._seconds(), train_score))
        if not math.isnan(score) and (self.best is None or score > self.best.score):
            self.best = Best(number, score, self.learner.snapshot())
        return True

    # -- checkpoints -----------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """Where the loop stands, without the best tensors."""
        return {
            "steps": self.steps,
            "first": self.first,
            "losses": self.losses,
            "seconds": self._seconds(),
            "curve": [asdict(point) for point in self.curve],
        }

    def _resume(self, saving: Saving) -> None:
        found = saving.read()
        if found is None:
            return
        state, best = found
        loop = state["loop"]
        self.steps, self.first, self.losses, self.earlier = loop["steps"], loop["first"], loop["losses"], loop["seconds"]
        self.curve = [Epoch(**point) for point in loop["curve"]]
        if self.limits.epochs is not None and len(self.curve) > self.limits.epochs:
            raise TrainingError(
                f"the checkpoint {str(saving.folder)!r} has {len(self.curve)} epochs; {self.limits.epochs} are fewer: ask "
                "for at least as many, give another folder, or begin anew with resume=False"
            )
        self.best = Best(**best) if best is not None else None
        self.learner.load_state_dict(state["learner"])


class _Raised(Exception):
    """Carries what a callback raised past the statuses of what learns."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _call(callback: Callable[[Any], object], value: Any) -> object:
    try:
        return callback(value)
    except Exception as error:
        raise _Raised(error) from error
