"""What the paths through segments are like. Statistics of a chain of segments are sums over its segments.

The longest, shortest and mean path through a chain of segments add up, and so do the logarithms of the numbers of paths: so
a stack of any depth is described exactly by what its segments are like, each looked at once for all graphs. Many segments are
walked side by side, call by call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from .segment_sequences import sequences
from .signal_flow import Segment
from .vocabulary import HEAVY, KINDS, LABELS, MAIN, NONLINEAR, POOLS

Array = np.ndarray[Any, Any]

#: What is counted along a path: the kinds in `MAIN`, then their sums, and nonlinearities.
COUNTED = (*MAIN, "heavy", "pools", "reach", "calls", "nonlinear")
#: Statistics of each: over all paths, and over the parts that concatenations put side by side.
_OVER = ("longest", "shortest", "mean", "flow", "least_part", "mean_part")
_SCALARS = (
    "paths.log", "paths.log_distinct", "edges", "skips", "fan_out.first", "fan_in.last", "fan_out.largest", "bypassed",
    "always_pooled", "signal.log_variance", "signal.log_gradient",
)  # fmt: skip
#: Names of the columns of `statistics`.
NAMES = (
    *(f"live.{kind}" for kind in KINDS),
    *(f"{which}.{counted}" for which in _OVER for counted in COUNTED),
    *_SCALARS,
)
_HEAVY, _POOLS = COUNTED.index("heavy"), COUNTED.index("pools")
_LARGEST = 1e100
#: Segments that are walked side by side: as many as stay in the cache.
_AT_ONCE = 500
#: Variance after a call as a share of the variance before, for independent normal values: E[relu(x)²] less its squared mean.
_RELU_GAIN = 0.5 - 0.5 / math.pi
_AVERAGE_GAIN = 0.35


def statistics(segments: Sequence[Segment]) -> Array:
    """A row for each segment (S, F), a column for each of `NAMES`.

    *longest*, *shortest* and *mean* are over all paths through the segment; *flow* is the mean in which each path into a sum
    counts by the variance it brings at initialisation. *least_part* and *mean_part* are over what concatenations put side by
    side, the longest path counting everywhere else. *skips* are edges that reach a sum with no main call on the way.
    """
    parts = [_of_some(segments[begin : begin + _AT_ONCE]) for begin in range(0, len(segments), _AT_ONCE)]
    return np.vstack(parts) if parts else np.zeros((0, len(NAMES)))


def _of_some(segments: Sequence[Segment]) -> Array:
    calls = _Places.of(segments)
    kinds = calls.kind[calls.is_call] + len(KINDS) * calls.segment[calls.is_call]
    live = np.bincount(kinds, minlength=len(KINDS) * len(segments)).reshape(len(segments), len(KINDS))
    passed = _passed(calls)
    fan_out = np.bincount(calls.source, minlength=len(calls.kind))
    end = calls.entry + np.array([len(segment) for segment in segments])
    longest, shortest = passed.longest[end], passed.shortest[end]
    scalars = np.column_stack([
        passed.log_paths[end], np.log([len(sequences(segment)) for segment in segments]),
        np.bincount(calls.segment[calls.target], minlength=len(segments)), _skips(calls), fan_out[calls.entry],
        np.bincount(calls.target, minlength=len(calls.kind))[end], np.maximum.reduceat(fan_out, calls.entry),
        (shortest[:, _HEAVY] == 0) & (longest[:, _HEAVY] > 0), shortest[:, _POOLS] > 0,
        np.log(np.maximum(passed.variance[end], 1e-6)), np.log(np.maximum(_gradient(calls, passed)[calls.entry], 1e-6)),
    ])  # fmt: skip
    return np.hstack([live, *(field[end] for field in passed[: len(_OVER)]), scalars])


class _Places(NamedTuple):
    """The calls of many segments (P,), each after a place of its segment's entry; edges (E,) in the order of their target."""

    entry: Array
    segment: Array
    is_call: Array
    #: How many calls into its segment a place is; the edges that lead there, and where each place's begin.
    position: Array
    label: Array
    kind: Array
    target: Array
    source: Array
    edge_begins: Array

    @staticmethod
    def of(segments: Sequence[Segment]) -> _Places:
        lengths = np.array([len(segment) for segment in segments])
        entry = np.cumsum(lengths + 1) - lengths - 1
        segment = np.repeat(np.arange(len(segments)), lengths + 1)
        position = np.arange(len(segment)) - entry[segment]
        is_call = position > 0
        calls = list(chain.from_iterable(segments))
        label = np.zeros(len(segment), dtype=np.intp)
        label[is_call] = [call[0] for call in calls]
        num_read = np.zeros(len(segment), dtype=np.intp)
        num_read[is_call] = [len(call) - 1 for call in calls]
        target = np.repeat(np.arange(len(segment)), num_read)
        source = target - np.fromiter(chain.from_iterable([call[1:] for call in calls]), np.intp, len(target))
        kind = np.array([known.kind for known in LABELS])[label]
        edge_begins = np.concatenate([[0], np.cumsum(num_read)])
        return _Places(entry, segment, is_call, position, label, kind, target, source, edge_begins)

    def levels(self) -> list[Array]:
        """The calls that are first, second … of their segments."""
        order = np.argsort(self.position, kind="stable")
        bounds = np.cumsum(np.bincount(self.position))
        return np.split(order, bounds[:-1])[1:]

    def edges_to(self, places: Array) -> tuple[Array, Array]:
        """Edges that lead to places, place after place, and where each place's begin among them."""
        begins = self.edge_begins[places]
        counts = self.edge_begins[places + 1] - begins
        starts = np.cumsum(counts) - counts
        return np.repeat(begins - starts, counts) + np.arange(counts.sum()), starts

    @property
    def num_read(self) -> Array:
        found: Array = np.diff(self.edge_begins)
        return found

    def first_source(self, places: Array) -> Array:
        """What calls read first; the entry of their segment where they read nothing."""
        if not len(self.source):
            return self.entry[self.segment[places]]
        first = self.source[np.minimum(self.edge_begins[places], len(self.source) - 1)]
        return np.where(self.num_read[places] > 0, first, self.entry[self.segment[places]])


class _Passed(NamedTuple):
    """What holds of all paths from a segment's entry to each place (P,), (P, C) for each of `COUNTED`."""

    longest: Array
    shortest: Array
    mean: Array
    flow: Array
    least_part: Array
    mean_part: Array
    log_paths: Array
    variance: Array


def _passed(calls: _Places) -> _Passed:
    count = len(calls.kind)
    zeros = [np.zeros((count, len(COUNTED))) for _ in _OVER]
    found = _Passed(zeros[0], zeros[1], zeros[2], zeros[3], zeros[4], zeros[5], np.zeros(count), np.ones(count))
    added = _counted(calls.label)
    gains = _Gains(calls.kind)
    is_cat = calls.kind == KINDS.index("cat")
    num_read = calls.num_read
    for places in calls.levels():
        first = calls.first_source(places)
        before = [field[first] for field in found]
        joins = np.flatnonzero(num_read[places] > 1)
        if len(joins):
            for field, joined in zip(before, _joined(calls, found, places[joins], is_cat)):
                field[joins] = joined
        here = added[places]
        for field, values in zip(found[: len(_OVER)], before):
            field[places] = values + here
        found.log_paths[places] = before[-2]
        found.variance[places] = np.minimum(before[-1] * gains(places, before[-1]), _LARGEST)
    return found


def _joined(calls: _Places, found: _Passed, joins: Array, is_cat: Array) -> tuple[Array, ...]:
    """The same, of what several sources bring to calls, before these."""
    edges, starts = calls.edges_to(joins)
    source = calls.source[edges]
    counts = np.diff(np.append(starts, len(edges)))
    # Shares, not numbers, of paths: a dense block has more paths than a float can count.
    largest = np.maximum.reduceat(found.log_paths[source], starts)
    paths = np.exp(found.log_paths[source] - np.repeat(largest, counts))
    total = np.add.reduceat(paths, starts)
    mean = np.add.reduceat(paths[:, None] * found.mean[source], starts) / total[:, None]
    brought = found.variance[source]
    variance = np.add.reduceat(brought, starts)
    flow = np.add.reduceat((brought / np.repeat(variance, counts))[:, None] * found.flow[source], starts)
    variance = np.where(is_cat[joins], variance / counts, variance)
    longest = np.maximum.reduceat(found.longest[source], starts)
    shortest = np.minimum.reduceat(found.shortest[source], starts)
    least, parts = found.least_part[source], found.mean_part[source]
    keeps_parts = is_cat[joins][:, None]
    least_part = np.where(keeps_parts, np.minimum.reduceat(least, starts), np.maximum.reduceat(least, starts))
    mean_part = np.where(keeps_parts, np.add.reduceat(parts, starts) / counts[:, None], np.maximum.reduceat(parts, starts))
    return longest, shortest, mean, flow, least_part, mean_part, largest + np.log(total), variance


def _counted(labels: Array) -> Array:
    """What one call of each label adds to every entry of `COUNTED`; places without a call are not asked for."""
    table = np.zeros((len(LABELS), len(COUNTED)))
    for row, (kind, _, reach) in zip(table, LABELS):
        if kind < len(MAIN):
            row[kind] = 1
        row[_HEAVY:] = KINDS[kind] in HEAVY, KINDS[kind] in POOLS, reach, 1, KINDS[kind] in NONLINEAR
    found: Array = table[labels]
    return found


class _Gains:
    """Variance after calls as a share of the variance before."""

    def __init__(self, kind: Array) -> None:
        fixed = {"relu": _RELU_GAIN, "avg_pool": _AVERAGE_GAIN}
        self.fixed = np.array([fixed.get(name, 1.0) for name in KINDS])[kind]
        self.normalises = np.array([name.endswith("_norm") for name in KINDS])[kind]

    def __call__(self, places: Array, variance: Array) -> Array:
        return np.where(self.normalises[places], 1 / np.maximum(variance, 1e-6), self.fixed[places])


def _skips(calls: _Places) -> Array:
    """Edges of each segment that reach a join with no main call on the way."""
    is_main, num_read = calls.kind < len(MAIN), calls.num_read
    skipping = ~calls.is_call
    total = np.zeros(len(calls.kind))
    for places in calls.levels():
        joins = places[num_read[places] > 1]
        if len(joins):
            edges, starts = calls.edges_to(joins)
            total[joins] = np.add.reduceat(skipping[calls.source[edges]], starts, dtype=np.intp)
        handed_on = (num_read[places] != 1) | skipping[calls.first_source(places)]
        skipping[places] = ~is_main[places] & handed_on
    found: Array = np.add.reduceat(total, calls.entry)
    return found


def _gradient(calls: _Places, passed: _Passed) -> Array:
    """The squared gradient at every place for a unit gradient at the end of its segment, by the same rules."""
    gradient, num_read = np.zeros(len(calls.kind)), calls.num_read
    gradient[np.append(calls.entry[1:], len(gradient)) - 1] = 1.0
    gains = _Gains(calls.kind)
    for places in reversed(calls.levels()):
        places = places[num_read[places] > 0]
        handed = gradient[places] * gains(places, passed.variance[calls.first_source(places)])
        edges, _ = calls.edges_to(places)
        source = calls.source[edges]
        np.add.at(gradient, source, np.repeat(handed, num_read[places]))
        gradient[source] = np.minimum(gradient[source], _LARGEST)
    return gradient
