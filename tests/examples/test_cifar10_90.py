"""The CIFAR-10 example: its network and recipe fit each other, and its program runs from a folder to the test score."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from examples import cifar10_90


def batches(folder: Path) -> Path:
    """CIFAR-10's python batches, of few images: five batches of 300 and a test batch of 100; a class is a colour."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for name, count in [*((f"data_batch_{i}", 300) for i in range(1, 6)), ("test_batch", 100)]:
        labels = np.arange(count) % 10
        data = np.clip(labels[:, None] * 25 + rng.normal(0, 8, (count, 3072)), 0, 255).astype(np.uint8)
        (folder / name).write_bytes(pickle.dumps({b"data": data, b"labels": labels.tolist()}, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [f"c{i}".encode() for i in range(10)]}, protocol=2))
    return folder


def test_the_network_is_the_one_that_is_described() -> None:
    graph = cifar10_90.network()
    assert (graph.num_params, graph.flops // 2) == (1_941_546, 114_133_504)
    assert cifar10_90.RECIPE.schedule == "linear" and cifar10_90.RECIPE.epochs == 28


def test_from_a_folder_to_the_test_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cifar10_90, "network", lambda whole=cifar10_90.network: whole((4, 8, 8, 16)))
    monkeypatch.setattr(sys, "argv", ["cifar10_90.py", str(batches(tmp_path / "data")), "--epochs", "2", "--threads", "1"])
    cifar10_90.main()
    torch.set_num_threads(1)
    captured = capsys.readouterr()
    assert "test accuracy" in captured.out and captured.err.count("validation") == 2
    assert (tmp_path / "cifar10_90.svg").read_text().startswith("<svg")
