"""``netloom predictor``: from a store, a Parquet file and a folder, to predictions, comparisons, explanations."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import netloom as nl
from netloom.cli.main import main


@pytest.fixture(scope="module")
def graphs():
    space, rng = nl.spaces.Conv((3, 16, 16), 10, max_params=100_000), np.random.default_rng(0)
    found = [space.sample(rng) for _ in range(60)]
    return found, [float(np.log(graph.num_params)) for graph in found]


@pytest.fixture(scope="module")
def folder(graphs, tmp_path_factory):
    root = tmp_path_factory.mktemp("graphs")
    names = [f"n{i:02}.{'json' if i % 2 else 'txt'}" for i in range(60)]
    for i, (name, graph) in enumerate(zip(names, graphs[0])):
        (root / name).write_text(graph.to_json() if i % 2 else graph.to_text())
    pd.DataFrame({"file": names[:50], "score": graphs[1][:50]}).to_csv(root / "scores.csv", index=False)
    return root


@pytest.fixture(scope="module")
def fitted(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("fitted") / "p.safetensors"
    assert main(["predictor", "fit", str(folder), "-o", str(path), "--predictor", "GaussianProcess"]) == 0
    return path


def test_fit_says_what_it_learned_from(folder, tmp_path, capsys):
    path = tmp_path / "p.safetensors"
    assert main(["predictor", "fit", str(folder), "-o", str(path), "--predictor", "Trees"]) == 0
    assert "Trees, learned from 50 graphs, 10 without a score left out" in capsys.readouterr().out
    assert isinstance(nl.predict.load(path), nl.predict.Trees)


def test_predictions_come_best_first(fitted, folder, graphs, tmp_path, capsys):
    assert main(["predictor", "predict", str(fitted), str(folder), "--std", "-n", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and all(word in lines[0] for word in ("graph", "predicted", "std", "score"))
    out = tmp_path / "all.csv"
    assert main(["predictor", "predict", str(fitted), str(folder), "-o", str(out)]) == 0
    table = pd.read_csv(out)
    assert table.predicted.is_monotonic_decreasing and len(table) == 60
    expected = nl.predict.load(fitted).predict(graphs[0])
    of_name = dict(zip(table.graph, table.predicted))
    assert of_name["n03.json"] == pytest.approx(expected[3])


def test_a_parquet_file_of_any_scores(graphs, tmp_path, capsys):
    path = tmp_path / "nets.parquet"
    pd.DataFrame({"graph_json": [g.to_json() for g in graphs[0]], "accuracy": graphs[1]}).to_parquet(path)
    command = ["predictor", "evaluate", str(path), "--score", "accuracy", "--predictors", "GaussianProcess,Trees"]
    assert main([*command, "--seeds", "3", "--train", "40", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["train"] == 40 and found["test"] == 20 and len(found["predictors"]) == 2
    assert found["predictors"][0]["kendall_tau"] > 0.8
    pair = found["pairs"][0]
    assert pair["low"] <= pair["difference"] <= pair["high"] and pair["first"] == "GaussianProcess"
    assert main([*command, "--seeds", "2"]) == 0
    told = capsys.readouterr().out
    assert "±" in told and "GaussianProcess − Trees:" in told


def test_a_store(graphs, tmp_path, capsys):
    store = nl.Store(f"sqlite:///{tmp_path / 'runs.db'}")
    task = nl.tasks.load("digits")
    space = nl.spaces.Conv((1, 8, 8), 10, max_params=5000)
    nl.search(space, task, budget=8, store=store, seed=0, recipe=nl.training.Recipe(epochs=1))
    path = tmp_path / "p.safetensors"
    assert main(["predictor", "fit", str(tmp_path / "runs.db"), "--task", "digits", "-o", str(path)]) == 0
    assert "learned from 8 graphs" in capsys.readouterr().out
    assert main(["predictor", "predict", str(path), str(tmp_path / "runs.db")]) == 0
    assert "nl1:" in capsys.readouterr().out


def test_explanations(fitted, folder, tmp_path, capsys):
    plot = tmp_path / "why.svg"
    assert main(["predictor", "explain", str(fitted), str(folder), "--plot", str(plot), "-n", "5"]) == 0
    assert "features explain" in capsys.readouterr().out and plot.read_text().startswith("<svg")
    assert main(["predictor", "explain", str(fitted), str(folder), "--graph", "n03", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert any("params" in row["feature"] for row in found["features"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["fit", "SOURCE", "-o", "p.safetensors", "--predictor", "Tree"], "no predictor 'Tree'; did you mean Trees?"),
        (["fit", "nowhere", "-o", "p.safetensors"], "no such file or folder"),
        (["fit", "SOURCE", "-o", "p.safetensors", "--score", "loss"], "expected file and loss"),
        (["evaluate", "SOURCE", "--train", "49"], "49 of 50 graphs"),
        (["evaluate", "SOURCE", "--train", "many"], "expected a number of graphs, or a share"),
        (["predict", "SOURCE/scores.csv", "SOURCE"], "cannot be read as a predictor"),
        (["explain", "FILE", "SOURCE", "--graph", "zz"], "has no graph 'zz'"),
    ],
)
def test_mistakes(change, message, fitted, folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [word.replace("SOURCE", str(folder)).replace("FILE", str(fitted)) for word in change]
    assert main(["predictor", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_graph_that_cannot_be_read_is_named(tmp_path, fitted, capsys):
    (tmp_path / "bad.txt").write_text("netloom 1\nx = nothing\n")
    assert main(["predictor", "predict", str(fitted), str(tmp_path)]) == 2
    assert "graph 'bad.txt' cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("words, said", [
    (["predict", "FILE", "FOLDER", "-n", "-2"], "-n -2; expected a whole number ≥ 1"),
    (["explain", "FILE", "FOLDER", "-n", "0"], "-n 0; expected a whole number ≥ 1"),
    (["predict", "FILE", "FOLDER", "-o", "found.parquet"], "expected a file that ends with .csv"),
    (["fit", "FOLDER", "-o", "none/p.safetensors"], "there is no folder 'none'"),
    (["fit", "FOLDER", "-o", "p.safetensors", "--task", "digits"], "task = 'digits' chooses among evaluations of a store"),
    (["fit", "FOLDER", "-o", "p.safetensors", "--predictor", "Trees", "--seed", "-1"], "seed = -1; expected a whole"),
    (["fit", "none.parquet", "-o", "p.safetensors"], "there is no such file"),
    (["predict", "FOLDER", "FOLDER"], "is a folder; give the file of a predictor"),
])
def test_what_makes_no_sense_is_refused_before_any_work(words, said, fitted, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = [{"FILE": str(fitted), "FOLDER": str(folder)}.get(word, word) for word in words]
    assert main(["predictor", *given]) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("table, said", [
    ("", "scores.csv': No columns"), ("file,score\na.txt,1\na.txt,2\n", "names 'a.txt' more than once"),
])
def test_scores_that_cannot_be_told_apart_are_refused(table, said, graphs, tmp_path, capsys):
    (tmp_path / "a.txt").write_text(graphs[0][0].to_text())
    (tmp_path / "scores.csv").write_text(table)
    assert main(["predictor", "fit", str(tmp_path), "-o", str(tmp_path / "p.safetensors")]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_somebody_changed_is_said_to_be_damaged(fitted, folder, tmp_path, capsys):
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(fitted, framework="numpy") as file:
        arrays, document = {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["netloom"])
    view = next(iter(document["state"]["views"]))
    changed = tmp_path / "changed.safetensors"
    state = {**document["state"], "views": {**document["state"]["views"], view: [[None]]}}
    for change in ({"fidelity": "x"}, {"state": state}):
        save_file(arrays, changed, metadata={"netloom": json.dumps({**document, **change})})
        assert main(["predictor", "predict", str(changed), str(folder)]) == 2
        assert "damaged" in capsys.readouterr().err
