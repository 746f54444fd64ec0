"""``netloom measure``: the table, JSON, proxies of a task, and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import netloom as nl
from netloom.cli.main import main


@pytest.fixture
def file(tmp_path: Path) -> str:
    x = nl.input(1, 8, 8)
    value = nl.relu(nl.batch_norm(nl.conv2d(x, 16, kernel=3, name="stem")))
    (tmp_path / "small.json").write_text(nl.Graph(x, nl.linear(nl.flatten(value), 10, name="head")).to_json())
    return str(tmp_path / "small.json")


def test_the_table(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", file, "--batch", "4", "--threads", "1", "--repeats", "8", "--by-node"]) == 0
    told = capsys.readouterr().out
    words = ("parameters   5,962", "forward, batch 4, 1 thread, cpu", "median of 8 calls", "peak memory", "stem", "conv2d k×k")
    assert [word for word in words if word not in told] == []
    assert "proxies" not in told


def test_json(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found.json"
    arguments = ["measure", file, "--repeats", "2", "--train", "--batch", "3", "--json", "--by-node", "-o", str(out)]
    assert main(arguments) == 0 and capsys.readouterr().out == ""
    found = json.loads(out.read_text())
    assert found["num_params"] == 5962 and found["latency"]["repeats"] == 2 and found["latency"]["margin"] is None
    assert found["latency"]["train"] and found["memory"]["batch"] == 3
    memory = found["memory"]
    assert memory["total_bytes"] == sum(memory[f"{name}_bytes"] for name in ("peak", "parameter", "buffer", "input"))
    assert [node["node"] for node in found["nodes"]] == ["stem", "batch_norm", "relu", "head"]


def test_proxies_of_a_task(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    shared = ["measure", file, "--repeats", "2", "--task", "digits", "--json"]
    assert main([*shared, "--proxies", "nwot, synflow", "--proxy-batch", "8"]) == 0
    found = json.loads(capsys.readouterr().out)["proxies"]
    graph, task = nl.Graph.from_json(Path(file).read_text()), nl.tasks.load("digits")
    assert found == nl.measure.proxies(graph, task, ["nwot", "synflow"], batch_size=8)
    assert main(shared) == 0
    assert list(json.loads(capsys.readouterr().out)["proxies"]) == list(nl.measure.PROXIES)


def test_a_saved_network_keeps_its_weights(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = nl.build(nl.Graph.from_json(Path(file).read_text()), seed=5)
    network.save(tmp_path / "net.safetensors")
    arguments = ["measure", str(tmp_path / "net.safetensors"), "--repeats", "2", "--task", "digits", "--proxies", "l2_norm"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["proxies"]
    assert found == nl.measure.proxies(network, nl.tasks.load("digits"), ["l2_norm"])


def test_a_model_by_name_is_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "measured_models.py").write_text("import torch\ndef net():\n    return torch.nn.Conv2d(3, 4, 3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["measure", "measured_models:net", "--input", "3x8x8", "--repeats", "2"]) == 0
    assert "parameters   112" in capsys.readouterr().out


def test_mistakes(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["measure", "nowhere.json"], "nowhere.json"),
        (["measure", file, "--proxies", "snip"], "give --task"),
        (["measure", file, "--batch", "0"], "batch = 0"),
        (["measure", file, "--repeats", "2", "--task", "digits", "--proxies", "snap"], "did you mean 'snip'"),
        (["measure", file, "--repeats", "2", "--task", "diamonds"], "diamonds"),
        (["measure", file, "--device", "abacus"], "device = 'abacus'"),
    ):
        assert main(arguments) == 2
        assert words in capsys.readouterr().err
