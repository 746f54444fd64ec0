"""Executors: where candidates are scored."""

from __future__ import annotations

import difflib
import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Protocol

from ..errors import SearchError
from .candidate import Job, Outcome, score_candidate

if TYPE_CHECKING:
    from ..tasks import Task
    from .settings import Settings


class Executor(Protocol):
    """Takes up to ``slots`` jobs at a time and gives their outcomes in the order in which they finish.

    Whatever a candidate does, `next_outcome` gives an outcome for it: a worker that dies costs one candidate.
    """

    #: Whether its candidates can read the files of this machine, such as checkpoints.
    shares_files: ClassVar[bool]

    @property
    def slots(self) -> int: ...

    def submit(self, job: Job) -> None: ...

    def next_outcome(self) -> Outcome: ...

    def close(self) -> None: ...


class InProcess:
    """One candidate after the other, in this process."""

    shares_files: ClassVar[bool] = True
    slots = 1

    def __init__(self, task: Task, settings: Settings) -> None:
        import torch

        self._task = task
        self._jobs: deque[Job] = deque()
        self._before = torch.get_num_threads()
        torch.set_num_threads(settings.threads or self._before)

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def next_outcome(self) -> Outcome:
        return score_candidate(self._jobs.popleft(), self._task)

    def close(self) -> None:
        import torch

        torch.set_num_threads(self._before)
        self._jobs.clear()


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _local(task: Task, settings: Settings) -> Executor:
    from .local_processes import LocalProcesses

    return LocalProcesses(task, settings)


def _ray(task: Task, settings: Settings) -> Executor:
    from .ray_cluster import RayCluster

    return RayCluster(task, settings)


#: Name → what makes the executor. ``"ray://HOST:PORT"`` is the third one, with an address.
EXECUTORS: dict[str, Callable[[Task, Settings], Executor]] = {"inprocess": InProcess, "local": _local, "ray": _ray}


def check_executor(name: str) -> str:
    """``name`` if there is such an executor; `SearchError` lists what exists."""
    if name not in EXECUTORS and not (isinstance(name, str) and name.startswith("ray://")):
        near = difflib.get_close_matches(str(name), EXECUTORS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SearchError(f"unknown executor {str(name)[:80]!r}; {hint}there is: {', '.join(EXECUTORS)}, ray://HOST:PORT")
    return name


def make_executor(task: Task, settings: Settings) -> Executor:
    """The executor of a search, ready to work; `SearchError` where there is none, or its cluster is not there."""
    name = check_executor(settings.executor)
    return EXECUTORS["ray" if name.startswith("ray://") else name](task, settings)
