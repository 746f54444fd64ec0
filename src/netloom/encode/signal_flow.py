"""The signal of a graph: what is left of it when everything is dropped that changes nothing.

Calls whose results never reach an output, or that no input reaches, are gone; so is what only changes the form of a value,
a sum of one value, and a product with zero together with all that hangs on it alone. What is left is cut wherever one value
is all that goes on: into *segments*, the same few in most graphs of a space.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ..graph.tree import edges
from .vocabulary import Role, call_of, known_call

if TYPE_CHECKING:
    from ..graph.graph import Graph

#: A segment: for every call its label and how many calls before it the calls stand that it reads; in order.
Segment = tuple[tuple[int, ...], ...]


#: Segments of the longest run that counts as one unit.
_LONGEST = 12


class Signal(NamedTuple):
    """Segments in order; labels of all calls, dead ones included; the places of the live calls among the steps, in order."""

    segments: tuple[Segment, ...]
    labels: list[int]
    live: list[int]


def signal(graph: Graph) -> Signal:
    """The signal of a graph, the inputs included; without any segment where no input reaches an output.

    >>> import netloom as nl
    >>> x = nl.input(8)
    >>> y = nl.relu(nl.linear(x, 8))
    >>> graph = nl.Graph(x, nl.add(y, nl.mul(nl.linear(y, 8), 0.0)))
    >>> from netloom.encode.vocabulary import LABELS
    >>> [[LABELS[label].name for label, *_ in segment] for segment in signal(graph).segments]
    [['input'], ['linear'], ['relu']]
    """
    place: dict[str, int] = {}
    labels: list[int] = []
    reads: list[tuple[int, ...]] = []
    origin: list[int] = []
    everything: list[int] = []
    for position, step in enumerate(graph.steps):
        call = known_call(id(step))
        if call is None or call.step is not step:
            call = call_of(step)
        _, label, role, read = call
        everything.append(label)
        if role == Role.BEGIN:
            sources: tuple[int, ...] = ()
        elif len(read) == 1:
            source = place[read[0]]
            if source < 0 or role:
                # A call that joins, given one value, hands it on.
                place[step.name] = -1 if role == Role.STOP else source
                continue
            sources = (source,)
        else:
            sources = tuple([source for name in read if (source := place[name]) >= 0])
            if not sources or role == Role.STOP:
                place[step.name] = -1
                continue
            if role and len(sources) == 1:
                place[step.name] = sources[0]
                continue
        place[step.name] = len(labels)
        labels.append(label)
        reads.append(sources)
        origin.append(position)
    results = [place[edge.node] for edge in edges(graph.result) if place[edge.node] >= 0]
    return _cut(labels, reads, origin, results, everything)


def _cut(
    labels: list[int], reads: list[tuple[int, ...]], origin: list[int], results: list[int], everything: list[int]
) -> Signal:
    """What reaches ``results``, cut after every call that is all the later ones read."""
    alive = [False] * len(labels)
    for result in results:
        alive[result] = True
    for i in range(len(labels) - 1, -1, -1):
        if alive[i]:
            for source in reads[i]:
                alive[source] = True
    number = [0] * len(labels)
    kept: list[int] = []
    calls: list[tuple[int, ...]] = []
    last: list[int] = []
    for i, live in enumerate(alive):
        if live:
            here = number[i] = len(kept)
            sources = [number[source] for source in reads[i]]
            for source in sources:
                last[source] = here
            kept.append(i)
            calls.append((labels[i], *[here - source for source in sources]))
            last.append(here)
    for result in results:
        last[number[result]] = len(kept)
    segments: list[Segment] = []
    begun = read_until = 0
    for i, until in enumerate(last):
        if read_until <= i:
            segments.append(tuple(calls[begun : i + 1]))
            begun = i + 1
        if until > read_until:
            read_until = until
    if begun < len(calls):
        segments.append(tuple(calls[begun:]))
    return Signal(tuple(segments), everything, [origin[i] for i in kept])


def units(segments: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Segments, by number, with repeated runs of up to 12 taken together: the cells of a stack of cells.

    The run that is repeated most often comes first, then what is left on either side.

    >>> units((0, 1, 2, 1, 2, 1, 2, 3))
    [(0,), (1, 2), (1, 2), (1, 2), (3,)]
    """
    number: dict[int, int] = {}
    found: list[tuple[int, ...]] = []
    begin = 0
    # Only what is equal to what matters, so that most networks of a space are divided alike.
    for length in _lengths(tuple([number.setdefault(segment, len(number)) for segment in segments])):
        found.append(segments[begin : begin + length])
        begin += length
    return found


@lru_cache(maxsize=50_000)
def _lengths(segments: tuple[int, ...]) -> tuple[int, ...]:
    """Lengths of the units of segments that are numbered in the order of their first places."""
    before: dict[int, int] = {}
    periods: set[int] = set()
    for i, segment in enumerate(segments):
        if segment in before:
            periods.add(i - before[segment])
        before[segment] = i
    if not periods or periods == {1}:
        return (1,) * len(segments)
    found: list[tuple[int, ...]] = []
    _divide(segments, 0, len(segments), sorted(p for p in periods if p <= _LONGEST), found)
    return tuple(map(len, found))


def _divide(segments: tuple[int, ...], start: int, stop: int, periods: list[int], found: list[tuple[int, ...]]) -> None:
    best = (1, 0, 0)
    for period in periods:
        if 2 * period > stop - start:
            break
        i = start
        while i < stop - period:
            j = i
            while j < stop - period and segments[j] == segments[j + period]:
                j += 1
            times = (j - i) // period + 1
            if times > best[0] or (times == best[0] > 1 and period > best[1]):
                best = (times, period, i)
            i = j + 1
    times, period, begin = best
    if times == 1:
        found.extend((segments[i],) for i in range(start, stop))
        return
    _divide(segments, start, begin, periods, found)
    found.extend(tuple(segments[begin + k * period : begin + (k + 1) * period]) for k in range(times))
    _divide(segments, begin + times * period, stop, periods, found)
