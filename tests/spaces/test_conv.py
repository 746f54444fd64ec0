"""The space of random convolutional networks: shapes, caps, membership; its distribution has tests of its own."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import SpaceError
from netloom.spaces import Conv, chain, load
from netloom.spaces.chain import CHANNELS, Layer

SPACES = [
    Conv(),
    Conv(input_shape=(1, 8, 8)),
    Conv(input_shape=(3, 5, 9), num_classes=32, conv_num=8, lin_num=1),
    Conv(input_shape=(2, 1, 1), num_classes=3, conv_num=2, lin_num=5),
    Conv(input_shape=(1, 8, 8), max_params=2_000, max_macs=10_000),
]


def built(shape: tuple[int, ...], layers: list[Layer]) -> nl.Graph:
    """The same chain by the public builder, which checks everything."""
    x = value = nl.input(*shape)
    for layer in layers:
        attrs = {name: value.shape[1] if given == CHANNELS else given for name, given in layer.attrs}
        value = getattr(nl, layer.op)(value, **attrs)
    return nl.Graph(x, value)


def same_graph(fast: nl.Graph, checked: nl.Graph) -> None:
    """Everything that a graph holds or works out is the same, and the fast one stands every check."""
    fast.check()
    assert chain.text_of(fast) == chain.text_of(fast) == fast.to_text() == chain.text_of(checked)
    assert fast == checked and fast.to_json() == checked.to_json() and list(fast.tensors) == list(checked.tensors)
    assert (fast.hash, fast.num_params, fast.flops) == (checked.hash, checked.num_params, checked.flops)
    assert [node.types for node in fast] == [node.types for node in checked]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.spec)
def test_samples_are_what_the_builder_makes_and_members(space: Conv) -> None:
    for i in range(12):
        layers = space.sample_layers(np.random.default_rng([7, i]))
        graph = space.sample(np.random.default_rng([7, i]))
        same_graph(graph, built(space.input_shape, layers))
        assert space.contains(graph)
        assert tuple(graph.outputs[0].shape[1:]) == (space.num_classes,)
        assert all(size >= 1 for node in graph for size in node.shape[1:])


LAYERS = st.sampled_from([
    Layer("conv2d", (("out", 6), ("kernel", 3))),
    Layer("conv2d", (("out", 4), ("kernel", (3, 1)), ("stride", (1, 2)), ("dilation", 2), ("bias", False))),
    Layer("conv2d", (("out", 4), ("kernel", 3), ("padding", "same"))),
    Layer("conv2d", (("out", 6), ("kernel", 2), ("groups", 2), ("padding", 1))),
    Layer("max_pool2d", (("kernel", 2),)),
    Layer("max_pool2d", (("kernel", 3), ("stride", 2), ("ceil_mode", True))),
    Layer("avg_pool2d", (("kernel", 3), ("stride", 1), ("padding", 1), ("count_include_pad", False))),
    Layer("batch_norm"), Layer("gelu"), Layer("prelu", (("num_parameters", CHANNELS),)), Layer("dropout", (("p", 0.3),)),
    Layer("group_norm", (("groups", 2),)), Layer("glu", (("dim", 1),)), Layer("softmax", (("dim", -1),)),
    Layer("pixel_shuffle", (("factor", 2),)),
    Layer("flatten"), Layer("linear", (("out", 12),)), Layer("linear", (("out", 7), ("bias", False))),
])  # fmt: skip


@settings(max_examples=70)
@given(layers=st.lists(LAYERS, min_size=1, max_size=9), shape=st.sampled_from([(3, 9, 7), (4, 5, 5), (6,), (2, 1, 1)]))
def test_any_chain_is_what_the_builder_makes(layers: list[Layer], shape: tuple[int, ...]) -> None:
    """Forms, and above all those of sliding windows that are reckoned in integers, against the checked way."""
    try:
        checked = built(shape, layers)
        refused = any(len(node.shape) < 2 for node in checked)
    except nl.NetloomError:
        refused = True
    if refused:
        with pytest.raises(nl.errors.ShapeError):
            chain.chain(shape, layers)
    else:
        same_graph(chain.chain(shape, layers), checked)


def test_graphs_of_one_space_share_nothing_that_changes() -> None:
    first, second = (Conv().sample(np.random.default_rng(3)) for _ in range(2))
    assert first == second and first.tensors is not second.tensors
    with pytest.raises(TypeError):
        first.tensors["more"] = None  # type: ignore[index]


def test_sampling_depends_on_the_generator_alone() -> None:
    """Stores and papers name networks by seed: this must not change between versions or machines."""
    for space, expected in (
        (Conv(), "c0ff70f846225fe4"),
        (Conv(input_shape=(1, 8, 8), max_params=2_000, max_macs=10_000), "b663fbde8813858a"),
        (Conv(input_shape=(3, 5, 9), num_classes=32, conv_num=8, lin_num=1), "3c0910fc3c8fe01b"),
        (Conv(max_params=1_000_000, max_flops=10_000_000), "5ef929bc66fe5098"),
    ):
        hashes = " ".join(space.sample(np.random.default_rng([0, i])).hash for i in range(50))
        assert hashlib.sha256(hashes.encode()).hexdigest()[:16] == expected, space.spec


# -- caps --------------------------------------------------------------------------------------------------------------
TIGHT = [{"max_params": 300}, {"max_macs": 1_000}, {"max_flops": 2_000}, {"max_params": 1_000, "max_macs": 1_500}]


@pytest.mark.parametrize("caps", TIGHT)
def test_tight_caps_are_kept_with_variety(caps: dict[str, int]) -> None:
    space = Conv(input_shape=(1, 8, 8), **caps)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    graphs = [space.sample(rng) for _ in range(40)]
    for graph in graphs:
        assert graph.num_params <= caps.get("max_params", 10**9)
        assert graph.flops <= caps.get("max_flops", 10**9) and graph.flops // 2 <= caps.get("max_macs", 10**9)
        assert space.contains(graph)
    assert len({graph.hash for graph in graphs}) > 5


def test_an_odd_cap_on_flops_admits_what_is_below_it() -> None:
    graph = Conv(input_shape=(1, 8, 8), max_flops=225).smallest[0]
    assert graph.flops == 224 and Conv(input_shape=(1, 8, 8), max_flops=224, max_macs=112).contains(graph)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_params": 50}, r"max_params = 50 admits no network: the smallest has 106 .*106 parameters, 1,184 FLOPs"),
        ({"max_macs": 3}, r"max_macs = 3 admits no network: the smallest has 112 .*224 FLOPs"),
        ({"max_flops": 3}, r"max_flops = 3 admits no network: the smallest has 224 .*106 parameters"),
        ({"max_params": "5"}, "max_params = '5'"),
        ({"max_params": float("nan")}, "max_params = nan"),
        ({"input_shape": (8, 8)}, "expected \\(channels, height, width\\)"),
        ({"input_shape": (1, 0, 8)}, "each ≥ 1"),
        ({"num_classes": 0}, "num_classes = 0"),
        ({"conv_num": 2.5}, "conv_num = 2.5"),
        ({"lin_num": 0}, "lin_num = 0"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Conv(**{"input_shape": (1, 8, 8), **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1, 2, 5, 8, 9, 32, 33])
def test_caps_of_exactly_the_smallest_network_can_be_met_together(size: int) -> None:
    smallest = Conv(input_shape=(3, size, size), max_params=10**9).smallest
    space = Conv(
        input_shape=(3, size, size),
        max_params=min(graph.num_params for graph in smallest),
        max_flops=min(graph.flops for graph in smallest),
    )
    assert space.contains(space.sample(np.random.default_rng(0)))


def test_the_smallest_network_is_the_smallest() -> None:
    space = Conv(input_shape=(1, 8, 8), max_params=106, num_classes=10)
    assert space.smallest[0].num_params == 8 + 8 + 8 * 10 + 10
    rng = np.random.default_rng(0)
    smallest = Conv(input_shape=(1, 8, 8)).smallest
    least = min(graph.num_params for graph in smallest), min(graph.flops for graph in smallest)
    space = Conv(input_shape=(1, 8, 8))
    for _ in range(500):
        graph = space.sample(rng)
        assert graph.num_params >= least[0] and graph.flops >= least[1]


# -- membership --------------------------------------------------------------------------------------------------------
def test_membership_ignores_names_and_sees_everything_else() -> None:
    space = Conv(input_shape=(1, 8, 8), conv_num=2, lin_num=2)

    def net(**conv: object) -> nl.Graph:
        x = nl.input(1, 8, 8, name="image")
        y = nl.relu(nl.conv2d(x, **{"out": 16, "kernel": 3, "padding": 1, **conv}, name="stem"))  # type: ignore[arg-type]
        return nl.Graph(x, nl.linear(nl.flatten(y), 10))

    assert space.contains(net())
    assert not space.contains(net(out=17))
    assert not space.contains(net(padding=2))
    assert not space.contains(net(kernel=(3, 1)))
    assert not space.contains(net(bias=False))
    assert not space.contains(net(dilation=2))
    assert not Conv(input_shape=(1, 9, 8)).contains(net())
    assert not Conv(input_shape=(1, 8, 8), num_classes=11).contains(net())
    assert not Conv(input_shape=(1, 8, 8), max_params=net().num_params - 1).contains(net())
    assert Conv(input_shape=(1, 8, 8), max_params=net().num_params).contains(net())


def test_membership_sees_structure() -> None:
    space = Conv(input_shape=(1, 8, 8), conv_num=2, lin_num=2)
    x = nl.input(1, 8, 8)
    stem = nl.relu(nl.conv2d(x, 16, kernel=3, padding=1))
    again = nl.relu(nl.conv2d(nl.relu(nl.conv2d(stem, 16, kernel=3, padding=1)), 16, kernel=3, padding=1))
    shared = nl.conv2d(stem, 16, kernel=3, padding=1)
    twice = nl.relu(nl.conv2d(nl.relu(shared), 16, kernel=3, padding=1))
    for features in (
        nl.flatten(nl.conv2d(x, 16, kernel=3)),  # no activation
        nl.flatten(again),  # three blocks where two are allowed
        nl.flatten(twice),
        nl.flatten(stem + stem),
        nl.flatten(nl.batch_norm(nl.avg_pool2d(stem, kernel=2, stride=2, padding=0))),  # order of the options
        nl.relu(nl.linear(nl.flatten(stem), 33)),  # hidden width out of range
        nl.flatten(nl.prelu(nl.conv2d(x, 16, kernel=3), num_parameters=16) * 1),
    ):
        assert not space.contains(nl.Graph(x, nl.linear(features, 10)))
    for features in (nl.flatten(nl.prelu(nl.conv2d(x, 16, kernel=3), num_parameters=n)) for n in (1, 16)):
        assert space.contains(nl.Graph(x, nl.linear(features, 10)))


def test_membership_sees_shared_weights_and_second_results() -> None:
    space = Conv(input_shape=(16, 8, 8))
    x = nl.input(16, 8, 8)
    first = nl.conv2d(x, 16, kernel=3, padding=1)
    for shared, member in ((None, True), (first, False)):
        second = nl.conv2d(nl.relu(first), 16, kernel=3, padding=1, like=shared)
        assert space.contains(nl.Graph(x, nl.linear(nl.flatten(nl.relu(second)), 10))) is member
    assert not space.contains(nl.Graph(x, (nl.linear(nl.flatten(nl.relu(first)), 10), first)))


@pytest.mark.parametrize("seed", range(3))
def test_neighbours_of_members_are_judged_by_the_grammar(seed: int) -> None:
    """Dropping one layer of a sample gives a member exactly where the generator could have left it out."""
    space = Conv(input_shape=(1, 16, 16), conv_num=3, lin_num=3)
    optional = {"max_pool2d", "batch_norm", "avg_pool2d", "adaptive_avg_pool2d", "dropout"}
    for i in range(10):
        layers = space.sample_layers(np.random.default_rng([seed, i]))
        for place, (layer, after) in enumerate(pairwise(layers)):
            rest = [*layers[:place], *layers[place + 1 :]]
            try:
                graph = chain.chain(space.input_shape, rest)
            except nl.errors.ShapeError:
                continue
            if layer.op in optional:
                assert space.contains(graph)
            elif (layer.op, after.op) not in (("conv2d", "conv2d"), ("linear", "linear")):
                assert not space.contains(graph)


# -- specs -------------------------------------------------------------------------------------------------------------
def test_spec_makes_the_space_again() -> None:
    for space in SPACES:
        assert load(space.spec) == space
    assert load("conv?max_macs=5e6", input_shape=(1, 8, 8), num_classes=7) == Conv((1, 8, 8), 7, max_macs=5_000_000)


def test_spaces_keep_the_protocol() -> None:
    assert isinstance(Conv(), nl.spaces.Space)
