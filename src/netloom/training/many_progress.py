"""How far the training of many networks is: a line that is written anew on a terminal, now and then one elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TextIO

from .loop import OK, Epoch
from .progress import duration
from .results import TrainingResult

#: Seconds between two lines where each stays.
_SECONDS_BETWEEN_LINES = 10.0


class ManyDisplay:
    """Counts networks that are through, and how they ended; ``earlier`` ones were so before it began."""

    def __init__(self, show: bool, networks: int, stream: TextIO | None = None, *, earlier: int = 0) -> None:
        self.show, self.networks, self.earlier = show, networks, earlier
        self.stream = stream or sys.stderr
        self.ends: Counter[str] = Counter()
        self.lives = show and self.stream.isatty()
        self._start = self._last = time.perf_counter()
        self._part = 0.0

    def __enter__(self) -> ManyDisplay:
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if self.show and kind is None:
            self._write(self.line(0.0))
            if self.lives:
                self.stream.write("\n")

    def on_epoch(self, networks: int, epoch: Epoch, epochs: int) -> None:
        """Told of an epoch of networks that are trained together."""
        self._tell(networks * min(1.0, epoch.epoch / epochs))

    def on_result(self, result: TrainingResult) -> None:
        """Told of a network that is through."""
        self.on_status(result.status)

    def on_status(self, status: str) -> None:
        """Told how a network that is through ended."""
        self.ends[status] += 1
        self._tell(0.0)

    def _tell(self, part: float) -> None:
        now = time.perf_counter()
        if self.show and now - self._last >= (0.2 if self.lives else _SECONDS_BETWEEN_LINES):
            self._last = now
            self._write(self.line(part))

    def _write(self, line: str) -> None:
        self.stream.write(f"\r\x1b[2K{line}" if self.lives else line + "\n")
        self.stream.flush()

    def line(self, part: float) -> str:
        """``1,024 of 4,096 networks, 2 diverged, 12 s, about 36 s left``; ``part``: networks' worth of work in progress."""
        done, seconds = sum(self.ends.values()), time.perf_counter() - self._start
        words = [f"{self.earlier + done:,} of {self.networks:,} networks trained"]
        words += [f"{count:,} {status.replace('_', ' ')}" for status, count in sorted(self.ends.items()) if status != OK]
        words.append(duration(seconds))
        left = self.networks - self.earlier - done - part
        if left > 0 and done + part > 0:
            words.append(f"about {duration(seconds * left / (done + part))} left")
        return ", ".join(words)
