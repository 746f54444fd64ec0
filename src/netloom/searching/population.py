"""How large a population is at first, what children are trained for, and settings that several strategies check alike."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import SearchError

if TYPE_CHECKING:
    from .context import Context

#: Random candidates before anything is learned, where the budget is a time.
_WITHOUT_COUNT = 20


def first_candidates(context: Context, most: int) -> int:
    """Random candidates to begin with: at most a fifth of a budget in evaluations, and 20 of a budget in time."""
    budget = context.budget
    if budget is None or budget.evaluations is None:
        return min(most, _WITHOUT_COUNT)
    return min(most, max(budget.evaluations // 5, 4))


def child_epochs(context: Context, share: float) -> int | None:
    """The epochs that a child with inherited weights trains for; None where the search has no recipe."""
    return None if context.recipe is None else max(1, round(share * context.recipe.epochs))


def check_counts(strategy: str, **counts: int | None) -> None:
    """`SearchError` for a setting that is no integer ≥ 1; None passes."""
    for name, value in counts.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise SearchError(f"{strategy}: {name} = {value!r}; expected an integer ≥ 1")


def check_shares(strategy: str, **shares: float) -> None:
    """`SearchError` for a setting that is no number between 0 and 1."""
    for name, value in shares.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise SearchError(f"{strategy}: {name} = {value!r}; expected a number between 0 and 1")


def check_chances(strategy: str, chances: Mapping[str, float] | None, mutations: Mapping[str, Any] | None) -> None:
    """`SearchError` for chances of edits that there are not, below zero, or none above it."""
    if chances is None:
        return
    if mutations is not None:
        kinds = tuple(mutations)
    else:
        from .offspring import default_mutations

        kinds = tuple(default_mutations())
    for kind, chance in chances.items():
        if kind not in kinds:
            near = difflib.get_close_matches(str(kind), kinds, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise SearchError(f"{strategy}: chances of {str(kind)[:40]!r}; {hint}kinds are: {', '.join(kinds)}")
        if isinstance(chance, bool) or not isinstance(chance, int | float) or not chance >= 0:
            raise SearchError(f"{strategy}: chances[{kind!r}] = {chance!r}; expected a number ≥ 0")
    if not sum(chances.values()) > 0:
        raise SearchError(f"{strategy}: chances are all zero; no child could be made")
