"""``netloom generator`` and ``netloom sample`` with a predictor or a generator: from labels to files of new networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netloom as nl
from netloom.cli.main import main
from netloom.spaces import read_samples

SPACE = "mlp?input_shape=16&num_classes=4&widths=8,16,32,64&layers=1,2,3"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of labels, a predictor and a generator learned from it."""
    import pandas as pd

    folder = tmp_path_factory.mktemp("generators")
    space, rng = nl.spaces.load(SPACE), np.random.default_rng(0)
    graphs = list({graph.hash: graph for graph in (space.sample(rng) for _ in range(70))}.values())
    score = [-abs(float(np.log(graph.num_params / 2000))) for graph in graphs]
    outsider = nl.spaces.MLP(8, 2).sample(rng)
    rows = {"graph_json": [graph.to_json() for graph in [*graphs, outsider]], "score": [*score, 0.0]}
    pd.DataFrame(rows).to_parquet(folder / "labels.parquet")
    nl.predict.Trees().fit(graphs, score).save(folder / "trees.safetensors")
    generator = nl.generate.TokenGenerator(space, predictor="Trees", steps=80, unlabelled=60)
    generator.fit(graphs, score).save(folder / "generator.safetensors")
    return folder


def test_samples_that_a_predictor_likes(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["sample", "--space", SPACE, "--predictor", str(made / "trees.safetensors"), "--min-quantile", "0.8", "-n", "6"]
    assert main([*argv, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["found"] == len(said["networks"]) == 6 and 0.1 < said["acceptance_rate"] < 0.35
    assert all(network["predicted"] >= said["min_score"] for network in said["networks"])
    assert main([*argv, "--out", str(made / "liked.parquet")]) == 0
    out = capsys.readouterr().out
    assert "6 networks of" in out and "% are predicted" in out
    samples = read_samples(made / "liked.parquet")
    assert samples.hashes == [network["hash"] for network in said["networks"]]
    assert samples.frame().predicted.min() >= said["min_score"] and len(samples[0].nodes) > 2
    assert main([*argv[:-4], "--min-score", str(said["min_score"]), "-n", "6", "--max-params", "5k"]) == 0
    shown = capsys.readouterr()
    assert shown.out.count(" predicted\n") == 6 and "% are predicted" in shown.err
    assert main([*argv[:-4], "--min-score", "5", "-n", "2", "--most-draws", "150"]) == 1
    assert "0 of 2 networks came of 150 draws" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "txt"])
def test_samples_that_a_generator_writes(made: Path, ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = made / f"written.{ending}"
    argv = ["--score", "0", "-n", "8", "--max-params", "4k", "--seed", "2", "--out", str(out), "--json"]
    assert main(["sample", "--from", str(made / "generator.safetensors"), *argv]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["found"] == 8 and said["space"].startswith("mlp?") and 0 < said["acceptance_rate"] <= 1
    samples = read_samples(out)
    assert all(graph.num_params <= 4000 for graph in samples) and len(set(samples.hashes)) == 8
    assert samples.frame().predicted.tolist() == sorted(samples.frame().predicted, reverse=True)
    assert main(["generator", "sample", str(made / "generator.safetensors"), *argv]) == 0
    assert read_samples(out).hashes == samples.hashes


def test_fit_goes_on_and_evaluate_tells(made: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "new.safetensors"
    argv = ["generator", "fit", str(made / "labels.parquet"), "-o", str(out), "--space", SPACE]
    assert main([*argv, "--predictor", "none"]) == 0
    assert "1 left out" in capsys.readouterr().out
    assert main([*argv, "--strict"]) == 2
    assert "is not of the generator's space" in capsys.readouterr().err
    assert main([*argv[:5], "--from", str(out)]) == 0
    assert len(nl.generate.load(out).learned.known) == 2 * len(nl.generate.load(made / "generator.safetensors").learned.known)
    capsys.readouterr()
    assert main(["generator", "evaluate", str(made / "generator.safetensors"), "-n", "30", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["surprise"] < found["surprise_unasked"]
    predicted = [wish["predicted"] for wish in found["wishes"]]
    assert predicted[0] < predicted[-1] and all(0 < wish["different"] <= 1 for wish in found["wishes"])
    assert main(["generator", "evaluate", str(made / "generator.safetensors"), "-n", "5"]) == 0
    assert "asked for" in capsys.readouterr().out


@pytest.mark.parametrize("argv, message", [
    (["sample", "--min-score", "0.5"], "--min-score needs --predictor FILE"),
    (["sample", "--score", "0.5"], "--score needs --from FILE"), (["sample", "--json"], "--format json"),
    (["sample", "--predictor", "TREES", "--space", SPACE], "give min_score or min_quantile"),
    (["sample", "--predictor", "TREES", "--min-score", "0", "--score", "1"], "--score is for --from"),
    (["sample", "--predictor", "TREES", "--min-score", "0", "--space", "mlp"], "fitted on graphs that take 16"),
    (["sample", "--predictor", "GENERATOR", "--min-score", "0"], "is no predictor"),
    (["sample", "--from", "TREES"], "is no generator"), (["sample", "--from", "missing"], "cannot be read as a generator"),
    (["sample", "--from", "GENERATOR", "--min-score", "1"], "does not go with --from"),
    (["sample", "--from", "GENERATOR", "--max-params", "10"], "no network keeps the caps"),
    (["generator", "fit", "missing.parquet", "-o", "x.safetensors"], "cannot read 'missing.parquet'"),
])  # fmt: skip
def test_mistakes_are_told(made: Path, argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    files: dict[str, Any] = {"TREES": made / "trees.safetensors", "GENERATOR": made / "generator.safetensors"}
    assert main([str(files.get(word, word)) for word in argv]) == 2
    assert message in capsys.readouterr().err
