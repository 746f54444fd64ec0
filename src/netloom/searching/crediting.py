"""`Credits`: which of several parts of a search pays, and how the budget follows it."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy

#: A candidate pays when it is among this share of the latest results, of which so many are remembered.
_TOP, _LATEST = 0.2, 50


class Paying:
    """Whether a result is among the best fifth of the latest 50: what a part of a search is paid for.

    Nothing but the order of scores counts, so that no scale needs to be known. Failures never pay.

    >>> paying = Paying()
    >>> [paying.of(score) for score in (0.5, 0.6, 0.4, None, 0.7)]
    [True, True, False, False, True]
    """

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=_LATEST)

    def of(self, score: float | None) -> bool:
        """Take in a score, None for a failure, and say whether it pays."""
        if score is None:
            return False
        ordered = sorted(self._latest)
        better = len(ordered) - bisect.bisect_right(ordered, score)
        self._latest.append(score)
        return better < max(1.0, _TOP * (len(ordered) + 1))


class Credits:
    """A bandit over names: each is drawn as often as it is likely to be the one that pays most.

    What is believed of a name is a beta distribution over what it was paid; of late results count most (half the weight after
    ``memory`` of them). Every name keeps a chance of ``floor``, for what does not pay at first may pay later.

    Source: W. Thompson, "On the Likelihood that One Unknown Probability Exceeds Another", 1933.

    >>> import numpy as np
    >>> credits, rng = Credits(floor=0.1), np.random.default_rng(0)
    >>> for _ in range(40):
    ...     credits.tell("mutation", True); credits.tell("space", False)
    >>> drawn = [credits.choose(("space", "mutation"), rng) for _ in range(200)]
    >>> 10 <= drawn.count("space") <= 40
    True
    """

    def __init__(self, *, floor: float = 0.1, memory: int = 40) -> None:
        self.floor, self._kept = floor, 0.5 ** (1 / memory)
        self._paid: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def tell(self, name: str, paid: float, weight: float = 1.0) -> None:
        """A result of a part: ``paid`` from 0 to 1; it counts as ``weight`` results."""
        for counts in (self._paid, self._told):
            for known in counts:
                counts[known] *= self._kept
        self._paid[name] = self._paid.get(name, 0.0) + weight * paid
        self._told[name] = self._told.get(name, 0.0) + weight

    def believed(self, name: str) -> tuple[float, float]:
        """The two numbers of the beta distribution of what a part pays."""
        paid, told = self._paid.get(name, 0.0), self._told.get(name, 0.0)
        return 1.0 + paid, 1.0 + told - paid

    def choose(
        self, names: Sequence[str], rng: numpy.random.Generator, costs: Mapping[str, float] | None = None
    ) -> str:  # fmt: skip
        """One of ``names``: with chance ``floor`` each by itself, else by Thompson sampling.

        With ``costs`` of a candidate, it is what is paid for the cost that counts.
        """
        if len(names) == 1:
            return names[0]
        if rng.random() < self.floor * len(names):
            return names[int(rng.integers(len(names)))]
        costs = costs or {}
        drawn = [float(rng.beta(*self.believed(name))) / costs.get(name, 1.0) for name in names]
        return names[drawn.index(max(drawn))]
