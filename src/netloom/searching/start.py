"""The network that a search starts from: a user's own model, or a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError, SearchError
from ..graph.graph import Graph
from ..training.fit import check_fit

if TYPE_CHECKING:
    from ..tasks import Task


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A graph, with the weights that the model had; None for a graph alone."""

    graph: Graph
    weights: Any


def start_of(subject: Any, task: Task) -> Start | None:
    """The start that a Graph, a Network or any nn.Module means; None for anything else.

    A module is traced on two samples of the task, which must fit it: `SearchError` says what does not.
    """
    import torch

    weights = None
    if isinstance(subject, Graph):
        graph = subject
    elif isinstance(subject, torch.nn.Module):
        graph, weights = _traced(subject, task)
    else:
        return None
    try:
        check_fit(graph, task)
    except NetloomError as error:
        raise SearchError(f"the network to start from does not fit task {task.name!r}: {error}") from None
    return Start(graph, weights)


def _traced(model: Any, task: Task) -> tuple[Graph, dict[str, Any]]:
    from ..building.network import Network, build
    from ..tracing.trace import trace

    if isinstance(model, Network):
        network = model
    else:
        x = next(iter(task.train.batches(2)))[0]
        try:
            graph = trace(model, x)
        except NetloomError as error:
            raise SearchError(
                f"the network to start from cannot run samples of task {task.name!r} {tuple(x.shape[1:])}, or not be traced: "
                f"{error}"
            ) from error
        network = build(graph, weights=model)
    return network.graph, {key: tensor.detach().cpu().clone() for key, tensor in network.state_dict().items()}
