"""Crossing: candidates made of parts of two others, with what both have learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError
from .offspring import Breeding, Draft
from .recipe_mutations import crossed_recipe
from .space_edits import Member, crossed_member, crossed_tokens, has_own_edits, notation_of

if TYPE_CHECKING:
    import numpy

    from ..mutate import Crossed
    from .context import Context
    from .proposal import Result


def crossed(context: Context, first: Result, second: Result, how: Breeding, rng: numpy.random.Generator) -> Draft | None:
    """The first parent with parts of the second, as a draft; None where the two have nothing to exchange.

    In a space with a ``cross`` of its own by that; where children stay in the space, by stretches of tokens of its robust
    notation; else aligned parts of the two networks change places, with their weights (see `netloom.mutate.Crossover`).
    """
    mine, theirs = (Draft.of(context, parent, how.inherit) for parent in (first, second))
    parents = tuple(dict.fromkeys((*mine.parents, *theirs.parents)))
    recipe = dict(mine.recipe or {})
    if how.recipe_mutations and context.recipe is not None:
        recipe = crossed_recipe(context.recipe, mine.recipe or {}, theirs.recipe or {}, rng)
    base = replace(mine, parents=parents, recipe=recipe, kinds=("crossover",))
    if _is_closed(context, how):
        member = _member(context, mine, theirs, rng)
        return None if member is None else replace(base, graph=member.graph, network=None, choices=member.choices)
    return _exchanged(base, mine, theirs, rng)


def _is_closed(context: Context, how: Breeding) -> bool:
    """Whether children must be members of the space."""
    own = has_own_edits(context.space) or hasattr(context.space, "cross")
    return own or (not how.inherit and how.mutations is None and notation_of(context.space) is not None)


def _member(context: Context, mine: Draft, theirs: Draft, rng: numpy.random.Generator) -> Member | None:
    if hasattr(context.space, "cross"):
        return crossed_member(context.space, (mine.graph, theirs.graph), (mine.choices, theirs.choices), rng)
    notation = notation_of(context.space)
    return None if notation is None else crossed_tokens(notation, mine.graph, theirs.graph, rng)


def _exchanged(base: Draft, mine: Draft, theirs: Draft, rng: numpy.random.Generator) -> Draft | None:
    from ..mutate import Crossover

    with_weights = mine.network is not None and theirs.network is not None
    subjects: list[Any] = [mine.graph, theirs.graph]
    if mine.network is not None and theirs.network is not None:
        subjects = [mine.network(), theirs.network()]
    try:
        children = Crossover(probability=None)(*subjects, rng)
    except NetloomError:
        return None
    for child in children:
        if child.stages:
            titles = tuple(stage.title for stage in child.stages)
            return replace(base, graph=child.graph, network=_network_of(child, with_weights), titles=titles, choices=None)
    return None


def _network_of(child: Crossed, with_weights: bool) -> Callable[[], Any] | None:
    return (lambda: child.result) if with_weights else None
