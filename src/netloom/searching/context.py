"""`Context`: what a strategy may know of the search that it works for."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError, SearchError
from .objectives import STATIC, Constraint, caps_of, static_measure

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph
    from ..spaces import Space
    from ..store import Store
    from ..tasks import Task
    from ..training import Recipe
    from .budget import Budget
    from .proposal import Proposal, Result
    from .warm_starting import Earlier

#: Samples that may break the constraints, in a row, before a space counts as having none that keep them.
_TRIES = 1000
#: Trained networks that are kept in memory.
_NETWORKS = 16


class Context:
    """The space, the start, the constraints and the memory of one search.

    ``space`` is where fresh candidates come from; None where a search starts from a network (``start``, with
    ``start_weights``) alone. ``objectives`` are names of measures, the first one the score of most strategies.
    """

    def __init__(
        self,
        space: Space | None = None,
        *,
        task: Task | None = None,
        store: Store | None = None,
        recipe: Recipe | None = None,
        budget: Budget | None = None,
        objectives: tuple[str, ...] = ("score",),
        constraints: tuple[Constraint, ...] = (),
        start: Graph | None = None,
        start_weights: Any = None,
        incumbents: tuple[Proposal, ...] = (),
        earlier: Earlier | None = None,
        seed: int = 0,
    ) -> None:
        self.space, self.task, self.store, self.recipe, self.budget = space, task, store, recipe, budget
        self.objectives, self.seed = objectives, seed
        self.constraints = (*constraints, *caps_of(space))
        self.start, self.start_weights = start, start_weights
        #: What a warm start takes over: networks that are tried first, and scores on other tasks.
        self.incumbents, self.earlier = incumbents, earlier
        #: The name of the run, where a store records it.
        self.run_id = ""
        #: Candidates that train at the same time: with several, what learns does so beside them (see `Refits`).
        self.workers = 1
        #: What the start came to, once it is known.
        self.start_result: Result | None = None
        #: Hashes of all graphs that were asked for or told.
        self.known: set[str] = set()
        self._networks: OrderedDict[int, Any] = OrderedDict()

    # -- candidates ------------------------------------------------------------------------------------------------
    def sample(self, rng: numpy.random.Generator) -> Graph:
        """A fresh member of the space that keeps to the constraints; without a space, the start with random edits."""
        if self.space is None:
            return self._around_the_start(rng)
        for _ in range(_TRIES):
            graph = self.space.sample(rng)
            if self.allows(graph):
                return graph
        raise SearchError(
            f"{_TRIES} samples in a row of space {self.space.spec or self.space!r} break one of the constraints "
            f"{', '.join(map(str, self.constraints))}; loosen them, or give the space the caps as settings"
        )

    def _around_the_start(self, rng: numpy.random.Generator) -> Graph:
        from .offspring import random_walk

        if self.start is None:
            raise SearchError("a search needs a space, or a network to start from")
        graph = random_walk(self, self.start, rng)
        if not self.allows(graph):
            raise SearchError(
                f"no random edit of the start, pruned to a tenth of its widths where need be, keeps to {self._bounds()}; "
                "loosen the constraints, or start from another network"
            )
        return graph

    def _bounds(self) -> str:
        """The constraints that can be told without training, each with what the start has."""
        known = [constraint for constraint in self.constraints if constraint.name in STATIC]
        return ", ".join(f"{constraint} (the start has {self.start_value(constraint.name):,.0f})" for constraint in known)

    def allows(self, graph: Graph) -> bool:
        """Whether a graph keeps to all constraints that can be told without training it, and fits the task."""
        for constraint in self.constraints:
            if constraint.name in STATIC and not constraint.holds(
                static_measure(graph, constraint.name), self.start_value(constraint.name)
            ):
                return False
        if self.task is None:
            return True
        from ..training.fit import check_fit

        try:
            check_fit(graph, self.task)
        except NetloomError:
            return False
        return True

    def known_graph(self, graph: Graph) -> bool:
        """Whether this search has had a graph already, asked or told."""
        return graph.hash in self.known

    def start_value(self, name: str) -> float | None:
        """A measure of the network that the search started from, where it is known."""
        if self.start is None:
            return None
        if name in STATIC:
            return static_measure(self.start, name)
        return None if self.start_result is None else self.start_result.measure(name)

    # -- results ---------------------------------------------------------------------------------------------------
    def keeps(self, result: Result) -> bool:
        """Whether a result has a score and keeps to all constraints."""
        return result.score is not None and not self.violated(result)

    def violated(self, result: Result) -> tuple[Constraint, ...]:
        """The constraints that a result breaks."""
        return tuple(c for c in self.constraints if not c.holds(result.measure(c.name), self.start_value(c.name)))

    def vector(self, result: Result) -> tuple[float, ...]:
        """The objectives of a result, each the better the higher; minus infinity for what it has not."""
        found = []
        for name in self.objectives:
            value = result.measure(name)
            found.append(float("-inf") if value is None else value if name == "score" else -value)
        return tuple(found)

    def network(self, result: Result) -> Any:
        """The network of a result with its trained weights, in evaluation mode; do not change it.

        None where the weights were not kept.
        """
        if result.evaluation in self._networks:
            self._networks.move_to_end(result.evaluation)
            return self._networks[result.evaluation]
        weights = self._weights(result)
        if weights is None:
            return None
        from ..building.network import build

        network = build(result.graph, weights=weights).eval()
        self._networks[result.evaluation] = network
        if len(self._networks) > _NETWORKS:
            self._networks.popitem(last=False)
        return network

    def _weights(self, result: Result) -> Any:
        if self.store is None or not result.evaluation:
            return None
        hash = self.store.evaluation(result.evaluation)[1].artifacts.get("weights")
        return None if hash is None else self.store.load_weights(hash)
