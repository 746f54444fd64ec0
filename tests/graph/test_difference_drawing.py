"""Pictures of diffs: what is in them, in which colour, and that they can be written and shown."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import FormatError
from netloom.graph.difference_drawing import compose
from netloom.graph.graph import Graph
from tests.graph.graph_variants import random_graph


def network(blocks: int, width: int, pool: bool) -> Graph:
    x = nl.input(3, 16, 16)
    y = nl.relu(nl.conv2d(x, width, kernel=3, padding=1, name="stem"))
    for i in range(blocks):
        y = nl.add(nl.relu(nl.batch_norm(nl.conv2d(y, width, kernel=3, padding=1, name=f"body.{i}.conv"))), y)
    if pool:
        y = nl.max_pool2d(y, 2, name="pool")
    return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(y, 1)), 10, name="head"))


def roles(difference: Any) -> dict[str, str]:
    """Node → role, as far as boxes show single nodes."""
    return {node: row.role for box in compose(difference).diagram.boxes for row in box.rows for node in row.nodes}


def test_roles_and_words() -> None:
    difference = nl.diff(network(1, 8, True), network(1, 12, False))
    found = roles(difference)
    assert found["stem"] == "changed" and found["pool (removed)"] == "removed" and found["head"] == "same"
    shown = [row.detail for box in compose(difference).diagram.boxes for row in box.rows if row.role == "changed"]
    assert shown == ["out 8 → 12"] * 2
    assert "8 → 12" in difference._repr_svg_()


def test_added_blocks_are_one_box() -> None:
    scene = compose(nl.diff(network(4, 8, False), network(7, 8, False)))
    green = [box for box in scene.diagram.boxes if box.role == "added"]
    assert [box.count for box in green] == [3]
    number = scene.diagram.boxes.index(green[0])
    assert {line.role for line in scene.diagram.lines if number in (line.source, *line.targets)} == {"added"}


def test_what_is_gone_stands_between_what_was_around_it() -> None:
    scene = compose(nl.diff(network(0, 8, True), network(0, 8, False)))
    (gone,) = [i for i, box in enumerate(scene.diagram.boxes) if any(row.role == "removed" for row in box.rows)]
    before = [line.source for line in scene.diagram.lines if gone in line.targets]
    after = [target for line in scene.diagram.lines if line.source == gone for target in line.targets]
    assert before == [gone - 1] and after == [gone + 1]


def test_old_and_new_operands_are_both_drawn() -> None:
    def wired(first: bool) -> Graph:
        x = nl.input(4)
        a, b = nl.relu(x, name="a"), nl.tanh(x, name="b")
        return nl.Graph(x, (nl.sub(nl.linear(a if first else b, 4, name="c"), a), b))

    lines = {line.role for line in compose(nl.diff(wired(True), wired(False))).diagram.lines}
    assert lines == {"", "added", "removed"}


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_every_diff_has_a_picture(seed: int) -> None:
    rng = random.Random(seed)
    difference = nl.diff(random_graph(rng, 8), random_graph(rng, 8))
    ElementTree.fromstring(difference._repr_svg_())
    boxes = compose(difference).diagram.boxes
    green = sum(len(row.nodes) for box in boxes for row in box.rows if row.role == "added")
    assert green <= len(difference.added) and (green > 0 or not difference.added or any(b.role == "added" for b in boxes))


def test_files(tmp_path: Path) -> None:
    difference = nl.diff(network(2, 8, True), network(3, 8, False))
    for suffix in ("svg", "html"):
        path = difference.draw(tmp_path / f"diff.{suffix}", title="before → after")
        text = path.read_text()
        assert "before → after" in text and "pool" in text
    shown = difference._repr_html_()
    assert shown.startswith("<pre>") and "<svg" in shown and "+1 block" in shown
    with pytest.raises(FormatError, match="suffix"):
        difference.draw(tmp_path / "diff.pdf")
