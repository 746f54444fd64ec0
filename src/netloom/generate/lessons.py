"""Networks without a score of their own to learn from: samples of the space, and neighbours of those that have one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import NetloomError

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from .families import Family

Array = np.ndarray[Any, Any]
#: A network and the numbers of its tokens.
Written = tuple["Graph", list[int]]

#: The chances of replacing, putting in and taking out a token; of one more edit after each.
_EDITS, _ANOTHER = (0.6, 0.25, 0.15), 0.4
#: Draws for each network that is wanted.
_TRIES = 3


def unlabelled(
    family: Family, sequences: Sequence[list[int]], ranks: Array, count: int, most_tokens: int, rng: np.random.Generator
) -> list[Written]:
    """Up to ``count`` networks with other sequences: half of them samples, half edits of ``sequences``, good ones more often.

    ``ranks`` (N,) go from 0 (worst) to 1 (best). Where the family cannot be sampled all are edits.
    """
    # Told apart by their sequences: hashes of large networks would take longer than all that is learned from them.
    found: dict[tuple[int, ...], Written] = {}
    left_out = set(map(tuple, sequences))
    vocabulary, fixed = len(family.notation.vocabulary), family.notation.max_length
    chances = np.exp(3.0 * ranks)
    chances /= chances.sum()
    for i in range(_TRIES * count):
        if len(found) >= count:
            break
        try:
            sampled = _sampled(family, rng) if i % 2 else None
            if sampled is None:
                near = sequences[int(rng.choice(len(sequences), p=chances))]
                sampled = written(family, edited(near, vocabulary, fixed, rng))
        except NetloomError:  # a network that the notation writes and cannot read
            continue
        graph, sequence = sampled
        if len(sequence) <= most_tokens and tuple(sequence) not in left_out:
            found.setdefault(tuple(sequence), (graph, sequence))
    return list(found.values())


def written(family: Family, sequence: list[int]) -> Written:
    """The network of any sequence, with the sequence that is written for it; `SpaceError` where it is no member."""
    from ..errors import SpaceError

    graph = family.notation.decode(sequence)
    if not family.contains(graph):
        raise SpaceError(f"{graph!r} is no member of the space")
    # Where all sequences have one length, each of a network's is as good as another.
    return graph, sequence if family.notation.max_length is not None else family.sequence(graph)


def _sampled(family: Family, rng: np.random.Generator) -> Written | None:
    length = family.notation.max_length
    if length is not None:
        sequence = rng.integers(0, len(family.notation.vocabulary), length).tolist()
        return family.notation.decode(sequence), sequence
    graph = family.sample(rng)
    return None if graph is None else (graph, family.sequence(graph))


def edited(sequence: list[int], vocabulary: int, fixed: int | None, rng: np.random.Generator) -> list[int]:
    """A sequence after one or a few random edits; with ``fixed`` length tokens are only replaced.

    >>> len(edited([1, 2, 3], 5, 3, np.random.default_rng(1)))
    3
    """
    found = list(sequence)
    while True:
        kind = int(rng.choice(3, p=_EDITS)) if fixed is None and found else 0 if found else 1
        token = int(rng.integers(vocabulary))
        place = int(rng.integers(len(found) + (kind == 1)))
        if kind == 0:
            found[place] = token
        elif kind == 1:
            found.insert(place, token)
        else:
            del found[place]
        if rng.random() >= _ANOTHER:
            return found
