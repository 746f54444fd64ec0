"""What learns does so beside the workers that train, and what was learned before serves meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.searching import ClosedLoop, PredictorSearch, Proposal, Result, search
from netloom.searching.context import Context
from netloom.searching.initialising import Initialising
from netloom.searching.refits import Refits
from netloom.searching.surrogate import Surrogate
from netloom.training import recipe

SPACE = nl.spaces.MLP(4, 2, widths=tuple(range(2, 40)))


class Gated:
    """A predictor whose fits wait until they are let through; it predicts how many scores it was fitted on."""

    gate = threading.Semaphore(0)

    def __init__(self) -> None:
        self.fitted_on = 0

    def __deepcopy__(self, memo: Any) -> Gated:
        return Gated()

    def fit(self, graphs: list[Any], scores: list[float]) -> None:
        assert Gated.gate.acquire(timeout=60)
        self.fitted_on = len(scores)

    def predict(self, graphs: list[Any]) -> Any:
        return np.full(len(graphs), float(self.fitted_on))


def told(surrogate: Surrogate, count: int, first: int = 0) -> None:
    for i in range(first, first + count):
        surrogate.tell(Result(SPACE.sample(np.random.default_rng(i)), 0.1 * i, "ok", 0.1, 1))


def test_nobody_waits_for_a_fit_beside_workers() -> None:
    Gated.gate = threading.Semaphore(0)
    context = Context(space=SPACE)
    context.workers = 2
    surrogate = Surrogate(context, Gated(), warm=False)
    told(surrogate, 10)
    assert not surrogate.ready()  # the first fit waits at the gate: nothing can be said, and nobody waits
    Gated.gate.release()
    surrogate._refits.wait()
    assert surrogate.ready() and surrogate.drawn_on == 10
    graph = SPACE.sample(np.random.default_rng(0))
    told(surrogate, 10, 10)
    assert surrogate.ready() and surrogate.drawn_on == 10  # the second one waits: the first still serves
    assert surrogate.predict([graph])[0].tolist() == [10.0] and len(surrogate.scored) == 10
    Gated.gate.release()
    surrogate._refits.wait()
    assert surrogate.ready() and surrogate.drawn_on == 20 and surrogate.predict([graph])[0].tolist() == [20.0]


def test_with_one_worker_the_fit_that_is_due_is_there_when_it_is_asked_for() -> None:
    Gated.gate = threading.Semaphore(2)
    surrogate = Surrogate(Context(space=SPACE), Gated(), warm=False)
    for count in (10, 20):
        told(surrogate, 10, count - 10)
        assert surrogate.ready() and surrogate.drawn_on == count


def test_what_a_fit_raises_comes_to_the_one_who_asks() -> None:
    refits: Refits[int] = Refits(beside=True)
    assert refits.latest(1, lambda: 1 // 0) is None
    refits.wait()
    with pytest.raises(ZeroDivisionError):
        refits.latest(1, lambda: 1)


class Sizes:
    """Scores go with the parameters: fitted in no time, so that its fit is there before many candidates are trained."""

    def fit(self, graphs: list[Any], scores: list[float]) -> None:
        self.line = np.polyfit([np.log(graph.num_params) for graph in graphs], scores, 1)

    def predict(self, graphs: list[Any]) -> Any:
        return np.polyval(self.line, [np.log(graph.num_params) for graph in graphs])


@pytest.mark.parametrize(
    "strategy", [PredictorSearch(initial=5, pool=20, predictor=Sizes()), ClosedLoop(score=[Sizes()], after=5)]
)
def test_searches_with_several_workers_use_what_was_learned(strategy: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 4)).astype("float32")
    task = nl.tasks.from_arrays(x, (x[:, 0] * x[:, 1] > 0).astype(int), name="signs")
    found = search(
        SPACE, task, strategy, 16, store=f"sqlite:///{tmp_path}/s.db", executor="local", workers=2, recipe={"epochs": 2},
        progress=False,
    )  # fmt: skip
    assert found.status == "finished"
    scored = found.store.proposals(found.run_id)["scored_by"]
    assert (scored != "").any()


# -- hypernetworks -----------------------------------------------------------------------------------------------------
def chain(widths: list[int]) -> nl.Graph:
    x = value = nl.input(1, 8, 8)
    for width in widths:
        value = nl.relu(nl.batch_norm(nl.conv2d(value, width, 3, padding=1)))
    return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(value, 1)), 10))


class Chains:
    """Chains of convolutions: the shipped hypernetwork knows their kind."""

    spec = ""

    def sample(self, rng: np.random.Generator) -> nl.Graph:
        return chain([int(w) for w in rng.integers(4, 17, size=int(rng.integers(1, 4)))])

    def contains(self, graph: nl.Graph) -> bool:
        return any(node.op == "conv2d" for node in graph.nodes)


def chains(count: int) -> list[nl.Graph]:
    rng = np.random.default_rng(0)
    return [Chains().sample(rng) for _ in range(count)]


@pytest.fixture(scope="module")
def digits() -> nl.tasks.Task:
    torch.set_num_threads(1)
    return nl.tasks.load("digits")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_refits_from_what_it_trained(digits: nl.tasks.Task, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    context = Context(task=digits, recipe=recipe("express", epochs=1), seed=0)
    context.workers = workers
    initialising = Initialising(context, "ghn:digits")
    (learned,) = initialising._learned
    given = learned.latest  # type: ignore[attr-defined]
    first = chain([5, 6])
    earlier = initialising.apply(0, Proposal(first)).weights
    for i, graph in enumerate(chains(24)):
        initialising.tell(Result(graph, i / 24, epochs=3))
    monkeypatch.setattr("netloom.ghn.refitting.evaluate", _rising())
    latest = learned.latest  # type: ignore[attr-defined]
    if workers > 1:
        assert latest is given  # nobody waits
        learned._refits.wait()  # type: ignore[attr-defined]
        latest = learned.latest  # type: ignore[attr-defined]
    assert latest is not given
    again, new = (initialising.apply(1, Proposal(graph)).weights for graph in (first, chain([7, 9])))
    assert earlier is not None and again is not None and new is not None
    assert all(torch.equal(again[name], earlier[name]) for name in earlier)  # what was written stays written
    assert any(not torch.equal(new[name], tensor) for name, tensor in given(chain([7, 9])).state_dict().items())


def _rising():  # type: ignore[no-untyped-def]
    """What measures a refit, with every answer better than the one before: whether it is taken is not the question here."""
    scores = iter(range(1000))

    def measured(*_: object, **__: object) -> object:
        return type("Accuracies", (), {"mean": float(next(scores))})

    return measured


def test_a_search_with_a_hypernetwork_finishes(digits: nl.tasks.Task, tmp_path: Path) -> None:
    found = search(
        Chains(), digits, "loop?propose=space&score=ghn:digits&screen=3&initial=4", 24, store=f"sqlite:///{tmp_path}/s.db",
        init="ghn:digits", recipe={"epochs": 1, "batch_size": 256}, progress=False,
    )  # fmt: skip
    rows = found.store.proposals(found.run_id)
    assert found.status == "finished" and set(rows["initialised_by"]) == {"ghn"} and (rows["scored_by"] == "ghn").any()
