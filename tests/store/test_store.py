"""The store: keys, runs, what is refused, and what check finds."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import pytest

import netloom as nl
from netloom.errors import StoreError, VersionError
from netloom.store import EvaluationKey, EvaluationRecord, Store
from netloom.training import Epoch


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
