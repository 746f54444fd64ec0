"""`latency_by_node`: where the time of a network goes, each call measured by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import MeasureError
from ..graph.subgraph import extract
from ..ops import Edge, operator
from .call_features import kind_of
from .subject import graph_of, module_of
from .timing import latency

if TYPE_CHECKING:
    import pandas

    from ..graph.graph import Graph, Step


def node_graphs(graph: Graph) -> dict[str, Graph]:
    """Node → a graph of that call alone, with fresh tensors of its own; without inputs, views and what training alone does.

    >>> import netloom as nl
    >>> x = nl.input(3, 8, 8)
    >>> graph = nl.Graph(x, nl.flatten(nl.relu(nl.conv2d(x, 4, kernel=3, name="stem"), name="act")))
    >>> {name: part.flops for name, part in node_graphs(graph).items()}
    {'stem': 7776, 'act': 0}
    """
    found = {}
    for step in graph.steps:
        kind = operator(step.op)
        if kind.family == "source" or kind.view or step.mode == "train" or not step.edges:
            continue
        entering = list(dict.fromkeys(step.edges))
        leaving = {Edge(step.name, i) for i in range(len(graph.types(step.name)))}
        found[step.name] = extract(graph, {step.name: step}, entering, leaving, lambda key: False)
    return found


def latency_by_node(network: Any, *, batch: int = 1, threads: int | None = None, **options: Any) -> pandas.DataFrame:
    """Seconds of every call of a network by itself: a row for each node, in order, and equal calls measured once.

    Columns ``node``, ``op``, ``kind`` (see `LatencyPredictor`), ``seconds``, ``share`` of the sum. Options as for `latency`.
    By itself a call has the whole cache and pays for being entered, so the sum differs from the network's latency.
    """
    import pandas as pd

    graph = graph_of(network)
    if graph is None:
        module_of(network)
        raise MeasureError(f"a {type(network).__name__} has no nodes; give a Graph or a Network, such as nl.trace gives")
    known: dict[str, float] = {}
    rows = []
    steps: dict[str, Step] = {step.name: step for step in graph.steps}
    for name, part in node_graphs(graph).items():
        if part.hash not in known:
            known[part.hash] = latency(part, batch=batch, threads=threads, **options).seconds
        rows.append((name, steps[name].op, kind_of(graph, steps[name]), known[part.hash]))
    made = pd.DataFrame(rows, columns=["node", "op", "kind", "seconds"])
    return made.assign(share=made["seconds"] / made["seconds"].sum())
