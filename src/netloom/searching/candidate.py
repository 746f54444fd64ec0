"""Scoring one candidate: train it, and turn whatever happens into a result."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..store import EvaluationRecord
from ..training import Recipe, evaluate, train
from ..training.failures import is_out_of_memory

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..tasks import Task

#: How much of an error is kept: its last lines say most.
_LONGEST = 4000


@dataclass(frozen=True, slots=True)
class Job:
    """One candidate to score.

    ``weights`` (arrays by key) is what its training begins with, None for random ones. ``epochs`` = 0 scores them as they are.
    Trained weights come back where the score is ``keep_from`` or more. ``checkpoint`` is the folder of a training that may go
    on later; ``measured`` names what is measured on this machine afterwards (``"latency"``, ``"memory"``).
    """

    ticket: int
    graph: Graph
    recipe: Recipe
    epochs: int
    seed: int
    weights: Mapping[str, Any] | None = None
    max_seconds: float | None = None
    keep_from: float = -math.inf
    checkpoint: str | None = None
    measured: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job came to; ``weights`` is the trained state by key, as arrays."""

    ticket: int
    record: EvaluationRecord
    weights: Mapping[str, Any] | None = None


def score_candidate(job: Job, task: Task) -> Outcome:
    """Train the job's graph on the task. Never raises for what a candidate does: that is its result."""
    start = time.perf_counter()
    try:
        record, network = _scored(job, task)
        weights = None
        score = record.score
        if score is not None:
            metrics = {**record.metrics, **_measured(job, network)}
            record = replace(record, metrics=metrics)
            if score >= job.keep_from:
                weights = as_arrays(network.state_dict())
        return Outcome(job.ticket, record, weights)
    except Exception as error:  # any way in which a candidate can fail, memory included
        status = "out_of_memory" if is_out_of_memory(error) else "failed"
        text = f"{type(error).__name__}: {error}\n{traceback.format_exc()[-_LONGEST:]}"
        return Outcome(job.ticket, EvaluationRecord(status, None, time.perf_counter() - start, text[: 2 * _LONGEST]))


def _scored(job: Job, task: Task) -> tuple[EvaluationRecord, Any]:
    """The record of a candidate and its network."""
    network: Any = job.graph
    if job.weights is not None:
        from ..building.network import build

        network = build(job.graph, weights=as_tensors(job.weights))
    if job.epochs == 0:
        return _as_it_is(network, task)
    result = train(
        network, task, job.recipe, job.seed, epochs=job.epochs, max_seconds=job.max_seconds, checkpoint=job.checkpoint
    )
    score = result.score if math.isfinite(result.score) else None
    # A training without an epoch to its end may call itself whole; without a score it is no result to rank.
    status = "failed" if result.status == "ok" and score is None else result.status
    return EvaluationRecord(status, score, result.seconds, result.error or _remark(status), result.curve), result.network


def _as_it_is(network: Any, task: Task) -> tuple[EvaluationRecord, Any]:
    """The score of a network without any training."""
    start = time.perf_counter()
    found = evaluate(network, task.valid)
    score = found.score if math.isfinite(found.score) else None
    return EvaluationRecord("ok" if score is not None else "failed", score, time.perf_counter() - start), network


def _measured(job: Job, network: Any) -> dict[str, float]:
    """What only a measurement on this machine tells."""
    found = {}
    if job.measured:
        from .. import measure

        if "latency" in job.measured:
            found["latency"] = float(measure.latency(network).seconds)
        if "memory" in job.measured:
            found["memory"] = float(measure.memory(network).bytes)
    return found


def as_arrays(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state of tensors as arrays; types that numpy has not stay tensors."""
    found = {}
    for key, tensor in state.items():
        kept = tensor.detach().cpu().clone()
        found[key] = kept if str(kept.dtype) == "torch.bfloat16" else kept.numpy()
    return found


def as_tensors(state: Mapping[str, Any]) -> dict[str, Any]:
    """The other way round."""
    import numpy
    import torch

    return {key: torch.from_numpy(value.copy()) if isinstance(value, numpy.ndarray) else value for key, value in state.items()}


def _remark(status: str) -> str:
    remarks = {
        "failed": "there is no score",
        "diverged": "the loss was no longer finite",
        "time_limit": "stopped by the time limit of one candidate",
    }
    return remarks.get(status, "")
