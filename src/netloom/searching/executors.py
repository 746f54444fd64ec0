"""Executors: where candidates are scored."""

from __future__ import annotations

import difflib
import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe, wait
from typing import TYPE_CHECKING, Protocol

from ..errors import SearchError
from ..store import EvaluationRecord
from .candidate import Job, Outcome, score_candidate

if TYPE_CHECKING:
    from ..tasks import Task
    from .settings import Settings


class Executor(Protocol):
    """Takes up to ``slots`` jobs at a time and gives their outcomes in the order in which they finish."""

    slots: int

    def submit(self, job: Job) -> None: ...

    def next_outcome(self) -> Outcome: ...

    def close(self) -> None: ...


class InProcess:
    """One candidate after the other, in this process."""

    slots = 1

    def __init__(self, task: Task, settings: Settings) -> None:
        self._task = task
        self._jobs: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def next_outcome(self) -> Outcome:
        return score_candidate(self._jobs.popleft(), self._task)

    def close(self) -> None:
        self._jobs.clear()


class LocalProcesses:
    """A process for each processor of this machine, one thread each.

    The workers are programs of their own (`netloom.searching.worker`), so a script needs no ``__main__`` guard, and one
    that dies, as when the system kills it for memory, is replaced: its candidate comes back as ``killed``.
    """

    def __init__(self, task: Task, settings: Settings, workers: int | None = None) -> None:
        self.slots = workers or settings.workers or processors()
        self._setup = pickle.dumps((task, settings))
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, tuple[_Worker, Job]] = {}

    def submit(self, job: Job) -> None:
        worker = self._idle.pop() if self._idle else _Worker(self._setup)
        try:
            worker.connection.send(job)
        except OSError:
            pass  # it died: next_outcome meets the end of its messages and says so
        self._busy[worker.connection] = (worker, job)

    def next_outcome(self) -> Outcome:
        ready = wait(list(self._busy))[0]
        assert isinstance(ready, Connection)
        worker, job = self._busy.pop(ready)
        try:
            outcome: Outcome = ready.recv()
        except (EOFError, OSError):
            code = worker.close()
            remark = f"the worker process ended with code {code} while it trained this candidate"
            return Outcome(job.ticket, EvaluationRecord("killed", None, 0.0, remark))
        self._idle.append(worker)
        return outcome

    def close(self) -> None:
        for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
            worker.close()
        self._idle.clear()
        self._busy.clear()


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Worker:
    """A worker process and the connection to it."""

    def __init__(self, setup: bytes) -> None:
        self.connection, theirs = Pipe()
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(p for p in sys.path if p), OMP_NUM_THREADS="1")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "netloom.searching.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the search alone, which lets the workers finish
        )
        theirs.close()
        try:
            self.connection.send_bytes(setup)
        except OSError:
            pass

    def close(self) -> int:
        """End the process, whatever it is doing, and give its exit code."""
        self.connection.close()
        try:
            return self.process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


#: Name → what makes the executor.
EXECUTORS: dict[str, Callable[[Task, Settings], Executor]] = {"inprocess": InProcess, "local": LocalProcesses}


def check_executor(name: str) -> str:
    """``name`` if there is such an executor; `SearchError` lists what exists."""
    if name not in EXECUTORS:
        near = difflib.get_close_matches(str(name), EXECUTORS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SearchError(f"unknown executor {str(name)[:80]!r}; {hint}there is: {', '.join(EXECUTORS)}")
    return name
