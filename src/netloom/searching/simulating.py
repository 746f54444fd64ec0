"""`simulate`: a strategy against a function that knows every score, such as a table of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import SearchError
from ..store import Lineage
from .budget import Budget
from .context import Context
from .objectives import Constraint, read_constraints, read_objectives
from .proposal import Proposal, Result
from .strategy import Strategy, make_strategy

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..spaces import Space

#: After so many asks in a row that gave nothing new, the space counts as exhausted.
MOST_REPEATS = 500


class Simulation:
    """A search without training, step by step: what `netloom.search` does with a strategy, and nothing else.

    ``told`` has every ask index and result in the order told; a new simulation that `replay`\\ s it goes on from there, as a
    search that is resumed does. ``pending`` are the asks whose results are missing.
    """

    def __init__(self, context: Context, strategy: Strategy, score: Callable[[Proposal], Result]) -> None:
        self.context, self.strategy = context, strategy
        self._score = score
        self.told: list[tuple[int, Result]] = []
        self.pending: dict[int, Proposal] = {}
        self.repeats = 0
        self._known: dict[tuple[Any, ...], Result] = {}
        self._done: set[int] = set()
        self._next = 0
        strategy.begin(context)

    @property
    def results(self) -> list[Result]:
        """The results of different candidates, in the order told."""
        return [result for _, result in self.told if not result.repeated]

    def ask(self) -> int | None:
        """Ask for one more candidate; its index, or None where the strategy waits for results or has no more."""
        import numpy as np

        while self._next in self._done:
            self._next += 1
        index, context = self._next, self.context
        if index == 0 and context.start is not None:
            asked: Proposal | Graph | None = Proposal(context.start, lineage=Lineage(proposed_by="start"))
        else:
            asked = self.strategy.ask(index, np.random.default_rng([context.seed, index]))
        if asked is None:
            return None
        proposal = Proposal.of(asked)
        self._next += 1
        self.repeats = self.repeats + 1 if _key(proposal) in self._known else 0
        context.known.add(proposal.graph.hash)
        self.pending[index] = proposal
        return index

    def tell(self, index: int) -> Result:
        """Score a candidate that was asked for, and tell the strategy."""
        proposal = self.pending.pop(index)
        known = self._known.get(_key(proposal))
        if known is not None:
            result = replace(known, lineage=proposal.lineage, repeated=True)
        else:
            result = replace(self._score(proposal), recipe=proposal.recipe, lineage=proposal.lineage)
        self._told(index, result, _key(proposal))
        return result

    def replay(self, told: Iterable[tuple[int, Result]]) -> None:
        """Tell the strategy, in the old order, what another simulation was told."""
        for index, result in told:
            self._told(index, result, _key(Proposal(result.graph, None, result.epochs, result.recipe)))

    def _told(self, index: int, result: Result, key: tuple[Any, ...]) -> None:
        context = self.context
        context.known.add(result.graph.hash)
        if context.start is not None and context.start_result is None and result.lineage.proposed_by == "start":
            context.start_result = result
        self._known.setdefault(key, result)
        self._done.add(index)
        self.told.append((index, result))
        self.strategy.tell(index, result)


def _key(proposal: Proposal) -> tuple[Any, ...]:
    return proposal.graph.hash, proposal.epochs or 0, repr(sorted(proposal.recipe.items()))


def simulate(
    space: Space | None,
    score: Callable[[Graph], float | None] | Callable[[Graph, int | None], float | None],
    strategy: str | Strategy = "random",
    budget: int = 100,
    *,
    seed: int = 0,
    objectives: str | tuple[str, ...] = ("score",),
    constraints: str | Constraint | Iterable[str | Constraint] | None = None,
    measures: Callable[[Graph], Mapping[str, float]] | None = None,
    fidelity: bool = False,
    recipe: Any = None,
    start: Graph | None = None,
    workers: int = 1,
) -> list[Result]:
    """The results, in order, of ``budget`` different candidates whose scores ``score(graph)`` gives; nothing is trained.

    A score of None or NaN is a failure. With ``fidelity`` it is called as ``score(graph, epochs)``. ``measures`` gives further
    numbers of a graph by name. Repeats cost nothing; the asks are those of a search with this seed. ``workers`` are candidates
    in the air at once, told in a random order. ``start`` is a graph that the search begins with; ``space`` may be None then.

    >>> import netloom as nl
    >>> results = simulate(nl.spaces.NASBench201(), lambda graph: -graph.num_params, "evolution?population=10&sample=5", 30)
    >>> len(results), max(result.score for result in results)
    (30, -73306.0)
    """
    import numpy as np

    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise SearchError(f"workers = {workers!r}; expected an integer ≥ 1")
    context = Context(
        space, budget=Budget.of(budget), objectives=read_objectives(objectives), constraints=read_constraints(constraints),
        seed=seed, recipe=recipe, start=start,
    )  # fmt: skip
    run = Simulation(context, make_strategy(strategy), lambda proposal: _scored(proposal, score, measures, fidelity))
    order, found = np.random.default_rng([seed, workers]), 0
    while found < budget and run.repeats <= MOST_REPEATS:
        while len(run.pending) < min(workers, budget - found) and run.ask() is not None:
            pass
        if not run.pending:
            break
        waiting = list(run.pending)
        found += not run.tell(waiting[int(order.integers(len(waiting)))] if workers > 1 else waiting[0]).repeated
    return run.results


def _scored(proposal: Proposal, score: Any, measures: Any, fidelity: bool) -> Result:
    graph = proposal.graph
    value = score(graph, proposal.epochs) if fidelity else score(graph)
    given = None if value is None or math.isnan(value) else float(value)
    return Result(
        graph, given, "ok" if given is not None else "failed", epochs=proposal.epochs or 0,
        measures={} if measures is None else measures(graph),
    )  # fmt: skip
