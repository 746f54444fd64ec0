"""The notations of spaces: every sequence is a member, and every member has a sequence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.encode import robust
from netloom.errors import FormatError, SpaceError
from netloom.spaces import MLP, Conv, NASBench201

TEMPLATES = {
    "conv": {"conv2d": {"out": [8, 16], "kernel": [2, 3], "padding": [0, "half"]}},
    "activation": ["relu", "gelu"],
    "conv_extras": {
        "batch_norm": 1.0, "max_pool2d": {"kernel": [4, 2], "stride": 2, "probability": 1.0}, "dropout": {"p": [0.1, 0.2]},
    },
    "linear_extras": {"dropout": {"p": [0.3, 0.4]}},
}  # fmt: skip
SPACES = {
    "conv": Conv(),
    "small": Conv(input_shape=(1, 8, 8), num_classes=4, max_params=20_000, max_macs=100_000),
    "templates": Conv(input_shape=(3, 16, 16), templates=TEMPLATES),
    "point": Conv(input_shape=(2, 1, 1), num_classes=3, lin_num=1, conv_num=2),
    "mlp": MLP(64, 10),
    "skips": MLP(
        input_shape=(1, 8, 8), num_classes=3, layers=range(0, 13, 3), skip=0.5, norm=(None, "batch", "layer"),
        bias=(True, False), dropout=(0.0, 0.1), activations=("relu", nl.op.leaky_relu(0.2)),
    ),
    "always": MLP(8, 2, skip=1.0, layers=(2, 11, 12), widths=(4,)),
    "capped": MLP(64, 10, max_params=3_000, skip=0.3),
    "cells": NASBench201(C=4, N=1),
}  # fmt: skip


@pytest.mark.parametrize("name", SPACES)
def test_members_have_sequences(name: str) -> None:
    space = SPACES[name]
    notation = robust.of(space)
    for i in range(60):
        graph = space.sample(np.random.default_rng([1, i]))
        tokens = notation.encode(graph)
        assert set(tokens) <= set(notation.vocabulary)
        back = notation.decode(tokens)
        assert back.hash == graph.hash
        assert notation.decode(notation.numbers(tokens)) == notation.decode(" ".join(tokens)) == back


@settings(max_examples=150)
@given(st.sampled_from(sorted(SPACES)), st.data())
def test_sequences_are_members(name: str, data: st.DataObject) -> None:
    space = SPACES[name]
    notation = robust.of(space)
    graph = notation.decode(data.draw(st.lists(st.sampled_from(notation.vocabulary), max_size=50)))
    assert space.contains(graph)
    graph.check()
    assert notation.decode(notation.encode(graph)).hash == graph.hash


@pytest.mark.parametrize("name", ["small", "templates", "skips", "capped"])
def test_random_sequences_reach_much_of_a_space(name: str) -> None:
    notation = robust.of(SPACES[name])
    rng = np.random.default_rng(0)
    graphs = [notation.sample(rng, max_length=80) for _ in range(300)]
    assert len({graph.hash for graph in graphs}) > 60 and len({len(graph) for graph in graphs}) > 4


def test_layers_fill_the_places_of_their_block_in_any_order() -> None:
    notation = robust.of(Conv())
    graph = notation.decode("avg_pool2d conv2d out=16 avg_pool2d batch_norm linear out=64 dropout p=0.3 conv2d kernel=3 prelu")
    assert [node.op for node in graph][1:] == [
        "conv2d", "relu", "batch_norm", "avg_pool2d", "conv2d", "prelu", "flatten", "linear", "relu", "dropout", "linear",
    ]  # fmt: skip
    assert graph["dropout"].attrs["p"] == 0.3 and graph["linear"].attrs["out"] == 64


def test_blocks_beyond_the_space_are_passed_over() -> None:
    notation = robust.of(Conv(conv_num=2, lin_num=2))
    graph = notation.decode("conv2d padding=half " * 5 + "linear " * 5)
    assert [node.op for node in graph].count("conv2d") == 2 and [node.op for node in graph].count("linear") == 2


def test_a_part_that_ends_early_says_so() -> None:
    """A pool that must stand and did not fit; with another kernel it would have."""
    space = SPACES["templates"]
    notation = robust.of(space)
    x = y = nl.input(3, 16, 16)
    for _ in range(3):
        y = nl.max_pool2d(nl.batch_norm(nl.relu(nl.conv2d(y, 8, kernel=3, padding=1))), 2, stride=2)
    y = nl.batch_norm(nl.relu(nl.conv2d(y, 8, kernel=3, padding=1)))
    graph = nl.Graph(x, nl.linear(nl.flatten(y), 10))
    assert space.contains(graph)
    tokens = notation.encode(graph)
    assert "stop" in tokens and notation.decode(tokens).hash == graph.hash
    assert notation.decode([token for token in tokens if token != "stop"]).hash != graph.hash
    assert "stop" not in robust.of(Conv()).vocabulary


def test_cells_are_six_tokens() -> None:
    space = NASBench201()
    notation = robust.of(space)
    assert notation.max_length == 6 and len(notation.vocabulary) == 5
    cell = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
    tokens = ["nor_conv_3x3", "none", "nor_conv_1x1", "skip_connect", "none", "avg_pool_3x3"]
    assert notation.encode(space.from_string(cell)) == tokens
    assert notation.decode([*tokens, "none", "none"]).hash == space.from_string(cell).hash
    assert notation.decode([]).hash == space.from_string("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|").hash


def test_what_is_no_member_and_no_space() -> None:
    x = nl.input(3, 32, 32)
    graph = nl.Graph(x, nl.linear(nl.flatten(nl.gelu(x)), 10))
    for name in ("conv", "mlp", "cells"):
        with pytest.raises(SpaceError, match="is no network of"):
            robust.of(SPACES[name]).encode(graph)
    with pytest.raises(FormatError, match="'gelu', is not in the notation"):
        robust.of(Conv()).decode("conv2d gelu")
    with pytest.raises(SpaceError, match="FunctionSpace has no notation of its own"):
        robust.of(nl.spaces.from_function(lambda choose: graph))
