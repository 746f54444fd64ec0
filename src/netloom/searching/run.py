"""`search`: check the settings, then let the loop run."""

from __future__ import annotations

import platform
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError, SearchError
from ..store import Store
from ..training import Recipe
from ..training import recipe as find_recipe
from ..training.fit import check_fit
from .budget import Budget
from .executors import check_executor, processors
from .loop import Loop
from .progress import make_progress
from .result import SearchResult
from .settings import Settings
from .strategy import make_strategy

if TYPE_CHECKING:
    from ..spaces import Space
    from ..tasks import Task


def search(
    space: Space | str,
    task: Task | str,
    strategy: str = "random",
    budget: str | int | Budget = "60s",
    *,
    store: Store | str | None = None,
    seed: int = 0,
    recipe: str | Recipe | Mapping[str, Any] = "express",
    executor: str = "inprocess",
    candidate_seconds: float | None = None,
    progress: bool = True,
) -> SearchResult:
    """Search ``space`` for the network with the best validation accuracy on ``task``.

    ``space`` and ``task`` may be given by name. ``budget`` is a time (``"20m"``; a candidate in training is finished) or a
    number of different candidates. Every result goes to ``store`` (a `Store` or its URL; in memory by default), and what the
    store has already is not trained again. A candidate that fails is a result like any other. ``candidate_seconds`` bounds the
    training of one (default: a quarter of a budget in time). Ctrl-C finishes the candidates in training and stops;
    `netloom.searching.resume` goes on from there. The test part of the task is never read.

    Raises `SearchError` and its like for settings that make no sense, before any work starts.

    >>> import netloom as nl
    >>> space = nl.spaces.Conv(input_shape=(1, 8, 8), num_classes=10, conv_num=1, lin_num=1, max_macs=20_000)
    >>> result = nl.search(space, "digits", budget=2, recipe={"epochs": 1}, progress=False)
    >>> result.status, len(result.evaluations)
    ('finished', 2)
    """
    space, task = _resolve(space, task)
    limits = Budget.of(budget)
    if candidate_seconds is None and limits.seconds is not None:
        candidate_seconds = max(5.0, limits.seconds / 4)
    if candidate_seconds is not None and not candidate_seconds > 0:
        raise SearchError(f"candidate_seconds = {candidate_seconds!r}; expected a number > 0, or none")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise SearchError(f"seed = {seed!r}; expected an integer in [0, 2**63)")
    settings = Settings(
        space=space.spec,
        task=task.spec,
        task_name=task.name,
        task_hash=task.hash,
        strategy=strategy,
        budget=str(limits),
        seed=seed,
        recipe=asdict(find_recipe(recipe)),
        recipe_name=recipe if isinstance(recipe, str) else "",
        executor=check_executor(executor),
        candidate_seconds=candidate_seconds,
    )
    make_strategy(strategy, space)
    check_space(space, task, seed)
    opened = store if isinstance(store, Store) else Store(store or "sqlite://")
    run_id = new_run_id()
    opened.add_task(task)
    opened.add_recipe(settings.training, settings.recipe_name)
    opened.add_run(run_id, settings.to_data(), {**environment(), "task": repr(task)[1:-1]})
    return run(run_id, space, task, settings, opened, progress)


def run(run_id: str, space: Space, task: Task, settings: Settings, store: Store, progress: bool) -> SearchResult:
    """Run, or continue, a run that the store has a record of."""
    # From here on nothing holds the test part: loop, workers, result.
    loop = Loop(run_id, space, task.without_test(), settings, store)
    with make_progress(progress) as display:
        return loop.run(display)


def check_space(space: Space, task: Task, seed: int) -> None:
    """Refuse a space whose networks do not fit the task, by looking at one."""
    import numpy as np

    sample = space.sample(np.random.default_rng([seed, 0]))
    try:
        check_fit(sample, task)
    except NetloomError as error:
        raise SearchError(f"space {space.spec or space!r} does not fit task {task.name!r}: {error}") from None


def _resolve(space: Space | str, task: Task | str) -> tuple[Space, Task]:
    from .. import spaces, tasks

    if isinstance(task, str):
        task = tasks.load(task)
    elif not isinstance(task, tasks.Task):
        raise SearchError(f"a search needs a task such as 'digits' or nl.tasks.load(…), not {task!r}")
    if isinstance(space, str):
        space = spaces.load(space, input_shape=task.input_shape, num_classes=task.num_outputs)
    elif not isinstance(space, spaces.Space):
        raise SearchError(f"a search needs a space such as 'conv' or nl.spaces.Conv(…), not {space!r}")
    return space, task


def new_run_id() -> str:
    """A name for a run: when it began, and something random."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def environment() -> dict[str, str]:
    """Versions and machine, for the record."""
    import sys

    import numpy
    import sqlalchemy
    import torch

    from .. import __version__

    return {
        "netloom": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "sqlalchemy": sqlalchemy.__version__,
        "platform": f"{platform.system()} {platform.machine()}, {sys.byteorder}-endian",
        "machine": f"{platform.node()}, {processors()} processors, {torch.get_num_threads()} threads a process",
    }
