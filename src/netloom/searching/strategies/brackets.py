"""Brackets of successive halving: many candidates for a few epochs, the best of them for more, and so on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...errors import SearchError
from ..population import check_counts
from ..proposal import Proposal, Result

if TYPE_CHECKING:
    from ..context import Context

#: Epochs of the longest training where the search has no recipe that says.
_WITHOUT_RECIPE = 64


def most_epochs(strategy: str, context: Context, given: int | None) -> int:
    """The epochs of the longest training: as given, or those of the recipe."""
    if given is not None:
        return given
    return _WITHOUT_RECIPE if context.recipe is None else int(context.recipe.epochs)


def ladder(strategy: str, least: int, most: int, reduction: int) -> tuple[int, ...]:
    """The epochs of the rungs, each ``reduction`` times those before, ``most`` at the end.

    >>> ladder("asha", 1, 50, 4), ladder("asha", 2, 32, 4)
    ((1, 4, 16, 50), (2, 8, 32))
    """
    if least > most:
        raise SearchError(f"{strategy}: min_epochs = {least} is above the {most} epochs of the longest training; set it lower")
    rungs = [least]
    while rungs[-1] * reduction <= most:
        rungs.append(rungs[-1] * reduction)
    # A last rung that is nearly as long as the whole is the whole.
    if rungs[-1] != most:
        if rungs[-1] * 2 > most and len(rungs) > 1:
            rungs[-1] = most
        else:
            rungs.append(most)
    return tuple(rungs)


def check_rungs(strategy: str, reduction: int, min_epochs: int, max_epochs: int | None) -> None:
    """`SearchError` for settings of which no ladder can be made."""
    check_counts(strategy, min_epochs=min_epochs, max_epochs=max_epochs)
    if isinstance(reduction, bool) or not isinstance(reduction, int) or reduction < 2:
        raise SearchError(f"{strategy}: reduction = {reduction!r}; expected an integer ≥ 2")


def longer(result: Result, epochs: int, strategy: str, **where: int) -> Proposal:
    """A candidate again, for more epochs; what it has learned goes on where it stopped."""
    before = result.lineage.edit if isinstance(result.lineage.edit, dict) else {}
    edit = {**before, "kind": "more epochs", "titles": [f"{result.epochs} → {epochs} epochs"], **where}
    lineage = replace(result.lineage, edit=edit, proposed_by=strategy)
    return Proposal(result.graph, None, epochs, dict(result.recipe), lineage)


@dataclass(slots=True)
class Bracket:
    """One run of successive halving: ``sizes`` candidates for ``epochs``, rung by rung; results as they are told."""

    sizes: Sequence[int]
    epochs: Sequence[int]
    told: list[list[Result]]
    pending: list[set[int]]
    asked: list[set[str]]

    @staticmethod
    def of(sizes: Sequence[int], epochs: Sequence[int]) -> Bracket:
        count = len(sizes)
        return Bracket(sizes, epochs, [[] for _ in range(count)], [set() for _ in range(count)], [set() for _ in range(count)])

    def rung(self) -> int | None:
        """The rung in which something can be asked for now: None while results are missing, or at the end."""
        for number, size in enumerate(self.sizes):
            free = len(self.told[number]) + len(self.pending[number]) < size
            if free and (number == 0 or self.next_of(number) is not None):
                return number
            if self.pending[number]:
                return None
        return None

    @property
    def is_done(self) -> bool:
        """Whether every rung has its results."""
        return self.rung() is None and not any(self.pending)

    def chosen(self, number: int) -> list[Result]:
        """The candidates that go to a rung: the best of the one below, once that is whole."""
        below = {result.graph.hash: result for result in self.told[number - 1] if result.score is not None}
        ranked = sorted(below.values(), key=lambda result: (-(result.score or 0.0), result.graph.num_params))
        return ranked[: self.sizes[number]]

    def next_of(self, number: int) -> Result | None:
        """The next candidate that goes to a rung and was not asked for there."""
        return next((result for result in self.chosen(number) if result.graph.hash not in self.asked[number]), None)
