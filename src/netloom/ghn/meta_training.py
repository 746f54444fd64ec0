"""`train`: a hypernetwork from networks that are sampled as it goes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import torch

from ..errors import HypernetworkError
from ..graph.graph import Graph
from ..training.batches import batches_of
from ..training.loop import Epoch, Limits, run_loop
from ..training.progress import Display
from ..training.recipes import batches_per_epoch
from ..training.recipes import recipe as find_recipe
from ..training.saving import Saving
from .evaluating import Accuracies, check_is_one, evaluate
from .hypernetwork import KINDS, Hypernetwork
from .loading import placed
from .meta_learner import MetaLearner
from .presets import MetaRecipe, preset
from .several_processes import Following, place

if TYPE_CHECKING:
    from ..tasks import Task

#: Keeps the architectures that are watched apart from those that are learned from.
_WATCHED = 0x76616C


@dataclass(frozen=True, slots=True)
class MetaResult:
    """A trained hypernetwork, in evaluation mode, with its curve; ``skipped`` networks had no finite loss or gradient."""

    ghn: Hypernetwork
    curve: tuple[Epoch, ...]
    status: str
    error: str
    steps: int
    seconds: float
    skipped: int


def train(
    task: Task | str = "digits",
    recipe: str | MetaRecipe = "ghn2",
    space: Any = "deepnets1m",
    *,
    seed: int = 0,
    steps: int | None = None,
    max_seconds: float | None = None,
    out: str | Path | None = None,
    checkpoint: str | Path | None = None,
    every_steps: int | None = None,
    resume: bool = True,
    device: Any = "cpu",
    watched: int = 8,
    start: Hypernetwork | None = None,
    on_epoch: Callable[[Epoch], object] | None = None,
    progress: bool | TextIO = False,
    **changes: Any,
) -> MetaResult:
    """Train a hypernetwork on the train part of ``task``; the score of an epoch is that of ``watched`` unseen networks.

    ``recipe`` is a preset (``ghn1``, ``ghn2``, ``mlp``, ``ghn3``: the published settings), ``changes`` are any of its
    settings (see
    `netloom.ghn.presets.MetaRecipe`). ``space`` gives the networks: a name or a `Space`. ``out`` is the file to write.
    ``checkpoint``
    is a folder that holds the state: killed at any instant and called again, the training ends with the same weights.
    ``start`` is a hypernetwork of as many classes to go on from; a copy of it learns.

    Networks whose loss is not finite are skipped and counted. Raises `HypernetworkError` where task, space and settings do
    not fit.

    Source: Knyazev et al., NeurIPS 2021, section 4 and appendix B; GHN-3: ICML 2023, section 4.
    """
    _check(seed, steps, max_seconds, watched, out)
    task = _task(task)
    settings = preset(recipe, **changes)
    sampler = _sampler(space, task, settings)
    batch_size = min(settings.batch_size, len(task.train))
    fitted = find_recipe(
        "express",
        batch_size=batch_size,
        crop=4 if task.train.shape[-1] == 32 else 0,
        flip=task.name.startswith("cifar"),
        cutout=0,
    )
    batches = batches_of(task.train, fitted, seed)
    steps_per_epoch = batches_per_epoch(len(task.train), batch_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        ghn = placed(fresh(settings, task) if start is None else _copied(start, task), device).train()
    ghn.about.update(
        task=task.spec or task.name, recipe=settings.to_dict(), space=str(getattr(space, "spec", space)), seed=seed
    )
    learner = MetaLearner(ghn, sampler, settings, seed, steps_per_epoch)
    watch = [learner.drawn(np.random.default_rng((_WATCHED, seed, number))) for number in range(watched)]
    limits = Limits(epochs=settings.epochs, steps=steps, seconds=max_seconds)
    about = {"hypernetwork": settings.to_dict(), "task": task.hash, "space": ghn.about["space"], "seed": seed}
    saving = _saving(checkpoint, about, every_steps, resume)
    stream = progress if not isinstance(progress, bool) else None
    try:
        with Display(bool(progress), settings.epochs, steps_per_epoch, "accuracy", stream) as display:
            result = run_loop(
                learner, lambda epoch, first: _moved(batches(epoch, first), device), _watching(ghn, watch, task), limits,
                saving=saving,
                on_step=display.on_step if display.shows_steps else None, on_epoch=display.on_epoch(on_epoch),
            )  # fmt: skip
    finally:
        if saving is not None:
            saving.close()
    ghn.about.update(steps=result.steps, seconds=round(result.seconds, 1), skipped=learner.skipped)
    ghn.eval()
    if out is not None and place()[0] == 0:
        ghn.save(out)
    return MetaResult(ghn, result.curve, result.status, result.error, result.steps, result.seconds, learner.skipped)


def _saving(checkpoint: str | Path | None, about: dict[str, Any], every_steps: int | None, resume: bool) -> Any:
    """What keeps the state: of several processes the first writes it, and the others begin where it does."""
    rank, world = place()
    if checkpoint is None:
        return None
    saving = Saving(checkpoint, about, every_steps=every_steps, resume=resume) if rank == 0 else None
    if world > 1:
        import torch.distributed as distributed

        distributed.barrier()
    return saving or Following(checkpoint)


def fresh(settings: MetaRecipe, task: Task) -> Hypernetwork:
    """An untrained hypernetwork for a task: its largest shapes are the published ones unless the settings say otherwise."""
    large = max(task.train.shape[-2:]) >= 96 if len(task.train.shape) == 3 else False
    kernel = settings.kernel or (16 if large else 11)
    kind = settings.kind if settings.hypernet == "gnn" or settings.kind == "ghn3" else "mlp"
    most = settings.max_channels or settings.hid * (1 if kind == "ghn3" else 2)
    more = {"layers": settings.layers, "heads": settings.heads} if kind == "ghn3" else {}
    found: Hypernetwork = KINDS[kind](
        (most, most, kernel, kernel), task.num_classes, weight_norm=settings.normalize, ve=settings.virtual_edges > 1,
        layernorm=settings.layernorm, hid=settings.hid, **more,
    )  # fmt: skip
    if settings.virtual_edges > 1:
        found.config = found.config.with_(ve_cutoff=settings.virtual_edges)
    return found


def _check(seed: Any, steps: Any, max_seconds: Any, watched: Any, out: Any) -> None:
    whole = lambda value, least: type(value) is int and value >= least  # noqa: E731
    rules = {
        "seed": (seed, whole(seed, 0), "a whole number from 0"),
        "steps": (steps, steps is None or whole(steps, 0), "a whole number from 0"),
        "max_seconds": (max_seconds, max_seconds is None or max_seconds >= 0, "a number from 0"),
        "watched": (watched, whole(watched, 0), "a whole number from 0 (no score)"),
        "out": (out, out is None or Path(out).suffix == ".safetensors", "a file that ends in .safetensors"),
    }
    for name, (value, good, expected) in rules.items():
        if not good:
            raise HypernetworkError(f"{name} = {value!r}; expected {expected}")


def _copied(start: Any, task: Task) -> Hypernetwork:
    """What a training goes on from: a copy, so that the given one stays as it is."""
    check_is_one(start)
    if start.config.num_classes != task.num_classes:
        raise HypernetworkError(
            f"the hypernetwork to go on from predicts networks of {start.config.num_classes} classes, the task {task.name!r} "
            f"has {task.num_classes}"
        )
    return copy.deepcopy(start)


def _task(task: Task | str) -> Task:
    if isinstance(task, str):
        from ..tasks import load

        task = load(task)
    if not task.num_classes:
        raise HypernetworkError(f"the task {task.name!r} is a regression; hypernetworks are trained on classification")
    if len(task.train.shape) != 3:
        given = "×".join(map(str, task.train.shape))
        raise HypernetworkError(f"the task {task.name!r} has samples of {given}; expected images (channels, height, width)")
    return task


def _sampler(space: Any, task: Task, settings: MetaRecipe) -> Callable[[np.random.Generator], Graph]:
    if isinstance(space, str):
        from ..spaces.loading import load

        space = load(space, input_shape=task.train.shape, num_classes=task.num_classes)
    channels = settings.channels
    if channels is None or not hasattr(space, "draw"):
        sample: Callable[[np.random.Generator], Graph] = space.sample
        return sample
    from ..spaces.deepnets_network import network

    _check_heads(channels, space)
    choices = channels if isinstance(channels, tuple) else (channels,)

    def sized(rng: np.random.Generator) -> Graph:
        base = space.draw(rng)
        chosen = choices[int(rng.integers(len(choices)))] if len(choices) > 1 else choices[0]
        return network(replace(base, C=chosen, fc_dim=4 * chosen))

    return sized


def _check_heads(channels: Any, space: Any) -> None:
    for each in channels if isinstance(channels, tuple) else (channels,):
        if each % 8:
            raise HypernetworkError(f"channels = {each}; networks of {space.spec} want a multiple of 8, for heads of attention")


def _watching(ghn: Hypernetwork, watch: list[Graph], task: Task) -> Callable[[], tuple[float, float]] | None:
    if not watch:
        return None

    def measure() -> tuple[float, float]:
        ghn.eval()
        try:
            found: Accuracies = evaluate(ghn, watch, task)
        finally:
            ghn.train()
        return 0.0, found.mean

    return measure


def _moved(batches: Any, device: Any) -> Any:
    return ((x.to(device), y.to(device)) for x, y in batches)
