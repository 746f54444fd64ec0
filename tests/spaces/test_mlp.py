"""The space of multilayer perceptrons: its layers, caps, membership, distribution."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import SpaceError
from netloom.spaces import MLP, load
from netloom.spaces.mlp_layers import Activation, Hidden, hidden_layers, network

EVERYTHING = MLP(
    (1, 4, 4), 3, layers=range(6), widths=(4, 8, 12), activations=("relu", "prelu", nl.op.leaky_relu(0.2)),
    bias=(True, False), norm=(None, "batch", "layer"), skip=0.6, dropout=(0, 0.1, 0.5),
)  # fmt: skip


def built(space: MLP, hidden: tuple[Hidden, ...]) -> nl.Graph:
    """The same perceptron by the public builder, which checks everything."""
    x = nl.input(*space.input_shape)
    value = x if len(space.input_shape) == 1 else nl.flatten(x)
    values = []
    for layer in hidden:
        value = nl.linear(value, layer.width, bias=layer.bias)
        if layer.norm == "batch":
            value = nl.batch_norm(value)
        elif layer.norm == "layer":
            value = nl.layer_norm(value, (layer.width,))
        value = getattr(nl, layer.activation.op)(value, **dict(layer.activation.attrs))
        if layer.dropout:
            value = nl.dropout(value, p=layer.dropout)
        if layer.skip is not None:
            source = values[layer.skip]
            fits = source.shape == value.shape
            value = value + (source if fits else nl.linear(source, layer.width, bias=False))
        values.append(value)
    return nl.Graph(x, nl.linear(value, space.num_classes))


@st.composite
def perceptrons(draw: Any) -> tuple[Hidden, ...]:
    """Any hidden layers that `EVERYTHING` may have."""
    found = []
    for i in range(draw(st.integers(0, 5))):
        one = {name: draw(st.sampled_from(getattr(EVERYTHING, name))) for name in ("bias", "norm", "dropout")}
        skip = draw(st.one_of(st.none(), st.integers(0, i - 1))) if i else None
        width, activation = draw(st.sampled_from(EVERYTHING.widths)), draw(st.sampled_from(EVERYTHING.activations))
        found.append(Hidden(width, activation, skip=skip, **one))
    return tuple(found)


@given(perceptrons())
def test_network_cost_and_reading_back(hidden: tuple[Hidden, ...]) -> None:
    graph = network(EVERYTHING.input_shape, hidden, EVERYTHING.num_classes)
    reference = built(EVERYTHING, hidden)
    assert graph.hash == reference.hash
    graph.check()
    cost = EVERYTHING._cost(hidden)
    assert (graph.num_params, graph.flops) == (reference.num_params, reference.flops) == (cost[0], 2 * cost[1])
    assert EVERYTHING.contains(reference)
    found = hidden_layers(reference, EVERYTHING.activations)
    assert found is not None
    # Two layers that read the same widths may be told apart in more than one way; what they compute is the same.
    assert network(EVERYTHING.input_shape, found, EVERYTHING.num_classes).hash == graph.hash


def test_sampling_depends_on_the_generator_alone() -> None:
    text = repr([EVERYTHING.sample_layers(np.random.default_rng([0, i])) for i in range(50)])
    # Stores and papers name networks by seed: this must not change between versions or machines.
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "ad0b586228aeaed9"


def test_the_distribution_is_the_one_that_is_documented() -> None:
    """Chi-square of every choice against even odds; 99.99 % of the quantile, with a seed, so that it never flakes."""
    from scipy.stats import chi2

    space = MLP(
        8, 2, layers=range(1, 5), widths=(4, 8, 16, 32), bias=(True, False), norm=(None, "batch", "layer"),
        skip=0.3, dropout=(0, 0.5),
    )  # fmt: skip
    rng = np.random.default_rng(5)
    samples = [space.sample_layers(rng) for _ in range(1500)]
    layers = [(i, layer) for hidden in samples for i, layer in enumerate(hidden)]

    def even(values: list[Any], probabilities: list[float]) -> bool:
        kinds = sorted(set(values), key=str)
        assert len(kinds) == len(probabilities)
        observed = np.array([values.count(kind) for kind in kinds])
        expected = np.array(probabilities) * len(values)
        return bool(((observed - expected) ** 2 / expected).sum() < chi2.ppf(0.9999, len(kinds) - 1))

    assert even([len(hidden) for hidden in samples], [0.25] * 4)
    for name in ("width", "activation", "bias", "norm", "dropout"):
        values = [getattr(layer, name) for _, layer in layers]
        assert even(values, [1 / len(set(values))] * len(set(values))), name
    assert all(layer.skip is None for i, layer in layers if i == 0)
    assert even([layer.skip is not None for i, layer in layers if i > 0], [0.7, 0.3])
    for place in (2, 3):
        assert even([layer.skip for i, layer in layers if i == place and layer.skip is not None], [1 / place] * place)


TIGHT: list[dict[str, Any]] = [
    {"max_params": 300}, {"max_macs": 250}, {"max_flops": 500}, {"max_params": 260, "max_flops": 520},
]  # fmt: skip


@pytest.mark.parametrize("caps", TIGHT)
def test_tight_caps_are_kept_with_variety(caps: dict[str, int]) -> None:
    space = MLP(16, 4, widths=(4, 8, 16, 64, 256), skip=0.5, **caps)
    rng = np.random.default_rng(0)
    graphs = [space.sample(rng) for _ in range(60)]
    for graph in graphs:
        assert graph.num_params <= caps.get("max_params", 10**9)
        assert graph.flops <= min(caps.get("max_flops", 10**9), 2 * caps.get("max_macs", 10**9))
        assert space.contains(graph)
    assert len({graph.hash for graph in graphs}) > 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_params": 50}, "max_params = 50 admits no network: the smallest has 1,210 \\(1 hidden layer of width 16\\)"),
        ({"max_flops": 3}, "max_flops = 3 admits no network: the smallest has 2,368"),
        ({"layers": 3, "max_macs": 1500}, "the smallest has 1,696 \\(3 hidden layers of width 16\\)"),
        ({"in_features": 3, "num_classes": 2, "layers": (0, 1), "widths": 1, "norm": "layer", "max_params": 9, "max_macs": 5},
         "max_params and max_macs together admit no network"),
        ({"layers": ()}, "layers is empty"),
        ({"layers": -1}, "layers = -1"),
        ({"widths": (16, 0)}, "widths = 0"),
        ({"widths": None}, "widths = None"),
        ({"activations": "reluu"}, "did you mean 'relu'"),
        ({"activations": "linear"}, "is no activation"),
        ({"activations": nl.op.glu()}, "changes the shape"),
        ({"norm": "group"}, "norm = 'group'"),
        ({"skip": 1.5}, "skip = 1.5"),
        ({"dropout": 1}, "dropout = 1; expected probabilities below 1"),
        ({"bias": "yes"}, "bias = 'yes'"),
        ({"in_features": 0}, "in_features = 0"),
        ({"num_classes": 3, "out_features": 3}, "two names of one setting"),
        ({"max_params": "many"}, "max_params = 'many'"),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        MLP(**settings)


@pytest.mark.parametrize("skip", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("layers", [(0, 2), (3,), range(1, 4)])
def test_caps_of_exactly_the_smallest_network_can_be_met(skip: float, layers: Any) -> None:
    free = MLP(9, 4, layers=layers, widths=(3, 5), activations=("prelu", "relu"), bias=(True, False), skip=skip)
    least = free._cost(free.smallest)
    space = MLP(
        9, 4, layers=layers, widths=(3, 5), activations=("prelu", "relu"), bias=(True, False), skip=skip, max_params=least[0]
    )  # fmt: skip
    assert space.contains(space.sample(np.random.default_rng(0)))
    rng = np.random.default_rng(1)
    assert all(free._cost(free.sample_layers(rng)) >= least for _ in range(300))


def test_membership_sees_every_setting() -> None:
    space = MLP(8, 3, layers=(1, 2), widths=(4, 6), activations=("relu",), skip=0.5)

    def net(x: Any, width: int = 4, **linear: Any) -> Any:
        return nl.relu(nl.linear(x, width, **linear))

    x = nl.input(8, name="features")
    first = net(x)
    members = [first, net(first, 6), net(first) + first, first + net(first), net(first, 6) + nl.linear(first, 6, bias=False)]
    strangers = [
        x, net(x, 5), nl.gelu(nl.linear(x, 4)), net(x, bias=False), nl.linear(x, 4), nl.relu(x), net(net(net(x))),
        first + first, net(first, 6) + nl.linear(first, 6), net(first) + nl.linear(first, 4, bias=False),
        nl.dropout(first, p=0.1), nl.layer_norm(first, (4,)), nl.relu(nl.layer_norm(nl.linear(x, 4), (4,))), net(first, 8) + x,
        first * 2,
    ]  # fmt: skip
    assert [space.contains(nl.Graph(x, nl.linear(value, 3))) for value in members] == [True] * len(members)
    assert [space.contains(nl.Graph(x, nl.linear(value, 3))) for value in strangers] == [False] * len(strangers)
    assert not space.contains(nl.Graph(x, nl.linear(first, 2)))
    assert not space.contains(nl.Graph(x, (nl.linear(first, 3), first)))
    assert not MLP(8, 3, layers=2, widths=(4, 6), activations="relu", skip=1.0).contains(nl.Graph(x, nl.linear(net(first), 3)))


def test_names_of_sizes_and_spec() -> None:
    assert MLP(in_features=20, out_features=1) == MLP(input_shape=(20,), num_classes=1) == MLP(20, 1)
    assert (MLP((3, 4), 5).in_features, MLP((3, 4), 5).out_features) == (12, 5)
    rich = MLP(12, 4, layers=2, bias=(True, False), norm=(None, "layer"), skip=0.25, dropout=(0, 0.5), max_params=600)
    assert load(MLP().spec) == MLP() and load(rich.spec) == rich != MLP()
    loaded = load("mlp?layers=1..3&widths=8", input_shape=(1, 8, 8), num_classes=7)
    assert loaded == MLP((1, 8, 8), 7, layers=range(1, 4), widths=8)
    assert EVERYTHING.spec == "", "activations with attributes have no place in a spec"
    assert Activation.of(nl.op.leaky_relu(0.2)) == Activation.of(nl.op.leaky_relu(negative_slope=0.2))
    for spec, message in (("mlp?layers=a", "1..4"), ("mlp?bias=maybe", "true, false"), ("mlp?layers=1..9999999999", "1..4")):
        with pytest.raises(SpaceError, match=message):
            load(spec)


# -- as JSON -----------------------------------------------------------------------------------------------------------
def test_settings_go_to_json_and_back() -> None:
    space = MLP(
        (3, 4), 2, layers=(1, 3), widths=range(4, 9), activations=("relu", nl.op.leaky_relu(0.2)), bias=(True, False),
        norm=(None, "batch"), skip=0.25, dropout=(0, 0.1), max_params=1e4,
    )  # fmt: skip
    read = MLP.from_json(space.to_json())
    assert read == space and read.hash == space.hash != MLP(12, 2).hash
    rngs = (np.random.default_rng(0), np.random.default_rng(0))
    assert [read.sample(rngs[0]).hash for _ in range(20)] == [space.sample(rngs[1]).hash for _ in range(20)]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "no JSON"),
        ("[1]", "a JSON object, not"),
        ('{"width": 3}', "did you mean 'widths'"),
        ('{"activations": "nope"}', "'nope' is no activation"),
        ('{"layers": [-1]}', "layers = -1"),
    ],
)
def test_json_that_is_no_space(document: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        MLP.from_json(document)
