"""`resume`: go on with a run that was stopped or killed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import SearchError
from ..store import Store
from .budget import Budget
from .context import Context
from .executors import check_executor, make_executor
from .objectives import read_constraints
from .result import SearchResult
from .run import run, warmed
from .settings import Settings
from .strategy import Strategy, make_strategy

if TYPE_CHECKING:
    from ..spaces import Space
    from ..tasks import Task


def resume(
    run_id: str,
    store: Store | str,
    *,
    space: Space | None = None,
    task: Task | None = None,
    strategy: Strategy | None = None,
    budget: str | int | Budget | None = None,
    executor: str | None = None,
    progress: bool | str = True,
) -> SearchResult:
    """Continue the run ``run_id`` of ``store`` to where it would have come had it not been stopped.

    Space, task and strategy are made again from their names in the record, a network that the search started from is read
    from the store; give them where they have no name, or where their data are elsewhere now. ``budget`` (the whole of it, what
    is spent included) and ``executor`` may be changed. Raises `SearchError` where the task's data are not those of the run.
    """
    opened = store if isinstance(store, Store) else Store(store, must_exist=True)
    settings = Settings.from_data(opened.run(run_id)["settings"])
    task = _task(run_id, settings, task)
    if strategy is None and not settings.strategy:
        raise SearchError(f"run {run_id} used a strategy of its own; give it again as strategy=")
    if budget is not None:
        settings = replace(settings, budget=str(Budget.of(budget)))
    if executor is not None:
        settings = replace(settings, executor=check_executor(executor))
    context = Context(
        _space(run_id, settings, space, task),
        task=task.without_test(),
        store=opened,
        recipe=settings.training,
        budget=settings.limits,
        objectives=settings.objectives,
        constraints=read_constraints(settings.constraints),
        start=opened.graph(settings.start) if settings.start else None,
        start_weights=opened.load_weights(settings.start_weights) if settings.start_weights else None,
        seed=settings.seed,
    )
    if settings.warm_start:
        here = settings.warm_start == opened.shown_url
        warmed(context, opened if here else settings.warm_start, settings.incumbents)
    executes = make_executor(task.without_test(), settings)
    return run(run_id, context, make_strategy(strategy or settings.strategy), settings, executes, progress)


def _task(run_id: str, settings: Settings, task: Task | None) -> Task:
    from .. import tasks

    if task is None:
        if not settings.task:
            raise SearchError(f"run {run_id} used data of its own ({settings.task_name}); give them again as task=")
        task = tasks.load(settings.task)
    if task.hash != settings.task_hash:
        hashes = f"hash {task.hash[:12]}… where the run has {settings.task_hash[:12]}…"
        raise SearchError(f"the data of task {task.name!r} are not those of run {run_id}: {hashes}")
    return task


def _space(run_id: str, settings: Settings, space: Space | None, task: Task) -> Space | None:
    from .. import spaces

    if space is not None:
        if space.spec != settings.space:
            raise SearchError(f"run {run_id} used the space {settings.space!r}, not {space.spec!r}")
        return space
    if not settings.space:
        if settings.start:
            return None
        raise SearchError(f"run {run_id} used a space of its own; give it again as space=")
    if ":" in settings.space.partition("?")[0]:
        # A store is data: that it names code is no reason to run it.
        raise SearchError(
            f"run {run_id} draws from {settings.space}, code of its own; give it again as "
            f"space=netloom.spaces.load({settings.space!r}), or with --space {settings.space}"
        )
    return spaces.load(settings.space, input_shape=task.input_shape, num_classes=task.num_outputs)
