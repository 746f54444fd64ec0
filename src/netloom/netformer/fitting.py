"""Training a Netformer on a zoo, through the one training loop."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..errors import NetformerError
from ..training.loop import DIVERGED, FAILED, OUT_OF_MEMORY, Epoch, Limits, run_loop
from .config import Family, expect
from .core import FLAT
from .learner import NetformerLearner
from .measures import of_mean_one, sensitivities
from .populations import Population, of_networks, of_zoo

if TYPE_CHECKING:
    from .model import Netformer

#: Steps between two looks at held-out networks.
STEPS_OF_EPOCH = 250
#: Tasks whose meta-features the prior is fitted on.
_TASKS_OF_PRIOR = 500
#: Held-out networks that are measured while training.
_MEASURED = 400


def fit(
    former: Netformer, zoo: Any, *, steps: int, batch_size: int, learning_rate: float, held_out: float,
    max_seconds: float | None, checkpoint: str | Path | None, resume: bool, progress: bool,
    on_epoch: Callable[[Epoch], object] | None,
) -> Netformer:  # fmt: skip
    """See `Netformer.fit`."""
    from ..training.saving import Saving

    expect(type(steps) is int and steps >= 1, "steps", steps, "a whole number ≥ 1")
    expect(type(batch_size) is int and batch_size >= 2, "batch_size", batch_size, "a whole number ≥ 2")
    real = lambda value: isinstance(value, int | float) and not isinstance(value, bool)  # noqa: E731
    expect(real(held_out) and 0 <= held_out < 1, "held_out", held_out, "a share in [0, 1)")
    expect(real(learning_rate) and 0 < learning_rate < math.inf, "learning_rate", learning_rate, "a number above 0")
    seconds_fit = max_seconds is None or (real(max_seconds) and max_seconds >= 0)
    expect(seconds_fit, "max_seconds", max_seconds, "a number ≥ 0")
    with _display(progress) as told:
        # Where meta-features only shift the prior, those of many tasks are enough: they take longer than all else here.
        meta_tasks = _TASKS_OF_PRIOR if former.settings.meta is None else None
        population, left_out = population_of(zoo, former.family, told.reading, meta_tasks)
        population, flat = _without_constants(population, former)
        if former.settings.weights:
            population = _canonical(population, former.family)
        train, held = split(population, held_out, former.seed)
        with torch.no_grad():
            former.core.prepare(train, train.outputs(former.core.probes_for(1)[0], former.family))
        told_by = sensitivities(train, former.family) if former.settings.weights else None
        if told_by is not None:
            told_by = of_mean_one(told_by, train.structures, former.family.max_width)
        learner = NetformerLearner(
            former.core, train, held if len(held) <= _MEASURED else held[torch.arange(_MEASURED)], steps=steps,
            batch_size=batch_size, learning_rate=learning_rate, seed=former.seed, sensitivities=told_by,
        )  # fmt: skip
        about = {
            "training": {
                "netformer": 1, **asdict(former.family), **asdict(former.settings), "seed": former.seed, "steps": steps,
                "batch_size": batch_size, "learning_rate": learning_rate, "networks": len(population), "held_out": held_out,
                "population": population.digest(),
            },
        }  # fmt: skip
        saving = None if checkpoint is None else Saving(checkpoint, _plain(about), resume=resume)
        try:
            result = run_loop(
                learner, lambda epoch, first: range(epoch * STEPS_OF_EPOCH + first, (epoch + 1) * STEPS_OF_EPOCH),
                learner.evaluate if len(held) else None, Limits(steps=steps, seconds=max_seconds), saving=saving,
                on_step=lambda done: told.step(done, steps), on_epoch=lambda point: _both(told.epoch, on_epoch, point, learner),
            )  # fmt: skip
        finally:
            if saving is not None:
                saving.close()
    if result.status in (DIVERGED, FAILED, OUT_OF_MEMORY):
        mend = "a smaller learning_rate may help" if result.status == DIVERGED else result.error
        raise NetformerError(f"training ended {result.status} after {result.steps} steps: {mend}")
    if result.best is not None:
        former.core.load_state_dict(result.best.state)
    former.core.eval()
    former.curve, former.is_fitted = result.curve, True
    _fit_prior(former, train)
    former.about = {
        "networks": len(population), "tasks": len(population.tasks.unique()), "held_out_networks": len(held),
        "left_out": left_out | ({"constant": flat} if flat else {}), "steps": result.steps, "batch_size": batch_size,
        "seconds": round(result.seconds, 1), "learning_rate": learning_rate,
        "held_out_median_r2": round(result.best.score, 4) if result.best is not None else None,
    }  # fmt: skip
    return former


def _both(told: Callable[..., object], on_epoch: Callable[[Epoch], object] | None, point: Epoch, learner: Any) -> object:
    told(point, learner.terms)
    return on_epoch(point) if on_epoch is not None else None


def population_of(
    given: Any, family: Family, tell: Callable[[int], object] = lambda count: None, meta_tasks: int | None = None
) -> tuple[Population, dict[str, int]]:
    """A population from a zoo, its folder, networks, or itself; and how many networks were left out, by reason."""
    from ..zoo import Zoo

    if isinstance(given, Population):
        return given, {}
    if isinstance(given, str | os.PathLike):
        given = Zoo(given)
    if isinstance(given, Zoo):
        return of_zoo(given, family, meta_tasks=meta_tasks, tell=tell)
    given = [given] if isinstance(given, torch.nn.Module) else given
    if not isinstance(given, Iterable):
        raise NetformerError(f"a {type(given).__name__} holds no networks; give a zoo, its folder, or a list of networks")
    return of_networks(given, family), {}


def split(population: Population, share: float, seed: int) -> tuple[Population, Population]:
    """Networks to learn from, and those of a share of the tasks that are kept back."""
    if not share:
        return population, population[torch.arange(0)]
    tasks = population.tasks.unique()
    count = min(max(1, round(share * len(tasks))), len(tasks) - 1)
    if len(tasks) < 2:
        raise NetformerError("all networks are of one task; give networks of two or more, or held_out=0")
    order = torch.randperm(len(tasks), generator=torch.Generator().manual_seed(seed))
    held = torch.isin(population.tasks, tasks[order[:count]])
    return population[(~held).nonzero().flatten()], population[held.nonzero().flatten()]


def _without_constants(population: Population, former: Netformer) -> tuple[Population, int]:
    """The networks that answer differently at different inputs, and how many do not."""
    with torch.no_grad():
        spread = population.outputs(former.core.probes_for(1)[0], former.family).std(1).amax(1)
    kept = (spread > FLAT).nonzero().flatten()
    if not len(kept):
        raise NetformerError(f"all {len(population)} networks are constant; there is nothing to learn from")
    return population[kept], len(population) - len(kept)


def _canonical(population: Population, family: Family) -> Population:
    """Each network in canonical form."""
    from ..encode import canonical

    graphs = [population.structures.graph(place, family) for place in range(len(population))]
    found = of_networks([canonical(network) for network in population.networks(family, graphs)], family)
    return replace(found, **{name: getattr(population, name) for name in ("tasks", "scores", "meta", "numbers")})


def _fit_prior(former: Netformer, train: Population) -> None:
    """Latents as a linear function of meta-features, by ridge regression, and what is left of their spread."""
    core = former.core
    with torch.no_grad():
        known = train.meta.isfinite().any(1).nonzero().flatten()
        train = train[known] if len(known) > 1 else train
        latents = core.encode(train)
        features = torch.cat([core.meta_features(train.meta), torch.ones(len(train), 1)], 1).double()
        gram = features.T @ features / len(train)
        # The offset is hardly penalised: without meta-features it is the zoo's mean.
        penalty = torch.full((len(gram),), 0.1, dtype=torch.float64)
        penalty[-1] = 1e-6
        found = torch.linalg.solve(gram + torch.diag(penalty), features.T @ latents.double() / len(train))
        core.prior_map.copy_(found)
        rest = latents - (features @ found).float()
        core.prior_sd.copy_(rest.std(0) if len(rest) > 1 else torch.ones(core.size))


def _plain(tree: Any) -> Any:
    """As JSON has it: checkpoints are compared by what they say of themselves."""
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    return [_plain(value) for value in tree] if isinstance(tree, tuple | list) else tree


def _display(show: bool) -> Any:
    from .progress import Display

    return Display(show)


