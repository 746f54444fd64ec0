"""A robust notation of networks: every sequence of tokens is one, and every network has a sequence.

>>> import netloom as nl
>>> graph = nl.encode.robust.decode(["conv2d", "out=16", "relu", "max_pool2d", "linear", "out=64", "relu"])
>>> [node.op for node in graph]
['input', 'conv2d', 'relu', 'max_pool2d', 'flatten', 'linear', 'relu', 'linear']
>>> nl.encode.robust.decode(nl.encode.robust.encode(graph)).hash == graph.hash
True
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..inputs import as_graph
from .choice_space import ChoiceSequences
from .notation import Notation
from .sequences import Sequences
from .spaces import of

if TYPE_CHECKING:
    from ...graph.graph import Graph

__all__ = ["ChoiceSequences", "Notation", "Sequences", "decode", "encode", "of", "vocabulary"]


@lru_cache(maxsize=16)
def _notation(input_shape: tuple[int, ...], num_classes: int) -> Notation:
    return Notation(input_shape, num_classes)


def encode(graph: Graph, input_shape: Sequence[int] | None = None, num_classes: int | None = None) -> list[str]:
    """The tokens of a network in the default notation, for its own input shape and number of classes unless they are given.

    `SpaceError` names the node that the notation cannot say; `Notation.covering` makes one that can.

    >>> import netloom as nl
    >>> x = nl.input(3, 32, 32)
    >>> y = nl.relu(nl.conv2d(x, 16, kernel=3, padding=1))
    >>> for _ in range(4):
    ...     y = nl.add(nl.conv2d(nl.relu(y), 16, kernel=3, padding=1), y)
    >>> print(*encode(nl.Graph(x, nl.linear(nl.flatten(y), 10))))
    conv2d out=16 relu [ relu conv2d add back=2 ] times=4
    """
    graph = as_graph(graph)
    shape, classes = _sizes_of(graph)
    return _notation(tuple(input_shape or shape), num_classes or classes).encode(graph)


def _sizes_of(graph: Graph) -> tuple[tuple[int, ...], int]:
    """Input shape and number of classes, as far as the graph has them; what it lacks, encoding it names."""
    first, last = graph.steps[0], graph.outputs[0]
    shape = tuple(graph.all_types[first.name][0].shape[1:])
    plain = shape and len(shape) < 5 and all(type(size) is int and size > 0 for size in shape)
    out = last.shape[-1] if last.shape else 1
    return shape if plain else (3, 32, 32), out if type(out) is int and out > 0 else 10


def decode(
    tokens: Iterable[str] | Iterable[int] | str, input_shape: Sequence[int] = (3, 32, 32), num_classes: int = 10
) -> Graph:
    """The network of any sequence of tokens of the default notation, of their numbers, or of a text of them.

    Every sequence is one, the empty one too: what does not fit is made to, or passed over (see `Notation`). `FormatError` for
    what is no token.

    >>> [node.op for node in decode("add kernel=7 ] from conv2d kernel=7 stride=4 out=8 conv2d stride=3 kernel=7")]
    ['input', 'conv2d', 'conv2d', 'flatten', 'linear']
    """
    return _notation(tuple(input_shape), num_classes).decode(tokens)


#: All tokens of the default notation, in the order of their numbers; worked out when it is first asked for.
vocabulary: tuple[str, ...]


def __getattr__(name: str) -> Any:
    if name == "vocabulary":
        return _notation((3, 32, 32), 10).vocabulary
    raise AttributeError(f"module 'netloom.encode.robust' has no attribute {name!r}")
