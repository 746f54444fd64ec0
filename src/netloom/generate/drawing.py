"""Drawing from a generator: sequences are written until enough of them are new networks within the caps."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError, GeneratorError, NetloomError

if TYPE_CHECKING:
    from ..encode.robust import Sequences
    from ..graph.graph import Graph
    from .families import Family

Array = np.ndarray[Any, Any]

#: Sequences that are written at once, at least and at most.
_AT_ONCE = (64, 1024)
#: Where less than this share of what was written is new, the temperature rises by this factor, up to that.
_STALE, _WARMER, _HOTTEST = 0.25, 1.2, 3.0
#: Where less than this share is new and there are enough, no more are looked for to screen.
_EXHAUSTED = 0.05
#: Sequences that may be written for each network looked for, and beyond.
_PER_NETWORK, _BEYOND = 20, 1000

#: Sequences of token numbers: so many of them, at a temperature.
Write = Callable[[int, float], list[list[int]]]


def check_caps(max_params: Any, max_flops: Any) -> None:
    """`GeneratorError` for caps that are no numbers."""
    for name, cap in (("max_params", max_params), ("max_flops", max_flops)):
        if cap is not None and (isinstance(cap, bool) or not isinstance(cap, int | float) or not cap >= 0):
            raise GeneratorError(f"{name} = {cap!r}; expected a number ≥ 0, or None for no cap")


@dataclass(frozen=True, slots=True)
class Wish:
    """``n`` networks that score ``score`` (None: as high as can be), within caps, none of ``exclude``, no two alike."""

    n: int
    score: float | None = None
    max_params: float | None = None
    max_flops: float | None = None
    exclude: Collection[str] = ()
    distinct: bool = True
    temperature: float = 0.8
    screen: int = 1
    most_attempts: int | None = None

    def __post_init__(self) -> None:
        for name, value, least in (("n", self.n, 1), ("screen", self.screen, 1), ("most_attempts", self.most_attempts, 1)):
            if value is not None and (type(value) is not int or value < least):
                raise GeneratorError(f"{name} = {value!r}; expected an integer ≥ {least}")
        check_caps(self.max_params, self.max_flops)
        if self.score is not None and not math.isfinite(self.score):
            raise GeneratorError(f"score = {self.score!r}; expected a number, or None for as high as can be")
        if isinstance(self.temperature, bool) or not 0 < self.temperature < math.inf:
            raise GeneratorError(f"temperature = {self.temperature!r}; expected a number above 0 (1 is as learned)")

    @property
    def is_capped(self) -> bool:
        return self.max_params is not None or self.max_flops is not None

    @property
    def attempts(self) -> int:
        """The most sequences that are written."""
        return self.most_attempts or _PER_NETWORK * self.n * self.screen + _BEYOND

    def fits(self, graph: Graph) -> bool:
        """Whether a network is within the caps."""
        params, flops = self.max_params, self.max_flops
        return (params is None or graph.num_params <= params) and (flops is None or graph.flops <= flops)


@dataclass(slots=True)
class Draws:
    """Networks from a generator, those that suit best first, with the score (N,) that its predictor expects (NaN without one).

    ``tried`` sequences were written, of which ``repeated`` gave nothing new, ``too_large`` exceeded a cap and could not be made
    smaller, and ``outside`` are no members of the space. ``least`` has the fewest parameters and FLOPs that were seen.
    """

    graphs: list[Graph] = field(default_factory=list)
    predicted: Array = field(default_factory=lambda: np.zeros(0))
    wish: Wish = field(default_factory=lambda: Wish(1))
    tried: int = 0
    repeated: int = 0
    too_large: int = 0
    outside: int = 0
    least: tuple[float, float] = (math.inf, math.inf)

    @property
    def is_short(self) -> bool:
        """Whether there are fewer than were asked for."""
        return len(self.graphs) < self.wish.n

    @property
    def acceptance_rate(self) -> float:
        """The share of sequences that gave a network to choose from."""
        return 1 - (self.repeated + self.too_large + self.outside) / self.tried if self.tried else 0.0

    def shortage(self) -> str:
        """Why there are too few, and what would help."""
        wish, reasons, mends = self.wish, [], ["ask for fewer"]
        if self.repeated:
            reasons.append(f"{self.repeated:,} gave a network that was there or is excluded")
            mends.append("raise the temperature")
        if self.too_large:
            caps = {"max_params": wish.max_params, "max_flops": wish.max_flops}
            shown = " and ".join(f"{name} = {cap:,.0f}" for name, cap in caps.items() if cap is not None)
            reasons.append(
                f"{self.too_large:,} exceed {shown} (the smallest seen has {self.least[0]:,.0f} parameters, the cheapest "
                f"{self.least[1]:,.0f} FLOPs)"
            )
            mends.append("raise the caps")
        if self.outside:
            reasons.append(f"{self.outside:,} are no members of the space")
        return (
            f"{len(self.graphs):,} of {wish.n:,} networks came of {self.tried:,} sequences: {', '.join(reasons)}; "
            f"{', '.join(mends)}, or give most_attempts"
        )


def draw(family: Family, wish: Wish, write: Write) -> Draws:
    """Networks to choose from, ``wish.screen`` for each that is asked for where there are so many."""
    capped = _capped(family, wish)
    found = Draws(wish=wish)
    wanted, temperature = wish.n * wish.screen, wish.temperature
    seen: set[tuple[int, ...]] = set()
    known = set(wish.exclude)
    while len(found.graphs) < wanted and found.tried < wish.attempts:
        missing = wanted - len(found.graphs)
        count = min(max(missing + missing // 4, _AT_ONCE[0]), _AT_ONCE[1], wish.attempts - found.tried)
        before = len(found.graphs)
        for sequence in write(count, temperature):
            if len(found.graphs) < wanted:
                _take(sequence, family, capped, wish, found, seen, known)
        new = (len(found.graphs) - before) / count
        if new < _STALE:
            temperature = min(temperature * _WARMER, max(_HOTTEST, wish.temperature))
        if new < _EXHAUSTED and len(found.graphs) >= wish.n:
            break
    return found


def _take(
    sequence: list[int], family: Family, capped: Sequences | None, wish: Wish, found: Draws, seen: set[tuple[int, ...]],
    known: set[str],
) -> None:  # fmt: skip
    """Take in the network of a sequence, or count why not."""
    found.tried += 1
    key = tuple(sequence)
    if wish.distinct and key in seen:
        found.repeated += 1
        return
    seen.add(key)
    graph = family.notation.decode(sequence)
    found.least = (min(found.least[0], graph.num_params), min(found.least[1], graph.flops))
    if not wish.fits(graph):
        if capped is not None:
            graph = capped.decode(sequence)
        if not wish.fits(graph):
            found.too_large += 1
            return
    if (wish.distinct or known) and graph.hash in known:
        found.repeated += 1
        return
    if not _is_member(family, graph):
        found.outside += 1
        return
    if wish.distinct:
        known.add(graph.hash)
    found.graphs.append(graph)


def _is_member(family: Family, graph: Graph) -> bool:
    try:
        return family.contains(graph)
    except NetloomError:  # a space that cannot tell
        return False


def _capped(family: Family, wish: Wish) -> Sequences | None:
    """The notation whose networks keep the caps; None where there is none, or no cap."""
    if not wish.is_capped:
        return None
    try:
        return family.within(wish.max_params, wish.max_flops)
    except FormatError:
        raise
    except NetloomError as error:
        raise GeneratorError(f"no network keeps the caps: {error}") from None
