"""``netloom diff``: what it prints, writes and answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import netloom as nl
from netloom.cli.main import main


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    x = nl.input(8)
    for name, activation in (("a", nl.relu), ("b", nl.gelu)):
        graph = nl.Graph(x, nl.linear(activation(nl.linear(x, 4, name="hidden"), name="act"), 2, name="head"))
        (tmp_path / f"{name}.json").write_text(graph.to_json())
    return str(tmp_path / "a.json"), str(tmp_path / "b.json")


def test_the_table(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *files]) == 0
    assert capsys.readouterr().out == "changed  act  relu → gelu\n"
    assert main(["diff", files[0], files[0], "--exit-code"]) == 0
    assert "the same" in capsys.readouterr().out
    assert main(["diff", *files, "--exit-code"]) == 1


def test_files_of_all_kinds(files: tuple[str, str], tmp_path: Path) -> None:
    for suffix in ("json", "txt", "svg", "html"):
        assert main(["diff", *files, "-o", str(tmp_path / f"out.{suffix}")]) == 0
    assert json.loads((tmp_path / "out.json").read_text())["changed"][0]["values"] == {"op": ["relu", "gelu"]}
    assert "a → b" in (tmp_path / "out.svg").read_text()


def test_mistakes(files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["diff", files[0], "nowhere.json"], "nowhere.json"),
        (["diff", *files, "-o", "out.pdf"], ".svg, .png, .html, .txt, .json"),
        (["diff", *files, "-o", str(tmp_path / "no" / "out.svg")], "does not exist"),
        (["diff", *files, "--input", "3x8x8"], "--input"),
    ):
        assert main(arguments) == 2
        assert words in capsys.readouterr().err
