"""Caps on the cost of networks, and how a space keeps them: draw again, then make the last draw smaller."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..errors import SpaceError

T = TypeVar("T")

#: Samples that are drawn in vain before one of them is made smaller instead.
MOST_TRIES = 100
CAPS = ("max_params", "max_macs", "max_flops")


@dataclass(frozen=True, slots=True)
class Caps:
    """The most parameters and multiply–accumulates that a network may have; infinite where there is no cap.

    >>> caps = Caps.of("mlp", max_params=1000, max_flops=4000)
    >>> caps, caps.excess(2000, 1000)
    (Caps(num_params=1000, macs=2000), 2.0)
    """

    num_params: float = math.inf
    macs: float = math.inf

    @staticmethod
    def of(
        space: str, max_params: float | None = None, max_macs: float | None = None, max_flops: float | None = None
    ) -> Caps:
        """The caps in a space's settings, FLOPs being twice multiply–accumulates; `SpaceError` for what is no number ≥ 0."""
        found = []
        for name, value in zip(CAPS, (max_params, max_macs, max_flops)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0):
                raise SpaceError(f"{space} space: {name} = {value!r}; expected a number ≥ 0, or None for no cap")
            found.append(math.inf if value is None else value)
        return Caps(found[0], min(found[1], found[2] // 2 if found[2] < math.inf else math.inf))

    def excess(self, num_params: float, macs: float) -> float:
        """By how many times the cap that is broken most is exceeded; 1 or less within the caps."""
        return max(num_params / max(self.num_params, 1e-9), macs / max(self.macs, 1e-9))


def check_possible(space: str, settings: object, candidates: Sequence[tuple[int, int, str]]) -> None:
    """`SpaceError` where caps in the ``settings`` admit nothing: names the cap, and the least that a network costs.

    ``candidates`` are (parameters, multiply–accumulates, description) of the smallest networks: for every network of the
    space there is one that costs no more in either.
    """
    lists = ([c[0] for c in candidates], [c[1] for c in candidates], [2 * c[1] for c in candidates])
    given = {name: cap for name in CAPS if (cap := getattr(settings, name)) is not None}
    for name, costs in zip(CAPS, lists):
        least = min(costs)
        if least > given.get(name, math.inf):
            which = candidates[costs.index(least)][2]
            refused = f"{space} space: {name} = {given[name]:,} admits no network"
            raise SpaceError(f"{refused}: the smallest has {least:,} ({which}); raise the cap")
    caps = Caps.of(space, **given)
    if all(caps.excess(num_params, macs) > 1 for num_params, macs, _ in candidates):
        shown = " or ".join(f"{p:,} parameters and {m:,} multiply–accumulates ({which})" for p, m, which in candidates)
        refused = f"{space} space: {' and '.join(given)} together admit no network"
        raise SpaceError(f"{refused}: the smallest have {shown}; raise one")


def shrunk(start: T, changes: Callable[[T], Iterable[T]], excess: Callable[[T], float], fallback: T) -> T:
    """Something like ``start`` whose excess is 1 or less: again and again the change that brings it furthest.

    Gives ``fallback`` where no change helps any more.
    """
    current, beyond = start, excess(start)
    while beyond > 1:
        tried = ((excess(changed), i, changed) for i, changed in enumerate(changes(current)))
        best = min(tried, default=None, key=lambda change: change[:2])
        if best is None or best[0] >= beyond:
            return fallback
        beyond, _, current = best
    return current
