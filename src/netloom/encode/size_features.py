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

from .sized_calls import GLOBAL_POOL, LINEAR, NUM_HEAVY, SizedCalls, num_params, sized_calls
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
    "kernel.first", "kernel.last", "kernel.mean", "fan_in.last", "fan_in.mean", "weight.largest", "weight.smallest",
    "weights.conv", "padded", "stride.first", "stride.log", "pool.stride_log", "stride.over_kernel", "skipped", "overlap",
    "tight", "max_pool.log", "avg_pool.log", "linear.narrowest", "drop.sum", "drop.largest", "drop.log", "drop.narrowest",
)  # fmt: skip
#: The columns of `sizes`.
NAMES = (*_BY_RESOLUTION, *_ALONG)
_LOG2 = math.log(2.0)
_MAX_POOL, _AVG_POOL = NUMBER["max_pool"], NUMBER["avg_pool"]


def sizes(graphs: Sequence[Graph], found: Signals) -> Array:
    """A row (N, F) for each graph, a column for each of `NAMES`; logarithms are natural, of one more than what they are of."""
    calls = sized_calls(graphs, found)
    whole = np.zeros(len(graphs))
    whole[calls.graph[calls.first]] = calls.extent[calls.first]
    octave = (whole[calls.graph] - calls.extent) / calls.axes / _LOG2
    of = _Totals(len(graphs))
    costs = [np.log([num_params(graph) + 1 for graph in graphs]), np.log([graph.flops + 1 for graph in graphs])]
    kept = (calls.kind < NUM_HEAVY) | (calls.reach > 0) | (calls.kind == GLOBAL_POOL)
    reach = np.log(of.total(calls.graph, calls.reach * 2.0 ** np.maximum(octave, 0.0)) + 1)
    spatial = calls.some(kept)
    columns = [*costs, *_by_resolution(calls.some(calls.kind < NUM_HEAVY), octave[calls.kind < NUM_HEAVY], reach, of)]
    columns += [*_volumes(spatial, octave[kept], of), *_windows(spatial, of), *_drops(calls.some(calls.rate > 0), spatial, of)]
    return np.column_stack(columns)


class _Totals:
    """Numbers of each graph from numbers of its calls, which come graph by graph."""

    def __init__(self, num_graphs: int) -> None:
        self.num_graphs = num_graphs

    def total(self, graph: Array, values: Array) -> Array:
        return np.bincount(graph, values, minlength=self.num_graphs).astype(np.float64)

    def along(self, graph: Array, values: Array, otherwise: Any = 0.0) -> list[Array]:
        """First, last, largest, smallest and mean value of each graph, ``otherwise`` where it has none."""
        found = [np.full(self.num_graphs, otherwise) for _ in range(5)]
        if len(graph):
            begins = np.flatnonzero(np.diff(graph, prepend=-1))
            ends = np.append(begins[1:], len(graph))
            for column, of_graph in zip(found, (
                values[begins], values[ends - 1], np.maximum.reduceat(values, begins), np.minimum.reduceat(values, begins),
                np.add.reduceat(values, begins) / (ends - begins),
            )):  # fmt: skip
                column[graph[begins]] = of_graph
        return found

    def nth(self, graph: Array, values: Array, count: int) -> list[Array]:
        """The first ``count`` values of each graph, the last one again where there are fewer, 0 where there is none."""
        found = [np.zeros(self.num_graphs) for _ in range(count)]
        if len(graph):
            begins = np.flatnonzero(np.diff(graph, prepend=-1))
            ends = np.append(begins[1:], len(graph))
            for place, column in enumerate(found):
                column[graph[begins]] = values[np.minimum(begins + place, ends - 1)]
        return found

    def by_level(self, graph: Array, octave: Array, values: Array, levels: int) -> Array:
        level = graph * levels + np.clip((octave + 0.5).astype(int), 0, levels - 1)
        found: Array = np.bincount(level, values, minlength=self.num_graphs * levels).reshape(-1, levels).astype(np.float64)
        return found


def _by_resolution(heavy: SizedCalls, octave: Array, reach: Array, of: _Totals) -> list[Array]:
    graph, elements = heavy.graph, heavy.elements
    linear = heavy.kind == LINEAR
    inputs = np.where(linear, np.log(elements + 1) - heavy.width, 0.0)
    share = of.total(graph, elements * linear) / np.maximum(of.total(graph, elements), 1.0)
    extents = of.along(graph, heavy.extent)
    return [
        *of.along(graph, heavy.width), extents[1], extents[4], reach, of.along(graph[inputs != 0], inputs[inputs != 0])[0],
        share, of.by_level(graph, octave, np.ones(len(graph)), LEVELS),
        np.log(of.by_level(graph, octave, elements, LEVELS) + 1),
        np.log(of.by_level(graph, octave, elements * np.exp(heavy.extent), LEVELS) + 1),
    ]  # fmt: skip


def _before_last(calls: SizedCalls) -> Array:
    """Which calls are not the last of their graph, which makes the result; where there is one alone, that."""
    if not len(calls.graph):
        return np.zeros(0, dtype=bool)
    found: Array = np.append(np.diff(calls.graph) == 0, False) | (np.bincount(calls.graph)[calls.graph] == 1)
    return found


def _volumes(spatial: SizedCalls, octave: Array, of: _Totals) -> list[Array]:
    inner = spatial.some(_before_last(spatial))
    volume = inner.width + inner.extent
    loss = inner.from_width + inner.from_extent - volume
    return [
        *of.along(inner.graph, volume), *of.nth(inner.graph, volume, 4), *of.nth(inner.graph, inner.extent, 3),
        of.along(inner.graph, loss)[2], of.by_level(spatial.graph, octave, np.ones(len(octave)), LEVELS + 1),
    ]  # fmt: skip


def _windows(spatial: SizedCalls, of: _Totals) -> list[Array]:
    """Of calls with a kernel: what they see, how they step, and what of it they skip or see of padding alone."""
    windows = spatial.some(spatial.kernel > 0)
    conv = windows.some(windows.kind < NUM_HEAVY)
    pool = windows.some(windows.kind >= NUM_HEAVY)
    fan_in, weight = np.log(conv.elements + 1) - conv.width, np.log(conv.elements + 1)
    kernel, stride = np.log(windows.kernel), np.log(np.maximum(windows.stride, 1))
    sides = windows.from_extent / windows.axes

    def summed(calls: SizedCalls, values: Array) -> Array:
        return of.total(calls.graph, values)

    def pooled(kind: int) -> Array:
        some = pool.some(pool.kind == kind)
        return summed(some, np.log(some.kernel))

    kernels, weights, fans = (of.along(conv.graph, values) for values in (conv.kernel, weight, fan_in))
    linear = spatial.some(_before_last(spatial) & (spatial.kind == LINEAR))
    widest = of.along(spatial.graph, spatial.width)[2]
    return [
        kernels[0], kernels[1], kernels[4], fans[1], fans[4], weights[2], weights[3],
        np.log(summed(conv, conv.elements) + 1), summed(windows, windows.padding > 0),
        of.along(conv.graph, conv.stride)[0], summed(conv, np.log(np.maximum(conv.stride, 1))),
        summed(pool, np.log(np.maximum(pool.stride, 1))), of.along(conv.graph, conv.stride / conv.kernel)[2],
        summed(windows, np.maximum(stride - kernel, 0)), summed(windows, kernel - stride),
        summed(windows, np.maximum(kernel - sides, 0)), pooled(_MAX_POOL), pooled(_AVG_POOL),
        of.along(linear.graph, linear.width, widest)[3],
    ]  # fmt: skip


def _drops(drops: SizedCalls, spatial: SizedCalls, of: _Totals) -> list[Array]:
    """Dropout: rates, and how many values the narrowest one leaves (those of the largest value where there is none)."""
    kept = np.log(1 - drops.rate)
    largest = of.along(spatial.graph, spatial.width + spatial.extent)[2]
    return [
        of.total(drops.graph, drops.rate), of.along(drops.graph, drops.rate)[2], of.total(drops.graph, -kept),
        of.along(drops.graph, drops.width + drops.extent + kept, largest)[3],
    ]  # fmt: skip
