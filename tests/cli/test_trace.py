"""``netloom trace``: every format, by name and by suffix."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import netloom as nl
from netloom.cli import trace_command
from netloom.cli.main import main


@pytest.fixture
def network(tmp_path: Path) -> str:
    x = nl.input(3, 8, 8)
    y = nl.relu(nl.conv2d(x, 4, kernel=3, padding=1, name="stem"))
    graph = nl.Graph(x, nl.linear(nl.flatten(y), 5, name="head"))
    path = tmp_path / "net.json"
    path.write_text(graph.to_json(), encoding="utf-8")
    return str(path)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_text_goes_to_the_screen(network: str, capsys: pytest.CaptureFixture[str]) -> None:
    graph = nl.Graph.from_json(read(Path(network)))
    assert main(["trace", network]) == 0
    assert nl.Graph.from_text(capsys.readouterr().out) == graph
    assert main(["trace", network, "--to", "outline"]) == 0
    assert capsys.readouterr().out.strip() == str(graph.blocks()).strip()
    assert main(["trace", network, "--to", "python"]) == 0
    assert "self.stem = nn.Conv2d(3, 4, 3, padding=1)" in capsys.readouterr().out


def test_the_suffix_says_the_format(network: str, tmp_path: Path) -> None:
    for suffix in (".txt", ".nl", ".json", ".py", ".svg", ".html", ".png"):
        assert main(["trace", network, "-o", str(tmp_path / f"out{suffix}")]) == 0
    graph = nl.Graph.from_json(read(Path(network)))
    assert nl.Graph.from_text(read(tmp_path / "out.nl")) == graph == nl.Graph.from_json(read(tmp_path / "out.json"))
    scope: dict[str, type[torch.nn.Module]] = {}
    exec(read(tmp_path / "out.py"), scope)
    assert scope["Model"]()(torch.zeros(2, 3, 8, 8)).shape == (2, 5)
    assert read(tmp_path / "out.svg").startswith("<svg") and "<html" in read(tmp_path / "out.html")[:200]
    assert (tmp_path / "out.png").read_bytes()[:4] == b"\x89PNG"


def test_a_format_by_name_overrules_the_suffix(network: str, tmp_path: Path) -> None:
    assert main(["trace", network, "--to", "svg", "-o", str(tmp_path / "picture.dat")]) == 0
    assert read(tmp_path / "picture.dat").startswith("<svg") and len(list(tmp_path.iterdir())) == 2
    assert main(["trace", network, "--to", "json", "-o", str(tmp_path / "graph.txt")]) == 0
    nl.Graph.from_json(read(tmp_path / "graph.txt"))


def test_onnx_goes_the_same_way(network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr("netloom.building.onnx.to_onnx", lambda net, path: written.append((net.graph.num_params, path)))
    assert main(["trace", network, "-o", str(tmp_path / "net.onnx")]) == 0
    assert written == [(1397, str(tmp_path / "net.onnx"))]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "pdf"], "--to pdf is no format; there are " + ", ".join(trace_command.FORMATS)),
        (["-o", "net.docx"], "the suffix '.docx' of 'net.docx' is no format; there are text, json"),
        (["--to", "svg"], "-o network.svg"),
        (["--to", "onnx"], "-o network.onnx"),
        (["-o", "/no/such/folder/net.py"], "; there is no folder '/no/such/folder', make it first"),
        pytest.param(["-o", "/dev/full", "--to", "text"], "cannot write '/dev/full': No space left on device",
                     marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")),
        (["-o", "/no/such/folder/net.svg"], "/no/such/folder"),
        (["--to", "svg", "-o", "/no/such/folder/net"], "there is no directory"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", network, *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and said.startswith("netloom trace: ")
