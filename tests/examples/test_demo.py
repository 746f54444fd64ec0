"""The demonstration runs, and comes to a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples import demo


def test_demo_shows_what_every_part_bought(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = demo.main(budget=2, directory=str(tmp_path / "out"))
    said = capsys.readouterr().out
    assert found.page.is_file() and found.report.is_file()
    assert all(step in said for step in found.ablation.steps) and "logistic regression" in said
    assert 0 < found.test_score <= 1
