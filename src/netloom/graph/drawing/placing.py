"""Where everything of a scene goes: coordinates of boxes, courses of lines, places of labels.

A box that is open holds a diagram that was placed before it, so that a picture is made from the inside out. Layers follow
each other along the direction of the picture; `chaining` gives the places across it. The script of the HTML page
(`placing.js`) computes the same numbers when a box is opened there: change both or neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .chaining import Offsets, coordinates
from .layering import Layered, layer, layer_inside
from .lettering import text_width
from .scene import Box, Diagram, Fold
from .sizes import BAR, INSET, LABEL, bar_width, closed_size

DIRECTIONS = ("down", "right")
#: Least distances between layers, and between a border and the first or last of them.
LAYER_GAP, PORT_GAP = 22.0, 14.0
#: Distance of the lines at one side of a box; how much wider a gap gets for each pixel a line bends in it, and at most.
_SLOT, _SLOPE, _MAX_SLOPE = 12.0, 0.13, 46.0

Point = tuple[float, float]


@dataclass(slots=True)
class Placed:
    """A diagram with coordinates, (0, 0) its top left corner. ``labels`` are (x, baseline, text); ``ports`` gives the
    coordinate across the picture of every entry and exit."""

    width: float = 0.0
    height: float = 0.0
    boxes: list[PlacedBox] = field(default_factory=list)
    courses: list[Course] = field(default_factory=list)
    labels: list[tuple[float, float, str]] = field(default_factory=list)
    ports: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class PlacedBox:
    """A box with its top left corner and size; ``shift`` is where the inside begins, from that corner."""

    box: Box
    width: float
    height: float
    inside: Placed | None = None
    shift: Point = (0.0, 0.0)
    x: float = 0.0
    y: float = 0.0


@dataclass(slots=True)
class Course:
    """A stretch of a line: through one layer (two points), or from one layer to the next (four: where it leaves, begins and
    ends to bend, arrives). ``arrow`` is 1 for an arrow at its end, -1 for one at its start, pointing back."""

    line: int
    points: tuple[Point, ...]
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
        boxes = [self.sized(box, made, number) for number, box in enumerate(diagram.boxes)]
        return _Layout(self, diagram, made, boxes, min_length).placed()

    def view(self, box: Box) -> Diagram | None:
        """What a box shows inside, None where it is closed."""
        return box.views[self.fold[box.key]] if box.views and box.key in self.fold else None

    def sized(self, box: Box, around: Layered, number: int) -> PlacedBox:
        """A box in its size, with what is inside it if it is open."""
        view = self.view(box)
        if view is None:
            return PlacedBox(box, *closed_size(box))
        title = bar_width(box)
        inside = self.place(view, layer_inside(view, around, number), 0.0 if self.down else title)
        before, after = 0.0 if view.entries else INSET, 0.0 if view.exits else INSET
        if self.down:
            width = max(inside.width + 2 * INSET, title)
            return PlacedBox(
                box, width, BAR + before + inside.height + after, inside, ((width - inside.width) / 2, BAR + before)
            )
        width = max(before + inside.width + after, title)
        return PlacedBox(box, width, BAR + inside.height + 2 * INSET, inside, (before, BAR + INSET))


class _Layout:
    """One diagram on its way to coordinates. "Along" is the direction of the picture, "across" the other one."""

    def __init__(self, placer: Placer, diagram: Diagram, made: Layered, boxes: list[PlacedBox], min_length: float) -> None:
        self.placer, self.diagram, self.made, self.boxes = placer, diagram, made, boxes
        self.down, self.min_length = placer.down, min_length
        self.real = len(boxes)
        self.rank = {vertex: r for r, row in enumerate(made.layers) for vertex in row}
        self.labelled = [
            (i, line, text_width(line.label, LABEL))
            for i, line in enumerate(diagram.lines)
            if line.label and line.source < self.real
        ]
        self.arrivals, self.departures = self.offsets("in"), self.offsets("out")

    def placed(self) -> Placed:
        extents = self.extents()
        across = coordinates(self.made, extents, self.arrivals, self.departures)
        low = min((across[v] - extents[v][0] for v in across), default=0.0)
        high = max((across[v] + extents[v][1] for v in across), default=0.0)
        self.across = {v: x - low for v, x in across.items()}
        self.starts, self.ends, self.stubs = self.along()
        length = self.ends[-1] if self.ends else 0.0
        for index, box in enumerate(self.boxes):
            r = self.rank[index]
            x, y = self.point(self.across[index], (self.starts[r] + self.ends[r]) / 2)
            box.x, box.y = x - box.width / 2, y - box.height / 2
        made = Placed(*self.point(high - low, length), self.boxes)
        made.ports = {v: self.across[v] for v in range(self.real, self.diagram.num_vertices)}
        made.courses, made.labels = self.courses(), self.labels()
        return made

    def point(self, across: float, along: float) -> Point:
        return (across, along) if self.down else (along, across)

    # -- across ----------------------------------------------------------------------------------------------------
    def offsets(self, side: str) -> Offsets:
        """Where lines meet boxes, from the middle of each; at an open box they meet the ports of what is inside."""
        slots = self.made.in_slots if side == "in" else self.made.out_slots
        widest: dict[int, float] = {}
        for (vertex, _), slot in slots.items():
            widest[vertex] = max(widest.get(vertex, 1.0), abs(slot))
        wanted = self.spaced_labels() if side == "out" else {}
        found: Offsets = {}
        for (vertex, line), slot in slots.items():
            if vertex < self.real:
                box = self.boxes[vertex]
                size = box.width if self.down else box.height
                room = max(2.0, size / 2 - 8.0) / widest[vertex]
                step = wanted.get(vertex, _SLOT)
                if step > room:
                    step = min(_SLOT, room)
                    if vertex in wanted:
                        self.keep_one_label(vertex)
                offset = slot * step
                found[vertex, line] = offset if box.inside is None else self.port(box, box.inside, side, line, offset)
        return found

    def spaced_labels(self) -> dict[int, float]:
        """Distances of the lines that leave a box which keep their labels apart, where several have one."""
        widths: dict[int, list[float]] = {}
        for _, line, width in self.labelled:
            widths.setdefault(line.source, []).append(width + 12.0 if self.down else LABEL + 6.0)
        return {vertex: max(found) for vertex, found in widths.items() if len(found) > 1}

    def keep_one_label(self, vertex: int) -> None:
        """Label only the outermost of the lines that leave a narrow box, beside which there is room."""
        slots = self.made.out_slots
        own = [entry for entry in self.labelled if entry[1].source == vertex]
        sign = 1 if self.down else -1
        kept = max(own, key=lambda entry: sign * slots.get((vertex, entry[0]), 0.0))
        self.labelled = [entry for entry in self.labelled if entry[1].source != vertex or entry is kept]

    def port(self, box: PlacedBox, inside: Placed, side: str, line: int, default: float) -> float:
        view = self.placer.view(box.box)
        lines = () if view is None else view.entries if side == "in" else view.exits
        if view is None or line not in lines:
            return default
        port = inside.ports[len(view.boxes) + lines.index(line) + (len(view.entries) if side == "out" else 0)]
        return box.shift[0] + port - box.width / 2 if self.down else box.shift[1] + port - box.height / 2

    def extents(self) -> dict[int, tuple[float, float]]:
        """How far each vertex reaches to either side of its middle, labels of the lines that leave it included."""
        extents = dict.fromkeys((v for row in self.made.layers for v in row), (1.0, 1.0))
        for vertex, box in enumerate(self.boxes):
            half = (box.width if self.down else box.height) / 2
            extents[vertex] = (half, half)
        for index, line, width in self.labelled:
            left, right = extents[line.source]
            offset = self.departures.get((line.source, index), 0.0)
            if self.down:
                extents[line.source] = (left, max(right, offset + 6.0 + width))
            else:
                extents[line.source] = (max(left, LABEL + 6.0 - offset), right)
        return extents

    # -- along -----------------------------------------------------------------------------------------------------
    def along(self) -> tuple[list[float], list[float], list[float]]:
        """Where each layer begins and ends, and how far lines go straight after it, beside labels."""
        layers = self.made.layers
        thick = [
            max((self.boxes[v].height if self.down else self.boxes[v].width for v in row if v < self.real), default=0.0)
            for row in layers
        ]
        gaps, stubs = [LAYER_GAP] * len(layers), [0.0] * len(layers)
        if self.diagram.entries:
            gaps[0] = PORT_GAP
        if self.diagram.exits and len(gaps) > 1:
            gaps[-2] = PORT_GAP
        for _, labelled, width in self.labelled:
            r = self.rank[labelled.source]
            stubs[r] = max(stubs[r], LABEL + 6.0 if self.down else width + 8.0)
        for upper, lower, line in self.made.links:
            r, bend = self.rank[upper], abs(self.arrival(lower, line) - self.departure(upper, line))
            if bend > 1:
                gaps[r] = max(gaps[r], LAYER_GAP + min(_MAX_SLOPE, _SLOPE * bend))
        starts, ends, at = [], [], 0.0
        for size, gap, stub in zip(thick, gaps, stubs):
            starts.append(at)
            ends.append(at + size)
            at += size + gap + max(0.0, stub - (0.0 if gap > LAYER_GAP else 10.0))
        if self.diagram.exits:
            starts[-1] = ends[-1] = max(ends[-1], self.min_length)
        return starts, ends, stubs

    def departure(self, vertex: int, line: int) -> float:
        return self.across[vertex] + self.departures.get((vertex, line), 0.0)

    def arrival(self, vertex: int, line: int) -> float:
        return self.across[vertex] + self.arrivals.get((vertex, line), 0.0)

    def begin(self, vertex: int) -> float:
        """Where along the picture a vertex begins."""
        if vertex >= self.real:
            return self.starts[self.rank[vertex]]
        return self.boxes[vertex].y if self.down else self.boxes[vertex].x

    def end(self, vertex: int) -> float:
        if vertex >= self.real:
            return self.ends[self.rank[vertex]]
        return self.begin(vertex) + (self.boxes[vertex].height if self.down else self.boxes[vertex].width)

    # -- lines -----------------------------------------------------------------------------------------------------
    def courses(self) -> list[Course]:
        lines = self.diagram.lines
        found = []
        for vertex, line in self.made.passing.items():
            points = tuple(self.point(self.across[vertex], t) for t in (self.begin(vertex), self.end(vertex)))
            found.append(Course(line, points, 0, self.down, lines[line].role))
        for upper, lower, line in self.made.links:
            r, source = self.rank[upper], lines[line].source
            start, end = self.departure(upper, line), self.arrival(lower, line)
            alongs = (self.end(upper), self.ends[r] + self.stubs[r], self.starts[r + 1], self.begin(lower))
            points = tuple(self.point(a, t) for a, t in zip((start, start, end, end), alongs))
            turned = upper < self.real and source != upper
            arrow = -1 if turned else 1 if lower < self.real and source != lower else 0
            found.append(Course(line, points, arrow, self.down, lines[line].role))
        return found

    def labels(self) -> list[tuple[float, float, str]]:
        found = []
        for index, line, _ in self.labelled:
            across, along = self.departure(line.source, index), self.end(line.source)
            x, y = (across + 6.0, along + 13.0) if self.down else (along + 6.0, across - 5.0)
            found.append((x, y, line.label))
        return found
