"""The hypernetwork that comes with netloom, and the example that shows it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.cli.main import main
from netloom.ghn.loading import SHIPPED, names

ROOT = Path(__file__).parents[2]


def unseen(seed: int) -> nl.Graph:
    """Four convolutions that no training drew: another order of pools, another number of channels."""
    rng = np.random.default_rng(seed)
    x = y = nl.input(1, 8, 8)
    for place in range(4):
        kernel = int(rng.choice([3, 5]))
        y = nl.relu(nl.batch_norm(nl.conv2d(y, int(rng.choice([8, 16])), kernel=kernel, padding=kernel // 2)))
        y = nl.max_pool2d(y, 2) if place in (1, 2) else y
    return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(y, 1)), 10))


def test_it_comes_with_netloom_and_says_what_it_is() -> None:
    assert "digits" in names() and (SHIPPED / "digits.safetensors").stat().st_size < 2_000_000
    ghn = nl.ghn.load("digits")
    assert ghn.about["task"] == "digits" and ghn.about["steps"] > 0 and not ghn.training
    sheet = json.loads((SHIPPED / "digits.json").read_text())
    assert {"val", "test", "wide", "deep", "dense", "bnfree"} <= sheet["accuracy"].keys()
    assert (SHIPPED / "digits.md").read_text().startswith("# ")


def test_networks_that_nobody_trained_classify_digits() -> None:
    torch.set_num_threads(1)
    graphs = [unseen(seed) for seed in range(6)]
    filled, fresh = (nl.ghn.evaluate(of, graphs, "digits", part="test") for of in (nl.ghn.load("digits"), None))
    assert filled.mean > fresh.mean + 0.2
    assert min(a - b for a, b in zip(filled.top1, fresh.top1)) > 0


def test_it_is_refused_for_other_classes() -> None:
    with pytest.raises(nl.errors.HypernetworkError, match="predicts networks of 10 classes"):
        nl.ghn.evaluate(nl.ghn.load("digits"), [], nl.tasks.from_arrays(torch.rand(40, 1, 8, 8), torch.arange(40) % 4))


def test_commands_know_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ghn", "list"]) == 0 and "digits" in capsys.readouterr().out.split()
    (tmp_path / "net.json").write_text(unseen(0).to_json())
    network = str(tmp_path / "net.json")
    assert main(["train", network, "--init", "ghn:digits", "--beta", "3e-5", "--epochs", "1", "--quiet"]) == 0
    assert "tensors predicted" in capsys.readouterr().out


def test_networks_of_a_split_are_as_narrow_as_those_it_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ghn", "rank", "digits", "--split", "val", "-n", "1", "--samples", "64", "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["top"][0]["name"] == "deepnets1m:val/0?channels=8"


def test_the_example_is_the_notebook() -> None:
    from benchmarks.notebook import SCRIPT, cells

    sources = cells(SCRIPT.read_text(encoding="utf-8"))
    written = json.loads((ROOT / "docs" / "notebooks" / "predict_parameters.ipynb").read_text(encoding="utf-8"))
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in written["cells"]] == sources
    printed = "".join(line for cell in written["cells"] for out in cell.get("outputs", ()) for line in out["text"])
    assert "tensors predicted" in printed and "of the test digits" in printed
