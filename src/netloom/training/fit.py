"""`train`: one network, one task, one recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import NetloomError, TrainingError
from ..graph.graph import Graph
from .batches import batches_of, check_augmentation
from .failures import is_out_of_memory, told
from .fitting import check_fit, step_limit
from .loop import FAILED, OUT_OF_MEMORY, Epoch, Limits, run_loop
from .precision import miscomputed, resolve
from .progress import Display
from .recipes import Recipe, batches_per_epoch
from .recipes import recipe as find_recipe
from .results import TrainingResult, remarks_on
from .saving import Saving

if TYPE_CHECKING:
    import torch

    from ..tasks import Task


def train(
    network_or_graph: Any,
    task: Task | str,
    recipe: str | Recipe | Mapping[str, Any] = "express",
    seed: int = 0,
    *,
    epochs: int | None = None,
    max_seconds: float | None = None,
    device: Any = None,
    checkpoint: str | Path | None = None,
    every_steps: int | None = None,
    resume: bool = True,
    restore_best: bool = False,
    on_epoch: Callable[[Epoch], object] | None = None,
    progress: bool | TextIO = False,
) -> TrainingResult:
    """Train a network on the train part of ``task``; score it on its valid part after every epoch.

    A `Graph` is built with fresh weights drawn from ``seed``; a module is trained in place. Either is left in evaluation
    mode, with its last weights (``restore_best``: those of the best epoch). ``seed`` also draws the order of the samples,
    augmentation and dropout, so the same seed gives the same result on one machine with one number of threads. torch's global
    generator is left as it was. ``epochs`` and ``max_seconds`` replace those of the recipe; the clock stops a training with
    status ``time_limit``.

    ``checkpoint`` names a folder that the state is written to, every ``every_steps`` steps and at the end. If it holds the
    state of this training already, that is picked up: killed at any instant and called again, the training ends with the same
    weights; called with more epochs, it goes on from the last one (exactly as if it had been asked for all of them at once
    where ``recipe.is_extendable``; otherwise `TrainingResult.remarks` says so). ``resume=False`` begins anew.

    ``on_epoch`` is told of every epoch and ends the training by returning True; ``progress`` prints a line for each
    (to the error stream, or to the stream that is given).

    What goes wrong in the network is a result with that status (`netloom.training.loop.STATUSES`); `TrainingError` is raised
    where recipe, network and task do not fit each other or the checkpoint is of another training.

    >>> import netloom as nl
    >>> x = nl.input(1, 8, 8)
    >>> result = nl.train(nl.Graph(x, nl.linear(nl.flatten(x), 10)), nl.tasks.load("digits"), epochs=8)
    >>> result.status, result.score > 0.8, len(result.curve)
    ('ok', True, 8)
    """
    import torch

    task = loaded_task(task)
    settings = find_recipe(recipe, epochs)
    if max_seconds is not None:
        settings = replace(settings, max_seconds=max_seconds)
    check_seed(seed)
    if not isinstance(network_or_graph, Graph | torch.nn.Module):
        raise TrainingError(f"nl.train takes a Graph or an nn.Module, not a {type(network_or_graph).__name__}")
    if every_steps is not None and checkpoint is None:
        raise TrainingError(f"every_steps = {every_steps!r} says how often to write a checkpoint; say where to, too")
    check_fit(network_or_graph, task)
    target = device_for(device, network_or_graph, task)
    if getattr(task.train, "device", None) != target:
        task = task.to(target)
    settings, remarks = _computable(settings, network_or_graph, target)
    kept = torch.random.fork_rng(devices=[target] if target.type == "cuda" else [])
    with kept, torch.inference_mode(False), torch.enable_grad():  # whatever the caller is in
        torch.manual_seed(seed)
        try:
            network = _placed(network_or_graph, target)
        except NetloomError:
            raise
        except Exception as error:  # weights that memory has no room for
            return TrainingResult.failed_to_build(settings, seed, _status_of(error), told(error))
        saving = None
        if checkpoint is not None:
            about = _about(network, task, settings, seed)
            saving = Saving(checkpoint, about, every_steps=every_steps, resume=resume)
        try:
            result = _trained(network, task, settings, seed, saving, on_epoch, progress)
        finally:
            if saving is not None:
                saving.close()
    if restore_best and result.best_state is not None:
        result.restore_best()
    return replace(result, remarks=(*remarks, *result.remarks)) if remarks else result


def _trained(
    network: Any,
    task: Task,
    recipe: Recipe,
    seed: int,
    saving: Saving | None,
    on_epoch: Callable[[Epoch], object] | None,
    progress: bool | TextIO,
) -> TrainingResult:
    from .learner import NetworkLearner  # with torch, which `import netloom.training` does without

    per_epoch = batches_per_epoch(len(task.train), recipe.batch_size)
    last = step_limit(network, task, recipe)
    horizon = recipe.horizon * per_epoch
    if recipe.horizon_epochs is None and last is not None:
        horizon = min(horizon, last)
    check_augmentation(task.train, recipe)  # before anything about the network changes
    try:
        learner = NetworkLearner(network, recipe, per_epoch, horizon, classes=task.num_classes)
    except NetloomError:
        raise
    except Exception as error:  # moments and averages take memory as well
        return TrainingResult.failed_to_build(recipe, seed, _status_of(error), told(error), network)
    batches = batches_of(task.train, recipe, seed, channels_last=learner.channels_last)
    stream = None if isinstance(progress, bool) else progress
    with Display(bool(progress), recipe.epochs, per_epoch, task.score_name, stream) as display:
        ended = run_loop(
            learner,
            batches,
            lambda: learner.evaluate(task.valid),
            Limits(recipe.epochs, last, recipe.max_seconds, recipe.patience),
            saving=saving,
            on_step=display.on_step if display.shows_steps else None,
            on_epoch=display.on_epoch(on_epoch),
        )
    learner.finish()
    return TrainingResult.of(network, ended, recipe, seed, remarks_on(recipe, horizon, learner.earlier_horizon, per_epoch))


def _computable(recipe: Recipe, network_or_graph: Any, device: torch.device) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe in a precision that the device computes rightly, and a remark where that is not the one asked for."""
    precision = resolve(recipe.precision, device)
    graph = network_or_graph if isinstance(network_or_graph, Graph) else getattr(network_or_graph, "graph", None)
    if precision != "float32" and device.type == "cpu" and isinstance(graph, Graph):
        wrong = miscomputed(graph)
        if wrong is not None:
            remark = f"trained in float32: in {precision}, processors miscompute gradients of {wrong!r} (stride above its size)"
            return replace(recipe, precision="float32"), (remark,)
    return replace(recipe, precision=precision), ()


def _status_of(error: Exception) -> str:
    return OUT_OF_MEMORY if is_out_of_memory(error) else FAILED


def loaded_task(task: Any) -> Task:
    """A task, from itself or its spec; `TrainingError` for anything else."""
    from .. import tasks

    if isinstance(task, str):
        return tasks.load(task)
    if not isinstance(task, tasks.Task):
        raise TrainingError(f"nl.train needs a task, as 'digits' or nl.tasks.from_arrays(x, y), not a {type(task).__name__}")
    return task


def check_seed(seed: Any) -> None:
    """`TrainingError` unless ``seed`` can seed a generator."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise TrainingError(f"seed = {seed!r}; expected an integer in [0, 2**63)")


def device_for(device: Any, network_or_graph: Any, task: Task) -> torch.device:
    """Where to train: as asked for, else where the module is, else where the data are."""
    import torch

    if device is None and not isinstance(network_or_graph, Graph):
        device = next((tensor.device for tensor in network_or_graph.parameters()), None)
    if device is None:
        device = getattr(task.train, "device", "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise TrainingError(f"device = {device!r}: {error}") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise TrainingError(f"device = {device!r}: this machine, or this build of torch, has no GPU; leave device out")
    return found


def _placed(network_or_graph: Any, device: torch.device) -> Any:
    """The module to train, on its device."""
    if isinstance(network_or_graph, Graph):
        from ..building.network import build

        return build(network_or_graph).to(device)
    lazy = [name for name, weight in network_or_graph.named_parameters() if hasattr(weight, "materialize")]
    if lazy:
        raise TrainingError(f"{lazy[0]} has no shape yet; call the module once on a batch before it is trained")
    return network_or_graph.to(device)


def _about(network: Any, task: Task, recipe: Recipe, seed: int) -> dict[str, Any]:
    """Which training this is, for its checkpoint."""
    graph = getattr(network, "graph", None)
    if isinstance(graph, Graph):
        identity = graph.hash
    else:
        shapes = [(name, list(weight.shape)) for name, weight in network.named_parameters(remove_duplicate=False)]
        identity = hashlib.sha256(json.dumps(shapes).encode()).hexdigest()
    course = json.loads(json.dumps(recipe.course()))
    return {"network": identity, "task": task.hash, "recipe": course, "seed": seed}
