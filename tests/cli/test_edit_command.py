"""``netloom edit``, ``prune`` and ``grow``: what they print and write, and that nothing written in them is executed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import netloom as nl
from netloom.cli.main import main


@pytest.fixture
def network(tmp_path: Path) -> nl.Network:
    x = nl.input(4)
    hidden = nl.relu(nl.linear(x, 8, name="hidden"), name="act")
    net = nl.build(nl.Graph(x, nl.linear(hidden, 2, name="head")), seed=0)
    net.save(tmp_path / "net.safetensors")
    return net


def file(tmp_path: Path, name: str = "net.safetensors") -> str:
    return str(tmp_path / name)


def test_edits_in_order_with_the_weights_that_stay(
    network: nl.Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = file(tmp_path, "out.safetensors")
    edits = ["--drop", "hidden=0,2-3", "--resize", "hidden=+2", "--insert-after", "act=linear(7)|relu"]
    assert main(["edit", file(tmp_path), *edits, "-o", out]) == 0
    said = capsys.readouterr().out
    assert "5 of 8 kept, 2 new" in said and "inserted" in said and "parameters 58 → " in said
    state, old = load_file(out), network.state_dict()
    assert torch.equal(state["hidden.weight"][:5], old["hidden.weight"][[1, 4, 5, 6, 7]])
    assert nl.load_network(out)(torch.zeros(3, 4)).shape == (3, 2)


def test_a_plan_is_stored_and_replayed_on_a_checkpoint(network: nl.Network, tmp_path: Path) -> None:
    plan, first, again = (file(tmp_path, name) for name in ("plan.json", "a.safetensors", "b.safetensors"))
    assert main(["edit", file(tmp_path), "--resize", "hidden=5", "--save-plan", plan, "-o", first]) == 0
    (tmp_path / "net.json").write_text(network.graph.to_json())
    save_file(dict(network.state_dict()), file(tmp_path, "weights.safetensors"))
    checkpoint = [file(tmp_path, "weights.safetensors"), "--graph", file(tmp_path, "net.json")]
    assert main(["edit", *checkpoint, "--plan", plan, "-o", again]) == 0
    one, other = load_file(first), load_file(again)
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_explanations(network: nl.Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["edit", file(tmp_path), "--explain"]) == 0
    table = capsys.readouterr().out
    assert "hidden     8  hidden   head" in table and "2 because of axis 1 of an output" in table
    assert main(["edit", file(tmp_path), "--explain", "act"]) == 0
    assert "hidden: 8 indices, free" in capsys.readouterr().out
    assert main(["edit", file(tmp_path), "--explain", "-o", file(tmp_path, "sizes.svg")]) == 0
    assert (tmp_path / "sizes.svg").read_text().startswith("<svg")


def test_pictures_and_graphs(network: nl.Network, tmp_path: Path) -> None:
    picture, graph = file(tmp_path, "change.svg"), file(tmp_path, "out.nl")
    assert main(["edit", file(tmp_path), "--replace", "act=gelu", "--draw", picture, "-o", graph]) == 0
    assert "gelu" in Path(picture).read_text() and nl.Graph.from_text(Path(graph).read_text())["gelu"].op == "gelu"


def test_prune_and_grow(network: nl.Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small, large = file(tmp_path, "small.safetensors"), file(tmp_path, "large.safetensors")
    assert main(["prune", file(tmp_path), "--keep", "50%", "-o", small]) == 0
    assert "hidden (linear)       8  4" in capsys.readouterr().out
    assert main(["grow", small, "--by", "0.5", "-o", large]) == 0
    x = torch.randn(5, 4)
    assert torch.allclose(nl.load_network(small)(x), nl.load_network(large)(x), rtol=1e-5, atol=1e-6)
    assert nl.load_network(large).graph["hidden"].out_size == 6


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "no edit was asked for"),
        (["--resize", "hiden=4"], "did you mean 'hidden'"),
        (["--resize", "hidden"], "NODE=+4"),
        (["--resize", "hidden=x"], "no whole number"),
        (["--resize", "head=+1"], "io=True"),
        (["--insert-after", "act=__import__('os').getcwd()"], "is no layer"),
        (["--insert-after", "act=relu(x.y)"], "is no layer"),
        (["--insert-after", "act=rellu"], "did you mean 'relu'"),
        (["--connect", "hidden"], "SOURCE:TARGET"),
        (["--resize", "hidden=4", "-o", "out.pdf"], ".safetensors, .json"),
        (["--plan", "nowhere.json"], "nowhere.json"),
        (["--value", "size", "--resize", "hidden=4"], "'size'"),
    ],
)
def test_mistakes(
    network: nl.Network, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["edit", file(tmp_path), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_plan_of_another_network_is_refused(network: nl.Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = nl.input(3)
    other = nl.edit(nl.Graph(x, nl.linear(nl.linear(x, 5, name="a"), 2)))
    other["a"].resize(out=1)
    (tmp_path / "plan.json").write_text(other.plan.to_json())
    assert main(["edit", file(tmp_path), "--plan", file(tmp_path, "plan.json")]) == 2
    assert "another network" in capsys.readouterr().err
    assert main(["prune", file(tmp_path), "--keep", "0.5", "--flops", "0.5"]) == 2
    assert "exactly one" in capsys.readouterr().err
