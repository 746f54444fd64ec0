"""What ``netloom train`` begins with: the task by its flags, the network by its name, the weights to start from."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import TrainingError
from .networks import is_graph_file, load_for, load_model
from .stored_networks import is_hash, is_zoo, stored_graph, zoo_network

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..tasks import Task

#: Flag → the setting of the task that it stands for.
TASK_FLAGS = {"image_size": "size", "shots": "shots", "validate": "valid"}


class Start(NamedTuple):
    """What is trained, its graph where it is known without weights, and what a reader should know of its weights.

    ``has_weights`` says whether it starts from other weights than those that the seed draws for the graph.
    """

    network: Any
    graph: Graph | None
    remarks: list[str]
    has_weights: bool


def task_spec(given: argparse.Namespace) -> str:
    """``--task`` with the settings that have flags of their own.

    >>> task_spec(argparse.Namespace(task="cifar10?seed=1", image_size=None, shots="100", validate="200"))
    'cifar10?seed=1&shots=100&valid=200'
    """
    spec = str(given.task)
    for flag, setting in TASK_FLAGS.items():
        value = getattr(given, flag)
        if value is not None:
            spec += ("&" if "?" in spec else "?") + f"{setting}={value}"
    return spec


def start(given: argparse.Namespace, task: Task) -> Start:
    """The network that is asked for, with the weights that are asked for."""
    network, graph = _network(given, task)
    beta, layer = _number("beta", given.beta, 0.0), _number("from-layer", given.from_layer, 1)
    changed = given.init != "random" or bool(beta) or given.orth
    if given.from_layer is not None and not (beta or given.orth):
        raise TrainingError("--from-layer says where --orth and --beta begin; give one of them too")
    if not changed:
        return Start(network, graph, [], graph is None)
    from ..building.network import build
    from ..ghn import initialise

    module = build(network, seed=given.seed) if graph is not None else network
    example = None if hasattr(module, "graph") else next(iter(task.train.batches(2)))[0]
    told = initialise(
        module, given.init, example, beta=beta, orthogonal=given.orth, from_layer=int(layer), seed=given.seed
    )  # fmt: skip
    return Start(module, graph, told, True)


def _network(given: argparse.Namespace, task: Task) -> tuple[Any, Graph | None]:
    if is_zoo(given.network):
        return zoo_network(given.network), None
    if is_hash(given.network):
        graph = stored_graph(given.network, given.store)
        return graph, graph
    if is_graph_file(given.network):
        graph = load_for(given.network, task)
        return graph, graph
    return load_model(given.network)[0], None


def _number(flag: str, text: str | None, usual: float) -> float:
    if text is None:
        return usual
    try:
        return float(text) if isinstance(usual, float) else int(text)
    except ValueError:
        wanted = "a number" if isinstance(usual, float) else "a whole number"
        raise TrainingError(f"--{flag} {text!r}: expected {wanted}") from None
