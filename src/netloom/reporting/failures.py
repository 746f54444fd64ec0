"""Failures that are alike, together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .summary import Evaluation, Summary

#: What differs between messages of one cause: addresses, numbers, names in hashes.
_PARTICULAR = re.compile(r"0x[0-9a-fA-F]+|nl1:[0-9a-f]+|\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Failures:
    """Evaluations that ended without a score in one way: ``status``, and ``message``, the line that says why, of the first.

    ``traceback`` is all that the first one said; ``seconds`` is the time that all of them took.
    """

    status: str
    message: str
    traceback: str
    evaluations: tuple[Evaluation, ...]

    @property
    def seconds(self) -> float:
        return sum(evaluation.seconds for evaluation in self.evaluations)


def grouped_failures(summary: Summary) -> tuple[Failures, ...]:
    """The failures of a run, the most frequent first; messages that differ in numbers alone are one."""
    found: dict[tuple[str, str], list[Evaluation]] = {}
    for evaluation in summary.evaluations:
        if evaluation.score is None:
            key = (evaluation.status, _PARTICULAR.sub("#", reason(evaluation.error)))
            found.setdefault(key, []).append(evaluation)
    made = [
        Failures(status, reason(members[0].error), members[0].error, tuple(members)) for (status, _), members in found.items()
    ]
    return tuple(sorted(made, key=lambda failures: -len(failures.evaluations)))


def reason(error: str) -> str:
    """The line of an error that says why: the last one of a traceback, else the first.

    >>> reason("Traceback (most recent call last):\\n  File …\\nValueError: too small\\n"), reason("killed\\nby the kernel")
    ('ValueError: too small', 'killed')
    """
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    if not lines:
        return ""
    start = next((i for i, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")), None)
    return lines[-1] if start == 0 else lines[0]
