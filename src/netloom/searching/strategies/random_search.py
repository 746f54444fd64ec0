"""Random search: the baseline that every other strategy has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..offspring import fresh
from ..proposal import Proposal, Result
from ..strategy import Strategy

if TYPE_CHECKING:
    import numpy


@dataclass
class RandomSearch(Strategy):
    """Independent samples of the space.

    Source: J. Bergstra and Y. Bengio, "Random Search for Hyper-Parameter Optimization", JMLR 13, 2012; for architectures
    L. Li and A. Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019.
    """

    name: ClassVar[str] = "random"

    def ask(self, index: int, rng: numpy.random.Generator) -> Proposal:
        return fresh(self.context, rng)

    def tell(self, index: int, result: Result) -> None:
        """Random search learns nothing."""
