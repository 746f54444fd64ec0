"""What is shown while a search runs."""

from __future__ import annotations

import io

import pytest

import netloom as nl
from netloom.searching.budget import Budget, Spent
from netloom.searching.progress import LivePanel, PlainLines, Standing, make_progress
from netloom.searching.proposal import Result


def graph() -> nl.Graph:
    x = nl.input(4)
    return nl.Graph(x, nl.linear(x, 2))


def standing(budget: str = "60s") -> Standing:
    return Standing("run-1", Budget.of(budget), Spent(14.0, 3), best=Result(graph(), 0.75))


def test_plain_lines_say_everything_once() -> None:
    stream = io.StringIO()
    with PlainLines(stream) as lines:
        lines.told(standing(), Result(graph(), 0.5, seconds=1.25), "")
        lines.told(standing("25"), Result(graph(), None, "diverged", reused=True), "the loss was no longer finite")
        lines.told(standing(), Result(graph(), 0.5, "time_limit"), "")
    first, second, third = stream.getvalue().splitlines()
    assert first.startswith("[   3] 0.5000 ") and first.endswith("best 0.7500  14 s of 1m") and "10 parameters" in first
    assert "diverged (known)" in second and second.endswith("3 of 25 candidates")
    assert "0.5000 (time_limit)" in third


def test_panel_shows_incumbent_and_candidates(capsys: pytest.CaptureFixture[str]) -> None:
    with LivePanel() as panel:
        for score in (0.5, None):
            panel.told(standing(), Result(graph(), score, "ok" if score else "failed"), "")
        panel.note("a remark with [brackets]")
    said = capsys.readouterr().err
    assert "run-1" in said and "best 0.7500" in said and "0.5000" in said and "failed" in said and "[brackets]" in said


def test_plain_lines_where_there_is_no_terminal() -> None:
    assert isinstance(make_progress(True), PlainLines) and not isinstance(make_progress(False), PlainLines)
