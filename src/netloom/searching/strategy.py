"""Strategies: what to try next."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..errors import SearchError

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph
    from ..spaces import Space


@runtime_checkable
class Strategy(Protocol):
    """Proposes graphs and learns what became of them.

    The loop asks with ask index 0, 1, 2, … and a generator that depends on the search's seed and that index alone. A
    strategy keeps no randomness of its own: then a search that was killed comes back to where it was by telling a new
    strategy, in the old order, what the store remembers.
    """

    def ask(self, index: int, rng: numpy.random.Generator) -> Graph:
        """The candidate number ``index``. Results of earlier ones may still be missing: candidates run side by side."""
        ...

    def tell(self, index: int, graph: Graph, score: float | None) -> None:
        """What the candidate number ``index`` came to; None where it failed."""
        ...


class RandomSearch:
    """Independent samples of the space: the baseline that every other strategy has to beat.

    Source: J. Bergstra and Y. Bengio, "Random Search for Hyper-Parameter Optimization", JMLR 13, 2012; for architectures
    L. Li and A. Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019.
    """

    def __init__(self, space: Space) -> None:
        self.space = space

    def ask(self, index: int, rng: numpy.random.Generator) -> Graph:
        return self.space.sample(rng)

    def tell(self, index: int, graph: Graph, score: float | None) -> None:
        """Random search learns nothing."""


#: Name → what makes the strategy for a space.
STRATEGIES: dict[str, Callable[[Space], Strategy]] = {"random": RandomSearch}


def make_strategy(name: str, space: Space) -> Strategy:
    """The strategy called ``name`` on a space; `SearchError` lists what exists."""
    if name not in STRATEGIES:
        near = difflib.get_close_matches(str(name), STRATEGIES, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SearchError(f"unknown strategy {str(name)[:80]!r}; {hint}there is: {', '.join(STRATEGIES)}")
    return STRATEGIES[name](space)
