"""`Saving`: when a training writes its checkpoint, and whether the one that is there is its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import TrainingError
from .checkpoints import Piece, read_checkpoint, remove_checkpoint, write_checkpoint

if TYPE_CHECKING:
    from .loop import Learner, _Loop

#: Short epochs are not each written: a training that is killed then repeats no more than this.
SECONDS_BETWEEN_EPOCHS = 10.0


class Saving:
    """Writes the state of a training to a folder, and picks it up from there.

    ``about`` is JSON that says which training this is; a checkpoint of another is refused (`TrainingError` naming what
    differs). It is written every ``every_steps`` steps; without, after an epoch where 10 seconds have gone since the last time.
    At the end it is written always. Without ``resume`` what is there is removed. While this object lives no other process can
    train in the folder (`TrainingError` there).
    """

    def __init__(
        self,
        folder: str | Path,
        about: Mapping[str, Any],
        *,
        every_steps: int | None = None,
        resume: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if every_steps is not None and (isinstance(every_steps, bool) or not isinstance(every_steps, int) or every_steps < 1):
            raise TrainingError(f"every_steps = {every_steps!r}; expected an integer ≥ 1, or none")
        self.folder, self.about, self.every_steps, self.clock = Path(folder), dict(about), every_steps, clock
        #: What the checkpoint that was picked up said about itself; None where there was none.
        self.found: dict[str, Any] | None = None
        self._written = clock()
        self._lock = _locked(self.folder)
        if not resume:
            remove_checkpoint(folder)

    def close(self) -> None:
        """Let other processes use the folder; so does the end of this object, or of its process."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __del__(self) -> None:
        if getattr(self, "_lock", None) is not None:
            self.close()

    def is_due(self, steps: int) -> bool:
        """Whether the state after this step is to be written."""
        return self.every_steps is not None and steps % self.every_steps == 0

    def after_epoch(self, loop: _Loop, learner: Learner[Any]) -> None:
        """Write where it is time to."""
        if self.every_steps is None and self.clock() - self._written >= SECONDS_BETWEEN_EPOCHS:
            self.write(loop, learner)

    def write(self, loop: _Loop, learner: Learner[Any]) -> None:
        """Write the state as it is now."""
        pieces = {"state": Piece(loop.steps, {"loop": loop.state_dict(), "learner": learner.state_dict()})}
        if loop.best is not None:
            best = loop.best
            pieces["best"] = Piece(best.epoch, {"epoch": best.epoch, "score": best.score, "state": best.state})
        write_checkpoint(self.folder, self.about, pieces)
        self._written = self.clock()

    def read(self) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
        """The state to go on from, and the best epoch so far; None where there is no checkpoint."""
        found = read_checkpoint(self.folder)
        if found is None:
            return None
        about, states = found
        for name, mine in self.about.items():
            theirs = about.get(name)
            if theirs != mine:
                raise TrainingError(
                    f"the checkpoint {str(self.folder)!r} is of another training: {_difference(name, theirs, mine)}; "
                    "give another folder, or begin anew with resume=False"
                )
        self.found = about
        return states["state"], states.get("best")


def _locked(folder: Path) -> int | None:
    """The folder, made where it is not there, open and locked; None where the system has no such locks."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"the checkpoint {str(folder)!r} cannot be written: {error.strerror or error}") from error
    try:
        import fcntl
    except ImportError:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise TrainingError(f"another training is writing to {str(folder)!r}; wait for it, or give another folder") from None
    except OSError:  # a file system without locks
        os.close(descriptor)
        return None
    return descriptor


def _difference(name: str, theirs: Any, mine: Any) -> str:
    if isinstance(theirs, Mapping) and isinstance(mine, Mapping):
        for key in [*mine, *theirs]:
            if theirs.get(key) != mine.get(key):
                return _difference(f"{name} {key}", theirs.get(key), mine.get(key))
    return f"its {name} is {_short(theirs)}, not {_short(mine)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
