"""Hyperband: successive halving with several trade-offs between many candidates and long training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .brackets import Bracket, check_rungs, ladder, most_epochs
from .successive_halving import Bracketed

if TYPE_CHECKING:
    from ..context import Context


@dataclass
class Hyperband(Bracketed):
    """Brackets of successive halving, from many candidates that begin with ``min_epochs`` to few that train in full at once.

    Every bracket takes about as many epochs; after the last one the first begins again. ``max_epochs`` is that of the longest
    training (None: that of the recipe).

    Source: L. Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 18, 2018.
    """

    name: ClassVar[str] = "hyperband"

    reduction: int = 4
    min_epochs: int = 1
    max_epochs: int | None = None

    def __post_init__(self) -> None:
        check_rungs(self.name, self.reduction, self.min_epochs, self.max_epochs)

    def begin(self, context: Context) -> None:
        super().begin(context)
        self._epochs = ladder(self.name, self.min_epochs, most_epochs(self.name, context, self.max_epochs), self.reduction)

    def bracket(self, number: int) -> Bracket:
        most = len(self._epochs) - 1
        rungs = most - number % (most + 1)  # rungs above the first one
        first = math.ceil((most + 1) / (rungs + 1) * self.reduction**rungs)
        sizes = [max(1, first // self.reduction**rung) for rung in range(rungs + 1)]
        return Bracket.of(sizes, self._epochs[most - rungs :])
