"""What ``print(graph)`` shows reads back, and its numbers add up."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings

import netloom as nl
from netloom.testing.graphs import graphs


@settings(max_examples=60)
@given(graph=graphs())
def test_the_table_is_the_notation(graph: nl.Graph) -> None:
    assert nl.Graph.from_text(str(graph)) == graph
    without = [line.partition("  # ")[0].split() for line in str(graph).splitlines()[:-1]]
    assert without == [line.partition("  # ")[0].split() for line in graph.to_text().splitlines()]


@pytest.mark.parametrize("seed", range(10))
def test_parameters_add_up_and_columns_stand_straight(seed: int) -> None:
    graph = nl.spaces.Conv().sample(np.random.default_rng(seed))
    lines = str(graph).splitlines()
    numbers = [re.search(r"  # \(.*\)\s+([\d,]+)(?: parameters)?$", line) for line in lines]
    assert sum(int(found[1].replace(",", "")) for found in numbers if found) == graph.num_params
    assert lines[-1] == f"# {graph.num_params:,} parameters, {graph.flops:,} FLOPs a sample"
    assert len({line.index("  # (") for line in lines if "  # (" in line}) == 1
    assert len({line.index(" = ") for line in lines if " = " in line}) == 1
    assert sum(" parameters" in line for line in lines[:-1]) == 1


def test_shared_weights_count_once_and_long_names_stand_out() -> None:
    x = nl.input(4)
    first = nl.linear(x, 4, name="a_module_with_a_very_long_path." * 3 + "layer")
    graph = nl.Graph(x, nl.linear(nl.relu(first), 4, like=first))
    assert re.findall(r"(\d+) parameters", str(graph)) == ["20", "20"], "once at a line, once below"
    assert nl.Graph.from_text(str(graph)) == graph
