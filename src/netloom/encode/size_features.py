"""How large a network is, where: widths, extents, parameters and multiply–adds by resolution; and how sizes change along it.

The *extent* of a value is its number of positions in space (or in a sequence); the *resolution* of a call is the extent of its
result over that of the input, in octaves per axis: 0 at full size, 1 where every axis is halved. The *volume* of a value is
its number of elements. "First", "last" and so on go by the order of the calls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .sized_calls import LINEAR, SizedCalls, SizedParts, num_params, sized_parts
from .step_variants import GLOBAL_POOL, NUM_HEAVY
from .vocabulary import NUMBER

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from .signal_batches import Signals

Array = np.ndarray[Any, Any]

LEVELS = 4
_BY_RESOLUTION = (
    "params.log", "flops.log", "width.first", "width.last", "width.largest", "width.smallest", "width.mean", "extent.last",
    "extent.mean", "reach.input", "linear.log_inputs", "params.linear_share",
    *(f"{what}.octave{level}" for what in ("heavy", "params", "flops") for level in range(LEVELS)),
)  # fmt: skip
_ALONG = (
    *(f"volume.{what}" for what in ("first", "last", "largest", "smallest", "mean")),
    *(f"volume.{place}" for place in range(1, 5)), *(f"extent.{place}" for place in range(1, 4)),
    "volume.largest_loss", *(f"calls.octave{level}" for level in range(LEVELS + 1)),
    "kernel.first", "kernel.last", "kernel.mean", "inputs.last", "inputs.mean", "weight.largest", "weight.smallest",
    "weights.conv", "padded", "stride.first", "stride.log", "pool.stride_log", "stride.over_kernel", "skipped", "overlap",
    "tight", "max_pool.log", "avg_pool.log", "linear.narrowest", "drop.sum", "drop.largest", "drop.log", "drop.narrowest",
)  # fmt: skip
#: The columns of `sizes`.
NAMES = (*_BY_RESOLUTION, *_ALONG)
_LOG2 = math.log(2.0)
_MAX_POOL, _AVG_POOL = NUMBER["max_pool"], NUMBER["avg_pool"]


def sizes(graphs: Sequence[Graph], found: Signals) -> Array:
    """A row (N, F) for each graph, a column for each of `NAMES`; logarithms are natural, of one more than what they are of."""
    parts = sized_parts(found)
    calls, of = parts.calls, _Totals(len(graphs), parts)
    octave = (parts.whole[calls.part] - calls.extent) / calls.axes / _LOG2
    costs = [np.log([num_params(graph) + 1 for graph in graphs]), np.log([graph.flops + 1 for graph in graphs])]
    kept = (calls.kind < NUM_HEAVY) | (calls.reach > 0) | (calls.kind == GLOBAL_POOL)
    heavy = calls.kind < NUM_HEAVY
    reach = np.log(of.total(calls.part, calls.reach * 2.0 ** np.maximum(octave, 0.0)) + 1)
    spatial = calls.some(kept)
    inner = spatial.some(~of.makes_result(spatial.part))
    columns = [*costs, *_by_resolution(calls.some(heavy), octave[heavy], reach, of)]
    columns += [*_volumes(inner, spatial, octave[kept], of), *_windows(inner, spatial, of)]
    columns += _drops(calls.some(calls.rate > 0), spatial, of)
    return np.column_stack(columns)


class _Totals:
    """Numbers of each graph from numbers of the calls of its different parts, which come part by part."""

    def __init__(self, num_graphs: int, parts: SizedParts) -> None:
        from scipy.sparse import csr_matrix

        self.num_graphs, self.parts, self.num_parts = num_graphs, parts, len(parts.whole)
        bounds = np.concatenate([[0], np.cumsum(np.bincount(parts.graph, minlength=num_graphs))])
        self._sums = csr_matrix((np.ones(len(parts.part)), parts.part, bounds), shape=(num_graphs, self.num_parts))

    def makes_result(self, part: Array) -> Array:
        """Which calls (C,) are the last of those of a part that ends its graph."""
        found: Array = (np.diff(part, append=-1) != 0) & self.parts.ends[part]
        return found

    def total(self, part: Array, values: Array) -> Array:
        found: Array = self._sums @ np.bincount(part, values, minlength=self.num_parts).astype(np.float64)
        return found

    def along(self, part: Array, values: Array, otherwise: Any = 0.0) -> list[Array]:
        """First, last, largest, smallest and mean value of each graph, ``otherwise`` where it has none."""
        found = [np.full(self.num_graphs, otherwise) for _ in range(5)]
        if not len(part):
            return found
        begins = np.flatnonzero(np.diff(part, prepend=-1))
        ends = np.append(begins[1:], len(part))
        counts, place = np.zeros(self.num_parts), np.zeros(self.num_parts, dtype=np.intp)
        counts[part[begins]], place[part[begins]] = ends - begins, np.arange(len(begins))
        some = np.flatnonzero(counts[self.parts.part] > 0)
        graph, which = self.parts.graph[some], place[self.parts.part[some]]
        if not len(graph):
            return found
        first = np.flatnonzero(np.diff(graph, prepend=-1))
        last = np.append(first[1:], len(graph)) - 1
        sums = np.add.reduceat(np.add.reduceat(values, begins)[which], first)
        for column, of_graph in zip(found, (
            values[begins][which[first]], values[ends - 1][which[last]],
            np.maximum.reduceat(np.maximum.reduceat(values, begins)[which], first),
            np.minimum.reduceat(np.minimum.reduceat(values, begins)[which], first),
            sums / np.add.reduceat((ends - begins)[which], first),
        )):  # fmt: skip
            column[graph[first]] = of_graph
        return found

    def nth(self, part: Array, values: Array, count: int) -> list[Array]:
        """The first ``count`` values of each graph, the last one again where there are fewer, 0 where there is none."""
        found = np.zeros((count, self.num_graphs))
        counts = np.bincount(part, minlength=self.num_parts)
        begins = np.cumsum(counts) - counts
        of_each = counts[self.parts.part]
        before = np.cumsum(of_each) - of_each
        graph = self.parts.graph
        if not len(graph):
            return list(found)
        first = np.flatnonzero(np.diff(graph, prepend=-1))
        before -= np.repeat(before[first], np.diff(np.append(first, len(graph))))
        for offset in range(count):
            # Parts whose values of this offset are among the first of their graph; what follows them, until it is written over.
            some = np.flatnonzero((of_each > offset) & (before + offset < count))
            for place in range(offset, count):
                here = some[before[some] + offset == place]
                found[place:, graph[here]] = values[begins[self.parts.part[here]] + offset]
        return list(found)

    def by_level(self, part: Array, octave: Array, values: Array, levels: int) -> Array:
        level = part * levels + np.clip((octave + 0.5).astype(int), 0, levels - 1)
        of_part = np.bincount(level, values, minlength=self.num_parts * levels).reshape(-1, levels).astype(np.float64)
        found: Array = self._sums @ of_part
        return found


def _by_resolution(heavy: SizedCalls, octave: Array, reach: Array, of: _Totals) -> list[Array]:
    part, elements = heavy.part, heavy.elements
    linear = heavy.kind == LINEAR
    inputs = np.where(linear, np.log(elements + 1) - heavy.width, 0.0)
    share = of.total(part, elements * linear) / np.maximum(of.total(part, elements), 1.0)
    extents = of.along(part, heavy.extent)
    return [
        *of.along(part, heavy.width), extents[1], extents[4], reach, of.along(part[inputs != 0], inputs[inputs != 0])[0],
        share, of.by_level(part, octave, np.ones(len(part)), LEVELS),
        np.log(of.by_level(part, octave, elements, LEVELS) + 1),
        np.log(of.by_level(part, octave, elements * np.exp(heavy.extent), LEVELS) + 1),
    ]  # fmt: skip


def _volumes(inner: SizedCalls, spatial: SizedCalls, octave: Array, of: _Totals) -> list[Array]:
    volume = inner.width + inner.extent
    loss = inner.from_width + inner.from_extent - volume
    return [
        *of.along(inner.part, volume), *of.nth(inner.part, volume, 4), *of.nth(inner.part, inner.extent, 3),
        of.along(inner.part, loss)[2], of.by_level(spatial.part, octave, np.ones(len(octave)), LEVELS + 1),
    ]  # fmt: skip


def _windows(inner: SizedCalls, spatial: SizedCalls, of: _Totals) -> list[Array]:
    """Of calls with a kernel: what they see, how they step, and what of it they skip or see of padding alone."""
    windows = spatial.some(spatial.kernel > 0)
    conv = windows.some(windows.kind < NUM_HEAVY)
    pool = windows.some(windows.kind >= NUM_HEAVY)
    fan_in, weight = np.log(conv.elements + 1) - conv.width, np.log(conv.elements + 1)
    kernel, stride = np.log(windows.kernel), np.log(np.maximum(windows.stride, 1))
    sides = windows.from_extent / windows.axes

    def summed(calls: SizedCalls, values: Array) -> Array:
        return of.total(calls.part, values)

    def pooled(kind: int) -> Array:
        some = pool.some(pool.kind == kind)
        return summed(some, np.log(some.kernel))

    kernels, weights, fans = (of.along(conv.part, values) for values in (conv.kernel, weight, fan_in))
    linear = inner.some(inner.kind == LINEAR)
    widest = of.along(spatial.part, spatial.width)[2]
    return [
        kernels[0], kernels[1], kernels[4], fans[1], fans[4], weights[2], weights[3],
        np.log(summed(conv, conv.elements) + 1), summed(windows, windows.padding > 0),
        of.along(conv.part, conv.stride)[0], summed(conv, np.log(np.maximum(conv.stride, 1))),
        summed(pool, np.log(np.maximum(pool.stride, 1))), of.along(conv.part, conv.stride / conv.kernel)[2],
        summed(windows, np.maximum(stride - kernel, 0)), summed(windows, kernel - stride),
        summed(windows, np.maximum(kernel - sides, 0)), pooled(_MAX_POOL), pooled(_AVG_POOL),
        of.along(linear.part, linear.width, widest)[3],
    ]  # fmt: skip


def _drops(drops: SizedCalls, spatial: SizedCalls, of: _Totals) -> list[Array]:
    """Dropout: rates, and how many values the narrowest one leaves (those of the largest value where there is none)."""
    kept = np.log(1 - drops.rate)
    largest = of.along(spatial.part, spatial.width + spatial.extent)[2]
    return [
        of.total(drops.part, drops.rate), of.along(drops.part, drops.rate)[2], of.total(drops.part, -kept),
        of.along(drops.part, drops.width + drops.extent + kept, largest)[3],
    ]  # fmt: skip
