"""Which layer each box of a diagram is in, and the order within layers: the part of a layout that knows no pixels.

Layers are drawn by Sugiyama, Tagawa and Toda's scheme (IEEE Trans. SMC 11, 1981): ranks by longest path, then pulled
together where that shortens lines; lines that pass a layer get a place in it; sweeps of barycentres and exchanges of
neighbours take crossings out (`ordering`). All branches of a line share one course, so that a value read in many
places is one line with branches. What is drawn exactly straight is decided here too (`straightening`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .ordering import order_layers
from .scene import Box, Diagram
from .straightening import Link, longest_path, straight_links


@dataclass(slots=True)
class Layered:
    """A diagram in layers.

    Vertices are the diagram's (boxes, entries, exits), then one for each layer that a line passes; ``passing`` gives the
    line of each of the latter. ``links`` join neighbouring layers (upper vertex, lower vertex, line); ``straight`` are the
    indices of those that are drawn exactly straight. ``out_slots`` and ``in_slots`` tell where lines leave and reach a
    vertex: (vertex, line) → steps from its middle.
    """

    layers: list[list[int]]
    passing: dict[int, int]
    links: list[Link]
    straight: list[int] = field(default_factory=list)
    out_slots: dict[tuple[int, int], float] = field(default_factory=dict)
    in_slots: dict[tuple[int, int], float] = field(default_factory=dict)


def layer(diagram: Diagram, entry_order: Sequence[int] | None = None) -> Layered:
    """Layers, orders and straight lines of a diagram; ``entry_order`` is the order of its entries where that is given."""
    pairs = _downwards(diagram)
    ranks = _ranks(diagram, pairs)
    made = _with_passing_lines(diagram, ranks)
    first = [len(diagram.boxes) + i for i in entry_order] if entry_order is not None else None
    order_layers(made.layers, made.links, diagram.num_vertices, first)
    weights = [_weight(box) for box in diagram.boxes] + [0.0] * (len(diagram.entries) + len(diagram.exits))
    position = {vertex: (i + 0.5) / len(row) for row in made.layers for i, vertex in enumerate(row)}
    path = longest_path(pairs, weights, ranks, position)
    made.straight = straight_links(made.layers, made.links, path, made.passing)
    _set_slots(made, diagram)
    return made


def layer_inside(view: Diagram, around: Layered, number: int) -> Layered:
    """The layers of what is inside box ``number`` of a diagram: its entries in the order in which their lines arrive."""
    slots = {line: slot for (vertex, line), slot in around.in_slots.items() if vertex == number}
    order = sorted(range(len(view.entries)), key=lambda i: (slots.get(view.entries[i], 0.0), i))
    return layer(view, order)


def _weight(box: Box) -> float:
    """How much a box counts towards being on the main path."""
    if box.views:
        return sum(_weight(inner) for inner in box.views[0].boxes)
    return sum(0.0 if row.kind == "data" else 0.1 if row.quiet else 1.0 for row in box.rows)


def _downwards(diagram: Diagram) -> list[tuple[int, int]]:
    """The pairs (upper, lower) that lines join, each once; a line that would close a circle is turned around."""
    readers: dict[int, list[int]] = {vertex: [] for vertex in range(diagram.num_vertices)}
    for line in diagram.lines:
        readers[line.source] += [target for target in line.targets if target not in readers[line.source]]
    pairs: dict[tuple[int, int], None] = {}
    state: dict[int, int] = {}
    for root in sorted(readers, key=lambda v: (v < len(diagram.boxes), v)):
        if root in state:
            continue
        state[root] = 1
        stack = [(root, iter(readers[root]))]
        while stack:
            vertex, rest = stack[-1]
            for target in rest:
                if state.get(target) == 1:
                    if target != vertex:
                        pairs[target, vertex] = None
                    continue
                pairs[vertex, target] = None
                if target not in state:
                    state[target] = 1
                    stack.append((target, iter(readers[target])))
                    break
            else:
                state[vertex] = 2
                stack.pop()
    return list(pairs)


def _ranks(diagram: Diagram, pairs: list[tuple[int, int]]) -> list[int]:
    """The layer of every vertex: entries first, exits last, lines short."""
    count, num_boxes = diagram.num_vertices, len(diagram.boxes)
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for upper, lower in pairs:
        above[lower].append(upper)
        below[upper].append(lower)
    order = topological(count, above, below)
    first = 1 if diagram.entries else 0
    exits = range(num_boxes + len(diagram.entries), count)
    ranks = [0] * count
    for v in order:
        low = 0 if num_boxes <= v < exits.start else first
        ranks[v] = max([low, *(ranks[u] + 1 for u in above[v])])
    constant = [False] * count
    for v in order:
        constant[v] = v < num_boxes and not _is_input(diagram.boxes[v]) and all(constant[u] for u in above[v])
    movable = [v for v in reversed(order) if v < num_boxes and below[v] and (constant[v] or len(below[v]) > len(above[v]))]
    for _ in range(8):
        moved = False
        for v in movable:
            lowest = min(ranks[w] for w in below[v]) - 1
            if lowest > ranks[v]:
                ranks[v], moved = lowest, True
        if not moved:
            break
    if exits:
        last = max(ranks[v] for v in range(count) if v not in exits) + 1
        for v in exits:
            ranks[v] = last
    used = {rank: i for i, rank in enumerate(sorted(set(ranks)))}
    return [used[rank] for rank in ranks]


def _is_input(box: Box) -> bool:
    return any(row.kind == "input" for row in box.rows)


def topological(count: int, above: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> list[int]:
    """Vertices so that each comes after all that are above it."""
    waiting = [len(above[v]) for v in range(count)]
    ready = [v for v in range(count) if not waiting[v]]
    for v in ready:
        for w in below[v]:
            waiting[w] -= 1
            if not waiting[w]:
                ready.append(w)
    return ready


def _with_passing_lines(diagram: Diagram, ranks: list[int]) -> Layered:
    layers: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    for vertex, rank in enumerate(ranks):
        layers[rank].append(vertex)
    passing: dict[int, int] = {}
    links: list[Link] = []
    free = diagram.num_vertices
    for index, line in enumerate(diagram.lines):
        start = ranks[line.source]
        targets = list(dict.fromkeys(line.targets))
        for sign in (1, -1):
            course = {0: line.source}
            ends = [t for t in targets if (ranks[t] - start) * sign > 0]
            for step in range(1, max((abs(ranks[t] - start) for t in ends), default=0)):
                course[step] = free
                passing[free] = index
                layers[start + sign * step].append(free)
                links.append(_link(course[step - 1], free, index, sign))
                free += 1
            links += [_link(course[abs(ranks[t] - start) - 1], t, index, sign) for t in ends]
    return Layered(layers, passing, links)


def _link(near: int, far: int, line: int, sign: int) -> Link:
    return Link(near, far, line) if sign > 0 else Link(far, near, line)


def _set_slots(made: Layered, diagram: Diagram) -> None:
    """Spread the lines at each vertex in the order of their other ends; the straight one keeps the middle."""
    position = {vertex: i for row in made.layers for i, vertex in enumerate(row)}
    straight = set(made.straight)
    arriving: dict[int, dict[int, list[float]]] = {}
    leaving: dict[int, dict[int, list[float]]] = {}
    middle: dict[tuple[str, int], int] = {}
    for index, link in enumerate(made.links):
        if link.lower < diagram.num_vertices:
            arriving.setdefault(link.lower, {}).setdefault(link.line, []).append(position[link.upper])
            if index in straight:
                middle["in", link.lower] = link.line
        if link.upper < diagram.num_vertices:
            leaving.setdefault(link.upper, {}).setdefault(link.line, []).append(position[link.lower])
            if index in straight:
                middle["out", link.upper] = link.line
    for side, found, slots in (("out", leaving, made.out_slots), ("in", arriving, made.in_slots)):
        for vertex, lines in found.items():
            # Lines from one box to another arrive in the order in which they left.
            left = {line: made.out_slots.get((diagram.lines[line].source, line), 0.0) for line in lines}
            ordered = sorted(lines, key=lambda line: (sum(lines[line]) / len(lines[line]), left[line], line))
            centre = ordered.index(middle[side, vertex]) if (side, vertex) in middle else (len(ordered) - 1) / 2
            for i, line in enumerate(ordered):
                slots[vertex, line] = i - centre
