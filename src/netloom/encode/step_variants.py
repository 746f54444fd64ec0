"""The different steps of many graphs: what each makes, of what shape, with which weight.

Samples of a space share their step objects, and most of them make a value of one shape wherever they stand. A step that makes
others elsewhere, or holds a weight whose size does not follow from the shapes, has several *variants*.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..ops import Size, Weight
from .vocabulary import HEAVY, LABELS, NUMBER, Call, call_of

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..graph.step import Step
    from ..ops import TensorType

Array = np.ndarray[Any, Any]
Shape = tuple[Any, ...]

#: The most entries of a table in which names are looked up.
MOST_NAMES = 20_000_000
NUM_HEAVY = len(HEAVY)
DROPOUT, GLOBAL_POOL = NUMBER["dropout"], NUMBER["global_pool"]


class Settings(NamedTuple):
    """What sizes are read from: kernel, stride, padding and rate of dropout (0 where there is none), the key of the weight."""

    kernel: float
    stride: float
    padding: float
    rate: float
    weight: str


_NO_SETTINGS = Settings(0.0, 0.0, 0.0, 0.0, "")


class Variant(NamedTuple):
    """A step with the shape that it makes, the shape that it reads first (its own where it reads nothing), weight elements."""

    call: Call
    settings: Settings
    shape: Shape
    read: Shape
    elements: float


class Placed(NamedTuple):
    """All steps of some graphs (S,), one graph after the other: of which graph, which step, which variant; what they read.

    Edges (E,), in the order of what they lead to; ``edge_bounds`` (S + 1,) say where each step's begin.
    """

    graph: Array
    bounds: Array
    number: Array
    variant: Array
    edge_bounds: Array
    target: Array
    source: Array


class Variants:
    """All different steps and variants that were met, in order."""

    def __init__(self) -> None:
        self.found: list[Variant] = []
        self.names: dict[str, int] = {}
        self._numbers = _Numbers()
        self._steps = _Table(
            own=np.int32, sized=bool, begin=np.int64, count=np.int32, variant=np.int32, type=np.int64, read=np.int64
        )
        self._reads: list[Array] = []
        self._num_reads = 0
        self._calls: list[Call] = []
        self._settings: list[Settings] = []
        self._by_key: dict[tuple[Any, ...], int] = {}
        #: By step and the numbers of the shapes that it makes and reads.
        self._seen: dict[tuple[int, int, int], int] = {}
        #: Numbers of shapes; the same by the identity of a step's types.
        self._shapes: dict[Shape, int] = {}
        self._shape_of: dict[int, int] = {}

    def placed(self, graphs: Sequence[Graph]) -> Placed:
        """The steps of graphs; those that are new join."""
        steps: list[Step] = []
        for graph in graphs:
            steps += graph.steps
        types = list(chain.from_iterable([graph.all_types.values() for graph in graphs]))  # in the order of the steps
        number = np.fromiter(map(self._numbers.__getitem__, map(id, steps)), np.int32, len(steps))
        sizes = np.array([len(graph.steps) for graph in graphs])
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        of_graph = np.repeat(np.arange(len(graphs), dtype=np.int32), sizes)
        first = self._learn(steps, number)
        known = self._steps.columns
        counts = known["count"][number]
        edge_bounds = np.concatenate([[0], np.cumsum(counts)])
        target = np.repeat(np.arange(len(steps), dtype=np.int32), counts)
        reads = np.concatenate(self._reads or [np.zeros(0, dtype=np.int32)])
        names = reads[np.repeat(known["begin"][number] - edge_bounds[:-1], counts) + np.arange(len(target))]
        lookup = _Lookup(of_graph, known["own"][number], len(graphs), len(self.names))
        source = lookup(of_graph[target], names)
        first_read = np.arange(len(steps), dtype=np.int32)
        first_read[counts > 0] = source[edge_bounds[:-1][counts > 0]]
        made = np.fromiter(map(id, types), np.int64, len(types))
        # Where no size is read, only what is made tells variants apart.
        read = np.where(known["sized"][number], made[first_read], 0)
        known["type"][number[first]], known["read"][number[first]] = made[first], read[first]
        for place in first.tolist():
            i = number[place]
            if known["variant"][i] == -1:
                known["variant"][i] = self._variant(i, types[place], types[first_read[place]], graphs[of_graph[place]])
        variant = known["variant"][number]
        other = np.flatnonzero((variant < 0) | (known["type"][number] != made) | (known["read"][number] != read))
        if len(other):
            variant[other] = self._others(number, types, first_read, other, [graphs[i] for i in of_graph[other].tolist()])
        return Placed(of_graph, bounds, number, variant, edge_bounds, target, source)

    def _others(self, number: Array, types: list[Any], first_read: Array, other: Array, graphs: list[Graph]) -> Array:
        """Variants of steps (at places ``other``) that may make or read something else than where they were first met."""
        steps = number[other]
        made = self._shape_numbers([types[i] for i in other.tolist()])
        read = np.where(
            self._steps.columns["sized"][steps], self._shape_numbers([types[i] for i in first_read[other].tolist()]), 0
        )
        implied = self._steps.columns["variant"][steps] >= 0
        keys = (steps.astype(np.int64) * len(self._shapes) + made) * len(self._shapes) + read
        # Where the weight has to be looked up every place is a case of its own.
        keys = np.where(implied, keys, -1 - np.arange(len(keys)))
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        found = np.empty(len(first), dtype=np.int32)
        for case, i in enumerate(first.tolist()):
            seen = (int(steps[i]), int(made[i]), int(read[i]))
            known = self._seen.get(seen) if implied[i] else None
            if known is None:
                place = other[i]
                known = self._variant(seen[0], types[place], types[first_read[place]], graphs[i])
                self._seen[seen] = known
            found[case] = known
        return found[inverse]

    def _shape_numbers(self, types: list[tuple[TensorType, ...]]) -> Array:
        """Numbers of the shapes of first outputs."""
        known, shapes = self._shape_of, self._shapes
        found = np.empty(len(types), dtype=np.int64)
        for place, type_ in enumerate(types):
            number = known.get(id(type_))
            if number is None:
                number = known[id(type_)] = shapes.setdefault(type_[0].shape if type_ else (), len(shapes))
            found[place] = number
        return found

    def _learn(self, steps: list[Step], number: Array) -> Array:
        """New steps join the table. Gives the first place of each."""
        known = len(self._calls)
        new = np.flatnonzero(number >= known)
        first = np.empty(len(self._numbers) - known, dtype=np.intp)
        first[number[new[::-1]] - known] = new[::-1]
        if not len(first):
            return first
        calls = [call_of(steps[place]) for place in first.tolist()]
        settings = [_settings(call) for call in calls]
        names = self.names
        own = [names.setdefault(call.step.name, len(names)) for call in calls]
        reads = [names.setdefault(name, len(names)) for call in calls for name in call.reads]
        self._reads.append(np.array(reads, dtype=np.int32))
        count = np.array([len(call.reads) for call in calls])
        begin = self._num_reads + np.cumsum(count) - count
        self._num_reads += int(count.sum())
        # −1: not yet known; −2: to be looked up wherever the step stands.
        variant = [-2 if found.weight and not _is_implied(call.step) else -1 for call, found in zip(calls, settings)]
        zeros = np.zeros(len(calls), dtype=np.int64)
        sized = [found is not _NO_SETTINGS for found in settings]
        self._steps.extend(own=own, sized=sized, begin=begin, count=count, variant=variant, type=zeros, read=zeros)
        self._calls += calls
        self._settings += settings
        return first

    def _variant(self, i: int, made: tuple[TensorType, ...], read: tuple[TensorType, ...], graph: Graph) -> int:
        """The number of the variant of step i that makes and reads values of these types."""
        call, settings = self._calls[i], self._settings[i]
        shape = made[0].shape if made else ()
        before = read[0].shape if read and settings is not _NO_SETTINGS else ()
        elements = 0.0
        if settings.weight:
            numel: Any = graph.tensors[settings.weight].type.numel
            elements = 1.0 if isinstance(numel, Size) else float(numel)
        key = (i, shape, before, elements)
        known = self._by_key.get(key)
        if known is None:
            known = self._by_key[key] = len(self.found)
            self.found.append(Variant(call, settings, shape, before, elements))
        return known


def is_sized(kind: int, reach: int) -> bool:
    """Whether sizes are read from calls with such a label."""
    return kind < NUM_HEAVY or reach > 0 or kind in (DROPOUT, GLOBAL_POOL)


def _is_implied(step: Step) -> bool:
    """Whether the size of the weight follows from the shapes and the arguments."""
    return step.op == "linear" or step.op.startswith("conv")


def _settings(call: Call) -> Settings:
    label = LABELS[call.label]
    if not is_sized(label.kind, label.reach):
        return _NO_SETTINGS
    step, args = call.step, call.step.args
    kernel, stride, padding = (_largest(args.get(name)) for name in ("kernel", "stride", "padding"))
    rate, weight = args.get("p"), args.get("weight")
    drops = step.op.endswith(("dropout", "d")) and rate
    return Settings(
        kernel, stride or kernel, padding, min(float(rate), 0.999) if drops and rate else 0.0,
        weight.key if type(weight) is Weight else "",
    )  # fmt: skip


def _largest(value: Any) -> float:
    numbers = value if isinstance(value, tuple) else (value,)
    return float(max((number for number in numbers if type(number) is int), default=0))


class _Numbers(dict[int, int]):
    """Numbers from 0 in the order in which they are asked for."""

    def __missing__(self, key: int) -> int:
        made = self[key] = len(self)
        return made


class _Table:
    """Columns that grow."""

    def __init__(self, **types: Any) -> None:
        self.columns = {name: np.zeros(0, dtype=kind) for name, kind in types.items()}

    def extend(self, **columns: Any) -> None:
        for name, known in self.columns.items():
            self.columns[name] = np.concatenate([known, np.asarray(columns[name], dtype=known.dtype)])


class _Lookup:
    """Places of the names of each graph: a table where that is small enough, else a search."""

    def __init__(self, graph: Array, own: Array, num_graphs: int, num_names: int) -> None:
        self._num_names = num_names
        keys, places = self._key(graph, own), np.arange(len(own), dtype=np.int32)
        self._table: Array | None = None
        if num_graphs * num_names <= MOST_NAMES:
            self._table = np.zeros(num_graphs * num_names, dtype=np.int32)
            self._table[keys] = places
        else:
            order = np.argsort(keys)
            self._sorted: Array = keys[order]
            self._places: Array = places[order]

    def _key(self, graph: Array, name: Array) -> Array:
        found: Array = graph.astype(np.int64) * self._num_names + name
        return found

    def __call__(self, graph: Array, name: Array) -> Array:
        if self._table is not None:
            return self._table[self._key(graph, name)]
        return self._places[np.searchsorted(self._sorted, self._key(graph, name))]
