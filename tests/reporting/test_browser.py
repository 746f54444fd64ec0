"""The page as a person meets it, in a real browser: nothing is complained of, everything that can be clicked does its work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import netloom as nl
from netloom.store import EvaluationKey, EvaluationRecord, Lineage, Store
from netloom.training import Epoch
from tests.reporting.browser import Browser
from tests.reporting.synthetic import SETTINGS, fill

HOSTILE = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 2'>\u2028\"'&"
#: Scrolls through the whole page, so that every chart is drawn.
SCROLL = """(async () => {
  for (let y = 0; y < document.documentElement.scrollHeight; y += 600) {
    scrollTo(0, y);
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  }
  scrollTo(0, 0);
})()"""


@pytest.fixture(scope="module")
def evolution_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with Store() as store:
        fill(store, 120)
        return nl.report(store, tmp_path_factory.mktemp("page"))


def run_of(*results: tuple[nl.Graph, EvaluationRecord], settings: dict[str, Any] | None = None) -> Store:
    store = Store()
    store.add_run("run", {**SETTINGS, **(settings or {})}, {"torch": "2.13"})
    for ask, (graph, record) in enumerate(results):
        stored = store.record(graph, EvaluationKey(graph.hash, "t", "r", seed=0, fidelity=2), record)
        store.add_proposal("run", ask, stored.id, reused=False, elapsed=float(ask), lineage=Lineage(proposed_by="random"))
    store.update_run("run", status="finished", seconds=12.0)
    return store


def chain(length: int, width: int = 4, name: str | None = None) -> nl.Graph:
    x = nl.input(4)
    y = x
    for _ in range(length):
        y = nl.relu(nl.linear(y, width))
    return nl.Graph(x, nl.linear(y, 2, name=name) if name else nl.linear(y, 2))


def ok(score: float, curve: tuple[Epoch, ...] = ()) -> EvaluationRecord:
    return EvaluationRecord("ok", score, 1.0, curve=curve)


# -- what there is to see ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_and_follows_the_reader(browser: Browser, evolution_page: Path, width: int, dark: bool) -> None:
    browser.look(width, 900, dark)
    browser.open(evolution_page)
    browser.run(SCROLL)
    assert browser.run("document.documentElement.scrollWidth") <= width
    light = browser.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
    assert light < 60 if dark else light > 200
    drawn = browser.run("[...CHARTS].filter((c) => c.host.id !== 'detail-curve').map((c) => Boolean(c.plot))")
    assert drawn == [True] * 5
    browser.run(f"theme('{'light' if dark else 'dark'}')")
    turned = browser.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
    assert turned > 200 if dark else turned < 60


def test_points_tell_and_open(browser: Browser, evolution_page: Path) -> None:
    browser.open(evolution_page)
    browser.run("byId('time').scrollIntoView({block: 'center'})")
    browser.wait("charts.time.targets?.length > 0")
    x, y, ask = browser.run(
        "(() => { const [x, y, i] = charts.time.targets[charts.time.targets.length - 1], plot = charts.time.plot;"
        "const box = plot.over.getBoundingClientRect(), ratio = devicePixelRatio;"
        "return [box.left + x - plot.bbox.left / ratio, box.top + y - plot.bbox.top / ratio, RUN.evaluations[i].ask]; })()"
    )
    browser.move(x, y)
    browser.wait("!tip.hidden")
    assert f"#{ask}" in browser.run("tip.textContent") and "parameters" in browser.run("tip.textContent")
    browser.move(x, y, click=True)
    browser.wait("byId('detail').open")
    assert browser.run("byId('detail-drawing').querySelectorAll('svg rect').length") > 3
    assert browser.run("byId('detail-text').textContent").startswith("netloom 1\n")
    browser.run("byId('detail').close()")


def test_zooming_by_dragging_and_back(browser: Browser, evolution_page: Path) -> None:
    browser.open(evolution_page)
    browser.run("byId('time').scrollIntoView({block: 'center'})")
    browser.wait("Boolean(charts.time.plot)")
    left, top = browser.run("(() => { const b = charts.time.plot.over.getBoundingClientRect(); return [b.left, b.top]; })()")
    before = browser.run("charts.time.ranges()")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=left + 40, y=top + 20)
    browser.call("Input.dispatchMouseEvent", type="mousePressed", x=left + 40, y=top + 20, button="left", clickCount=1)
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=left + 200, y=top + 120, button="left", buttons=1)
    browser.call("Input.dispatchMouseEvent", type="mouseReleased", x=left + 200, y=top + 120, button="left", clickCount=1)
    browser.wait(f"charts.time.ranges().x.max < {before['x']['max']} && charts.time.ranges().y.min > {before['y']['min']}")
    assert not browser.run("byId('detail').open")  # the end of a drag is no click
    browser.run("charts.time.plot.over.dispatchEvent(new MouseEvent('dblclick', {bubbles: true}))")
    browser.pause(0.1)
    assert browser.run("charts.time.ranges()") == before


def test_the_table_sorts_filters_and_holds_what_is_in_sight(browser: Browser, evolution_page: Path) -> None:
    browser.open(evolution_page)
    browser.run("sortBy(view.columns.find((c) => c.key === 'params'))")
    params = browser.run("view.rows.map((c) => c.params)")
    assert params == sorted(params) and browser.run("byId('candidates').tBodies[0].rows.length") < len(params)
    browser.run("byId('table-frame').scrollTop = 1e7")
    browser.pause(0.2)
    last = browser.run("(() => { const r = byId('candidates').tBodies[0].rows; return r[r.length - 2].dataset.open; })()")
    assert last == browser.run("view.rows[view.rows.length - 1].hash")
    browser.run("byId('filter').value = 'score>0.6 params<30k by:mutation'; byId('filter').dispatchEvent(new Event('input'))")
    browser.wait("view.filter !== ''")
    kept = browser.run("view.rows.map((c) => [c.score, c.params, c.evaluations[0].proposed])")
    every = browser.run("RUN.candidates.map((c) => [c.score, c.params, c.evaluations[0].proposed])")
    wanted = [row for row in every if row[0] and row[0] > 0.6 and row[1] < 30_000 and row[2] == "mutation"]
    assert sorted(kept) == sorted(wanted) and 0 < len(kept) < len(every)
    assert f"{len(kept)} of" in browser.run("byId('count').textContent")
    browser.run("byId('filter').value = 'out_of_memory'; byId('filter').dispatchEvent(new Event('input'))")
    browser.wait("view.filter === 'out_of_memory'")
    assert browser.run("view.rows.every((c) => c.main.status === 'out_of_memory') || view.rows.length === 0")


def test_the_lineage_is_played(browser: Browser, evolution_page: Path) -> None:
    browser.open(evolution_page)
    steps = browser.run("line().length")
    assert steps > 2 and not browser.run("byId('lineage-card').hidden")
    browser.run("go(0)")
    assert browser.run("byId('step-title').textContent") == "The oldest ancestor"
    browser.run("byId('step-on').click()")
    assert browser.run("byId('step-title').textContent").startswith(f"Step 1 of {steps - 1}: ")
    assert browser.run("byId('step-difference').textContent") == browser.run("line()[1].difference") != ""
    marked = browser.run("byId('step-drawing').querySelectorAll('.r-added, .r-changed').length")
    assert marked == browser.run("Object.keys(line()[1].roles).length")
    browser.run("byId('step-play').click()")
    assert browser.run("byId('step-play').textContent") == "Pause"
    browser.wait("player.at >= 2", seconds=6)
    browser.run("byId('step-play').click()")


def test_drawings_connect_what_the_graph_connects(browser: Browser, tmp_path: Path) -> None:
    x, y = nl.input(3, 8, 8), nl.input(3, 8, 8)
    left = nl.conv2d(x, 4, kernel=3, padding=1, name="left")
    strange = nl.conv2d(left, 4, kernel=1, name="a b=left")
    joined = nl.cat([nl.relu(strange), left, y], dim=1)
    graph = nl.Graph((x, y), nl.flatten(joined) @ nl.parameter(11 * 64, 3))
    browser.open(nl.report(run_of((graph, ok(0.5))), tmp_path))
    nodes = browser.run("nodesOf(textOf(0)).nodes.map((n) => [n.name, n.inputs])")
    names = [name for name, _ in nodes]
    expected = {step.name: sorted({edge.node for edge in step.edges}) for step in graph.steps}
    assert {name: sorted(names[i] for i in inputs) for name, inputs in nodes} == expected


@pytest.mark.parametrize(
    "space", [nl.spaces.Conv(input_shape=(3, 16, 16), num_classes=10), nl.spaces.NASBench201(num_classes=10)]
)
def test_drawings_of_sampled_networks_are_right(browser: Browser, tmp_path: Path, space: Any) -> None:
    import numpy as np

    graphs = [space.sample(np.random.default_rng(i)) for i in range(12)]
    browser.open(nl.report(run_of(*((graph, ok(i / 20)) for i, graph in enumerate(graphs))), tmp_path))
    for graph in graphs:
        found = browser.run(f"nodesOf(textOf(RUN.byHash.get('{graph.hash}').index)).nodes.map((n) => [n.name, n.inputs])")
        names = [name for name, _ in found]
        edges = {name: sorted(names[i] for i in inputs) for name, inputs in found}
        assert edges == {step.name: sorted({edge.node for edge in step.edges}) for step in graph.steps}


# -- runs that are not as runs mostly are --------------------------------------------------------------------------------
def test_hostile_words_stay_words(browser: Browser, tmp_path: Path) -> None:
    store = run_of(
        (chain(1, name=HOSTILE), ok(0.5)), (chain(2), EvaluationRecord("failed", None, 0.0, HOSTILE)),
        settings={"task_name": HOSTILE, "strategy": HOSTILE},
    )  # fmt: skip
    child = chain(3, name=HOSTILE)
    stored = store.record(child, EvaluationKey(child.hash, "t", "r", seed=0, fidelity=2), ok(0.75))
    came = Lineage((chain(1, name=HOSTILE).hash,), {"kind": HOSTILE, "titles": [HOSTILE]}, HOSTILE, HOSTILE, 0.5, HOSTILE)
    store.add_proposal("run", 2, stored.id, reused=False, elapsed=3.0, lineage=came)
    browser.open(nl.report(store, tmp_path))
    browser.run(SCROLL)
    browser.run("RUN.candidates.forEach((c) => openDetail(c)); byId('detail').close(); go(0); go(1)")
    assert browser.run("[typeof window.broken, document.querySelectorAll('img').length]") == ["undefined", 0]
    assert browser.run("byId('step-titles').textContent") == HOSTILE and HOSTILE in browser.run("document.title")


@pytest.mark.parametrize(
    "results",
    [
        [],
        [(chain(1), ok(0.5))],
        [(chain(1), EvaluationRecord("diverged", None, 0.1, "")), (chain(2), EvaluationRecord("failed", None, 0.1, "no"))],
        [(chain(n), ok(0.25)) for n in (1, 2, 3)],
        [(chain(n), ok(score)) for n, score in enumerate([-1e9, -3.5, 0.1, 0.2, 0.3, 0.31, 0.32], 1)],
        [(chain(1), ok(0.5, (Epoch(1, float("nan"), float("nan"), float("nan"), 0.1), Epoch(2, 1.0, 2.0, 0.5, 0.2))))],
        [(chain(1), ok(0.0)), (chain(2), ok(-0.0)), (chain(3), ok(1e-300))],
    ],
    ids=["none", "one", "all failed", "equal scores", "regression", "not a number", "zeros"],
)
def test_runs_of_every_sort_make_a_page(
    browser: Browser, tmp_path: Path, results: list[tuple[nl.Graph, EvaluationRecord]]
) -> None:
    browser.open(nl.report(run_of(*results), tmp_path))
    browser.run(SCROLL)
    browser.run("RUN.candidates.forEach((c) => openDetail(c)); byId('detail').close()")
    assert browser.run("RUN.candidates.length") == len(results)
    assert "NaN" not in browser.run("document.body.innerText") and "undefined" not in browser.run("document.body.innerText")


def test_huge_networks_are_drawn_in_part(browser: Browser, tmp_path: Path) -> None:
    browser.open(nl.report(run_of((chain(400), ok(0.5)), (chain(300, width=3), ok(0.4))), tmp_path))
    browser.run("openDetail(RUN.best)")
    assert "The first 500 nodes; 302 more are in the text." in browser.run("byId('detail-drawing').textContent")
    assert browser.run("byId('detail-text').textContent") == chain(400).to_text().rstrip("\n")
    browser.run("byId('detail').close()")
