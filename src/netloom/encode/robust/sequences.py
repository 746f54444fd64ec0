"""What all notations have in common: tokens by name and by number."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...errors import FormatError

if TYPE_CHECKING:
    import numpy

    from ...graph.graph import Graph


class Sequences(ABC):
    """A notation: every sequence of tokens of its ``vocabulary`` decodes to a network of its space.

    ``decode(encode(graph))`` has the hash of ``graph``. `numbers` and `tokens` go between names of tokens and their places in
    the vocabulary, as generative models want them.
    """

    #: The length of the longest sequence that all networks need; None where there is no such length.
    max_length: int | None = None

    @property
    @abstractmethod
    def vocabulary(self) -> tuple[str, ...]:
        """All tokens, in the order of their numbers."""

    @abstractmethod
    def encode(self, graph: Graph) -> list[str]:
        """The tokens of a network of the space; `SpaceError` for others."""

    @abstractmethod
    def decode(self, tokens: Iterable[str] | Iterable[int] | str) -> Graph:
        """The network of any sequence of tokens, of their numbers, or of a text of tokens with spaces between them."""

    def some_tokens(self, graph: Graph) -> list[str]:
        """Tokens that decode to the network: those of `encode`, or others that are found sooner."""
        return self.encode(graph)

    def sample(self, rng: numpy.random.Generator, max_length: int = 64) -> Graph:
        """The network of a random sequence: its length and its tokens are drawn evenly.

        >>> import numpy as np
        >>> from netloom.encode.robust import Notation
        >>> Notation((1, 8, 8), 10).sample(np.random.default_rng(0)).outputs[0].shape
        (Size('N'), 10)
        """
        length = int(rng.integers(0, max_length + 1))
        return self.decode(rng.integers(0, len(self.vocabulary), length).tolist())

    @cached_property
    def _number(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.vocabulary)}

    def numbers(self, tokens: Iterable[str] | Iterable[int] | str) -> list[int]:
        """The numbers of tokens; `FormatError` names the first that is none.

        >>> from netloom.encode.robust import Notation
        >>> notation = Notation()
        >>> notation.tokens(notation.numbers("conv2d kernel=5 relu"))
        ['conv2d', 'kernel=5', 'relu']
        """
        listed: list[Any] = tokens.split() if isinstance(tokens, str) else getattr(tokens, "tolist", lambda: list(tokens))()
        number = self._number
        if listed and set(map(type, listed)) == {int} and min(listed) >= 0 and max(listed) < len(number):
            return listed
        try:
            return [number[token] for token in listed]
        except (KeyError, TypeError):
            return [self._checked(token, place) for place, token in enumerate(listed, 1)]

    def _checked(self, token: Any, place: int) -> int:
        """The number of a token that may be one itself."""
        known = self.vocabulary
        if type(token) is int:
            if 0 <= token < len(known):
                return token
            raise FormatError(f"token {place} is {token}; the notation has tokens 0 to {len(known) - 1}")
        if isinstance(token, str):
            if token in self._number:
                return self._number[token]
            near = difflib.get_close_matches(token, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the notation has {', '.join(known[:12])} …"
            raise FormatError(f"token {place}, {token[:60]!r}, is not in the notation; {hint}")
        if hasattr(token, "__index__") and not isinstance(token, bool):
            return self._checked(token.__index__(), place)
        raise FormatError(f"token {place} is {token!r:.60}; expected a token such as {known[0]!r}, or its number")

    def tokens(self, numbers: Iterable[int]) -> list[str]:
        """The tokens of these numbers."""
        return [self.vocabulary[self._checked(number, place)] for place, number in enumerate(numbers, 1)]


def grouped(tokens: Iterable[str], verbs: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Verbs with the tokens after them; what comes before the first verb is passed over.

    >>> grouped(["out=8", "conv2d", "kernel=3", "out=16", "relu"], {"conv2d", "relu"})
    [('conv2d', ('kernel=3', 'out=16')), ('relu', ())]
    """
    known = frozenset(verbs)
    found: list[tuple[str, list[str]]] = []
    for token in tokens:
        if token in known:
            found.append((token, []))
        elif found:
            found[-1][1].append(token)
    return [(verb, tuple(modifiers)) for verb, modifiers in found]
