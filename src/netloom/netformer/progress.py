"""How far a training is, on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..tasks.progress import progress
from ..training.loop import Epoch


class Display:
    """Shows reading and learning; nothing where ``show`` is False."""

    def __init__(self, show: bool) -> None:
        self.show = show
        self._entered: Any = None
        self._done: Any = None
        self._seen = 0

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *error: Any) -> None:
        self._close(*error)

    def reading(self, count: int) -> None:
        """Networks have been read."""
        self._advance("reading networks", None, count)

    def step(self, done: int, steps: int) -> None:
        """A step has been made."""
        if self._seen == 0 and self._entered is not None:
            self._close(None, None, None)
        self._advance("learning", steps, done - self._seen)
        self._seen = done

    def epoch(self, point: Epoch, terms: Mapping[str, float]) -> None:
        """Held-out networks have been measured."""
        if self.show:
            import sys

            shown = ", ".join(f"{name} {value:.3g}" for name, value in terms.items())
            text = f"{self._seen} steps, {point.seconds:.0f} s: median R² of held-out networks {point.score:.3f}; {shown}"
            sys.stderr.write(text + "\n")

    def _advance(self, words: str, total: int | None, count: int) -> None:
        if not self.show:
            return
        if self._entered is None:
            self._entered = progress(words, total, show=True)
            self._done = self._entered.__enter__()
        self._done(count)

    def _close(self, *error: Any) -> None:
        if self._entered is not None:
            self._entered.__exit__(*error)
            self._entered = None
