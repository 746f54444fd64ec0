"""Networks by descriptions: what is known of a sample before its graph is made, in a few hundred characters.

A space of large networks may have, beside `Space`'s methods, ``describe(rng)``, which gives the `Description` of what
``sample(rng)`` would give (or None where it cannot), and ``described(text)``, which gives the graph of a description's text.
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


@runtime_checkable
class DescribedSpace(Protocol):
    """A space whose networks have descriptions."""

    @property
    def spec(self) -> str:
        """The text that `netloom.spaces.load` makes this space from."""
        ...

    def describe(self, rng: numpy.random.Generator) -> Description | None:
        """The description of what ``sample(rng)`` gives."""
        ...

    def described(self, text: str) -> Graph:
        """The graph of a description's text."""
        ...
