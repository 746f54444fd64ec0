"""What a search gives back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import SearchError
from ..training import train

if TYPE_CHECKING:
    import pandas

    from ..graph.graph import Graph
    from ..store import Store
    from ..tasks import Task
    from .settings import Settings


class Best:
    """The incumbent: the candidate with the highest score (of equals the smallest, then the first).

    ``network`` is the trained module as it was scored. Where this process no longer has its weights (the run was
    resumed, or came from the store) it is trained again, from the same seed.
    """

    def __init__(
        self, graph: Graph, score: float, task: Task, settings: Settings, weights: Mapping[str, Any] | None = None
    ) -> None:
        self.graph, self.score = graph, score
        self._task, self._settings, self._weights = task, settings, weights

    @cached_property
    def network(self) -> Any:
        """The trained network, in evaluation mode."""
        if self._weights is None:
            return train(self.graph, self._task, self._settings.training, self._settings.seed).network
        import torch

        from ..building.network import build

        weights = {key: torch.from_numpy(array.copy()) for key, array in self._weights.items()}
        return build(self.graph, weights=weights).eval()

    def __repr__(self) -> str:
        return f"<Best: score {self.score:.4f}, {self.graph.num_params:,} parameters, {self.graph.hash}>"


class SearchResult:
    """A run of a search: its incumbent, and every evaluation.

    ``status``: ``finished`` (the budget is spent), ``exhausted`` (the space has no more candidates) or ``interrupted``.
    """

    def __init__(
        self, run_id: str, store: Store, settings: Settings, task: Task, status: str, seconds: float, weights: dict[str, Any]
    ) -> None:
        self.run_id, self.store, self.settings = run_id, store, settings
        self.status, self.seconds = status, seconds
        self._task, self._weights = task, weights

    @cached_property
    def evaluations(self) -> pandas.DataFrame:
        """Every candidate of the run in the order told (see `netloom.store.Store.evaluations`)."""
        return self.store.evaluations(self.run_id)

    @cached_property
    def best(self) -> Best:
        """The incumbent; `SearchError` where no candidate has a score."""
        ranked = rank(self.evaluations)
        if ranked.empty:
            count = len(self.evaluations)
            raise SearchError(f"none of the {count} candidates of run {self.run_id} has a score; see .evaluations")
        top = ranked.iloc[0]
        weights = self._weights.get(top["graph_hash"])
        return Best(self.store.graph(top["graph_hash"]), float(top["score"]), self._task, self.settings, weights)

    def __repr__(self) -> str:
        return f"<SearchResult {self.run_id}: {self.status}, {len(self.evaluations)} candidates in {self.seconds:.0f} s>"


def rank(evaluations: pandas.DataFrame) -> pandas.DataFrame:
    """The different candidates that have a score, best first."""
    scored = evaluations[evaluations["score"].notna()].drop_duplicates("graph_hash")
    return scored.sort_values(["score", "num_params", "id"], ascending=[False, True, True], kind="stable")
