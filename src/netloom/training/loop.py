"""THE training loop: whatever learns by steps over epochs runs through `run_epochs`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

Batch = TypeVar("Batch")

#: How a training can end. ``ok``: all epochs done. ``diverged``: the loss was no longer finite. ``time_limit``: stopped by
#: the clock. The searching room adds ``out_of_memory`` and ``failed`` (the error is kept).
OK, DIVERGED, TIME_LIMIT = "ok", "diverged", "time_limit"


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to: mean training loss, loss and score on the validation part, seconds since the start."""

    epoch: int
    train_loss: float
    valid_loss: float
    score: float
    seconds: float


@dataclass(frozen=True, slots=True)
class LoopResult:
    """Curve, how the training ended (see `OK` and its neighbours), and the seconds it took."""

    curve: tuple[Epoch, ...]
    status: str
    seconds: float


def run_epochs(
    step: Callable[[Batch], float],
    batches: Callable[[int], Iterable[Batch]],
    evaluate: Callable[[], tuple[float, float]],
    *,
    epochs: int,
    max_seconds: float | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> LoopResult:
    """Run ``step`` on every batch of every epoch and ``evaluate`` after each epoch.

    ``batches(epoch)`` gives the batches of an epoch (from 0); ``step`` learns from one and returns its loss;
    ``evaluate`` returns loss and score on held-out data. A loss that is not finite ends the training with status
    ``diverged``; so does the clock after ``max_seconds``, with ``time_limit`` and a last entry for the epoch it cut.

    >>> result = run_epochs(lambda batch: 1 / batch, lambda epoch: [1, 2], lambda: (0.5, 0.9), epochs=2)
    >>> result.status, [point.train_loss for point in result.curve]
    ('ok', [0.75, 0.75])
    """
    start = clock()
    curve: list[Epoch] = []
    for epoch in range(epochs):
        losses: list[float] = []
        late = False
        for batch in batches(epoch):
            losses.append(step(batch))
            if not math.isfinite(losses[-1]):
                return LoopResult(tuple(curve), DIVERGED, clock() - start)
            late = max_seconds is not None and clock() - start > max_seconds
            if late:
                break
        valid_loss, score = evaluate()
        if not math.isfinite(valid_loss):
            return LoopResult(tuple(curve), DIVERGED, clock() - start)
        mean = sum(losses) / len(losses) if losses else math.nan
        curve.append(Epoch(epoch + 1, mean, valid_loss, score, clock() - start))
        if on_epoch is not None:
            on_epoch(curve[-1])
        if late:
            return LoopResult(tuple(curve), TIME_LIMIT, clock() - start)
    return LoopResult(tuple(curve), OK, clock() - start)
