"""The loop of a search: ask, score, record, tell; and how a run that stopped is picked up again."""

from __future__ import annotations

import logging
import math
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..store import INEXACT, EvaluationKey, EvaluationRecord, Lineage
from .budget import Spent
from .candidate import Job, Outcome, as_arrays, as_tensors
from .context import Context
from .executors import Executor
from .initialising import Initialising, race_epochs
from .progress import Progress, Standing
from .proposal import Proposal, Result
from .result import SearchResult
from .settings import Settings
from .strategy import Strategy

_log = logging.getLogger("netloom.search")

#: After so many asks in a row that gave nothing new, the space counts as exhausted.
MOST_REPEATS = 500
#: Seconds between two notes of how long a run has worked.
_NOTED_EVERY = 5.0


class Loop:
    """One run in progress. The store is written after every result, so a kill at any instant loses no finished one."""

    def __init__(
        self, run_id: str, context: Context, strategy: Strategy, settings: Settings, executor: Executor
    ) -> None:
        assert context.store is not None and context.task is not None
        self.run_id, self.settings, self.store, self.task = run_id, settings, context.store, context.task
        self._context, self._strategy = context, strategy
        context.run_id, context.workers = run_id, executor.slots
        strategy.begin(context)
        self._initialising = Initialising(context, settings.init)
        self._executor = executor
        self._standing = Standing(run_id, settings.limits)
        self._results: dict[EvaluationKey, Result | None] = {}  # None: in training
        self._waiting: dict[int, tuple[Proposal, EvaluationKey]] = {}
        self._repeats: dict[EvaluationKey, list[tuple[int, Proposal]]] = {}
        self._done: set[int] = set()
        self._next_ask = 0
        self._repeated = 0
        self._stop = False
        self._out_of_proposals = False
        self._earlier = self._noted = 0.0
        self._start = time.perf_counter()
        self._folder = tempfile.mkdtemp(prefix="netloom-search-") if strategy.continues and executor.shares_files else None

    # -- the whole of it -------------------------------------------------------------------------------------------
    def run(self, display: Progress) -> SearchResult:
        """Replay what the store remembers of this run, then go on until the budget is spent."""
        self._display = display
        try:
            self._replay()
            self.store.update_run(self.run_id, status="running", seconds=self._earlier)
            with self._interruptible():
                self._fill()
                while self._waiting:
                    self._finish(self._executor.next_outcome())
                    self._fill()
            exhausted = self._repeated > MOST_REPEATS or self._out_of_proposals
            status = "interrupted" if self._stop else "exhausted" if exhausted else "finished"
        except BaseException:
            self.store.update_run(self.run_id, status="stopped", seconds=self._seconds())
            raise
        finally:
            self._executor.close()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
        self.store.update_run(self.run_id, status=status, seconds=self._seconds())
        return SearchResult(self.run_id, self._context, self.settings, self.task, status, self._seconds())

    def _seconds(self) -> float:
        return self._earlier + time.perf_counter() - self._start

    # -- asking ----------------------------------------------------------------------------------------------------
    def _fill(self) -> None:
        """Ask until every slot of the executor is taken or nothing more may be asked."""
        while len(self._waiting) < self._executor.slots and self._may_ask():
            if self._next_ask in self._done:
                self._next_ask += 1
                continue
            proposal = self._ask(self._next_ask)
            if proposal is None:
                self._out_of_proposals = not self._waiting
                return
            ask = self._next_ask
            self._next_ask += 1
            self._context.known.add(proposal.graph.hash)
            key = self._key(proposal)
            if key in self._results:
                self._repeated += 1
                self._again(ask, proposal, key)
                continue
            self._repeated = 0
            known = self.store.find(key)
            if known is not None and known.status not in INEXACT:
                self._told(ask, proposal, key, known, reused=True)
                continue
            self._results[key] = None
            self._waiting[ask] = (proposal, key)
            self._executor.submit(self._job(ask, proposal, key))

    def _may_ask(self) -> bool:
        used = self._standing.used
        flying = [(proposal, key) for proposal, key in self._waiting.values()]
        planned = Spent(
            self._seconds(),
            used.evaluations + len(flying),
            used.epochs + sum(key.fidelity for _, key in flying),
            used.multiply_adds + sum(self._multiply_adds(proposal, key) for proposal, key in flying),
        )
        return not self._stop and self._standing.budget.spent(planned) < 1 and self._repeated <= MOST_REPEATS

    def _multiply_adds(self, proposal: Proposal | Result, key: EvaluationKey) -> float:
        """Of a training: a forward pass of every sample, and a backward one that counts as two."""
        return proposal.graph.flops / 2 * 3 * len(self.task.train) * key.fidelity

    def _ask(self, ask: int) -> Proposal | None:
        import numpy as np

        context = self._context
        if ask == 0 and context.start is not None:
            weights = context.start_weights
            came = Lineage(proposed_by="start", initialised_by="random" if weights is None else "start")
            return Proposal(context.start, weights, None if weights is None else 0, lineage=came)
        first = ask - (context.start is not None)
        if first < len(context.incumbents):
            return self._initialising.apply(ask, context.incumbents[first])
        proposed = self._strategy.ask(ask, np.random.default_rng([self.settings.seed, ask]))
        return None if proposed is None else self._initialising.apply(ask, Proposal.of(proposed))

    def _key(self, proposal: Proposal) -> EvaluationKey:
        init = "random"
        if proposal.weights is not None:
            init = self.store.save_weights(proposal.weights)
        if proposal.recipe:
            self.store.add_recipe(self.settings.changed(proposal.recipe))
        return self.settings.key(proposal.graph.hash, recipe=proposal.recipe, epochs=proposal.epochs, init=init)

    def _job(self, ask: int, proposal: Proposal, key: EvaluationKey) -> Job:
        settings = self.settings
        return Job(
            ask, proposal.graph, settings.changed(proposal.recipe), key.fidelity, settings.seed,
            weights=None if proposal.weights is None else as_arrays(proposal.weights),
            max_seconds=settings.candidate_seconds,
            keep_from=-math.inf if self._strategy.inherits else self._best(),
            checkpoint=self._checkpoint(key),
            measured=settings.measured,
        )  # fmt: skip

    def _checkpoint(self, key: EvaluationKey) -> str | None:
        """The folder that a training shares with its continuations: all of its key but the number of epochs."""
        if self._folder is None:
            return None
        import hashlib

        training = hashlib.sha256(repr(replace(key, fidelity=0)).encode()).hexdigest()[:24]
        return str(Path(self._folder) / training)

    def _again(self, ask: int, proposal: Proposal, key: EvaluationKey) -> None:
        """A candidate that this run has had: free, told at once or when the first one is done."""
        result = self._results[key]
        if result is None:
            self._repeats.setdefault(key, []).append((ask, proposal))
        else:
            self._note(ask, replace(result, lineage=proposal.lineage, repeated=True))

    # -- telling ---------------------------------------------------------------------------------------------------
    def _finish(self, outcome: Outcome) -> None:
        """Record what the executor gives back."""
        proposal, key = self._waiting.pop(outcome.ticket)
        record = outcome.record
        if outcome.weights is not None and (
            self._strategy.inherits or self._improves(self._result(proposal, key, record, reused=False))
        ):
            hash = self.store.save_weights(as_tensors(outcome.weights))
            record = replace(record, artifacts={**record.artifacts, "weights": hash})
        kept = self.store.record(proposal.graph, key, record)
        self._told(outcome.ticket, proposal, key, kept, reused=False)

    def _note_seconds(self) -> None:
        """Let those who read along know how far the run is: now and then, for every candidate has its own time anyway."""
        if self._seconds() - self._noted >= _NOTED_EVERY:
            self._noted = self._seconds()
            self.store.update_run(self.run_id, status="running", seconds=self._noted)

    def _result(self, proposal: Proposal, key: EvaluationKey, record: EvaluationRecord, *, reused: bool) -> Result:
        return Result(
            proposal.graph, record.score, record.status, record.seconds, key.fidelity, record.metrics, proposal.recipe,
            proposal.lineage, record.id, reused,
        )  # fmt: skip

    def _told(self, ask: int, proposal: Proposal, key: EvaluationKey, record: EvaluationRecord, *, reused: bool) -> None:
        """A new candidate of this run has its result."""
        result = self._result(proposal, key, record, reused=reused)
        self._count(key, result)
        self._note(ask, result)
        self._standing.used.seconds = self._seconds()
        self._note_seconds()
        self._display.told(self._standing, result, record.error)
        level = logging.INFO if result.score is not None else logging.WARNING
        _log.log(level, "run %s, candidate %d: %s %s %s", self.run_id, ask, result.status, result.score, record.error[:200])
        for repeat, again in self._repeats.pop(key, []):
            self._note(repeat, replace(result, lineage=again.lineage, repeated=True))

    def _count(self, key: EvaluationKey, result: Result) -> None:
        """Take a result into account, whether new or replayed."""
        context, standing = self._context, self._standing
        context.known.add(result.graph.hash)
        if context.start is not None and context.start_result is None and result.lineage.proposed_by == "start":
            context.start_result = result
        self._results[key] = result
        standing.count(result, self._multiply_adds(result, key))
        if not result.reused:  # what chose its first weights was training too
            raced = race_epochs(result)
            standing.used.epochs += raced
            standing.used.multiply_adds += result.graph.flops / 2 * 3 * len(self.task.train) * raced
        if self._improves(result):
            standing.accept(result)

    def _note(self, ask: int, result: Result) -> None:
        self._done.add(ask)
        self._tell(ask, result)
        self.store.add_proposal(
            self.run_id, ask, result.evaluation, reused=result.reused or result.repeated, elapsed=self._seconds(),
            lineage=result.lineage,
        )  # fmt: skip

    def _tell(self, ask: int, result: Result) -> None:
        self._strategy.tell(ask, result)
        self._initialising.tell(result)

    def _improves(self, result: Result) -> bool:
        """Whether this is the incumbent from now on: a higher score, or as high a one with fewer parameters."""
        best = self._standing.best
        if result.score is None or not self._context.keeps(result):
            return False
        if best is None or best.score is None:
            return True
        return (result.score, -result.graph.num_params) > (best.score, -best.graph.num_params)

    def _best(self) -> float:
        best = self._standing.best
        return -math.inf if best is None or best.score is None else best.score

    # -- picking up, and being stopped -----------------------------------------------------------------------------
    def _replay(self) -> None:
        """Tell the strategy, in the old order, every result that the run has already."""
        past = self.store.proposals(self.run_id)
        if past.empty:
            return
        self._earlier = max(float(self.store.run(self.run_id)["seconds"]), float(past["elapsed"].max()))
        for row in past.itertuples():
            key = EvaluationKey(
                row.graph_hash, row.task_hash, row.recipe_hash, int(row.seed), int(row.fidelity), row.init, int(row.evaluator)
            )
            result = self._results.get(key)
            lineage = lineage_of(row)
            if result is None:
                result = result_of(row, self.store.graph(row.graph_hash), lineage)
                self._count(key, result)
            else:
                result = replace(result, lineage=lineage, repeated=True)
            self._done.add(int(row.ask))
            self._tell(int(row.ask), result)
        self._standing.used.seconds = self._earlier
        self._display.note(f"run {self.run_id}: {self._standing.used.evaluations} candidates are done; going on from there")

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """While inside, the first Ctrl-C lets the candidates in training finish; the second stops at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(*_: object) -> None:
            if self._stop:
                raise KeyboardInterrupt
            self._stop = True
            self._display.note(
                f"stopping when the candidates in training are done (Ctrl-C again stops at once); "
                f"go on later with: netloom search --resume {self.run_id} --store {self.store.shown_url}"
            )

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def lineage_of(row: Any) -> Lineage:
    """Where a candidate came from, from a row of `Store.proposals`."""
    predicted = None if row.predicted_score != row.predicted_score else float(row.predicted_score)
    return Lineage(tuple(row.parents), row.edit, row.proposed_by, row.scored_by, predicted, row.initialised_by)


def result_of(row: Any, graph: Any, lineage: Lineage) -> Result:
    """What a candidate came to, from a row of `Store.proposals`."""
    score = None if row.score != row.score else float(row.score)
    recipe = lineage.edit.get("recipe", {}) if isinstance(lineage.edit, dict) else {}
    return Result(
        graph, score, row.status, float(row.seconds), int(row.fidelity), dict(row.metrics), recipe, lineage, int(row.id),
        bool(row.reused),
    )  # fmt: skip
