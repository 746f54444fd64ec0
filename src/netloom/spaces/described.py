"""Networks by descriptions: what is known of a sample before its graph is made, in a few hundred characters.

A space of large networks may have, beside `Space`'s methods, ``describe(rng)``, which gives the `Description` of what
``sample(rng)`` would give, and ``described(text)``, which gives the graph of a description's text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph


class Description(NamedTuple):
    """A network's hash, parameters, FLOPs, calls, calls on its longest path, and a text that its space makes it from."""

    hash: str
    num_params: int
    flops: int
    num_nodes: int
    depth: int
    text: str


def described_graph(graph: Graph, text: str) -> Description:
    """The description of a graph that is there already.

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> described_graph(nl.Graph(x, nl.relu(nl.linear(x, 2))), "small")[1:]
    (10, 16, 2, 2, 'small')
    """
    depth: dict[str, int] = {}
    for step in graph.steps:
        own = step.op not in ("input", "parameter", "constant")
        depth[step.name] = own + max([depth[edge.node] for edge in step.edges], default=0)
    calls = sum(step.op != "input" for step in graph.steps)
    return Description(graph.hash, graph.num_params, graph.flops, calls, max(depth.values()), text)


@runtime_checkable
class DescribedSpace(Protocol):
    """A space whose networks have descriptions."""

    @property
    def spec(self) -> str:
        """The text that `netloom.spaces.load` makes this space from."""
        ...

    def describe(self, rng: numpy.random.Generator) -> Description:
        """The description of what ``sample(rng)`` gives."""
        ...

    def described(self, text: str) -> Graph:
        """The graph of a description's text."""
        ...
