"""A run in short, as JSON values: what ``netloom report --json`` prints."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .credit import edit_gains, part_credits
from .failures import grouped_failures
from .measures import measures
from .reproducing import command

if TYPE_CHECKING:
    from .summary import Candidate, Summary


def outcome(summary: Summary) -> dict[str, Any]:
    """Incumbent, Pareto front, failures, gains of edits and credit of a run; every number is finite or null."""
    numbers = {m.name: m.values for m in measures(summary)}
    place = {candidate.hash: i for i, candidate in enumerate(summary.candidates)}

    def shown(candidate: Candidate) -> dict[str, Any]:
        values = {name: of[place[candidate.hash]] for name, of in numbers.items()}
        return {"hash": candidate.hash, "ask": candidate.ask, "epochs": candidate.main.fidelity, **values}

    best = summary.incumbent
    return {
        "run": summary.run_id,
        "status": summary.status,
        "strategy": summary.settings.get("strategy"),
        "task": summary.task_name,
        "score_name": summary.score_name,
        "seconds": summary.seconds,
        "candidates": len(summary.candidates),
        "evaluations": len(summary.evaluations),
        "best": None if best is None else {**shown(best), "text": best.text},
        "front": [shown(candidate) for candidate in summary.best_for_size],
        "lineage": [
            {"hash": a.hash, "score": a.score, "gain": a.gain, "edit": a.edit, "parents": list(a.parents)}
            for a in summary.lineage if a.line
        ],
        "edits": [asdict(gain) for gain in edit_gains(summary)],
        "proposed_by": [asdict(credit) for credit in part_credits(summary, lambda e: e.proposed_by)],
        "scored_by": [asdict(credit) for credit in part_credits(summary, lambda e: e.scored_by)],
        "initialised_by": [asdict(credit) for credit in part_credits(summary, lambda e: e.initialised_by)],
        "failures": [
            {"status": group.status, "message": group.message, "count": len(group.evaluations), "seconds": group.seconds}
            for group in grouped_failures(summary)
        ],
        "command": command(summary),
    }  # fmt: skip
