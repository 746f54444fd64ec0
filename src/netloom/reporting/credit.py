"""What paid: gains of children over parents by kind of edit, and the results of every part that had a say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .summary import Evaluation, Summary


@dataclass(frozen=True, slots=True)
class Gain:
    """Score of the children of one kind of edit minus that of their parents; ``low`` to ``high``: 95 % interval of the mean.

    ``count`` children were made, ``scored`` of them could be compared; ``better`` is the share of those that beat their parent.
    """

    kind: str
    count: int
    scored: int
    mean: float | None
    low: float | None
    high: float | None
    better: float | None
    best: float | None


@dataclass(frozen=True, slots=True)
class Credit:
    """Results of all evaluations that one part proposed, scored or initialised. ``records`` of them were the best so far.

    ``correlation`` (Spearman's) and ``error`` (mean absolute) compare predicted scores with those that came out.
    """

    name: str
    count: int
    failed: int
    mean: float | None
    best: float | None
    records: int
    predicted: int = 0
    correlation: float | None = None
    error: float | None = None


def gain_of(summary: Summary, child: Evaluation) -> float | None:
    """Score of a child minus that of the best of its parents, at the fidelity nearest below the child's where there is one."""
    scores = [score for hash in child.parents if (score := _score_at(summary, hash, child.fidelity)) is not None]
    return child.score - max(scores) if scores and child.score is not None else None


def _score_at(summary: Summary, hash: str, fidelity: int) -> float | None:
    candidate = summary.by_hash.get(hash)
    if candidate is None or candidate.score is None:
        return None
    below = [e for e in candidate.evaluations if e.score is not None and e.fidelity <= fidelity]
    return max(below, key=lambda e: (e.fidelity, e.score or 0.0)).score if below else candidate.score


def edit_gains(summary: Summary) -> tuple[Gain, ...]:
    """What every kind of edit gained, the highest mean first; edits of which nothing could be compared last."""
    children: dict[str, list[Evaluation]] = {}
    for evaluation in summary.evaluations:
        if evaluation.parents:
            children.setdefault(evaluation.edit_kind or "without a name", []).append(evaluation)
    made = [_gain(kind, members, [gain_of(summary, each) for each in members]) for kind, members in children.items()]
    return tuple(sorted(made, key=lambda gain: (gain.mean is None, -(gain.mean or 0.0), gain.kind)))


def _gain(kind: str, members: Sequence[Evaluation], gains: Iterable[float | None]) -> Gain:
    known = [gain for gain in gains if gain is not None]
    if not known:
        return Gain(kind, len(members), 0, None, None, None, None, None)
    mean = math.fsum(known) / len(known)
    low = high = None
    if len(known) > 1:
        deviation = math.sqrt(math.fsum((gain - mean) ** 2 for gain in known) / (len(known) - 1))
        margin = 1.96 * deviation / math.sqrt(len(known))
        low, high = mean - margin, mean + margin
    better = sum(gain > 0 for gain in known) / len(known)
    return Gain(kind, len(members), len(known), mean, low, high, better, max(known))


def part_credits(summary: Summary, part: Callable[[Evaluation], str]) -> tuple[Credit, ...]:
    """The results of every part of one sort: ``part`` gives the name of that of an evaluation, "" where there was none."""
    records = _records(summary)
    members: dict[str, list[Evaluation]] = {}
    for evaluation in summary.evaluations:
        if part(evaluation):
            members.setdefault(part(evaluation), []).append(evaluation)
    made = [_credit(name, found, records) for name, found in members.items()]
    return tuple(sorted(made, key=lambda credit: (-credit.count, credit.name)))


def _records(summary: Summary) -> set[int]:
    """Ask indices of the evaluations that were better than all before them."""
    best, found = -math.inf, set()
    for evaluation in summary.evaluations:
        if evaluation.score is not None and evaluation.score > best:
            best = evaluation.score
            found.add(evaluation.ask)
    return found


def _credit(name: str, members: Sequence[Evaluation], records: set[int]) -> Credit:
    scores = [evaluation.score for evaluation in members if evaluation.score is not None]
    pairs = [(e.predicted_score, e.score) for e in members if e.predicted_score is not None and e.score is not None]
    return Credit(
        name,
        len(members),
        len(members) - len(scores),
        math.fsum(scores) / len(scores) if scores else None,
        max(scores, default=None),
        sum(evaluation.ask in records for evaluation in members),
        len(pairs),
        _spearman(pairs),
        math.fsum(abs(a - b) for a, b in pairs) / len(pairs) if pairs else None,
    )


def _spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Spearman's rank correlation, of equals the mean rank; None for fewer than three pairs or where all are equal."""
    if len(pairs) < 3:
        return None
    import numpy as np
    import pandas as pd

    a, b = (pd.Series(values).rank().to_numpy() for values in zip(*pairs))
    if a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])
