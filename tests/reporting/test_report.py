"""The report: what it says, that nothing in it runs or leaks, that it needs nothing else."""

from __future__ import annotations

import base64
import hashlib
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
from netloom.reporting.reproducing import command
from netloom.store import EvaluationKey, EvaluationRecord, Store
from netloom.training import Epoch
from tests.reporting.synthetic import SETTINGS

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \u2028 'quoted' \"double\""


def graph(width: int, name: str = "hidden") -> nl.Graph:
    x = nl.input(4)
    return nl.Graph(x, nl.linear(nl.linear(x, width, name=name), 2))


def settings(**changes: Any) -> dict[str, Any]:
    return {**SETTINGS, "strategy": "random", "budget": "60s", **changes}


def filled(given: dict[str, Any], results: list[tuple[nl.Graph, EvaluationRecord]], run: str = "run-1") -> Store:
    store = Store()
    store.add_run(run, given, {"torch": "2.0", "task": "some data"})
    for ask, (candidate, record) in enumerate(results):
        row = store.record(candidate, EvaluationKey(candidate.hash, "t", "r", seed=3, fidelity=2), record)
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


def network_text(data: dict[str, Any], candidate: int) -> str:
    networks = data["networks"]
    return "\n".join(networks["lines"][line] for line in networks["of"][candidate]) + "\n"


def test_summary_ranks_and_finds_the_best_for_its_size(store: Store) -> None:
    summary = summarize(store)
    assert [(c.ask, c.score) for c in summary.ranked] == [(1, 0.75), (3, 0.75), (0, 0.5), (6, 0.25)]
    assert [c.ask for c in summary.best_for_size] == [0, 1]
    assert [c.ask for c in summary.failed] == [2, 4, 5]
    assert summary.curves[summary.ranked[0].main.id] == [(1.0, 0.375, 1.5, 2.0), (2.0, 0.75, 1.25, 1.0)]
    found = command(summary)
    assert found is not None and "--seed 3" in found


def test_page_is_well_formed_and_complete(store: Store, tmp_path: Path) -> None:
    text = nl.report(store, tmp_path / "deep" / "er").read_text(encoding="utf-8")
    document = Document(text)
    assert document.open == []
    whole = html.unescape(text)
    for part in ("0.7500", "linear(2)", graph(2).hash, "2 evaluations", "search --space conv", "1 min 15 s", "some data"):
        assert part in whole
    data = embedded(text)
    assert data["evaluations"]["ask"] == list(range(7)) and data["candidates"]["rank"][1] == 1
    assert [network_text(data, i) for i in (1, 6)] == [graph(2).to_text(), graph(7).to_text()]
    assert data["curves"][0] == [[1, 2], [0.25, 0.5], [1.5, 1.25], [2, 1]] and data["curves"][2] is None


def test_nothing_in_the_data_becomes_markup(tmp_path: Path) -> None:
    given = settings(task_name=HOSTILE, space=HOSTILE, recipe_name=HOSTILE)
    hostile = graph(2, name="</script><b>x")
    store = filled(given, [(hostile, scored(0.5)), (graph(3), EvaluationRecord("failed", None, 0.0, HOSTILE))], run="r<i>un")
    text = nl.report(store, tmp_path).read_text(encoding="utf-8")
    document = Document(text)
    assert document.open == []
    tags = [tag for tag, _ in document.elements]
    assert tags.count("script") == 3 and "img" not in tags and "b" in tags and "i" not in tags
    assert not any(name.startswith("on") for _, attributes in document.elements for name in attributes)
    data = embedded(text)
    assert data["words"][data["evaluations"]["error"][1]] == HOSTILE
    assert network_text(data, 0) == hostile.to_text()


def test_page_asks_the_network_for_nothing(store: Store) -> None:
    text = page.render(summarize(store))
    assert "default-src 'none'" in text
    for _, attributes in Document(text).elements:
        assert not {"src", "href", "action"} & set(attributes)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", text)
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert "Permission is hereby granted" in text and "Leon Sorokin" in text  # the licence of the charts goes with them


def test_the_policy_of_the_page_allows_its_own_scripts_alone(store: Store) -> None:
    text = page.render(summarize(store))
    allowed = set(re.findall(r"'sha256-([^']+)'", text))
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts} == allowed and len(allowed) == 2
    assert "script-src 'unsafe-inline'" not in text and "connect-src" not in text
    assert "connect-src 'self'" in page.render(summarize(store), live=3)


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
    with pytest.raises(StoreError, match="a report needs what nl.search returned, a store"):
        nl.report(42, tmp_path)  # type: ignore[arg-type]
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        nl.report(store, tmp_path / "file")


def test_report_of_a_real_search(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    space = nl.spaces.Conv(input_shape=(1, 8, 8), conv_num=1, lin_num=1, max_macs=20_000)
    result = nl.search(space, "digits", budget=2, recipe={"epochs": 2}, progress=False)
    text = nl.report(result, tmp_path).read_text(encoding="utf-8")
    assert f"{result.best.score:.4f}" in text and result.run_id in text and len(embedded(text)["hashes"]) == 2
