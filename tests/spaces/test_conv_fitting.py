"""Networks written by hand: layers made to fit, the published table, and 800 networks whose cost is known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import SpaceError
from netloom.spaces import Conv

SPACE = Conv()
PUBLISHED = """\
Conv2d       (16, 8, 8)     (1, 1)   (4, 4)
LeakyReLU    (16, 8, 8)     (0.001)
BatchNorm2d  (16, 8, 8)
Flatten      1024
Linear       1024
ReLU         1024
Linear       10"""


# -- fit_shapes --------------------------------------------------------------------------------------------------------
def test_a_list_that_fits_is_left_alone() -> None:
    graph = SPACE.fit_shapes([nl.op.conv2d(16, kernel=3, padding=1), "relu", nl.op.flatten(), nl.op.linear(10)])
    x = nl.input(3, 32, 32)
    assert graph == nl.Graph(x, nl.linear(nl.flatten(nl.relu(nl.conv2d(x, 16, kernel=3, padding=1))), 10))
    assert graph.notes == () and SPACE.contains(graph)


@pytest.mark.parametrize(
    ("layers", "ops", "note"),
    [
        ([nl.op.conv2d(8, kernel=33), nl.op.relu()], "relu flatten linear", "conv2d(out=8, kernel=33): dropped: kernel"),
        ([nl.op.linear(7)], "flatten linear linear", "layer 1, linear(out=7): flatten put before it"),
        ([nl.op.flatten(), nl.op.conv2d(8, kernel=1)], "flatten linear", "dropped: "),
        ([nl.op.flatten(), nl.op.flatten()], "flatten linear", "layer 2, flatten: dropped, as 3072 features are flat"),
        ([nl.op.prelu(5)], "prelu flatten linear", "layer 1, prelu(num_parameters=5): num_parameters changed from 5 to 3"),
        ([nl.op.conv2d(8, kernel=1, groups=2)], "conv2d flatten linear", "groups changed from 2 to 1"),
        ([nl.op.avg_pool2d(2, padding=2)], "avg_pool2d flatten linear", "padding changed from 2 to 1"),
        ([], "flatten linear", "linear(10) put at the end"),
        ([nl.op.flatten(), nl.op.linear(10), "relu"], "flatten linear relu linear", "linear(10) put at the end"),
        ([nl.op.conv2d(8, kernel=32, bias=False)], "conv2d flatten linear", "flatten put before the last layer"),
    ],
)
def test_what_does_not_fit_is_mended_and_said(layers: list[Any], ops: str, note: str) -> None:
    graph = SPACE.fit_shapes(layers)
    assert [node.op for node in graph][1:] == ops.split()
    assert any(note in said for said in graph.notes), graph.notes
    graph.check()
    assert graph.outputs[0].shape[1:] == (10,)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nl.op.relu(), 3], "layer 2: 3 is no layer; expected one such as"),
        ("relu", "takes a list of layers .*, not 'relu'"),
        (None, "takes a list of layers .*, not None"),
        (["gelo"], "layer 1: unknown operator 'gelo'; did you mean 'gelu'"),
        ([nl.op.conv2d(8)], "layer 1: conv2d needs 'kernel'"),
        ([nl.op.conv2d(8, kernel=0)], "layer 1: conv2d: kernel = 0; expected an integer ≥ 1"),
        ([nl.op.conv2d(8, kernal=3)], "did you mean 'kernel'"),
        ([nl.op.relu(1)], "relu takes 0 attributes, got 1"),
        ([nl.op.conv2d(8, 3, kernel=3)], "kernel is given twice"),
        (["add"], "layer 1: add takes x, y; a layer of a chain is an operator of one tensor"),
        ([nl.op.conv2d(8, kernel={})], "layer 1: "),
    ],
)
def test_what_is_no_layer_is_refused(layers: list[Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SPACE.fit_shapes(layers)


ANY = st.sampled_from([
    nl.op.conv2d(8, kernel=5), nl.op.conv2d(6, kernel=(3, 9), stride=3, groups=3), nl.op.max_pool2d(4),
    nl.op.avg_pool2d(3, padding=3), nl.op.adaptive_avg_pool2d(1), nl.op.relu(), nl.op.prelu(8), nl.op.batch_norm(),
    nl.op.group_norm(4), nl.op.glu(1), nl.op.softmax(-1), nl.op.dropout(0.2), nl.op.flatten(), nl.op.linear(9),
    nl.op.linear(4, bias=False), nl.op.pixel_shuffle(2),
])  # fmt: skip


@settings(max_examples=50)
@given(layers=st.lists(ANY, max_size=8), shape=st.sampled_from([(3, 12, 9), (1, 1, 1), (8, 2, 7)]))
def test_every_list_becomes_a_network(layers: list[Any], shape: tuple[int, int, int]) -> None:
    space = Conv(input_shape=shape, num_classes=4)
    graph = space.fit_shapes(layers)
    graph.check()
    assert graph.outputs[0].shape[1:] == (4,) and graph.outputs[0].op == "linear"
    dropped = sum(": dropped" in note for note in graph.notes)
    added = sum(" put " in note for note in graph.notes)
    assert len(graph) == 1 + len(layers) - dropped + added
    again = space.fit_shapes([_unplaced(node) for node in graph.nodes[1:]])
    assert again.hash == graph.hash and again.notes == ()


def _unplaced(node: nl.Node) -> Any:
    """The layer that a node is, to be placed again."""
    without = {"bias": False} if node.op in ("conv2d", "linear") and "bias" not in node.weights else {}
    return getattr(nl.op, node.op)(**node.attrs, **without)


# -- the table ---------------------------------------------------------------------------------------------------------
def test_the_published_table_is_read_and_written_exactly() -> None:
    graph = SPACE.from_table(PUBLISHED)
    assert SPACE.table(graph) == PUBLISHED and graph.notes == () and SPACE.contains(graph)
    conv = graph["conv2d"].attrs
    assert (conv["out"], conv["kernel"], conv["stride"], conv["padding"]) == (16, (1, 1), (4, 4), (0, 0))
    assert graph["leaky_relu"].attrs["negative_slope"] == 0.001 and graph.num_params == 64 + 32 + 1024 * 1025 + 1024 * 10 + 10


def test_the_published_model_of_one_convolution() -> None:
    graph = SPACE.fit_shapes([nl.op.conv2d(8, kernel=5, stride=3), nl.op.prelu(), nl.op.flatten(), nl.op.linear(10)])
    assert SPACE.table(graph).splitlines() == [
        "Conv2d       (8, 10, 10)    (5, 5)   (3, 3)", "PReLU        (8, 10, 10)", "Flatten      800", "Linear       10",
    ]  # fmt: skip
    again = SPACE.from_table(SPACE.table(graph))
    assert again["conv2d"].attrs == graph["conv2d"].attrs
    assert again.notes == ("line 2: num_parameters=channels or num_parameters=1 gives this line; taken: the first",)


def test_tables_of_samples_read_back_as_the_same_table() -> None:
    import numpy as np

    for seed in range(25):
        graph = SPACE.sample(np.random.default_rng(seed))
        table = SPACE.table(graph)
        again = SPACE.from_table(table)
        assert SPACE.table(again) == table and SPACE.contains(again) and again.flops == graph.flops
        if not again.notes:
            assert again.hash == graph.hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("Flatten      1024", "Flatten      1025"), "line 4, 'Flatten      1025': after .16, 8, 8. it gives 1024"),
        (("(16, 8, 8)     (1, 1)", "(16, 8, 9)     (1, 1)"), "line 1, .* it gives \\(16, 8, 8\\)"),
        (("   (4, 4)", ""), "line 1: Conv2d has .* expected \\(kernel\\) \\(stride\\)"),
        (("ReLU         1024", "SELU         1024"), "line 6, 'SELU         1024', is no layer"),
        (("1024\nLinear       10", "1024"), "does not end with a line for 10 classes"),
        (("(0.001)", "(x)"), "line 2: LeakyReLU has '\\(x\\)'"),
    ],
)
def test_a_table_that_does_not_fit_names_its_line(change: tuple[str, str], message: str) -> None:
    before, _, after = PUBLISHED.rpartition(change[0])
    assert before != PUBLISHED
    with pytest.raises(SpaceError, match=message):
        SPACE.from_table(before + change[1] + after)


def test_graphs_that_are_no_such_chain_have_no_table() -> None:
    x = nl.input(3, 8, 8)
    y = nl.relu(x)
    for graph, name in ((nl.Graph(x, y + x), "add"), (nl.Graph(x, nl.gelu(x)), "gelu")):
        with pytest.raises(SpaceError, match=f"'{name}' has no place in the table"):
            SPACE.table(graph)


# -- trained networks of the published system --------------------------------------------------------------------------
def decoded(code: str) -> list[Any]:
    """The layers of a network from its published code: eight hexadecimal digits a layer, one-hot type and attributes."""
    types = "linear batch_norm relu leaky_relu prelu dropout dropout2d flatten conv2d max_pool2d avg_pool2d gap".split()
    layers = []
    for start in range(0, len(code), 8):
        bits = f"{int(code[start : start + 8], 16):032b}"

        def value(first: int, *values: Any, bits: str = bits) -> Any:
            return values[bits[first : first + len(values)].index("1")]

        kind = value(0, *types)
        match kind:
            case "conv2d":
                kernel = value(19, *range(1, 8))
                padding = value(30, kernel // 2, 0)
                layer = nl.op.conv2d(value(12, 8, 16, 32, 64, 96, 128, 192), kernel, value(26, 1, 2, 3, 4), padding)
            case "max_pool2d":
                kernel = value(12, 2, 3, 4)
                layer = nl.op.max_pool2d(kernel, value(15, 1, 2, 3), value(18, kernel // 2, 0))
            case "avg_pool2d":
                kernel = value(12, 2, 3, 4)
                counted = value(19, True, False)
                layer = nl.op.avg_pool2d(kernel, value(15, 1, 2), value(17, kernel // 2, 0), count_include_pad=counted)
            case "linear":
                layer = nl.op.linear(value(12, 32, 64, 128, 256, 512, 1024, 2048, 4096))
            case "leaky_relu":
                layer = nl.op.leaky_relu(value(12, 0.1, 0.01, 0.001))
            case "prelu":
                layer = nl.op.prelu(value(12, "channels", 1))
            case "dropout":
                layer = nl.op.dropout(value(12, *(round(0.05 * i, 2) for i in range(1, 20))))
            case "gap":
                layer = nl.op.adaptive_avg_pool2d(1)
            case _:
                layer = kind
        layers.append(layer)
    return layers


def test_the_published_codes_decode() -> None:
    graph = SPACE.fit_shapes(decoded("008410061002000040000000010000008000400020000000"))
    assert SPACE.table(graph) == PUBLISHED and graph.notes == ("linear(10) put at the end",)
    first = SPACE.fit_shapes(decoded("008801090804000001000000"))
    assert [node.op for node in first] == ["input", "conv2d", "prelu", "flatten", "linear"]
    assert first["conv2d"].shape[1:] == (8, 10, 10)


@pytest.mark.skipif("NETLOOM_DATA" not in os.environ, reason="NETLOOM_DATA is unset: no folder with the published networks")
def test_cost_of_all_published_networks_follows_exactly() -> None:
    import pandas

    table = pandas.read_parquet(Path(os.environ["NETLOOM_DATA"]) / "convnets_cifar10.parquet")
    assert len(table) == 800
    for code, num_params, macs in zip(table["layers32"], table["num_params"], table["macs"]):
        graph = SPACE.fit_shapes(decoded(code))
        assert (graph.num_params, graph.flops) == (num_params, 2 * macs), code
        assert graph.notes == ("linear(10) put at the end",), code
