"""`Graph.draw`: what a picture shows, its files, its errors."""

from __future__ import annotations

import io
import re
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings

import netloom as nl
from netloom.errors import AttributeValueError, FormatError, NetloomWarning
from netloom.graph.drawing import picture
from netloom.graph.drawing.composing import compose
from netloom.graph.drawing.lettering import text_width
from netloom.graph.drawing.png import to_png
from netloom.graph.drawing.scene import Box, Diagram, Line, Row, Scene, boxes
from netloom.graph.drawing.sizes import PAD, bar_width, closed_size, row_width
from netloom.graph.drawing.svg import render
from netloom.graph.drawing.theme import DARK, KINDS, LIGHT, kind_of
from netloom.graph.drawing.unfolding import BUDGET, unfolded
from netloom.graph.tree import edges
from netloom.ops import REGISTRY
from netloom.testing.graphs import graphs
from tests.graph.drawn_graphs import ALL, random_graph, resnet, transformer

SVG = "{http://www.w3.org/2000/svg}"


def words(svg: str) -> list[str]:
    return ["".join(found.itertext()) for found in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def picture_of(graph: nl.Graph, **options: object) -> str:
    return render(*picture.graph_scene(graph, **options))  # type: ignore[arg-type]


# -- what is in the picture --------------------------------------------------------------------------------------------------
def shown_nodes(diagram: Diagram) -> Iterator[str]:
    for box in diagram.boxes:
        for row in box.rows:
            yield from row.nodes
        if box.views:
            yield from shown_nodes(box.views[-1])


@settings(max_examples=15)
@given(graphs(max_size=30))
def test_every_node_is_in_exactly_one_box(graph: nl.Graph) -> None:
    for flat in (False, True):
        assert sorted(shown_nodes(compose(graph, flat=flat).diagram)) == sorted(step.name for step in graph.steps)


@pytest.mark.parametrize("prefix", ["", "body."])
def test_long_runs_of_few_nodes_are_one_box(prefix: str) -> None:
    x = y = nl.input(8)
    for i in range(40):
        y = nl.relu(nl.linear(y, 8, name=f"{prefix}{2 * i}"), name=f"{prefix}{2 * i + 1}")
    graph = nl.Graph(x, nl.linear(y, 3, name="head"))
    shown = words(picture_of(graph))
    assert "×40" in shown and "ReLU" in " ".join(shown) and len(shown) < 20
    assert not prefix or "body" in shown
    assert "×40" not in words(picture_of(graph, collapse=False))


def test_one_node_is_one_node() -> None:
    x = nl.input(8)
    assert any(text.startswith("1 node ·") for text in words(picture_of(nl.Graph(x, nl.linear(x, 3)))))


def ways(diagram: Diagram, way: tuple[tuple[Diagram, int], ...] = ()) -> Iterator[tuple[str, tuple[tuple[Diagram, int], ...]]]:
    """Node → the diagrams around it, each with the number of the box that holds the node."""
    for number, box in enumerate(diagram.boxes):
        here = (*way, (diagram, number))
        for row in box.rows:
            for name in row.nodes:
                yield name, here
        if box.views:
            yield from ways(box.views[-1], here)


def joined(upper: tuple[tuple[Diagram, int], ...], lower: tuple[tuple[Diagram, int], ...]) -> bool:
    """Whether lines lead from the box at the end of one way to that at the end of the other, through all borders."""
    level = 0
    while upper[level][1] == lower[level][1]:
        level += 1
        if level == len(upper) or level == len(lower):
            return True  # the same stack
    diagram = upper[level][0]
    starts = {upper[-1][1]}
    for depth in range(len(upper) - 1, level, -1):
        inner = upper[depth][0]
        first = len(inner.boxes) + len(inner.entries)
        left = {t for line in inner.lines if line.source in starts for t in line.targets if t >= first}
        outer = upper[depth - 1][0]
        assert {outer.lines[inner.exits[t - first]].source for t in left} <= {upper[depth - 1][1]}
        starts = {upper[depth - 1][1]}
        if not left:
            return False
    found = {i for i, line in enumerate(diagram.lines) if line.source == upper[level][1] and lower[level][1] in line.targets}
    for inner, number in lower[level + 1 :]:
        ports = {len(inner.boxes) + i for i, line in enumerate(inner.entries) if line in found}
        found = {i for i, line in enumerate(inner.lines) if line.source in ports and number in line.targets}
    return bool(found)


@settings(max_examples=15)
@given(graphs(max_size=30))
def test_every_edge_of_the_graph_is_a_line_of_the_picture(graph: nl.Graph) -> None:
    check_lines(graph)


@pytest.mark.parametrize("name", ALL)
def test_lines_lead_through_modules_and_repeats(name: str) -> None:
    check_lines(ALL[name]())


def check_lines(graph: nl.Graph) -> None:
    for flat in (False, True):
        way = dict(ways(compose(graph, flat=flat).diagram))
        for step in graph.steps:
            for edge in edges(tuple(step.args.values())):
                assert joined(way[edge.node], way[step.name]), f"no line from {edge.node} to {step.name}"


def box_named(diagram: Diagram, title: str) -> Box:
    return next(box for box in boxes(diagram) if box.title == title)


def test_modules_that_repeat_are_one_box_with_the_instance_that_has_most_layers() -> None:
    diagram = compose(resnet((2, 3))).diagram
    stage = box_named(diagram, "layer2")
    assert (stage.count, stage.differ, len(stage.views)) == (3, True, 2)
    shown = [row.title for box in stage.views[0].boxes for row in box.rows]
    assert shown.count("conv 1×1") == 1 and shown.count("conv 3×3") == 2
    assert [box.title for box in stage.views[1].boxes] == ["layer2.0", "layer2.1", "layer2.2"]
    assert not box_named(diagram, "layer1").differ


@pytest.mark.parametrize("name", ["resnet", "transformer", "dense"])
def test_the_instance_drawn_for_all_is_wired_to_what_is_around(name: str) -> None:
    """What it reads from the one before arrives by the line at the repeat, and its result leaves."""
    repeats = [box for box in boxes(compose(ALL[name]()).diagram) if box.count > 1]
    assert repeats
    for repeat in repeats:
        shown = repeat.views[0]
        first = len(shown.boxes)
        left, read = {line.source for line in shown.lines}, {target for line in shown.lines for target in line.targets}
        assert set(range(first, first + len(shown.entries))) <= left, "every line that arrives is read"
        assert set(range(first + len(shown.entries), shown.num_vertices)) <= read, "every line that leaves is made"


def test_convolution_norm_activation_are_a_stack_and_labels_tell_changes_alone() -> None:
    diagram = compose(resnet()).diagram
    assert [row.title for row in diagram.boxes[1].rows] == ["conv 3×3", "batch norm", "ReLU"]
    labels = [line.label for line in diagram.lines]
    assert labels == ["", "N×16×32×32", "", "N×32×16×16", "N×32", "N×10"] or labels[:2] == ["", "N×16×32×32"]
    assert labels[2] == "", "layer1 keeps the shape"


def test_repeats_are_found_where_there_are_no_names() -> None:
    x = y = nl.input(8)
    for _ in range(9):
        y = nl.layer_norm(nl.relu(nl.linear(y, 8)), 8)
    diagram = compose(nl.Graph(x, y)).diagram
    assert [box.count for box in diagram.boxes] == [1, 9, 1]
    assert "×9" in words(picture_of(nl.Graph(x, y)))


def test_depth_opens_levels() -> None:
    diagram = compose(transformer()).diagram
    assert unfolded(diagram, 0) == {}
    one, two = unfolded(diagram, 1), unfolded(diagram, 2)
    assert len(one) == 1 and set(one) < set(two)
    assert all(view == 0 for view in two.values())


def test_a_large_network_is_folded_until_it_is_legible() -> None:
    diagram = compose(resnet((2,) * 24)).diagram
    fold = unfolded(diagram)
    assert sum(1 for _ in boxes(diagram, fold)) <= BUDGET
    assert fold, "one of each structure is open"


def test_collapse_false_shows_every_node() -> None:
    graph = resnet((2, 2))
    scene, fold = picture.graph_scene(graph, collapse=False)
    shown = [name for box in boxes(scene.diagram, fold) for row in box.rows for name in row.nodes]
    assert sorted(shown) == sorted(step.name for step in graph.steps)


def test_every_operator_has_a_colour() -> None:
    assert {kind_of(op) for op in REGISTRY} == set(KINDS)
    assert set(LIGHT.kinds) == set(DARK.kinds) == set(KINDS)
    assert set(LIGHT.roles) == set(DARK.roles)


# -- the files ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("direction", ["down", "right"])
@pytest.mark.parametrize("name", ALL)
def test_svg_is_well_formed_and_the_same_every_time(name: str, direction: str, tmp_path: Path) -> None:
    graph = ALL[name]()
    first = graph.draw(tmp_path / "a.svg", direction=direction)
    second = nl.Graph.from_json(graph.to_json()).draw(tmp_path / "b.svg", direction=direction)
    assert first.read_bytes() == second.read_bytes()
    root = ElementTree.fromstring(first.read_text())
    wide, high = (float(root.attrib[key]) for key in ("width", "height"))
    assert wide > 100 and high > 100 and (name != "resnet" or (wide > high) == (direction == "right"))


@pytest.mark.parametrize("name", ALL)
def test_text_fits_its_box(name: str) -> None:
    for box in boxes(compose(ALL[name]()).diagram):
        width, _ = closed_size(box)
        assert all(row_width(row) + 2 * PAD <= width + 1e-6 for row in box.rows)
        assert bar_width(box) <= width or box.rows
        assert not box.summary or text_width(box.summary, 9.5) <= width


def test_widths_of_text_hold_for_the_font_of_pngs() -> None:
    """Rendered text is no wider than it was taken to be."""
    from PIL import Image

    for word in ("scaled_dot_product_attention", "conv 3×3  64, /2", "N×64×112×112", "WMQ@%&"):
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="40"><rect width="400" height="40" fill="#fff"/>'
            f'<text x="0" y="25" font-size="20" font-weight="700">{word.replace("&", "&amp;")}</text></svg>'
        )
        image = Image.open(io.BytesIO(to_png(svg, zoom=1))).convert("L")
        right = int(np.nonzero((np.asarray(image) < 128).any(axis=0))[0].max())
        assert 0.7 * text_width(word, 20, bold=True) < right <= text_width(word, 20, bold=True) + 2


def test_themes(tmp_path: Path) -> None:
    graph = resnet()
    auto, light, dark = (graph.draw(tmp_path / f"{t}.svg", theme=t).read_text() for t in ("auto", "light", "dark"))
    assert "prefers-color-scheme:dark" in auto and "prefers-color-scheme" not in light + dark
    assert LIGHT.background in light and DARK.background in dark and DARK.background not in light
    assert graph.draw(tmp_path / "x.svg").read_text() == auto


def test_png_has_text_without_any_font_of_the_system(tmp_path: Path) -> None:
    from PIL import Image

    path = nl.Graph(x := nl.input(4), nl.relu(x)).draw(tmp_path / "x.png", title="ILLI")
    image = np.asarray(Image.open(path).convert("L"))
    title = image[30:62, 28:110]
    assert (title < 90).sum() > 100, "the title is dark strokes on white"
    assert image[2, image.shape[1] // 2] == 255
    dark = np.asarray(Image.open(nl.Graph(x, nl.relu(x)).draw(tmp_path / "d.png", theme="dark")).convert("L"))
    assert dark[2, dark.shape[1] // 2] < 40


def test_size_scales_the_picture(tmp_path: Path) -> None:
    def width(**options: float) -> float:
        return float(re.search(r'width="([\d.]+)"', resnet().draw(tmp_path / "x.svg", **options).read_text())[1])  # type: ignore[index]

    assert width(node_size=2) == pytest.approx(2 * width(), abs=0.2)


def test_names_are_escaped(tmp_path: Path) -> None:
    path = resnet().draw(tmp_path / "x.svg", title='<script>"&')
    assert '<script>"&' in words(path.read_text())
    page = resnet().draw(tmp_path / "x.html", title="</script><b>").read_text()
    assert "</script><b>" not in page


def test_roles_override_colours_so_that_diffs_can_be_drawn() -> None:
    rows = Row("conv 3×3", "8", "conv"), Row("relu", kind="activation", role="added"), Row("add", kind="merge", role="removed")
    diagram = Diagram(
        tuple(Box(str(i), (row,)) for i, row in enumerate(rows)),
        (Line(0, (1,), role="added"), Line(0, (2,), "N×8", role="removed"), Line(2, (1,))),
    )
    svg = render(Scene(diagram, "a → b"), {}, theme="light")
    root = ElementTree.fromstring(svg)
    classes = [found.attrib.get("class", "") for found in root.iter()]
    assert {"bd r-added", "bd r-removed", "bd k-conv", "e r-added", "e r-removed"} <= set(classes)
    assert "bd k-merge" not in classes
    assert {"added", "removed", "convolution"} <= set(words(svg))


def test_graphs_show_themselves_in_notebooks() -> None:
    graph = resnet()
    assert graph._repr_svg_() == picture_of(graph)
    assert graph._repr_svg_() in graph._repr_html_()
    rules = re.search(r"<style>(.*)</style>", graph._repr_svg_())[1]  # type: ignore[index]
    selectors = re.findall(r"(?:^|[{}])([^{}@]+)\{", rules.replace("@media(prefers-color-scheme:dark)", ""))
    assert selectors and all(selector.startswith(".netloom ") for selector in selectors), "rules keep to the picture"


# -- what is refused -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def compose_nothing(*args: object, **options: object) -> None:
        raise AssertionError("work was done before the error")

    monkeypatch.setattr(picture, "compose", compose_nothing)


@pytest.mark.parametrize(
    "name, message",
    [
        ("x.gif", r"has the suffix '\.gif'; expected one of \.svg, \.png, \.html"),
        ("x", "has no suffix; expected one of"),
        ("missing/x.svg", "the folder '.*missing' does not exist"),
        ("folder.svg", "it is a folder"),
    ],
)
def test_paths_that_cannot_be_written(name: str, message: str, tmp_path: Path, no_work: None) -> None:
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(FormatError, match=message):
        resnet().draw(tmp_path / name)


def test_no_permission(tmp_path: Path, no_work: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(FormatError, match="no permission"):
        resnet().draw(tmp_path / "x.svg")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"direction": "up"}, "direction = 'up'; expected one of 'down', 'right'"),
        ({"theme": "blue"}, "theme = 'blue'; expected one of 'auto', 'light', 'dark'"),
        ({"node_size": 0}, "node_size = 0; expected a factor from 0.1 to 10"),
        ({"depth": -1}, "depth = -1; expected a number of levels"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], message: str, tmp_path: Path, no_work: None) -> None:
    with pytest.raises(AttributeValueError, match=message):
        resnet().draw(tmp_path / "x.svg", **options)


def test_a_graph_too_large_to_draw_flat_is_folded_and_this_is_said(tmp_path: Path) -> None:
    graph = resnet((110, 110))
    with pytest.warns(NetloomWarning, match="nodes are too many to draw each of"):
        path = graph.draw(tmp_path / "x.svg", collapse=False)
    assert any("too many to draw each of" in word for word in words(path.read_text()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph.draw(tmp_path / "y.svg")


def test_a_large_network_without_structure_is_put_into_boxes() -> None:
    graph = random_graph(700)
    diagram = compose(graph).diagram
    assert len(diagram.boxes) < 40
    assert any(re.fullmatch(r"nodes \d+ to \d+", box.title) for box in diagram.boxes)
    check_lines(random_graph(320))


def test_a_thousand_nodes_in_seconds() -> None:
    graph = random_graph(1100)
    start = time.process_time()
    picture_of(graph, collapse=False)
    assert time.process_time() - start < 8
