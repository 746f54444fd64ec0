"""The incumbent as a picture in the page, in the colours of the page."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from ..errors import NetloomError
from ..graph.drawing.picture import graph_scene
from ..graph.drawing.svg import render, shapes
from ..graph.drawing.theme import DARK, LIGHT, rules

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..store import Store
    from .summary import Candidate

_STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)


def picture(store: Store, candidate: Candidate) -> str:
    """The drawing of a candidate, without the style that the page has for all of them."""
    try:
        return drawing(store.graph(candidate.hash))
    except NetloomError as error:
        return f'<p class="empty">It cannot be drawn: {escape(str(error))}</p>'


def drawing(graph: Graph) -> str:
    """A graph as SVG, for a page that has `style`."""
    return _STYLE.sub("", render(*graph_scene(graph)), count=1)


def style() -> str:
    """Shapes of drawings, and their colours where the page is light, dark, or follows the reader."""
    dark = rules(DARK, ":root:not([data-theme=light]) .netloom ")
    return (
        shapes(".netloom ") + rules(LIGHT, ".netloom ") + f"@media(prefers-color-scheme:dark){{{dark}}}"
        + rules(DARK, ":root[data-theme=dark] .netloom ")
    )  # fmt: skip
