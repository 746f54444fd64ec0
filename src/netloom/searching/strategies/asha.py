"""ASHA: successive halving that never waits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ..offspring import fresh_unknown
from ..proposal import Proposal, Result
from ..strategy import Strategy
from .brackets import check_rungs, ladder, longer, most_epochs

if TYPE_CHECKING:
    import numpy

    from ..context import Context


@dataclass
class ASHA(Strategy):
    """Candidates go on to ``reduction`` times as many epochs as soon as they are among the best 1 / ``reduction`` of their
    rung.

    A worker that is free promotes the candidate that got furthest, or begins a new random one with ``min_epochs``. The longest
    training has ``max_epochs`` (None: those of the recipe).

    Source: L. Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020 (reduction 4).
    """

    name: ClassVar[str] = "asha"
    continues = True

    reduction: int = 4
    min_epochs: int = 1
    max_epochs: int | None = None

    def __post_init__(self) -> None:
        check_rungs(self.name, self.reduction, self.min_epochs, self.max_epochs)

    def begin(self, context: Context) -> None:
        super().begin(context)
        self._epochs = ladder(self.name, self.min_epochs, most_epochs(self.name, context, self.max_epochs), self.reduction)
        #: Results by hash of each rung; failures are among them, at the end of every order.
        self._rungs: list[dict[str, Result]] = [{} for _ in self._epochs]
        #: Hashes that were asked for in each rung.
        self._asked: list[set[str]] = [set() for _ in self._epochs]

    def ask(self, index: int, rng: numpy.random.Generator) -> Proposal:
        for number in reversed(range(len(self._epochs) - 1)):
            promoted = self._promotable(number)
            if promoted is not None:
                self._asked[number + 1].add(promoted.graph.hash)
                return longer(promoted, self._epochs[number + 1], self.name, rung=number + 1)
        first = fresh_unknown(self.context, rng)
        self._asked[0].add(first.graph.hash)
        edit = {"kind": "sample", "titles": [], **(first.lineage.edit or {}), "rung": 0}
        return replace(first, epochs=self._epochs[0], lineage=replace(first.lineage, edit=edit, proposed_by=self.name))

    def tell(self, index: int, result: Result) -> None:
        edit = result.lineage.edit if isinstance(result.lineage.edit, dict) else {}
        if "rung" not in edit:
            return  # the network that the search started from
        number, hash = int(edit["rung"]), result.graph.hash
        self._asked[number].add(hash)
        self._rungs[number].setdefault(hash, result if self.context.keeps(result) else replace(result, score=None))

    def _promotable(self, number: int) -> Result | None:
        """The best of a rung that is among its best share and was not promoted yet."""
        rung = self._rungs[number]
        scored = [result for result in rung.values() if result.score is not None]
        scored.sort(key=lambda result: (-(result.score or 0.0), result.graph.num_params))
        best = scored[: len(rung) // self.reduction]
        return next((result for result in best if result.graph.hash not in self._asked[number + 1]), None)
