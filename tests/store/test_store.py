"""The store: keys, runs, what is refused, and what check finds."""

from __future__ import annotations

import multiprocessing
import sqlite3
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.errors import StoreError, VersionError
from netloom.store import EvaluationKey, EvaluationRecord, Lineage, Store
from netloom.training import Epoch, recipe


def graph(features: int = 4) -> nl.Graph:
    x = nl.input(features)
    return nl.Graph(x, nl.linear(x, 2))


def key(of: nl.Graph, **changes: object) -> EvaluationKey:
    return EvaluationKey(**{"graph_hash": of.hash, "task_hash": "t", "recipe_hash": "r", "seed": 0, "fidelity": 1, **changes})  # type: ignore[arg-type]


def scored(score: float = 0.5, status: str = "ok") -> EvaluationRecord:
    return EvaluationRecord(status, score, 1.5, curve=(Epoch(1, 0.9, 0.8, score, 1.0),))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/runs.db"


def test_what_is_recorded_is_found_after_reopening(url: str) -> None:
    with Store(url) as store:
        made = store.record(graph(), key(graph()), scored())
        assert made.id == 1
    with Store(url) as store:
        assert store.find(key(graph())) == made and made.curve == scored().curve
        assert store.graph(graph().hash) == graph() == store.graph(graph().hash[:9])
        assert store.check() == []


def test_every_part_of_the_key_counts() -> None:
    store = Store()
    store.record(graph(), key(graph()), scored())
    for part, value in (
        ("graph_hash", graph(5).hash), ("task_hash", "u"), ("recipe_hash", "s"), ("seed", 1), ("fidelity", 2),
        ("init", "sha"), ("evaluator", 2),
    ):  # fmt: skip
        assert store.find(key(graph(), **{part: value})) is None
    assert store.find(key(graph())) is not None


def test_a_result_stays_unless_it_depended_on_the_machine() -> None:
    store, k = Store(), key(graph())
    assert store.record(graph(), k, EvaluationRecord("time_limit", 0.3, 9.0, "stopped")).status == "time_limit"
    assert store.record(graph(), k, scored(0.5)).score == 0.5
    assert store.record(graph(), k, scored(0.9)).score == 0.5
    assert store.counts()["evaluations"] == 1 and store.counts()["curves"] == 1
    assert store.find(k) == store.record(graph(), k, EvaluationRecord("failed", None, 0.0, "boom"))


def test_evaluations_are_a_frame_with_costs() -> None:
    store = Store()
    store.record(graph(), key(graph()), scored(0.25))
    store.record(graph(5), key(graph(5)), EvaluationRecord("failed", None, 0.0, "RuntimeError: boom"))
    frame = store.evaluations()
    assert list(frame["status"]) == ["ok", "failed"] and frame["score"].isna().tolist() == [False, True]
    assert list(frame["num_params"]) == [10, 12] and list(frame["flops"]) == [16, 20]


def test_runs_keep_settings_and_the_order_told() -> None:
    store = Store()
    store.add_run("run-1", {"seed": 3}, {"torch": "2"})
    first, second = (store.record(graph(n), key(graph(n)), scored()).id for n in (4, 5))
    store.add_proposal("run-1", 1, second, reused=False, elapsed=1.0)
    store.add_proposal("run-1", 0, first, reused=True, elapsed=2.0)
    store.update_run("run-1", status="finished", seconds=2.5)
    frame = store.evaluations("run-1")
    assert list(frame["ask"]) == [1, 0] and list(frame["reused"]) == [False, True]
    run = store.run("run-1")
    assert (run["settings"], run["status"], run["seconds"]) == ({"seed": 3}, "finished", 2.5)
    assert store.run_ids() == ("run-1",)
    with pytest.raises(StoreError):
        store.add_proposal("run-1", 0, first, reused=True, elapsed=2.0)
    with pytest.raises(StoreError, match="no run 'run-2'; the latest are: run-1"):
        store.run("run-2")


def test_unknown_and_ambiguous_graphs_are_refused() -> None:
    store = Store()
    with pytest.raises(StoreError, match="no graph"):
        store.graph("nl1:none")
    for n in range(3):
        store.record(graph(n + 1), key(graph(n + 1)), scored())
    with pytest.raises(StoreError, match="more than one graph"):
        store.graph("nl1:")
    with pytest.raises(StoreError, match="no graph"):
        store.graph("nl1:%")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("no url", "expected a URL such as sqlite:///runs.db"),
        ("nosuchdb://host/x", "expected a URL"),
        ("sqlite:////no/such/directory/x.db", "there is no directory"),
    ],
)
def test_bad_urls_are_refused(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        Store(url)


def test_files_that_are_no_store_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, " * 100)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(f"sqlite:///{tmp_path}/text.db")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE people (name TEXT)")
    with pytest.raises(StoreError, match="not a netloom store"):
        Store(f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(StoreError, match="there is no file"):
        Store(f"sqlite:///{tmp_path}/none.db", must_exist=True)
    assert not (tmp_path / "none.db").exists()


def test_a_store_of_another_version_is_refused(url: str, tmp_path: Path) -> None:
    Store(url).close()
    with sqlite3.connect(tmp_path / "runs.db") as raw:
        raw.execute("UPDATE netloom_store SET schema_version = 99")
    with pytest.raises(VersionError, match="version 99"):
        Store(url)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("UPDATE evaluations SET score = 0.75", "scored 0.75, but its curve ends at 0.5"),
        ("UPDATE evaluations SET score = NULL", "is ok but has no score"),
        ("UPDATE evaluations SET fidelity = 7", "ran 7 epochs, but its curve ends at 1"),
        ("UPDATE graphs SET num_params = 3", "10 parameters, but 3 are noted"),
        ("UPDATE graphs SET json = '{'", "cannot be read"),
        ("UPDATE graphs SET hash = 'nl1:x'", "not what its hash says"),
        ("DELETE FROM evaluations", "curves points at evaluations 1, which does not exist"),
        ("DELETE FROM graphs", "evaluations points at graphs"),
    ],
)
def test_check_finds_damage(url: str, tmp_path: Path, damage: str, message: str) -> None:
    with Store(url) as store:
        store.record(graph(), key(graph()), scored())
        assert store.check() == []
    with sqlite3.connect(tmp_path / "runs.db") as raw:
        raw.execute(damage)
    with Store(url) as store:
        assert any(message in problem for problem in store.check()), store.check()


def _write(url: str, start: int) -> None:
    with Store(url) as store:
        for n in range(start, start + 12):
            store.record(graph(n % 8 + 1), key(graph(n % 8 + 1)), scored(n / 100))


def test_several_processes_write_one_result_for_one_key(url: str) -> None:
    Store(url).close()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write, args=(url, start)) for start in (0, 3, 6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    with Store(url) as store:
        assert store.counts()["evaluations"] == store.counts()["graphs"] == 8
        assert store.check() == []


# -- values ------------------------------------------------------------------------------------------------------------
def test_keys_take_the_integers_of_numpy_and_nothing_else() -> None:
    store = Store()
    numpy_key = key(graph(), seed=np.int64(3), fidelity=np.int32(2))
    store.record(
        graph(), numpy_key, EvaluationRecord("ok", np.float32(0.5), np.float64(1.0), metrics={"top5": np.float32(0.75)})
    )  # type: ignore[arg-type]
    found = store.find(key(graph(), seed=3, fidelity=2))
    assert found is not None and (found.score, dict(found.metrics)) == (0.5, {"top5": 0.75})
    for part, value in (
        ("seed", 1.5), ("seed", True), ("seed", "1"), ("seed", 2**63), ("fidelity", None), ("evaluator", "x"),
        ("graph_hash", ""), ("task_hash", None), ("init", "a\0b"), ("recipe_hash", 3),
    ):  # fmt: skip
        with pytest.raises(StoreError, match=f"evaluation key: {part} = "):
            key(graph(), **{part: value})


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (EvaluationRecord("ok", None, 1.0), "has the score None"),
        (EvaluationRecord("ok", float("inf"), 1.0), "has the score inf"),
        (EvaluationRecord("failed", None, float("nan")), "seconds nan"),
        (EvaluationRecord("", 0.5, 1.0), "status ''"),
        (EvaluationRecord("ok", "good", 1.0), "score = 'good'; expected a number"),  # type: ignore[arg-type]
        (EvaluationRecord("ok", 0.5, 1.0, metrics={"top5": []}), r"metrics\['top5'\] = '\[\]'"),  # type: ignore[dict-item]
        (EvaluationRecord("ok", 0.5, 1.0, artifacts={"weights": "none"}), "no artifact 'none' in the store; add it first"),
    ],
)
def test_results_that_make_no_sense_are_refused(result: EvaluationRecord, message: str) -> None:
    store = Store()
    with pytest.raises(StoreError, match=message):
        store.record(graph(), key(graph()), result)
    assert not any(store.counts().values())


def test_errors_of_any_characters_are_kept() -> None:
    store = Store()
    kept = store.record(graph(), key(graph()), EvaluationRecord("failed", None, 0.0, "no file 'a\udcff\0b' – ☃"))
    assert kept.error == "no file 'a?\ufffdb' – ☃"


def test_a_graph_and_a_key_of_another_are_refused() -> None:
    store = Store()
    with pytest.raises(StoreError, match="the key is of graph nl1:.* but the graph given has the hash nl1:"):
        store.record(graph(5), key(graph(4)), scored())
    with pytest.raises(StoreError, match="the claim is on .* the result is of"):
        store.record(graph(4), key(graph(4)), scored(), claim=store.claim(key(graph(5))))
    with pytest.raises(StoreError, match=r"no graph 'nl1:unknown' in the store; give the Graph itself"):
        store.record("nl1:unknown", key(graph(4), graph_hash="nl1:unknown"), scored())


def test_what_a_training_came_to_is_stored_as_it_is() -> None:
    x = nl.input(1, 8, 8)
    net, task = nl.Graph(x, nl.linear(nl.flatten(x), 10)), nl.tasks.load("digits")
    result = nl.train(net, task, epochs=2)
    store = Store()
    of = EvaluationKey.of(net, task, result.recipe, seed=0)
    weights = store.save_weights(result.network)
    stored = store.record(net, of, EvaluationRecord.of(result, artifacts={"weights": weights}))
    assert (stored.score, len(stored.curve), of.fidelity, stored.metrics["best_epoch"]) == (
        result.score,
        2,
        2,
        result.best_epoch,
    )
    assert stored.curve == result.curve and store.check() == []
    with torch.no_grad():
        images = task.valid.x[:9]
        assert torch.equal(store.network(stored.id)(images), result.network.eval()(images))
    with pytest.raises(StoreError, match="the task has no hash; expected a Task"):
        EvaluationKey.of(net, "digits", result.recipe, seed=0)


def test_a_training_that_failed_is_a_record_too() -> None:
    x = nl.input(1, 8, 8)
    net = nl.Graph(x, nl.linear(nl.flatten(x), 10))
    result = nl.train(net, "digits", recipe={"epochs": 2, "optimizer": "sgd", "learning_rate": 1000.0, "clip_norm": None})
    record = EvaluationRecord.of(result)
    assert record.status == result.status and (record.score is None) == (record.status != "ok")


# -- tasks and recipes by name -----------------------------------------------------------------------------------------
def test_tasks_and_recipes_are_found_by_what_people_call_them() -> None:
    store, task, how = Store(), nl.tasks.load("digits"), recipe("express", epochs=1)
    for seed in range(3):
        store.record(graph(), EvaluationKey.of(graph(), task, how, seed=seed), scored(seed / 10))
    store.record(graph(), key(graph()), scored())
    assert list(store.tasks()["name"]) == ["", ""]  # nobody has said yet what they are
    store.add_task(task)
    store.add_recipe(how, "express")
    store.add_recipe(how)  # what is known stays known
    assert set(store.tasks()["name"]) == {"digits", ""} and set(store.recipes()["name"]) == {"express", ""}
    for said in (task, "digits", task.hash, task.hash[:10]):
        assert len(store.evaluations(task=said)) == 3
    for said in (how, "express", how.hash):
        assert len(store.evaluations(recipe=said)) == 3
    assert store.evaluations(task="digits")["recipe"].unique().tolist() == ["express"]
    assert store.evaluations(task="digit").empty and store.evaluations(task="%").empty
    with pytest.raises(StoreError, match="tasks are found by a name, a hash, or an object that has one, not by '3'"):
        store.evaluations(task=3)


# -- questions ---------------------------------------------------------------------------------------------------------
def test_filters_take_lists_times_and_runs() -> None:
    store = Store()
    ids = store.record_many((graph(n), key(graph(n), seed=n), scored(n / 10)) for n in range(1, 7))
    assert list(store.evaluations(seed=[2, 4])["id"]) == [ids[1], ids[3]]
    assert list(store.evaluations(graph=graph(3))["id"]) == [ids[2]] == list(store.evaluations(graph=graph(3).hash)["id"])
    assert store.evaluations(since="2999-01-01").empty and len(store.evaluations(since=datetime(2020, 1, 1))) == 6
    assert list(store.evaluations(min_score=0.3, max_score=0.4)["score"]) == [0.3, 0.4]
    assert list(store.evaluations(order="-num_params", limit=2)["num_params"]) == [14, 12]
    store.add_run("run", {}, {})
    store.add_proposal("run", 0, ids[4], reused=False, elapsed=1.0)
    assert list(store.best(3, run="run")["id"]) == [ids[4]] == list(store.evaluations("run", min_score=0.2)["id"])
    for options, message in (
        ({"order": "nothing"}, "order = 'nothing' is no column"), ({"limit": -1}, "limit = -1"),
        ({"limit": 1.5}, "limit = 1.5"), ({"min_score": "high"}, "min_score = 'high'; expected a number"),
        ({"sede": 1}, "did you mean 'seed'"),
        ({"order": "-scroe"}, "did you mean 'score'"),
    ):  # fmt: skip
        with pytest.raises(StoreError, match=message):
            store.evaluations(**options)
    with pytest.raises(StoreError, match="no run 'none'"):
        store.best(run="none")


def test_best_of_equals_is_the_smallest_then_the_first() -> None:
    store = Store()
    for n in (5, 3, 4):
        for seed in (0, 1):
            store.record(graph(n), key(graph(n), seed=seed), scored(0.5))
    assert list(store.best(9)["id"]) == [3, 5, 1] and list(store.best(9, distinct=False)["id"]) == [3, 4, 5, 6, 1, 2]


def test_best_looks_behind_a_network_that_was_scored_a_thousand_times() -> None:
    store = Store()
    store.record_many((graph(4), key(graph(4), seed=n), EvaluationRecord("ok", 0.9, 1.0)) for n in range(1000))
    store.record(graph(5), key(graph(5)), scored(0.1))
    assert list(store.best(2)["score"]) == [0.9, 0.1]


def test_curves_are_a_frame() -> None:
    store = Store()
    ids = store.record_many((graph(n), key(graph(n)), scored(n / 10)) for n in (1, 2))
    assert list(store.curves()["score"]) == [0.1, 0.2] and list(store.curves([ids[1]])["evaluation_id"]) == [ids[1]]


def test_claims_are_a_frame() -> None:
    store = Store()
    claim = store.claim(key(graph()), holder="me")
    (row,) = store.claims().to_dict("records")
    assert claim is not None and (row["holder"], row["token"], row["seed"]) == ("me", claim.token, 0)
    assert 0 <= row["silent_seconds"] < 60
    with pytest.raises(StoreError, match="grace_seconds = 0; expected a number > 0"):
        store.claim(key(graph(5)), grace_seconds=0)


def test_settings_of_runs_are_json_values() -> None:
    store = Store()
    for settings in ({"task": object()}, {"rate": float("nan")}):
        with pytest.raises(StoreError, match="settings of a run are JSON values"):
            store.add_run("run", settings, {})
    store.add_run("run", {"strategy": "random", "seed": 5}, {})
    assert (store.run("run")["strategy"], store.run("run")["seed"]) == ("random", 5)
    with pytest.raises(StoreError, match="no evaluation number 9; record it before"):
        store.add_proposal("run", 0, 9, reused=False, elapsed=1.0)
    kept = store.record(graph(), key(graph()), scored())
    with pytest.raises(StoreError, match="no graph 'nl1:unknown' in the store"):
        store.add_proposal("run", 0, kept.id, reused=False, elapsed=1.0, lineage=Lineage(("nl1:unknown",)))
    assert store.counts()["proposals"] == 0


def test_check_knows_recipes_that_may_end_early() -> None:
    store, patient = Store(), recipe({"epochs": 9, "patience": 2})
    store.record(graph(), EvaluationKey.of(graph(), nl.tasks.load("digits"), patient, seed=0), scored())
    assert store.check() == ["evaluation 1 ran 9 epochs, but its curve ends at 1"]
    store.add_recipe(patient)
    assert store.check() == []
