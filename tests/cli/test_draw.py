"""``netloom draw``."""

from __future__ import annotations

from pathlib import Path

import pytest

import netloom as nl
from netloom.cli.main import main


@pytest.fixture
def document(tmp_path: Path) -> Path:
    x = nl.input(8)
    path = tmp_path / "small.json"
    path.write_text(nl.Graph(x, nl.relu(nl.linear(x, 4))).to_json())
    return path


@pytest.mark.parametrize("suffix", [".svg", ".png", ".html"])
def test_a_graph_file_is_drawn(suffix: str, document: Path, tmp_path: Path) -> None:
    out = tmp_path / f"x{suffix}"
    options = ["--direction", "right", "--depth", "0", "--theme", "dark", "--scale", "2"]
    assert main(["draw", str(document), "-o", str(out), *options]) == 0
    graph, expected = nl.Graph.from_json(document.read_text()), tmp_path / f"y{suffix}"
    graph.draw(expected, direction="right", depth=0, theme="dark", node_size=2, title="small")
    assert out.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["-o", "x.gif"], "has the suffix '.gif'"),
        (["-o", "no/such/x.svg"], "does not exist; make it first"),
        (["-o", "x.svg", "--direction", "up"], "direction = 'up'"),
        (["-o", "x.svg", "--theme", "pink"], "theme = 'pink'"),
        (["-o", "x.svg", "--depth", "-2"], "depth = -2"),
    ],
)
def test_mistakes_are_told_before_the_network_is_loaded(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["draw", "no_such_module:model", *arguments]) == 2
    assert message in capsys.readouterr().err
