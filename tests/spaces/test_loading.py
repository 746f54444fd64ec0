"""Spaces by name: those of other packages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netloom.errors import SpaceError
from netloom.spaces import load, names

PLUGIN = '''
import netloom as nl

class Wide:
    """Linear models behind a layer of ``width`` neurons."""

    def __init__(self, width, num_classes=10, input_shape=(4,)):
        self.width, self.num_classes, self.features = width, num_classes, input_shape[0]
        self.spec = f"wide?width={width}&num_classes={num_classes}"

    def sample(self, rng):
        x = nl.input(self.features)
        return nl.Graph(x, nl.linear(nl.relu(nl.linear(x, self.width)), self.num_classes))

    def contains(self, graph):
        return graph.hash == self.sample(None).hash
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that declares entry points, one of them broken, one with a name of netloom."""
    (tmp_path / "netloom_wide.py").write_text(PLUGIN)
    info = tmp_path / "netloom_wide-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: netloom-wide\nVersion: 1.0\n")
    points = {"wide": "Wide", "lost": "Lost", "conv": "Wide"}
    lines = [f"{name} = netloom_wide:{attribute}" for name, attribute in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[netloom.spaces]", *lines, ""]))
    monkeypatch.syspath_prepend(str(tmp_path))


def test_spaces_of_other_packages_are_known(plugin: None) -> None:
    assert {"conv", "mlp", "nasbench201", "wide"} <= set(names())
    space = load("wide?width=1e2", num_classes=3)
    graph = space.sample(np.random.default_rng(0))
    assert space.contains(graph) and [node.out_size for node in graph if node.op == "linear"] == [100, 3]
    assert load(space.spec).spec == space.spec


def test_what_is_wrong_with_them_is_said(plugin: None) -> None:
    with pytest.raises(SpaceError, match="did you mean 'width'"):
        load("wide?widht=3")
    with pytest.raises(SpaceError, match="space 'lost' of netloom_wide:Lost: AttributeError"):
        load("lost")
    with pytest.raises(SpaceError, match="did you mean 'wide'"):
        load("wild")


def test_other_packages_cannot_take_names_of_netloom(plugin: None) -> None:
    assert type(load("conv")).__module__.startswith("netloom.")
