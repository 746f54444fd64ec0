"""The executor of one machine: a pool of worker processes, each with limits of its own."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection, Pipe, wait
from typing import TYPE_CHECKING, ClassVar

from ..errors import SearchError
from ..measure.kept_memory import resident_bytes
from ..store import EvaluationRecord
from .candidate import Job, Outcome
from .executors import processors

if TYPE_CHECKING:
    from ..tasks import Task
    from .settings import Settings

#: How often workers are looked after, and how much longer than its limit a candidate may take to notice it.
_WATCH_SECONDS, _GRACE_SECONDS, _GRACE_SHARE = 0.2, 20.0, 0.5
#: So many workers in a row that die before their first answer are no accident of a candidate.
_MOST_STILLBORN = 3
#: How much of what a worker wrote as it died is kept.
_LAST_WORDS = 3000


class LocalProcesses:
    """Worker processes on this machine: ``settings.workers`` of them (default: one for each processor left by the threads).

    Each computes with ``settings.threads`` threads (default 1) and is ended where it takes more than
    ``settings.memory_bytes`` of memory, or far longer than ``settings.candidate_seconds`` without an answer. The workers are
    programs of their own (`netloom.searching.worker`), so a script needs no ``__main__`` guard. One that dies is replaced, and
    its candidate comes back as ``killed``, ``out_of_memory`` or ``time_limit``, with what it last wrote.
    """

    shares_files: ClassVar[bool] = True

    def __init__(self, task: Task, settings: Settings) -> None:
        threads = settings.threads or 1
        self.slots = settings.workers or max(1, processors() // threads)
        self._settings = settings
        self._setup = pickle.dumps((task, threads))
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, _Worker] = {}
        self._stillborn = 0

    def submit(self, job: Job) -> None:
        worker = self._idle.pop() if self._idle else _Worker(self._setup, self._settings.threads or 1)
        worker.give(job)
        self._busy[worker.connection] = worker

    def next_outcome(self) -> Outcome:
        while True:
            ready = wait(list(self._busy), _WATCH_SECONDS)
            if ready:
                assert isinstance(ready[0], Connection)
                return self._answered(self._busy.pop(ready[0]))
            for worker in self._busy.values():
                wrong = self._beyond_its_limits(worker)
                if wrong is not None:
                    del self._busy[worker.connection]
                    worker.end()
                    return _lost(worker, *wrong)

    def _answered(self, worker: _Worker) -> Outcome:
        """The outcome of a worker that has one, or that has died."""
        try:
            outcome: Outcome = worker.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            code = worker.end()
            words = worker.last_words()
            # One that a signal ended (a crash, the kernel) is its candidate's failure; one that gave up never came up.
            self._stillborn += code > 0 and not worker.answers
            if self._stillborn >= _MOST_STILLBORN:
                raise SearchError(
                    f"{self._stillborn} worker processes in a row ended before they had scored a candidate (the last with "
                    f"{_ending(code)}); it wrote: {words or 'nothing'}"
                ) from None
            return _lost(worker, "killed", f"the worker process ended with {_ending(code)} while it trained this candidate")
        self._stillborn = 0
        worker.answers += 1
        self._idle.append(worker)
        return outcome

    def _beyond_its_limits(self, worker: _Worker) -> tuple[str, str] | None:
        """Status and message where a worker takes more than it may."""
        limit, seconds = self._settings.candidate_seconds, time.monotonic() - worker.began
        if limit is not None and seconds > limit * (1 + _GRACE_SHARE) + _GRACE_SECONDS:
            return "time_limit", f"no answer after {seconds:.0f} s, where {limit:g} s were allowed: the worker was ended"
        most = self._settings.memory_bytes
        taken = 0 if most is None else resident_bytes(worker.process.pid)
        if most is not None and taken > most:
            return "out_of_memory", f"its process took {taken:,} bytes of memory, where {most:,} were allowed"
        return None

    def close(self) -> None:
        for worker in [*self._idle, *self._busy.values()]:
            worker.end()
        self._idle.clear()
        self._busy.clear()


def _lost(worker: _Worker, status: str, message: str) -> Outcome:
    """The outcome of a candidate whose worker is gone."""
    words = worker.last_words()
    text = f"{message}\n{words}" if words else message
    return Outcome(worker.job.ticket, EvaluationRecord(status, None, time.monotonic() - worker.began, text))


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


class _Worker:
    """A worker process, the connection to it, and the job that it has."""

    job: Job

    def __init__(self, setup: bytes, threads: int) -> None:
        self.connection, theirs = Pipe()
        self.answers, self.began = 0, time.monotonic()
        # A worker counts its threads before torch is loaded: some libraries never look again.
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(p for p in sys.path if p), OMP_NUM_THREADS=str(threads))
        self._words = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "netloom.searching.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._words,
            start_new_session=True,  # Ctrl-C reaches the search alone, which lets the workers finish
        )
        theirs.close()
        try:
            self.connection.send_bytes(setup)
        except OSError:
            pass

    def give(self, job: Job) -> None:
        self.job, self.began = job, time.monotonic()
        if self.answers:  # what it wrote before its first answer may say why it never came up
            self._words.seek(0)
            self._words.truncate()
        try:
            self.connection.send(job)
        except OSError:
            pass  # it died: the executor meets the end of its messages and says so

    def last_words(self) -> str:
        """What it wrote to its error stream during this job."""
        try:
            end = self._words.seek(0, os.SEEK_END)
            self._words.seek(max(0, end - _LAST_WORDS))
            return self._words.read().decode("utf-8", "replace").strip()
        except (OSError, ValueError):
            return ""

    def end(self) -> int:
        """End the process, whatever it is doing, and give its exit code."""
        self.connection.close()
        try:
            return self.process.wait(timeout=0.5 if self.answers else 0.05)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
