"""The suite that holds a strategy to its contract: `check_strategy`, and each of its parts.

Nothing is trained: candidates are scored by a function, as `netloom.searching.simulate` does. A part raises AssertionError that
says what the strategy did and what was expected.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from ..graph.builder import call, input
from ..graph.graph import Graph
from ..searching import Budget, Context, Proposal, Result, Strategy, make_strategy
from ..searching.objectives import read_constraints
from ..searching.simulating import MOST_REPEATS, Simulation
from ..spaces import Space, from_function
from ..training import Recipe

Score = Callable[[Graph], "float | None"]
#: What a strategy is made by: a call without arguments, or the text of `make_strategy`.
Maker = Callable[[], Strategy] | str


def perceptrons(choose: Any) -> Graph:
    """A perceptron of one to three hidden layers; as a space it has edits and crossings of its own, and an end."""
    x = value = input(16)
    for i in range(choose.integer("depth", 1, 3)):
        value = call("relu", call("linear", value, choose(f"width{i}", [8, 12, 16, 24, 32, 48, 64])))
    return Graph(x, call("linear", value, 4))


def few(choose: Any) -> Graph:
    """One of six perceptrons."""
    x = input(4)
    return Graph(x, call("linear", call("relu", call("linear", x, choose("width", [2, 3, 4, 5, 6, 7]))), 2))


def size_score(graph: Graph) -> float:
    """A score between 0 and 1 that neighbours share: the nearer to 2,000 parameters the better."""
    return float(1 / (1 + abs(np.log(graph.num_params / 2000))))


def check_strategy(
    make: Maker, space: Space | None = None, score: Score = size_score, *, count: int = 40, seed: int = 0,
    objectives: tuple[str, ...] = ("score",), max_params: int = 5000, tiny: Space | None = None,
) -> None:  # fmt: skip
    """Every check, on ``count`` candidates of a space (by default of `perceptrons`) at a time.

    ``max_params`` is a constraint that some samples of the space break; ``tiny`` a space with few members that strategies do
    not leave.

    >>> check_strategy("random", count=10)
    """
    space = space if space is not None else from_function(perceptrons)
    made = _made(make)
    assert isinstance(made, Strategy), f"{made!r} is no Strategy: derive its class from netloom.searching.Strategy"
    check_spec(make)
    told = check_seeded(make, space, score, count=count, seed=seed, objectives=objectives)
    check_replay(make, space, score, told, seed=seed, objectives=objectives)
    check_in_flight(make, space, score, count=count, seed=seed, objectives=objectives)
    check_failures(make, space, score, count=count, seed=seed, objectives=objectives)
    check_constraints(make, space, score, max_params, count=count, seed=seed, objectives=objectives)
    check_end(make, tiny if tiny is not None else from_function(few), objectives)


def check_spec(make: Maker) -> None:
    """A strategy that text can say is made again from its text; made twice, it has the same text."""
    made = _made(make)
    if made.spec:
        again = make_strategy(made.spec)
        assert again.spec == made.spec, f"made from {made.spec!r} its spec is {again.spec!r}"
    other = _made(make)
    assert made.spec == other.spec, f"made twice its spec is {made.spec!r} and {other.spec!r}; settings must not be random"


def check_seeded(
    make: Maker, space: Space, score: Score = size_score, *, count: int = 40, seed: int = 0,
    objectives: tuple[str, ...] = ("score",),
) -> list[tuple[int, Result]]:  # fmt: skip
    """Equal seeds, equal searches, whatever the global generators; another seed, another search. Gives what was told."""
    first = _run(make, space, score, count, seed, objectives)
    for index, result in first.told:
        _check_data(index, result)
    random.random()
    np.random.random()
    kept = _global_state()
    second = _run(make, space, score, count, seed, objectives)
    assert _global_state() == kept, "asking moves the global generator of random or numpy.random; use the generator given"
    _check_same(first.told, second.told, "run again with the same seed")
    other = _run(make, space, score, count, seed + 1, objectives)
    hashes = [[result.graph.hash for _, result in run.told] for run in (first, other)]
    assert hashes[0] != hashes[1], "another seed gives the same candidates; take all randomness from the generator given"
    return first.told


def check_replay(
    make: Maker, space: Space, score: Score, told: list[tuple[int, Result]], *, seed: int = 0,
    objectives: tuple[str, ...] = ("score",),
) -> None:  # fmt: skip
    """A new strategy that is told the first results goes on as the one that asked for them did."""
    count = len({index for index, _ in told})
    for stopped in sorted({1, count // 4, count // 2, count - 1} - {0}):
        resumed = _simulation(make, space, score, count, seed, objectives)
        resumed.replay(told[:stopped])
        _drive(resumed, len(told))
        _check_same(told, resumed.told[: len(told)], f"resumed after {stopped} of {len(told)} results")


def check_in_flight(
    make: Maker, space: Space, score: Score = size_score, *, count: int = 40, seed: int = 0,
    objectives: tuple[str, ...] = ("score",), workers: int = 4,
) -> None:  # fmt: skip
    """Several candidates are in the air at once; results come in any order, and some never: those that a kill took."""
    run = _simulation(make, space, score, count, seed, objectives)
    order = np.random.default_rng(seed)
    while len(run.told) < count and run.repeats <= MOST_REPEATS:
        while len(run.pending) < workers and run.ask() is not None:
            pass
        assert run.pending or len(run.told) >= count // 2, (
            f"asked with nothing in the air it gives None after {len(run.told)} results, which ends the search"
        )
        if not run.pending:
            return
        waiting = list(run.pending)
        run.tell(waiting[int(order.integers(len(waiting)))])
    lost = _simulation(make, space, score, count, seed, objectives)
    lost.replay(run.told)
    _drive(lost, len(run.told) + 5)
    assert len(lost.told) > len(run.told) or lost.repeats > MOST_REPEATS, (
        f"resumed with {len(run.pending)} candidates lost in the air it asks for nothing more; count results, not asks"
    )


def check_failures(
    make: Maker, space: Space, score: Score = size_score, *, count: int = 40, seed: int = 0,
    objectives: tuple[str, ...] = ("score",),
) -> None:  # fmt: skip
    """Candidates without a score are results like any other; the search goes on, also where all fail at first."""
    for what, fails in (("every third", lambda n: n % 3 == 0), ("the first ten", lambda n: n < 10), ("all", lambda n: True)):
        number = iter(range(10**9))

        def scored(graph: Graph, fails: Any = fails, number: Any = number) -> float | None:
            return None if fails(next(number)) else score(graph)

        run = _simulation(make, space, scored, count, seed, objectives)
        _drive(run, count)
        assert len(run.told) >= count or run.repeats > MOST_REPEATS, (
            f"where {what} fail it stops after {len(run.told)} candidates"
        )


def check_constraints(
    make: Maker, space: Space, score: Score, max_params: int, *, count: int = 40, seed: int = 0,
    objectives: tuple[str, ...] = ("score",),
) -> None:  # fmt: skip
    """What is proposed keeps to the constraints that can be told without training."""
    run = _simulation(make, space, score, count, seed, objectives, f"params <= {max_params}")
    _drive(run, count)
    for index, result in run.told:
        assert result.graph.num_params <= max_params, (
            f"candidate {index} has {result.graph.num_params:,} parameters, above the {max_params:,} of a constraint; ask "
            "context.allows(graph), or take candidates from context.sample and netloom.searching.offspring"
        )


def check_end(make: Maker, tiny: Space, objectives: tuple[str, ...] = ("score",)) -> None:
    """In a space with few members the search comes to an end: by None, or by repeats."""
    run = _simulation(make, tiny, size_score, 10**6, 0, objectives)
    _drive(run, 500, repeats=50)
    assert len(run.told) < 500, f"it finds new candidates without end in {tiny!r}, {len(run.results)} so far"


# -- searches ----------------------------------------------------------------------------------------------------------
def _made(make: Maker) -> Strategy:
    return make_strategy(make) if isinstance(make, str) else make()


def _simulation(
    make: Maker, space: Space, score: Score, count: int, seed: int, objectives: tuple[str, ...], constraints: str = ""
) -> Simulation:
    context = Context(
        space, budget=Budget.of(count), objectives=objectives, constraints=read_constraints(constraints), seed=seed,
        recipe=Recipe(epochs=8),
    )  # fmt: skip

    def scored(proposal: Proposal) -> Result:
        value = score(proposal.graph)
        return Result(proposal.graph, value, "ok" if value is not None else "failed", epochs=proposal.epochs or 0)

    return Simulation(context, _made(make), scored)


def _run(make: Maker, space: Space, score: Score, count: int, seed: int, objectives: tuple[str, ...]) -> Simulation:
    run = _simulation(make, space, score, count, seed, objectives)
    _drive(run, count)
    return run


def _drive(run: Simulation, count: int, repeats: int = MOST_REPEATS) -> None:
    """One candidate after the other, until so many were told, or so many in a row were nothing new."""
    while len(run.told) < count and run.repeats <= repeats:
        index = run.ask()
        if index is None:
            return
        assert isinstance(run.pending[index].graph, Graph), (
            f"candidate {index} is {run.pending[index].graph!r}; expected a Graph"
        )
        run.tell(index)


def _check_data(index: int, result: Result) -> None:
    """What a search writes down of a candidate is data, and says enough to tell the strategy again."""
    lineage, recipe = result.lineage, dict(result.recipe)
    try:
        same = json.loads(json.dumps(lineage.edit)) == lineage.edit
    except (TypeError, ValueError) as error:
        raise AssertionError(f"candidate {index}: lineage.edit = {lineage.edit!r} is no JSON ({error})") from error
    assert same, (
        f"candidate {index}: lineage.edit = {lineage.edit!r} does not come back from JSON (tuples? keys that are no words?)"
    )
    noted = lineage.edit.get("recipe", {}) if isinstance(lineage.edit, dict) else {}
    assert noted == recipe, f"candidate {index} changes the recipe by {recipe!r}; lineage.edit['recipe'] is {noted!r}"
    assert lineage.proposed_by, f"candidate {index}: lineage.proposed_by is empty; name the part that chose it"


def _check_same(expected: list[tuple[int, Result]], found: list[tuple[int, Result]], what: str) -> None:
    for place, ((_, one), (index, other)) in enumerate(zip(expected, found)):
        ours, theirs = _shown(one), _shown(other)
        assert ours == theirs, (
            f"{what}, candidate {index} (number {place}) is {theirs}; was {ours}. What a strategy knows it must know "
            "from what it was told; randomness comes from the generator given"
        )
    assert len(expected) == len(found), f"{what}, there are {len(found)} results; were {len(expected)}"


def _shown(result: Result) -> tuple[Any, ...]:
    lineage = result.lineage
    return (
        result.graph.hash, result.epochs, dict(result.recipe), lineage.parents, lineage.edit, lineage.proposed_by,
        lineage.scored_by, lineage.predicted_score,
    )  # fmt: skip


def _global_state() -> tuple[Any, ...]:
    state: Any = np.random.get_state()
    return random.getstate(), state[0], state[1].tobytes(), *state[2:]
