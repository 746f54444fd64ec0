"""Choices of a sampler: from what each is drawn, and `Choose`, through which a function asks for them.

How an answer comes about (drawn, replayed, mutated, counted through) is the asker's business: `Choose` takes a function
from (name, domain) to a value, checks it, and writes it down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import SpaceError

if TYPE_CHECKING:
    import numpy


#: The largest integers that floats hold exactly: integers are drawn by way of a float.
_EXACT = 2**53


def same(a: Any, b: Any) -> bool:
    """Equal and of one type: 1, 1.0 and True are different options."""
    return type(a) is type(b) and bool(a == b)


# -- domains -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Options:
    """Some values, equally likely or with ``probabilities``."""

    values: tuple[Any, ...]
    probabilities: tuple[float, ...] | None = None

    def __contains__(self, value: object) -> bool:
        return any(same(value, option) for option in self.values)

    def draw(self, rng: numpy.random.Generator, other_than: Any = None) -> Any:
        """One of the values; not ``other_than`` where that is given as a tuple of one."""
        weights = self.probabilities or (1.0,) * len(self.values)
        open_to = [(v, w) for v, w in zip(self.values, weights) if other_than is None or not same(v, other_than[0])]
        place = rng.random() * sum(weight for _, weight in open_to)
        for value, weight in open_to:
            place -= weight
            if place < 0:
                return value
        return [value for value, weight in open_to if weight > 0][-1]

    @property
    def possible(self) -> tuple[Any, ...]:
        """The values that can be drawn, in order, without repeats."""
        found: list[Any] = []
        for value, weight in zip(self.values, self.probabilities or (1.0,) * len(self.values)):
            if weight > 0 and not any(same(value, other) for other in found):
                found.append(value)
        return tuple(found)

    def __str__(self) -> str:
        shown = ", ".join(map(repr, self.values[:12]))
        return f"one of {shown}" + (", …" if len(self.values) > 12 else "")


@dataclass(frozen=True, slots=True)
class Integers:
    """The integers from ``low`` to ``high``, both included; evenly, or on a logarithmic scale."""

    low: int
    high: int
    log: bool = False

    def __contains__(self, value: object) -> bool:
        return type(value) is int and self.low <= value <= self.high

    def draw(self, rng: numpy.random.Generator, other_than: Any = None) -> int:
        """One of them; not ``other_than`` where that is given as a tuple of one."""
        while True:
            number = rng.random()
            if self.log:
                low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
                value = min(max(round(math.exp(low + number * (high - low))), self.low), self.high)
            else:
                value = self.low + int(number * (self.high - self.low + 1))
            if other_than is None or value != other_than[0]:
                return value

    @property
    def possible(self) -> range:
        """The values that can be drawn, in order."""
        return range(self.low, self.high + 1)

    def __str__(self) -> str:
        return f"an integer from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Reals:
    """The numbers from ``low`` to ``high``; evenly, or on a logarithmic scale."""

    low: float
    high: float
    log: bool = False

    def __contains__(self, value: object) -> bool:
        return type(value) is float and self.low <= value <= self.high

    def draw(self, rng: numpy.random.Generator, other_than: Any = None) -> float:
        """One of them; ``other_than`` hardly ever comes up."""
        number = rng.random()
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return min(max(math.exp(low + number * (high - low)), self.low), self.high)
        return self.low + number * (self.high - self.low)

    @property
    def possible(self) -> None:
        """None: there are too many to list."""
        return None

    def __str__(self) -> str:
        return f"a float from {self.low:g} to {self.high:g}"


Domain = Options | Integers | Reals


def can_change(domain: Domain) -> bool:
    """Whether the domain has two values or more to draw from."""
    possible = domain.possible
    return domain.low < domain.high if possible is None and isinstance(domain, Reals) else len(possible or ()) > 1


# -- asking ------------------------------------------------------------------------------------------------------------
class Rejected(Exception):
    """What `Choose.reject` raises: these choices make no network of the space."""


class Choose:
    """What a sampler is called with: every call gives the value of one choice.

    Names must differ within a run (``f"width{i}"`` in loops); a choice may depend on those before it.
    """

    __slots__ = ("_decide", "domains", "values")

    def __init__(self, decide: Callable[[str, Domain], Any]) -> None:
        self._decide = decide
        #: What has been asked for so far, and the answers.
        self.domains: dict[str, Domain] = {}
        self.values: dict[str, Any] = {}

    def __call__(self, name: str, options: Iterable[Any], probabilities: Sequence[float] | None = None) -> Any:
        """One of ``options``, equally likely or with ``probabilities`` (numbers ≥ 0, which need not add up to 1)."""
        if isinstance(options, Set):
            raise SpaceError(f"choice {name!r}: the options are a set, which has no order that seeds could keep; give a list")
        # numpy's own numbers, as np.arange gives them, are no plain data; what they stand for is.
        values = tuple(value.item() if type(value).__module__ == "numpy" else value for value in options)
        if not values:
            raise SpaceError(f"choice {name!r} has no options; give at least one")
        weights = None if probabilities is None else tuple(float(p) for p in probabilities)
        if weights is not None:
            if len(weights) != len(values):
                raise SpaceError(f"choice {name!r}: {len(values)} options and {len(weights)} probabilities; give one for each")
            if not all(0 <= weight < math.inf for weight in weights) or not sum(weights) > 0:
                raise SpaceError(f"choice {name!r}: probabilities {weights}; expected numbers ≥ 0, not all of them 0")
        return self._ask(name, Options(values, weights))

    def integer(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """An integer from ``low`` to ``high``, both included; ``log=True``: on a logarithmic scale (``low`` ≥ 1)."""
        for bound in (low, high):
            if isinstance(bound, bool) or not hasattr(bound, "__index__"):
                raise SpaceError(f"choice {name!r}: bounds {low!r} and {high!r}; expected integers, or use choose.uniform")
        low, high = low.__index__(), high.__index__()
        if max(abs(low), abs(high)) > _EXACT:
            raise SpaceError(f"choice {name!r}: bounds {low} and {high}; expected integers of at most 2**53 in size")
        _check_bounds(name, low, high, 1 if log else None)
        value: int = self._ask(name, Integers(low, high, log))
        return value

    def uniform(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A float from ``low`` to ``high``; ``log=True``: on a logarithmic scale (``low`` > 0)."""
        try:
            low, high = float(low), float(high)
        except (TypeError, ValueError):
            raise SpaceError(f"choice {name!r}: bounds {low!r} and {high!r}; expected numbers") from None
        _check_bounds(name, low, high, math.ulp(0.0) if log else None)
        value: float = self._ask(name, Reals(low, high, log))
        return value

    def reject(self, reason: str = "") -> NoReturn:
        """Say that these choices make no network of the space: samples are drawn again, enumeration passes on."""
        raise Rejected(reason)

    def _ask(self, name: str, domain: Domain) -> Any:
        if not isinstance(name, str) or not name:
            raise SpaceError(f"the name of a choice is {name!r}; expected a string such as 'width'")
        if name in self.values:
            raise SpaceError(f"choice {name!r} is asked for twice; give each its own name, such as f'{name}{{i}}' in a loop")
        value = self._decide(name, domain)
        self.domains[name], self.values[name] = domain, value
        return value


def _check_bounds(name: str, low: float, high: float, least: float | None) -> None:
    if not -math.inf < low <= high < math.inf:
        raise SpaceError(f"choice {name!r}: bounds {low} and {high}; expected finite numbers, the lower one first")
    if least is not None and low < least:
        expected = "≥ 1" if least == 1 else "> 0"
        raise SpaceError(f"choice {name!r}: lower bound {low} on a logarithmic scale; expected {expected}")
