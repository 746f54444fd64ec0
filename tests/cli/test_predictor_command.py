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
