"""What a Netformer is for: networks for new data, search in latents, quality from weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import datasets

import netloom as nl
from netloom.errors import NetformerError
from netloom.netformer import Latent, Netformer, WeightPredictor
from netloom.netformer.evolving import CMAES, NSGA2, fronts
from netloom.netformer.suggesting import best_in_latents, prepared, ridge_readout
from netloom.netformer.surrogates import fitted

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 6)) * [1, 5, 0.1, 2, 1, 1] + [0, 10, 0, -3, 0, 0]
Y = np.sin(X[:, 0]) + 0.2 * X[:, 1] + X[:, 3] * 0.3


def error(network: nl.Network, x: Any, y: Any) -> float:
    """Mean squared error over the variance of the targets."""
    with torch.no_grad():
        found = network(torch.as_tensor(x, dtype=torch.float32)).numpy()
    return float(((found - y.reshape(len(y), -1)) ** 2).mean() / y.var())


def perceptron(*widths: int, inputs: int = 6, outputs: int = 1) -> nl.Graph:
    x = y = nl.input(inputs)
    for width in widths:
        y = nl.tanh(nl.linear(y, width))
    return nl.Graph(x, nl.linear(y, outputs))


# -- suggest -----------------------------------------------------------------------------------------------------------
def test_suggested_networks_begin_low(former: Netformer) -> None:
    """Better than no knowledge (1) by far, without a gradient step on the weights, in the units of the data."""
    graph = perceptron(12, 12)
    network = former.suggest(X, Y, graph)
    assert network.graph.hash == graph.hash and error(network, X, Y) < 0.5
    assert error(former.suggest(X, Y, graph, fit_readout=False), X, Y) < 0.9
    assert error(former.suggest(X, Y), X, Y) < 0.5
    assert error(former.suggest(X, Y, graph, refine=20), X, Y) <= error(network, X, Y) + 0.02
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_units_do_not_matter(former: Netformer) -> None:
    graph = perceptron(10)
    plain, other = former.suggest(X, Y, graph), former.suggest(X * 50 + 7, Y * 1e3 - 4, graph)
    with torch.no_grad():
        a, b = plain(torch.tensor(X).float()), other(torch.tensor(X * 50 + 7).float())
    assert torch.allclose(a * 1e3 - 4, b, rtol=1e-2, atol=20)


@pytest.mark.parametrize("loader", ["load_iris", "load_wine", "load_breast_cancer", "load_digits"])
def test_classes(former: Netformer, loader: str) -> None:
    x, y = getattr(datasets, loader)(return_X_y=True)
    network = former.suggest(x, y)
    with torch.no_grad():
        right = network(torch.tensor(x).float()).argmax(1).numpy() == y
    assert network.graph.outputs[0].shape[1] == len(np.unique(y)) and right.mean() > 0.6
    named = former.suggest(x[:, :4], np.array(["no", "yes"])[(y > 0).astype(int)], perceptron(8, inputs=4, outputs=2))
    assert named.graph.outputs[0].shape[1] == 2


def test_several_targets(former: Netformer) -> None:
    targets = np.stack([Y, X[:, 0] ** 2, -Y], 1)
    network = former.suggest(X, targets)
    assert network.graph.outputs[0].shape[1] == 3
    with torch.no_grad():
        found = network(torch.tensor(X).float()).numpy()
    assert ((found - targets) ** 2).mean(0)[0] < 0.6 * Y.var()


@pytest.mark.parametrize(
    ("x", "y", "settings", "message"),
    [
        (X, Y[:10], {}, "200 rows and y 10"), (X, np.ones(200) * 0.5, {}, "same for all samples"),
        (X, np.zeros(200, int), {}, "one class only"), (np.where(X > 9, np.nan, X), Y, {}, "missing or infinite"),
        ([["a", "b"]] * 5, [1.5, 2, 3, 4, 5], {}, "other things than numbers"), (X[:2], Y[:2], {}, "four or more"),
        (X, Y, {"graph": perceptron(5, inputs=4)}, "takes 4 inputs and gives 1; the data have 6"),
        (X, Y, {"graph": perceptron(40)}, "40 neurons"), (X, Y, {"surrogate": "forest"}, "surrogate = 'forest'"),
        (X, Y, {"refine": -1}, "refine = -1"),
    ],
)  # fmt: skip
def test_data_that_nothing_can_be_suggested_for(former: Netformer, x: Any, y: Any, settings: Any, message: str) -> None:
    with pytest.raises(NetformerError, match=message):
        former.suggest(x, y, **settings)


def test_whitened_data_have_variance_one_and_stay_near_their_columns() -> None:
    data = prepared(X, Y, 8)
    assert np.allclose(data.z.mean(0), 0, atol=1e-9) and np.allclose(np.cov(data.z.T), np.eye(6), atol=0.02)
    assert (np.abs(np.corrcoef(data.z.T, X.T)[:6, 6:].diagonal()) > 0.9).all()
    narrow = prepared(X, Y, 2)
    assert narrow.z.shape == (200, 2)
    weight, bias, _ = ridge_readout(narrow.z, narrow.targets)
    assert ((narrow.z @ weight + bias - narrow.targets) ** 2).mean() < 0.5  # the directions that matter were kept


def test_surrogates() -> None:
    z = RNG.normal(size=(150, 3))
    linear, bent = (z @ [[1.0], [2], [0]]), np.sin(2 * z[:, :1])
    fresh = RNG.normal(size=(100, 3))
    assert np.abs(fitted("ridge", z, linear)(fresh) - fresh @ [[1.0], [2], [0]]).max() < 0.05
    for name in ("auto", "kernel"):
        assert ((fitted(name, z, bent)(fresh) - np.sin(2 * fresh[:, :1])) ** 2).mean() < 0.2


# -- latents as a space --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("strategy", ["cma-es", "nsga2"])
def test_evolution_finds_better_networks(former: Netformer, strategy: str) -> None:
    x = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
    target = torch.sin(x[:, :1])
    space = Latent(former, perceptron(10, inputs=8))

    def fitness(networks: list[nl.Network]) -> list[float]:
        with torch.no_grad():
            return [-float(((network(x) - target) ** 2).mean()) for network in networks]

    told: list[int] = []
    found = space.evolve(fitness, strategy=strategy, evaluations=90, population=15, seed=1,
                         progress=lambda done, best: told.append(done))  # fmt: skip
    assert found.latents.shape == (90, space.size) and told[-1] == 90
    best = found.best_so_far()
    assert best[-1] > best[14] and fitness([found.network])[0] == pytest.approx(best[-1], abs=1e-4)
    again = space.evolve(fitness, strategy=strategy, evaluations=90, population=15, seed=1)
    assert np.array_equal(found.latents, again.latents)


def test_evolution_of_several_objectives(former: Netformer) -> None:
    space = Latent(former)
    x = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))

    def fitness(networks: list[nl.Network]) -> np.ndarray:
        with torch.no_grad():
            return np.array([[-float(n(x).square().mean()), -n.graph.num_params] for n in networks])

    start = space.sample(3, np.random.default_rng(0))
    found = space.evolve(fitness, strategy="nsga2", evaluations=60, population=20, start=start)
    front = found.fitness[found.front]
    assert len(front) >= 1 and not any((other > one).all() for one in front for other in found.fitness)


def test_wrong_searches(former: Netformer) -> None:
    space = Latent(former)
    with pytest.raises(NetformerError, match="strategy = 'annealing'"):
        space.evolve(lambda n: [0.0] * len(n), strategy="annealing")
    with pytest.raises(NetformerError, match="gave 1 values"):
        space.evolve(lambda n: [0.0], evaluations=5)
    with pytest.raises(NetformerError, match="start has shape"):
        space.evolve(lambda n: [0.0] * len(n), start=np.zeros((1, 3)))
    with pytest.raises(NetformerError, match="vectors have shape"):
        space.networks(np.zeros((1, 3)))


def test_best_in_latents_is_no_worse_than_where_it_began(former: Netformer) -> None:
    for graph in (None, perceptron(9)):
        network = best_in_latents(Latent(former, graph), X, Y, evaluations=40, seed=0)
        assert error(network, X, Y) <= error(former.suggest(X, Y, graph), X, Y) + 0.05


@pytest.mark.parametrize("engine", [CMAES, NSGA2])
def test_engines_minimise_a_sphere(engine: Any) -> None:
    made = engine(6, seed=0, population=20)
    center = np.full(6, 0.7)
    best = []
    for _ in range(60):
        vectors = made.ask()
        values = -((vectors - center) ** 2).sum(1)
        made.tell(vectors, np.where(vectors[:, :1] > 3, np.nan, values[:, None]))
        best.append(values.max())
    assert max(best) > -0.05 and best[0] < -0.3


def test_fronts() -> None:
    fitness = np.array([[1, 1], [2, 0], [0, 2], [0, 0], [2, 0]], dtype=float)
    assert fronts(fitness) == [[0, 1, 2, 4], [3]]


# -- quality -------------------------------------------------------------------------------------------------------------
def test_quality_from_weights(former: Netformer, zoo: nl.zoo.Zoo, tmp_path: Path) -> None:
    population = former.population(zoo)
    # A quality that weights show: how far answers spread.
    scores = population.head.abs().sum((1, 2)).numpy()
    predictor = WeightPredictor(former, num_trees=60).fit(population, scores)
    found = predictor.predict(population)
    assert np.corrcoef(found, scores)[0, 1] > 0.8
    path = predictor.save(tmp_path / "quality.safetensors")
    assert np.allclose(WeightPredictor.load(path, former).predict(population), found)
    assert len(predictor.predict([zoo[0].network])) == 1


def test_quality_refusals(former: Netformer, zoo: nl.zoo.Zoo, tmp_path: Path) -> None:
    population = former.population(zoo)
    with pytest.raises(NetformerError, match="not been fitted"):
        WeightPredictor(former).predict(population)
    with pytest.raises(NetformerError, match="scores have shape"):
        WeightPredictor(former).fit(population, [1.0])
    with pytest.raises(NetformerError, match="different scores"):
        WeightPredictor(former).fit(population, np.ones(len(population)))
    with pytest.raises(NetformerError, match="features = 'some'"):
        WeightPredictor(former, "some")
    (tmp_path / "none").write_bytes(b"none")
    with pytest.raises(NetformerError, match="no weight predictor"):
        WeightPredictor.load(tmp_path / "none", former)
