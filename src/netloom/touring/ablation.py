"""The ablation: searches at equal budget, each with one part more than the one before."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SearchError
from ..searching import Budget, ClosedLoop, resume, search
from ..searching.learned_weights import shipped_hypernetworks
from ..searching.settings import Settings
from ..store import Store

if TYPE_CHECKING:
    import numpy

    from ..searching import SearchResult
    from ..spaces import Space
    from ..tasks import Task

#: Random candidates that every loop begins with, and results after which its predictor speaks.
_FIRST = 6


@dataclass(frozen=True, slots=True)
class Step:
    """A search with one part more: how its candidates are proposed, chosen before training, and begun.

    ``without`` says of a task why the step is left out; empty where it is not.
    """

    name: str
    about: str
    propose: str
    score: str
    init: str
    without: Callable[[Task], str] = field(default=lambda task: "")

    @property
    def strategy(self) -> ClosedLoop:
        """The loop of this step."""
        return ClosedLoop(self.propose, self.score, initial=_FIRST, after=_FIRST, population=20, sample=6)


def _no_hypernetwork(task: Task) -> str:
    return "" if shipped_hypernetworks(task) else "no hypernetwork that comes with netloom was trained on this task"


#: What is added, step by step.
STEPS = (
    Step("random", "samples of the space, from random weights", "space", "none", "random"),
    Step("+ filter", "a predictor chooses among 20 samples", "space", "predictor", "random"),
    Step("+ inheritance", "children of good ones, with their weights", "space+mutation+crossover", "predictor", "inherit"),
    Step(
        "+ predicted weights", "a hypernetwork's weights race with those", "space+mutation+crossover", "predictor", "auto",
        _no_hypernetwork,
    ),
    Step("+ Netformer", "a Netformer proposes and initialises", "space+mutation+crossover+netformer", "predictor", "auto"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """One search of an ablation: the best score so far, ``best[i]``, after ``spent[i]`` of the budget's unit.

    ``seconds`` is how long it took, what predictors and hypernetworks computed among it.
    """

    step: str
    seed: int
    run_id: str
    spent: tuple[float, ...]
    best: tuple[float, ...]
    test_score: float | None = None
    seconds: float = field(default=0.0, compare=False)

    def at(self, amounts: Any) -> numpy.ndarray:
        """The best score after each of these amounts; NaN before the first candidate."""
        import numpy as np

        places = np.searchsorted(self.spent, np.asarray(amounts) + 1e-9, side="right") - 1
        values = np.append(np.asarray(self.best, dtype=float), np.nan)
        return values[places]


@dataclass(frozen=True, slots=True)
class Ablation:
    """What every step came to. ``unit`` is what budgets are counted in, ``left_out`` the steps that do not fit, with why."""

    task: str
    budget: str
    unit: str
    score_name: str
    runs: tuple[Run, ...]
    left_out: dict[str, str]

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps that were run, in order."""
        done = {run.step for run in self.runs}
        return tuple(step.name for step in STEPS if step.name in done)

    def of(self, step: str) -> tuple[Run, ...]:
        """The runs of a step, by seed."""
        return tuple(sorted((run for run in self.runs if run.step == step), key=lambda run: run.seed))

    def final(self, step: str) -> tuple[float, ...]:
        """The best score at the end, of each seed."""
        return tuple(run.best[-1] for run in self.of(step) if run.best)

    def gain(self, step: str) -> tuple[float, float | None] | None:
        """What a step gained over the one before, mean over seeds that both have, and half its 95 % interval.

        None for the first step; the half is None where there is one seed only.
        """
        place = self.steps.index(step)
        return None if place == 0 else paired(self.of(self.steps[place - 1]), self.of(step))


def paired(before: Sequence[Run], after: Sequence[Run]) -> tuple[float, float | None] | None:
    """Mean difference of the final scores of equal seeds, and half of its 95 % interval (Student's t)."""
    import numpy as np
    from scipy.stats import t

    known = {run.seed: run.best[-1] for run in before if run.best}
    gaps = [run.best[-1] - known[run.seed] for run in after if run.best and run.seed in known]
    if not gaps:
        return None
    if len(gaps) < 2:
        return float(gaps[0]), None
    return float(np.mean(gaps)), float(t.ppf(0.975, len(gaps) - 1) * np.std(gaps, ddof=1) / np.sqrt(len(gaps)))


def ablate(
    task: Task,
    space: Space | str,
    folder: str | Path,
    *,
    budget: str | int = "100 epochs",
    seeds: Sequence[int] = (0,),
    steps: Sequence[Step] = STEPS,
    recipe: Any = "express",
    executor: str = "inprocess",
    test: bool = False,
    progress: bool | str = False,
    tell: Callable[[str], object] = lambda text: None,
    **options: Any,
) -> Ablation:
    """Run every step with every seed, each with the same budget, and give what they came to.

    Each run has a store of its own in ``folder``, for what one search found must not help another; what is finished there is
    not run again, what was stopped goes on. Seeds are the outer loop: whatever stops it, there are whole comparisons. ``tell``
    hears a line for each run; ``test`` also reads the task's test part, once for each run, with the best network. ``options``
    are further ones of `nl.search`.
    """
    from ..training import evaluate

    left_out = {step.name: why for step in steps if (why := step.without(task))}
    limits = Budget.of(budget)
    runs = []
    for seed in seeds:
        for step in steps:
            if step.name in left_out:
                tell(f"{step.name}: left out, {left_out[step.name]}")
                continue
            own = {**options, "progress": progress}
            result = _run(task, space, store_of(folder, step, seed), step, budget, seed, recipe, executor, own)
            score = float(evaluate(result.best.network, task.test).score) if test else None
            run = replace(curve_of(step.name, seed, result, limits, len(task.train)), test_score=score)
            runs.append(run)
            result.store.close()
            tell(f"{step.name}, seed {seed}: {run.best[-1]:.4f} after {len(run.best)} candidates, {result.seconds:.0f} s")
    return Ablation(task.name, str(limits), unit_of(limits), task.score_name, tuple(runs), left_out)


def store_of(folder: str | Path, step: Step, seed: int) -> Store:
    """The store of one run."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    word = "-".join(re.findall(r"[a-z]+", step.name.lower()))
    return Store(f"sqlite:///{place / f'{word}-{seed}.db'}")


def _run(
    task: Task, space: Any, store: Store, step: Step, budget: Any, seed: int, recipe: Any, executor: str, options: Any
) -> SearchResult:
    """The finished run of a step and seed that the store has; else a new one, or the rest of one that was stopped."""
    spec = step.strategy.spec
    for run_id in reversed(store.run_ids()):
        try:
            settings = Settings.from_data(store.run(run_id)["settings"])
        except SearchError:  # of another version
            continue
        same = (settings.task_hash, settings.strategy, settings.init, settings.seed, settings.budget)
        if same == (task.hash, spec, step.init, seed, str(Budget.of(budget))):
            own = None if isinstance(space, str) else space
            return resume(run_id, store, task=task, space=own, progress=options.get("progress", False))
    return search(
        space, task, step.strategy, budget, store=store, seed=seed, init=step.init, recipe=recipe, executor=executor,
        **options,
    )  # fmt: skip


def unit_of(limits: Budget) -> str:
    """What a budget is counted in; of several the first of epochs, multiply–adds, seconds, candidates."""
    if limits.epochs is not None:
        return "epochs of training"
    if limits.multiply_adds is not None:
        return "multiply–adds"
    return "seconds" if limits.seconds is not None else "candidates"


def curve_of(step: str, seed: int, result: SearchResult, limits: Budget, num_train: int) -> Run:
    """The best score so far over what was spent, of a search on so many training samples."""
    unit = unit_of(limits)
    rows = result.store.proposals(result.run_id)
    spent, best, spent_so_far, best_so_far = [], [], 0.0, float("-inf")
    for count, row in enumerate(rows.itertuples(), 1):
        raced = row.edit.get("race_epochs", 0.0) if isinstance(row.edit, dict) else 0.0
        epochs = 0.0 if row.reused else float(row.fidelity) + float(raced)
        cost = {"seconds": row.elapsed - spent_so_far, "multiply–adds": epochs * row.flops * 1.5 * num_train}
        spent_so_far += cost.get(unit, epochs if unit != "candidates" else count - spent_so_far)
        if row.score == row.score:
            best_so_far = max(best_so_far, float(row.score))
        if best_so_far > float("-inf"):
            spent.append(spent_so_far)
            best.append(best_so_far)
    if not best:
        raise SearchError(f"none of the {len(rows)} candidates of run {result.run_id} has a score")
    return Run(step, seed, result.run_id, tuple(spent), tuple(best), seconds=round(result.seconds, 1))
