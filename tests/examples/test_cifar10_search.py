"""The CIFAR-10 search: its space is what it says, and its program runs from a folder to three test scores, and goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import netloom as nl
from examples import cifar10_search
from tests.examples.test_cifar10_90 import batches


def test_samples_keep_below_the_cap_and_differ() -> None:
    space = nl.spaces.from_function(cifar10_search.residual_network)
    graphs = [space.sample(np.random.default_rng([0, i])) for i in range(40)]
    assert all(graph.flops <= 2 * cifar10_search.MAX_MACS for graph in graphs)
    assert len({graph.hash for graph in graphs}) == 40
    assert max(graph.flops for graph in graphs) > 10 * min(graph.flops for graph in graphs)


def test_the_network_built_by_hand_has_nearly_the_multiply_adds_that_it_may() -> None:
    graph = cifar10_search.built_by_hand(100_000_000)
    assert 97_000_000 < graph.flops // 2 <= 100_000_000


def test_from_a_folder_to_three_test_scores_and_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cifar10_search, "MAX_MACS", 4_000_000)
    monkeypatch.setattr(cifar10_search, "VALID", 300)
    given = [str(batches(tmp_path / "data")), "--search", "4", "--random", "3", "--epochs", "1", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", ["cifar10_search.py", *given])
    for _ in range(2):  # the second time everything is there already
        cifar10_search.main()
        torch.set_num_threads(1)
        rows = json.loads((tmp_path / "cifar10-search" / "accuracy.json").read_text())
        assert set(rows) == {"winner", "built by hand", "median random sample"}
        assert all(0 <= row["test"] <= 1 and row["macs"] <= 4_000_000 for row in rows.values())
        assert "4 candidates" in capsys.readouterr().out
    assert (tmp_path / "cifar10-search" / "index.html").exists() and (tmp_path / "cifar10-search" / "winner.svg").exists()
