"""``netloom report``: a page, an outcome for machines, and a server that ends cleanly."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from netloom.cli.main import main
from netloom.store import Store
from tests.reporting.synthetic import fill


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("store")
    with Store(f"sqlite:///{made}/runs.db") as store:
        fill(store, 30, run="first")
        fill(store, 40, seed=1, run="second")
    return made


def test_the_latest_run_or_the_one_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{folder}/runs.db"
    for words, run in (
        ([url], "second"), ([url, "first"], "first"), (["first", url], "first"), (["first", "--store", url], "first"),
        ([f"{folder}/runs.db", "first"], "first"),
    ):  # fmt: skip
        assert main(["report", *words, "--out", str(tmp_path / "out")]) == 0
        assert capsys.readouterr().out.strip() == f"{tmp_path}/out/index.html"
        assert f"run {run} " in (tmp_path / "out" / "index.html").read_text()


def test_the_page_goes_to_a_folder_called_report(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", f"sqlite:///{folder}/runs.db"]) == 0
    assert (tmp_path / "report" / "index.html").exists()


def test_outcome_for_machines(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{folder}/runs.db"
    assert main(["report", url, "first", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    with Store(url) as store:
        best = store.best(1, run="first").iloc[0]
        assert found["best"]["hash"] == best["graph_hash"] and found["best"]["score"] == best["score"]
        assert found["best"]["text"] == store.graph(best["graph_hash"]).to_text()
        assert found["evaluations"] == len(store.evaluations("first"))
    assert found["front"] and found["edits"] and {"mutation", "random"} <= {each["name"] for each in found["proposed_by"]}
    assert "page" not in found
    assert main(["report", url, "--json", "--out", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["page"] == f"{tmp_path}/index.html"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sqlite:///none.db"], "there is no file none.db"),
        (["{url}", "no-such-run"], "no run 'no-such-run'"),
        (["{url}", "first", "second"], "two runs were given"),
        (["{url}", "sqlite:///other.db"], "two stores were given"),
        (["{url}", "--watch", "--host", "0.0.0.0"], "served on this machine alone"),
        (["{url}", "--watch", "--port", "99999"], "expected a number from 1 to 65535"),
        (["{url}", "--watch", "--json"], "--out and --json go without it"),
    ],
)
def test_mistakes_are_told(folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{folder}/runs.db"
    assert main(["report", *(word.format(url=url) for word in words)]) == 2
    assert message in capsys.readouterr().err


def test_watching_serves_until_interrupted(folder: Path) -> None:
    command = [sys.executable, "-m", "netloom", "report", f"sqlite:///{folder}/runs.db", "--watch", "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        found = re.search(r"watching at (http://127\.0\.0\.1:\d+/)", process.stdout.readline())
        assert found
        with urllib.request.urlopen(found[1], timeout=30) as answer:
            assert b"Search on digits" in answer.read()
        with urllib.request.urlopen(f"{found[1]}events", timeout=30) as answer:
            answer.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.stdout.close()
        process.stderr.close()
