"""The command line: what it prints, its exit codes, and that it is quick to start."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import netloom as nl
from netloom.cli.main import main

SPACE = "conv?max_macs=20000&conv_num=1&lin_num=1"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "recipe.json"
    path.write_text('{"epochs": 1, "batch_size": 256}')
    return str(path)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def search(store: str, recipe: str, *more: str) -> list[str]:
    return ["search", "--space", SPACE, "--budget", "3", "--recipe", recipe, "--store", store, "--quiet", *more]


def test_search_report_store_and_resume(tmp_path: Path, recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    assert main(search(url, recipe, "--report", str(tmp_path / "out"))) == 0
    said = "\n".join(lines(capsys))
    run_id = re.search(r"run +(\S+): finished, 3 candidates", said)
    assert run_id and "netloom 1" in said and f"report      {tmp_path}/out/index.html" in said
    assert (tmp_path / "out" / "index.html").exists()
    assert main(["store", "check", url]) == 0
    assert lines(capsys)[0].startswith("whole: 3 graphs, 3 evaluations, 3 curves, 1 runs, 3 proposals")
    assert main(["store", "ls", url]) == 0
    assert run_id[1] in lines(capsys)[0]
    assert main(["search", "--resume", run_id[1], "--store", url, "--budget", "4", "--quiet"]) == 0
    assert f"{run_id[1]}: finished, 4 candidates" in lines(capsys)[0]
    assert main(["report", "--store", url, "--out", str(tmp_path / "again")]) == 0
    assert lines(capsys) == [f"{tmp_path}/again/index.html"]


def test_store_check_says_what_is_wrong(tmp_path: Path, recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    url = f"sqlite:///{tmp_path}/runs.db"
    main(search(url, recipe))
    with sqlite3.connect(tmp_path / "runs.db") as raw:
        raw.execute("UPDATE evaluations SET score = 0.123")
    capsys.readouterr()
    assert main(["store", "check", url]) == 1
    assert "evaluation 1 scored 0.123, but its curve ends at" in lines(capsys)[0]


def test_trace_prints_a_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "some_models.py").write_text(
        "import torch\n"
        "def small():\n    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))\n"
        "def pair():\n    return small(), torch.rand(2, 3, 4, 4)\n"
        "def nothing():\n    return 3\n"
        "def more(width):\n    return small()\n"
        "def fails():\n    raise ValueError('no weights here')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["trace", "some_models:small", "--input", "3x4x4", "--format", "json"]) == 0
    first = nl.Graph.from_json(json.loads(capsys.readouterr().out))
    assert main(["trace", "some_models:pair"]) == 0
    assert nl.Graph.from_text(capsys.readouterr().out).hash == first.hash and first.num_params == 245
    for name, message in (
        ("some_models:nothing", "gives a int"), ("some_models:missing", "gives no model"),
        ("no_such_module:x", "gives no model"), ("some_models", "expected MODULE:FUNCTION"),
        ("some_models:more", "called without arguments"), ("some_models:fails", "ValueError: no weights here at"),
    ):  # fmt: skip
        assert main(["trace", name]) == 2
        assert message in capsys.readouterr().err
    assert main(["trace", "some_models:small", "--input", "3xx"]) == 2
    assert "such as 3x224x224" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["search", "--task", "digit"], "did you mean 'digits'"),
        (["search", "--budget", "soon"], "budget 'soon' cannot be read"),
        (["search", "--executor", "rey"], "there is: inprocess, local, ray"),
        (["search", "--resume", "x", "--store", "sqlite:///none.db"], "there is no file none.db"),
        (["search", "--resume", "x", "--seed", "1"], "--seed cannot be changed"),
        (["search", "--report", __file__], "give a directory"),
        (["search", "digits", "--task", "digits"], "two answers to one question"),
        (["search", "houses.csv"], "which column is to be predicted with --target"),
        (["search", "digits", "--target", "price"], "is for tables"),
        (["search", "digits", "--constraint", "flops <= 50%"], "relative to a network that the search starts from"),
        (["search", "digits", "--save", "best.pt"], "written as .safetensors"),
        (["search", "digits", "--memory", "much"], "--memory 'much'"),
        (["store", "check", "sqlite:///none.db"], "there is no file none.db"),
        (["report", "--store", "sqlite:///none.db"], "there is no file none.db"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    argv: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.startswith(f"netloom {argv[0]}: ") and said.err.count("\n") == 1
    assert said.out == "" and not list(tmp_path.glob("none*"))


def test_help_teaches_by_example(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ([], ["search"], ["sample"], ["trace"], ["report"], ["store"]):
        with pytest.raises(SystemExit) as end:
            main([*command, "--help"])
        assert end.value.code == 0
        said = capsys.readouterr().out
        assert "examples:" in said or "first steps:" in said
        assert max(map(len, said.splitlines())) <= 120
    assert main([]) == 2
    assert "first steps:" in capsys.readouterr().err


def program(*argv: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "netloom.cli.main", *argv],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,  # type: ignore[call-overload]
    )  # fmt: skip


def test_help_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'pandas', 'sqlalchemy', 'rich', 'sklearn'}"
    code = f"import sys, netloom.cli.main as m; m.parser(); print(sorted({heavy} & set(sys.modules)))"
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stderr


def test_a_search_killed_at_any_instant_resumes(tmp_path: Path, recipe: str) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    process = program("search", "--space", SPACE, "--budget", "40", "--recipe", recipe, "--store", url)
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith("[   3]"):
            break
    assert said and said[-1].startswith("[   3]"), said
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    store = nl.Store(url)
    (run_id,) = store.run_ids()
    done = len(store.evaluations(run_id))
    assert 3 <= done < 40 and store.check() == []
    from netloom.searching import resume

    asked = resume(run_id, store, budget=done + 2, progress=False).evaluations["ask"]
    assert list(asked) == list(range(done + 2)) and store.check() == []


def test_the_package_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "netloom", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("netloom ")
