"""Evolution: children with their parents' weights, constraints, a start of the user's own, resumption to the same end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.errors import SearchError
from netloom.searching import Constraint, Evolution, executors, resume, simulate
from netloom.searching.context import Context
from netloom.searching.offspring import Breeding, Draft, mutated
from netloom.training import evaluate

QUICK = {"epochs": 2, "batch_size": 128}
SPEC = "conv?max_params=5000&conv_num=2&lin_num=2"
EVOLVING = Evolution(population=6, sample=3, initial=3, fresh=0.0)


@pytest.fixture(scope="module")
def digits() -> nl.tasks.Task:
    torch.set_num_threads(1)
    return nl.tasks.load("digits")


def run(task: nl.tasks.Task, space: Any = SPEC, **options: Any) -> Any:
    return nl.search(
        space, task, **{"strategy": EVOLVING.spec, "budget": 8, "recipe": QUICK, "progress": False, **options}
    )


def told(result: Any) -> list[tuple[Any, ...]]:
    frame = result.evaluations
    return list(zip(frame["ask"], frame["graph_hash"], frame["init"], frame["fidelity"], frame["score"]))


def test_children_begin_with_what_their_parents_learned(digits: nl.tasks.Task) -> None:
    result = run(digits)
    past = result.store.proposals(result.run_id)
    children = past[past["proposed_by"] == "mutation"]
    assert len(children) == 5 and (past["proposed_by"][:3] == "random").all()
    assert set(children["initialised_by"]) == {"inherit"} and set(children["fidelity"]) == {1}
    by_hash = {row.graph_hash: row for row in past.itertuples()}
    for child in children.itertuples():
        (parent,) = child.parents
        trained = result.store.network(int(by_hash[parent].id)).state_dict()
        first = result.store.load_weights(child.init)
        shared = [key for key in first if key in trained and first[key].shape == trained[key].shape]
        assert any(torch.equal(first[key], trained[key]) for key in shared)
        assert child.edit["kind"] and child.edit["titles"]
    assert evaluate(result.best.network, digits.valid).score == result.best.score


def test_without_inheritance_every_candidate_starts_at_random(digits: nl.tasks.Task) -> None:
    frame = run(digits, strategy="evolution?population=6&sample=3&initial=2&inherit=false", budget=5).evaluations
    assert set(frame["init"]) == {"random"} and set(frame["fidelity"]) == {2}


def test_children_keep_to_the_caps_of_the_space(digits: nl.tasks.Task) -> None:
    grown = Evolution(
        population=6, sample=3, initial=2, mutations={"widen": nl.mutate.Resize(0.5, 1.0, probability=1.0)}
    )
    result = run(digits, strategy=grown, budget=10)
    assert result.evaluations["num_params"].max() <= 5000
    assert grown.spec == "" and result.settings.strategy == ""  # mutations are values that text cannot say


@pytest.mark.parametrize("stop_after", [2, 5])
def test_a_killed_search_comes_to_the_same_end(
    digits: nl.tasks.Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    whole = run(digits)
    url = f"sqlite:///{tmp_path}/runs.db"
    scored, calls = executors.score_candidate, iter(range(100))

    def dying(*args: Any) -> Any:
        if next(calls) == stop_after:
            raise SystemExit("killed")
        return scored(*args)

    with monkeypatch.context() as patch:
        patch.setattr(executors, "score_candidate", dying)
        with pytest.raises(SystemExit):
            run(digits, store=url)
    (run_id,) = nl.Store(url).run_ids()
    resumed = resume(run_id, url, progress=False)
    assert told(resumed) == told(whole) and resumed.best.graph.hash == whole.best.graph.hash


def test_a_search_starts_from_a_model_and_keeps_to_shares_of_it(digits: nl.tasks.Task) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 48), torch.nn.ReLU(), torch.nn.Linear(48, 32), torch.nn.ReLU(),
        torch.nn.Linear(32, 10),
    )  # fmt: skip
    nl.train(model, digits, epochs=6)
    before = evaluate(model, digits.valid).score
    result = run(digits, model, constraints=["flops <= 50%", "score >= start - 0.1"], budget=6)
    frame = result.evaluations
    assert frame["proposed_by"][0] == "start" and frame["score"][0] == before and frame["fidelity"][0] == 0
    whole = frame["flops"][0]
    assert (frame["flops"][1:] <= whole / 2).all() and (frame["initialised_by"][1:] == "inherit").all()
    best = result.best
    assert best.graph.flops <= whole / 2 and best.score >= before - 0.1 and not best.violated
    again = resume(result.run_id, result.store, budget=8, progress=False)
    assert len(again.evaluations) == 8 and (again.evaluations["flops"][1:] <= whole / 2).all()


def test_the_best_says_which_constraints_it_breaks_where_none_keeps_to_all(digits: nl.tasks.Task) -> None:
    result = run(digits, constraints="score >= 2", budget=2, strategy="random")
    assert [str(c) for c in result.best.violated] == ["score >= 2"]
    assert "breaks score >= 2" in repr(result.best)


def test_the_front_holds_what_nothing_beats_in_both(digits: nl.tasks.Task) -> None:
    result = run(digits, objectives="score, params", strategy="random", budget=5)
    points = [(r.score, -r.graph.num_params) for r in result.front]
    others = [(s, -p) for s, p in zip(result.evaluations["score"], result.evaluations["num_params"])]
    assert points and max(others) in points
    assert all(not any(o[0] >= p[0] and o[1] >= p[1] and o != p for o in others) for p in points)


def test_evolution_beats_random_where_neighbours_are_alike() -> None:
    space = nl.spaces.NASBench201(C=1, N=1)

    def score(graph: nl.Graph) -> float:
        return space.to_string(graph).count("nor_conv_3x3")

    def best(strategy: str) -> float:
        return float(np.mean([max(r.score or 0 for r in simulate(space, score, strategy, 40, seed=s)) for s in range(5)]))

    assert best("evolution?population=15&sample=5") > best("random")


def perceptron() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 48), torch.nn.ReLU(), torch.nn.Linear(48, 10))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "evolution?population=0"}, "population = 0"),
        ({"strategy": "evolution?popolation=3"}, "did you mean 'population'"),
        ({"strategy": "evolution?sample=many"}, "sample = 'many'"),
        ({"strategy": "evolution?mutations=none at all"}, "cannot be given as text"),
        ({"constraints": "flops <= 50%"}, "relative to a network that the search starts from"),
        ({"constraints": "depth <= 5"}, "unknown measure 'depth'"),
        ({"constraints": "small"}, "write one such as"),
        ({"constraints": "params <= 1"}, "break one of the constraints params <= 1"),
        ({"objectives": "score, flop"}, "did you mean 'flops'"),
        ({"objectives": "score, score"}, "different names"),
        ({"max_params": "few"}, "max_params = 'few'"),
        ({"workers": 0}, "workers = 0"),
        ({"start": 3}, "expected a model or a Graph"),
        ({"space": torch.nn.Linear(3, 10)}, "cannot run samples of task 'digits'"),
        ({"space": torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))}, "does not fit task 'digits'"),
        ({"space": None}, "a search needs a space"),
        ({"space": perceptron(), "constraints": "flops <= 0.01%"}, r"keeps to flops <= 0.01% \(the start has"),
        ({"space": perceptron(), "constraints": "params >= 900%"}, "keeps to params >= 900%"),
    ],
)
def test_what_makes_no_sense_is_refused(digits: nl.tasks.Task, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SearchError, match=message):
        run(digits, **options)


@pytest.mark.parametrize(
    ("text", "name", "holds", "breaks"),
    [
        ("params <= 200k", "params", 200_000, 200_001), ("macs<5M", "macs", 5e6, 5.1e6), ("flops ≤ 50%", "flops", 50, 51),
        ("score >= start - 0.01", "score", 99.99, 99.98), ("latency <= 2ms", "latency", 0.002, 0.0021),
        ("score >= 0.9", "score", 0.9, 0.89), ("params <= start", "params", 100, 101),
    ],
)  # fmt: skip
def test_constraints_are_read_and_written(text: str, name: str, holds: float, breaks: float) -> None:
    constraint = Constraint.of(text)
    assert constraint.name == name and constraint.holds(holds, 100) and not constraint.holds(breaks, 100)
    assert Constraint.of(str(constraint)) == constraint


def test_no_child_is_too_large_to_be_made() -> None:
    x = nl.input(16)
    start = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 4096)), 10))  # a layer put into the middle has 17 million weights
    context, rng = Context(start=start), np.random.default_rng(0)
    children = [mutated(context, Draft(start), Breeding(), rng) for _ in range(100)]
    sizes = [child.graph.num_params for child in children if child is not None]
    assert len(sizes) > 40 and max(sizes) <= 16 * 250_000
    assert max(sizes) > start.num_params
