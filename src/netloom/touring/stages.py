"""The stages of a tour before anything is searched: a network, weights that nobody trained, more and fewer neurons."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError
from ..searching.learned_weights import Learned, netformer, shipped_hypernetworks
from ..searching.learned_weights import hypernetwork as hypernetwork_weights
from ..searching.proposers import perceptron

if TYPE_CHECKING:
    from ..building.network import Network
    from ..graph.graph import Graph
    from ..spaces import Space
    from ..tasks import Task

#: Samples of a space among which the tour's network is chosen: one that is neither the smallest nor the largest.
_DRAWN = 9
#: The perceptron that a Netformer is asked for where the tour's network is none of its family.
_HIDDEN = ((16, "relu"), (16, "relu"))


def drawn_network(space: Space, seed: int) -> Graph:
    """The middle one, by parameters, of a few samples of a space."""
    import numpy as np

    rng = np.random.default_rng([seed, 0x70])
    graphs = sorted((space.sample(rng) for _ in range(_DRAWN)), key=lambda graph: graph.num_params)
    return graphs[len(graphs) // 2]


@dataclass(frozen=True, slots=True)
class Predicted:
    """Weights that a part wrote for a network: how long it took, and its validation score beside that of random weights.

    ``why`` says why there are none; ``subject`` which network they are for.
    """

    part: str
    subject: str
    seconds: float = 0.0
    num_params: int = 0
    score: float | None = None
    random_score: float | None = None
    why: str = ""


def predicted_weights(graph: Graph, task: Task, seed: int) -> list[Predicted]:
    """What each learned part that comes with netloom makes of the network, or says why it cannot."""
    found = []
    names = shipped_hypernetworks(task)
    if names:
        learned = hypernetwork_weights(names[0], task)
        found.append(_predicted("hypernetwork", learned, graph, "this network", task, seed))
        kind = _of_its_kind(task, seed)
        if kind is not None:
            found.append(_predicted("hypernetwork", learned, kind, "a chain of four convolutions", task, seed))
    else:
        found.append(Predicted("hypernetwork", "this network", why=f"none that comes with netloom was trained on {task.name}"))
    try:
        written: Learned = netformer("mlp", task)
    except NetloomError as error:
        return [*found, Predicted("Netformer", "this network", why=str(error))]
    own = _predicted("Netformer", written, graph, "this network", task, seed)
    if own.why:
        small = perceptron(task.input_shape, task.num_outputs, _HIDDEN)
        found.append(Predicted("Netformer", "this network", why=own.why))
        own = _predicted("Netformer", written, small, "a perceptron of two hidden layers", task, seed)
    return [*found, own]


def _of_its_kind(task: Task, seed: int) -> Graph | None:
    """A chain of four convolutions with batch norms, as hypernetworks for small images learn from; None for other tasks."""
    import numpy as np

    from ..graph.builder import call, input
    from ..graph.graph import Graph

    if len(task.input_shape) != 3 or min(task.input_shape[1:]) < 4:
        return None
    rng = np.random.default_rng([seed, 0x71])
    x = value = input(*task.input_shape)
    for place in range(4):
        kernel = int(rng.choice([3, 5]))
        value = call("conv2d", value, int(rng.choice([8, 16])), kernel=kernel, padding=kernel // 2)
        value = call("relu", call("batch_norm", value))
        if place in (1, 2):
            value = call("max_pool2d", value, 2)
    return Graph(x, call("linear", call("flatten", call("adaptive_avg_pool2d", value, 1)), task.num_outputs))


def _predicted(part: str, learned: Learned, graph: Graph, subject: str, task: Task, seed: int) -> Predicted:
    from ..building.network import build
    from ..training import evaluate

    try:
        learned.weights(graph, seed + 1)  # what is loaded at the first call is no part of a prediction
        learned.forget()
        begun = time.perf_counter()
        weights = learned.weights(graph, seed)
        seconds = time.perf_counter() - begun
    except NetloomError as error:
        return Predicted(part, subject, why=str(error))
    filled = evaluate(_batched(build(graph, weights=weights)), task.valid).score
    random = evaluate(_batched(build(graph, seed=seed)), task.valid).score
    return Predicted(part, subject, seconds, graph.num_params, float(filled), float(random))


def _batched(network: Network) -> Network:
    """The network with batch norms that go by their batch: those of an untrained network know no other statistics."""
    import torch

    network.eval()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.train()
    return network


@dataclass(frozen=True, slots=True)
class Sized:
    """A network at one point of being grown and pruned; ``change`` is the largest change of any output, None where unknown."""

    what: str
    num_params: int
    flops: int
    score: float
    change: float | None = None


def grown_and_pruned(network: Network, task: Task, recipe: Any, seconds: float, seed: int) -> list[Sized]:
    """A trained network; grown by a quarter, computing the same; pruned to half its FLOPs; and trained again."""
    import torch

    import netloom as nl

    from ..training import evaluate

    network.eval()
    x = next(iter(task.valid.batches(256)))[0]
    with torch.no_grad():
        before = network(x)

    def sized(what: str, net: Network, compare: bool = False) -> Sized:
        change = None
        if compare:
            with torch.no_grad():
                change = float((net.eval()(x) - before).abs().max())
        return Sized(what, net.graph.num_params, net.graph.flops, float(evaluate(net, task.valid).score), change)

    found = [sized("trained", network)]
    try:
        found.append(sized("grown by a quarter", nl.grow(network, x[:2], by=0.25).network, compare=True))
        pruned = nl.prune(network, x[:2], flops=0.5).network
        found.append(sized("pruned to half its FLOPs", pruned))
        nl.train(pruned, task, recipe, seed, max_seconds=seconds)
        found.append(sized("trained again", pruned))
    except NetloomError as error:
        found.append(Sized(f"not further: {error}", network.graph.num_params, network.graph.flops, found[0].score))
    return found


@dataclass(frozen=True, slots=True)
class Rival:
    """A classifier or regressor that needs no search, and its test score."""

    name: str
    score: float


def rivals(task: Task) -> list[Rival]:
    """Linear models and nearest neighbours, their settings chosen on the validation part; their scores on the test part."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    def flat(part: Any) -> tuple[Any, Any]:
        pairs = list(part.batches(1000))
        x = np.concatenate([x.flatten(1).numpy() for x, _ in pairs])
        return x[:20_000], np.concatenate([y.numpy() for _, y in pairs])[:20_000]

    train, valid, test = flat(task.train), flat(task.valid), flat(task.test)
    neighbours: Any = KNeighborsClassifier if task.num_classes else KNeighborsRegressor
    linear = (
        ("logistic regression", [LogisticRegression(C=c, max_iter=2000) for c in (0.01, 0.1, 1.0)])
        if task.num_classes
        else ("ridge regression", [Ridge(alpha=a) for a in (0.1, 1.0, 10.0)])
    )
    found = []
    for name, models in (linear, ("nearest neighbours", [neighbours(k) for k in (1, 3, 5, 9)])):
        fitted = [_quietly_fitted(model, *train) for model in models]
        best = max(fitted, key=lambda model: model.score(*valid))
        found.append(Rival(name, float(best.score(*test))))
    return found


def _quietly_fitted(model: Any, x: Any, y: Any) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of iterations that did not suffice: the validation part decides
        return model.fit(x, y)
