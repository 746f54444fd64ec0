"""``netloom ghn``: its actions from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.cli.main import main
from tests.ghn.networks import small

DATA = "digits?train=80&valid=40&test=40"
SMALL = ["--hid", "8", "--max-channels", "8", "--kernel", "3", "--meta-batch", "1", "--channels", "8", "--max-nodes", "25"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path: Path = small(max_shape=(8, 8, 3, 3), hid=8).save(tmp_path / "ghn.safetensors")
    return path


def graph_file(folder: Path) -> Path:
    x = nl.input(1, 8, 8)
    graph = nl.Graph(x, nl.linear(nl.flatten(nl.relu(nl.conv2d(x, 4, kernel=3, name="stem"))), 10, name="head"))
    path = folder / "net.json"
    path.write_text(graph.to_json())
    return path


def test_training_goes_on_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made.safetensors"
    begin = ["ghn", "train", "--task", DATA, "--watched", "0", "--quiet", "--checkpoint", str(tmp_path / "state"), *SMALL]
    assert main([*begin, "--steps", "1"]) == 0
    assert main([*begin, "--steps", "2", "--out", str(out)]) == 0
    assert "ok: 2 steps, 0 networks skipped" in capsys.readouterr().out
    assert nl.ghn.load(out).about["task"] == DATA
    assert main(["ghn", "eval", str(out), "-n", "1", "--channels", "8", "--samples", "40", "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["networks"] == 1 and 0 <= found["mean"] <= 1


def test_nowhere_to_write_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ghn", "train"]) == 2
    assert "say where the hypernetwork goes: --out" in capsys.readouterr().err


def test_predict_writes_a_network(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "filled.safetensors"
    assert main(["ghn", "predict", str(graph_file(tmp_path)), "--file", str(file), "--out", str(out)]) == 0
    assert "4 of 4 tensors predicted" in capsys.readouterr().out
    network = nl.load_network(out)
    assert torch.equal(network.state_dict()["stem.weight"], nl.ghn.load(file).predict(network.graph).tensors["stem.weight"])


def test_view_shows_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ghn", "view", str(graph_file(tmp_path))]) == 0
    shown = capsys.readouterr().out
    assert "conv" in shown and "stem.weight  4×1×3×3  ← 0" in shown and "5 nodes, 4 edges" in shown
    assert main(["ghn", "view", str(graph_file(tmp_path)), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["edges"] == [[0, 1], [1, 2], [2, 3], [3, 4]]


def test_embed_uses_what_is_there(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nets, out = tmp_path / "nets.jsonl", tmp_path / "embeddings.parquet"
    assert main(["sample", "--space", "mlp", "-n", "3", "--out", str(nets), "--quiet"]) == 0
    for count in (0, 3):
        assert main(["ghn", "embed", str(file), str(nets), "--out", str(out), "--quiet"]) == 0
        assert f"3 networks × 8; {count} were there already" in capsys.readouterr().out
    assert main(["ghn", "embed", str(file), str(nets), "--out", str(tmp_path / "e.npy"), "--quiet"]) == 0
    expected = nl.ghn.embed(nl.ghn.load(file), list(nl.spaces.read_samples(nets)))
    np.testing.assert_allclose(np.load(tmp_path / "e.npy"), expected.numpy(), rtol=1e-4, atol=1e-6)
    small(max_shape=(8, 8, 3, 3), hid=8, num_classes=7).save(file)
    assert main(["ghn", "embed", str(file), str(nets), "--out", str(out), "--quiet"]) == 0
    assert "0 were there already" in capsys.readouterr().out


def test_convert_writes_safetensors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ghn = small()
    torch.save({"config": ghn.config.to_dict(), "state_dict": ghn.state_dict()}, tmp_path / "ghn.pt")
    assert main(["ghn", "convert", str(tmp_path / "ghn.pt"), str(tmp_path / "ghn.safetensors")]) == 0
    assert nl.ghn.load(tmp_path / "ghn.safetensors").config == ghn.config
    assert main(["ghn", "convert", str(tmp_path / "ghn.pt"), str(tmp_path / "ghn.bin")]) == 2
    assert "expected a file that ends in .safetensors" in capsys.readouterr().err


def test_names_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ghn", "list"]) == 0
    assert "ghn2_cifar10" in capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("ghn eval FILE -n 0", "-n 0; expected a number of networks, 1 or more"),
        ("ghn rank FILE -n 1 --top -1", "--top -1; expected a number of networks, 1 or more"),
        ("ghn reproduce -n 0", "-n 0; expected a number of networks, 1 or more"),
        ("ghn train --devices 0 --out a.safetensors", "--devices 0; expected a number of processes, 1 or more"),
        ("ghn train --device quantum --out a.safetensors", "device = 'quantum'"),
        ("ghn train --seed -1 --out a.safetensors", "seed = -1; expected a whole number from 0"),
        ("ghn train --out a.txt", "out = 'a.txt'; expected a file that ends in .safetensors"),
    ],
)
def test_numbers_that_make_no_sense(command: str, said: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.replace("FILE", str(file)).split()) == 2
    assert said in capsys.readouterr().err


def test_embeddings_have_somewhere_to_go(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nets, other = tmp_path / "nets.jsonl", tmp_path / "other.parquet"
    assert main(["sample", "--space", "mlp", "-n", "1", "--out", str(nets), "--quiet"]) == 0
    other.write_text("this is text")
    for out, said in ((other, "is there, but no .parquet of embeddings"), (tmp_path / "no" / "e.npy", "cannot write")):
        assert main(["ghn", "embed", str(file), str(nets), "--out", str(out), "--quiet"]) == 2
        assert said in capsys.readouterr().err
