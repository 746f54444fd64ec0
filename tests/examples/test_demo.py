"""The demonstration runs, reads the test part once, and writes its report."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from examples import demo


def test_demo_compares_on_the_test_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(demo, "FINALISTS", 1)
    monkeypatch.setattr(demo, "FINAL_SECONDS", 1.0)
    accuracy = demo.main(budget=2, directory=str(tmp_path / "out"), executor="inprocess")
    said = capsys.readouterr().out
    assert list(accuracy) == ["netloom's network", "logistic regression", "nearest neighbours"]
    assert all(0.2 < value <= 1 for value in accuracy.values()) and accuracy["nearest neighbours"] > 0.95
    assert "read once (1 time)" in said and (tmp_path / "out" / "index.html").exists() and "index.html" in said
