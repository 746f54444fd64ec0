"""Budgets: how long a search may go on."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields

from ..errors import SearchError

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TERM = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_COUNT = re.compile(r"(\d+(?:\.\d+)?(?:e\+?\d+)?)([kmgt]?)(evaluations?|candidates?|epochs?|macs|multiply[-–]adds)?")
_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


@dataclass(slots=True)
class Spent:
    """What a search has used up so far."""

    seconds: float = 0.0
    evaluations: int = 0
    epochs: float = 0
    multiply_adds: float = 0.0


@dataclass(frozen=True, slots=True)
class Budget:
    """Seconds of work, a number of different candidates, epochs of training or multiply–adds of it: whichever comes first.

    >>> Budget.of("1h30m"), Budget.of(25)
    (Budget(seconds=5400.0), Budget(evaluations=25))
    >>> str(Budget.of("90s")), str(Budget.of("25")), str(Budget.of("20m, 500 epochs, 2e12 macs"))
    ('1m30s', '25', '20m, 500 epochs, 2000000000000 macs')
    """

    seconds: float | None = None
    evaluations: int | None = None
    epochs: int | None = None
    multiply_adds: float | None = None

    @staticmethod
    def of(value: str | int | float | Budget) -> Budget:
        """The budget that ``"60s"``, ``"20m"``, ``"1h30m"`` (time), ``25``, ``"25"``, ``"25 evaluations"`` (candidates),
        ``"500 epochs"``, ``"2e12 macs"``, or several of them between commas stand for.
        """
        if isinstance(value, Budget):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return Budget(evaluations=value)
        found: dict[str, float] = {}
        for part in value.split(",") if isinstance(value, str) else ():
            name, number = _read(part.strip().replace(" ", "")) or ("", 0.0)
            if not name or name in found or not 0 < number < math.inf:
                break
            found[name] = number
        else:
            if found:
                evaluations, epochs = (int(found[name]) if name in found else None for name in ("evaluations", "epochs"))
                if evaluations != 0 and epochs != 0:
                    return Budget(found.get("seconds"), evaluations, epochs, found.get("multiply_adds"))
        raise SearchError(
            f"budget {str(value)[:80]!r} cannot be read; write a time such as '60s', '20m' or '1h30m', a number of candidates "
            "such as 25, '500 epochs', '2e12 macs', or several between commas"
        )

    def __str__(self) -> str:
        parts = []
        if self.seconds is not None:
            parts.append(_time(self.seconds))
        if self.evaluations is not None:
            parts.append(str(self.evaluations))
        if self.epochs is not None:
            parts.append(f"{self.epochs} epochs")
        if self.multiply_adds is not None:
            parts.append(f"{self.multiply_adds:.15g} macs")
        return ", ".join(parts)

    def __repr__(self) -> str:
        given = [(f.name, getattr(self, f.name)) for f in fields(self)]
        return f"Budget({', '.join(f'{name}={value!r}' for name, value in given if value is not None)})"

    def spent(self, used: Spent) -> float:
        """The share of the budget that is used up; 1 or more when it is gone."""
        limits = (self.seconds, self.evaluations, self.epochs, self.multiply_adds)
        amounts = (used.seconds, used.evaluations, used.epochs, used.multiply_adds)
        return max((amount / limit for amount, limit in zip(amounts, limits) if limit is not None), default=0.0)


def _read(text: str) -> tuple[str, float] | None:
    """Name of a limit and its number; None for text that is none."""
    if not text.isascii():
        return None
    terms = _TERM.findall(text)
    if terms and "".join(number + unit for number, unit in terms) == text:
        return "seconds", sum(float(number) * _SECONDS[unit] for number, unit in terms)
    found = _COUNT.fullmatch(text.lower())
    if found is None:
        return None
    number = float(found[1]) * _FACTORS[found[2]]
    unit = (found[3] or "evaluations").rstrip("s")
    if unit in ("mac", "multiply-add"):
        return "multiply_adds", number
    return ("epochs" if unit == "epoch" else "evaluations"), min(number, 1e18) if number == int(min(number, 1e18)) else 0.0


def _time(seconds: float) -> str:
    whole = int(seconds)
    if whole != seconds or whole == 0:
        return f"{seconds:g}s" if seconds >= 0.001 else f"{seconds * 1000:g}ms"
    parts = ((whole // 3600, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count)
