"""The calls of many graphs that sizes are read from: their widths, extents, weights, kernels, strides, rates, as arrays."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..ops import Size
from .signal_batches import Signals
from .signal_blocks import spread
from .step_variants import DROPOUT, is_sized
from .vocabulary import LABELS, NUMBER

if TYPE_CHECKING:
    from ..graph.graph import Graph

Array = np.ndarray[Any, Any]
#: Logarithms of width and extent of a value, and its number of axes in space.
Form = tuple[float, float, int]

LINEAR = NUMBER["linear"]
_CHANNELS_LAST = [NUMBER[kind] for kind in ("linear", "layer_norm", "attention", "embedding")]

#: By the identity of an entry of a tensor table: how many of its elements are parameters of their own, and the entry.
_OWN: dict[int, int] = {}
#: What keeps these entries, and so their identities, alive.
_ENTRIES: list[Any] = []
_MOST = 200_000


class SizedCalls(NamedTuple):
    """Of N parts the calls that hold weights, pool, resize or drop; arrays (C,), in order.

    ``width`` and ``extent`` are natural logarithms of the channels and positions of the result, ``from_…`` of what is read;
    ``elements`` of the weight; ``kernel`` and ``stride`` are 0 where a call has none.
    """

    part: Array
    kind: Array
    reach: Array
    width: Array
    extent: Array
    axes: Array
    from_width: Array
    from_extent: Array
    elements: Array
    kernel: Array
    stride: Array
    padding: Array
    rate: Array

    def some(self, which: Array) -> SizedCalls:
        """Those calls alone."""
        return SizedCalls(*(column[which] for column in self))


class SizedParts(NamedTuple):
    """The parts of N graphs that have calls of some size, each different one looked at once.

    ``calls`` are those of different parts, ``whole`` (D,) is the extent of the first call of their graphs, and ``ends`` (D,)
    says whether the last call of a part (but for dropout) is the last of its graph, which makes the result, and not its only
    one. Part ``part[i]`` is one of graph ``graph[i]`` (P,), in order.
    """

    calls: SizedCalls
    whole: Array
    ends: Array
    part: Array
    graph: Array


def sized_parts(found: Signals) -> SizedParts:
    """The parts of graphs whose signals were found."""
    block, graph = found.sounding()
    known = found.of
    kinds, reaches = (np.array([getattr(label, name) for label in LABELS] or [0]) for name in ("kind", "reach"))
    sized = np.array([is_sized(label.kind, label.reach) for label in LABELS] or [False])[known.labels]
    spatial = sized & (kinds[known.labels] != DROPOUT)
    live = np.repeat(np.arange(len(known.num_steps)), np.diff(known.live_bounds))
    has_calls, has_spatial = (np.bincount(live[some], minlength=len(known.num_steps)) for some in (sized, spatial))
    whole = _first_extents(found, block, graph)
    # A part is a block with the extent of the graph's first call, and whether the last call of size is in it.
    last = np.zeros(len(block), dtype=bool)
    with_spatial = np.flatnonzero(has_spatial[block] > 0)
    of_graph = graph[with_spatial]
    final = with_spatial[np.flatnonzero(np.diff(of_graph, append=-1))]
    last[final[np.bincount(of_graph, has_spatial[block[with_spatial]], minlength=len(found.silent))[graph[final]] > 1]] = True
    kept = np.flatnonzero(has_calls[block] > 0)
    extents, number = np.unique(whole, return_inverse=True)
    keys = (block[kept].astype(np.int64) * max(len(extents), 1) + number[graph[kept]]) * 2 + last[kept]
    _, first, part = np.unique(keys, return_index=True, return_inverse=True)
    chosen = block[kept][first]
    counts = np.diff(known.live_bounds)[chosen]
    places = spread(known.live_bounds[chosen], counts)
    of_part, places = np.repeat(np.arange(len(chosen)), counts)[sized[places]], places[sized[places]]
    labels, columns = known.labels[places], _columns(found, known.variants[places])
    calls = SizedCalls(of_part, kinds[labels], reaches[labels], *columns.T)
    return SizedParts(calls, whole[graph[kept][first]], last[kept][first], part, graph[kept])


def _first_extents(found: Signals, block: Array, graph: Array) -> Array:
    """The extent (N,) of the first live call of each graph, 0 where it has none."""
    whole = np.zeros(len(found.silent))
    some = np.flatnonzero(np.diff(found.of.live_bounds)[block] > 0)
    first = some[np.flatnonzero(np.diff(graph[some], prepend=-1))]
    whole[graph[first]] = _forms(found, found.of.variants[found.of.live_bounds[block[first]]], "shape")[:, 1]
    return whole


def _columns(found: Signals, variants: Array) -> Array:
    """Width, extent and axes made, width and extent read, elements, kernel, stride, padding, rate (C, 10) of variants."""
    steps = found.variants.found.columns["step"][variants]
    numbers = [found.variants.steps.columns[name][steps] for name in ("kernel", "stride", "padding", "rate")]
    elements = found.variants.found.columns["elements"][variants]
    return np.column_stack([
        _forms(found, variants, "shape"), _forms(found, variants, "read")[:, :2], elements, *numbers
    ])  # fmt: skip


def _forms(found: Signals, variants: Array, what: str) -> Array:
    """Forms (C, 3) of the shapes that variants make or read, each different one worked out once."""
    known = found.variants
    kinds = np.array([label.kind for label in LABELS] or [0])
    kind = kinds[known.steps.columns["label"][known.found.columns["step"][variants]]]
    keys = known.found.columns[what][variants] * 2 + np.isin(kind, _CHANNELS_LAST)
    different, number = np.unique(keys, return_inverse=True)
    shapes = list(known.shapes)
    forms = [_form(shapes[key // 2], bool(key % 2)) for key in different.tolist()]
    return np.array(forms, dtype=np.float64).reshape(-1, 3)[number]


@lru_cache(maxsize=50_000)
def _form(sizes: tuple[Any, ...], last: bool) -> Form:
    """Channels come last after a linear layer and in sequences (N, T, C)."""
    shape = [size if isinstance(size, int) else 1 for size in sizes]
    width, space = (shape[-1], shape[1:-1]) if last or len(shape) == 3 else (shape[1] if len(shape) > 1 else 1, shape[2:])
    return (math.log(max(width, 1)), math.log(max(math.prod(space), 1)), max(len(space), 1))


def num_params(graph: Graph) -> int:
    """`Graph.num_params`, faster where graphs share the entries of their tables."""
    known: int | None = graph.__dict__.get("num_params")
    if known is not None:
        return known
    entries = graph.tensors.values()
    try:
        return sum(map(_OWN.__getitem__, map(id, entries)))
    except KeyError:
        if len(_ENTRIES) >= _MOST:
            _OWN.clear()
            _ENTRIES.clear()
        for entry in entries:
            if id(entry) not in _OWN:
                numel: Any = entry.type.numel
                numel = 1 if isinstance(numel, Size) else numel
                _ENTRIES.append(entry)
                _OWN[id(entry)] = numel if entry.kind == "parameter" and entry.alias_of is None else 0
        return sum(_OWN[id(entry)] for entry in entries)
