"""The signals of many graphs at once: what `signal_flow.signal` finds, by arrays over the calls of their different blocks.

Blocks are walked side by side, position by position. What a graph's signal is follows from its blocks: where one hands nothing
on, nothing is left of it. A graph with a block that forgets what comes in, or with an input after a block that hands nothing
on, is one block. Segments are told apart by a hash of 64 bits; each different one is looked at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .hash_mixing import mixed
from .signal_blocks import Blocks, Raw, spread
from .signal_flow import Segment
from .step_variants import Variants
from .vocabulary import KINDS, LABELS, NUMBER, Label, Role, place_of

if TYPE_CHECKING:
    from ..graph.graph import Graph

Array = np.ndarray[Any, Any]

#: Blocks that are walked side by side.
_AT_ONCE = 4000
#: Live sources that a call needs to be a call of the signal, by role; fewer are handed on.
_NEEDED = {Role.WORK: 1, Role.HAND_ON: 2, Role.JOIN: 2, Role.STOP: 1 << 30, Role.BEGIN: 0}


class Segments:
    """The different segments that were met, in order; each has its place as its number."""

    def __init__(self) -> None:
        self.found: list[Segment] = []
        self.by_hash: dict[int, int] = {}


class BlockSignals(NamedTuple):
    """Signals of different blocks (D,), one after the other.

    ``chain[chain_bounds[i] : chain_bounds[i + 1]]`` are the numbers of block i's segments, ``labels`` and ``variants`` of its
    live calls those from ``live_bounds[i]`` on; edges from ``edge_bounds[i]`` on lead between live calls, as places in the
    block, −1 for the value that comes in. ``kinds`` (D, K) counts all its calls by kind, ``num_steps`` all.
    """

    chain: Array
    chain_bounds: Array
    labels: Array
    variants: Array
    live_bounds: Array
    target: Array
    source: Array
    edge_bounds: Array
    kinds: Array
    num_steps: Array
    #: Whether a block hands on a value, whether that hangs on the one that comes in, and whether an input begins in it.
    hands_on: Array
    keeps: Array
    begins: Array


class Signals(NamedTuple):
    """Signals of N graphs: ``block[bounds[i] : bounds[i + 1]]`` are the numbers of graph i's blocks in ``of``.

    Nothing is left of a graph that is ``silent`` (N,).
    """

    block: Array
    bounds: Array
    silent: Array
    of: BlockSignals
    variants: Variants

    def some(self, begin: int, end: int) -> Signals:
        """Those of the graphs from ``begin`` to ``end``."""
        bounds = self.bounds[begin : end + 1]
        return Signals(self.block[bounds[0] : bounds[-1]], bounds - bounds[0], self.silent[begin:end], self.of, self.variants)

    def which(self, graphs: Array) -> Signals:
        """Those of some graphs, given as numbers."""
        counts = np.diff(self.bounds)[graphs]
        places = spread(self.bounds[graphs], counts)
        return Signals(self.block[places], _bounds(counts), self.silent[graphs], self.of, self.variants)

    def sounding(self) -> tuple[Array, Array]:
        """Numbers of the blocks (P,) of graphs that are not silent, and the graph of each."""
        graph = np.repeat(np.arange(len(self.silent)), np.diff(self.bounds))
        kept = ~self.silent[graph]
        return self.block[kept], graph[kept]

    def chains(self) -> tuple[Array, Array]:
        """Numbers of the segments of all graphs, and where each graph's begin (N + 1,)."""
        block, graph = self.sounding()
        counts = np.diff(self.of.chain_bounds)[block]
        chain = self.of.chain[spread(self.of.chain_bounds[block], counts)]
        return chain, _bounds(np.bincount(graph, counts, minlength=len(self.silent)))

    def live_calls(self) -> LiveCalls:
        """The live calls of all graphs."""
        block, graph = self.sounding()
        counts = np.diff(self.of.live_bounds)[block]
        labels = self.of.labels[spread(self.of.live_bounds[block], counts)]
        edge_counts = np.diff(self.of.edge_bounds)[block]
        edges = spread(self.of.edge_bounds[block], edge_counts)
        begins = np.repeat(np.cumsum(counts) - counts, edge_counts)
        bounds = _bounds(np.bincount(graph, counts, minlength=len(self.silent)))
        return LiveCalls(labels, bounds, self.of.target[edges] + begins, self.of.source[edges] + begins)


class LiveCalls(NamedTuple):
    """Labels of the live calls of N graphs, and where each graph's begin; the places that the edges of their signals lead to
    and come from, in the order of ``target``."""

    labels: Array
    bounds: Array
    target: Array
    source: Array


def signals(graphs: Sequence[Graph], segments: Segments) -> Signals:
    """The signals of graphs; segments that are new join ``segments``.

    >>> import netloom as nl
    >>> x = nl.input(8)
    >>> y = nl.relu(nl.linear(x, 8))
    >>> segments = Segments()
    >>> chain, bounds = signals([nl.Graph(x, y), nl.Graph(x, nl.linear(y, 8))], segments).chains()
    >>> chain.tolist(), bounds.tolist(), len(segments.found)
    ([0, 1, 2, 0, 1, 2, 1], [0, 3, 7], 3)
    """
    blocks = Blocks()
    block, bounds = blocks.of(graphs)
    found = _looked_at(blocks, 0, segments)
    graph = np.repeat(np.arange(len(graphs)), np.diff(bounds))
    # From which block on nothing is left.
    stopped = np.full(len(graphs), len(block))
    stops = np.flatnonzero(~found.hands_on[block])
    np.minimum.at(stopped, graph[stops], stops)
    silent = stopped < len(block)
    odd = np.zeros(len(graphs), dtype=bool)
    begins_after = found.begins[block] & (np.arange(len(block)) > stopped[graph])
    odd[graph[(found.hands_on[block] & ~found.keeps[block]) | begins_after]] = True
    if odd.any():
        which, num_known = np.flatnonzero(odd), len(found.hands_on)
        alone, _ = blocks.of([graphs[i] for i in which.tolist()], whole=True)
        found = _both(found, _looked_at(blocks, num_known, segments))
        counts = np.diff(bounds)
        kept = ~odd[graph]
        counts[odd] = 1
        joined = np.empty(int(counts.sum()), dtype=block.dtype)
        bounds = _bounds(counts)
        joined[bounds[which]] = alone
        rest = np.ones(len(joined), dtype=bool)
        rest[bounds[which]] = False
        joined[rest] = block[kept]
        silent[which] = ~found.hands_on[alone]
        block = joined
    return Signals(block, bounds, silent, found, blocks.variants)


def _bounds(counts: Array) -> Array:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)


def _both(first: BlockSignals, second: BlockSignals) -> BlockSignals:
    joined = []
    for name, a, b in zip(BlockSignals._fields, first, second):
        joined.append(np.concatenate([a, b[1:] + a[-1]]) if name.endswith("bounds") else np.concatenate([a, b]))
    return BlockSignals(*joined)


def _looked_at(blocks: Blocks, num_known: int, segments: Segments) -> BlockSignals:
    """The signals of blocks, but for the first so many."""
    raw = Raw.joined(blocks.parts)
    found: BlockSignals | None = None
    for begin in range(num_known, len(raw.entered), _AT_ONCE):
        part = _signals_of(_calls(raw.some(begin, begin + _AT_ONCE), blocks.variants), segments)
        found = part if found is None else _both(found, part)
    return found if found is not None else BlockSignals(*[np.zeros(0, dtype=np.intp)] * 8)  # never reached


class _Calls(NamedTuple):
    """All calls of some blocks, block by block, and what they read, as places among them."""

    raw: Raw
    block: Array
    position: Array
    label: Array
    role: Array
    target: Array
    source: Array
    #: The edges in the order of their target's position in its block.
    by_position: Array
    #: Places of the results, and the block of each.
    result: Array
    result_block: Array


def _calls(raw: Raw, variants: Variants) -> _Calls:
    # The value that comes in is as an input.
    came_in = place_of(Label(NUMBER["input"], "input", 0))
    step = variants.found.columns["step"]
    label = np.append(variants.steps.columns["label"][step], came_in)[raw.variant]
    role = np.append(variants.steps.columns["role"][step], Role.BEGIN)[raw.variant]
    sizes = np.diff(raw.bounds)
    block = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    position = np.arange(len(block)) - np.repeat(raw.bounds[:-1], sizes)
    of_edge = position[raw.target]
    # Sorting numbers of 16 bits takes one pass.
    by_position = np.argsort(of_edge.astype(np.uint16) if sizes.max(initial=0) < 65536 else of_edge, kind="stable")
    return _Calls(raw, block, position, label, role, raw.target, raw.source, by_position, raw.result, block[raw.result])


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


def _signals_of(calls: _Calls, segments: Segments) -> BlockSignals:
    """What reaches the results, cut after every call that is all the later ones read."""
    num_blocks, entered = len(calls.raw.entered), calls.raw.entered
    place = _places(calls)
    itself = place == np.arange(len(place))
    source = place[calls.source]
    kept = itself[calls.target] & (source >= 0)
    reached = place[calls.result] >= 0
    result, result_block = place[calls.result[reached]], calls.result_block[reached]
    alive = _alive(calls, source, kept, result)
    live = np.flatnonzero(alive)
    number = np.cumsum(alive, dtype=np.int32) - np.int32(1)
    used = kept & alive[calls.target]
    target, source = number[calls.target[used]], number[source[used]]
    of_block = calls.block[live]
    num_live = np.bincount(of_block, minlength=num_blocks)
    ends = np.cumsum(num_live)
    # Edges are in the order of what they lead to, so that the last one written is the last that reads.
    last = np.arange(len(live))
    last[source] = target
    last[number[result]] = ends[result_block]
    before = np.concatenate([[0], np.maximum.accumulate(last)[:-1]]) if len(live) else last
    cut = before <= np.arange(len(live))
    cut[ends[num_live > 0] - 1] = True
    begins = np.concatenate([[0], np.flatnonzero(cut)[:-1] + 1]) if len(live) else np.zeros(0, dtype=np.intp)
    labels = calls.label[live]
    hashes = _hashes(labels, target, target - source, begins)
    numbers = _numbered(hashes, begins, np.append(begins[1:], len(live)), labels, target, source, segments)

    # Without the value that comes in, which is the call before.
    inner = calls.raw.variant[live] >= 0
    real = calls.raw.variant >= 0
    keeps = np.ones(num_blocks, dtype=bool)
    keeps[entered] = alive[calls.raw.bounds[:-1][entered]]
    hands_on = np.zeros(num_blocks, dtype=bool)
    hands_on[result_block] = True
    is_segment = inner[begins]
    own_begins = np.repeat(ends - num_live + (entered & keeps), np.bincount(of_block[target], minlength=num_blocks))
    kinds = np.array([label.kind for label in LABELS])[calls.label[real]]
    cells = calls.block[real] * np.intp(len(KINDS)) + kinds
    has_input = np.bincount(calls.block[real & (calls.role == Role.BEGIN)], minlength=num_blocks) > 0
    return BlockSignals(
        numbers[is_segment], _bounds(np.bincount(of_block[begins[is_segment]], minlength=num_blocks)), labels[inner],
        calls.raw.variant[live[inner]], _bounds(np.bincount(of_block[inner], minlength=num_blocks)), target - own_begins,
        source - own_begins, _bounds(np.bincount(of_block[target], minlength=num_blocks)),
        np.bincount(cells, minlength=num_blocks * len(KINDS)).reshape(-1, len(KINDS)),
        np.diff(calls.raw.bounds) - entered, hands_on, keeps, has_input,
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
