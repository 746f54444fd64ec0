"""``netloom sample``: what it prints and writes, and that killing it changes nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import netloom as nl
from netloom.cli.main import main
from netloom.spaces import read_samples

SPACE = "conv?input_shape=1x6x6&conv_num=2&lin_num=1"


def test_text_and_json_on_the_screen_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "-n", "3", "--seed", "4"]) == 0
    texts = capsys.readouterr().out
    assert main(["sample", "-n", "3", "--seed", "4", "--format", "json"]) == 0
    graphs = [nl.Graph.from_json(line) for line in capsys.readouterr().out.splitlines()]
    assert len(graphs) == 3 and all(graph.hash in texts and graph.to_text().strip() in texts for graph in graphs)
    parts = re.split(r"^# \d+: .*$", texts, flags=re.M)[1:]
    assert [nl.Graph.from_text(part).hash for part in parts] == [graph.hash for graph in graphs]


@pytest.mark.parametrize("name", ["nets.parquet", "nets.jsonl", "nets.txt"])
def test_files_hold_what_was_asked_for(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / name)
    argv = ["sample", "--space", SPACE, "-n", "20", "--max-params", "0.02M", "--max-flops", "1M", "--out", out]
    assert main(argv) == 0
    assert re.fullmatch(rf"{re.escape(out)}: 20 networks of \d+ draws\n", capsys.readouterr().out)
    samples = read_samples(out)
    assert len(set(samples.hashes)) == 20
    assert all(graph.num_params <= 20_000 and graph.flops <= 10**6 for graph in samples)
    before = Path(out).read_bytes()
    assert main(argv) == 0 and Path(out).read_bytes() == before
    capsys.readouterr()
    assert main([*argv, "--seed", "1"]) == 2
    said = capsys.readouterr().err
    assert "holds other samples: seed = 0 where 1 is asked for" in said and said.count("\n") == 1


def test_spaces_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own_spaces.py").write_text(
        "import netloom as nl\n"
        "def tiny(choose):\n    x = nl.input(4)\n    return nl.Graph(x, nl.linear(x, choose('width', [1, 2])))\n"
        "ready = nl.spaces.Conv(input_shape=(1, 4, 4), conv_num=1)\n"
        "def made():\n    return ready\n"
        "nothing = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(nl.spaces.sampling, "_PATIENCE", 100)
    monkeypatch.setattr(nl.spaces.sampling, "_PATIENCE_EACH", 10)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert main(["sample", "--space", "own_spaces:tiny", "-n", "5", "--out", "tiny.jsonl"]) == 1
    said = capsys.readouterr()
    assert "2 networks" in said.out and "own_spaces:tiny has no more than 2 different networks" in said.err
    for name in ("own_spaces:ready", "own_spaces:made"):
        assert main(["sample", "--space", name, "-n", "2"]) == 0
        assert capsys.readouterr().out.count("netloom 1") == 2
    for name, message in (
        ("own_spaces:nothing", "is a int; expected a space"), ("own_spaces:missing", "AttributeError"),
        ("no_such_module:x", "ModuleNotFoundError"), ("own_spaces:tiny?a=1", "takes no settings"),
    ):  # fmt: skip
        assert main(["sample", "--space", name]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("space", ["mlp", "nasbench201"])
def test_the_other_spaces(space: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--space", space, "-n", "1"]) == 0
    nl.Graph.from_text(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-n", "many"], "-n many: expected a whole number"),
        (["-n", "0"], "at least one network"),
        (["--seed", "-1"], "--seed -1"),
        (["--max-params", "1.0000001k"], "is no whole number"),
        (["--max-params", "5"], "max_params = 5 admits no network: the smallest has"),
        (["--processes", "0"], "processes = 0"),
        (["--space", "cave"], "unknown space 'cave'"),
        (["--out", "nets.csv"], "must end in .parquet"),
        (["--out", "nets.txt", "--format", "json"], "does not go into 'nets.txt'"),
        (["--space", 'conv?templates={"activation": ["geluu"]}'], "did you mean 'gelu'"),
        (["--space", "conv?templates={"], "expected JSON such as"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    argv: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sample", *argv]) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.startswith("netloom sample: ") and said.err.count("\n") == 1
    assert said.out == "" and not list(tmp_path.iterdir())


def program(*argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "netloom.cli.main", "sample", *argv],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Tests that run in the background of a shell inherit an ignored Ctrl-C; a person's terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def test_killed_at_any_instant_it_goes_on_to_the_same_file(tmp_path: Path) -> None:
    argv = ["--space", SPACE, "-n", "1300", "--seed", "2"]
    whole, out = tmp_path / "whole.parquet", tmp_path / "nets.parquet"
    assert main(["sample", *argv, "--out", str(whole)]) == 0
    parts = tmp_path / "nets.parquet.parts"
    for kill in range(2):
        process = program(*argv, "--out", str(out), "--processes", str(2 - kill))
        goal, end = kill, time.monotonic() + 60
        while len(list(parts.glob("*.json"))) <= goal and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not out.exists() and len(list(parts.glob("*.json"))) > goal, "killed too late or never started"
    process = program(*argv, "--out", str(out), "--processes", "2")
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "1,300 networks" in said and errors == "", "no progress where the error stream is no terminal"
    assert out.read_bytes() == whole.read_bytes() and not parts.exists()


def test_interrupted_it_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "nets.jsonl"
    process = program("--space", SPACE, "-n", "100k", "--out", str(out), "--processes", "2")
    while not list(tmp_path.glob("*.parts/0*.json")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and said == ""
    assert errors == f"netloom sample: stopped; the same command goes on from {out}.parts\n"
