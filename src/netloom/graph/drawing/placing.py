"""Where everything of a scene goes: sizes of boxes, coordinates, the courses of lines.

A box that is open holds a diagram that was placed before it, so that a picture is made from the inside out. Layers
follow each other along the direction of the picture; places across it come from chains of straight links, packed to
the left and then drawn towards what they are linked to (after Sander, GD 1995, "pendulum"). The script of the HTML page
(`placing.js`) computes the same numbers when a box is opened there: change both or neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from .layering import Layered, layer, layer_inside
from .lettering import text_width
from .scene import Box, Diagram, Fold, Row

DIRECTIONS = ("down", "right")

# Pixels at natural size.
TITLE, DETAIL, QUIET, LABEL = 11.5, 10.5, 9.5, 9.5
ROW, QUIET_ROW, CARD, BAR = 21.0, 15.0, 38.0, 21.0
PAD, INSET = 10.0, 12.0
GAP, NARROW_GAP, LAYER_GAP, PORT_GAP = 20.0, 11.0, 22.0, 14.0
STACK = 4.0


@dataclass(slots=True)
class Placed:
    """A diagram with coordinates, (0, 0) its top left corner: boxes as (box, x, y, width, height, inside or None)."""

    width: float = 0.0
    height: float = 0.0
    boxes: list[PlacedBox] = field(default_factory=list)
    #: (line, points of its stretches as (x1, y1, x2, y2), whether each is an arrow's end)
    courses: list[Course] = field(default_factory=list)
    labels: list[tuple[float, float, str]] = field(default_factory=list)
    #: Across coordinate of each entry and exit.
    ports: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class PlacedBox:
    box: Box
    x: float
    y: float
    width: float
    height: float
    inside: Placed | None = None
    #: Where the inside begins, from the top left corner of the box.
    shift: tuple[float, float] = (0.0, 0.0)


@dataclass(slots=True)
class Course:
    """One stretch of a line between two layers: from where it leaves, where it bends, to where it arrives.

    ``points`` are (x, y) of its start, of the borders of the gap between the layers, and of its end.
    """

    line: int
    points: tuple[tuple[float, float], ...]
    #: 1: an arrow at the end; -1: at the start, pointing back; 0: none.
    arrow: int = 0
    down: bool = True
    role: str = ""


class Placer:
    """Places diagrams in one direction, with the boxes of ``fold`` open."""

    def __init__(self, fold: Fold, direction: str = "down") -> None:
        self.fold, self.down = fold, direction == "down"

    def place(self, diagram: Diagram, layered: Layered | None = None, min_length: float = 0.0) -> Placed:
        """Coordinates of a diagram and of everything open inside it, at least ``min_length`` long up to its exits."""
        made = layered if layered is not None else layer(diagram)
        real = len(diagram.boxes)
        boxes = [self._box(box, made, index) for index, box in enumerate(diagram.boxes)]
        offsets = self._port_offsets(diagram, made, boxes)
        extents = self._extents(diagram, made, boxes, offsets)
        across = coordinates(made, extents, offsets)
        starts, ends, stubs = self._along(diagram, made, boxes, across, offsets)
        if diagram.exits:
            starts[-1] = ends[-1] = max(ends[-1], min_length)
        placed = Placed()
        rank = {vertex: r for r, row in enumerate(made.layers) for vertex in row}
        low = min((across[v] - extents[v][0] for v in across), default=0.0)
        high = max((across[v] + extents[v][1] for v in across), default=0.0)
        length = ends[-1] if ends else 0.0
        placed.width, placed.height = (high - low, length) if self.down else (length, high - low)
        across = {v: x - low for v, x in across.items()}
        for index, box in enumerate(boxes):
            middle = (starts[rank[index]] + ends[rank[index]]) / 2
            x, y = (across[index], middle) if self.down else (middle, across[index])
            box.x, box.y = x - box.width / 2, y - box.height / 2
            placed.boxes.append(box)
        placed.ports = {v: across[v] for v in range(real, diagram.num_vertices)}
        self._route(diagram, made, placed, across, offsets, starts, ends, stubs, rank)
        return placed

    # -- boxes -----------------------------------------------------------------------------------------------------
    def _box(self, box: Box, around: Layered, number: int) -> PlacedBox:
        """A box in its size, with what is inside it if it is open."""
        if not box.views or box.key not in self.fold:
            width, height = closed_size(box)
            return PlacedBox(box, 0.0, 0.0, width, height)
        view = box.views[self.fold[box.key]]
        title = bar_width(box)
        inside = self.place(view, layer_inside(view, around, number), 0.0 if self.down else title)
        before, after = 0.0 if view.entries else INSET, 0.0 if view.exits else INSET
        if self.down:
            width = max(inside.width + 2 * INSET, title)
            height = BAR + before + inside.height + after
            shift = ((width - inside.width) / 2, BAR + before)
        else:
            width = max(before + inside.width + after, title)
            height = BAR + inside.height + 2 * INSET
            shift = (before, BAR + INSET)
        return PlacedBox(box, 0.0, 0.0, width, height, inside, shift)

    def _port_offsets(self, diagram: Diagram, made: Layered, boxes: list[PlacedBox]) -> dict[tuple[str, int, int], float]:
        """Where lines meet a box, across, from its middle: ("in" or "out", vertex, line) → pixels."""
        offsets: dict[tuple[str, int, int], float] = {}
        for side, slots in (("in", made.in_slots), ("out", made.out_slots)):
            widest: dict[int, float] = {}
            for (vertex, _), slot in slots.items():
                widest[vertex] = max(widest.get(vertex, 1.0), abs(slot))
            for (vertex, line), slot in slots.items():
                if vertex >= len(boxes):
                    continue
                box = boxes[vertex]
                size = box.width if self.down else box.height
                offset = slot * min(12.0, max(2.0, size / 2 - 8.0) / widest[vertex])
                if box.inside is not None:
                    offset = self._port_of_inside(box, side, line, offset)
                offsets[side, vertex, line] = offset
        return offsets

    def _port_of_inside(self, box: PlacedBox, side: str, line: int, default: float) -> float:
        inside = box.inside
        assert inside is not None
        view = box.box.views[self.fold[box.box.key]]
        lines = view.entries if side == "in" else view.exits
        if line not in lines:
            return default
        vertex = len(view.boxes) + lines.index(line) + (len(view.entries) if side == "out" else 0)
        if self.down:
            return box.shift[0] + inside.ports[vertex] - box.width / 2
        return box.shift[1] + inside.ports[vertex] - box.height / 2

    def _extents(
        self, diagram: Diagram, made: Layered, boxes: list[PlacedBox], offsets: dict[tuple[str, int, int], float]
    ) -> dict[int, tuple[float, float]]:
        """How far each vertex reaches to the left and right of its middle, labels of the lines that leave it included."""
        extents = {v: (1.0, 1.0) for row in made.layers for v in row}
        for vertex, box in enumerate(boxes):
            half = (box.width if self.down else box.height) / 2
            extents[vertex] = (half, half)
        for index, line in enumerate(diagram.lines):
            if line.label and line.source < len(boxes):
                left, right = extents[line.source]
                offset = offsets.get(("out", line.source, index), 0.0)
                if self.down:
                    extents[line.source] = (left, max(right, offset + 6.0 + text_width(line.label, LABEL)))
                else:
                    extents[line.source] = (max(left, LABEL + 6.0 - offset), right)
        return extents

    # -- along the direction of the picture ------------------------------------------------------------------------
    def _along(
        self, diagram: Diagram, made: Layered, boxes: list[PlacedBox], across: dict[int, float],
        offsets: dict[tuple[str, int, int], float],
    ) -> tuple[list[float], list[float], list[float]]:  # fmt: skip
        """Where each layer begins and ends, and how far lines go straight after it, beside labels.

        Gaps are wider where lines bend far.
        """
        thick = [0.0] * len(made.layers)
        rank = {vertex: r for r, row in enumerate(made.layers) for vertex in row}
        gaps = [LAYER_GAP] * len(made.layers)
        for r, row in enumerate(made.layers):
            for v in row:
                if v < len(boxes):
                    thick[r] = max(thick[r], boxes[v].height if self.down else boxes[v].width)
        for edge in (0, len(made.layers) - 2):
            if any(len(boxes) <= v < diagram.num_vertices for r in (edge, edge + 1) for v in _row(made.layers, r)):
                gaps[edge] = PORT_GAP
        stubs = [0.0] * len(made.layers)
        for line in diagram.lines:
            if line.label and line.source < len(boxes):
                r = rank[line.source]
                stubs[r] = max(stubs[r], LABEL + 6.0 if self.down else text_width(line.label, LABEL) + 8.0)
        for link in made.links:
            r = rank[link.upper]
            start = across[link.upper] + offsets.get(("out", link.upper, link.line), 0.0)
            end = across[link.lower] + offsets.get(("in", link.lower, link.line), 0.0)
            if abs(end - start) > 1:
                gaps[r] = max(gaps[r], LAYER_GAP + min(46.0, 0.13 * abs(end - start)))
        gaps = [gap + max(0.0, stub - (0.0 if gap > LAYER_GAP else 10.0)) for gap, stub in zip(gaps, stubs)]
        starts, ends, at = [], [], 0.0
        for r, size in enumerate(thick):
            starts.append(at)
            ends.append(at + size)
            at += size + gaps[r]
        return starts, ends, stubs

    def _route(
        self, diagram: Diagram, made: Layered, placed: Placed, across: dict[int, float],
        offsets: dict[tuple[str, int, int], float], starts: list[float], ends: list[float], stubs: list[float],
        rank: dict[int, int],
    ) -> None:  # fmt: skip
        """The courses of all lines, and their labels."""
        real = len(diagram.boxes)

        def side(vertex: int, lower: bool) -> float:
            """Where along the picture a vertex ends (``lower``) or begins."""
            r = rank[vertex]
            if vertex >= real:
                return ends[r] if lower else starts[r]
            box = placed.boxes[vertex]
            begin, size = (box.y, box.height) if self.down else (box.x, box.width)
            return begin + size if lower else begin

        for vertex, line in made.passing.items():
            r = rank[vertex]
            points = (self._point(across[vertex], starts[r]), self._point(across[vertex], ends[r]))
            placed.courses.append(Course(line, points, 0, self.down, diagram.lines[line].role))
        for link in made.links:
            r = rank[link.upper]
            start = across[link.upper] + offsets.get(("out", link.upper, link.line), 0.0)
            end = across[link.lower] + offsets.get(("in", link.lower, link.line), 0.0)
            alongs = (side(link.upper, True), ends[r] + stubs[r], starts[r + 1], side(link.lower, False))
            points = tuple(self._point(a, t) for a, t in zip((start, start, end, end), alongs))
            turned = link.upper < real and diagram.lines[link.line].source != link.upper
            arrow = -1 if turned else 1 if link.lower < real and diagram.lines[link.line].source != link.lower else 0
            placed.courses.append(Course(link.line, points, arrow, self.down, diagram.lines[link.line].role))
        for index, line in enumerate(diagram.lines):
            if line.label and line.source < real:
                a = across[line.source] + offsets.get(("out", line.source, index), 0.0)
                t = side(line.source, True)
                placed.labels.append((a + 6.0, t + 13.0, line.label) if self.down else (t + 6.0, a - 5.0, line.label))

    def _point(self, across: float, along: float) -> tuple[float, float]:
        return (across, along) if self.down else (along, across)


def _row(layers: list[list[int]], index: int) -> list[int]:
    return layers[index] if 0 <= index < len(layers) else []


# -- sizes of boxes --------------------------------------------------------------------------------------------------------
def row_width(row: Row) -> float:
    """Width of a row's text."""
    if row.quiet:
        return text_width(f"{row.title} {row.detail}".strip(), QUIET)
    detail = 6.0 + text_width(row.detail, DETAIL) if row.detail else 0.0
    return text_width(row.title, TITLE, bold=True) + detail


def closed_size(box: Box) -> tuple[float, float]:
    """Width and height of a box that is not open."""
    if box.rows:
        width = max(row_width(row) for row in box.rows) + 2 * PAD
        return max(width, 30.0), sum(QUIET_ROW if row.quiet else ROW for row in box.rows)
    width = max(bar_width(box), text_width(box.summary, QUIET) + 2 * PAD)
    return max(width, 64.0), CARD if box.summary else BAR + 2


def bar_width(box: Box) -> float:
    """Least width of a box that can be opened."""
    return heading_width(box) + 2 * PAD


def heading_width(box: Box) -> float:
    """Width of the title with its badge."""
    badge = badge_width(box)
    return text_width(box.title, TITLE, bold=True) + (badge + 8.0 if badge else 0.0)


def badge_width(box: Box) -> float:
    return text_width(f"×{box.count}", DETAIL, bold=True) + 10.0 if box.count > 1 else 0.0


# -- across the direction of the picture -----------------------------------------------------------------------------------
def coordinates(
    made: Layered, extents: dict[int, tuple[float, float]], offsets: dict[tuple[str, int, int], float]
) -> dict[int, float]:
    """The coordinate of every vertex across the picture.

    Vertices joined by straight links form chains that move as one.
    """
    chain, shift = _chains(made, offsets)
    left: list[list[tuple[int, float]]] = [[] for _ in range(max(chain.values(), default=-1) + 1)]
    right: list[list[tuple[int, float]]] = [[] for _ in left]
    pulls: list[list[tuple[int, float]]] = [[] for _ in left]
    for row in made.layers:
        for a, b in zip(row, row[1:]):
            gap = GAP if a not in made.passing and b not in made.passing else NARROW_GAP
            distance = shift[a] + extents[a][1] + gap + extents[b][0] - shift[b]
            left[chain[b]].append((chain[a], distance))
            right[chain[a]].append((chain[b], distance))
    for link in made.links:
        a, b = chain[link.upper], chain[link.lower]
        if a != b:
            start = shift[link.upper] + offsets.get(("out", link.upper, link.line), 0.0)
            end = shift[link.lower] + offsets.get(("in", link.lower, link.line), 0.0)
            pulls[a].append((b, end - start))
            pulls[b].append((a, start - end))
    order = _order(left, right)
    x = [0.0] * len(left)
    for c in order:
        x[c] = max([x[other] + distance for other, distance in left[c]], default=0.0)
    for sweep in range(40 if len(x) < 400 else 24):
        for c in reversed(order) if sweep % 2 == 0 else order:
            if not pulls[c]:
                continue
            wanted = 0.0
            # Not `sum`, which rounds differently from Python 3.12 on: the same graph gives the same picture everywhere.
            for other, distance in pulls[c]:
                wanted += x[other] + distance
            wanted /= len(pulls[c])
            low = max([x[other] + distance for other, distance in left[c]], default=-inf)
            high = min([x[other] - distance for other, distance in right[c]], default=inf)
            x[c] = max(low, min(high, wanted))
    return {v: x[chain[v]] + shift[v] for v in chain}


def _chains(made: Layered, offsets: dict[tuple[str, int, int], float]) -> tuple[dict[int, int], dict[int, float]]:
    """The chain of every vertex, and its place in it such that straight links are straight."""
    upper_of = {made.links[index].lower: made.links[index] for index in made.straight}
    chain: dict[int, int] = {}
    shift: dict[int, float] = {}
    count = 0
    for row in made.layers:
        for vertex in row:
            link = upper_of.get(vertex)
            if link is None:
                chain[vertex], shift[vertex] = count, 0.0
                count += 1
            else:
                start = shift[link.upper] + offsets.get(("out", link.upper, link.line), 0.0)
                chain[vertex] = chain[link.upper]
                shift[vertex] = start - offsets.get(("in", vertex, link.line), 0.0)
    return chain, shift


def _order(left: list[list[tuple[int, float]]], right: list[list[tuple[int, float]]]) -> list[int]:
    """Chains from left to right."""
    waiting = [len(found) for found in left]
    ready = [c for c in range(len(left)) if not waiting[c]]
    for c in ready:
        for other, _ in right[c]:
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    return ready
