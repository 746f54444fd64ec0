"""The signals of many graphs at once: what `signal_flow.signal` finds, by arrays over all their calls.

The graphs are walked side by side, position by position, so that a hundred thousand of them cost a few hundred steps of numpy
for each few thousand graphs. Segments are told apart by a hash of 64 bits; each different one is looked at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..graph.tree import edges
from ..ops import Edge
from .signal_flow import Segment
from .vocabulary import Call, Role, call_of, known_call

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..graph.step import Step

Array = np.ndarray[Any, Any]

#: Graphs that are best walked side by side; the most entries of a table in which names are looked up.
AT_ONCE = 2000
_MOST_NAMES = 20_000_000
#: Live sources that a call needs to be a call of the signal, by role; fewer are handed on.
_NEEDED = {Role.WORK: 1, Role.HAND_ON: 2, Role.JOIN: 2, Role.STOP: 1 << 30, Role.BEGIN: 0}


class Segments:
    """The different segments that were met, in order; each has its place as its number."""

    def __init__(self) -> None:
        self.found: list[Segment] = []
        self.by_hash: dict[int, int] = {}


class Signals(NamedTuple):
    """Signals of N graphs, one after the other.

    ``chain[chain_bounds[i] : chain_bounds[i + 1]]`` are the numbers of graph i's segments; its steps are those from
    ``bounds[i]`` on, with their ``labels``: ``calls[number]`` is what each makes, ``first_read`` the place of what it reads
    first (its own where it reads nothing). ``live`` are the places among all steps of the calls in its signal; ``target`` and
    ``source`` (E,) are the places in ``live`` that the edges of the signal lead to and come from.
    """

    chain: Array
    chain_bounds: Array
    calls: list[Call]
    number: Array
    first_read: Array
    labels: Array
    bounds: Array
    live: Array
    live_bounds: Array
    target: Array
    source: Array


def signals(graphs: Sequence[Graph], segments: Segments) -> Signals:
    """The signals of graphs; segments that are new join ``segments``.

    >>> import netloom as nl
    >>> x = nl.input(8)
    >>> y = nl.relu(nl.linear(x, 8))
    >>> segments = Segments()
    >>> found = signals([nl.Graph(x, y), nl.Graph(x, nl.linear(y, 8))], segments)
    >>> found.chain.tolist(), found.chain_bounds.tolist(), len(segments.found)
    ([0, 1, 2, 0, 1, 2, 1], [0, 3, 7], 3)
    """
    calls = _calls(graphs)
    return _cut(calls, _places(calls), len(graphs), segments)


def _bounds(counts: Array) -> Array:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)


class _Calls(NamedTuple):
    """All calls of some graphs, graph by graph, and what they read, as places among them."""

    different: list[Call]
    number: Array
    graph: Array
    position: Array
    label: Array
    role: Array
    target: Array
    source: Array
    #: The place of what each reads first.
    first_read: Array
    #: The edges in the order of their target's position in its graph.
    by_position: Array
    #: Places of the results, and the graph of each.
    result: Array
    result_graph: Array


def _calls(graphs: Sequence[Graph]) -> _Calls:
    steps: list[Step] = []
    for graph in graphs:
        steps += graph.steps
    sizes = np.array([len(graph.steps) for graph in graphs])
    numbers = _Numbers()
    number = np.fromiter(map(numbers.__getitem__, map(id, steps)), np.int32, len(steps))
    first = np.empty(len(numbers), dtype=np.intp)
    first[number[::-1]] = np.arange(len(steps))[::-1]
    different = []
    for i in first.tolist():
        step = steps[i]
        call = known_call(id(step))
        different.append(call if call is not None and call.step is step else call_of(step))
    names: dict[str, int] = {}
    own = np.array([names.setdefault(call.step.name, len(names)) for call in different])
    reads = np.array([names[name] for call in different for name in call.reads], dtype=np.intp)
    num_reads = np.array([len(call.reads) for call in different])
    begins = np.cumsum(num_reads) - num_reads

    of_step = np.repeat(np.arange(len(graphs), dtype=np.int32), sizes)
    lookup = _Lookup(of_step.astype(np.int64) * len(names) + own[number], len(graphs) * len(names))
    counts = num_reads[number]
    target = np.repeat(np.arange(len(steps), dtype=np.int32), counts)
    first = np.cumsum(counts) - counts
    nth = np.arange(len(target)) - np.repeat(first, counts)
    source = lookup(of_step[target].astype(np.int64) * len(names) + reads[np.repeat(begins[number], counts) + nth])
    first_read = np.arange(len(steps), dtype=np.int32)
    first_read[counts > 0] = source[first[counts > 0]]
    results = [_results(graph.result) for graph in graphs]
    result_graph = np.repeat(np.arange(len(graphs)), [len(found) for found in results])
    result = lookup(result_graph * len(names) + np.array([names[name] for found in results for name in found], dtype=np.intp))
    position = np.arange(len(steps)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # Sorting numbers of 16 bits takes one pass.
    of_edge = position[target]
    by_position = np.argsort(of_edge.astype(np.uint16) if sizes.max() < 65536 else of_edge, kind="stable").astype(np.int32)
    label, role = np.array([call.label for call in different])[number], np.array([call.role for call in different])[number]
    return _Calls(
        different, number, of_step, position, label, role, target, source, first_read, by_position, result, result_graph
    )


class _Numbers(dict[int, int]):
    """Numbers from 0 in the order in which they are asked for."""

    def __missing__(self, key: int) -> int:
        made = self[key] = len(self)
        return made


class _Lookup:
    """Places of keys, each of which is there once: a table where that is small enough, else a search."""

    def __init__(self, keys: Array, size: int) -> None:
        places = np.arange(len(keys), dtype=np.int32)
        self._table: Array | None = None
        if size <= _MOST_NAMES:
            self._table = np.zeros(size, dtype=np.int32)
            self._table[keys] = places
        else:
            order = np.argsort(keys)
            self._sorted: Array = keys[order]
            self._places: Array = places[order]

    def __call__(self, keys: Array) -> Array:
        if self._table is not None:
            return self._table[keys]
        return self._places[np.searchsorted(self._sorted, keys)]


def _results(result: Any) -> list[str]:
    return [result.node] if type(result) is Edge else [edge.node for edge in edges(result)]


def _places(calls: _Calls) -> Array:
    """For every call the call of the signal that its value is that of: itself, one before it, or −1 where it has none."""
    everyone = np.arange(len(calls.label), dtype=np.int32)
    place = np.where(calls.role == Role.BEGIN, everyone, np.int32(-1))
    needed = np.array([_NEEDED[role] for role in sorted(_NEEDED)])[calls.role]
    for targets, sources, starts in _levels(calls):
        found = place[sources]
        least = needed[targets]
        handed_on = np.maximum.reduceat(found, starts)
        handed_on[least == _NEEDED[Role.STOP]] = -1
        place[targets] = np.where(np.add.reduceat(found >= 0, starts, dtype=np.int32) >= least, targets, handed_on)
    return place


def _levels(calls: _Calls) -> list[tuple[Array, Array, Array]]:
    """Calls that read something, position by position: which, what they read, and where each one's begin."""
    target, source = calls.target[calls.by_position], calls.source[calls.by_position]
    of_edge = calls.position[target]
    begins = np.flatnonzero(np.diff(target, prepend=-1))
    edge_bounds = np.flatnonzero(np.diff(of_edge, prepend=-1))
    call_bounds = np.searchsorted(begins, edge_bounds)
    found = []
    for i, edge in enumerate(edge_bounds.tolist()):
        last = edge_bounds[i + 1] if i + 1 < len(edge_bounds) else len(target)
        starts = begins[call_bounds[i] : call_bounds[i + 1] if i + 1 < len(call_bounds) else len(begins)]
        found.append((target[starts], source[edge:last], starts - edge))
    return found


def _alive(calls: _Calls, source: Array, kept: Array, result: Array) -> Array:
    """Which calls reach a result; ``source`` (E,) is what edges bring, ``kept`` (E,) says which are edges of the signal."""
    alive = np.zeros(len(calls.label), dtype=bool)
    alive[result] = True
    order = calls.by_position[kept[calls.by_position]]
    target, source = calls.target[order], source[order]
    bounds = [*np.flatnonzero(np.diff(calls.position[target], prepend=-1)).tolist(), len(target)]
    for begin, end in zip(reversed(bounds[:-1]), reversed(bounds[1:])):
        alive[source[begin:end][alive[target[begin:end]]]] = True
    return alive


def _cut(calls: _Calls, place: Array, num_graphs: int, segments: Segments) -> Signals:
    """What reaches the results, cut after every call that is all the later ones read."""
    itself = place == np.arange(len(place))
    source = place[calls.source]
    kept = itself[calls.target] & (source >= 0)
    reached = place[calls.result] >= 0
    result, result_graph = place[calls.result[reached]], calls.result_graph[reached]
    alive = _alive(calls, source, kept, result)
    live = np.flatnonzero(alive)
    number = np.cumsum(alive, dtype=np.int32) - np.int32(1)
    used = kept & alive[calls.target]
    target, source = number[calls.target[used]], number[source[used]]
    num_live = np.bincount(calls.graph[live], minlength=num_graphs)
    ends = np.cumsum(num_live)
    # Edges are in the order of what they lead to, so that the last one written is the last that reads.
    last = np.arange(len(live))
    last[source] = target
    last[number[result]] = ends[result_graph]
    before = np.concatenate([[0], np.maximum.accumulate(last)[:-1]]) if len(live) else last
    cut = before <= np.arange(len(live))
    cut[ends[num_live > 0] - 1] = True
    begins = np.concatenate([[0], np.flatnonzero(cut)[:-1] + 1]) if len(live) else np.zeros(0, dtype=np.intp)
    labels = calls.label[live]
    hashes = _hashes(labels, target, target - source, begins)
    numbers = _numbered(hashes, begins, np.append(begins[1:], len(live)), labels, target, source, segments)
    num_segments = np.bincount(calls.graph[live[begins]], minlength=num_graphs)
    num_steps = np.bincount(calls.graph, minlength=num_graphs)
    return Signals(
        numbers, _bounds(num_segments), calls.different, calls.number, calls.first_read, calls.label, _bounds(num_steps), live,
        _bounds(num_live), target, source,
    )  # fmt: skip


def _numbered(
    hashes: Array, begins: Array, ends: Array, labels: Array, target: Array, source: Array, segments: Segments
) -> Array:
    """The number of every segment; those that are new join ``segments``."""
    different, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    numbers = np.array([segments.by_hash.get(code, -1) for code in different.tolist()], dtype=np.intp)
    new = np.flatnonzero(numbers < 0)
    # By first place, so that numbers do not depend on hashes.
    new = new[np.argsort(first[new])]
    begins, ends = begins[first[new]], ends[first[new]]
    bounds = np.searchsorted(target, np.stack([begins, ends]).astype(target.dtype))
    for i, begin, end, a, b in zip(new.tolist(), begins.tolist(), ends.tolist(), *bounds.tolist()):
        distances: list[list[int]] = [[] for _ in range(end - begin)]
        for to, of in zip(target[a:b].tolist(), source[a:b].tolist()):
            distances[to - begin].append(to - of)
        numbers[i] = segments.by_hash[int(different[i])] = len(segments.found)
        segments.found.append(tuple([(label, *reads) for label, reads in zip(labels[begin:end].tolist(), distances)]))
    return numbers[inverse]


def _hashes(labels: Array, target: Array, distance: Array, begins: Array) -> Array:
    """A number of 64 bits for every segment: of labels and distances in their order."""
    if not len(labels):
        return np.zeros(0, dtype=np.uint64)
    code = mixed(labels.astype(np.uint64) + np.uint64(1))
    starts = np.flatnonzero(np.diff(target, prepend=-1))
    if len(starts):
        counts = np.diff(np.append(starts, len(target)))
        nth = np.arange(len(target)) - np.repeat(starts, counts)
        read = mixed((distance.astype(np.uint64) << np.uint64(24)) + nth.astype(np.uint64) + np.uint64(0x5851F42D))
        code[target[starts]] ^= mixed(np.add.reduceat(read, starts))
    place = np.arange(len(labels)) - np.repeat(begins, np.diff(np.append(begins, len(labels))))
    return np.add.reduceat(mixed(code + mixed(place.astype(np.uint64) + np.uint64(0x2545F491))), begins)


def mixed(x: Array) -> Array:
    """The finaliser of splitmix64 (Steele, Lea and Flood, 2014)."""
    x = (x + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
