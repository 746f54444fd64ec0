"""The calls of many graphs that sizes are read from: their widths, extents, weights, kernels, strides, rates, as arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..ops import Size, Weight
from .signal_batches import Signals
from .vocabulary import HEAVY, LABELS, NUMBER

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..graph.step import Step
    from ..graph.table import TensorEntry
    from ..ops import TensorType

Array = np.ndarray[Any, Any]
#: Logarithms of width and extent of a value, and its number of axes in space.
Form = tuple[float, float, int]

NUM_HEAVY = len(HEAVY)
LINEAR, DROPOUT, GLOBAL_POOL = NUMBER["linear"], NUMBER["dropout"], NUMBER["global_pool"]
_CHANNELS_LAST = [NUMBER[kind] for kind in ("linear", "layer_norm", "attention", "embedding")]

#: By the identity of a step: kernel, stride, padding, rate, the key of its weight, and the step.
_SETTINGS: dict[int, tuple[float, float, float, float, str, Step]] = {}
#: By the identity of an entry of a tensor table: its elements, and how many of them are parameters of their own.
_ELEMENTS: dict[int, float] = {}
_OWN: dict[int, int] = {}
#: What keeps these entries, and so their identities, alive.
_ENTRIES: list[TensorEntry] = []
_MOST = 200_000


class SizedCalls(NamedTuple):
    """Of N graphs the first call each, and those that hold weights, pool, resize or drop; arrays (C,), in order.

    ``width`` and ``extent`` are natural logarithms of the channels and positions of the result, ``from_…`` of what is read;
    ``elements`` of the weight; ``kernel`` and ``stride`` are 0 where a call has none.
    """

    graph: Array
    kind: Array
    reach: Array
    first: Array
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


def sized_calls(graphs: Sequence[Graph], found: Signals) -> SizedCalls:
    """The calls of graphs whose signals were found."""
    labels = found.labels[found.live]
    kind, reach = (np.array([getattr(label, name) for label in LABELS] or [0])[labels] for name in ("kind", "reach"))
    first = np.zeros(len(found.live), dtype=bool)
    first[found.live_bounds[:-1][np.diff(found.live_bounds) > 0]] = True
    graph = np.repeat(np.arange(len(graphs)), np.diff(found.live_bounds))
    seen = np.flatnonzero((kind < NUM_HEAVY) | (reach > 0) | (kind == DROPOUT) | (kind == GLOBAL_POOL) | first)
    graph, kind, reach, first, place = graph[seen], kind[seen], reach[seen], first[seen], found.live[seen]

    number = found.number[place]
    numbers, keys = _of_different(found, number)
    kernel, stride, padding, rate = numbers[number].T
    types = list(chain.from_iterable([graph.all_types.values() for graph in graphs]))  # in the order of the steps
    last = np.isin(kind, _CHANNELS_LAST)
    own, read = _forms(types, place, last), _forms(types, found.first_read[place], last)
    elements = np.zeros(len(place))
    owning = np.flatnonzero(np.array([bool(key) for key in keys] or [False])[number])
    tables = [graph.tensors for graph in graphs]
    entries = [tables[i][keys[j]] for i, j in zip(graph[owning].tolist(), number[owning].tolist())]
    elements[owning] = looked_up(_ELEMENTS, entries)
    return SizedCalls(
        graph, kind, reach, first, own[:, 0], own[:, 1], own[:, 2], read[:, 0], read[:, 1], elements, kernel, stride, padding,
        rate,
    )  # fmt: skip


def _of_different(found: Signals, number: Array) -> tuple[Array, list[str]]:
    """Kernel, stride, padding and rate of every different call (D, 4), and keys of weights."""
    numbers, keys = np.zeros((len(found.calls), 4)), [""] * len(found.calls)
    for i in np.unique(number).tolist():
        step = found.calls[i].step
        known = _SETTINGS.get(id(step)) or _settings(step)
        numbers[i], keys[i] = known[:4], known[4]
    return numbers, keys


def _forms(types: list[tuple[TensorType, ...]], places: Array, last: Array) -> Array:
    """Forms (C, 3) of the values at places, each different one worked out once."""
    some = list(map(types.__getitem__, places.tolist()))
    ids = np.fromiter(map(id, some), np.int64, len(some))
    _, first, number = np.unique(ids * 2 + last, return_index=True, return_inverse=True)
    found = [_form(some[i][0].shape, bool(last[i])) for i in first.tolist()]
    return np.array(found, dtype=np.float64).reshape(-1, 3)[number]


@lru_cache(maxsize=50_000)
def _form(sizes: tuple[Any, ...], last: bool) -> Form:
    """Channels come last after a linear layer and in sequences (N, T, C)."""
    shape = [size if isinstance(size, int) else 1 for size in sizes]
    width, space = (shape[-1], shape[1:-1]) if last or len(shape) == 3 else (shape[1] if len(shape) > 1 else 1, shape[2:])
    return (math.log(max(width, 1)), math.log(max(math.prod(space), 1)), max(len(space), 1))


def _settings(step: Step) -> tuple[float, float, float, float, str, Step]:
    args = step.args
    kernel, stride, padding = (_largest(args.get(name)) for name in ("kernel", "stride", "padding"))
    rate, weight = args.get("p"), args.get("weight")
    if len(_SETTINGS) >= _MOST:
        _SETTINGS.clear()
    made = _SETTINGS[id(step)] = (
        kernel, stride or kernel, padding, min(float(rate), 0.999) if step.op.endswith(("dropout", "d")) and rate else 0.0,
        weight.key if weight.__class__ is Weight else "", step,
    )  # fmt: skip
    return made


def _largest(value: Any) -> float:
    numbers = value if isinstance(value, tuple) else (value,)
    return float(max((number for number in numbers if type(number) is int), default=0))


def num_params(graph: Graph) -> int:
    """`Graph.num_params`, faster where graphs share the entries of their tables."""
    known: int | None = graph.__dict__.get("num_params")
    return sum(looked_up(_OWN, list(graph.tensors.values()))) if known is None else known


def looked_up(known: dict[int, Any], entries: Sequence[TensorEntry]) -> list[Any]:
    """What `_ELEMENTS` or `_OWN` say of entries."""
    try:
        return list(map(known.__getitem__, map(id, entries)))
    except KeyError:
        if len(_ENTRIES) >= _MOST:
            _ELEMENTS.clear()
            _OWN.clear()
            _ENTRIES.clear()
        for entry in entries:
            if id(entry) not in _ELEMENTS:
                numel: Any = entry.type.numel
                numel = 1 if isinstance(numel, Size) else numel
                _ENTRIES.append(entry)
                _ELEMENTS[id(entry)] = float(numel)
                _OWN[id(entry)] = numel if entry.kind == "parameter" and entry.alias_of is None else 0
        return [known[id(entry)] for entry in entries]
