"""``netloom store``: what each action prints, in words and as JSON, and what it refuses."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import netloom as nl
from netloom.cli.main import main
from netloom.store import EvaluationKey, EvaluationRecord, Lineage, Store
from netloom.tasks import load
from netloom.training import Epoch, recipe


def graph(width: int) -> nl.Graph:
    x = nl.input(64)
    return nl.Graph(x, nl.linear(nl.relu(nl.linear(x, width)), 10))


def key(width: int) -> EvaluationKey:
    return EvaluationKey(graph(width).hash, load("digits").hash, recipe("express").hash, seed=0, fidelity=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A store with a run of three candidates, one of them failed, and weights of the best."""
    path = tmp_path / "runs.db"
    with Store(path) as store:
        store.add_task(load("digits"))
        store.add_recipe(recipe("express"), "express")
        store.add_run("run-1", {"strategy": "random", "task_name": "digits", "seed": 3}, {"torch": "2"})
        weights = store.save_weights(nl.build(graph(8), seed=0))
        for ask, (width, score) in enumerate([(4, 0.5), (8, 0.75), (2, None)]):
            curve = () if score is None else (Epoch(1, 0.9, 0.8, score, 1.0, 0.6),)
            status, error = ("failed", "RuntimeError: boom") if score is None else ("ok", "")
            files = {"weights": weights} if width == 8 else {}
            result = EvaluationRecord(status, score, 1.5, error, curve, metrics={"top5": 0.9}, artifacts=files)
            stored = store.record(graph(width), key(width), result)
            parents = (graph(4).hash,) if ask else ()
            lineage = Lineage(parents, {"mutation": "resize"} if ask else None, "evolution")
            store.add_proposal("run-1", ask, stored.id, reused=False, elapsed=1.0, lineage=lineage)
        store.update_run("run-1", status="finished", seconds=12.0)
    return path


def said(capsys: pytest.CaptureFixture[str], *words: Any, code: int = 0) -> str:
    assert main(["store", *map(str, words)]) == code
    captured = capsys.readouterr()
    return captured.err if code == 2 else captured.out


def test_ls(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for url in (f"sqlite:///{file}", str(file)):
        assert said(capsys, "ls", url) == "run-1  finished     random on digits, 3 candidates in 12 s, best 0.7500\n"
    (run,) = json.loads(said(capsys, "ls", file, "--json"))
    assert (run["id"], run["candidates"], run["best_score"], run["seed"]) == ("run-1", 3, 0.75, 3)


def test_ls_without_a_url_looks_where_searches_write(file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(file.parent)
    assert "there is no file netloom.db" in said(capsys, "ls", code=2)
    file.rename(file.with_name("netloom.db"))
    assert said(capsys, "ls").startswith("run-1")


def test_show(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overview = said(capsys, "show", file)
    assert "3 graphs, 3 evaluations, 2 curves, 1 runs" in overview and "digits" in overview and "express" in overview
    run = said(capsys, "show", file, "run-1")
    assert "3 candidates" in run.replace("candidates         3", "3 candidates") and "1 without a score" in run
    best = said(capsys, "show", file, graph(8).hash[:12])
    assert "linear(8)" in best and "0.7500" in best and "evolution" in best and '{"mutation": "resize"}' in best
    evaluation = said(capsys, "show", file, 2)
    assert "top5" in evaluation and "weights" in evaluation and "train_score" in evaluation and "0.6000" in evaluation
    failed = json.loads(said(capsys, "show", file, 3, "--json"))
    assert (failed["status"], failed["score"], failed["error"]) == ("failed", None, "RuntimeError: boom")
    assert json.loads(said(capsys, "show", file, "--json"))["tasks"][0]["name"] == "digits"
    assert json.loads(said(capsys, "show", file, "run-1", "--json"))["without_score"] == {"failed": 1}
    assert len(json.loads(said(capsys, "show", file, graph(8).hash, "--json"))["lineage"]) == 2
    assert "no graph whose hash begins with 'nothing'" in said(capsys, "show", file, "nothing", code=2)
    assert "no evaluation number 99" in said(capsys, "show", file, 99, code=2)


def test_best(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "best", file).splitlines()
    assert lines[0].split()[:2] == ["score", "num_params"] and [line.split()[0] for line in lines[1:]] == ["0.7500", "0.5000"]
    narrowed = json.loads(said(capsys, "best", file, "-n", 1, "--task", "digits", "--max-params", "0.4k", "--json"))
    assert [row["graph_hash"] for row in narrowed] == [graph(4).hash]
    assert "no evaluation has a score" in said(capsys, "best", file, "--min-score", 0.9)
    assert "no evaluation of task 'digit'; it has: digits (" in said(capsys, "best", file, "--task", "digit", code=2)
    assert "-n many" in said(capsys, "best", file, "-n", "many", code=2)
    assert "no run 'run-2'" in said(capsys, "best", file, "--run", "run-2", code=2)


def test_best_is_written_as_graph_or_network(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, read in (("best.json", nl.Graph.from_json), ("best.nl", nl.Graph.from_text)):
        said(capsys, "best", file, "-o", tmp_path / name)
        assert read((tmp_path / name).read_text()).hash == graph(8).hash
    said(capsys, "best", file, "-o", tmp_path / "best.safetensors")
    assert nl.load_network(tmp_path / "best.safetensors").graph.hash == graph(8).hash
    assert "expected .json" in said(capsys, "best", file, "-o", tmp_path / "best.png", code=2)
    refused = said(capsys, "best", file, "--max-params", 400, "-o", tmp_path / "other.safetensors", code=2)
    assert "weights of evaluation 1 were not kept" in refused


def test_export_import_merge_and_check(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = "whole: 3 graphs, 3 evaluations, 2 curves, 1 runs, 3 proposals, 1 artifacts\n"
    assert said(capsys, "export", file, tmp_path / "all", "--artifacts").strip() == str(tmp_path / "all")
    assert "3 new evaluations" in said(capsys, "import", tmp_path / "new.db", tmp_path / "all")
    assert said(capsys, "check", tmp_path / "new.db") == whole
    assert "nothing new; 3 evaluations were there already" in said(capsys, "merge", tmp_path / "new.db", file)
    said(capsys, "export", file, tmp_path / "ok.parquet", "--status", "ok", "--task", "digits")
    facts = json.loads(said(capsys, "import", tmp_path / "few.db", tmp_path / "ok.parquet", "--json"))
    assert facts[str(tmp_path / "ok.parquet")]["new"]["evaluations"] == 2
    assert json.loads(said(capsys, "check", tmp_path / "few.db", "--quick", "--json"))["whole"] is True
    assert "filters (min_score) go with a path" in said(capsys, "export", file, tmp_path / "x", "--min-score", "0", code=2)
    assert "there is no file" in said(capsys, "merge", tmp_path / "new.db", tmp_path / "none.db", code=2)


def test_check_says_what_is_wrong(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(file) as raw:
        raw.execute("UPDATE evaluations SET score = 0.123 WHERE id = 1")
    assert said(capsys, "check", file, code=1) == "evaluation 1 scored 0.123, but its curve ends at 0.5\n"
    assert json.loads(said(capsys, "check", file, "--json", code=1))["problems"] != []


def test_vacuum_and_delete(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "0 unused rows removed" in said(capsys, "vacuum", file)
    assert said(capsys, "delete", file, "run-1") == "run-1: deleted, with 0 evaluations\n"
    assert said(capsys, "ls", file) == "no runs\n"
    assert json.loads(said(capsys, "vacuum", file, "--unused", "--json"))["rows"] == 0
    assert "no run 'run-1'" in said(capsys, "delete", file, "run-1", code=2)


@pytest.mark.parametrize("action", ["ls", "show", "best", "export", "import", "merge", "check", "vacuum", "delete"])
def test_help_teaches_by_example(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["store", action, "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0 and f"netloom store {action} " in text.partition("example:")[2]
    with pytest.raises(SystemExit):
        main(["store", "--help"])
    assert f"\n  {action} " in capsys.readouterr().out


def test_what_cannot_be_read_makes_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "table.csv").write_text("a,b\n")
    new = tmp_path / "new.db"
    assert main(["store", "merge", str(new), str(tmp_path / "none.db")]) == 2
    assert main(["store", "import", str(new), str(tmp_path / "table.csv")]) == 2
    assert "table.csv is no readable Parquet file" in capsys.readouterr().err and not new.exists()
