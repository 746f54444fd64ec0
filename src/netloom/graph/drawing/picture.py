"""What `Graph.draw` and notebooks call: a picture of a graph, as a file or as text."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import AttributeValueError, FormatError, NetloomWarning
from .composing import compose
from .page import render_page
from .placing import DIRECTIONS
from .png import to_png
from .scene import Fold, Scene
from .svg import render
from .theme import THEMES
from .unfolding import MAX_FLAT, unfolded

if TYPE_CHECKING:
    from ..graph import Graph

SUFFIXES = (".svg", ".png", ".html")


def draw(
    graph: Graph, path: str | os.PathLike[str], *, direction: str = "down", collapse: bool = True, depth: int | None = None,
    theme: str | None = None, node_size: float = 1.0, title: str = "",
) -> Path:  # fmt: skip
    """Write a picture of a graph and give its path; see `Graph.draw`."""
    target = checked_target(path)
    check_options(direction, theme, node_size, depth)
    scene, fold = graph_scene(graph, collapse=collapse, depth=depth, title=title, with_facts=target.suffix.lower() == ".html")
    return write_scene(scene, fold, target, direction=direction, theme=theme, node_size=node_size)


def graph_scene(
    graph: Graph, *, collapse: bool = True, depth: int | None = None, title: str = "", with_facts: bool = False
) -> tuple[Scene, Fold]:
    """What a picture of a graph shows, and which of its boxes are open.

    A graph that is too large to draw every node of is folded; a note in the picture and a warning say so.
    """
    notes: tuple[str, ...] = ()
    flat = not collapse
    if flat and len(graph.steps) > MAX_FLAT:
        flat = False
        note = f"{len(graph.steps):,} nodes are too many to draw each of (at most {MAX_FLAT:,}); repeats and modules are folded"
        notes = (note,)
        warnings.warn(f"{note}. Open them in the .html form, or draw a part: graph.subgraph(path).draw(…)", NetloomWarning, 4)
    scene = compose(graph, flat=flat, with_facts=with_facts)
    return replace(scene, title=title, notes=notes), unfolded(scene.diagram, depth, flat=flat)


def write_scene(
    scene: Scene, fold: Fold, path: str | os.PathLike[str], *, direction: str = "down", theme: str | None = None,
    node_size: float = 1.0,
) -> Path:  # fmt: skip
    """Write any scene, in the form that the suffix of ``path`` names.

    Without a theme, SVG and HTML follow the reader's preference and PNG is light. `FormatError` where the path cannot be
    written.
    """
    target = checked_target(path)
    check_options(direction, theme, node_size)
    node_size = float(node_size)
    if target.suffix.lower() == ".html":
        content = render_page(scene, fold, direction=direction, theme=theme or "auto", scale=node_size).encode()
    elif target.suffix.lower() == ".svg":
        content = render(scene, fold, direction=direction, theme=theme or "auto", scale=node_size).encode()
    else:
        fixed = "dark" if theme == "dark" else "light"
        content = to_png(render(scene, fold, direction=direction, theme=fixed, scale=node_size))
    try:
        target.write_bytes(content)
    except OSError as error:
        raise FormatError(f"cannot write the picture {str(target)!r}: {error.strerror or error}") from None
    return target


def checked_target(path: str | os.PathLike[str]) -> Path:
    """The path of a picture that can be written; `FormatError` says what is in the way, before anything is drawn."""
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        kind = f"the suffix {target.suffix!r}" if target.suffix else "no suffix"
        raise FormatError(f"{str(target)!r} has {kind}; expected one of {', '.join(SUFFIXES)}")
    folder = target.parent
    if not folder.is_dir():
        raise FormatError(f"cannot write the picture {str(target)!r}: the folder {str(folder)!r} does not exist; make it first")
    if target.is_dir():
        raise FormatError(f"cannot write the picture {str(target)!r}: it is a folder")
    if not os.access(target if target.exists() else folder, os.W_OK):
        raise FormatError(f"cannot write the picture {str(target)!r}: no permission to write there")
    return target


def check_options(direction: str, theme: str | None, node_size: float, depth: int | None = None) -> None:
    """`AttributeValueError` for an option that makes no sense."""
    if direction not in DIRECTIONS:
        raise AttributeValueError(f"direction = {direction!r}; expected one of {', '.join(map(repr, DIRECTIONS))}")
    if theme is not None and theme not in THEMES:
        raise AttributeValueError(f"theme = {theme!r}; expected one of {', '.join(map(repr, THEMES))}")
    if isinstance(node_size, bool) or not isinstance(node_size, int | float) or not 0.1 <= node_size <= 10:
        raise AttributeValueError(f"node_size = {node_size!r}; expected a factor from 0.1 to 10 (1: text of 12 pixels)")
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 0):
        raise AttributeValueError(f"depth = {depth!r}; expected a number of levels ≥ 0, or None for as many as stay legible")


def notebook_svg(graph: Graph) -> str:
    """The picture that a notebook shows of a graph."""
    return render(*graph_scene(graph))


def notebook_html(graph: Graph) -> str:
    """The same in a frame that scrolls."""
    return framed(notebook_svg(graph))


def framed(svg: str) -> str:
    """A picture as part of a page, in a frame that scrolls where it is larger than a screen."""
    return f'<div style="overflow:auto;max-height:720px">{svg}</div>'
