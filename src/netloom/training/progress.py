"""Lines that say how a training goes, and on a terminal how far the epoch is."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import TextIO

from .loop import Epoch

#: The line of the running epoch is written anew at most so often.
_SECONDS_BETWEEN = 0.2


class Display:
    """Prints a line for every epoch; on a terminal, also one for the epoch in progress that the next takes the place of."""

    def __init__(self, show: bool, epochs: int, steps_per_epoch: int, score_name: str, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.show, self.epochs, self.steps_per_epoch, self.score_name = show, epochs, steps_per_epoch, score_name
        self.shows_steps = show and self.stream.isatty()
        self._start = self._last = time.perf_counter()
        self._earlier: int | None = None
        self._open = False

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *error: object) -> None:
        self._clear()

    def on_step(self, steps: int) -> None:
        """Told of every step."""
        now = time.perf_counter()
        if self._earlier is None:
            self._earlier = steps - 1
        if now - self._last < _SECONDS_BETWEEN:
            return
        self._last = now
        epoch, step = divmod(steps - 1, self.steps_per_epoch)
        left = (self.epochs * self.steps_per_epoch - steps) * (now - self._start) / (steps - self._earlier)
        self._clear()
        self.stream.write(
            f"epoch {epoch + 1:>{len(str(self.epochs))}}/{self.epochs}  step {step + 1}/{self.steps_per_epoch}  "
            f"about {duration(left)} left"
        )
        self.stream.flush()
        self._open = True

    def on_epoch(self, callback: Callable[[Epoch], object] | None) -> Callable[[Epoch], object]:
        """What the loop is to call after an epoch: prints it, then calls ``callback``."""

        def call(epoch: Epoch) -> object:
            if self.show:
                self._clear()
                self.stream.write(epoch_line(epoch, self.epochs, self.score_name) + "\n")
                self.stream.flush()
            return None if callback is None else callback(epoch)

        return call

    def _clear(self) -> None:
        if self._open:
            self.stream.write("\r\x1b[2K")
            self._open = False


def epoch_line(epoch: Epoch, epochs: int, score_name: str) -> str:
    """One line about an epoch.

    >>> epoch_line(Epoch(3, 0.51234, 0.6, 0.8125, 12.3, 0.83), 10, "accuracy")
    'epoch  3/10  loss 0.5123  accuracy: training 0.8300, validation 0.8125  12.3 s'
    """
    training = "" if math.isnan(epoch.train_score) else f"training {epoch.train_score:.4f}, "
    width = len(str(epochs))
    return (
        f"epoch {epoch.epoch:>{width}}/{epochs}  loss {epoch.train_loss:.4f}  "
        f"{score_name}: {training}validation {epoch.score:.4f}  {epoch.seconds:.1f} s"
    )


def duration(seconds: float) -> str:
    """``41 s``, ``3 min 5 s`` or ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
