"""Netformer with what users bring along: odd numbers, data, networks, files and searches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import netloom as nl
from netloom.errors import NetformerError
from netloom.netformer import Latent, Netformer, WeightPredictor

from .conftest import SMALL
from .test_netformer import perceptron

X = np.random.default_rng(0).standard_normal((60, 5))
Y = X[:, 0] + X[:, 1] ** 2


# -- networks in, networks out -----------------------------------------------------------------------------------------
def test_networks_of_any_number_of_inputs_are_measured(former: Netformer) -> None:
    """What is decoded may have other inputs than the original: then no edge is right, and functions are compared still."""
    few = [nl.build(perceptron(6, inputs=3), seed=seed) for seed in range(4)]
    report = former.evaluate(few)
    assert np.isfinite(report.median) and 0 <= report.recovery <= 1 and 0 <= report.edge_accuracy <= 1
    latents = former.encode(few)
    if not any(network.graph.inputs[0].shape[1] == 3 for network in former.decode(latents)):
        assert report.edge_accuracy == 0 and np.isnan(report.weights)


def test_a_zoo_is_encoded_as_its_networks(former: Netformer, zoo: nl.zoo.Zoo, networks: list[nl.Network]) -> None:
    expected = former.encode(networks)
    np.testing.assert_allclose(former.encode(zoo)[: len(networks)], expected, atol=1e-4)
    np.testing.assert_allclose(former.encode([zoo[place] for place in range(len(networks))]), expected, atol=1e-6)


def test_modules_of_double_precision_are_read(former: Netformer) -> None:
    single = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 1))
    expected = former.encode(single)
    np.testing.assert_allclose(former.encode(single.double()), expected, atol=1e-5)


def test_a_module_of_other_layers_is_refused_by_their_name(former: Netformer) -> None:
    with pytest.raises(NetformerError, match="network 0: Sequential has Conv2d; a Netformer reads perceptrons"):
        former.encode([nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2, 1))])


def test_latents_of_every_kind(former: Netformer, networks: list[nl.Network]) -> None:
    latents = former.encode(networks[:2])
    for given in (latents.tolist(), torch.tensor(latents), torch.tensor(latents, requires_grad=True)):
        assert len(former.decode(given)) == 2
    assert former.decode(np.zeros((0, former.size))) == []
    with pytest.raises(NetformerError, match=r"latents reach 1e\+30, where networks are not finite"):
        former.decode(np.full(former.size, 1e30))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"structure": "abc"}, "a str is no graph"), ({"structure": 5}, "a int is no graph"),
        ({"refine": -1}, "refine = -1"), ({"refine": 1.5}, "refine = 1.5"), ({"refine": "a"}, "refine = 'a'"),
    ],
)  # fmt: skip
def test_wrong_settings_of_decoding(former: Netformer, options: dict[str, Any], message: str) -> None:
    with pytest.raises(NetformerError, match=message):
        former.decode(np.zeros((1, former.size)), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed = -1"), ({"seed": "a"}, "seed = 'a'"), ({"seed": None}, "seed = None"),
        ({"temperature": "a"}, "temperature = 'a'"), ({"temperature": float("inf")}, "temperature = inf"),
        ({"meta": "abc"}, "meta-features are a str"), ({"graph": "x"}, "a str is no graph"),
    ],
)  # fmt: skip
def test_wrong_settings_of_sampling(former: Netformer, options: dict[str, Any], message: str) -> None:
    with pytest.raises(NetformerError, match=message):
        former.sample(1, **options)


@pytest.mark.parametrize(("options", "message"), [({"inputs": 1}, "inputs = 1"), ({"seed": -1}, "seed = -1")])
def test_wrong_settings_of_measuring(
    former: Netformer, networks: list[nl.Network], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(NetformerError, match=message):
        former.evaluate(networks, **options)


@pytest.mark.parametrize("given", [{"family": 3}, {"settings": [1]}, {"activations": "relu"}])
def test_wrong_families_and_settings(given: dict[str, Any]) -> None:
    with pytest.raises(NetformerError):
        Netformer(**given)


# -- data ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, None, "y is None; give a target for each sample"), (X, 3.0, "y is 3.0"),
        (X, np.where(Y > 1, np.nan, Y), "y has .* cells that are missing or infinite"),
        (X * 1e200, Y, "X reaches .*, too large for networks of 32 bits"), (X, Y * 1e200, "y reaches"),
        (X + 1j, Y, "X holds other things than numbers"),
        (X, np.arange(60).astype("datetime64[D]"), r"y holds values of datetime64\[D\]; give times as numbers"),
    ],
)  # fmt: skip
def test_data_that_nothing_can_be_learned_from(former: Netformer, x: Any, y: Any, message: str) -> None:
    with pytest.raises(NetformerError, match=message):
        former.suggest(x, y)


def test_numbers_in_an_array_of_objects_are_numbers(former: Netformer) -> None:
    assert former.suggest(X, Y.astype(object)).graph.outputs[0].shape[1] == 1
    assert former.suggest(X, (Y > 0).astype(int).astype(object)).graph.outputs[0].shape[1] == 2


def test_many_classes_of_few_samples(former: Netformer) -> None:
    assert former.suggest(X, [f"class {place // 2:02}" for place in range(60)]).graph.outputs[0].shape[1] == 30


@pytest.mark.parametrize(
    ("options", "message"), [({"seed": -1}, "seed = -1"), ({"seed": "a"}, "seed = 'a'"), ({"graph": "x"}, "a str is no graph")]
)
def test_wrong_settings_of_suggesting(former: Netformer, options: dict[str, Any], message: str) -> None:
    with pytest.raises(NetformerError, match=message):
        former.suggest(X, Y, **options)


# -- searching and predicting ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 0}, "population = 0"), ({"population": "a"}, "population = 'a'"), ({"seed": -1}, "seed = -1"),
        ({"fitness": lambda n: None}, r"the fitness gave shape \(\)"), ({"fitness": lambda n: 1.0}, r"gave shape \(\)"),
        ({"fitness": lambda n: ["a"] * len(n)}, "the fitness gave what is no number"),
        ({"fitness": lambda n: np.zeros((len(n), 1, 1))}, "the fitness gave shape"),
    ],
)  # fmt: skip
def test_wrong_settings_of_searching(former: Netformer, options: dict[str, Any], message: str) -> None:
    with pytest.raises(NetformerError, match=message):
        Latent(former).evolve(**{"fitness": lambda n: [0.0] * len(n), "evaluations": 12, **options})


def test_fitness_of_tensors_and_a_search_without_success(former: Netformer, networks: list[nl.Network]) -> None:
    space = Latent(former, perceptron(6))
    of_tensors = lambda found: [network(torch.zeros(1, 8))[0, 0] for network in found]  # noqa: E731
    assert space.evolve(of_tensors, evaluations=6, start=networks[0]).fitness.shape == (6, 1)
    failed = space.evolve(lambda found: [float("nan")] * len(found), evaluations=6)
    with pytest.raises(NetformerError, match="every fitness is NaN"):
        failed.network  # noqa: B018


def test_what_is_searched_in_is_checked(former: Netformer) -> None:
    with pytest.raises(NetformerError, match="a str is no Netformer"):
        Latent("mlp")  # type: ignore[arg-type]
    with pytest.raises(NetformerError, match="9 inputs; this Netformer was made for at most 8"):
        Latent(former, perceptron(5, inputs=9))
    with pytest.raises(NetformerError, match="a str is no Netformer"):
        WeightPredictor("mlp")  # type: ignore[arg-type]


def test_scores_that_are_no_numbers(former: Netformer, networks: list[nl.Network]) -> None:
    with pytest.raises(NetformerError, match="scores are no numbers"):
        WeightPredictor(former, num_trees=2).fit(networks, ["a"] * len(networks))


# -- learning and files --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0}, "learning_rate = 0"), ({"learning_rate": float("nan")}, "learning_rate = nan"),
        ({"held_out": "a"}, "held_out = 'a'"), ({"max_seconds": -1}, "max_seconds = -1"), ({"zoo": None}, "holds no networks"),
        ({"zoo": 3}, "a int holds no networks"),
    ],
)  # fmt: skip
def test_wrong_settings_of_learning(networks: list[nl.Network], options: dict[str, Any], message: str) -> None:
    with pytest.raises(NetformerError, match=message):
        Netformer(**SMALL).fit(**{"zoo": networks, "steps": 1, **options})


def test_two_networks_are_enough_to_begin(networks: list[nl.Network]) -> None:
    found = Netformer(**SMALL).fit(networks[:2], steps=1)
    assert found.about["held_out_networks"] == 1 and len(found.sample(2, prior="zoo")) == 2


def test_files_that_are_none_leave_nothing_behind(former: Netformer, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for call in (former.save, nl.ghn.load("digits").save):
        with pytest.raises(nl.errors.NetloomError, match="cannot be written .*it is a folder"):
            call(folder)
    assert list(tmp_path.iterdir()) == [folder]
    with pytest.raises(NetformerError, match="is a folder; give the file of a Netformer"):
        nl.netformer.load(folder)
    with pytest.raises(NetformerError, match="a NoneType is neither a file nor a name"):
        nl.netformer.load(None)  # type: ignore[arg-type]
