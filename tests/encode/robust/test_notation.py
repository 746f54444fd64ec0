"""The robust notation: every sequence of tokens is a network, and every network has a sequence."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.encode.robust import Notation, Sequences
from netloom.errors import FormatError, SpaceError

DEFAULT = Notation()
CAPPED = Notation((1, 9, 7), 3, max_params=3_000, max_macs=40_000, max_calls=12)
NOTATIONS = {
    "default": DEFAULT,
    "capped": CAPPED,
    "features": Notation((20,), 4),
    "sequence": Notation((4, 30), 5, max_back=2),
    "volume": Notation((2, 5, 6, 7), 2),
    "point": Notation((3, 1, 1), 1),
    "small": Notation((3, 8, 8), operators=["conv2d", "relu", "linear"], channels=[8], kernels=[3], strides=[1], joins=["add"]),
}
OTHERS = st.sampled_from(list(NOTATIONS.values()))


def ops(graph: nl.Graph) -> list[str]:
    """The operators in order, without the input and what closing adds to images."""
    found = [node.op for node in graph][1:-1]
    return found[:-1] if found and found[-1] == "flatten" else found


def checked(notation: Sequences, tokens: object) -> nl.Graph:
    """The network of the tokens, after everything that must hold of it has been seen to."""
    graph = notation.decode(tokens)  # type: ignore[arg-type]
    graph.check()
    again = notation.decode(notation.encode(graph))
    assert again.hash == graph.hash and again.num_params == graph.num_params and again.flops == graph.flops
    return graph


# -- every sequence ----------------------------------------------------------------------------------------------------
@settings(max_examples=300)
@given(OTHERS, st.data())
def test_every_sequence_is_a_network(notation: Notation, data: st.DataObject) -> None:
    tokens = data.draw(st.lists(st.sampled_from(notation.vocabulary), max_size=60))
    graph = checked(notation, tokens)
    assert graph.inputs[0].shape[1:] == notation.input_shape
    assert graph.outputs[0].shape[1:] == (notation.num_classes,)
    live = {graph.outputs[0].name}
    for node in reversed(graph.nodes):
        if node.name in live or node.op == "batch_norm":
            live |= {other.name for other in node.inputs} | {node.name}
    assert len(live) == len(graph), "something is computed in vain"


@pytest.mark.parametrize("name", NOTATIONS)
def test_random_sequences_decode(name: str) -> None:
    """A short form of the million in benchmarks/encode.py; networks differ in depth and size."""
    notation = NOTATIONS[name]
    rng = np.random.default_rng(0)
    graphs = [notation.sample(rng, max_length=100) for _ in range(400)]
    for graph in graphs[:60]:
        graph.check()
        assert notation.decode(notation.encode(graph)).hash == graph.hash
    assert len({graph.hash for graph in graphs}) > 100 and len({len(graph) for graph in graphs}) > 5
    caps = notation.settings
    assert max(graph.num_params for graph in graphs) <= (caps["max_params"] or float("inf"))
    assert max(graph.flops // 2 for graph in graphs) <= (caps["max_macs"] or float("inf"))
    assert max(len(graph) - 1 for graph in graphs) <= caps["max_calls"]


def test_decoded_networks_run_and_learn() -> None:
    rng = np.random.default_rng(1)
    torch.manual_seed(0)
    for i in range(40):
        graph = CAPPED.sample(rng, max_length=80)
        network = nl.build(graph, seed=i)
        out = network(torch.randn(4, 1, 9, 7))
        assert out.shape == (4, 3) and out.isfinite().all()
        out.square().sum().backward()
        assert sum(p.numel() for p in network.parameters()) == graph.num_params


def test_graphs_are_those_of_the_builder() -> None:
    """Names, tensors, notes and all: nothing tells a decoded graph from one written by hand."""
    x = nl.input(3, 32, 32)
    y = nl.relu(nl.batch_norm(nl.conv2d(x, 16, kernel=3, padding=1, bias=False)))
    z = nl.avg_pool2d(y, 3, stride=1, padding=1)
    y = nl.cat(nl.conv2d(y, 16, kernel=1), nl.add(z, z), y)
    graph = nl.Graph(x, nl.linear(nl.flatten(y), 10))
    back = DEFAULT.decode(DEFAULT.encode(graph))
    assert back.hash == graph.hash
    assert nl.Graph.from_json(back.to_json()) == back and nl.Graph.from_text(back.to_text()).hash == back.hash
    simple = nl.Graph(x, nl.linear(nl.flatten(nl.relu(nl.conv2d(x, 16, kernel=3, padding=1))), 10))
    assert DEFAULT.decode("conv2d out=16 relu") == simple
    assert [node.name for node in DEFAULT.decode("relu relu dropout")] == "x relu relu_1 dropout flatten linear".split()


# -- every network -----------------------------------------------------------------------------------------------------
def test_default_notation_has_all_networks_of_the_convolutional_space() -> None:
    space = nl.spaces.Conv()
    for i in range(150):
        graph = space.sample(np.random.default_rng([8, i]))
        back = nl.encode.robust.decode(nl.encode.robust.encode(graph))
        assert back == graph


def test_default_notation_has_all_cells_dead_branches_included() -> None:
    space = nl.spaces.NASBench201(num_classes=10)
    lengths = []
    for i in range(40):
        graph = space.sample(np.random.default_rng([9, i]))
        tokens = nl.encode.robust.encode(graph)
        back = nl.encode.robust.decode(tokens)
        assert (back.hash, back.num_params, back.flops) == (graph.hash, graph.num_params, graph.flops)
        lengths.append((len(tokens), len(DEFAULT.encode(graph, blocks=False))))
    assert all(folded < whole / 2 for folded, whole in lengths)


def test_sizes_are_those_of_the_graph_or_as_given() -> None:
    space = nl.spaces.Conv(input_shape=(1, 8, 8), num_classes=3)
    graph = space.sample(np.random.default_rng(0))
    tokens = nl.encode.robust.encode(graph)
    assert nl.encode.robust.decode(tokens, input_shape=(1, 8, 8), num_classes=3) == graph
    assert nl.encode.robust.encode(graph, (1, 8, 8), 3) == tokens
    other = nl.encode.robust.decode(tokens, (3, 32, 32), num_classes=5)
    assert other.outputs[0].shape[1:] == (5,)
    with pytest.raises(SpaceError, match="input 'x' is .*give input_shape"):
        nl.encode.robust.encode(graph, (3, 8, 8))
    with pytest.raises(SpaceError, match=r"linear\(7\)"):
        nl.encode.robust.encode(graph, num_classes=7)


def test_sizes_may_be_numbers_of_numpy() -> None:
    shape = np.array([1, 8, 8])
    assert Notation(shape, np.int64(3)).to_json() == Notation((1, 8, 8), 3).to_json()
    assert nl.encode.robust.decode("relu", shape, np.int64(3)) == nl.encode.robust.decode("relu", (1, 8, 8), 3)
    assert nl.encode.layers32.from_hex("01000000", shape, np.int64(3)).num_params == 64 * 3 + 3


def test_order_of_steps_does_not_matter() -> None:
    x = nl.input(3, 8, 8)
    left, right = nl.relu(x), nl.tanh(x)
    for pair in ((left, right), (right, left)):
        graph = nl.Graph(x, nl.linear(nl.flatten(nl.add(*pair)), 10))
        assert nl.encode.robust.decode(nl.encode.robust.encode(graph), (3, 8, 8)).hash == graph.hash


def test_calls_that_nothing_depends_on_are_left_out_unless_they_write() -> None:
    x = nl.input(3, 8, 8)
    y = nl.conv2d(x, 8, kernel=3)
    dead, written = nl.relu(y), nl.batch_norm(y)
    model = nl.Graph(x, nl.linear(nl.flatten(y), 10))
    steps = [*nl.Graph(x, (nl.linear(nl.flatten(y), 10), dead, written)).steps]
    whole = nl.Graph(x, (nl.linear(nl.flatten(y), 10), dead, written))
    graph = nl.Graph.make(steps, whole.tensors, whole.arguments, whole.result[0], symbols=whole.symbols)
    tokens = nl.encode.robust.encode(graph)
    assert "keep" in tokens and "relu" not in tokens
    back = nl.encode.robust.decode(tokens, (3, 8, 8))
    assert back.hash == graph.hash != model.hash
    with pytest.raises(SpaceError, match="nothing reads batch_norm 'batch_norm'"):
        Notation((3, 8, 8), keep=False).encode(graph)
    assert ops(DEFAULT.decode("conv2d keep from relu")) == ["relu"]  # a convolution leaves nothing behind


# -- making things fit -------------------------------------------------------------------------------------------------
def attrs(graph: nl.Graph, name: str) -> dict[str, object]:
    return graph[name].attrs


def test_kernels_shrink_to_what_they_are_put_on() -> None:
    graph = Notation((3, 4, 4)).decode("conv2d kernel=7 padding=0 out=8 max_pool2d kernel=4 relu")
    assert attrs(graph, "conv2d")["kernel"] == (4, 4)
    assert ops(graph) == ["conv2d", "relu"]


def test_groups_become_fewer_where_they_do_not_divide() -> None:
    assert attrs(DEFAULT.decode("conv2d groups=channels out=16"), "conv2d")["groups"] == 1
    assert attrs(DEFAULT.decode("conv2d groups=channels out=96"), "conv2d")["groups"] == 3


def test_what_is_not_said_is_the_first_of_its_range_and_what_makes_no_sense_is_passed_over() -> None:
    graph = DEFAULT.decode("kernel=5 ] times=3 conv2d p=0.5 negative_slope=0.1 out=1024 self kernel=5 kernel=1 back=2 relu far")
    assert ops(graph) == ["conv2d", "relu"]
    assert attrs(graph, "conv2d") == attrs(DEFAULT.decode("conv2d kernel=1"), "conv2d")
    assert attrs(graph, "conv2d")["out"] == 3 and graph["conv2d"].weights["bias"]


def test_linear_layers_take_flat_values_and_convolutions_images() -> None:
    graph = DEFAULT.decode("max_pool2d linear conv2d relu max_pool2d linear out=64 flatten batch_norm")
    assert ops(graph) == ["max_pool2d", "flatten", "linear", "relu", "linear", "batch_norm"]


def test_caps_make_layers_narrower_pools_global_and_ends_earlier() -> None:
    notation = Notation((1, 9, 7), 3, max_params=3_000)
    assert attrs(notation.decode("conv2d out=512 kernel=5"), "conv2d")["out"] == 96
    assert ops(notation.decode("conv2d out=64 linear out=256")) == ["conv2d", "adaptive_avg_pool2d", "flatten", "linear"]
    few = Notation((1, 9, 7), 3, max_calls=8)
    assert [node.op for node in few.decode("relu " * 50)] == ["input", *["relu"] * 6, "flatten", "linear"]
    wide = Notation((1, 9, 7), 3, max_params=600, operators=["conv2d", "linear"])
    assert ops(wide.decode("conv2d out=8 conv2d out=8")) == []
    assert ops(wide.decode("conv2d out=8 stride=4 conv2d out=64 kernel=1")) == ["conv2d"]


def test_concatenations_stay_within_their_channels() -> None:
    graph = Notation((8, 4, 4), max_channels=40).decode("cat self self " * 20)
    assert max(node.shape[1] for node in graph if len(node.shape) == 4) == 32
    flat = DEFAULT.decode("linear out=4096 " + "cat self self " * 50)
    assert max(node.shape[1] for node in flat) == 1 << 20


def test_loose_ends_are_added_where_they_fit_and_dropped_where_they_do_not() -> None:
    assert ops(DEFAULT.decode("conv2d out=8 from relu tanh")) == ["relu", "tanh"]
    assert ops(DEFAULT.decode("relu from tanh from back=2 gelu")) == ["relu", "tanh", "gelu", "add", "add"]


# -- references and joins ----------------------------------------------------------------------------------------------
def reads(graph: nl.Graph, name: str) -> list[str]:
    return [node.name for node in graph[name].inputs]


def test_references_count_values_that_fit_the_last_first() -> None:
    graph = DEFAULT.decode("relu conv2d out=8 from gelu add add back=3 self")
    assert reads(graph, "gelu") == ["relu"]
    assert reads(graph, "add") == ["gelu", "relu"]
    assert reads(graph, "add_1") == ["add", "x"]
    assert reads(graph, "add_2") == ["add_1", "add_1"]


def test_references_come_round() -> None:
    assert reads(DEFAULT.decode("relu tanh add back=5"), "add") == ["tanh", "relu"]
    assert reads(DEFAULT.decode("relu tanh add back=6"), "add") == ["tanh", "x"]
    far = DEFAULT.decode("relu " * 20 + "add far far back=2")
    assert reads(far, "add") == ["relu_19", "relu_1"]
    assert reads(DEFAULT.decode("relu tanh gelu from back=2 sigmoid add back=2"), "sigmoid") == ["relu"]


def test_joins_without_a_partner_are_passed_over() -> None:
    assert ops(DEFAULT.decode("conv2d out=8 add cat stride=2 conv2d out=16 stride=2 gate")) == ["conv2d", "cat", "conv2d"]


def test_concatenations_take_any_number_in_any_order() -> None:
    graph = DEFAULT.decode("relu conv2d out=8 tanh cat back=1 back=3 back=2 tanh from back=2 cat self back=1 self")
    assert reads(graph, "cat") == ["conv2d", "x", "relu", "tanh"]
    assert reads(graph, "cat_1")[0] == reads(graph, "cat_1")[2]


def test_gates_multiply_by_one_number_for_each_channel() -> None:
    tokens = "conv2d out=16 adaptive_avg_pool2d conv2d kernel=1 sigmoid gate back=3"
    graph = DEFAULT.decode(tokens)
    assert reads(graph, "mul") == ["sigmoid", "conv2d"] and graph["mul"].shape[1:] == (16, 32, 32)
    assert DEFAULT.encode(graph) == tokens.split()


def test_references_look_back_no_further_than_they_may() -> None:
    notation = Notation(max_back=2)
    assert reads(notation.decode("relu tanh gelu sigmoid add back=3"), "add") == ["sigmoid", "gelu"]
    graph = DEFAULT.decode("relu tanh gelu sigmoid add back=4")
    with pytest.raises(SpaceError, match="max_back = 2"):
        notation.encode(graph)


# -- blocks ------------------------------------------------------------------------------------------------------------
def test_blocks_are_done_as_often_as_they_say() -> None:
    assert ops(DEFAULT.decode("[ relu tanh ] times=2 times=3")) == ["relu", "tanh"] * 5
    graph = DEFAULT.decode("[ relu [ tanh ] times=2 ] times=2 again again back=2")
    assert ops(graph) == [*["relu", "tanh", "tanh"] * 3, "tanh"]
    assert ops(DEFAULT.decode("[ relu [ tanh")) == ["relu", "tanh"]
    assert ops(DEFAULT.decode("again ] [ ] times=8 again relu")) == ["relu"]


def test_blocks_that_explode_stop_at_the_cap() -> None:
    for tokens in ("[ " * 60 + "conv2d relu" + " ] times=8" * 60, "[ relu ] times=8 " + "[ again times=8 ] " * 40):
        assert len(DEFAULT.decode(tokens)) == 1 + 1024
    assert len(DEFAULT.decode("[ " * 50 + "from" + " ] times=8" * 50)) == 3


def test_repeats_are_written_as_blocks_and_mean_the_same() -> None:
    x = y = nl.input(3, 32, 32)
    y = nl.conv2d(y, 16, kernel=3, padding=1)
    for width in (16, 32):
        y = nl.conv2d(y, width, kernel=1)
        for _ in range(19):
            y = nl.add(y, nl.conv2d(nl.relu(nl.conv2d(y, width, kernel=3, padding=1)), width, kernel=3, padding=1))
    graph = nl.Graph(x, nl.linear(nl.flatten(y), 10))
    tokens = DEFAULT.encode(graph)
    assert tokens == (
        "conv2d out=16 conv2d kernel=1 [ conv2d relu conv2d add back=3 ] times=8 times=8 times=3 "
        "conv2d out=32 kernel=1 again times=8 times=8 times=3"
    ).split()
    assert DEFAULT.decode(tokens).hash == DEFAULT.decode(DEFAULT.encode(graph, blocks=False)).hash == graph.hash


@settings(max_examples=100)
@given(st.lists(st.sampled_from(["relu", "tanh", "conv2d out=8", "add back=2", "from back=3"]), max_size=40))
def test_written_blocks_always_mean_what_they_stand_for(said: list[str]) -> None:
    graph = DEFAULT.decode(" ".join(said))
    assert DEFAULT.decode(DEFAULT.encode(graph)).hash == DEFAULT.decode(DEFAULT.encode(graph, blocks=False)).hash == graph.hash


# -- networks of all kinds ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["resnet", "densenet"])
def test_covering_has_networks_as_people_write_them(name: str) -> None:
    from tests.gallery import models

    graph = nl.trace(*getattr(models, name)())
    notation = Notation.covering(graph)
    assert notation.decode(notation.encode(graph)).hash == graph.hash
    rng = np.random.default_rng(0)
    for _ in range(30):
        checked(notation, rng.integers(0, len(notation.vocabulary), 40).tolist())


def test_covering_is_no_larger_than_it_must_be() -> None:
    x = nl.input(3, 9, 9)
    convs = [nl.conv2d(x, out, kernel=kernel, groups=3) for out, kernel in ((6, 3), (9, (1, 3)))]
    graphs = [nl.Graph(x, nl.linear(nl.flatten(nl.elu(conv)), 4)) for conv in convs]
    notation = Notation.covering(graphs, max_params=10_000)
    words = Counter(token.partition("=")[0] for token in notation.vocabulary)
    assert "elu" in words and "relu" not in words and words["out"] == words["kernel"] == 2 and words["groups"] == 0
    assert [notation.decode(notation.encode(graph)).hash for graph in graphs] == [graph.hash for graph in graphs]
    assert not notation.contains(nl.Graph(x, nl.linear(nl.flatten(nl.relu(x)), 4)))


# -- bad input ---------------------------------------------------------------------------------------------------------
def test_tokens_by_name_by_number_and_as_text_are_one() -> None:
    words = ["conv2d", "out=16", "relu"]
    numbers = DEFAULT.numbers(words)
    assert DEFAULT.tokens(numbers) == words
    forms = (words, tuple(words), " ".join(words), numbers, np.array(numbers), iter(words))
    assert len({DEFAULT.decode(form).hash for form in forms}) == 1
    assert DEFAULT.decode([]).hash == DEFAULT.decode("").hash
    assert nl.encode.robust.vocabulary == DEFAULT.vocabulary and len(set(DEFAULT.vocabulary)) == len(DEFAULT.vocabulary)


@pytest.mark.parametrize(("tokens", "message"), [
    (["conv2d", "kernel=9"], "token 2, 'kernel=9', is not in the notation; did you mean"),
    (["conv3d"], "token 1, 'conv3d', .*did you mean 'conv2d'"),
    ([0, 101], "token 2 is 101; the notation has tokens 0 to 100"),
    ([-1], "token 1 is -1"),
    (["relu", 1.5], "token 2 is 1.5; expected a token"),
    ([True], "token 1 is True"),
])  # fmt: skip
def test_what_is_no_token(tokens: list[object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        nl.encode.robust.decode(tokens)  # type: ignore[arg-type]


def test_graphs_that_a_notation_cannot_say() -> None:
    x = nl.input(3, 8, 8)

    def refused(value: nl.Value, message: str, inputs: object = x) -> None:
        with pytest.raises(SpaceError, match=message):
            nl.encode.robust.encode(nl.Graph(inputs, value))

    def classified(value: nl.Value) -> nl.Value:
        return nl.linear(nl.flatten(value), 10)

    refused(classified(nl.elu(x)), "elu 'elu' is not in the notation; it has conv2d, ")
    refused(classified(nl.conv2d(x, 33, kernel=3)), "conv2d 'conv2d': out = 33 is not in the notation; it has channels, 8, 16")
    refused(classified(nl.conv2d(x, 16, kernel=3, dilation=2)), "dilation = 2 is not in the notation; it has 1")
    refused(classified(nl.conv2d(x, 16, kernel=(1, 3))), "kernel = ")
    refused(classified(nl.batch_norm(x, eps=0.1)), "eps = 0.1 is not in the notation; it has 1e-05")
    refused(nl.relu(classified(x)), "ends with relu 'relu'")
    refused(nl.linear(nl.flatten(x), 10, bias=False), "ends with linear 'linear'.*with a bias")
    refused(nl.linear(nl.linear(x, 16), 10), "works on|puts flatten before linear")
    one = nl.conv2d(x, 3, kernel=1)
    refused(classified(nl.conv2d(one, 3, kernel=1, like=one)), "shares the tensor 'conv2d.weight'")
    other = nl.input(3, 8, 8)
    refused(classified(nl.add(x, other)), "2 inputs", (x, other))
    refused(classified(nl.cat(nl.add(x, x), nl.relu(x), dim=2)), "dim = 2; a notation concatenates channels")
    with pytest.raises(SpaceError, match="exceeds max_calls = 8"):
        Notation((3, 8, 8), max_calls=8).encode(nl.encode.robust.decode("relu " * 20, (3, 8, 8)))
    with pytest.raises(SpaceError, match="max_params"):
        Notation((3, 8, 8), max_params=2000).encode(nl.encode.robust.decode("conv2d out=64 conv2d out=64", (3, 8, 8)))
    with pytest.raises(SpaceError, match="joins='cat'"):
        Notation(joins="add").encode(DEFAULT.decode("conv2d cat"))


@pytest.mark.parametrize(("settings_", "message"), [
    ({"input_shape": (3, 0, 8)}, "input_shape"),
    ({"num_classes": 0}, "num_classes = 0"),
    ({"max_params": 10}, "the caps admit no network: the smallest has 40 parameters"),
    ({"max_calls": 3}, "max_calls = 3; expected an integer ≥ 8"),
    ({"joins": ["sub"]}, "no join 'sub'"),
    ({"channels": []}, r"channels = \[\]; expected integers"),
    ({"operators": ["conv9d"]}, "operator 'conv9d' of a notation: unknown operator"),
    ({"operators": {"conv2d": {"kernel": 3}}}, "needs 'out'"),
    ({"operators": {"conv2d": {"out": 8, "kernels": 3}}}, "no attribute 'kernels'; did you mean 'kernel'"),
    ({"operators": {"conv2d": {"out": 8, "kernel": 0}}}, "kernel = 0"),
    ({"operators": {"relu": 3}}, "its attributes are 3"),
    ({"operators": ["lstm"]}, "expected an operator of one tensor with one result"),
])  # fmt: skip
def test_settings_that_make_no_notation(settings_: dict[str, object], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Notation(**settings_)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NOTATIONS)
def test_settings_make_the_same_notation_again(name: str) -> None:
    notation = NOTATIONS[name]
    for other in (Notation.from_json(notation.to_json()), pickle.loads(pickle.dumps(notation))):
        assert other == notation and hash(other) == hash(notation)
        assert other.vocabulary == notation.vocabulary
        tokens = np.random.default_rng(0).integers(0, len(notation.vocabulary), 50).tolist()
        assert other.decode(tokens) == notation.decode(tokens)


def test_settings_that_are_no_json() -> None:
    for text in ("{", '{"evil": 1}', "[]"):
        with pytest.raises(FormatError, match="settings of a notation"):
            Notation.from_json(text)
    pairs = Notation((3, 8, 8), operators={"conv2d": {"out": [8], "kernel": [(3, 1), (1, 3)]}})
    assert Notation.from_json(pairs.to_json()).vocabulary == pairs.vocabulary and "kernel=3x1" in pairs.vocabulary


def test_what_is_remembered_is_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding goes on as before when the memory has been cleared."""
    from netloom.encode.robust import calls, instructions

    notation = Notation((3, 8, 8))
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, len(notation.vocabulary), 50).tolist() for _ in range(60)]
    before = [notation.decode(sequence) for sequence in sequences]
    monkeypatch.setattr(calls, "_MOST_CALLS", 20)
    monkeypatch.setattr(calls, "MOST_STEPS", 1)
    monkeypatch.setattr(instructions, "_MOST", 20)
    assert [notation.decode(sequence) for sequence in sequences] == before
    assert [notation.decode(notation.encode(graph)).hash for graph in before] == [graph.hash for graph in before]
