"""The executor of many machines: candidates as tasks of a Ray cluster that is there already."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import SearchError
from ..store import EvaluationRecord
from .candidate import Job, Outcome, score_candidate

if TYPE_CHECKING:
    from ..tasks import Task
    from .settings import Settings

#: How often a candidate begins anew because its machine went away.
_MOST_MOVES = 3
_WATCH_SECONDS, _GRACE_SECONDS, _GRACE_SHARE = 1.0, 60.0, 0.5


class RayCluster:
    """Candidates as tasks of a Ray cluster, with ``settings.threads`` processors and ``settings.memory_bytes`` each.

    ``executor="ray"`` connects to the cluster that Ray finds by itself (``RAY_ADDRESS``, or one on this machine),
    ``"ray://HOST:PORT"`` to that one. As many candidates run as the cluster has processors for, more when it grows. The store
    is written by the search alone. A machine that goes away costs the work in flight on it: its candidates begin anew
    elsewhere. A worker that dies on a machine that lives is the candidate's failure.
    """

    shares_files: ClassVar[bool] = False

    def __init__(self, task: Task, settings: Settings) -> None:
        self._ray = _connected(settings.executor)
        self._settings = settings
        self._threads = settings.threads or 1
        resources: dict[str, Any] = {"num_cpus": self._threads, "max_retries": 0}
        if settings.memory_bytes is not None:
            resources["memory"] = settings.memory_bytes
        self._score = self._ray.remote(**resources)(_score_on_a_node)
        self._task = self._ray.put(task)
        #: Reference of a task → job, when it was submitted, how often it moved, and which nodes lived then.
        self._flying: dict[Any, tuple[Job, float, int, frozenset[str]]] = {}

    @property
    def slots(self) -> int:
        if self._settings.workers is not None:
            return self._settings.workers
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)) // self._threads)

    def submit(self, job: Job) -> None:
        self._send(job, 0)

    def _send(self, job: Job, moves: int) -> None:
        reference = self._score.remote(job, self._task, self._threads)
        self._flying[reference] = (job, time.monotonic(), moves, self._alive())

    def _alive(self) -> frozenset[str]:
        return frozenset(node["NodeID"] for node in self._ray.nodes() if node["Alive"])

    def next_outcome(self) -> Outcome:
        while True:
            ready, _ = self._ray.wait(list(self._flying), num_returns=1, timeout=_WATCH_SECONDS)
            for reference in ready:
                outcome = self._came(reference)
                if outcome is not None:
                    return outcome
            late = self._late()
            if late is not None:
                return late

    def _came(self, reference: Any) -> Outcome | None:
        """The outcome of a task that has ended; None where it begins anew on another machine."""
        job, began, moves, nodes = self._flying.pop(reference)
        try:
            outcome: Outcome = self._ray.get(reference)
            return outcome
        except self._ray.exceptions.RayError as error:
            if moves < _MOST_MOVES and self._lost_a_node(error, nodes):
                self._send(job, moves + 1)
                return None
            status = "out_of_memory" if isinstance(error, self._ray.exceptions.OutOfMemoryError) else "killed"
            message = f"{type(error).__name__}: {error}"[:4000]
            return Outcome(job.ticket, EvaluationRecord(status, None, time.monotonic() - began, message))

    def _lost_a_node(self, error: Exception, nodes: frozenset[str]) -> bool:
        """Whether a machine of those that lived is gone; that takes the cluster some seconds to notice."""
        exceptions = self._ray.exceptions
        if isinstance(error, exceptions.OutOfMemoryError):
            return False
        if isinstance(error, exceptions.NodeDiedError | exceptions.ObjectLostError):
            return True
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if nodes - self._alive():
                return True
            time.sleep(0.5)
        return False

    def _late(self) -> Outcome | None:
        """The outcome of a candidate that takes far longer than it may."""
        limit = self._settings.candidate_seconds
        if limit is None:
            return None
        for reference, (job, began, _, _) in list(self._flying.items()):
            seconds = time.monotonic() - began
            # A task may wait for its processors: twice the time is the least that says it hangs.
            if seconds > 2 * limit * (1 + _GRACE_SHARE) + _GRACE_SECONDS:
                self._ray.cancel(reference, force=True)
                del self._flying[reference]
                message = f"no answer after {seconds:.0f} s, where {limit:g} s were allowed: the task was cancelled"
                return Outcome(job.ticket, EvaluationRecord("time_limit", None, seconds, message))
        return None

    def close(self) -> None:
        for reference in self._flying:
            try:
                self._ray.cancel(reference, force=True)
            except Exception:  # the cluster itself may be gone
                break
        self._flying.clear()


def _score_on_a_node(job: Job, task: Task, threads: int) -> Outcome:
    import torch

    torch.set_num_threads(threads)
    return score_candidate(job, task)


def _connected(address: str) -> Any:
    """Ray, connected to a cluster; `SearchError` where Ray or the cluster is missing."""
    try:
        import ray
    except ImportError:
        raise SearchError("executor 'ray' needs Ray; install it with: pip install 'netloom[ray]'") from None
    if not ray.is_initialized():
        import logging

        where = "auto" if address == "ray" else address
        try:
            ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray has many ways to say that there is no cluster
            text = str(error).strip() or type(error).__name__
            first = text.splitlines()[0]
            raise SearchError(
                f"executor {address!r}: there is no Ray cluster at address {where!r} ({first}); start one with: "
                "ray start --head, or use executor='local'"
            ) from None
    return ray
