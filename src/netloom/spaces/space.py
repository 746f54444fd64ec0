"""`Space`: what every space can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph


@runtime_checkable
class Space(Protocol):
    """A set of architectures that can be sampled.

    ``sample`` uses no randomness but the generator's: the same generator state gives the same graph, on every machine.
    ``contains`` is true of every sample, of the same computation under other names, and of nothing that cannot be sampled.
    """

    @property
    def spec(self) -> str:
        """The text that `netloom.spaces.load` makes this space from; empty where it has none."""
        ...

    def sample(self, rng: numpy.random.Generator) -> Graph:
        """A random member."""
        ...

    def contains(self, graph: Graph) -> bool:
        """Whether the graph is a member."""
        ...
