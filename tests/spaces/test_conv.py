"""The space of random convolutional networks: grammar, shapes, caps, membership, distribution."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import netloom as nl
from netloom.errors import SpaceError
from netloom.spaces import Conv, chain, conv_layers, load, names
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
        attrs = {name: value.shape[1] if given is CHANNELS else given for name, given in layer.attrs}
        value = getattr(nl, layer.op)(value, **attrs)
    return nl.Graph(x, value)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.spec)
def test_samples_are_what_the_builder_makes_and_members(space: Conv) -> None:
    for i in range(60):
        layers = space.sample_layers(np.random.default_rng([7, i]))
        graph = space.sample(np.random.default_rng([7, i]))
        assert graph == built(space.input_shape, layers)
        assert space.contains(graph)
        cost = conv_layers.through(conv_layers.Extent(*space.input_shape), layers)
        assert cost is not None and (graph.num_params, graph.flops) == (cost.num_params, 2 * cost.macs)
        assert tuple(graph.outputs[0].shape[1:]) == (space.num_classes,)
        assert all(size >= 1 for node in graph for size in node.shape[1:])


def test_sampling_depends_on_the_generator_alone() -> None:
    text = repr([Conv().sample_layers(np.random.default_rng([0, i])) for i in range(50)])
    # Stores and papers name networks by seed: this must not change between versions or machines.
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "608445200fe1fdbd"


def test_ranges_are_uniform_and_options_are_even() -> None:
    space, n = Conv(input_shape=(1, 64, 64), conv_num=4, lin_num=3), 4000
    rng = np.random.default_rng(0)
    samples = [space.sample_layers(rng) for _ in range(n)]
    first = [dict(layers[0].attrs) for layers in samples]
    for attr, values in (("out", 7), ("kernel", 7), ("stride", 4)):
        counts = np.unique([a[attr] for a in first], return_counts=True)[1]
        assert len(counts) == values and np.abs(counts / n - 1 / values).max() < 0.03
    assert abs(np.mean([a["padding"] > 0 for a in first if a["kernel"] > 1]) - 0.5) < 0.03
    assert abs(np.mean([layers[1].op == "relu" for layers in samples]) - 1 / 3) < 0.03
    assert abs(np.mean([conv_layers.GLOBAL_AVG_POOL in layers for layers in samples]) - 0.5) < 0.03
    hidden = np.unique([sum(layer.op == "linear" for layer in layers) - 1 for layers in samples], return_counts=True)
    assert hidden[0].tolist() == [0, 1, 2] and np.abs(hidden[1] / n - 1 / 3).max() < 0.03
    assert {sum(layer.op == "conv2d" for layer in layers) for layers in samples} == {1, 2, 3, 4}


def test_a_layer_too_large_for_its_input_ends_the_convolutional_part() -> None:
    space = Conv(input_shape=(1, 4, 4), conv_num=6)
    rng = np.random.default_rng(0)
    counts = [sum(layer.op == "conv2d" for layer in space.sample_layers(rng)) for _ in range(300)]
    assert min(counts) == 1 and np.mean(np.array(counts) == 6) < 0.05


TIGHT = [{"max_params": 300}, {"max_macs": 1_000}, {"max_flops": 2_000}, {"max_params": 1_000, "max_macs": 1_500}]


@pytest.mark.parametrize("caps", TIGHT)
def test_tight_caps_are_kept_with_variety(caps: dict[str, int]) -> None:
    space = Conv(input_shape=(1, 8, 8), **caps)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    graphs = [space.sample(rng) for _ in range(60)]
    for graph in graphs:
        assert graph.num_params <= caps.get("max_params", 10**9)
        assert graph.flops <= caps.get("max_flops", 10**9) and graph.flops // 2 <= caps.get("max_macs", 10**9)
        assert space.contains(graph)
    assert len({graph.hash for graph in graphs}) > 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_params": 50}, "max_params = 50 admits no network: the smallest has 106"),
        ({"max_macs": 3}, "max_macs = 3 admits no network: the smallest has"),
        ({"max_flops": 3}, "max_flops = 3 admits no network"),
        ({"max_params": "5"}, "max_params = '5'"),
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
    extents = [cost for _, cost in Conv(input_shape=(3, size, size))._candidates()]
    space = Conv(
        input_shape=(3, size, size),
        max_params=min(cost.num_params for cost in extents),
        max_macs=min(cost.macs for cost in extents),
    )
    assert space.contains(space.sample(np.random.default_rng(0)))


def test_the_smallest_network_is_the_smallest() -> None:
    layers = Conv(input_shape=(1, 8, 8), max_params=106, num_classes=10).smallest[0]
    assert chain.chain((1, 8, 8), layers).num_params == 8 + 8 + 8 * 10 + 10


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
    for features in (
        nl.flatten(nl.conv2d(x, 16, kernel=3)),  # no activation
        nl.flatten(again),  # three blocks where two are allowed
        nl.flatten(stem + stem),
        nl.flatten(nl.batch_norm(nl.avg_pool2d(stem, kernel=2, stride=2, padding=0))),  # order of the options
        nl.relu(nl.linear(nl.flatten(stem), 33)),  # hidden width out of range
        nl.flatten(nl.prelu(nl.conv2d(x, 16, kernel=3), num_parameters=16) * 1),
    ):
        assert not space.contains(nl.Graph(x, nl.linear(features, 10)))
    for features in (nl.flatten(nl.prelu(nl.conv2d(x, 16, kernel=3), num_parameters=n)) for n in (1, 16)):
        assert space.contains(nl.Graph(x, nl.linear(features, 10)))


def test_spec_makes_the_space_again() -> None:
    for space in SPACES:
        assert load(space.spec) == space
    assert load("conv?max_macs=5e6", input_shape=(1, 8, 8), num_classes=7) == Conv((1, 8, 8), 7, max_macs=5_000_000)
    assert names() == ("conv",)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("conf", "did you mean 'conv'"),
        ("conv?max_param=3", "did you mean 'max_params'"),
        ("conv?max_macs=many", "expected a whole number"),
        ("conv?max_macs=1e999", "expected a whole number"),
        ("conv?input_shape=axb", "sizes such as 3x32x32"),
        ("conv?conv_num", "SETTING=NUMBER"),
    ],
)
def test_bad_specs_are_refused(spec: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        load(spec)


def test_spaces_keep_the_protocol() -> None:
    assert isinstance(Conv(), nl.spaces.Space)
