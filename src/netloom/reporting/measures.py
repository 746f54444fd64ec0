"""The numbers of a candidate that a report can set against each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .summary import Candidate, Summary

#: What a training notes about itself; no objective.
_NOTED = {"best_score", "best_epoch", "steps", "score"}
_KNOWN = {
    "latency": ("Latency", "seconds"), "latency_seconds": ("Latency", "seconds"), "memory": ("Memory", "bytes"),
    "memory_bytes": ("Memory", "bytes"), "macs": ("Multiply–adds", ""), "activations": ("Activations", ""),
}  # fmt: skip
_HIGHER = ("score", "accuracy", "r2", "auc", "f1")


@dataclass(frozen=True, slots=True)
class Measure:
    """A number of every candidate: ``unit`` is ``"seconds"``, ``"bytes"`` or "", ``higher`` says that more is better.

    ``values`` is in the order of the candidates, None where it was not measured.
    """

    name: str
    title: str
    unit: str
    higher: bool
    values: tuple[float | None, ...]


def measures(summary: Summary) -> tuple[Measure, ...]:
    """The measures of a run: score, parameters, FLOPs, layers, whatever else was measured of any candidate, training time."""
    found = [
        _made(summary, "score", summary.score_name, "", True, lambda c: c.score),
        _made(summary, "params", "Parameters", "", False, lambda c: c.num_params),
        _made(summary, "flops", "FLOPs", "", False, lambda c: c.flops),
    ]
    for name in _measured(summary):
        title, unit = _KNOWN.get(name) or (name.replace("_", " ").capitalize(), _unit(name))
        higher = any(word in name.lower() for word in _HIGHER)
        found.append(_made(summary, name, title, unit, higher, lambda c, name=name: _metric(c, name)))  # type: ignore[misc]
    found.append(_made(summary, "layers", "Layers", "", False, lambda c: c.num_layers))
    found.append(_made(summary, "seconds", "Training time", "seconds", False, lambda c: c.main.seconds))
    return tuple(found)


def _made(
    summary: Summary, name: str, title: str, unit: str, higher: bool, value: Callable[[Candidate], float | None]
) -> Measure:
    return Measure(name, title, unit, higher, tuple(value(candidate) for candidate in summary.candidates))


def _measured(summary: Summary) -> list[str]:
    names = dict.fromkeys(name for evaluation in summary.evaluations for name in evaluation.metrics)
    taken = {"params", "flops", "layers", "seconds"}
    return [name for name in names if name not in _NOTED | taken]


def _metric(candidate: Candidate, name: str) -> float | None:
    """A metric of the evaluation that counts, or of another one of the same network."""
    of = [candidate.main, *candidate.evaluations]
    return next((float(evaluation.metrics[name]) for evaluation in of if name in evaluation.metrics), None)


def _unit(name: str) -> str:
    return next((unit for unit in ("seconds", "bytes") if name.endswith(unit)), "")
