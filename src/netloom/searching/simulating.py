"""`simulate`: a strategy against a function that knows every score, such as a table of a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .budget import Budget
from .context import Context
from .loop import MOST_REPEATS
from .proposal import Proposal, Result
from .strategy import Strategy, make_strategy

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..spaces import Space


def simulate(
    space: Space,
    score: Callable[[Graph], float] | Callable[[Graph, int | None], float],
    strategy: str | Strategy = "random",
    budget: int = 100,
    *,
    seed: int = 0,
    objectives: tuple[str, ...] = ("score",),
    measures: Callable[[Graph], Mapping[str, float]] | None = None,
    fidelity: bool = False,
    recipe: Any = None,
) -> list[Result]:
    """The results, in order, of ``budget`` different candidates whose scores ``score(graph)`` gives; nothing is trained.

    With ``fidelity`` it is called as ``score(graph, epochs)``. ``measures`` gives further numbers of a graph by name. Repeats
    cost nothing; the asks are those of a search with this seed.

    >>> import netloom as nl
    >>> results = simulate(nl.spaces.NASBench201(), lambda graph: -graph.num_params, "evolution?population=10&sample=5", 30)
    >>> len(results), max(result.score for result in results)
    (30, -73306.0)
    """
    import numpy as np

    made = make_strategy(strategy)
    context = Context(space, budget=Budget.of(budget), objectives=objectives, seed=seed, recipe=recipe)
    made.begin(context)
    results: list[Result] = []
    known: dict[tuple[str, int | None], Result] = {}
    index = repeats = 0
    while len(results) < budget and repeats <= MOST_REPEATS:
        asked = made.ask(index, np.random.default_rng([seed, index]))
        if asked is None:
            break
        proposal = Proposal.of(asked)
        key = (proposal.graph.hash, proposal.epochs)
        context.known.add(proposal.graph.hash)
        repeats = repeats + 1 if key in known else 0
        if key in known:
            found = known[key]
            result = Result(
                found.graph, found.score, measures=found.measures, epochs=found.epochs, lineage=proposal.lineage, repeated=True
            )
        else:
            result = _scored(proposal, score, measures, fidelity)
            known[key] = result
            results.append(result)
        made.tell(index, result)
        index += 1
    return results


def _scored(proposal: Proposal, score: Any, measures: Any, fidelity: bool) -> Result:
    graph = proposal.graph
    value = float(score(graph, proposal.epochs) if fidelity else score(graph))
    return Result(
        graph, value, epochs=proposal.epochs or 0, measures={} if measures is None else measures(graph),
        lineage=proposal.lineage,
    )  # fmt: skip
