"""The networks of `netloom.spaces.NASBench201` as sequences of six tokens: the operators of the edges of a cell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...spaces.nasbench201_cell import EDGES, OPERATIONS, parse, write
from .sequences import Sequences

if TYPE_CHECKING:
    from ...graph.graph import Graph
    from ...spaces.nasbench201 import NASBench201


class CellSequences(Sequences):
    """Sequences for a `netloom.spaces.NASBench201`: a token for each edge of the cell, in the order of its string.

    Edges that a sequence does not reach have the operator ``none``; what comes after the sixth token is not read. Of cells
    with the same network the first in order is written.

    >>> import netloom as nl
    >>> sequences = CellSequences(nl.spaces.NASBench201())
    >>> sequences.encode(sequences.decode("nor_conv_3x3 none none skip_connect nor_conv_1x1"))
    ['none', 'nor_conv_3x3', 'none', 'skip_connect', 'none', 'nor_conv_1x1']
    """

    max_length = len(EDGES)

    def __init__(self, space: NASBench201) -> None:
        self.space = space

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return OPERATIONS

    def decode(self, tokens: Iterable[str] | Iterable[int] | str) -> Graph:
        """The network of any sequence of tokens, a member of the space; `FormatError` for what is no token."""
        read = self.tokens(self.numbers(tokens))[: len(EDGES)]
        return self.space.from_string(write((*read, *[OPERATIONS[0]] * (len(EDGES) - len(read)))))

    def encode(self, graph: Graph) -> list[str]:
        """The tokens of a member of the space; `SpaceError` for any other graph."""
        return list(parse(self.space.to_string(graph)))

    def some_tokens(self, graph: Graph) -> list[str]:
        """One of the sequences of a member, found sooner than the one that `encode` gives; `SpaceError` for any other graph."""
        return list(parse(self.space.some_string(graph)))
