"""The HTML page of a scene: one file that needs no network, where boxes open by click."""

from __future__ import annotations

import json
import string
from html import escape
from importlib.resources import files
from typing import Any

from .layering import Layered, layer, layer_inside
from .lettering import text_width
from .scene import Box, Diagram, Fold, Row, Scene
from .sizes import LABEL, QUIET, TITLE, badge_width, bar_width, closed_size, heading_width
from .svg import shapes
from .theme import DARK, KINDS, LIGHT, ROLES, rules

_SCRIPTS = ("placing.js", "picture.js", "page.js")


def render_page(scene: Scene, fold: Fold, *, direction: str = "down", theme: str = "auto", scale: float = 1.0) -> str:
    """The page of a scene, at first with the boxes of ``fold`` open."""
    data = {
        "title": scene.title, "subtitle": scene.subtitle, "notes": list(scene.notes), "fold": dict(fold),
        "direction": direction, "scale": scale, "facts": dict(scene.facts or {}), "kinds": KINDS,
        "roles": {**ROLES, **(scene.legend or {})},
        "root": _diagram(scene.diagram, layer(scene.diagram)),
    }  # fmt: skip
    style = [_asset("page.css"), shapes("svg "), rules(LIGHT, ":root "), rules(DARK, ":root[data-theme=dark] ")]
    parts = {
        "title": escape(scene.title or "netloom"),
        "theme": theme,
        "style": "\n".join(style),
        "data": _embedded(data),
        "script": "\n".join(map(_asset, _SCRIPTS)),
    }
    return string.Template(_asset("page.html")).substitute(parts)


def _asset(name: str) -> str:
    return (files("netloom.graph.drawing") / "assets" / name).read_text(encoding="utf-8")


def _embedded(data: Any) -> str:
    """JSON that is safe inside a script element: no ``<``, so no end tag, whatever the names of nodes are."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


# -- the scene as data: everything that is known without pixels is worked out here ---------------------------------------
def _diagram(diagram: Diagram, made: Layered) -> dict[str, Any]:
    return {
        "boxes": [_box(box, made, number) for number, box in enumerate(diagram.boxes)],
        "lines": [[line.source, line.label, text_width(line.label, LABEL), line.role] for line in diagram.lines],
        "entries": list(diagram.entries),
        "exits": list(diagram.exits),
        "layers": made.layers,
        "passing": [[vertex, line] for vertex, line in made.passing.items()],
        "links": [list(link) for link in made.links],
        "straight": made.straight,
        "in": [[vertex, line, slot] for (vertex, line), slot in made.in_slots.items()],
        "out": [[vertex, line, slot] for (vertex, line), slot in made.out_slots.items()],
    }


def _box(box: Box, around: Layered, number: int) -> dict[str, Any]:
    width, height = closed_size(box)
    found: dict[str, Any] = {"key": box.key, "width": width, "height": height}
    if box.role:
        found["role"] = box.role
    if box.rows:
        found["rows"] = [_row(row) for row in box.rows]
        return found
    found |= {
        "title": box.title, "summary": box.summary, "count": box.count, "differ": box.differ, "bar": bar_width(box),
        "badge": badge_width(box), "heading": heading_width(box), "titleWidth": text_width(box.title, TITLE, True),
        "summaryWidth": text_width(box.summary, QUIET),
        "views": [_diagram(view, layer_inside(view, around, number)) for view in box.views],
    }  # fmt: skip
    return found


def _row(row: Row) -> list[Any]:
    return [row.title, row.detail, row.kind, row.role, int(row.quiet), list(row.nodes)]
