"""`make`: a zoo of trained networks, in a folder, whatever interrupts it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ..errors import ZooError
from ..tasks.loading import load
from ..training.many_progress import ManyDisplay
from ..training.results import TrainingResult
from .config import FAMILIES, ZooConfig
from .datasheet import write_datasheet
from .files import PLAN, locked, remove_partial, replace_file, table_path
from .plan import Plan
from .population import Zoo
from .shards import draw, make_shard
from .stored_tasks import PER_FILE, StoredTasks, write_tasks


def make(
    path: str | os.PathLike[str],
    models: int = 1000,
    tasks: int | str | Sequence[str] | None = None,
    config: ZooConfig | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    seed: int = 0,
    *,
    processes: int = 1,
    progress: bool = False,
    **settings: Any,
) -> Zoo:
    """Train ``models`` random networks on ``tasks`` tasks, and write them to the folder ``path``.

    ``tasks`` is a number of random regressions (a half as many as models, unless given), or the specs of tasks. ``config`` is a
    `ZooConfig`, a mapping of its fields or a ``.json`` file of them; ``settings`` change single fields. The same call gives the
    same networks. Killed at any instant and called again, it goes on: what is complete stays, what was half written is never
    read. ``processes`` train several shards at a time; ``progress`` says how far it is.

    Raises `ZooError` where settings make no sense, or the folder holds another zoo or anything else.

    >>> import tempfile
    >>> zoo = make(tempfile.mkdtemp() + "/zoo", models=20, tasks=4, epochs=5)
    >>> len(zoo), len(zoo.tasks), zoo.check()
    (20, 4, [])
    """
    plan = plan_of(models, tasks, config, seed, settings)
    if isinstance(processes, bool) or not isinstance(processes, int) or processes < 1:
        raise ZooError(f"processes = {processes!r}; expected a whole number ≥ 1")
    folder = Path(path)
    _refuse_impossible(plan)
    with locked_for(folder, plan):
        remove_partial(folder)
        _make_tasks(folder, plan)
        _make_shards(folder, plan, processes, progress)
        write_datasheet(folder)
    return Zoo(folder)


def _refuse_impossible(plan: Plan) -> None:
    """Raise what the first task and the first network would, before anything is written."""
    task = load(plan.task_spec(0))
    draw(plan, 0, task)


def plan_of(models: int, tasks: Any, config: Any, seed: int, settings: Mapping[str, Any]) -> Plan:
    """The plan that the arguments of `make` ask for."""
    if isinstance(config, str | os.PathLike):
        try:
            config = ZooConfig.from_json(Path(config).read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise ZooError(f"the configuration {os.fspath(config)!r} cannot be read: {error}") from None
    given: dict[str, Any] = asdict(config) if isinstance(config, ZooConfig) else dict(config or {})
    if "recipe" in settings and "epochs" not in settings:
        given.pop("epochs", None)
    given |= settings
    if tasks is not None and not isinstance(tasks, int):
        given["task_specs"] = (tasks,) if isinstance(tasks, str) else tuple(tasks)
        tasks = None
    if isinstance(tasks, int) and given.get("family", "mlp") != "mlp" and not given.get("task_specs"):
        # As many splits of the family's task.
        (spec,) = FAMILIES[given["family"]].task_specs if given["family"] in FAMILIES else ("",)
        given["task_specs"] = tuple(spec if number == 0 else f"{spec}?seed={number}" for number in range(tasks))
    made = ZooConfig.from_json(given)
    if tasks is None:
        tasks = len(made.task_specs) or max(1, models // 2 if isinstance(models, int) else 1)
    return Plan(made, models, tasks, seed)


@contextmanager
def locked_for(folder: Path, plan: Plan) -> Iterator[None]:
    """Inside, the folder is that of this plan's zoo and no other process makes it."""
    if folder.exists() and not folder.is_dir():
        raise ZooError(f"{str(folder)!r} is a file; give a folder")
    mine = folder / PLAN
    if folder.is_dir() and not mine.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise ZooError(f"{str(folder)!r} holds other things; give a new or empty folder")
    with locked(folder):
        if mine.exists():
            refuse_other(Plan.from_json(mine.read_text(encoding="utf-8"), str(mine)), plan, folder)
        else:
            replace_file(mine, lambda partial: partial.write_text(plan.to_json(), encoding="utf-8"))
        yield


def refuse_other(found: Plan, plan: Plan, folder: Path) -> None:
    """`ZooError` naming what differs where a folder is that of another zoo."""
    theirs, mine = ({**asdict(p.config), "models": p.models, "tasks": p.tasks, "seed": p.seed} for p in (found, plan))
    for name, value in mine.items():
        if theirs[name] != value:
            raise ZooError(
                f"{str(folder)!r} holds a zoo of {name} {_short(theirs[name])}, not {_short(value)}; "
                "give the same settings to go on with it, or another folder"
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "…"


def _make_tasks(folder: Path, plan: Plan) -> None:
    for number in range(-(-plan.tasks // PER_FILE)):
        if not table_path(folder, "tasks", number).exists():
            places = range(number * PER_FILE, min((number + 1) * PER_FILE, plan.tasks))
            write_tasks(folder, number, [(place, load(plan.task_spec(place))) for place in places])


def _make_shards(folder: Path, plan: Plan, processes: int, progress: bool) -> None:
    missing = [number for number in range(plan.shards) if not table_path(folder, "weights", number).exists()]
    done = len(plan) - sum(len(plan.shard(number)) for number in missing)
    with ManyDisplay(progress, len(plan), earlier=done) as display:
        if processes == 1 or len(missing) < 2:
            tasks = StoredTasks(folder, plan.tasks)
            for number in missing:
                make_shard(folder, plan, number, tasks, display.on_result)
            return
        # Started afresh: a copy of this process would have its threads' locks, but not its threads.
        pool = ProcessPoolExecutor(min(processes, len(missing)), get_context("spawn"), _start_worker)
        try:
            jobs = {pool.submit(_work, str(folder), number): number for number in missing}
            for job in as_completed(jobs):
                for status in job.result():
                    display.on_status(status)
        except BrokenProcessPool:
            raise ZooError("a process that trained networks was killed; call again to go on from what is complete") from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    import torch

    torch.set_num_threads(1)


def _work(path: str, number: int) -> list[str]:
    """Make a shard in another process; gives the statuses of its networks."""
    folder, found = Path(path), list[TrainingResult]()
    plan = Plan.from_json((folder / PLAN).read_text(encoding="utf-8"))
    make_shard(folder, plan, number, StoredTasks(folder, plan.tasks), found.append)
    return [result.status for result in found]
