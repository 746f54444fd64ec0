"""Learning rates over the steps of a training."""

from __future__ import annotations

import math
from collections.abc import Callable

from .recipes import Recipe

#: A one-cycle schedule begins at this share of its highest rate.
FIRST_SHARE = 1 / 25

#: Step → share of the highest rate.
Shape = Callable[[int], float]


def rates(recipe: Recipe, steps_per_epoch: int, steps: int | None = None) -> Callable[[int], float]:
    """The learning rate as a function of the step (from 0).

    ``steps`` is the number of steps after which the schedule is at its end; by default those of ``recipe.horizon`` epochs.

    >>> rate = rates(Recipe(learning_rate=1.0, warmup=0.5), steps_per_epoch=4, steps=4)
    >>> rate(0), rate(1), rate(2)
    (0.5, 1.0, 1.0)
    """
    total = recipe.horizon * steps_per_epoch if steps is None else steps
    rising = _rising(recipe, steps_per_epoch, total)
    shape = _SHAPES[recipe.schedule](recipe, steps_per_epoch, total, rising)
    if recipe.schedule == "one-cycle":
        return lambda step: recipe.learning_rate * shape(step)
    return lambda step: recipe.learning_rate * ((step + 1) / rising if step < rising else shape(step))


def _rising(recipe: Recipe, steps_per_epoch: int, total: int) -> int:
    """Steps of the warm-up."""
    if recipe.warmup_epochs is not None:
        return round(recipe.warmup_epochs * steps_per_epoch)
    return round(recipe.warmup * total)


def _constant(recipe: Recipe, steps_per_epoch: int, total: int, rising: int) -> Shape:
    return lambda step: 1.0


def _cosine(recipe: Recipe, steps_per_epoch: int, total: int, rising: int) -> Shape:
    """(Loshchilov and Hutter 2017, without restarts)"""
    return lambda step: _along_cosine(1.0, recipe.final_rate, (step - rising) / max(1, total - rising))


def _linear(recipe: Recipe, steps_per_epoch: int, total: int, rising: int) -> Shape:
    def shape(step: int) -> float:
        done = min(1.0, (step - rising) / max(1, total - rising))
        return 1 + (recipe.final_rate - 1) * done

    return shape


def _one_cycle(recipe: Recipe, steps_per_epoch: int, total: int, rising: int) -> Shape:
    """Up along half a cosine, down along another. (Smith and Topin 2018; the momentum stays as it is)"""
    top = max(0, rising - 1)

    def shape(step: int) -> float:
        if step < top:
            return _along_cosine(FIRST_SHARE, 1.0, step / top)
        return _along_cosine(1.0, recipe.final_rate, (step - top) / max(1, total - 1 - top))

    return shape


def _exponential(recipe: Recipe, steps_per_epoch: int, total: int, rising: int) -> Shape:
    return lambda step: recipe.gamma ** (step // steps_per_epoch)


def _multi_step(recipe: Recipe, steps_per_epoch: int, total: int, rising: int) -> Shape:
    falls = [round(epoch * steps_per_epoch) for epoch in recipe.milestones]
    return lambda step: recipe.gamma ** sum(step >= fall for fall in falls)


def _along_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


_SHAPES: dict[str, Callable[[Recipe, int, int, int], Shape]] = {
    "constant": _constant,
    "cosine": _cosine,
    "linear": _linear,
    "one-cycle": _one_cycle,
    "exponential": _exponential,
    "multi-step": _multi_step,
}
