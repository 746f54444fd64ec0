"""What a search gives back."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import SearchError
from .candidate import Job, as_arrays, as_tensors, score_candidate
from .proposal import Result

if TYPE_CHECKING:
    import pandas

    from ..store import Store
    from ..tasks import Task
    from .context import Context
    from .objectives import Constraint
    from .settings import Settings


class Best:
    """The incumbent: of the candidates that keep to the constraints that with the highest score (of equals the smallest).

    ``network`` is the trained module as it was scored. Where its weights were not kept, it is trained again, from the same
    seed. ``violated`` are the constraints that it breaks, where no candidate keeps to all of them.
    """

    def __init__(
        self, result: Result, task: Task, settings: Settings, store: Store, violated: tuple[Constraint, ...] = ()
    ) -> None:
        self.graph, self.score, self.result, self.violated = result.graph, float(result.score or 0.0), result, violated
        self._task, self._settings, self._store = task, settings, store

    @cached_property
    def network(self) -> Any:
        """The trained network, in evaluation mode."""
        from ..building.network import build

        key, record = self._store.evaluation(self.result.evaluation)
        if "weights" in record.artifacts:
            weights: Any = self._store.load_weights(record.artifacts["weights"])
        else:
            first = None if key.init == "random" else as_arrays(self._store.load_weights(key.init))
            recipe = self._settings.changed(self.result.recipe)
            again = score_candidate(Job(0, self.graph, recipe, key.fidelity, key.seed, first), self._task)
            if again.weights is None:
                raise SearchError(f"trained again, {self.graph.hash} gives no network: {again.record.error}")
            weights = as_tensors(again.weights)
        return build(self.graph, weights=weights).eval()

    def __repr__(self) -> str:
        broken = f", breaks {', '.join(map(str, self.violated))}" if self.violated else ""
        return f"<Best: score {self.score:.4f}, {self.graph.num_params:,} parameters{broken}, {self.graph.hash}>"


class SearchResult:
    """A run of a search: its incumbent, and every evaluation.

    ``status``: ``finished`` (the budget is spent), ``exhausted`` (there are no more candidates) or ``interrupted``.
    """

    def __init__(
        self, run_id: str, context: Context, settings: Settings, task: Task, status: str, seconds: float
    ) -> None:
        assert context.store is not None
        self.run_id, self.store, self.settings = run_id, context.store, settings
        self.status, self.seconds = status, seconds
        self._context, self._task = context, task

    @cached_property
    def evaluations(self) -> pandas.DataFrame:
        """Every candidate of the run in the order told (see `netloom.store.Store.evaluations`)."""
        return self.store.evaluations(self.run_id)

    @cached_property
    def best(self) -> Best:
        """The incumbent; `SearchError` where no candidate has a score."""
        ranked = rank(self.store.proposals(self.run_id))
        if ranked.empty:
            count = len(self.evaluations)
            raise SearchError(f"none of the {count} candidates of run {self.run_id} has a score; see .evaluations")
        top = None
        for row in ranked.itertuples():
            result = self._result(row)
            violated = self._context.violated(result)
            if not violated:
                return self._as_best(result)
            top = top or (result, violated)
        assert top is not None
        return self._as_best(*top)

    @cached_property
    def front(self) -> tuple[Result, ...]:
        """The candidates that no other beats in all objectives at once, among those that keep to the constraints (Pareto)."""
        ranked = rank(self.store.proposals(self.run_id))
        kept = [result for row in ranked.itertuples() if not self._context.violated(result := self._result(row))]
        vectors = [self._context.vector(result) for result in kept]
        return tuple(result for result, vector in zip(kept, vectors) if not any(_beats(other, vector) for other in vectors))

    def _result(self, row: Any) -> Result:
        from .loop import lineage_of, result_of

        return result_of(row, self.store.graph(row.graph_hash), lineage_of(row))

    def _as_best(self, result: Result, violated: tuple[Constraint, ...] = ()) -> Best:
        return Best(result, self._task, self.settings, self.store, violated)

    def __repr__(self) -> str:
        return f"<SearchResult {self.run_id}: {self.status}, {len(self.evaluations)} candidates in {self.seconds:.0f} s>"


def _beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a != b and all(x >= y for x, y in zip(a, b))


def rank(evaluations: pandas.DataFrame) -> pandas.DataFrame:
    """The different candidates that have a score, best first; of one candidate its best evaluation."""
    scored = evaluations[evaluations["score"].notna()]
    ordered = scored.sort_values(["score", "num_params", "id"], ascending=[False, True, True], kind="stable")
    return ordered.drop_duplicates("graph_hash")


