"""Training one stack: weights in, the loop, results out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .failures import is_out_of_memory
from .fitting import step_limit
from .loop import FAILED, OUT_OF_MEMORY, Epoch, Limits, run_loop
from .many_batches import StackedData
from .many_chains import Chain
from .many_results import StackedResult, results_of
from .many_stack import Stack
from .recipes import batches_per_epoch
from .saving import Saving

if TYPE_CHECKING:
    from torch import Tensor

    from ..tasks.task import Task
    from .many import Member
    from .many_learner import StackLearner


def train_stack(
    members: Sequence[Member],
    chains: Sequence[Chain],
    dtype: Any,
    device: Any,
    folder: Path | None,
    on_epoch: Callable[[int, Epoch, int], object],
) -> list[StackedResult] | None:
    """The results of networks that are trained together; None where they cannot be, for want of memory.

    Their recipes, depths and sizes of data are the same.
    """
    import torch

    first = members[0]
    with torch.inference_mode(False), torch.no_grad():  # whatever the caller is in
        try:
            learner, limits = _learner(members, chains, dtype, device)
        except Exception as error:
            if is_out_of_memory(error):
                return None
            raise

        def after(epoch: Epoch) -> bool:
            on_epoch(len(members), epoch, first.recipe.epochs)
            return learner.is_through(epoch)

        ended = run_loop(
            learner,
            lambda epoch, begin: learner.data.batches(epoch, first.recipe.batch_size, begin),
            learner.evaluate,
            limits,
            saving=None if folder is None else Saving(folder, _about(members)),
            on_epoch=after,
        )
        if ended.status in (FAILED, OUT_OF_MEMORY):
            return None
        results = results_of(learner, ended, [m.graph for m in members], [m.seed for m in members], first.recipe)  # type: ignore[misc]
        for member, result in zip(members, results):
            if isinstance(member.given, torch.nn.Module):
                _put_back(member.given, result)
    return results


def _learner(
    members: Sequence[Member], chains: Sequence[Chain], dtype: Any, device: Any
) -> tuple[StackLearner, Limits]:  # fmt: skip
    """What learns, with its initial weights and its data, and how far it goes."""
    import torch

    from .many_learner import StackLearner  # with torch, which `import netloom.training` does without

    first = members[0]
    recipe, task = first.recipe, first.task
    per_epoch = batches_per_epoch(len(task.train), recipe.batch_size)
    last = step_limit(first.graph, task, recipe)
    horizon = recipe.horizon * per_epoch
    if recipe.horizon_epochs is None and last is not None:
        horizon = min(horizon, last)
    dtype = dtype or getattr(torch, chains[0].dtype)
    stack = Stack(chains, dtype, device)
    for place, member in enumerate(members):
        stack.load(place, initial_state(member))
    data = StackedData([m.task for m in members], [m.seed for m in members], stack.layout.widths[0], dtype, device)
    # A network's seconds are its share of those of the stack.
    seconds = None if recipe.max_seconds is None else recipe.max_seconds * len(stack)
    return StackLearner(stack, data, task, recipe, per_epoch, horizon), Limits(recipe.epochs, last, seconds)


def initial_state(member: Member) -> dict[str, Tensor]:
    """The weights that a network begins with, by key: a module's own, or those that ``nl.build(graph, seed=seed)`` draws."""
    import torch

    from ..building.initialising import fresh

    if isinstance(member.given, torch.nn.Module):
        return dict(member.given.named_parameters())
    generator = torch.Generator().manual_seed(member.seed)
    return {key: fresh(key, entry, generator, "cpu") for key, entry in member.given.tensors.items()}


def _put_back(module: Any, result: StackedResult) -> None:
    """Give a module the weights that its result has, and let it be the result's network."""
    import torch

    state = result.final_state
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            parameter.copy_(state[key])
            parameter.grad = None
    object.__setattr__(result, "network", module.eval())


def cast_task(task: Task, dtype: Any) -> Task:
    """The task with inputs, and targets that are numbers, of another floating dtype."""
    from ..tasks.parts import Split

    def cast(part: Any) -> Any:
        y = part.y.to(dtype) if part.y.is_floating_point() else part.y
        return Split(part.x.to(dtype), y)

    return replace(task, train=cast(task.train), valid=cast(task.valid))


def _about(members: Sequence[Member]) -> dict[str, Any]:
    """Which training this is, for its checkpoint."""
    digest = hashlib.sha256()
    for member in members:
        graph = "" if member.graph is None else member.graph.hash
        digest.update(f"{graph} {member.task.hash} {member.seed}\n".encode())
    return {"networks": digest.hexdigest(), "recipe": members[0].recipe.to_json()}
