"""Objectives and constraints: what a search is after, and what it must keep to."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import SearchError
from ..spaces.loading import whole_number

if TYPE_CHECKING:
    from ..graph.graph import Graph

#: What can be asked for, with what it is. All but the score are better when smaller.
MEASURES = {
    "score": "validation score: accuracy, or R² for regression",
    "params": "number of parameters",
    "flops": "floating-point operations of one sample, twice the multiply–adds",
    "macs": "multiply–adds of one sample",
    "activations": "elements of all values of one sample",
    "latency": "seconds of a forward pass of one sample on this machine, measured",
    "memory": "peak bytes of a forward pass of one sample, measured",
    "seconds": "seconds of its training",
}
#: Those that only a measurement of the network on a machine gives.
MEASURED = ("latency", "memory")
#: Those that a graph has by itself, before anything is trained.
STATIC = ("params", "flops", "macs", "activations")


def check_measure(name: str, what: str = "objective") -> str:
    """``name`` if there is such a measure; `SearchError` lists what exists."""
    if name not in MEASURES:
        near = difflib.get_close_matches(str(name), MEASURES, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SearchError(f"unknown {what} {str(name)[:80]!r}; {hint}there is: {', '.join(MEASURES)}")
    return name


def read_objectives(given: str | Sequence[str]) -> tuple[str, ...]:
    """Names of measures, from a list or from text such as ``"score, flops"``.

    >>> read_objectives("score, latency")
    ('score', 'latency')
    """
    names = [name.strip() for name in given.split(",")] if isinstance(given, str) else list(given)
    found = tuple(check_measure(name) for name in names)
    if not found or len(set(found)) < len(found):
        raise SearchError(f"objectives {given!r}; expected different names of: {', '.join(MEASURES)}")
    return found


def static_measure(graph: Graph, name: str) -> float:
    """A measure that a graph has by itself."""
    values = {"params": graph.num_params, "flops": graph.flops, "macs": graph.flops / 2, "activations": graph.activations}
    return float(values[name])


_NUMBER = r"[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?"
_TEXT = re.compile(
    rf"\s*(?P<name>\w+)\s*(?P<sign><=|>=|<|>|≤|≥)\s*(?:(?P<start>start)\s*(?P<shift>[-+]\s*{_NUMBER})?|"
    rf"(?P<number>{_NUMBER})\s*(?P<unit>%|[x×]|ms|us|s|[kKmMgG]?))\s*"
)
_UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "k": 1e3, "m": 1e6, "g": 1e9}


@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound on a measure: a number, or relative to the network that the search started from.

    ``factor`` × the start's value + ``number``, at most that (``most``) or at least that.

    >>> Constraint.of("flops <= 50%"), str(Constraint.of("score >= start - 0.01"))
    (Constraint(name='flops', most=True, number=0.0, factor=0.5), 'score >= start-0.01')
    >>> Constraint.of("flops <= 0.5x") == Constraint.of("flops <= 50%")
    True
    >>> str(Constraint.of("macs < 5M")), Constraint.of("latency <= 2ms").number
    ('macs <= 5000000', 0.002)
    """

    name: str
    most: bool
    number: float = 0.0
    factor: float = 0.0

    @staticmethod
    def of(text: str | Constraint) -> Constraint:
        """The constraint that text such as ``"params <= 200k"``, ``"flops <= 50%"``, ``"score >= start - 0.01"`` means."""
        if isinstance(text, Constraint):
            return text
        found = _TEXT.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise SearchError(
                f"constraint {str(text)[:120]!r} cannot be read; write one such as 'params <= 200k', 'flops <= 50%' "
                "(of the network that the search starts from), 'latency <= 2ms' or 'score >= start - 0.01'"
            )
        name, most = check_measure(found["name"], "measure"), found["sign"] in ("<=", "<", "≤")
        if found["start"]:
            return Constraint(name, most, float((found["shift"] or "0").replace(" ", "")), 1.0)
        number, unit = float(found["number"]), found["unit"]
        if unit in ("%", "x", "×"):
            return Constraint(name, most, 0.0, number / 100 if unit == "%" else number)
        return Constraint(name, most, number * _UNITS[unit if unit in _UNITS else unit.lower()])

    @property
    def is_relative(self) -> bool:
        """Whether it speaks of the network that the search started from."""
        return self.factor != 0

    def bound(self, start: float | None) -> float:
        """The bound as a number; ``start`` is the value of the network that the search started from."""
        return self.number + (self.factor * start if self.is_relative and start is not None else 0.0)

    def holds(self, value: float | None, start: float | None = None) -> bool:
        """Whether a value is within the bound; where it is relative to what is not known yet, it is."""
        if self.is_relative and start is None:
            return True
        if value is None:
            return False
        bound = self.bound(start)
        slack = 1e-9 * abs(bound)
        return value <= bound + slack if self.most else value >= bound - slack

    def __str__(self) -> str:
        sign = "<=" if self.most else ">="
        if self.factor == 1 and (self.number or self.name == "score"):
            return f"{self.name} {sign} start{f'{self.number:+.12g}' if self.number else ''}"
        return f"{self.name} {sign} {f'{100 * self.factor:.12g}%' if self.is_relative else f'{self.number:.12g}'}"


def read_constraints(given: str | Constraint | Iterable[str | Constraint] | None) -> tuple[Constraint, ...]:
    """Constraints from text (several between commas), from a list, or none."""
    if given is None:
        return ()
    parts = [given] if isinstance(given, Constraint) else given.split(",") if isinstance(given, str) else list(given)
    return tuple(Constraint.of(part) for part in parts if part != "")


def caps_of(space: object) -> tuple[Constraint, ...]:
    """The caps that a space keeps to, as constraints on what is made of its members."""
    caps = {"max_params": "params", "max_flops": "flops", "max_macs": "macs"}
    found = [(name, getattr(space, cap, None)) for cap, name in caps.items()]
    return tuple(Constraint(name, True, float(most)) for name, most in found if isinstance(most, int | float) and most > 0)


def cap(text: str | int | float, name: str) -> Constraint:
    """The constraint of a flag such as ``--max-params 200k`` or ``--max-flops 50%``."""
    if isinstance(text, str) and text.strip().endswith("%"):
        return Constraint.of(f"{name} <= {text}")
    try:
        return Constraint(name, True, float(whole_number(text) if isinstance(text, str) else text))
    except ValueError as error:
        raise SearchError(f"max_{name} = {text!r}: {error}, or a share such as '50%' of what the search starts from") from None
