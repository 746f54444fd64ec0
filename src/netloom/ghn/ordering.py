"""From a record to nodes in order of computation: parameters and what is done between them.

Entries become nodes in the order of a walk from the result; an entry with parameters becomes a node for each. Nodes are then
sorted by generation (the longest way from the input), those of one generation as they are met.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .recording import TRANSPOSED, Leaf, Record, walk


@dataclass(slots=True, eq=False)
class Place:
    """A node in the making: its kind (a type for parameters), what it stands for, and its neighbours by identity."""

    kind: str
    step: str
    leaf: Leaf | None = None
    before: dict[Place, None] = field(default_factory=dict)
    after: dict[Place, None] = field(default_factory=dict)

    __hash__ = object.__hash__


def connect(a: Place, b: Place) -> None:
    """An edge from a to b."""
    a.after[b] = b.before[a] = None


def bypass(place: Place) -> None:
    """Take a node out: those before it are joined to those after it."""
    for a in place.before:
        del a.after[place]
    for b in place.after:
        del b.before[place]
        for a in place.before:
            if a is not b:
                connect(a, b)


def ordered(record: Record) -> list[Place]:
    """The nodes in order, the input first."""
    places: list[Place] = []
    first: dict[int, Place] = {}
    last: dict[int, Place] = {}
    calls = list(walk(record.results))
    for call in calls:
        made = [Place(leaf.type, leaf.step, leaf) for leaf in call.leaves] or [Place(call.kind, call.step)]
        places += made
        first[id(call)], last[id(call)] = made[0], made[-1]
        for a, b in zip(made, made[1:]):
            connect(a, b)
    for call in calls:
        weight = next((read for read in call.reads if read.kind == TRANSPOSED), None)
        target = first[id(weight)] if weight is not None else first[id(call)]
        for read in call.reads:
            if read is not weight:
                connect(last[id(read)], target)
        if weight is not None:
            connect(target, first[id(call)])
    return _sorted(places)


def _sorted(places: list[Place]) -> list[Place]:
    start = Place("input", "input")
    for place in places:
        if not place.before:
            connect(start, place)
    index = {place: i for i, place in enumerate(places)}
    waiting = {place: len(place.before) for place in places}
    generation, found = [start], [start]
    while generation:
        coming: list[Place] = []
        for place in generation:
            for other in sorted(place.after, key=index.__getitem__):
                waiting[other] -= 1
                if not waiting[other]:
                    coming.append(other)
        found += coming
        generation = coming
    return _with_sums(found)


def _with_sums(places: list[Place]) -> list[Place]:
    """Adding a position table is two nodes: the table, which nothing comes before, and the sum."""
    found: list[Place] = []
    for place in places:
        found.append(place)
        if place.kind == "pos_enc" and place.before and place.leaf is not None:
            total = Place("add", place.step)
            for a in list(place.before):
                del a.after[place]
                connect(a, total)
            for b in list(place.after):
                del b.before[place]
                connect(total, b)
            place.before, place.after = {}, {}
            connect(place, total)
            found.append(total)
    return found
