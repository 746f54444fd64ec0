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
    """All different steps and variants that were met, in order.

    ``steps`` are columns over steps: label, role, ``sort`` (steps of one do the same, whatever their names), kernel, stride,
    padding, rate. ``found`` are columns over variants: the step, the number in ``shapes`` of what it makes and of what it reads
    first (that of () where no size is read), and how many elements its weight has.
    """

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.shapes: dict[Shape, int] = {(): 0}
        self.steps = _Table(
            own=np.int32, label=np.int32, role=np.int32, sort=np.int64, sized=bool, implied=bool, begin=np.int64,
            count=np.int32, variant=np.int32, type=np.int64, read=np.int64, kernel=float, stride=float, padding=float,
            rate=float,
        )  # fmt: skip
        self.found = _Table(step=np.int32, shape=np.int64, read=np.int64, elements=np.float64)
        self._numbers = _Numbers()
        self._sorts: dict[tuple[Any, ...], int] = {}
        self._weights: list[str] = []
        self._reads: list[Array] = []
        self._num_reads = 0
        #: Variants by step and shapes in one number; with the size of the weight where that does not follow.
        self._seen: dict[Any, int] = {}
        self._shape_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.found.columns["step"])

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
        known = self.steps.columns
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

        def variants(places: Array) -> Array:
            at, before = places.tolist(), first_read[places].tolist()
            owners = [graphs[i] for i in of_graph[places].tolist()]
            return self._variants(number[places], [types[i] for i in at], [types[i] for i in before], owners)

        new = number[first]
        known["type"][new], known["read"][new], known["variant"][new] = made[first], read[first], variants(first)
        variant = known["variant"][number]
        other = np.flatnonzero(~known["implied"][number] | (known["type"][number] != made) | (known["read"][number] != read))
        if len(other):
            variant[other] = variants(other)
        return Placed(of_graph, bounds, number, variant, edge_bounds, target, source)

    def _learn(self, steps: list[Step], number: Array) -> Array:
        """New steps join the table. Gives the first place of each."""
        known = len(self._weights)
        new = np.flatnonzero(number >= known)
        first = np.empty(len(self._numbers) - known, dtype=np.intp)
        first[number[new[::-1]] - known] = new[::-1]
        if not len(first):
            return first
        calls = [call_of(steps[place]) for place in first.tolist()]
        settings = [_settings(call) for call in calls]
        names, sorts = self.names, self._sorts
        own = [names.setdefault(call.step.name, len(names)) for call in calls]
        reads = [names.setdefault(name, len(names)) for call in calls for name in call.reads]
        self._reads.append(np.array(reads, dtype=np.int32))
        count = np.array([len(call.reads) for call in calls])
        begin = self._num_reads + np.cumsum(count) - count
        self._num_reads += int(count.sum())
        keys = [(call.label, call.role, len(call.reads), found[:4]) for call, found in zip(calls, settings)]
        kernel, stride, padding, rate = np.array([found[:4] for found in settings]).T
        zeros = np.zeros(len(calls), dtype=np.int64)
        self.steps.extend(
            own=own, label=[call.label for call in calls], role=[call.role for call in calls],
            sort=[sorts.setdefault(key, len(sorts)) for key in keys], sized=[found is not _NO_SETTINGS for found in settings],
            implied=[not found.weight or _is_implied(call.step) for call, found in zip(calls, settings)], begin=begin,
            count=count, variant=zeros, type=zeros, read=zeros, kernel=kernel, stride=stride, padding=padding, rate=rate,
        )  # fmt: skip
        self._weights += [found.weight for found in settings]
        return first

    def _variants(self, steps: Array, made: list[Any], read: list[Any], graphs: list[Graph]) -> Array:
        """Variants of steps that make and read values of these types; those that are new join."""
        known = self.steps.columns
        shape = self._shape_numbers(made)
        before = np.where(known["sized"][steps], self._shape_numbers(read), 0)
        keys = (steps.astype(np.int64) << 40) | (shape << 20) | before
        implied = known["implied"][steps]
        # Where the weight has to be looked up every place is a case of its own.
        cases = np.where(implied, keys, -1 - np.arange(len(keys)))
        _, first, inverse = np.unique(cases, return_index=True, return_inverse=True)
        found, count = np.empty(len(first), dtype=np.int32), len(self)
        new: list[int] = []
        elements: list[float] = []
        for case, (i, key, follows) in enumerate(zip(first.tolist(), keys[first].tolist(), implied[first].tolist())):
            number = self._seen.get(key) if follows else None
            if number is None:
                size = self._elements(int(steps[i]), graphs[i])
                number = self._seen.setdefault(key if follows else (key, size), count + len(new))
                if number == count + len(new):
                    new.append(i)
                    elements.append(size)
            found[case] = number
        self.found.extend(step=steps[new], shape=shape[new], read=before[new], elements=elements)
        return found[inverse]

    def _elements(self, step: int, graph: Graph) -> float:
        """How many elements the weight of a step has."""
        weight = self._weights[step]
        if not weight:
            return 0.0
        numel: Any = graph.tensors[weight].type.numel
        return 1.0 if isinstance(numel, Size) else float(numel)

    def _shape_numbers(self, types: list[tuple[TensorType, ...]]) -> Array:
        """Numbers of the shapes of first outputs."""
        known, shapes = self._shape_of, self.shapes
        found = []
        for of_step in types:
            number = known.get(id(of_step))
            if number is None:
                number = known[id(of_step)] = shapes.setdefault(of_step[0].shape if of_step else (), len(shapes))
            found.append(number)
        return np.array(found, dtype=np.int64)


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
