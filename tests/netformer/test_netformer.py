"""Netformer: learning a zoo, latents and back, new networks, files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.encode.trained_neurons import probe_inputs
from netloom.errors import NetformerError, VersionError, ZooError
from netloom.netformer import Family, Netformer, Settings, fitting
from netloom.netformer.computing import activated, solve_readout
from netloom.netformer.core import seeded
from netloom.netformer.learner import moved
from netloom.netformer.measures import functional_r2, sensitivities
from netloom.netformer.structures import Structures

from .conftest import SMALL

X = torch.randn(300, 8, generator=torch.Generator().manual_seed(5))


def r2(found: nl.Network, given: Any, x: torch.Tensor = X) -> float:
    with torch.no_grad():
        return float(functional_r2(found(x)[None], given(x)[None]))


def perceptron(*widths: int, activation: str = "tanh", inputs: int = 8, outputs: int = 1) -> nl.Graph:
    x = y = nl.input(inputs)
    for width in widths:
        y = getattr(nl, activation)(nl.linear(y, width))
    return nl.Graph(x, nl.linear(y, outputs))


# -- reading and writing networks --------------------------------------------------------------------------------------
def test_populations_are_their_networks(former: Netformer, networks: list[nl.Network]) -> None:
    population = former.read(networks)
    outputs = population.outputs(X, former.family)
    for place, network in enumerate(networks):
        assert torch.allclose(outputs[place], network(X), atol=1e-5)
    for network, again in zip(networks, population.networks(former.family)):
        assert again.graph.hash == network.graph.hash and torch.allclose(again(X), network(X), atol=1e-6)


def test_modules_of_torch_are_traced(former: Netformer) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Sigmoid(), torch.nn.Linear(6, 1))
    found = former.encode([module, module])
    assert found.shape == (2, former.size) and np.array_equal(found[0], found[1])
    assert np.allclose(former.encode(module), found[0], atol=1e-4)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda: nl.build(perceptron(4, 4, 4, 4)), "network 0: the network has 4 hidden layers; .* at most 3"),
        (lambda: nl.build(perceptron(40)), "40 neurons in a layer; .* at most 16"),
        (lambda: nl.build(perceptron(4, inputs=9)), "9 inputs; .* at most 8"),
        (lambda: nl.build(perceptron(4, outputs=2)), "2 outputs; .* at most 1"),
        (lambda: nl.build(perceptron(4, activation="gelu")), "'gelu' is not among the activations relu, tanh, sigmoid"),
        (lambda: nl.build(perceptron()), "no hidden layer"),
        (lambda: nl.build(nl.Graph(x := nl.input(8), nl.linear(nl.layer_norm(nl.linear(x, 4)), 1))), "'layer_norm'"),
        (lambda: torch.nn.Conv2d(1, 1, 3), "no linear layer"),
        (lambda: 7, "a int is no trained network"),
    ],
)
def test_networks_outside_the_family_are_refused(former: Netformer, network: Any, message: str) -> None:
    with pytest.raises(NetformerError, match=message):
        former.encode([network()])


def test_weights_that_are_not_finite_are_refused(former: Netformer) -> None:
    network = nl.build(perceptron(4), seed=0)
    with torch.no_grad():
        next(iter(network.parameters()))[0, 0] = math.nan
    with pytest.raises(NetformerError, match="not finite"):
        former.encode([network])


def test_nothing_to_read(former: Netformer, zoo: nl.zoo.Zoo) -> None:
    for nothing in ([], zoo.filter(("score", ">", 2.0))):
        with pytest.raises(NetformerError, match="no network"):
            former.evaluate(nothing)
    with pytest.raises(ZooError, match="no zoo"):
        Netformer().fit("/nowhere")
    with pytest.raises(NetformerError, match="nothing yet; call fit"):
        Netformer().sample(1)


# -- computing ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "gelu", "softplus"])
def test_activations_and_their_slopes(name: str) -> None:
    z = torch.randn(6, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    codes = torch.tensor([0, 1, 0, 1, 1, 0])
    assert torch.autograd.gradcheck(lambda v: activated(v, codes, (name, "tanh")), (z,))
    expected = getattr(torch.nn.functional, name)(z[0])
    assert torch.allclose(activated(z, codes, (name, "tanh"))[0], expected)


def test_solved_readout_is_least_squares() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(3, 50, 4, dtype=torch.float64, generator=generator)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0]], dtype=torch.float64)
    weight, bias = torch.randn(3, 4, 2, dtype=torch.float64) * mask[..., None], torch.randn(3, 1, 2, dtype=torch.float64)
    answers = (values * mask[:, None]) @ weight + bias
    found = solve_readout(values, mask, answers, 1e-10)
    assert torch.allclose(found[0], weight, atol=1e-6) and torch.allclose(found[1], bias, atol=1e-6)


def test_moved_networks_are_the_same_of_moved_inputs(former: Netformer, networks: list[nl.Network]) -> None:
    population = former.read(networks)
    other = moved(population, torch.Generator().manual_seed(1))
    first, second = population.weights[0][0], other.weights[0][0]
    assert torch.allclose(first.abs().sum(1).sort()[0], second.abs().sum(1).sort()[0]) and not torch.equal(first, second)
    # Row j of the first layer went to some place, with some sign: inputs moved likewise give the same outputs up to sign.
    overlap = torch.cdist(second.abs(), first.abs()).argmin(1)
    signs = torch.sign((second * first[overlap]).sum(1))
    moved_inputs = torch.zeros_like(X)
    moved_inputs[:, overlap] = X * signs
    a, b = other.outputs(X, former.family)[0], population.outputs(moved_inputs, former.family)[0]
    assert torch.allclose(a, b, atol=1e-5) or torch.allclose(a, -b, atol=1e-5)


def test_sensitivities_of_many_are_those_of_each(former: Netformer, networks: list[nl.Network]) -> None:
    many = sensitivities(former.read(networks), former.family, samples=128, seed=0)
    x = torch.randn(128, 8, generator=torch.Generator().manual_seed(0))
    for place, network in enumerate(networks[:5]):
        for layer, values in enumerate(nl.encode.sensitivity(network, x).values()):
            assert np.allclose(many[place, layer, : len(values)], values, atol=1e-5)


# -- latents and back --------------------------------------------------------------------------------------------------
def test_it_learns(former: Netformer, zoo: nl.zoo.Zoo) -> None:
    """After seconds of training functions are half recovered, and most structures: an untrained one recovers none."""
    report = former.evaluate(zoo[:100])
    assert report.median > 0.5 and report.depth > 0.9 and report.activation > 0.7
    assert former.about["held_out_median_r2"] > 0.4 and len(former.curve) == 1


def test_structure_may_be_given(former: Netformer, networks: list[nl.Network]) -> None:
    latents = former.encode(networks)
    wanted = perceptron(12, 9)
    for network in former.decode(latents, wanted):
        assert network.graph.hash == wanted.hash
    own = former.decode(latents, [network.graph for network in networks])
    assert [a.graph.hash for a in own] == [b.graph.hash for b in networks]
    assert np.median([r2(a, b) for a, b in zip(own, networks)]) > 0.5
    assert isinstance(former.decode(latents[0]), nl.Network)
    with pytest.raises(NetformerError, match="12 latent vectors and 2 structures"):
        former.decode(latents, [wanted, wanted])


def test_refining_brings_functions_nearer(former: Netformer, networks: list[nl.Network]) -> None:
    population = former.read(networks)
    latents = former.encode(population)
    plain, better = (
        functional_r2(
            former.decode_population(latents, population.structures, refine=steps).outputs(X, former.family),
            population.outputs(X, former.family),
        )
        for steps in (0, 40)
    )  # fmt: skip
    assert better.median() > plain.median()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_level_and_spread_of_outputs_survive(former: Netformer, networks: list[nl.Network], scale: float) -> None:
    """Networks in other units are the same functions: their reconstructions differ by the units alone."""
    network = networks[0]
    state = {k: v.clone() for k, v in network.state_dict().items()}
    *_, weight, bias = state
    state[weight] *= scale
    state[bias] = state[bias] * scale + 100 * scale
    other = nl.build(network.graph, weights=state).eval()
    found = former.decode(former.encode(other), network.graph)
    expected = former.decode(former.encode(network), network.graph)
    assert torch.allclose(found(X), expected(X) * scale + 100 * scale, rtol=2e-2, atol=2e-2 * scale)


@pytest.mark.parametrize("latents", ["z", np.zeros(3), np.zeros((2, 5)), np.full((1, 32), np.nan), np.zeros((1, 1, 32))])
def test_latents_that_are_none(former: Netformer, latents: Any) -> None:
    with pytest.raises(NetformerError, match="latents"):
        former.decode(latents)


@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_every_latent_vector_is_a_valid_network(former: Netformer, scale: float) -> None:
    latents = scale * np.random.default_rng(0).standard_normal((40, former.size))
    for network in former.decode(latents):
        assert nl.netformer.structures.outline_of(network.graph, former.family)
        assert network(X).isfinite().all() and former.read([network])


# -- new networks ------------------------------------------------------------------------------------------------------
def test_samples(former: Netformer, zoo: nl.zoo.Zoo) -> None:
    drawn, again, other = former.sample(5, seed=1), former.sample(5, seed=1), former.sample(5, seed=2)
    assert [n.graph.hash for n in drawn] == [n.graph.hash for n in again]
    assert all(torch.equal(a(X), b(X)) for a, b in zip(drawn, again))
    assert any(a.graph.hash != b.graph.hash for a, b in zip(drawn, other))
    task = zoo.tasks[0]
    meta = nl.get_meta_features(task.train.x, task.train.y)
    assert len(former.sample(3, meta, prior="zoo")) == 3
    assert former.sample(2, graph=perceptron(7))[1].graph.hash == perceptron(7).hash
    for wrong in ({"n": 0}, {"n": 2.5}, {"n": 1, "prior": "uniform"}):
        with pytest.raises(NetformerError, match="expected"):
            former.sample(**wrong)
    with pytest.raises(NetformerError, match="meta-features lack"):
        former.sample(1, {"nr_class": 2.0})


def test_interpolation_begins_and_ends_at_the_ends(former: Netformer, networks: list[nl.Network]) -> None:
    a, b = networks[:2]
    line = former.interpolate(a, b, 5, graph=perceptron(12, 12))
    assert len(line) == 5 and len({network.graph.hash for network in line}) == 1
    ends = former.decode(former.encode([a, b]), perceptron(12, 12))
    assert torch.allclose(line[0](X), ends[0](X), atol=1e-4) and torch.allclose(line[-1](X), ends[1](X), atol=1e-4)
    latents = former.encode([a, b])
    again = former.interpolate(latents[0], latents[1], 3, graph=perceptron(12, 12))
    assert torch.allclose(again[1](X), line[2](X), atol=1e-4)


# -- training ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "settings",
    [
        {"encoder": "answers", "decoder": "mlp"}, {"encoder": "tokens"}, {"meta": "token"}, {"meta": "embedding"},
        {"readout": "decoded"}, {"weights": 1.0}, {"behaviour": 0.0, "weights": 1.0}, {"structure": 0.0}, {"kl": 0.0},
        {"free_nats": 0.1, "annealing": 0.5, "kl": 0.1}, {"symmetries": False, "answers": 0.0},
    ],
)  # fmt: skip
def test_every_setting_trains(zoo: nl.zoo.Zoo, settings: dict[str, Any]) -> None:
    former = Netformer(**SMALL, **settings).fit(zoo[:60], steps=3, batch_size=8)
    assert math.isfinite(former.curve[-1].train_loss)
    assert len(former.reconstruct([zoo[0].network])) == 1


def test_same_seed_same_netformer(zoo: nl.zoo.Zoo, networks: list[nl.Network]) -> None:
    a, b, c = (Netformer(**SMALL, seed=seed).fit(zoo[:60], steps=4, batch_size=8).encode(networks) for seed in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_training_goes_on_where_it_was_stopped(
    zoo: nl.zoo.Zoo, networks: list[nl.Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "STEPS_OF_EPOCH", 5)

    class Stop(Exception):
        pass

    def make() -> Netformer:
        return Netformer(**SMALL, encoder="answers", decoder="mlp")

    def stop(point: Any) -> None:
        raise Stop

    settings: dict[str, Any] = {"steps": 12, "batch_size": 4}
    with pytest.raises(Stop):
        make().fit(zoo[:60], **settings, checkpoint=tmp_path / "a", on_epoch=stop)
    whole = make().fit(zoo[:60], **settings)
    resumed = make().fit(zoo[:60], **settings, checkpoint=tmp_path / "a")
    assert np.array_equal(whole.encode(networks), resumed.encode(networks))


def test_held_out_tasks_are_never_learned_from(zoo: nl.zoo.Zoo) -> None:
    from netloom.netformer.fitting import population_of, split

    population, left_out = population_of(zoo, Family())
    train, held = split(population, 0.2, seed=0)
    assert not {*train.tasks.tolist()} & {*held.tasks.tolist()} and len(train) + len(held) == len(population)
    assert len(held.tasks.unique()) == round(0.2 * len(population.tasks.unique())) and isinstance(left_out, dict)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent": 3}, "did you mean 'latents'"), ({"latents": 2}, "more than 2"), ({"meta": "all"}, "meta = 'all'"),
        ({"kl": -1}, "kl = -1"), ({"behaviour": 0}, "behaviour or weights"), ({"width": 10}, "multiple of heads"),
        ({"activations": ("relu", "swish")}, "activations"), ({"max_width": 0}, "max_width = 0"),
        ({"meta": "token", "encoder": "answers"}, "nothing for meta-features to join"), ({"seed": -1}, "seed"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(NetformerError, match=message):
        Netformer(**settings)


# -- files -------------------------------------------------------------------------------------------------------------
def test_save_and_load(former: Netformer, networks: list[nl.Network], tmp_path: Path) -> None:
    path = former.save(tmp_path / "former.safetensors")
    again = nl.netformer.load(path)
    assert np.array_equal(again.encode(networks), former.encode(networks))
    assert (again.family, again.settings, again.about) == (former.family, former.settings, former.about)
    assert [point.score for point in again.curve] == [point.score for point in former.curve]


def test_files_that_are_none(former: Netformer, tmp_path: Path) -> None:
    with pytest.raises(NetformerError, match="cannot be read as a Netformer"):
        nl.netformer.load(tmp_path / "missing.safetensors")
    nl.build(perceptron(4), seed=0).save(tmp_path / "net.safetensors")
    with pytest.raises(NetformerError, match="no Netformer that netloom wrote"):
        nl.netformer.load(tmp_path / "net.safetensors")
    path = former.save(tmp_path / "former.safetensors")
    data = path.read_bytes()
    path.write_bytes(data.replace(b'\\"netformer\\": 1', b'\\"netformer\\": 9'))
    with pytest.raises(VersionError, match="version 9"):
        nl.netformer.load(path)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(NetformerError, match="cannot be read"):
        nl.netformer.load(path)
    with pytest.raises(NetformerError, match="cannot be written"):
        former.save(tmp_path / "nowhere" / "former.safetensors")


def test_probes_are_those_of_the_encodings(former: Netformer) -> None:
    assert np.allclose(former.core.probes_for(1)[0], probe_inputs(128, 8), atol=1e-6)
    assert not torch.equal(torch.rand(2, generator=seeded(0, 1)), torch.rand(2, generator=seeded(1, 0)))


# -- structures --------------------------------------------------------------------------------------------------------
def test_structures_are_their_graphs() -> None:
    family = Family(max_inputs=5, max_outputs=3)
    structures = Structures.of([[(4, 0)], [(3, 2), (7, 1)]], [5, 2], [1, 3], family)
    graphs = [structures.graph(place, family) for place in range(2)]
    assert graphs[1].inputs[0].shape[1] == 2 and graphs[1].outputs[0].shape[1] == 3
    assert [node.op for node in graphs[1].nodes if node.op != "input"] == ["linear", "sigmoid", "linear", "tanh", "linear"]
    again = Netformer(family, Settings()).structures_of(graphs)
    assert torch.equal(again.widths, structures.widths) and torch.equal(again.activations, structures.activations)
    joined = Structures.joined([structures, structures])
    assert len(joined) == 4 and joined.features(family).shape == (4, 3 + 9 + 3 + 2)


def test_structures_that_the_zoo_does_not_have_are_masked(former: Netformer) -> None:
    coder = former.core.structure
    latents = torch.randn(500, 8, generator=torch.Generator().manual_seed(0)) * 3
    found = coder.decode(latents)
    live = found.widths > 0
    assert int(found.widths[live].min()) >= 4 and int(found.widths.max()) <= 16 and {*found.inputs.tolist()} == {8}
    assert torch.equal(live.sum(1), found.depth)
    drawn = coder.draw(300, torch.Generator().manual_seed(0))
    assert int(drawn.widths[drawn.widths > 0].min()) >= 4


def test_report_of_a_perfect_reconstruction(former: Netformer, networks: list[nl.Network]) -> None:
    from netloom.netformer.measures import compare

    population = former.read(networks)
    report = compare(population, population, former.family).as_dict()
    assert all(value == pytest.approx(1, abs=1e-5) for value in report.values()), report
    other = replace(population, structures=population.structures[torch.arange(len(population)).flip(0)])
    assert compare(other, population, former.family).edge_iou < 1


def test_networks_of_several_inputs_and_outputs() -> None:
    """A family of 1 to 5 inputs and 1 to 3 outputs: classifiers' logits are outputs like any others."""
    rng = np.random.default_rng(0)
    networks = []
    for seed in range(60):
        widths = map(int, rng.integers(3, 9, rng.integers(1, 3)))
        graph = perceptron(*widths, inputs=int(rng.integers(2, 6)), outputs=int(rng.integers(1, 4)))
        networks.append(nl.build(graph, seed=seed))
    former = Netformer(max_inputs=5, max_outputs=3, max_layers=2, max_width=8, **SMALL)
    former.fit(networks, steps=120, batch_size=16, held_out=0.2)
    found = former.decode(former.encode(networks), [network.graph for network in networks])
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    scores = []
    for a, b in zip(found, networks):
        inputs = x[:, : b.graph.inputs[0].shape[1]]
        assert a(inputs).shape == b(inputs).shape
        scores.append(r2(a, b, inputs))
    assert np.median(scores) > 0.5
    x_new, y_new = np.asarray(x), (np.asarray(x)[:, 0] > 0).astype(int)
    assert former.suggest(x_new, y_new).graph.outputs[0].shape[1] == 2


def test_one_task_cannot_be_split() -> None:
    networks = [nl.build(perceptron(4), seed=seed) for seed in range(3)]
    assert Netformer(**SMALL).fit(networks, steps=2, batch_size=4, held_out=0).is_fitted
    with pytest.raises(NetformerError, match="one task"):
        Netformer(**SMALL).fit(networks[:1], steps=2, batch_size=4)
    constant = nl.build(perceptron(4), seed=0)
    with torch.no_grad():
        for tensor in constant.parameters():
            tensor.zero_()
    with pytest.raises(NetformerError, match="constant"):
        Netformer(**SMALL).fit([constant, constant], steps=2, batch_size=4)
