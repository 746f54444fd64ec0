"""What a picture shows, as values: boxes, lines between them, and what is inside a box when it is open.

A scene knows no graph, so that anything with boxes and lines can be drawn: `compose` makes one of a graph, a diff makes its
own with roles that override the colours. Boxes of a diagram are numbered 0, 1, …; after them come its entries (lines
that arrive from outside) and then its exits, so that a line may begin at an entry and end at an exit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One operator in a box: bold ``title``, lighter ``detail``, the colour of its ``kind`` (a key of `theme.KINDS`).

    ``role`` (a key of `theme.ROLES`) overrides that colour. ``quiet`` rows are drawn small. ``nodes`` names the nodes it
    stands for, keys of `Scene.facts`.
    """

    title: str
    detail: str = ""
    kind: str = "math"
    role: str = ""
    quiet: bool = False
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Box:
    """Something drawn as a box.

    A box with ``rows`` is an operator, or several in a stack. One with ``views`` can be opened: the first view is what it
    shows inside (of a repeat, one instance), the second, if any, is all instances of a repeat. ``key`` tells boxes of a scene
    apart; ``count`` above 1 is shown as a badge ``×n``; ``differ`` says that the instances differ; ``plain`` that there is
    no layer inside, so that it stays closed unless somebody opens it.
    """

    key: str
    rows: tuple[Row, ...] = ()
    title: str = ""
    summary: str = ""
    count: int = 1
    differ: bool = False
    plain: bool = False
    role: str = ""
    views: tuple[Diagram, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One value on its way: from a box or an entry to all boxes and exits that read it."""

    source: int
    targets: tuple[int, ...]
    label: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class Diagram:
    """Boxes and the lines between them. ``entries`` and ``exits`` give, for each, the index of its line outside."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    entries: tuple[int, ...] = ()
    exits: tuple[int, ...] = ()

    @property
    def num_vertices(self) -> int:
        """Boxes, entries and exits together."""
        return len(self.boxes) + len(self.entries) + len(self.exits)


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture: the outermost diagram, title and notes, and the facts that the HTML page shows of each node.

    ``legend`` says what roles stand for where that is more than `theme.ROLES` says.
    """

    diagram: Diagram
    title: str = ""
    subtitle: str = ""
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] | None = None
    legend: Mapping[str, str] | None = None


#: Which boxes are open: key → index of the view shown. Absent boxes are closed.
Fold = Mapping[str, int]


def boxes(diagram: Diagram, fold: Fold | None = None) -> Iterator[Box]:
    """All boxes of a diagram, at every depth; with ``fold`` those that are visible."""
    for box in diagram.boxes:
        yield box
        if fold is None:
            for view in box.views:
                yield from boxes(view)
        elif box.key in fold and box.views:
            yield from boxes(box.views[fold[box.key]], fold)
