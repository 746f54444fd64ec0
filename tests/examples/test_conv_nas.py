"""The walk through sophius's three steps runs, says how far predictions go, and goes on where it was."""

from __future__ import annotations

from pathlib import Path

import pytest

import netloom as nl
from examples import conv_nas


def test_the_three_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"filtered": 2, "evolved": 3, "epochs": 1, "directory": str(tmp_path / "out"), "executor": "inprocess"}
    found = conv_nas.main(models=28, **settings)  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert set(found.learned) == {"LSTM", "Ensemble"} and all(len(of.curve) == 2 for of in found.learned.values())
    assert "trained accuracy with the filter" in said and "read once" in said and 0 < found.acceptance_rate <= 1
    page = found.page.read_text()
    assert page.count("<svg") == 3 and "<circle" in page and "http" not in page.replace("http://www.w3.org/2000/svg", "")
    with nl.Store(f"sqlite:///{tmp_path}/out/runs.db") as store:
        before = len(store.evaluations())
    conv_nas.main(models=28, **settings)  # type: ignore[arg-type]
    with nl.Store(f"sqlite:///{tmp_path}/out/runs.db") as store:
        assert len(store.evaluations()) == before, "networks that the store has were trained again"
