"""A run as compact JSON for its page: columns instead of rows, words and lines of networks once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .measures import measures
from .networks import lines_of

if TYPE_CHECKING:
    from .summary import Evaluation, Summary

#: Points of all learning curves together, and of one at least and at most.
_POINTS, _FEWEST, _MOST = 300_000, 12, 400
#: Characters of an error that a page holds for each different one.
_MAX_ERROR = 20_000


class Words:
    """Texts that repeat, by number."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))


def page_data(summary: Summary) -> dict[str, Any]:
    """What the scripts of a page know of a run."""
    words = Words()
    numbers = {candidate.hash: i for i, candidate in enumerate(summary.candidates)}
    for hash in summary.others:
        numbers.setdefault(hash, len(numbers))
    texts = [candidate.text for candidate in summary.candidates] + list(summary.others.values())
    place = {evaluation.id: i for i, evaluation in enumerate(summary.evaluations)}
    return {
        "run": {
            "id": summary.run_id, "status": summary.status, "seconds": summary.seconds, "score": summary.score_name,
            "store": summary.store_url,
            "best": None if summary.incumbent is None else numbers[summary.incumbent.hash],
        },
        "measures": [
            {"name": m.name, "title": m.title, "unit": m.unit, "higher": m.higher, "values": [short(v) for v in m.values]}
            for m in measures(summary)
        ],
        "candidates": {
            "rank": [candidate.rank for candidate in summary.candidates],
            "main": [place[candidate.main.id] for candidate in summary.candidates],
            "broken": [words(", ".join(candidate.broken)) for candidate in summary.candidates],
        },
        "hashes": list(numbers),
        "evaluations": _evaluations(summary.evaluations, numbers, words),
        "curves": _curves(summary),
        "networks": lines_of(texts),
        "lineage": [_ancestor(ancestor, numbers) for ancestor in summary.lineage],
        "words": list(words.numbers),
    }  # fmt: skip


def embedded(data: Any) -> str:
    """JSON that is safe inside a script element: no ``<``, so no end tag, whatever the data say.

    >>> embedded({"name": "</script>"})
    '{"name":"\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def short(value: float | None, digits: int = 6) -> float | int | None:
    """A number in as few characters as show it to ``digits`` places; whole numbers as they are.

    >>> short(0.123456789), short(12.0), short(None), short(123456789)
    (0.123457, 12, None, 123456789)
    """
    if value is None or isinstance(value, int):
        return value
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _evaluations(evaluations: Sequence[Evaluation], numbers: Mapping[str, int], words: Words) -> dict[str, list[Any]]:
    return {
        "candidate": [numbers[e.hash] for e in evaluations],
        "ask": [e.ask for e in evaluations],
        # Scores are compared: they are not rounded.
        "score": [e.score for e in evaluations],
        "status": [words(e.status) for e in evaluations],
        "seconds": [short(e.seconds, 4) for e in evaluations],
        "elapsed": [short(e.elapsed) for e in evaluations],
        "fidelity": [e.fidelity for e in evaluations],
        "seed": [e.seed for e in evaluations],
        "init": [words(e.init) for e in evaluations],
        "reused": [int(e.reused) for e in evaluations],
        "proposed": [words(e.proposed_by) for e in evaluations],
        "scored": [words(e.scored_by) for e in evaluations],
        "predicted": [short(e.predicted_score) for e in evaluations],
        "initialised": [words(e.initialised_by) for e in evaluations],
        "edit": [words(e.edit_kind) for e in evaluations],
        "parents": [[numbers[hash] for hash in e.parents if hash in numbers] for e in evaluations],
        "error": [words(e.error[:_MAX_ERROR]) for e in evaluations],
    }


def _curves(summary: Summary) -> list[list[list[float | int | None]] | None]:
    """Of every candidate: epochs, scores, validation losses, training losses; long curves thinned, their ends kept."""
    most = max(_FEWEST, min(_MOST, _POINTS // (4 * max(len(summary.curves), 1))))
    return [_curve(summary.curves.get(candidate.main.id), most) for candidate in summary.candidates]


def _curve(points: list[tuple[float | None, ...]] | None, most: int) -> list[list[float | int | None]] | None:
    if not points:
        return None
    step = max(1, -(-(len(points) - 1) // (most - 1)))
    kept = [points[i] for i in range(0, len(points) - 1, step)] + [points[-1]]
    return [[short(value, 4) for value in column] for column in zip(*kept)]


def _ancestor(ancestor: Any, numbers: Mapping[str, int]) -> dict[str, Any]:
    return {
        "graph": numbers.get(ancestor.hash, -1),
        "generation": ancestor.generation,
        "parents": [numbers[hash] for hash in ancestor.parents if hash in numbers],
        "score": ancestor.score,
        "gain": ancestor.gain,
        "edit": _edit_words(ancestor.edit),
        "difference": ancestor.difference,
        "roles": dict(ancestor.roles),
        "removed": ancestor.removed,
        "line": ancestor.line,
    }


def _edit_words(edit: Any) -> list[str]:
    """An edit in words: its kind, then what it did."""
    from .summary import edit_kind

    titles: Iterable[Any] = edit.get("titles") or () if isinstance(edit, Mapping) else ()
    return [edit_kind(edit), *(str(title)[:200] for title in list(titles)[:20])]
