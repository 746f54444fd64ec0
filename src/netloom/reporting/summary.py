"""What a report shows of a run, read from the store."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from .ancestry import Ancestor, ancestors
from .constraints import violations
from .networks import num_layers

if TYPE_CHECKING:
    from ..store import Store

#: Names of scores by the kind of task.
_SCORES = {"classification": "Validation accuracy", "regression": "Validation R²"}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One result of a run: what was asked for, where it came from, what it came to. ``score`` is None where there is none."""

    id: int
    ask: int
    hash: str
    num_params: int
    flops: int
    score: float | None
    status: str
    error: str
    seconds: float
    elapsed: float
    reused: bool
    fidelity: int
    init: str
    seed: int
    proposed_by: str
    scored_by: str
    predicted_score: float | None
    initialised_by: str
    edit: Any
    parents: tuple[str, ...]
    metrics: Mapping[str, float]

    @property
    def edit_kind(self) -> str:
        """The word by which edits are told apart; "" for a candidate that no edit made."""
        return edit_kind(self.edit)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One network of a run with its evaluations, in the order told; ``rank`` counts from 1, None where it has no score.

    ``main`` is the evaluation that it is judged by: the best. ``broken`` are the constraints of the search that it breaks.
    """

    rank: int | None
    main: Evaluation
    evaluations: tuple[Evaluation, ...]
    text: str
    num_layers: int
    broken: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        return self.main.hash

    @property
    def ask(self) -> int:
        """The number under which it was first asked for."""
        return self.evaluations[0].ask

    @property
    def score(self) -> float | None:
        return self.main.score

    @property
    def num_params(self) -> int:
        return self.main.num_params

    @property
    def flops(self) -> int:
        return self.main.flops

    @property
    def parents(self) -> tuple[str, ...]:
        """Hashes of the parents of its first proposal."""
        return self.evaluations[0].parents


@dataclass(frozen=True)
class Summary:
    """A run: its record, and its different candidates in the order told. ``score_name`` is what a score is, for people."""

    run_id: str
    status: str
    seconds: float
    created: str
    updated: str
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    store_url: str
    score_name: str
    candidates: tuple[Candidate, ...]
    #: The incumbent and those it came from, oldest first; empty where it was no one's child.
    lineage: tuple[Ancestor, ...] = ()
    #: Epochs of the learning curves by the id of their evaluation: (epoch, score, valid_loss, train_loss) each.
    curves: Mapping[int, list[tuple[float | None, ...]]] = field(default_factory=dict)
    #: Text of parents that are no candidates, by hash.
    others: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """Every result, in the order told."""
        return tuple(sorted((e for c in self.candidates for e in c.evaluations), key=lambda e: (e.elapsed, e.ask)))

    @cached_property
    def by_hash(self) -> dict[str, Candidate]:
        return {candidate.hash: candidate for candidate in self.candidates}

    @cached_property
    def ranked(self) -> tuple[Candidate, ...]:
        """The candidates that have a score, best first."""
        return tuple(sorted((c for c in self.candidates if c.rank is not None), key=lambda c: c.rank or 0))

    @property
    def incumbent(self) -> Candidate | None:
        """The best candidate that keeps to the constraints, else the best; None where no candidate has a score."""
        return next((c for c in self.ranked if not c.broken), self.ranked[0] if self.ranked else None)

    @property
    def failed(self) -> tuple[Candidate, ...]:
        """The candidates that have no score."""
        return tuple(c for c in self.candidates if c.rank is None)

    @cached_property
    def best_for_size(self) -> tuple[Candidate, ...]:
        """Of those that keep to the constraints, what none beats or equals with as few parameters, smallest first (Pareto)."""
        front: list[Candidate] = []
        kept = [candidate for candidate in self.ranked if not candidate.broken]
        for candidate in sorted(kept, key=lambda c: (c.num_params, c.rank or 0)):
            if not front or (candidate.score or 0.0) > (front[-1].score or 0.0):
                front.append(candidate)
        return tuple(front)

    @property
    def task_name(self) -> str:
        return str(self.settings.get("task_name") or self.settings.get("task") or "a task")


def summarize(store: Store, run: str | None = None) -> Summary:
    """The summary of a run of the store, the latest where none is named; `StoreError` where there is none."""
    if run is None:
        ids = store.run_ids()
        if not ids:
            raise StoreError(f"store {store!r} has no runs to report; begin with: netloom search --store {store.shown_url}")
        run = ids[-1]
    record = store.run(run)
    settings = dict(record["settings"] or {})
    found = [_evaluation(row) for row in store.proposals(run).to_dict("records")]
    texts = store.graph_texts(run)
    judged = _judged(found)
    candidates = _candidates(found, judged, texts, violations(store, settings, judged, found))
    known = {candidate.hash for candidate in candidates}
    summary = Summary(
        run_id=run,
        status=record["status"],
        seconds=float(record["seconds"] or 0.0),
        created=record["created"],
        updated=record["updated"],
        settings=settings,
        environment=dict(record["environment"] or {}),
        store_url=store.shown_url,
        score_name=_score_name(store, settings, found),
        candidates=candidates,
        curves=_curves(store, [candidate.main.id for candidate in candidates]),
        others={hash: text for hash, text in texts.items() if hash not in known},
    )
    if summary.incumbent is None or not summary.incumbent.parents:
        return summary
    return Summary(**{**_fields(summary), "lineage": ancestors(store, summary, summary.incumbent.hash)})


def _fields(summary: Summary) -> dict[str, Any]:
    return {name: getattr(summary, name) for name in summary.__dataclass_fields__}


def _evaluation(row: Mapping[Any, Any]) -> Evaluation:
    return Evaluation(
        id=int(row["id"]),
        ask=int(row["ask"]),
        hash=row["graph_hash"],
        num_params=int(row["num_params"]),
        flops=int(row["flops"]),
        score=number(row["score"]),
        status=str(row["status"]),
        error=str(row["error"] or ""),
        seconds=number(row["seconds"]) or 0.0,
        elapsed=number(row["elapsed"]) or 0.0,
        reused=bool(row["reused"]),
        fidelity=int(row["fidelity"]),
        init=str(row["init"]),
        seed=int(row["seed"]),
        proposed_by=row["proposed_by"] or "",
        scored_by=row["scored_by"] or "",
        predicted_score=number(row["predicted_score"]),
        initialised_by=row["initialised_by"] or "",
        edit=row["edit"],
        parents=tuple(row["parents"]),
        metrics={str(name): value for name, value in row["metrics"].items() if number(value) is not None},
    )


def number(value: Any) -> float | None:
    """A finite float, else None: what JSON and charts can show."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) else None


def _judged(found: list[Evaluation]) -> list[Evaluation]:
    """The best evaluation of every network that has a score, best first; of equals the smallest, then the first."""
    scored = [evaluation for evaluation in found if evaluation.score is not None]
    best: dict[str, Evaluation] = {}
    for evaluation in sorted(scored, key=lambda e: (-(e.score or 0.0), e.num_params, e.id)):
        best.setdefault(evaluation.hash, evaluation)
    return list(best.values())


def _candidates(
    found: list[Evaluation], judged: list[Evaluation], texts: Mapping[str, str], broken: Mapping[str, tuple[str, ...]]
) -> tuple[Candidate, ...]:
    by_hash: dict[str, list[Evaluation]] = {}
    for evaluation in found:
        by_hash.setdefault(evaluation.hash, []).append(evaluation)
    ranks = {main.hash: (rank, main) for rank, main in enumerate(judged, 1)}
    made = []
    for hash, members in by_hash.items():
        rank, main = ranks.get(hash, (None, members[-1]))
        text = texts.get(hash, "")
        made.append(Candidate(rank, main, tuple(members), text, num_layers(text), broken.get(hash, ())))
    return tuple(made)


def edit_kind(edit: Any) -> str:
    """The kind of an edit as a lineage holds it: a word, or a dict with ``kind``; of several, each once.

    >>> edit_kind({"kind": "widen", "titles": ["conv 16 → 24"]}), edit_kind(["kernel", "widen", "kernel"]), edit_kind(None)
    ('widen', 'kernel + widen', '')
    """
    if isinstance(edit, Mapping):
        named = next((edit[key] for key in ("kind", "name", "mutation", "op", "edit", "type") if edit.get(key)), None)
        return edit_kind(named) if named is not None else ", ".join(map(str, list(edit)[:3]))
    if isinstance(edit, list | tuple):
        return " + ".join(dict.fromkeys(filter(None, map(edit_kind, edit))))
    return "" if edit is None else str(edit)[:80]


def _score_name(store: Store, settings: Mapping[str, Any], found: list[Evaluation]) -> str:
    known = store.tasks()
    row = known[known["hash"] == settings.get("task_hash", "")]
    return _SCORES.get(str(row["kind"].iloc[0]) if len(row) else "", "Validation score")


#: Ids that are asked for at once; databases bound the number of values in one query.
_AT_ONCE = 5_000


def _curves(store: Store, ids: list[int]) -> dict[int, list[tuple[float | None, ...]]]:
    curves: dict[int, list[tuple[float | None, ...]]] = {}
    for start in range(0, len(ids), _AT_ONCE):
        frame = store.curves(ids[start : start + _AT_ONCE])
        columns = [frame[name].tolist() for name in ("evaluation_id", "epoch", "score", "valid_loss", "train_loss")]
        for id, *point in zip(*columns):
            curves.setdefault(int(id), []).append(tuple(map(number, point)))
    return curves
