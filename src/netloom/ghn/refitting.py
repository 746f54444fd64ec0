"""A hypernetwork that goes on learning from given networks: those that a search has found, say."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import HypernetworkError
from ..graph.graph import Graph
from .evaluating import evaluate
from .hypernetwork import Hypernetwork
from .meta_training import train
from .prediction import predict
from .presets import MetaRecipe, preset

if TYPE_CHECKING:
    import numpy

    from ..tasks import Task

#: Every so many networks one is held back, to tell whether anything was gained; so many of them at most, on so many samples.
_HELD_EVERY, _MOST_HELD, _SAMPLES = 4, 8, 512
#: Fewer networks than that teach nothing that holds for others.
_FEWEST = 8


@dataclass(frozen=True, slots=True)
class _Found:
    """The given networks as a space that is drawn from."""

    graphs: tuple[Graph, ...]
    spec: str = "networks that were found"

    def sample(self, rng: numpy.random.Generator) -> Graph:
        return self.graphs[int(rng.integers(len(self.graphs)))]


def refitted(
    ghn: Hypernetwork, graphs: Sequence[Graph], task: Task, *, steps: int = 100, learning_rate: float | None = None,
    seed: int = 0,
) -> Hypernetwork | None:  # fmt: skip
    """A copy that has learned ``steps`` further ones on ``graphs``; None where it became no better at those held back.

    Every fourth network is held back, and the mean accuracy of their predicted parameters on the validation part decides.
    ``learning_rate`` is a third of the one it was trained with unless given. `HypernetworkError` where fewer than eight of
    the networks can be predicted by it.
    """
    able = [graph for graph in graphs if _predicts(ghn, graph)]
    if len(able) < _FEWEST:
        raise HypernetworkError(f"{len(able)} of {len(graphs)} networks can be predicted; a refit needs {_FEWEST} at least")
    held = able[::_HELD_EVERY][:_MOST_HELD]
    kept = {graph.hash for graph in held}
    recipe = _recipe(ghn)
    recipe = replace(recipe, learning_rate=recipe.learning_rate / 3 if learning_rate is None else learning_rate)
    learned_from = _Found(tuple(graph for graph in able if graph.hash not in kept))
    found = train(task, recipe, learned_from, seed=seed, steps=steps, watched=0, start=copy.deepcopy(ghn))
    if found.error:
        raise HypernetworkError(f"the refit ended {found.status}: {found.error}")
    before, after = (evaluate(each, held, task, max_samples=_SAMPLES).mean for each in (ghn, found.ghn))
    return found.ghn if after > before or (math.isnan(before) and not math.isnan(after)) else None


def _predicts(ghn: Hypernetwork, graph: Graph) -> bool:
    """Whether there is anything in a network that it predicts, for as many classes as it knows."""
    try:
        prediction = predict(ghn, [graph], warn=False)[0]
    except HypernetworkError:
        return False
    return bool(prediction.tensors) and not prediction.other_classes


def _recipe(ghn: Hypernetwork) -> MetaRecipe:
    """How it was trained, as far as it says so, without an end."""
    told = ghn.about.get("recipe")
    known = set(MetaRecipe().to_dict())
    settings = {name: value for name, value in (told if isinstance(told, dict) else {}).items() if name in known}
    endless = {"epochs": 1_000_000, "schedule": "steps", "pool": 0, "channels": None}
    return preset(settings | endless)
