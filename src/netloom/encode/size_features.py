"""How large a network is, where: widths, extents, parameters and multiply–adds by resolution.

The *extent* of a value is its number of positions in space (or in a sequence); the *resolution* of a call is the extent of its
result over that of the input, in octaves per axis: 0 at full size, 1 where every axis is halved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ops import Size, Weight
from .signal_batches import Signals
from .vocabulary import HEAVY, LABELS, NUMBER

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..graph.table import TensorEntry
    from ..ops import TensorType

Array = np.ndarray[Any, Any]

LEVELS = 4
NAMES = (
    "params.log", "flops.log", "width.first", "width.last", "width.largest", "width.smallest", "width.mean", "extent.last",
    "extent.mean", "reach.input", "linear.log_inputs", "params.linear_share",
    *(f"{what}.octave{level}" for what in ("heavy", "params", "flops") for level in range(LEVELS)),
)  # fmt: skip
_NUM_HEAVY = len(HEAVY)
_LINEAR = NUMBER["linear"]
_LOG2 = math.log(2.0)

#: By the identity of the types of a call, which the entry keeps alive: logarithms of width and extent, number of axes in space.
_FORMS: dict[tuple[int, bool], tuple[float, float, int, Any]] = {}
#: By the identity of an entry of a tensor table: its elements, and how many of them are parameters of their own.
_ELEMENTS: dict[int, float] = {}
_OWN: dict[int, int] = {}
#: What keeps these entries, and so their identities, alive.
_ENTRIES: list[TensorEntry] = []
_MOST = 200_000


def sizes(graphs: Sequence[Graph], found: Signals) -> Array:
    """A row (N, F) for each graph, a column for each of `NAMES`; logarithms are natural, of one more than what they are of."""
    num_graphs = len(graphs)
    reaches = np.array([label.reach for label in LABELS] or [0])
    kinds = np.array([label.kind for label in LABELS] or [0])
    kind, reach = kinds[found.labels[found.live]], reaches[found.labels[found.live]]
    first = np.zeros(len(found.live), dtype=bool)
    first[found.live_bounds[:-1][np.diff(found.live_bounds) > 0]] = True
    graph = np.repeat(np.arange(num_graphs), np.diff(found.live_bounds))
    seen = np.flatnonzero((kind < _NUM_HEAVY) | (reach > 0) | first)
    graph, kind, reach, first = graph[seen], kind[seen], reach[seen], first[seen]
    width, extent, axes, elements = _calls(graphs, found, found.live[seen], graph, kind)
    whole = np.zeros(num_graphs)
    whole[graph[first]] = extent[first]
    octave = (whole[graph] - extent) / axes / _LOG2

    def total(of: Array, values: Array | None = None) -> Array:
        return np.bincount(of, values, minlength=num_graphs).astype(np.float64)

    all_reach = total(graph, reach * 2.0 ** np.maximum(octave, 0.0))
    heavy = kind < _NUM_HEAVY
    graph, kind, octave = graph[heavy], kind[heavy], octave[heavy]
    width, extent, elements = width[heavy], extent[heavy], elements[heavy]
    level = graph * LEVELS + np.clip((octave + 0.5).astype(int), 0, LEVELS - 1)
    by_level = [
        np.bincount(level, values, minlength=num_graphs * LEVELS).reshape(num_graphs, LEVELS)
        for values in (np.ones(len(level)), elements, elements * np.exp(extent))
    ]
    linear = kind == _LINEAR
    inputs = np.where(linear, np.log(elements + 1) - width, 0.0)
    columns = [
        np.log([_num_params(graph) + 1 for graph in graphs]), np.log([graph.flops + 1 for graph in graphs]),
        *_along(graph, width, num_graphs), *_along(graph, extent, num_graphs)[1::3], np.log(all_reach + 1),
        _firsts(graph[inputs != 0], inputs[inputs != 0], num_graphs),
        total(graph, elements * linear) / np.maximum(total(graph, elements), 1.0),
    ]  # fmt: skip
    return np.column_stack([*columns, by_level[0], np.log(by_level[1] + 1), np.log(by_level[2] + 1)])


def _along(graph: Array, values: Array, num_graphs: int) -> list[Array]:
    """First, last, largest, smallest and mean value of each graph, 0 where it has none."""
    found = [np.zeros(num_graphs) for _ in range(5)]
    if len(graph):
        begins = np.flatnonzero(np.diff(graph, prepend=-1))
        ends = np.append(begins[1:], len(graph))
        for column, of_graph in zip(found, (
            values[begins], values[ends - 1], np.maximum.reduceat(values, begins), np.minimum.reduceat(values, begins),
            np.add.reduceat(values, begins) / (ends - begins),
        )):  # fmt: skip
            column[graph[begins]] = of_graph
    return found


def _firsts(graph: Array, values: Array, num_graphs: int) -> Array:
    found = np.zeros(num_graphs)
    found[graph[::-1]] = values[::-1]
    return found


def _calls(graphs: Sequence[Graph], found: Signals, places: Array, graph: Array, kind: Array) -> tuple[Array, ...]:
    """Logarithms of width and extent, axes in space, and elements of the weight, of the calls at some places."""
    steps = [found.steps[place] for place in places.tolist()]
    all_types, tables = [graph.all_types for graph in graphs], [graph.tensors for graph in graphs]
    linear = (kind == _LINEAR).tolist()
    of_graph = graph.tolist()
    types = [all_types[i][step.name] for i, step in zip(of_graph, steps)]
    keys = list(zip(map(id, types), linear))
    forms = list(map(_FORMS.get, keys))
    if None in forms:
        forms = [form or _FORMS.get(key) or _form(type, key[1]) for form, key, type in zip(forms, keys, types)]
    weights = [step.args.get("weight") for step in steps]
    owning = [place for place in np.flatnonzero(kind < _NUM_HEAVY).tolist() if weights[place].__class__ is Weight]
    entries = [tables[of_graph[place]][weights[place].key] for place in owning]
    elements = np.zeros(len(steps))
    elements[owning] = _looked_up(_ELEMENTS, entries)
    width, extent, axes = np.array([form[:3] for form in forms if form]).reshape(-1, 3).T
    return width, extent, axes, elements


def _form(types: tuple[TensorType, ...], linear: bool) -> tuple[float, float, int, Any]:
    shape = [size if isinstance(size, int) else 1 for size in types[0].shape]
    width, space = (shape[-1], shape[1:-1]) if linear or len(shape) == 3 else (shape[1] if len(shape) > 1 else 1, shape[2:])
    if len(_FORMS) >= _MOST:
        _FORMS.clear()
    made = (math.log(max(width, 1)), math.log(max(math.prod(space), 1)), max(len(space), 1), types)
    _FORMS[id(types), linear] = made
    return made


def _looked_up(known: dict[int, Any], entries: Sequence[TensorEntry]) -> list[Any]:
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


def _num_params(graph: Graph) -> int:
    """`Graph.num_params`, faster where graphs share the entries of their tables."""
    known: int | None = graph.__dict__.get("num_params")
    return sum(_looked_up(_OWN, list(graph.tensors.values()))) if known is None else known
