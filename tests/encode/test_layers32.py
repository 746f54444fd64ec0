"""32-bit codes: the published examples, all of the published networks, and what is no code."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.encode import layers32
from netloom.encode.layer_codes import all_codes
from netloom.errors import FormatError, ShapeError, SpaceError
from netloom.spaces import Conv

DATA = os.environ.get("NETLOOM_DATA")
PRINTED = """
    Conv2d       (16, 8, 8)     (1, 1)   (4, 4)
    LeakyReLU    (16, 8, 8)     (0.001)
    BatchNorm2d  (16, 8, 8)
    Flatten      1024
    Linear       1024
    ReLU         1024
    Linear       10
"""
PRINTED_HEX = "008410061002000040000000010000008000400020000000"


def on_images(*layers: object, shape: tuple[int, ...] = (3, 32, 32), classes: int = 10) -> nl.Graph:
    """The layers on an image, then flatten and the classes."""
    x = value = nl.input(*shape)
    for layer in layers:
        value = layer(value)  # type: ignore[operator]
    return nl.Graph(x, nl.linear(nl.flatten(value), classes))


# -- published ---------------------------------------------------------------------------------------------------------
def test_published_row() -> None:
    row = layers32.encode_layer("conv2d", out=32, kernel=3, stride=1, padding=True)
    assert row.dtype == np.uint8
    assert " ".join(map(str, row)) == "0 0 0 0 0 0 0 0 1 0 0 0 0 0 1 0 0 0 0 0 0 1 0 0 0 0 1 0 0 0 1 0"


def test_published_model() -> None:
    graph = on_images(nl.op.conv2d(8, kernel=5, stride=3), nl.op.prelu())
    assert layers32.to_hex(graph) == "008801090804000001000000"
    assert layers32.from_hex("008801090804000001000000").hash == graph.hash
    assert graph["flatten"].shape[1] == 800


def test_printed_table_and_its_code_are_one_network() -> None:
    space = Conv()
    graph = space.from_table(PRINTED)
    assert layers32.to_hex(graph) == PRINTED_HEX
    decoded = layers32.from_hex(PRINTED_HEX)
    assert decoded.hash == graph.hash
    assert space.table(decoded).split() == PRINTED.split()


@pytest.mark.skipif(not DATA, reason="NETLOOM_DATA is not set: the folder with convnets_cifar10.parquet")
def test_all_published_networks() -> None:
    """Parameters and multiply–adds follow from the codes, which come back as they were, also through JSON."""
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(Path(str(DATA)) / "convnets_cifar10.parquet").to_pylist()
    assert len(rows) == 800
    graphs = layers32.from_hex_many(row["layers32"] for row in rows)
    assert [graph.num_params for graph in graphs] == [row["num_params"] for row in rows]
    assert [graph.flops // 2 for graph in graphs] == [row["macs"] for row in rows]
    assert layers32.to_hex_many(graphs) == [row["layers32"] for row in rows]
    for graph, code, row in zip(graphs, layers32.encode_many(graphs), rows):
        assert code.tobytes() == layers32.encode(graph).tobytes()
        assert np.packbits(code).tobytes().hex() == row["layers32"]
        assert layers32.encode(layers32.decode(code)).tobytes() == code.tobytes()
        assert layers32.to_hex(nl.Graph.from_json(graph.to_json())) == row["layers32"]


# -- both ways ---------------------------------------------------------------------------------------------------------
CODES = sorted(all_codes())


def test_every_code_is_one_of_a_kind() -> None:
    """One bit of the first twelve, and one bit for every attribute."""
    assert len(CODES) == 7 * 7 * 4 * 2 + 8 + 3 + 2 + 19 + 19 + 3 * 3 * 2 + 3 * 2 * 2 * 2 + 4
    for coded in all_codes().values():
        num_attrs = {"conv2d": 4, "max_pool2d": 3, "avg_pool2d": 4, "linear": 1, "leaky_relu": 1, "prelu": 1, "dropout": 1}
        assert coded.code.bit_count() == 1 + num_attrs.get(coded.layer.op, int(coded.layer.op == "dropout2d"))


@settings(max_examples=200)
@given(st.lists(st.sampled_from(CODES), max_size=8), st.lists(st.sampled_from(CODES), max_size=3), st.sampled_from([1, 3, 8]))
def test_codes_that_fit_come_back(before: list[int], after: list[int], channels: int) -> None:
    flatten = 1 << 24
    text = "".join(f"{code:08x}" for code in [*before, flatten, *after])
    try:
        graph = layers32.from_hex(text, (channels, 17, 23), num_classes=7)
    except ShapeError:
        return
    assert layers32.to_hex(graph) == text
    assert graph.outputs[0].shape[1:] == (7,)
    graph.check()


def test_samples_of_the_space_come_back_equal() -> None:
    for shape, classes in (((3, 32, 32), 10), ((1, 8, 8), 3)):
        space = Conv(input_shape=shape, num_classes=classes)
        for i in range(100):
            graph = space.sample(np.random.default_rng([3, i]))
            back = layers32.decode(layers32.encode(graph), shape, classes)
            assert back == graph
            assert layers32.from_hex(layers32.to_hex(graph).upper(), shape, classes) == graph


def test_traced_module_has_the_code_of_its_layers() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 5, stride=2, padding=2), torch.nn.LeakyReLU(0.01), torch.nn.MaxPool2d(2),
        torch.nn.BatchNorm2d(16), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(16, 64),
        torch.nn.ReLU(inplace=True), torch.nn.Dropout(0.15), torch.nn.Linear(64, 10),
    )  # fmt: skip
    graph = nl.trace(model, torch.zeros(2, 3, 32, 32))
    decoded = layers32.from_hex(layers32.to_hex(graph))
    assert decoded.hash == graph.hash
    assert [node.op for node in decoded][1:] == [
        "conv2d", "leaky_relu", "max_pool2d", "batch_norm", "adaptive_avg_pool2d", "flatten", "linear", "relu", "dropout",
        "linear",
    ]  # fmt: skip


def test_rounding_of_a_probability_does_not_count() -> None:
    assert layers32.to_hex(on_images(nl.op.dropout(3 * 0.05))) == layers32.to_hex(on_images(nl.op.dropout(0.15)))


def test_padding_of_a_1x1_convolution_is_on_unless_the_code_says_off() -> None:
    graph = on_images(nl.op.conv2d(8, kernel=1))
    assert layers32.to_hex(graph) == "0088102201000000"
    off = layers32.from_hex("0088102101000000")
    assert off.hash == graph.hash
    assert layers32.to_hex(off) == "0088102101000000"
    assert layers32.encode_layer(off["conv2d"])[30:].tolist() == [0, 1]
    assert layers32.encode_layer(graph["conv2d"])[30:].tolist() == [1, 0]
    assert layers32.encode_layer("conv2d", out=8, kernel=1, padding=False)[30:].tolist() == [0, 1]


def test_a_note_counts_only_where_it_is_true() -> None:
    """Notes can be carried to a graph in which the node is another."""
    graph = layers32.from_hex("0088102101000000")
    other = on_images(nl.op.conv2d(8, kernel=3))
    noted = nl.Graph.make(
        other.steps, other.tensors, other.arguments, other.result, symbols=other.symbols, notes=(*graph.notes, "layers32: junk")
    )
    assert layers32.to_hex(noted) == layers32.to_hex(other)


def test_layer_by_node_by_nl_op_and_by_name_are_one_row() -> None:
    graph = on_images(nl.op.conv2d(16, kernel=3, padding=1), nl.op.avg_pool2d(2, count_include_pad=False))
    rows = layers32.encode(graph)
    assert (layers32.encode_layer(graph["conv2d"]) == rows[0]).all()
    assert (layers32.encode_layer(nl.op.conv2d(16, kernel=3, padding=1)) == rows[0]).all()
    assert (layers32.encode_layer("conv2d", {"out": 16, "kernel": 3, "padding": "half"}) == rows[0]).all()
    assert (layers32.encode_layer("avg_pool2d", kernel=2, count_include_pad=False) == rows[1]).all()
    of_each_channel = layers32.encode_layer("prelu", num_parameters="channels")
    assert (layers32.encode_layer("prelu", num_parameters=24) == of_each_channel).all()
    assert layers32.encode_layer("adaptive_avg_pool2d").nonzero()[0].tolist() == [11]


def test_many_graphs_in_one_batch() -> None:
    graphs = [Conv().sample(np.random.default_rng(i)) for i in range(5)]
    codes = layers32.encode_many(iter(graphs))
    batch, mask = nl.encode.padded(codes)
    assert batch.shape == (5, max(map(len, codes)), 32) and batch.dtype == np.uint8
    assert mask.sum(1).tolist() == [len(code) for code in codes]
    for graph, code, row, here in zip(graphs, codes, batch, mask):
        assert (row[here] == layers32.encode(graph)).all() and not row[~here].any()
        assert len(code) == len(graph) - 2
    assert [graph.hash for graph in layers32.decode_many(codes)] == [graph.hash for graph in graphs]
    assert layers32.encode_many([]) == []


# -- what is no code, and what has none --------------------------------------------------------------------------------
@pytest.mark.parametrize(("text", "error", "message"), [
    ("", FormatError, "no rows"),
    ("0100", FormatError, "4 hex digits; expected a multiple of 8"),
    ("0100000g", FormatError, "'g' at digit 8"),
    ("0088010101000000", FormatError, "row 1, 00880101, is no code of a layer; the nearest is 00880105, Conv2d of out 8"),
    ("0000000001000000", FormatError, "row 1, 00000000, is no code"),
    ("010000000100000080000000", FormatError, "row 3, 80000000"),
    ("00880109", FormatError, r"ends with images of \(8, 10, 10\)"),
    ("8000800001000000", ShapeError, "row 1, 80008000, is Linear on 3×32×32: it takes flat samples"),
    ("0100000000880109", ShapeError, "row 2, 00880109, is Conv2d on 3072: it takes images"),
    ("0100000040000000", ShapeError, "row 2, 40000000, is BatchNorm2d on 3072: it takes images"),
    ("008801090088010900880109", ShapeError, "row 3, 00880109, is Conv2d on 8×2×2: kernel 5×5 exceeds the input 2×2"),
])  # fmt: skip
def test_hex_strings_that_are_no_code(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        layers32.from_hex(text)


def test_arrays_that_are_no_code() -> None:
    row = layers32.encode_layer("flatten")
    for fine in ([row.tolist()], row[None].astype(bool), row[None].astype(float)):
        assert layers32.to_hex(layers32.decode(fine)) == "01000000"
    for array, message in ((row, r"\(L, 32\), not \(32,\)"), (row[None] * 2, "zeros and ones"), (row[None, :31], r"\(1, 31\)")):
        with pytest.raises(FormatError, match=message):
            layers32.decode(array)
    with pytest.raises(FormatError, match="input_shape"):
        layers32.decode(row[None], input_shape=(3, 0, 32))
    with pytest.raises(FormatError, match="num_classes"):
        layers32.decode(row[None], num_classes=0)
    with pytest.raises(FormatError, match="no hex string"):
        layers32.from_hex(1000000)  # type: ignore[arg-type]


@pytest.mark.parametrize(("layer", "message"), [
    (nl.op.conv2d(33, kernel=3), "conv2d 'conv2d': out = 33 .*nearest that has one is 32"),
    (nl.op.conv2d(32, kernel=9), "kernel = 9 .*nearest that has one is 7"),
    (nl.op.conv2d(32, kernel=(3, 1)), "kernel = 3×1 .*nearest"),
    (nl.op.conv2d(32, kernel=5, padding=1), "padding = 1 .*nearest that has one is"),
    (nl.op.conv2d(32, kernel=3, stride=5), "stride = 5 .*nearest that has one is 4"),
    (nl.op.conv2d(32, kernel=3, bias=False), "bias = False .*only with bias"),
    (nl.op.conv2d(33, kernel=3, groups=3), "out = 33"),
    (nl.op.conv2d(96, kernel=3, groups=3), "groups = 3 .*only groups = 1"),
    (nl.op.gelu(), "gelu 'gelu' has no 32-bit code; did you mean 'relu'"),
    (nl.op.dropout(0.33), "p = 0.33 .*nearest that has one is 0.35"),
    (nl.op.leaky_relu(0.2), "negative_slope = 0.2 .*nearest that has one is 0.1"),
    (nl.op.max_pool2d(3, ceil_mode=True), "ceil_mode = True"),
    (nl.op.batch_norm(eps=1e-3), "eps = 0.001 .*only eps = 1e-05"),
    (nl.op.adaptive_avg_pool2d(2), "output_size = 2"),
    (nl.op.flatten(2), "start_dim"),
])  # fmt: skip
def test_layers_outside_the_family(layer: object, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        layers32.encode(on_images(layer))


def test_graphs_outside_the_family() -> None:
    x = nl.input(3, 8, 8)
    y = nl.relu(nl.conv2d(x, 8, kernel=3, padding=1, name="stem"))

    def refused(value: nl.Value, message: str) -> None:
        with pytest.raises(SpaceError, match=message):
            layers32.encode(nl.Graph(x, value))

    head = nl.linear(nl.flatten(y), 10)
    refused(nl.linear(nl.flatten(nl.add(y, nl.relu(y))), 10), "reads 'relu'|add 'add' has no 32-bit code")
    refused(nl.relu(head), "ends with relu")
    refused(nl.linear(nl.flatten(y), 10, bias=False), "has no bias")
    refused(nl.linear(y, 10), "works on images")
    refused(nl.linear(nl.linear(nl.flatten(y), 48), 10), "out = 48 .*nearest that has one is 32")
    refused(nl.linear(nl.batch_norm(nl.flatten(y)), 10), "batch_norm 'batch_norm' works on flat samples")
    again = nl.conv2d(y, 8, kernel=3, padding=1)
    twice = nl.conv2d(again, 8, kernel=3, padding=1, like=again)
    refused(nl.linear(nl.flatten(twice), 10), "'conv2d.weight' is used by two layers")
    two = nl.input(3, 8, 8)
    with pytest.raises(SpaceError, match="input 'x_1' is a second one"):
        layers32.encode(nl.Graph((x, two), nl.linear(nl.flatten(nl.add(x, two)), 10)))


def test_attributes_that_no_layer_has() -> None:
    for op, attrs, message in (
        ("conv2d", {}, "conv2d needs 'out'"),
        ("conv2d", {"out": 8, "kernel_size": 3}, "did you mean 'kernel'"),
        ("conv3d", {}, "did you mean 'conv2d'"),
        ("linear", {"out": 10}, "nearest that has one is 32"),
    ):
        with pytest.raises(SpaceError, match=message):
            layers32.encode_layer(op, attrs)
    with pytest.raises(SpaceError, match="has its attributes"):
        layers32.encode_layer(layers32.from_hex("01000000")["flatten"], start_dim=1)
