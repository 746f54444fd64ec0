"""Selection: which of a population become parents.

The schemes of NaiveGAflux as values: `Elite`, `Tournament`, `StochasticUniversal`, and several joined in `Combined`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..errors import SearchError
from .value_text import read_values, write_value

if TYPE_CHECKING:
    import numpy


class Selection(ABC):
    """A scheme that chooses parents by fitness."""

    #: The name by which text finds it.
    name: ClassVar[str]
    #: How many it takes where several schemes are joined; None for the rest.
    n: int | None

    @abstractmethod
    def choose(self, fitness: Sequence[float], count: int, rng: numpy.random.Generator) -> list[int]:
        """``count`` places in ``fitness`` (N,), higher is better; a place may come up several times."""

    @property
    def spec(self) -> str:
        """The text that `read_selection` makes it from."""
        return write_value(self, self.name)

    def _checked(self, **numbers: float | None) -> None:
        for name, value in numbers.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise SearchError(f"selection {self.name}: {name} = {value!r}; expected an integer ≥ 1")


@dataclass(frozen=True, slots=True)
class Elite(Selection):
    """The best ones, each once; from the best again where more are wanted than there are.

    >>> import numpy as np
    >>> Elite().choose([3, 7, 4, 5, 9, 0], 3, np.random.default_rng(0))
    [4, 1, 3]
    """

    n: int | None = None
    name: ClassVar[str] = "elite"

    def __post_init__(self) -> None:
        self._checked(n=self.n)

    def choose(self, fitness: Sequence[float], count: int, rng: numpy.random.Generator) -> list[int]:
        ordered = sorted(range(len(fitness)), key=lambda i: -fitness[i])
        return [ordered[i % len(ordered)] for i in range(count)] if ordered else []


@dataclass(frozen=True, slots=True)
class Tournament(Selection):
    """The winner of each of ``count`` random groups of ``size``: the best with chance ``p``, else the next one with it, ….

    All take part in as equally many groups as the numbers allow.

    Source: B. Miller and D. Goldberg, "Genetic Algorithms, Tournament Selection, and the Effects of Noise", 1995.

    >>> import numpy as np
    >>> Tournament(size=6).choose([3, 7, 4, 5, 9, 0], 1, np.random.default_rng(0))
    [4]
    """

    size: int = 2
    p: float = 1.0
    n: int | None = None
    name: ClassVar[str] = "tournament"

    def __post_init__(self) -> None:
        self._checked(size=self.size, n=self.n)
        if not 0 < self.p <= 1:
            raise SearchError(f"selection tournament: p = {self.p!r}; expected a chance in (0, 1]")

    def choose(self, fitness: Sequence[float], count: int, rng: numpy.random.Generator) -> list[int]:
        if not len(fitness):
            return []
        entries = _evenly(len(fitness), count * self.size, rng)
        chosen = []
        for start in range(0, len(entries), self.size):
            group = sorted(entries[start : start + self.size], key=lambda i: -fitness[i])
            place = 0
            while self.p < 1 and place < len(group) - 1 and rng.random() >= self.p:
                place += 1
            chosen.append(group[place])
        return chosen


def _evenly(population: int, entries: int, rng: numpy.random.Generator) -> list[int]:
    """Places drawn as equally often as can be: a part of one shuffle, then whole ones."""
    whole, rest = divmod(entries, population)
    found = [int(i) for i in rng.permutation(population)][:rest]
    for _ in range(whole):
        found += [int(i) for i in rng.permutation(population)]
    return found


@dataclass(frozen=True, slots=True)
class StochasticUniversal(Selection):
    """Places as often as their share of the total fitness has it, by equally spaced pointers with one random start.

    Where some fitness is negative, the lowest counts as zero.

    Source: J. Baker, "Reducing Bias and Inefficiency in the Selection Algorithm", ICGA 1987.

    >>> import numpy as np
    >>> StochasticUniversal().choose([1.0, 0.0, 3.0], 4, np.random.default_rng(0))
    [0, 2, 2, 2]
    """

    n: int | None = None
    name: ClassVar[str] = "sus"

    def __post_init__(self) -> None:
        self._checked(n=self.n)

    def choose(self, fitness: Sequence[float], count: int, rng: numpy.random.Generator) -> list[int]:
        import numpy as np

        if not len(fitness) or count < 1:
            return []
        shares = np.asarray(fitness, dtype=float)
        shares = shares - min(shares.min(), 0.0)
        if not shares.sum() > 0:
            shares = np.ones(len(shares))
        spacing = shares.sum() / count
        pointers = spacing * (float(rng.random()) + np.arange(count))
        return [int(i) for i in np.minimum(np.searchsorted(np.cumsum(shares), pointers, side="right"), len(shares) - 1)]


@dataclass(frozen=True, init=False)
class Combined(Selection):
    """Several schemes, one after the other: each takes its ``n``, the one without a number what is left.

    >>> import numpy as np
    >>> Combined(Elite(1), Tournament(size=5)).choose([3, 7, 4, 5, 9, 0], 2, np.random.default_rng(0))
    [4, 4]
    """

    parts: tuple[Selection, ...]
    n: int | None
    name: ClassVar[str] = ""

    def __init__(self, *parts: Selection) -> None:
        if not parts or not all(isinstance(part, Selection) for part in parts):
            raise SearchError(f"Combined{parts!r}; expected schemes such as Combined(Elite(2), Tournament(3))")
        open_ended = [part for part in parts if part.n is None]
        if len(open_ended) > 1:
            raise SearchError(f"selection {'+'.join(p.spec for p in parts)}: all but one need a number n of their own")
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "n", None if open_ended else sum(part.n or 0 for part in parts))

    @property
    def spec(self) -> str:
        return "+".join(part.spec for part in self.parts) if all(part.spec for part in self.parts) else ""

    def choose(self, fitness: Sequence[float], count: int, rng: numpy.random.Generator) -> list[int]:
        fixed = sum(part.n or 0 for part in self.parts)
        chosen: list[int] = []
        for i, part in enumerate(self.parts):
            last = i == len(self.parts) - 1 and self.n is not None
            wanted = count - len(chosen) if last else part.n if part.n is not None else count - fixed
            chosen += part.choose(fitness, min(max(wanted, 0), count - len(chosen)), rng)
        return chosen


#: Name → scheme.
SELECTIONS: dict[str, type[Selection]] = {kind.name: kind for kind in (Tournament, Elite, StochasticUniversal)}


def read_selection(given: str | Selection) -> Selection:
    """The scheme that text such as ``"tournament"``, ``"sus"`` or ``"elite(2)+tournament(size=3)"`` means, or itself.

    >>> read_selection("elite(2)+tournament(3)").spec
    'elite(n=2)+tournament(size=3)'
    """
    if isinstance(given, Selection):
        return given
    if not isinstance(given, str):
        raise SearchError(f"selection = {given!r}; expected a scheme such as 'tournament', or netloom.searching.Tournament(…)")
    parts = read_values(given, SELECTIONS, "selection")
    return parts[0] if len(parts) == 1 else Combined(*parts)
