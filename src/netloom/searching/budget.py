"""Budgets: how long a search may go on."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ..errors import SearchError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TERM = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")


@dataclass(frozen=True, slots=True)
class Budget:
    """Seconds of work, or a number of different candidates; exactly one of the two.

    >>> Budget.of("1h30m"), Budget.of(25)
    (Budget(seconds=5400.0, evaluations=None), Budget(seconds=None, evaluations=25))
    >>> str(Budget.of("90s")), str(Budget.of("25"))
    ('1m30s', '25')
    """

    seconds: float | None = None
    evaluations: int | None = None

    @staticmethod
    def of(value: str | int | float | Budget) -> Budget:
        """The budget that ``"60s"``, ``"20m"``, ``"1h30m"`` (time) or ``25``, ``"25"`` (candidates) stands for."""
        if isinstance(value, Budget):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return Budget(evaluations=value)
        if isinstance(value, str):
            text = value.strip().replace(" ", "")
            if text.isascii() and text.isdigit() and 0 < int(text[:18]):
                return Budget(evaluations=int(text[:18]))
            terms = _TERM.findall(text)
            if terms and "".join(number + unit for number, unit in terms) == text:
                seconds = sum(float(number) * _UNITS[unit] for number, unit in terms)
                if 0 < seconds < math.inf:
                    return Budget(seconds=seconds)
        raise SearchError(
            f"budget {value!r} cannot be read; write a time such as '60s', '20m' or '1h30m', "
            f"or a number of candidates such as 25"
        )

    def __str__(self) -> str:
        if self.seconds is None:
            return str(self.evaluations)
        whole = int(self.seconds)
        if whole != self.seconds or whole == 0:
            return f"{self.seconds:g}s" if self.seconds >= 0.001 else f"{self.seconds * 1000:g}ms"
        parts = ((whole // 3600, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
        return "".join(f"{count}{unit}" for count, unit in parts if count)

    def spent(self, seconds: float, evaluations: int) -> float:
        """The share of the budget that is used up; 1 or more when it is gone."""
        if self.seconds is not None:
            return seconds / self.seconds
        return evaluations / (self.evaluations or 1)
