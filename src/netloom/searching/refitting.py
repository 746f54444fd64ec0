"""Refitting: architectures that a search found, trained once more on all samples, the validation part included."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..tasks import Task
    from ..training import Recipe

#: Rows of the joined part that are looked at after every epoch, which a training needs to be told to be in order.
_LOOKED_AT = 64


def joined(task: Task) -> Task:
    """The task whose training part is its training and validation part together, made ready as they are."""
    import torch

    from ..tasks import Split, Task
    from ..tasks.task import Withheld

    train: Any = task.train
    valid: Any = task.valid
    x, y = torch.cat([train.held, valid.held]), torch.cat([train.y, valid.y])
    whole, few = (Split(x[:n], y[:n], normalization=train.normalization) for n in (len(x), _LOOKED_AT))
    return Task(task.name, whole, few, Withheld(0, ""), task.num_classes, class_names=task.class_names)


def refitted(
    graphs: Sequence[Graph], task: Task, recipe: Recipe, *, seed: int = 0, seconds: float | None = None
) -> list[Any | None]:
    """For each graph its network, trained from fresh weights on all samples of ``task``; None where that came to nothing.

    ``seconds`` is what all of them may take together: one that cannot be trained to the end in what is left is not begun, as
    far as the first ones tell.
    """
    from ..training import train

    whole = joined(task)
    begun = time.perf_counter()
    networks: list[Any | None] = []
    longest = 0.0
    for i, graph in enumerate(graphs):
        spent = time.perf_counter() - begun
        left = None if seconds is None else seconds - spent
        if left is not None and left < max(longest, 0.01):
            networks.append(None)
            continue
        result = train(graph, whole, recipe, seed=seed + i, max_seconds=left)
        longest = max(longest, time.perf_counter() - begun - spent)
        networks.append(result.network.double().eval() if result.status == "ok" else None)
    return networks
