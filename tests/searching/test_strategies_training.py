"""Strategies in real searches: weights of two parents, training that goes on, warm starts, resumption to the same end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import netloom as nl
from netloom.searching import Genetic, PredictorSearch, executors, resume
from tests.searching.test_strategies import Line

QUICK = {"epochs": 2, "batch_size": 128}
SPEC = "mlp?widths=8,16,32&layers=1..2"


@pytest.fixture(scope="module")
def digits() -> nl.tasks.Task:
    torch.set_num_threads(1)
    return nl.tasks.load("digits")


def run(task: nl.tasks.Task, strategy: Any, budget: int = 10, **options: Any) -> Any:
    return nl.search(SPEC, task, **{"strategy": strategy, "budget": budget, "recipe": QUICK, "progress": False, **options})


def told(result: Any) -> list[tuple[Any, ...]]:
    frame = result.evaluations
    return list(zip(frame["ask"], frame["graph_hash"], frame["init"], frame["fidelity"], frame["recipe_hash"], frame["score"]))


def test_children_of_two_begin_with_what_both_learned(digits: nl.tasks.Task) -> None:
    strategy = Genetic(population=4, elites=1, crossover=1.0, mutation=0.0, recipe_mutations="learning_rate(p=0.5)")
    result = run(digits, strategy, budget=19)
    past = result.store.proposals(result.run_id)
    crossed = past[past["proposed_by"] == "crossover"]
    assert len(crossed) >= 2 and set(crossed["initialised_by"]) == {"inherit"}
    assert {len(parents) for parents in crossed["parents"]} == {2}
    trained = {row.graph_hash: result.store.network(int(row.id)).state_dict() for row in past.itertuples()}
    sources = set()
    for child in crossed.itertuples():
        first = result.store.load_weights(child.init)
        for tensor in first.values():
            for place, parent in enumerate(child.parents):
                if any(t.shape == tensor.shape and torch.equal(t, tensor) for t in trained[parent].values()):
                    sources.add(place)
    assert sources == {0, 1}
    recipes = [edit["recipe"] for edit in past["edit"] if edit and "recipe" in edit]
    assert recipes and all(set(changed) == {"learning_rate"} for changed in recipes)
    assert past["recipe_hash"].nunique() > 1


def test_halving_goes_on_where_training_stopped(digits: nl.tasks.Task) -> None:
    result = run(digits, "asha?reduction=2", budget=10, recipe={"epochs": 4, "batch_size": 128})
    frame = result.evaluations
    assert set(frame["fidelity"]) == {1, 2, 4} and set(frame["proposed_by"]) == {"asha"}
    longest = frame[frame["fidelity"] == 4].iloc[0]
    at_once = nl.train(result.store.graph(longest.graph_hash), digits, result.settings.training, seed=0)
    assert at_once.score == longest.score
    assert set(frame[frame["graph_hash"] == longest.graph_hash]["fidelity"]) == {1, 2, 4}


def test_a_predictor_begins_with_what_the_store_knows(digits: nl.tasks.Task) -> None:
    store = nl.Store()
    run(digits, "random", budget=8, store=store)
    strategy = PredictorSearch(initial=8, pool=12, rounds=2, predictor=Line())
    warm = run(digits, strategy, budget=4, store=store, seed=1)
    past = warm.store.proposals(warm.run_id)
    assert set(past["scored_by"]) == {"Line"} and past["predicted_score"].notna().all()
    cold = PredictorSearch(initial=8, pool=12, rounds=2, predictor=Line(), warm=False)
    past = run(digits, cold, budget=10, store=store, seed=1).evaluations
    assert list(past["scored_by"][:8]) == [""] * 8 and past["scored_by"][9] == "Line"


@pytest.mark.parametrize("strategy", [
    "genetic?population=4&elites=1&crossover=0.5&recipe_mutations=learning_rate", "local?neighbours=3&initial=2",
    "asha?reduction=2", "hyperband?reduction=2", "bandit?initial=3&population=6&sample=3", "nsga2?population=4",
    PredictorSearch(initial=4, pool=8, rounds=2, predictor=Line()),
], ids=lambda given: str(given).partition("?")[0].partition("(")[0])  # fmt: skip
def test_a_killed_search_comes_to_the_same_end(
    digits: nl.tasks.Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: Any
) -> None:
    objectives = "score, params" if "nsga2" in str(strategy) else "score"
    whole = run(digits, strategy, objectives=objectives)
    url = f"sqlite:///{tmp_path}/runs.db"
    scored, calls = executors.score_candidate, iter(range(100))

    def dying(*args: Any) -> Any:
        if next(calls) == 6:
            raise SystemExit("killed")
        return scored(*args)

    with monkeypatch.context() as patch:
        patch.setattr(executors, "score_candidate", dying)
        with pytest.raises(SystemExit):
            run(digits, strategy, objectives=objectives, store=url)
    (run_id,) = nl.Store(url).run_ids()
    again = strategy if not isinstance(strategy, str) else None
    resumed = resume(run_id, url, strategy=again, progress=False)
    assert told(resumed) == told(whole)
