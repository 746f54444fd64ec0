"""Trained networks as tokens, both ways; their canonical form; how much outputs hang on neurons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.encode.perceptrons import Perceptron
from netloom.encode.trained_edges import LAYER, START, STOP, TYPES, WEIGHT, edges_from_json, edges_to_json
from netloom.encode.trained_neurons import probe_inputs
from netloom.errors import FormatError

SAMPLES = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))


def chain(*activations: str, bias: bool = True, widths: tuple[int, ...] = (5, 7, 4), outputs: int = 2) -> nl.Graph:
    x = y = nl.input(6)
    for width, activation in zip(widths, activations):
        y = getattr(nl, activation)(nl.linear(y, width, bias=bias))
    return nl.Graph(x, nl.linear(y, outputs))


def with_skip() -> nl.Graph:
    x = nl.input(6)
    first = nl.relu(nl.linear(x, 5))
    second = nl.relu(nl.linear(first, 5)) + first
    return nl.Graph(x, nl.linear(second, 3))


def with_projection() -> nl.Graph:
    x = nl.input(6)
    first = nl.tanh(nl.linear(x, 5))
    second = nl.tanh(nl.linear(first, 8)) + nl.linear(first, 8, bias=False)
    third = nl.sigmoid(nl.linear(second, 4))
    return nl.Graph(x, nl.linear(third, 1))


def with_all_inputs() -> nl.Graph:
    """A residual on the inputs themselves, an image flattened, a function with attributes, one that two layers read."""
    x = nl.input(2, 3)
    flat = nl.flatten(x)
    y = nl.leaky_relu(nl.linear(flat, 6), 0.3) + flat
    return nl.Graph(x, nl.linear(nl.gelu(y), 2) + nl.linear(y, 2))


GRAPHS = {
    "relu": chain("relu"), "mixed": chain("tanh", "relu", "sigmoid"), "no bias": chain("tanh", "sigmoid", bias=False),
    "linear": chain(), "skip": with_skip(), "projection": with_projection(), "inputs": with_all_inputs(),
    "elu": chain("elu", "silu"),
}  # fmt: skip


@pytest.fixture(params=GRAPHS)
def network(request: pytest.FixtureRequest) -> nl.Network:
    return nl.build(GRAPHS[request.param], seed=3).eval()


def samples_for(network: nl.Network) -> torch.Tensor:
    return SAMPLES.reshape(-1, *network.graph.inputs[0].shape[1:])


def assert_same(a: nl.Network, b: nl.Network) -> None:
    """Same architecture, weights bit for bit in the order of the layers."""
    assert a.graph.hash == b.graph.hash
    assert all(torch.equal(v, w) for v, w in zip(a.state_dict().values(), b.state_dict().values()))
    assert torch.equal(a(samples_for(a)), b(samples_for(a)))


# -- both ways -----------------------------------------------------------------------------------------------------------
def test_edges_and_back(network: nl.Network) -> None:
    found = nl.encode.edges(network)
    assert_same(network, nl.encode.network_of_edges(found))
    assert_same(network, nl.encode.network_of_edges(edges_from_json(edges_to_json(found))))


def test_neurons_and_back(network: nl.Network) -> None:
    found = nl.encode.neurons(network)
    assert_same(network, nl.encode.network_of_neurons(found))
    assert found.matrix().shape[0] == len(found) and np.isfinite(found.matrix()).all()


def test_every_network_of_the_mlp_space_goes_both_ways() -> None:
    space = nl.spaces.MLP(6, 3, layers=(0, 1, 2, 3), widths=(3, 5), bias=(True, False), skip=0.5, dropout=(0, 0.1))
    for seed in range(30):
        network = nl.build(space.sample(np.random.default_rng(seed)), seed=seed).eval()
        assert_same(network, nl.encode.network_of_edges(nl.encode.edges(network)))
        assert_same(network, nl.encode.network_of_neurons(nl.encode.neurons(network, probes=4)))
        assert torch.allclose(nl.encode.canonical(network)(SAMPLES), network(SAMPLES), atol=1e-5)


def test_what_edge_tokens_are() -> None:
    x = nl.input(2)
    network = nl.build(nl.Graph(x, nl.linear(nl.tanh(nl.linear(x, 3)), 1)), seed=0)
    found = nl.encode.edges(network)
    tokens, kinds = found.tokens, found.tokens[:, 2]
    assert kinds[0] == START and kinds[-1] == STOP and (kinds == LAYER).sum() == 4 and (kinds == len(TYPES)).sum() == 3
    weight = network.state_dict()["linear.weight"] if "linear.weight" in network.state_dict() else None
    first = tokens[kinds == WEIGHT][:6]
    assert sorted(set(first[:, 0])) == [1, 2] and sorted(set(first[:, 1])) == [3, 4, 5]
    expected = next(iter(network.state_dict().values())) if weight is None else weight
    assert np.allclose(first[:, 3].reshape(3, 2), expected.numpy())
    assert (tokens[kinds == 4][:, 0] == 0).all() and (kinds == 4).sum() == 4  # biases come from the constant


def test_what_neuron_tokens_are() -> None:
    network = nl.build(GRAPHS["mixed"], seed=1).eval()
    found = nl.encode.neurons(network, probes=32)
    weights = [v.numpy() for k, v in network.state_dict().items() if k.endswith("weight")]
    assert len(found) == 5 + 7 + 4 + 2
    second = found.position[:, 0] == found.position[5, 0]
    assert np.allclose(found.incoming[second][:, :5], weights[1]) and np.allclose(found.outgoing[second][:, :4], weights[2].T)
    assert [found.functions[f] for f in found.function[[0, 5, 12]]] == ["tanh", "relu", "sigmoid"] and found.function[-1] == -1
    asked = torch.from_numpy(probe_inputs(32, 6)).float()
    assert np.allclose(found.answers[-2:].T, network(asked).detach().numpy(), atol=1e-5)
    assert (found.answers[5:12] >= 0).all()


@pytest.mark.parametrize("seed", range(20))
def test_damaged_edge_tokens_are_refused_or_read(seed: int) -> None:
    """No damage raises anything but `FormatError`."""
    found = nl.encode.edges(nl.build(GRAPHS["projection"], seed=0))
    rng = np.random.default_rng(seed)
    tokens = found.tokens.copy()
    for _ in range(3):
        how = rng.integers(4)
        if how == 0:
            tokens[rng.integers(len(tokens)), rng.integers(3)] += rng.integers(-3, 4)
        elif how == 1:
            tokens = np.delete(tokens, rng.integers(len(tokens)), axis=0)
        elif how == 2:
            tokens = np.insert(tokens, rng.integers(len(tokens)), tokens[rng.integers(len(tokens))], axis=0)
        else:
            tokens[rng.integers(len(tokens)), 3] *= -2
    try:
        network = nl.encode.network_of_edges(replace(found, tokens=tokens))
    except FormatError as error:
        assert str(error)
    else:
        assert network(SAMPLES).shape[0] == len(SAMPLES)


# -- refusals ------------------------------------------------------------------------------------------------------------
def conv() -> nl.Graph:
    x = nl.input(3, 8, 8)
    return nl.Graph(x, nl.linear(nl.flatten(nl.conv2d(x, 4, kernel=3)), 2))


def norm() -> nl.Graph:
    x = nl.input(6)
    return nl.Graph(x, nl.linear(nl.batch_norm(nl.linear(x, 4)), 2))


def product() -> nl.Graph:
    x = nl.input(6)
    return nl.Graph(x, nl.linear(x, 4) * nl.linear(x, 4))


@pytest.mark.parametrize(("graph", "operator"), [(conv(), "conv2d"), (norm(), "batch_norm"), (product(), "mul")])
def test_networks_outside_the_family_are_refused_by_operator(graph: nl.Graph, operator: str) -> None:
    for function in (nl.encode.edges, nl.encode.neurons, nl.encode.canonical):
        with pytest.raises(FormatError, match=f"'{operator}' is no linear layer, elementwise function or sum"):
            function(nl.build(graph, seed=0))


def test_other_refusals() -> None:
    with pytest.raises(FormatError, match="Linear is no Network.*nl.trace"):
        nl.encode.neurons(torch.nn.Linear(2, 1))
    network = nl.build(GRAPHS["relu"], seed=0)
    with torch.no_grad():
        next(iter(network.parameters()))[0, 0] = float("nan")
    with pytest.raises(FormatError, match="not finite"):
        nl.encode.edges(network)
    with pytest.raises(FormatError, match=r"expected \(P, 6\)"):
        nl.encode.neurons(nl.build(GRAPHS["relu"], seed=0), probes=np.zeros((4, 5)))
    with pytest.raises(FormatError, match="version 2"):
        edges_from_json('{"netloom edges": 2}')
    with pytest.raises(FormatError, match="no edge tokens"):
        edges_from_json("[]")


# -- canonical form ------------------------------------------------------------------------------------------------------
def test_canonical_form_keeps_outputs(network: nl.Network) -> None:
    x, double = samples_for(network).double(), nl.encode.canonical(network).double()
    assert torch.allclose(double(x), network.double()(x), atol=1e-6, rtol=1e-6)


def test_canonical_form_is_its_own(network: nl.Network) -> None:
    once = nl.encode.canonical(network)
    twice = nl.encode.canonical(once)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(once.state_dict().values(), twice.state_dict().values()))


def moved(given: Perceptron, rng: np.random.Generator) -> Perceptron:
    """A chain's neurons permuted, relus scaled, tanh and sigmoid neurons flipped, outputs kept."""
    weights = {i: np.array(g.weight, np.float64) for i, g in enumerate(given.groups) if g.kind == "linear"}
    biases = {i: np.array(given.groups[i].bias, np.float64) for i in weights}
    numbers = list(weights)
    for layer, reader in zip(numbers, numbers[1:]):
        function = given.groups[layer + 1].op
        size = given.groups[layer].size
        factor = rng.uniform(0.2, 5, size) if function == "relu" else rng.choice([-1.0, 1.0], size)
        if function == "sigmoid":
            biases[reader] = biases[reader] + weights[reader] @ (factor < 0)
        order = rng.permutation(size)
        weights[layer] = (weights[layer] * factor[:, None])[order]
        biases[layer] = (biases[layer] * factor)[order]
        weights[reader] = (weights[reader] / factor)[:, order]
    return given.with_weights(weights, biases)


@pytest.mark.parametrize("activations", [("relu",), ("tanh",), ("sigmoid",), ("sigmoid", "relu", "tanh"), ("relu",) * 3])
@pytest.mark.parametrize("seed", range(5))
def test_networks_alike_but_for_symmetries_have_one_canonical_form(activations: tuple[str, ...], seed: int) -> None:
    network = nl.build(chain(*activations), seed=seed).double()
    given = replace(Perceptron.of(network), dtype="float64")
    other = moved(given, np.random.default_rng(seed)).network()
    assert torch.allclose(other(SAMPLES.double()), given.network()(SAMPLES.double()), atol=1e-9)
    a, b = (nl.encode.canonical(net).state_dict() for net in (given.network(), other))
    assert any(not torch.allclose(v, w) for v, w in zip(network.state_dict().values(), other.state_dict().values()))
    assert all(torch.allclose(v, w, atol=1e-9) for v, w in zip(a.values(), b.values()))


def test_order_scale_and_sign() -> None:
    state = nl.encode.canonical(nl.build(chain("relu", "tanh"), seed=0)).state_dict()
    w0, b0, w1, b1, w2, _ = (tensor.double() for tensor in state.values())
    assert torch.allclose((w0**2).sum(1) + b0**2, torch.ones(5, dtype=torch.float64), atol=1e-6)
    assert (w1.gather(1, w1.abs().argmax(1, keepdim=True)) > 0).all()
    for rows, columns in ((torch.cat([w0, b0[:, None]], 1), w1), (torch.cat([w1, b1[:, None]], 1), w2)):
        key = rows.norm(dim=1) * columns.norm(dim=0)
        assert (key.diff() <= 1e-6).all()


def test_dead_neurons_do_no_harm() -> None:
    network = nl.build(chain("relu", "sigmoid"), seed=0)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor[0] = 0
    assert torch.allclose(nl.encode.canonical(network)(SAMPLES), network(SAMPLES), atol=1e-6)


# -- sensitivity ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["mixed", "skip", "projection"])
def test_sensitivity_is_that_of_finite_differences(name: str) -> None:
    """A bias added to moves the pre-activation of its neuron by as much, for every sample."""
    network = nl.build(GRAPHS[name], seed=2).double().eval()
    x, step = SAMPLES.double(), 1e-6
    found = nl.encode.sensitivity(network, x)
    assert found
    state = network.state_dict()
    checked = 0
    for layer, values in found.items():
        key = f"{layer}.bias"
        if key not in state:
            continue
        for neuron in range(len(values)):
            outputs: list[Any] = []
            for sign in (1, -1):
                state[key][neuron] += sign * step
                outputs.append(network(x).detach().clone())
                state[key][neuron] -= sign * step
            expected = ((outputs[0] - outputs[1]) / (2 * step)).abs().mean()
            assert values[neuron] == pytest.approx(float(expected), rel=1e-4, abs=1e-7)
            checked += 1
    assert checked >= 9


def test_sensitivity_leaves_the_network_alone() -> None:
    network = nl.build(GRAPHS["mixed"], seed=0).train()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    nl.encode.sensitivity(network, SAMPLES)
    assert network.training and all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    with pytest.raises(FormatError, match="there is none"):
        nl.encode.sensitivity(network, torch.zeros(0, 6))
    with pytest.raises(FormatError, match="not of a str"):
        nl.encode.sensitivity("net", SAMPLES)  # type: ignore[arg-type]


# -- odd input -----------------------------------------------------------------------------------------------------------
def test_edge_tokens_are_an_array_too() -> None:
    found = nl.encode.edges(nl.build(GRAPHS["relu"], seed=0))
    assert np.asarray(found).shape == found.tokens.shape == (len(found), 4)
    with pytest.raises(FormatError, match="a ndarray is no EdgeTokens, .*dataclasses.replace"):
        nl.encode.network_of_edges(found.tokens)  # type: ignore[arg-type]
    with pytest.raises(FormatError, match="a str is no NeuronTokens"):
        nl.encode.network_of_neurons("x")  # type: ignore[arg-type]


@pytest.mark.parametrize("probes", [0, -1, True, "a", None, np.full((4, 6), np.nan)])
def test_probes_that_ask_nothing(probes: Any) -> None:
    with pytest.raises(FormatError, match=r"expected .*\(P, 6\)"):
        nl.encode.neurons(nl.build(GRAPHS["relu"], seed=0), probes=probes)


def test_networks_in_double_precision_go_both_ways() -> None:
    """Also where the graph says float32, as after network.double(): nothing is rounded."""
    network = nl.build(GRAPHS["mixed"], seed=0).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 1e-12)
    x = SAMPLES.double()
    tokens = (nl.encode.edges(network), nl.encode.neurons(network, probes=8))
    for found in (nl.encode.network_of_edges(tokens[0]), nl.encode.network_of_neurons(tokens[1])):
        assert all(torch.equal(v, w) for v, w in zip(found.state_dict().values(), network.state_dict().values()))
        assert torch.equal(found(x), network(x))
    torch.testing.assert_close(nl.encode.canonical(network)(x), network(x), rtol=1e-12, atol=1e-12)
    with pytest.raises(FormatError, match="weights are of bfloat16; call network.float"):
        nl.encode.edges(network.bfloat16())


@pytest.mark.parametrize(
    ("samples", "options", "said"),
    [
        (None, {}, "samples are a NoneType"), (torch.zeros(5, 7), {}, r"cannot take samples of shape \(5, 7\)"),
        (torch.full((5, 6), float("nan")), {}, "cells that are not finite"), (torch.zeros(5, 6), {"outputs": 0}, "outputs = 0"),
        (torch.zeros(5, 6), {"seed": -1}, "seed = -1"),
    ],
)  # fmt: skip
def test_sensitivity_of_nothing(samples: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(FormatError, match=said):
        nl.encode.sensitivity(nl.build(GRAPHS["relu"], seed=0), samples, **options)
