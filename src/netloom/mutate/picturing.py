"""A picture of a network in which layers whose sizes move together have one colour."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..graph.drawing.picture import graph_scene, write_scene
from ..graph.drawing.scene import Box, Diagram, Row
from ..graph.drawing.theme import GROUPS
from ..ops import Edge
from .atoms import atoms_of, shown
from .explaining import makers

if TYPE_CHECKING:
    from .analysis import Dimensions

#: Nodes up to which every one of them is drawn; characters of an axis in a box; names of one colour in the legend.
_FLAT, _MOST_CHARACTERS, _MOST_NAMES = 60, 40, 2


def draw(
    dims: Dimensions, path: str | os.PathLike[str], *, direction: str = "down", theme: str | None = None,
    node_size: float = 1.0, title: str = "", depth: int | None = None,
) -> Path:  # fmt: skip
    """See `Dimensions.draw`."""
    flat = len(dims.graph.steps) <= _FLAT and depth is None
    scene, fold = graph_scene(dims.graph, collapse=not flat, depth=depth, title=title, with_facts=str(path).endswith(".html"))
    colours = _Colours(dims)
    diagram = _coloured(scene.diagram, colours)
    scene = replace(scene, diagram=diagram, legend=colours.legend())
    return write_scene(scene, fold, path, direction=direction, theme=theme, node_size=node_size)


class _Colours:
    """The colour of every atom that layers make; the largest groups come first, colours repeat after the tenth."""

    def __init__(self, dims: Dimensions) -> None:
        self.dims = dims
        made = {atom.id: len(makers(dims, atom)[0]) for atom in dims.free}
        order = sorted((name for name, count in made.items() if count), key=lambda name: -made[name])
        self.role = {name: GROUPS[i % len(GROUPS)] for i, name in enumerate(order)}
        self.plain: Mapping[str, Any] = {atom.id: atom.size for atom in dims.atoms if atom.frozen}
        self.used: dict[str, dict[str, None]] = defaultdict(dict)

    def row(self, row: Row) -> Row:
        node = row.nodes[0] if row.nodes else ""
        if node not in self.dims.graph or not self.dims.graph.types(node):
            return row
        axis = self.dims.graph[node].feature_axis
        if axis is None:
            return replace(row, role="same")
        expression = self.dims.of(Edge(node))[axis]
        atoms = [atom for atom in atoms_of(expression) if atom in self.role]
        if not atoms:
            return replace(row, role="same")
        self.used[self.role[atoms[0]]][atoms[0]] = None
        text = shown(expression, self.plain)
        text = text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
        size = self.dims.graph[node].out_size
        return replace(row, role=self.role[atoms[0]], detail=f"{size} = {text}", quiet=False)

    def legend(self) -> dict[str, str]:
        found = {"same": "fixed"}
        for role, names in self.used.items():
            first = list(names)
            more = f" and {len(first) - _MOST_NAMES} more" if len(first) > _MOST_NAMES else ""
            found[role] = ", ".join(first[:_MOST_NAMES]) + more
        return found


def _coloured(diagram: Diagram, colours: _Colours) -> Diagram:
    return replace(diagram, boxes=tuple(_box(box, colours) for box in diagram.boxes))


def _box(box: Box, colours: _Colours) -> Box:
    rows = tuple(map(colours.row, box.rows))
    return replace(box, rows=rows, views=tuple(_coloured(view, colours) for view in box.views))
