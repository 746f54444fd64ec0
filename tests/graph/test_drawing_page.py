"""The HTML page of a picture, in a browser without a window."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from netloom.graph.drawing.composing import compose
from netloom.graph.drawing.placing import Placed, Placer
from netloom.graph.drawing.unfolding import unfolded
from tests.graph.drawn_graphs import recurrent, resnet, transformer

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser", "chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on this machine")


def after(page: Path, script: str) -> Any:
    """What ``script`` (the body of a function) returns in the page."""
    assert BROWSER is not None
    probe = (
        f"<script>const probe = document.createElement('pre'); probe.id = 'probe'; let found;"
        f"try {{ found = (() => {{ {script} }})(); }} catch (error) {{ found = {{error: String(error)}}; }}"
        f"probe.textContent = JSON.stringify(found); document.body.append(probe);</script></body>"
    )
    copy = page.with_name("probe.html")
    copy.write_text(page.read_text().replace("</body>", probe))
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,800", "--dump-dom",
        f"--user-data-dir={page.parent / 'profile'}", copy.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    result = json.loads(unescape(found[1]))
    assert not (isinstance(result, dict) and "error" in result), result
    return result


def embedded(page: Path) -> Any:
    """The data that the page works with."""
    return json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', page.read_text(), re.DOTALL)[1])  # type: ignore[index]


def corners(placed: Placed) -> Iterator[tuple[str, float, float, float, float]]:
    for box in placed.boxes:
        yield box.box.key, box.x, box.y, box.width, box.height
        if box.inside is not None:
            yield from corners(box.inside)


_PLACED = """
    const placed = ([number, fold, direction]) => {
      const found = {};
      const walk = (level) => {
        for (const b of level.boxes) { found[b.box.key] = [b.x, b.y, b.width, b.height]; if (b.inside) walk(b.inside); }
      };
      walk(new Placer(fold, direction).place(roots[number]));
      return found;
    };
"""


@needs_browser
def test_the_page_places_as_python_does(tmp_path: Path) -> None:
    """With the boxes of the picture open, and with all of them, in both directions."""
    drawn = [compose(make()).diagram for make in (transformer, recurrent)]
    roots = [embedded(make().draw(tmp_path / "x.html"))["root"] for make in (transformer, recurrent)]
    cases = [
        (number, fold, direction)
        for number, diagram in enumerate(drawn)
        for fold in (unfolded(diagram), unfolded(diagram, flat=True))
        for direction in ("down", "right")
    ]
    results = after(
        tmp_path / "x.html",
        f"const roots = {json.dumps(roots)}; {_PLACED} return {json.dumps(cases)}.map(placed);",
    )
    for (number, fold, direction), result in zip(cases, results):
        expected = {key: place for key, *place in corners(Placer(fold, direction).place(drawn[number]))}
        assert set(result) == set(expected)
        for key, place in expected.items():
            assert result[key] == pytest.approx(place, abs=1e-6), key


_CLICKS = """
    const seen = {};
    const keys = () => [...document.querySelectorAll("#view [data-key]")].map((e) => e.dataset.key);
    const click = (e) => e.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    const titled = (words) => [...document.querySelectorAll("#view g.click")].find(
      (g) => g.querySelector(":scope > text")?.textContent === words);
    seen.ready = root.dataset.ready;
    seen.dark = root.dataset.theme;
    seen.first = keys().length;
    click($("fold"));
    seen.folded = keys().length;
    click(titled("layer2"));
    seen.opened = keys().length;
    click(titled("layer2").parentNode.querySelector(":scope > .badge"));
    seen.all = [...document.querySelectorAll("#view text")].map((t) => t.textContent).filter((t) => t.startsWith("layer2."));
    click(titled("layer2"));
    seen.closed = keys().length;
    $("search").value = "2.1.conv2";
    $("search").dispatchEvent(new Event("input"));
    seen.hits = [...document.querySelectorAll("#panel .hit")].map((e) => e.textContent);
    dispatchEvent(new KeyboardEvent("keydown", { key: "/" }));
    $("search").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    seen.facts = $("panel").innerText;
    seen.picked = document.querySelector("#view .picked")?.textContent;
    const before = [page.x, page.y, page.scale];
    dispatchEvent(new KeyboardEvent("keydown", { key: "+" }));
    seen.zoomed = page.scale / before[2];
    const drag = (type, x, y) => (type === "pointerdown" ? $("picture") : window).dispatchEvent(
      new PointerEvent(type, { pointerId: 1, clientX: x, clientY: y, bubbles: true }));
    const start = page.x;
    drag("pointerdown", 100, 100); drag("pointermove", 150, 100); drag("pointerup", 150, 100);
    seen.panned = page.x - start;
    dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
    seen.panel = $("panel").hidden;
    click($("turn"));
    seen.turned = page.size[0] > page.size[1];
    click($("unfold")); click($("unfold")); click($("unfold"));
    seen.unfolded = keys().length;
    click($("theme"));
    seen.theme = root.dataset.theme;
    seen.legend = $("legend").textContent;
    return seen;
"""


@needs_browser
def test_a_reader_opens_searches_zooms_and_asks(tmp_path: Path) -> None:
    page = resnet().draw(tmp_path / "x.html", theme="dark")
    seen = after(page, _CLICKS)
    assert seen["ready"] == "yes" and seen["dark"] == "dark"
    assert seen["closed"] == seen["folded"] < seen["opened"] < seen["first"]
    assert seen["all"] == ["layer2.0", "layer2.1", "layer2.2"]
    assert seen["hits"] == ["layer2.1.conv2 conv2d"]
    for words in ("layer2.1.conv2", "kernel", "(3, 3)", "layer2.1.conv2.weight", "32×32×3×3", "9,216", "float32 N×32×16×16"):
        assert words in seen["facts"], words
    assert "conv 3×3" in seen["picked"]
    assert seen["zoomed"] == pytest.approx(1.25) and seen["panned"] == 50
    assert seen["panel"] and seen["turned"] and seen["theme"] == "light"
    assert seen["unfolded"] >= seen["first"] and "convolution" in seen["legend"]


def test_the_page_asks_no_other_machine_for_anything(tmp_path: Path) -> None:
    text = resnet().draw(tmp_path / "x.html").read_text()
    links = set(re.findall(r"""(?:https?:)?//[\w.-]+[^\s"'`)]*""", text)) - {"http://www.w3.org/2000/svg"}
    assert not [link for link in links if re.match(r"(https?:)?//\w+\.\w+", link)]
    assert not re.search(r"""\b(src|href)\s*=|@import|url\(""", text)


def test_facts_of_every_node_are_in_the_page(tmp_path: Path) -> None:
    graph = transformer()
    data = embedded(graph.draw(tmp_path / "x.html"))
    assert set(data["facts"]) == {step.name for step in graph.steps}
    for node in graph.nodes:
        facts = data["facts"][node.name]
        assert facts["op"] == node.op and len(facts["out"]) == len(node.types)
        assert facts.get("params", 0) == node.num_params and facts.get("flops", 0) == node.flops
        assert len(facts.get("weights", {})) == len(node.weights)
