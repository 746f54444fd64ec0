"""Scoring one candidate: train it, and turn whatever happens into a result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..store import EvaluationRecord
from ..training import train
from ..training.failures import is_out_of_memory

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..tasks import Task
    from .settings import Settings


@dataclass(frozen=True, slots=True)
class Job:
    """One candidate to score. Trained weights come back only where the score is ``keep_from`` or more."""

    ticket: int
    graph: Graph
    keep_from: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job came to; ``weights`` is the trained state by key, as arrays."""

    ticket: int
    record: EvaluationRecord
    weights: Mapping[str, Any] | None = None


def score_candidate(job: Job, task: Task, settings: Settings) -> Outcome:
    """Train the job's graph on the task. Never raises for what a candidate does: that is its result."""
    try:
        result = train(job.graph, task, settings.training, settings.seed, max_seconds=settings.candidate_seconds)
    except Exception as error:  # any way in which a candidate can fail, memory included
        status = "out_of_memory" if is_out_of_memory(error) else "failed"
        return Outcome(job.ticket, EvaluationRecord(status, None, 0.0, f"{type(error).__name__}: {error}"[:4000]))
    score = result.score if math.isfinite(result.score) else None
    # A training without an epoch to its end may call itself whole; without a score it is no result to rank.
    status = "failed" if result.status == "ok" and score is None else result.status
    record = EvaluationRecord(status, score, result.seconds, result.error or _remark(status), result.curve)
    weights = None
    if score is not None and score >= job.keep_from:
        weights = {key: tensor.detach().numpy().copy() for key, tensor in result.network.state_dict().items()}
    return Outcome(job.ticket, record, weights)


def _remark(status: str) -> str:
    remarks = {
        "failed": "there is no score",
        "diverged": "the loss was no longer finite",
        "time_limit": "stopped by the time limit of one candidate",
    }
    return remarks.get(status, "")
