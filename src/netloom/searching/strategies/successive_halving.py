"""Successive halving over epochs."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ..offspring import fresh_unknown
from ..population import check_counts
from ..proposal import Proposal, Result
from ..strategy import Strategy
from .brackets import Bracket, check_rungs, ladder, longer, most_epochs

if TYPE_CHECKING:
    import numpy

    from ..context import Context


class Bracketed(Strategy):
    """What successive halving and Hyperband have in common: brackets one after the other, each a number in ``edit``.

    Where results of a bracket are missing, the next one begins, so that no worker waits.
    """

    continues = True

    def begin(self, context: Context) -> None:
        super().begin(context)
        self._brackets: dict[int, Bracket] = {}

    @abstractmethod
    def bracket(self, number: int) -> Bracket:
        """A new bracket of this number."""

    def ask(self, index: int, rng: numpy.random.Generator) -> Proposal | None:
        number = min(self._brackets, default=0)
        while (rung := self._opened(number).rung()) is None:
            number += 1
        bracket = self._opened(number)
        bracket.pending[rung].add(index)
        chosen = bracket.next_of(rung) if rung else None
        if chosen is None:
            first = fresh_unknown(self.context, rng)
            edit = {"kind": "sample", "titles": [], **(first.lineage.edit or {}), "bracket": number, "rung": 0}
            return replace(first, epochs=bracket.epochs[0], lineage=replace(first.lineage, edit=edit, proposed_by=self.name))
        bracket.asked[rung].add(chosen.graph.hash)
        return longer(chosen, bracket.epochs[rung], self.name, bracket=number, rung=rung)

    def tell(self, index: int, result: Result) -> None:
        edit = result.lineage.edit if isinstance(result.lineage.edit, dict) else {}
        if "bracket" not in edit:
            return  # the network that the search started from
        number, rung = int(edit["bracket"]), int(edit["rung"])
        bracket = self._opened(number)
        bracket.pending[rung].discard(index)
        bracket.told[rung].append(result if self.context.keeps(result) else replace(result, score=None))
        bracket.asked[rung].add(result.graph.hash)
        while (first := min(self._brackets, default=None)) is not None and self._brackets[first].is_done:
            self._opened(first + 1)
            del self._brackets[first]

    def _opened(self, number: int) -> Bracket:
        if number not in self._brackets:
            self._brackets[number] = self.bracket(number)
        return self._brackets[number]


@dataclass
class SuccessiveHalving(Bracketed):
    """Many candidates for ``min_epochs``; the best 1 / ``reduction`` of them for ``reduction`` times as long, and so on.

    The longest training has ``max_epochs`` (None: those of the recipe). A bracket begins with ``candidates`` random ones (None:
    as many as a budget in evaluations has room for, or enough for one to reach the end); when it is done the next one begins.

    Source: K. Jamieson and A. Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS
    2016.
    """

    name: ClassVar[str] = "successive-halving"

    candidates: int | None = None
    reduction: int = 4
    min_epochs: int = 1
    max_epochs: int | None = None

    def __post_init__(self) -> None:
        check_counts(self.name, candidates=self.candidates)
        check_rungs(self.name, self.reduction, self.min_epochs, self.max_epochs)

    def begin(self, context: Context) -> None:
        super().begin(context)
        self._epochs = ladder(self.name, self.min_epochs, most_epochs(self.name, context, self.max_epochs), self.reduction)

    def bracket(self, number: int) -> Bracket:
        shares = [float(self.reduction) ** -rung for rung in range(len(self._epochs))]
        first = self.candidates
        if first is None:
            least = self.reduction ** (len(self._epochs) - 1)
            budget = self.context.budget
            room = 0 if budget is None or budget.evaluations is None else int(budget.evaluations / sum(shares))
            first = max(least, room)
            if room and room < least:
                first = max(room, 1)
        return Bracket.of([max(1, int(first * share + 1e-9)) for share in shares], self._epochs)
