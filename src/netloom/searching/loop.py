"""The loop of a search: ask, score, record, tell; and how a run that stopped is picked up again."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..store import INEXACT, EvaluationRecord, Store
from .candidate import Job, Outcome
from .executors import EXECUTORS, check_executor
from .progress import Progress, Standing
from .result import SearchResult
from .settings import Settings
from .strategy import make_strategy

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..spaces import Space
    from ..tasks import Task

#: After so many asks in a row that gave nothing new, the space counts as exhausted.
MOST_REPEATS = 500


class Loop:
    """One run in progress. The store is written after every result, so a kill at any instant loses no finished one."""

    def __init__(self, run_id: str, space: Space, task: Task, settings: Settings, store: Store) -> None:
        self.run_id, self.task, self.settings, self.store = run_id, task, settings, store
        self._strategy = make_strategy(settings.strategy, space)
        self._executor = EXECUTORS[check_executor(settings.executor)](task, settings)
        self._standing = Standing(run_id, settings.limits)
        self._hashes: dict[str, EvaluationRecord | None] = {}  # None: in training
        self._waiting: dict[int, Graph] = {}
        self._repeats: dict[str, list[int]] = {}
        self._weights: dict[str, Any] = {}
        self._done: set[int] = set()
        self._next_ask = 0
        self._repeated = 0
        self._stop = False
        self._earlier = 0.0
        self._start = time.perf_counter()

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
            status = "interrupted" if self._stop else "exhausted" if self._repeated > MOST_REPEATS else "finished"
        except BaseException:
            self.store.update_run(self.run_id, status="stopped", seconds=self._seconds())
            raise
        finally:
            self._executor.close()
        self.store.update_run(self.run_id, status=status, seconds=self._seconds())
        return SearchResult(self.run_id, self.store, self.settings, self.task, status, self._seconds(), self._weights)

    def _seconds(self) -> float:
        return self._earlier + time.perf_counter() - self._start

    # -- asking ----------------------------------------------------------------------------------------------------
    def _fill(self) -> None:
        """Ask until every slot of the executor is taken or nothing more may be asked."""
        while len(self._waiting) < self._executor.slots and self._may_ask():
            ask = self._next_ask
            self._next_ask += 1
            if ask in self._done:
                continue
            graph = self._ask(ask)
            if graph.hash in self._hashes:
                self._repeated += 1
                self._again(ask, graph)
                continue
            self._repeated = 0
            known = self.store.find(self.settings.key(graph.hash))
            if known is not None and known.status not in INEXACT:
                self._told(ask, graph, known, reused=True)
                continue
            self._hashes[graph.hash] = None
            self._waiting[ask] = graph
            self._executor.submit(Job(ask, graph, self._best()))

    def _may_ask(self) -> bool:
        in_training = sum(record is None for record in self._hashes.values())
        spent = self._standing.budget.spent(self._seconds(), self._standing.candidates + in_training)
        return not self._stop and spent < 1 and self._repeated <= MOST_REPEATS

    def _ask(self, ask: int) -> Graph:
        import numpy as np

        return self._strategy.ask(ask, np.random.default_rng([self.settings.seed, ask]))

    def _again(self, ask: int, graph: Graph) -> None:
        """A candidate that this run has had: free, told at once or when the first one is done."""
        record = self._hashes[graph.hash]
        if record is None:
            self._repeats.setdefault(graph.hash, []).append(ask)
        else:
            self._note(ask, graph, record, reused=True)

    # -- telling ---------------------------------------------------------------------------------------------------
    def _finish(self, outcome: Outcome) -> None:
        """Record what the executor gives back."""
        graph = self._waiting.pop(outcome.ticket)
        record = self.store.record(graph, self.settings.key(graph.hash), outcome.record)
        if outcome.weights is not None and self._improves(graph, record):
            self._weights = {graph.hash: outcome.weights}
        self._told(outcome.ticket, graph, record, reused=False)

    def _told(self, ask: int, graph: Graph, record: EvaluationRecord, *, reused: bool) -> None:
        """A new candidate of this run has its result."""
        standing = self._standing
        standing.candidates += 1
        standing.failures += record.score is None
        if self._improves(graph, record):
            standing.best_score, standing.best_graph = record.score, graph
        self._hashes[graph.hash] = record
        self._note(ask, graph, record, reused=reused)
        standing.seconds = self._seconds()
        self.store.update_run(self.run_id, status="running", seconds=standing.seconds)
        self._display.told(standing, graph, record, reused)
        for repeat in self._repeats.pop(graph.hash, []):
            self._note(repeat, graph, record, reused=True)

    def _note(self, ask: int, graph: Graph, record: EvaluationRecord, *, reused: bool) -> None:
        self._done.add(ask)
        self._strategy.tell(ask, graph, record.score)
        self.store.add_proposal(self.run_id, ask, record.id, reused=reused, elapsed=self._seconds())

    def _improves(self, graph: Graph, record: EvaluationRecord) -> bool:
        """Whether this is the incumbent from now on: a higher score, or as high a one with fewer parameters."""
        best = self._standing.best_graph
        if record.score is None or best is None:
            return record.score is not None
        return (record.score, -graph.num_params) > (self._best(), -best.num_params)

    def _best(self) -> float:
        score = self._standing.best_score
        return float("-inf") if score is None else score

    # -- picking up, and being stopped -----------------------------------------------------------------------------
    def _replay(self) -> None:
        """Tell the strategy, in the old order, every result that the run has already."""
        past = self.store.evaluations(self.run_id)
        if past.empty:
            return
        self._earlier = float(self.store.run(self.run_id)["seconds"])
        graphs: dict[str, Graph] = {}
        for row in past.itertuples():
            score = None if row.score != row.score else float(row.score)
            if row.graph_hash not in graphs:
                graphs[row.graph_hash] = self.store.graph(row.graph_hash)
                self._standing.candidates += 1
                self._standing.failures += score is None
                self._hashes[row.graph_hash] = EvaluationRecord(row.status, score, row.seconds, row.error, id=int(row.id))
            graph = graphs[row.graph_hash]
            if self._improves(graph, EvaluationRecord(row.status, score, row.seconds)):
                self._standing.best_score, self._standing.best_graph = score, graph
            self._done.add(int(row.ask))
            self._strategy.tell(int(row.ask), graph, score)
        self._display.note(f"run {self.run_id}: {self._standing.candidates} candidates are done; going on from there")

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
