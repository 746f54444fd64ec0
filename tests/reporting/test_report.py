"""The report: what it says, that nothing in it runs or leaks, that it needs nothing else."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

import netloom as nl
from netloom.errors import StoreError
from netloom.reporting import page, summarize
from netloom.searching.settings import Settings
from netloom.store import EvaluationRecord, Store
from netloom.training import Epoch

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \u2028 'quoted' \"double\""


def graph(width: int, name: str = "hidden") -> nl.Graph:
    x = nl.input(4)
    return nl.Graph(x, nl.linear(nl.linear(x, width, name=name), 2))


def settings(**changes: Any) -> Settings:
    data: dict[str, Any] = {
        "space": "conv", "task": "digits", "task_name": "digits", "task_hash": "t", "strategy": "random", "budget": "60s",
        "seed": 3, "recipe": {"epochs": 2}, "recipe_name": "express", "executor": "inprocess", "candidate_seconds": None,
    }  # fmt: skip
    return Settings(**{**data, **changes})


def filled(given: Settings, results: list[tuple[nl.Graph, EvaluationRecord]], run: str = "run-1") -> Store:
    store = Store()
    store.add_run(run, given.to_data(), {"torch": "2.0", "task": "some data"})
    for ask, (candidate, record) in enumerate(results):
        row = store.record(candidate, given.key(candidate.hash), record)
        store.add_proposal(run, ask, row.id, reused=False, elapsed=float(ask))
    store.update_run(run, status="finished", seconds=75.0)
    return store


def scored(score: float) -> EvaluationRecord:
    return EvaluationRecord("ok", score, 1.0, curve=(Epoch(1, 2.0, 1.5, score / 2, 0.5), Epoch(2, 1.0, 1.25, score, 1.0)))


@pytest.fixture
def store() -> Store:
    failed = EvaluationRecord("failed", None, 0.0, "RuntimeError: " + HOSTILE)
    diverged = EvaluationRecord("diverged", None, 0.1, "the loss was no longer finite")
    return filled(
        settings(),
        [(graph(1), scored(0.5)), (graph(2), scored(0.75)), (graph(3), failed), (graph(4), scored(0.75)), (graph(5), diverged),
         (graph(6), failed), (graph(7), scored(0.25))],
    )  # fmt: skip


class Document(HTMLParser):
    """Text by element, attributes, and what is left open."""

    void = {"meta", "input", "br", "link", "img"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self.open[-1] if self.open else "", []).append(data)


def embedded(text: str) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert match
    found: dict[str, Any] = json.loads(match[1])
    return found


def test_summary_ranks_and_finds_the_best_for_its_size(store: Store) -> None:
    summary = summarize(store)
    assert [(c.ask, c.score) for c in summary.ranked] == [(1, 0.75), (3, 0.75), (0, 0.5), (6, 0.25)]
    assert [c.ask for c in summary.best_for_size] == [0, 1]
    assert [c.ask for c in summary.failed] == [2, 4, 5]
    assert len(summary.ranked[0].curve) == 2 and summary.command is not None and "--seed 3" in summary.command


def test_page_is_well_formed_and_complete(store: Store, tmp_path: Path) -> None:
    text = nl.report(store, tmp_path / "deep" / "er").read_text(encoding="utf-8")
    document = Document(text)
    assert document.open == []
    whole = html.unescape(text)
    for part in ("0.7500", "linear(2)", graph(2).hash, "2 candidates", "search --space conv", "1 min 15 s", "some data"):
        assert part in whole
    data = embedded(text)
    assert [c["ask"] for c in data["candidates"]] == list(range(7))
    assert data["candidates"][1]["text"] == graph(2).to_text() and data["candidates"][1]["rank"] == 1
    assert [c["front"] for c in data["candidates"]] == [True, True, False, False, False, False, False]
    last = {"epoch": 2, "train_loss": 1.0, "valid_loss": 1.25, "score": 0.5, "seconds": 1.0}
    assert data["candidates"][0]["curve"][1] == last


def test_nothing_in_the_data_becomes_markup(tmp_path: Path) -> None:
    given = settings(task_name=HOSTILE, space=HOSTILE, recipe_name=HOSTILE)
    hostile = graph(2, name="</script><b>x")
    store = filled(
        given, [(hostile, scored(0.5)), (graph(3), EvaluationRecord("failed", None, 0.0, HOSTILE))], run="r<i>un"
    )
    text = nl.report(store, tmp_path).read_text(encoding="utf-8")
    document = Document(text)
    assert document.open == []
    tags = [tag for tag, _ in document.elements]
    assert tags.count("script") == 2 and "img" not in tags and "b" in tags and "i" not in tags
    assert not any(name.startswith("on") for _, attributes in document.elements for name in attributes)
    assert embedded(text)["candidates"][1]["error"] == HOSTILE
    assert embedded(text)["candidates"][0]["text"] == hostile.to_text()


def test_page_asks_the_network_for_nothing(store: Store) -> None:
    text = page.render(summarize(store))
    assert "default-src 'none'" in text
    for _, attributes in Document(text).elements:
        assert not {"src", "href", "action"} & set(attributes)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", text)
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_page_of_a_run_without_any_score(tmp_path: Path) -> None:
    store = filled(settings(), [(graph(1), EvaluationRecord("diverged", None, 0.1, "not finite"))])
    text = nl.report(store, tmp_path).read_text(encoding="utf-8")
    assert "No candidate has a score" in text and Document(text).open == []


def test_page_of_a_run_without_candidates(tmp_path: Path) -> None:
    assert Document(nl.report(filled(settings(), []), tmp_path).read_text(encoding="utf-8")).open == []


def test_a_search_in_one_program_gives_no_command(tmp_path: Path) -> None:
    store = filled(settings(task=""), [(graph(1), scored(0.5))])
    text = nl.report(store, tmp_path).read_text(encoding="utf-8")
    assert "exist in one Python program only" in text and "netloom search" not in text


def test_passwords_stay_out_of_the_page() -> None:
    class Elsewhere(Store):
        """A store in memory that says it is a server."""

    store = filled(settings(), [(graph(1), scored(0.5))])
    store.__class__ = Elsewhere
    store.url = "postgresql+psycopg://me:secret@host/runs"
    text = page.render(summarize(store))
    assert "secret" not in text and "me:***@host" in text


def test_what_cannot_be_reported_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no run 'x'"):
        nl.report(store, tmp_path, run="x")
    with pytest.raises(StoreError, match="no runs to report"):
        nl.report(Store(), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        nl.report(store, tmp_path / "file")


def test_report_of_a_real_search(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    space = nl.spaces.Conv(input_shape=(1, 8, 8), conv_num=1, lin_num=1, max_macs=20_000)
    result = nl.search(space, "digits", budget=2, recipe={"epochs": 2}, progress=False)
    text = nl.report(result, tmp_path).read_text(encoding="utf-8")
    assert f"{result.best.score:.4f}" in text and result.run_id in text and len(embedded(text)["candidates"]) == 2
