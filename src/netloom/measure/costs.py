"""Measurements as functions of a graph: wherever a cost is asked for, in `nl.prune`, caps and objectives of searches."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .activations import activation_bytes
from .subject import whole_number
from .timing import latency

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..graph.graph import Graph

#: Measurements that a cost remembers, by the hash of the graph.
_REMEMBERED = 10_000


@dataclass(frozen=True)
class Cost:
    """A named cost of a graph, measured once for each hash; goes to other processes without what it remembers."""

    name: str
    unit: str
    measure: Callable[..., float]
    settings: dict[str, Any]
    _known: OrderedDict[str, float] = field(default_factory=OrderedDict, repr=False, compare=False)

    def __call__(self, graph: Graph) -> float:
        """The cost of a graph, in ``unit``."""
        key = graph.hash
        if key not in self._known:
            self._known[key] = float(self.measure(graph, **self.settings))
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return self._known[key]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": OrderedDict()}


def latency_cost(*, batch: int = 1, threads: int | None = None, train: bool = False, **options: Any) -> Cost:
    """Seconds of one call as a function of a graph, measured; further options as for `latency`.

    >>> import netloom as nl
    >>> x = nl.input(3, 8, 8)
    >>> graph = nl.Graph(x, nl.linear(nl.flatten(nl.conv2d(x, 32, kernel=3)), 10))
    >>> cost = nl.measure.latency_cost(repeats=5, threads=1)
    >>> cost(graph) > 0, cost(graph) == cost(graph)
    (True, True)
    """
    whole_number("batch", batch)
    settings = {"batch": batch, "threads": threads, "train": train, **options}
    return Cost("latency", "seconds", latency_seconds, settings)


def memory_cost(*, batch: int = 1, train: bool = False, **options: Any) -> Cost:
    """Peak bytes of one call as a function of a graph, measured; options as for `memory`."""
    whole_number("batch", batch)
    return Cost("memory", "bytes", peak_bytes, {"batch": batch, "train": train, **options})


def activation_cost(*, batch: int = 1, train: bool = False) -> Cost:
    """Bytes of inner values as a function of a graph, worked out without running it (see `activation_bytes`)."""
    whole_number("batch", batch)
    return Cost("activations", "bytes", activation_bytes, {"batch": batch, "train": train})


def latency_seconds(graph: Graph, **settings: Any) -> float:
    """The median seconds that `latency` finds."""
    return latency(graph, **settings).seconds


def peak_bytes(graph: Graph, **settings: Any) -> float:
    """The peak that `memory` finds."""
    from .peaks import memory

    return memory(graph, **settings).peak_bytes


def measured(store: Any, metric: str | None = None, **filters: Any) -> tuple[list[Graph], list[float]]:
    """Graphs of a store and what their evaluations say of a metric, for ``LatencyPredictor().fit(*measured(store))``.

    ``metric`` is a name among the ``metrics`` of evaluations; without one ``latency_seconds`` or ``latency``, which searches
    record. A graph with several evaluations has the median of them. ``filters`` as for ``store.evaluations``.
    """
    from statistics import median

    names = ("latency_seconds", "latency") if metric is None else (metric,)
    values: dict[str, list[float]] = {}
    frame = store.evaluations(**filters)
    for id, graph_hash in zip(frame["id"], frame["graph_hash"]):
        metrics = store.evaluation(int(id))[1].metrics
        found = next((metrics[name] for name in names if name in metrics), None)
        if found is not None:
            values.setdefault(graph_hash, []).append(float(found))
    return [store.graph(hash) for hash in values], [median(found) for found in values.values()]
