"""Children within a space: by its own ``mutate`` and ``cross``, or by edits of the tokens of its robust notation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError, SpaceError
from ..graph.graph import Graph

if TYPE_CHECKING:
    import numpy

    from ..encode.robust import Sequences
    from ..spaces import Space

#: What is done to tokens, with its chance.
_VERBS = {"replace": 0.6, "insert": 0.2, "remove": 0.1, "repeat": 0.1}
#: Most edits of one child, and the chance of each one beyond the first.
_MOST_EDITS, _ANOTHER = 4, 0.35


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a space made from others, and what was done: ``kind`` in a word, ``choices`` where the space has such."""

    graph: Graph
    kind: str
    choices: Mapping[str, Any] | None = field(default=None)


def notation_of(space: Space | None) -> Sequences | None:
    """The robust notation of a space; None where it has none."""
    if space is None or type(space).__hash__ is None:  # netloom's own spaces, which alone have notations, can be hashed
        return None
    return _notation(space)  # type: ignore[arg-type]


@lru_cache(maxsize=16)
def _notation(space: Any) -> Sequences | None:
    from ..encode import robust

    try:
        return robust.of(space)
    except SpaceError:
        return None


def has_own_edits(space: Any) -> bool:
    """Whether a space says itself what its neighbours are."""
    return getattr(space, "mutate", None) is not None


def neighbour(space: Any, graph: Graph, rng: numpy.random.Generator, choices: Mapping[str, Any] | None = None) -> Member | None:
    """A member that differs by what the space calls one change; None where there is none."""
    try:
        return _member(space, space.mutate(_known(space, graph, choices), rng), "neighbour")
    except NetloomError:
        return None


def crossed_member(
    space: Any, graphs: Sequence[Graph], choices: Sequence[Mapping[str, Any] | None], rng: numpy.random.Generator
) -> Member | None:
    """A member made of two by the space's own ``cross``; None where that fails."""
    try:
        one, other = (_known(space, graph, chosen) for graph, chosen in zip(graphs, choices))
        return _member(space, space.cross(one, other, rng), "crossover")
    except NetloomError:
        return None


def _known(space: Any, graph: Graph, choices: Mapping[str, Any] | None) -> Any:
    """A graph as the space can take it: spaces made of choices forget, in another process, those of old graphs."""
    if choices is None or not hasattr(space, "choices_of"):
        return graph
    try:
        space.choices_of(graph)
    except SpaceError:
        return dict(choices)
    return graph


def _member(space: Any, made: Any, kind: str) -> Member:
    if isinstance(made, Graph):
        return Member(made, kind, choices_of(space, made))
    return Member(space.graph(made), kind, dict(made))


def choices_of(space: Any, graph: Graph) -> Mapping[str, Any] | None:
    """The choices that make a graph, where its space is made of choices and knows them."""
    if not hasattr(space, "choices_of"):
        return None
    try:
        found: Mapping[str, Any] = space.choices_of(graph)
    except NetloomError:
        return None
    return found


# -- tokens ------------------------------------------------------------------------------------------------------------
def token_kinds(notation: Sequences) -> tuple[str, ...]:
    """The kinds of edits of tokens: what is put in, by the word before the equals sign; or that something goes."""
    words = dict.fromkeys(token.partition("=")[0] for token in notation.vocabulary)
    return (*words, "remove token", "repeat tokens")


def edited_tokens(
    notation: Sequences, graph: Graph, rng: numpy.random.Generator, weights: Mapping[str, float] | None = None
) -> Member | None:
    """The network of a graph's tokens after a few random edits: a member of the space, whatever the edits are.

    ``weights`` are of `token_kinds`. None for a graph that the notation cannot say.
    """
    try:
        tokens = list(notation.encode(graph))
    except NetloomError:
        return None
    kinds: list[str] = []
    for _ in range(_MOST_EDITS):
        tokens, kind = _edited(notation, tokens, rng, weights)
        kinds.append(kind)
        if rng.random() >= _ANOTHER:
            break
    return Member(notation.decode(tokens), " + ".join(dict.fromkeys(kinds)))


def _edited(
    notation: Sequences, tokens: list[str], rng: numpy.random.Generator, weights: Mapping[str, float] | None
) -> tuple[list[str], str]:
    verb = _verb(notation, tokens, rng, weights)
    place = int(rng.integers(len(tokens) + (verb == "insert"))) if tokens else 0
    if verb == "remove":
        return tokens[:place] + tokens[place + 1 :], "remove token"
    if verb == "repeat":
        end = min(place + 1 + int(rng.integers(4)), len(tokens))
        return tokens[:end] + tokens[place:], "repeat tokens"
    token = _token(notation, rng, weights)
    rest = tokens[place + 1 :] if verb == "replace" else tokens[place:]
    return [*tokens[:place], token, *rest], token.partition("=")[0]


def _verb(notation: Sequences, tokens: list[str], rng: numpy.random.Generator, weights: Mapping[str, float] | None) -> str:
    if not tokens:
        return "insert"
    if notation.max_length is not None and len(tokens) >= notation.max_length:
        return "replace"  # every sequence has this length: there is no room for more, and none to spare
    chances = dict(_VERBS)
    if weights is not None:
        put = sum(max(w, 0.0) for kind, w in weights.items() if kind not in ("remove token", "repeat tokens"))
        chances = {
            "replace": 0.75 * put, "insert": 0.25 * put, "remove": max(weights.get("remove token", 0.0), 0.0),
            "repeat": max(weights.get("repeat tokens", 0.0), 0.0),
        }  # fmt: skip
    return _drawn(list(chances), list(chances.values()), rng)


def _token(notation: Sequences, rng: numpy.random.Generator, weights: Mapping[str, float] | None) -> str:
    vocabulary = notation.vocabulary
    if weights is None:
        return vocabulary[int(rng.integers(len(vocabulary)))]
    words = [token.partition("=")[0] for token in vocabulary]
    return _drawn(vocabulary, [max(weights.get(word, 0.0), 0.0) / words.count(word) for word in words], rng)


def _drawn(options: Sequence[str], chances: Sequence[float], rng: numpy.random.Generator) -> str:
    total = sum(chances)
    place = float(rng.random()) * total
    if not total > 0:
        return options[int(rng.integers(len(options)))]
    for option, chance in zip(options, chances):
        place -= chance
        if place < 0:
            return option
    return [option for option, chance in zip(options, chances) if chance > 0][-1]


def crossed_tokens(notation: Sequences, one: Graph, other: Graph, rng: numpy.random.Generator) -> Member | None:
    """The network of one graph's tokens with a stretch of the other's, from the same relative places, in the stead of its own.

    What sophius planned for its sequences of layers. None for a graph that the notation cannot say.
    """
    try:
        mine, theirs = list(notation.encode(one)), list(notation.encode(other))
    except NetloomError:
        return None
    start, end = sorted(float(number) for number in rng.random(2))
    if rng.random() < 0.5:
        end = 1.0  # one cut: the head of one, the tail of the other
    cut = [round(share * len(mine)) for share in (start, end)]
    piece = theirs[round(start * len(theirs)) : round(end * len(theirs))]
    return Member(notation.decode([*mine[: cut[0]], *piece, *mine[cut[1] :]]), "crossover")
