"""``netloom search``: tables and folders by themselves, a start of one's own, lines for machines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.cli.main import main


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "quick.json"
    path.write_text('{"epochs": 1, "batch_size": 128}')
    return str(path)


def test_a_table_needs_no_python(tmp_path: Path, recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    rows = [f"{a:.3f},{b:.3f},{c:.3f},{2 * a - b:.3f}" for a, b, c in x]
    table = tmp_path / "houses.csv"
    table.write_text("\n".join(["a,b,c,price", *rows]))
    store, out, saved = f"sqlite:///{tmp_path}/runs.db", tmp_path / "out", tmp_path / "best.safetensors"
    words = ["search", str(table), "--target", "price", "--budget", "3", "--recipe", recipe, "--store", store]
    assert main([*words, "--report", str(out), "--save", str(saved), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "finished, 3 candidates" in said and (out / "index.html").exists()
    network = nl.load_network(saved)
    assert network(torch.randn(2, 3)).shape == (2, 1)


def test_a_network_evolves_within_its_constraints_and_machines_can_read_along(
    tmp_path: Path, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    x = nl.input(1, 8, 8)
    graph = nl.Graph(x, nl.linear(nl.relu(nl.linear(nl.flatten(x), 32, name="hidden")), 10))
    start = tmp_path / "start.safetensors"
    nl.build(graph, seed=0).save(start)
    store = f"sqlite:///{tmp_path}/runs.db"
    words = ["search", "digits", "--start", str(start), "--constraint", "params <= 60%", "--budget", "4", "--recipe", recipe]
    assert main([*words, "--store", store, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    candidates, outcome = [line for line in lines if line["event"] == "candidate"], lines[-1]
    assert [line["number"] for line in candidates] == [1, 2, 3, 4] and candidates[0]["proposed_by"] == "start"
    assert all(line["num_params"] <= 0.6 * graph.num_params and line["parents"] for line in candidates[1:])
    assert outcome["event"] == "outcome" and outcome["best"]["violated"] == [] and outcome["candidates"] == 4
    assert main(["search", "--resume", outcome["run"], "--store", store, "--budget", "5", "--quiet"]) == 0
    assert "finished, 5 candidates" in capsys.readouterr().out


def test_strategies_are_listed_with_their_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--strategy", "help"]) == 0
    said = capsys.readouterr().out
    assert "evolution" in said and "population" in said and "random" in said


def test_epochs_are_given_without_a_recipe_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = f"sqlite:///{tmp_path}/runs.db"
    words = ["search", "digits", "--budget", "2", "--recipe", "express?batch_size=512", "--epochs", "1", "--store", store]
    assert main([*words, "--quiet", "--strategy", "random"]) == 0
    opened = nl.Store(store)
    (run,) = opened.run_ids()
    assert set(opened.proposals(run)["fidelity"]) == {1}
    settings = opened.run(run)["settings"]
    assert settings["recipe"]["batch_size"] == 512 and settings["recipe_name"] == "express?batch_size=512&epochs=1"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["search", "digits", "--bugdet", "3"], "did you mean --budget?"),
        (["predictor", "fit", "runs.db", "-o", "p.safetensors", "--predictr", "Trees"], "did you mean --predictor?"),
        (["sample", "--qqq"], "netloom sample --help lists what there is"),
    ],
)
def test_unknown_flags_are_answered_with_the_nearest(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2 and hint in capsys.readouterr().err
