"""`search`: check the settings, then let the loop run."""

from __future__ import annotations

import logging
import platform
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError, SearchError, StoreError
from ..store import Store
from ..training import Recipe
from ..training import recipe as find_recipe
from ..training.fit import check_fit
from .budget import Budget
from .context import Context
from .executors import Executor, check_executor, make_executor, processors
from .initialising import read_init
from .loop import Loop
from .objectives import Constraint, cap, read_constraints, read_objectives
from .progress import make_progress
from .result import SearchResult
from .settings import Settings
from .start import start_of
from .strategy import Strategy, make_strategy
from .warm_starting import METAFEATURES, as_proposals, described_tasks, distances, earlier_scores, incumbents_for, task_features

if TYPE_CHECKING:
    import torch

    from ..graph.graph import Graph
    from ..spaces import Space
    from ..tasks import Task


_log = logging.getLogger("netloom.search")


def search(
    space: Space | Graph | torch.nn.Module | str | None,
    task: Task | str,
    strategy: str | Strategy | None = None,
    budget: str | int | Budget = "60s",
    *,
    store: Store | str | None = None,
    seed: int = 0,
    propose: str | Sequence[str] | None = None,
    score: str | Sequence[str] | None = None,
    init: str | Sequence[str] | None = None,
    warm_start: Store | str | None = None,
    recipe: str | Recipe | Mapping[str, Any] = "express",
    executor: str = "inprocess",
    start: Graph | torch.nn.Module | None = None,
    start_name: str = "",
    objectives: str | Sequence[str] = ("score",),
    constraints: str | Constraint | Iterable[str | Constraint] | None = None,
    max_params: str | int | None = None,
    max_flops: str | int | None = None,
    max_macs: str | int | None = None,
    candidate_seconds: float | None = None,
    workers: int | None = None,
    threads: int | None = None,
    memory_bytes: int | None = None,
    progress: bool | str = True,
) -> SearchResult:
    """Search ``space`` for the network with the best validation score on ``task``.

    ``space`` and ``task`` may be given by name. A model or a `Graph` in the place of the space (or as ``start`` beside one) is
    where the search starts from: it is scored first, and evolves. ``budget`` is a time (``"20m"``; a candidate in training is
    finished), a number of different candidates, ``"500 epochs"``, ``"2e12 macs"``, or several between commas.

    ``strategy`` says how candidates are chosen (default: ``"evolution"``). In its place ``propose`` and ``score`` make one of
    parts, the ``"loop"`` (see `netloom.searching.ClosedLoop`): ``propose=["space", "mutation", "crossover", "generator",
    "netformer"]`` make candidates, a bandit shifts the budget to those that pay; ``score`` chooses among them before training:
    ``"predictor"``, the name of one, proxies such as ``"synflow"``, ``"ghn:FILE"``, several, or ``"none"``. ``init`` says what
    the first weights of a candidate are, whatever the strategy: ``"inherit"``, ``"random"``, ``"ghn:FILE"``,
    ``"netformer:FILE"``, the first that fits of several, or ``"auto"``, by which they race (default: as the strategy does).
    ``warm_start``, a store of searches on other tasks, gives the first candidates and a predictor, the more the more alike the
    tasks are by their meta-features.

    ``constraints`` are bounds such as ``"params <= 200k"``, ``"flops <= 50%"`` (of the start), ``"latency <= 2ms"`` or
    ``"score >= start - 0.01"``; ``max_params``, ``max_flops`` and ``max_macs`` say the commonest of them. ``objectives`` are
    names of `netloom.searching.objectives.MEASURES` for strategies that weigh several; ``result.front`` has the best of them.

    Every result goes to ``store`` (a `Store` or its URL; in memory by default), and what the store has already is not trained
    again. A candidate that fails is a result like any other. ``candidate_seconds`` bounds the training of one (default: a
    quarter of a budget in time); ``workers``, ``threads`` (of each) and ``memory_bytes`` (of each) bound an executor's
    processes. Ctrl-C finishes the candidates in training and stops; `netloom.searching.resume` goes on from there.
    ``progress`` is shown on the error stream, or printed as JSON lines with ``"json"``. The test part of the task is never
    read.

    Raises `SearchError` and its like for settings that make no sense, before any work starts.

    >>> import netloom as nl
    >>> space = nl.spaces.Conv(input_shape=(1, 8, 8), num_classes=10, conv_num=1, lin_num=1, max_macs=20_000)
    >>> result = nl.search(space, "digits", budget=2, recipe={"epochs": 1}, progress=False)
    >>> result.status, len(result.evaluations)
    ('finished', 2)
    """
    made = _strategy(strategy, propose, score)
    beginnings = read_init(init)
    found, task, first = _resolve(space, task, start)
    limits = Budget.of(budget)
    training = find_recipe(recipe)
    if made.continues and not training.is_extendable:
        training = replace(training, horizon_epochs=training.epochs)
    caps = (("params", max_params), ("flops", max_flops), ("macs", max_macs))
    bounds = (*read_constraints(constraints), *(cap(value, name) for name, value in caps if value is not None))
    for bound in bounds:
        if bound.is_relative and first is None:
            raise SearchError(f"constraint '{bound}' is relative to a network that the search starts from; give it as start=")
    opened = store if isinstance(store, Store) else Store(store or "sqlite://")
    settings = Settings(
        space="" if found is None else found.spec,
        task=task.spec,
        task_name=task.name,
        task_hash=task.hash,
        strategy=made.spec,
        budget=str(limits),
        seed=_checked_seed(seed),
        recipe=asdict(training),
        recipe_name=recipe if isinstance(recipe, str) else "",
        executor=check_executor(executor),
        candidate_seconds=_candidate_seconds(candidate_seconds, limits),
        objectives=read_objectives(objectives),
        constraints=tuple(map(str, bounds)),
        start="" if first is None else first.graph.hash,
        start_name=start_name,
        start_weights="" if first is None or first.weights is None else opened.save_weights(first.weights),
        workers=_whole("workers", workers),
        threads=_whole("threads", threads),
        memory_bytes=_whole("memory_bytes", memory_bytes),
        init=beginnings,
        warm_start="" if warm_start is None else warm_start.shown_url if isinstance(warm_start, Store) else str(warm_start),
    )
    context = Context(
        found,
        task=task.without_test(),
        store=opened,
        recipe=training,
        budget=limits,
        objectives=settings.objectives,
        constraints=bounds,
        start=None if first is None else first.graph,
        start_weights=None if first is None else first.weights,
        seed=seed,
    )
    check_space(context, seed)
    if warm_start is not None:
        settings = replace(settings, incumbents=warmed(context, warm_start, None))
    executes = make_executor(task.without_test(), settings)
    run_id = new_run_id()
    opened.add_task(task)
    opened.add_recipe(training, settings.recipe_name)
    if first is not None:
        opened.add_graph(first.graph)
    about: dict[str, Any] = {**environment(), "task": repr(task)[1:-1]}
    if opened.shown_url != "sqlite://":  # a store that outlives this process may help searches on other tasks
        about[METAFEATURES] = task_features(task)
    opened.add_run(run_id, settings.to_data(), about, strategy=_name(made))
    return run(run_id, context, made, settings, executes, progress)


def run(
    run_id: str, context: Context, strategy: Strategy, settings: Settings, executor: Executor, progress: bool | str
) -> SearchResult:
    """Run, or continue, a run that the store has a record of. Nothing in it holds the test part of the task."""
    loop = Loop(run_id, context, strategy, settings, executor)
    with make_progress(progress) as display:
        return loop.run(display)


def check_space(context: Context, seed: int) -> None:
    """Refuse a space whose networks do not fit the task, by looking at one; and what can only break the constraints."""
    import numpy as np

    if context.task is None:
        return
    if context.space is None:
        if context.constraints and context.start is not None:
            context.sample(np.random.default_rng([seed, 0]))
        return
    space, task = context.space, context.task
    sample = space.sample(np.random.default_rng([seed, 0]))
    try:
        check_fit(sample, task)
    except NetloomError as error:
        raise SearchError(f"space {space.spec or space!r} does not fit task {task.name!r}: {error}") from None
    context.sample(np.random.default_rng([seed, 0]))


def _strategy(given: str | Strategy | None, propose: Any, score: Any) -> Strategy:
    """The strategy that is meant, or the loop that is made of parts."""
    if propose is None and score is None:
        return make_strategy("evolution" if given is None else given)
    if given is not None and given != "loop":
        raise SearchError(
            f"strategy = {given!r} and propose=/score= are two answers to one question: the parts make the strategy 'loop'; "
            "leave strategy out, or say the parts as settings: 'loop?propose=space+mutation&score=predictor'"
        )
    from .strategies.closed_loop import ClosedLoop

    parts = {name: value for name, value in (("propose", propose), ("score", score)) if value is not None}
    return ClosedLoop(**parts)


def warmed(context: Context, given: Store | str, hashes: Sequence[str] | None) -> tuple[str, ...]:
    """Put into the context what a store of earlier tasks has for this one; gives the hashes of the graphs taken over.

    ``hashes`` are those of a run that is resumed: it goes on with the very same ones.
    """
    task, own = context.task, context.store
    assert task is not None and own is not None
    if hashes is not None:
        context.incumbents = as_proposals(tuple(own.graph(hash) for hash in hashes))
    try:
        store = given if isinstance(given, Store) else Store(given, must_exist=True)
    except StoreError as error:
        if hashes is None:
            raise
        _log.warning("the store of the warm start is not there any more; what it taught is left out: %s", error)
        return tuple(hashes)
    earlier = distances(task_features(task), described_tasks(store))
    if hashes is None:
        context.incumbents = as_proposals(incumbents_for(context, store, earlier))
    if store.shown_url == own.shown_url:  # what it has of this very task a predictor begins with anyway
        earlier = tuple(each for each in earlier if each.hash != task.hash)
    context.earlier = earlier_scores(context, store, earlier)
    for proposal in context.incumbents:
        own.add_graph(proposal.graph)
    return tuple(proposal.graph.hash for proposal in context.incumbents)


def _name(strategy: Strategy) -> str:
    return strategy.spec or strategy.name or type(strategy).__name__


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise SearchError(f"seed = {seed!r}; expected an integer in [0, 2**63)")
    return seed


def _whole(name: str, value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise SearchError(f"{name} = {value!r}; expected an integer ≥ 1, or none")
    return value


def _candidate_seconds(given: float | None, limits: Budget) -> float | None:
    if given is None:
        return None if limits.seconds is None else max(5.0, limits.seconds / 4)
    if not given > 0:
        raise SearchError(f"candidate_seconds = {given!r}; expected a number > 0, or none")
    return given


def _resolve(space: Any, task: Task | str, start: Any) -> tuple[Space | None, Task, Any]:
    """The space, the task, and the network that the search starts from."""
    from .. import spaces, tasks

    if isinstance(task, str):
        task = tasks.load(task)
    elif not isinstance(task, tasks.Task):
        raise SearchError(f"a search needs a task such as 'digits' or nl.tasks.load(…), not {task!r}")
    if isinstance(space, str):
        space = spaces.load(space, input_shape=task.input_shape, num_classes=task.num_outputs)
    first = start_of(space, task) if start is None else None
    if first is not None:
        return None, task, first
    if space is None and start is None:
        raise SearchError("a search needs a space, or a network to start from")
    if space is not None and not isinstance(space, spaces.Space):
        raise SearchError(f"a search needs a space such as 'conv' or nl.spaces.Conv(…), or a network, not {space!r}")
    if start is None:
        return space, task, None
    first = start_of(start, task)
    if first is None:
        raise SearchError(f"start = {start!r}; expected a model or a Graph")
    return space, task, first


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
