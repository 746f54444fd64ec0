"""Layers, orders and coordinates of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.graph.drawing.composing import compose
from netloom.graph.drawing.layering import Layered, layer
from netloom.graph.drawing.ordering import count_crossings
from netloom.graph.drawing.placing import Placed, PlacedBox, Placer
from netloom.graph.drawing.scene import Box, Diagram, Line, Row
from netloom.graph.drawing.sizes import BAR
from netloom.graph.drawing.unfolding import unfolded
from tests.graph.drawn_graphs import ALL, random_graph


def box(name: str) -> Box:
    return Box(name, (Row(name, kind="merge"),))


def diagram(count: int, *lines: tuple[int, ...], label: str = "") -> Diagram:
    """Boxes 0, 1, …, and lines written as (source, target, target, …)."""
    return Diagram(tuple(box(f"b{i}") for i in range(count)), tuple(Line(s, tuple(t), label) for s, *t in lines))


@st.composite
def diagrams(draw: st.DrawFn) -> Diagram:
    """Any boxes and lines, circles included."""
    count = draw(st.integers(1, 14))
    numbers = st.integers(0, count - 1)
    lines = draw(st.lists(st.tuples(numbers, st.lists(numbers, min_size=1, max_size=4)), max_size=24))
    kept = [Line(s, tuple(t for t in targets if t != s), draw(st.sampled_from(["", "N×8"]))) for s, targets in lines]
    return Diagram(tuple(box(f"b{i}") for i in range(count)), tuple(line for line in kept if line.targets))


def ranks(made: Layered) -> dict[int, int]:
    return {vertex: rank for rank, row in enumerate(made.layers) for vertex in row}


@settings(max_examples=40)
@given(diagrams())
def test_links_join_neighbouring_layers_and_make_whole_lines(drawn: Diagram) -> None:
    made = layer(drawn)
    rank = ranks(made)
    assert sorted(v for row in made.layers for v in row) == sorted({*range(drawn.num_vertices), *made.passing})
    assert all(made.layers), "no layer is empty"
    for link in made.links:
        assert rank[link.lower] == rank[link.upper] + 1
    for index, line in enumerate(drawn.lines):
        reached, front = {line.source}, {line.source}
        links = [link for link in made.links if link.line == index]
        while front:
            front = {
                end for link in links for here, end in ((link.upper, link.lower), (link.lower, link.upper))
                if here in front and end not in reached
            }  # fmt: skip
            reached |= front
        assert set(line.targets) <= reached
        assert all(v in reached for v, passed in made.passing.items() if passed == index)


@settings(max_examples=40)
@given(diagrams())
def test_straight_links_neither_cross_nor_meet(drawn: Diagram) -> None:
    made = layer(drawn)
    place = {vertex: (rank, i) for rank, row in enumerate(made.layers) for i, vertex in enumerate(row)}
    straight = [made.links[index] for index in made.straight]
    assert len({link.upper for link in straight}) == len({link.lower for link in straight}) == len(straight)
    for a, b in combinations(straight, 2):
        if place[a.upper][0] == place[b.upper][0]:
            assert (place[a.upper][1] < place[b.upper][1]) == (place[a.lower][1] < place[b.lower][1])


@settings(max_examples=40)
@given(diagrams(), st.sampled_from(["down", "right"]))
def test_boxes_keep_apart_and_straight_links_are_straight(drawn: Diagram, direction: str) -> None:
    made = layer(drawn)
    placed = Placer({}, direction).place(drawn, made)
    for a, b in combinations(placed.boxes, 2):
        assert not overlap(a, b)
    axis = 0 if direction == "down" else 1
    bends = [c for c in placed.courses if len(c.points) == 4 and abs(c.points[1][axis] - c.points[2][axis]) > 1e-6]
    assert len(bends) <= len(made.links) - len(made.straight)


@pytest.mark.parametrize("direction", ["down", "right"])
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("view", [0, 1])
def test_what_is_inside_lies_inside_and_nothing_overlaps(name: str, direction: str, view: int) -> None:
    drawn = compose(ALL[name]()).diagram
    fold = unfolded(drawn, flat=view == 1)
    placed = Placer(fold, direction).place(drawn)
    assert sum(b.inside is not None for _, b in everywhere(placed)) == len(fold)
    for around, inner in everywhere(placed):
        if around is not None:
            assert inner.x >= -1e-6 and inner.x + inner.width <= around.width - around.shift[0] + 1e-6
            assert inner.y >= -1e-6 and inner.y + inner.height <= around.height - around.shift[1] + 1e-6
            assert around.shift[1] >= BAR, "nothing lies under the title"
    for level in levels(placed):
        for a, b in combinations(level.boxes, 2):
            assert not overlap(a, b)
        for x, y, text in level.labels:
            width = len(text) * 4.0
            for b in level.boxes:
                assert x + width <= b.x or x >= b.x + b.width or y <= b.y + 1 or y - 7 >= b.y + b.height, text


def overlap(a: PlacedBox, b: PlacedBox) -> bool:
    near = 1e-6
    beside = a.x + a.width <= b.x + near or b.x + b.width <= a.x + near
    return not beside and a.y + near < b.y + b.height and b.y + near < a.y + a.height


def levels(placed: Placed) -> Iterator[Placed]:
    yield placed
    for b in placed.boxes:
        if b.inside is not None:
            yield from levels(b.inside)


def everywhere(placed: Placed, around: PlacedBox | None = None) -> Iterator[tuple[PlacedBox | None, PlacedBox]]:
    for b in placed.boxes:
        yield around, b
        if b.inside is not None:
            yield from everywhere(b.inside, b)


def test_the_main_path_is_one_straight_line_and_a_shortcut_goes_beside_it() -> None:
    drawn = diagram(6, (0, 1, 4), (1, 2), (2, 3), (3, 4), (4, 5))
    placed = Placer({}).place(drawn)
    middles = {round(b.x + b.width / 2, 6) for b in placed.boxes}
    assert len(middles) == 1
    beside = [c for c in placed.courses if len(c.points) == 2]
    assert len({c.points[0][0] for c in beside}) == 1 and beside[0].points[0][0] > max(b.x + b.width for b in placed.boxes)


def test_lines_that_need_not_cross_do_not() -> None:
    crossed = diagram(6, (0, 4), (1, 3), (2, 5))
    tree = diagram(7, (0, 1, 2), (1, 5, 6), (2, 3, 4))
    ladder = diagram(8, (0, 2, 3), (1, 3), (2, 5), (3, 4), (4, 6, 7), (5, 7))
    for drawn in (crossed, tree, ladder):
        made = layer(drawn)
        below: dict[int, list[int]] = {v: [] for row in made.layers for v in row}
        for link in made.links:
            below[link.upper].append(link.lower)
        assert count_crossings(made.layers, [below[v] for v in range(len(below))]) == 0


def test_crossings_are_counted() -> None:
    assert count_crossings([[0, 1], [2, 3]], [[3], [2], [], []]) == 1
    assert count_crossings([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [3, 4, 5], [3, 4, 5], [], [], []]) == 9


def test_sources_are_drawn_beside_their_readers() -> None:
    drawn = diagram(5, (0, 1), (1, 2), (2, 3), (4, 3))
    assert ranks(layer(drawn))[4] == 2


def test_a_value_read_in_many_places_is_one_line_with_branches() -> None:
    made = layer(diagram(6, (0, 1, 2, 3, 4, 5), (1, 2), (2, 3), (3, 4), (4, 5)))
    per_layer = [sum(v in made.passing for v in row) for row in made.layers]
    assert max(per_layer) == 1


def test_labels_make_room_for_themselves() -> None:
    bare, labelled = (Placer({}).place(diagram(3, (0, 1), (0, 2), label=label)) for label in ("", "N×64×112×112"))
    assert labelled.height > bare.height
    right = Placer({}, "right").place(diagram(2, (0, 1), label="N×64×112×112"))
    assert right.boxes[1].x - right.boxes[0].x - right.boxes[0].width > 60


def test_lines_arrive_side_by_side() -> None:
    placed = Placer({}).place(diagram(4, (0, 3), (1, 3), (2, 3)))
    ends = sorted(c.points[-1][0] for c in placed.courses if c.arrow)
    assert len(set(ends)) == 3
    target = placed.boxes[3]
    assert target.x < ends[0] and ends[-1] < target.x + target.width


def test_boxes_stay_near_what_they_are_linked_to() -> None:
    """Chains must not push what stands right of them on and on."""
    placed = Placer({}).place(compose(random_graph(250), flat=True).diagram)
    bends = [abs(c.points[1][0] - c.points[2][0]) for c in placed.courses if len(c.points) == 4]
    assert placed.width < 720 and sum(bends) / len(placed.courses) < 34


def test_two_lines_from_one_box_to_another_do_not_cross() -> None:
    placed = Placer({}).place(diagram(4, (0, 1), (0, 1, 2), (1, 2), (2, 3)))
    top = placed.boxes[1].y + 1e-6
    between = {c.line: c for c in placed.courses if c.line in (0, 1) and c.arrow and c.points[-1][1] <= top}
    first, second = between[0], between[1]
    assert (first.points[0][0] < second.points[0][0]) == (first.points[-1][0] < second.points[-1][0])
    assert first.points[0][0] != second.points[0][0]
