"""`Refits`: what a part of a search has learned, learned anew when more is known, without anyone waiting for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Learned = TypeVar("Learned")


class Refits(Generic[Learned]):
    """The latest of what a part learned.

    Where one candidate trains at a time, a fit is made when it is asked for, so that the same seed gives the same search. Where
    several workers train (``beside``), it is made in a thread beside them: what was learned before serves until it is there.

    >>> refits = Refits(beside=False)
    >>> refits.latest(10, lambda: "of 10 results"), refits.latest(10, lambda: "again"), refits.drawn_on
    ('of 10 results', 'of 10 results', 10)
    """

    def __init__(self, *, beside: bool) -> None:
        self._beside = beside
        self._value: Learned | None = None
        self._fit: _Fit[Learned] | None = None
        #: How many results the latest draws on; -1 where there is none.
        self.drawn_on = -1

    def latest(self, due: int, make: Callable[[], Learned | None]) -> Learned | None:
        """What was learned last; None while there is nothing.

        ``make`` learns from the first ``due`` results and may give None, where they are too few. It is called once for a
        number; beside workers it must not change what it gave before. What it raises is raised here, now or later.
        """
        if not self._beside:
            if due != self.drawn_on:
                self._value, self.drawn_on = make(), due
            return self._value
        if self._fit is not None and self._fit.is_done:
            self._value, self.drawn_on = self._fit.result(), self._fit.due
            self._fit = None
        if self._fit is None and due != self.drawn_on:
            self._fit = _Fit(due, make)
        return self._value

    def wait(self) -> None:
        """Until the fit that is being made, if any, is there."""
        if self._fit is not None:
            self._fit.thread.join()


class _Fit(Generic[Learned]):
    """A fit in a thread of its own, which nobody waits for, not even the end of the program."""

    def __init__(self, due: int, make: Callable[[], Learned | None]) -> None:
        self.due = due
        self._make = make
        self._value: Learned | None = None
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="netloom fit", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._value = self._make()
        except BaseException as error:  # for the one who asks
            self._error = error

    @property
    def is_done(self) -> bool:
        return not self.thread.is_alive()

    def result(self) -> Learned | None:
        if self._error is not None:
            raise self._error
        return self._value
