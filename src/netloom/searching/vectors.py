"""Sizes of a network as a vector: the networks that differ from a template in numbers alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError
from .space_edits import has_own_edits, notation_of

if TYPE_CHECKING:
    from ..encode.robust import Sequences
    from ..graph.graph import Graph

#: Sizes that are tried for a layer lie within this factor of its own; and how many of them at most.
_FACTOR, _MOST_VALUES = 4.0, 33


@dataclass(frozen=True, slots=True)
class Coordinate:
    """One size: its name, the values that it may have in ascending order, and which of them the template has."""

    name: str
    values: tuple[Any, ...]
    place: int

    @property
    def start(self) -> float:
        """Where the template lies between 0 and 1."""
        return self.place / (len(self.values) - 1)

    def value(self, x: float) -> Any:
        """The value nearest to a number between 0 and 1."""
        return self.values[round(min(max(x, 0.0), 1.0) * (len(self.values) - 1))]


@dataclass(frozen=True, slots=True)
class VectorSpace:
    """The networks with the structure of a template: numbers between 0 and 1, one for each coordinate, to a graph."""

    coordinates: tuple[Coordinate, ...]
    make: Callable[[Sequence[Any]], Graph]

    @property
    def start(self) -> list[float]:
        """The template's own vector (D,)."""
        return [coordinate.start for coordinate in self.coordinates]

    def graph(self, x: Sequence[float]) -> Graph | None:
        """The network of a vector (D,); None where there is none of these sizes."""
        try:
            return self.make([coordinate.value(number) for coordinate, number in zip(self.coordinates, x)])
        except NetloomError:
            return None


def vector_space(space: Any, template: Graph, choices: Mapping[str, Any] | None = None) -> VectorSpace:
    """The networks that share a template's structure, within the space where it has a notation or is made of choices.

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> found = vector_space(None, nl.Graph(x, nl.linear(nl.linear(x, 8, name="hidden"), 2)))
    >>> [coordinate.name for coordinate in found.coordinates], [node.out_size for node in found.graph([1.0])]
    (['hidden'], [4, 32, 2])
    """
    if hasattr(space, "choices_of"):
        return _of_choices(space, template, choices)
    notation = notation_of(space)
    if notation is not None:
        return _of_tokens(notation, template)
    if has_own_edits(space):
        return VectorSpace((), lambda values: template)
    return _of_sizes(template)


def _of_sizes(template: Graph) -> VectorSpace:
    """All sizes that may change, between a quarter and four times their own, on a logarithmic scale."""
    from ..mutate import analyse
    from ..mutate.resizing import resize

    dims = analyse(template)
    atoms = [atom for atom in dims.free if isinstance(atom.size, int) and atom.size > 0]
    coordinates = []
    for atom in atoms:
        ratio = _FACTOR ** (2 / (_MOST_VALUES - 1))
        sizes = {max(1, round(atom.size * ratio**step)) for step in range(-(_MOST_VALUES // 2), _MOST_VALUES // 2 + 1)}
        values = tuple(sorted(sizes | {atom.size}))
        if len(values) > 1:
            coordinates.append(Coordinate(atom.id, values, values.index(atom.size)))

    def make(values: Sequence[Any]) -> Graph:
        codes = {}
        for coordinate, size in zip(coordinates, values):
            old = coordinate.values[coordinate.place]
            codes[coordinate.name] = [*range(min(old, size)), *[-1] * (size - old)]
        return resize(dims, codes)[0]

    return VectorSpace(tuple(coordinates), make)


def _of_choices(space: Any, template: Graph, choices: Mapping[str, Any] | None) -> VectorSpace:
    """The choices of a function that are numbers."""
    try:
        run = space._replayed(template if choices is None else choices)
    except NetloomError:
        return VectorSpace((), lambda values: template)
    coordinates = []
    for name, domain in run.domains.items():
        values = _numbers(domain)
        if len(values) > 1 and run.choices[name] in values:
            coordinates.append(Coordinate(name, values, values.index(run.choices[name])))

    def make(values: Sequence[Any]) -> Graph:
        changed = {coordinate.name: value for coordinate, value in zip(coordinates, values)}
        found: Graph = space.graph({**run.choices, **changed})
        return found

    return VectorSpace(tuple(coordinates), make)


def _numbers(domain: Any) -> tuple[Any, ...]:
    """The values of a domain in ascending order where all are whole numbers, at most so many of them; else none."""
    possible = domain.possible
    if possible is None or not all(type(value) is int for value in possible):
        return ()
    return tuple(sorted(possible)) if len(possible) <= 1024 else ()


def _of_tokens(notation: Sequences, template: Graph) -> VectorSpace:
    """The attributes that a notation says by numbers (``out=16``), after every operator of the template that heeds them."""
    levels: dict[str, list[int]] = {}
    for token in notation.vocabulary:
        word, equals, number = token.partition("=")
        if equals and number.isdecimal():
            levels.setdefault(word, []).append(int(number))
    try:
        tokens = list(notation.encode(template))
    except NetloomError:
        return VectorSpace((), lambda values: template)
    slots: list[tuple[int, str]] = []
    coordinates = []
    for place, token in enumerate(tokens):
        for word, numbers in levels.items() if "=" not in token else ():
            values = tuple(sorted(set(numbers)))
            hashes = [notation.decode(_said(tokens, {(place, word): value})).hash for value in values]
            if len(set(hashes)) > 1 and template.hash in hashes:
                slots.append((place, word))
                coordinates.append(Coordinate(f"{token} {place} {word}", values, hashes.index(template.hash)))

    def make(values: Sequence[Any]) -> Graph:
        return notation.decode(_said(tokens, dict(zip(slots, values))))

    return VectorSpace(tuple(coordinates), make)


def _said(tokens: Sequence[str], wanted: Mapping[tuple[int, str], int]) -> list[str]:
    """Tokens with attributes of operators, by their places, said anew."""
    found: list[str] = []
    current = -1
    for place, token in enumerate(tokens):
        word, equals, _ = token.partition("=")
        if equals:
            if (current, word) not in wanted:
                found.append(token)
            continue
        current = place
        found.append(token)
        found += [f"{name}={value}" for (at, name), value in wanted.items() if at == place]
    return found
