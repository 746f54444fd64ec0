"""The calls of a graph's signal as arrays: labels, edges, attributes, sizes. What `adjacency` and `tokens` are made of.

Whatever samples of a space have in common is worked out once: the wiring of a segment, the attributes of a step, the sizes of
a call for given operands.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import FormatError
from ..graph.step import Step
from ..ops import Edge, Size, Weight, operator
from .signal_flow import Segment, signal, units
from .vocabulary import KINDS, LABELS, call_of, known_call

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..graph.graph import Graph
    from ..ops import TensorType

#: Attributes of a call, 0 where it has none; the logarithm of `groups` is binary.
ATTRIBUTES = ("kernel", "stride", "dilation", "groups.log", "bias", "rate")
#: Natural logarithms of one more than: channels, positions, parameters and multiply–adds of a call; how often it is repeated.
SIZES = ("width.log", "extent.log", "params.log", "macs.log", "repeats.log")
FOLDS = (None, "runs", "distinct")


class Calls(NamedTuple):
    """The calls of one graph: numbers of kinds (n,), edges (E, 2) from and to, attributes (n, A) and sizes (n, S)."""

    kinds: NDArray[np.intp]
    edges: NDArray[np.intp]
    attributes: NDArray[np.float32]
    sizes: NDArray[np.float32]


class Wiring(NamedTuple):
    """How the calls of a chain of segments are wired: kinds, edges, places among all live calls, logarithms of repeats."""

    kinds: NDArray[np.intp]
    edges: NDArray[np.intp]
    places: tuple[int, ...]
    repeats: NDArray[np.float32]


def calls_of(graph: Graph, fold: str | None = None) -> Calls:
    """The live calls of a graph, in order.

    ``fold="runs"`` takes repeated blocks in a row once, ``"distinct"`` every block once, at its first place; the sizes are
    those of the first, with the number of repeats.
    """
    found = signal(graph)
    wires = wiring(found.segments, fold)
    rows = known_rows()
    table = rows.table(rows.of(graph, [found.live[place] for place in wires.places]))
    attributes, sizes = table[:, : len(ATTRIBUTES)], table[:, len(ATTRIBUTES) :]
    return Calls(wires.kinds, wires.edges, attributes, np.concatenate([sizes, wires.repeats[:, None]], axis=1))


def check_fold(fold: str | None) -> None:
    if fold not in FOLDS:
        raise FormatError(f"fold = {fold!r}; expected None, 'runs' (repeats in a row once) or 'distinct' (every block once)")


# -- wiring ------------------------------------------------------------------------------------------------------------
@lru_cache(maxsize=50_000)
def wiring(segments: tuple[Segment, ...], fold: str | None = None) -> Wiring:
    """The wiring of a chain of segments, one after the other."""
    begins = np.cumsum([0, *map(len, segments)])
    chosen, repeats = list(range(len(segments))), [1] * len(segments)
    if fold and segments:
        chosen, repeats = _folded(segments, fold)
    kinds: list[int] = []
    edges: list[NDArray[np.intp]] = [np.zeros((0, 2), dtype=np.intp)]
    places: list[int] = []
    counts: list[float] = []
    for i, times in zip(chosen, repeats):
        known, inner = _segment(segments[i])
        offset = len(kinds)
        edges.append(inner + (offset - 1))
        kinds += known
        places += range(begins[i], begins[i + 1])
        counts += [math.log(times + 1)] * len(known)
    joined = np.concatenate(edges)
    # What is the first of all has nothing before it to read.
    joined = joined[joined[:, 0] >= 0]
    return Wiring(np.array(kinds, dtype=np.intp), joined, tuple(places), np.array(counts, dtype=np.float32))


@lru_cache(maxsize=200_000)
def _segment(segment: Segment) -> tuple[list[int], NDArray[np.intp]]:
    """Kinds of the calls, and edges by numbers from 1, 0 being the call before the segment."""
    kinds = [LABELS[label].kind for label, *_ in segment]
    pairs = [(i - distance, i) for i, (_, *distances) in enumerate(segment, 1) for distance in distances]
    return kinds, np.array(pairs, dtype=np.intp).reshape(-1, 2)


def _folded(segments: tuple[Segment, ...], fold: str) -> tuple[list[int], list[int]]:
    """The segments that stand for all, by place, and how often each of them is there."""
    number: dict[Segment, int] = {}
    chain = tuple([number.setdefault(segment, len(number)) for segment in segments])
    chosen: list[int] = []
    repeats: list[int] = []
    place = 0
    begun: dict[tuple[int, ...], int] = {}
    previous: tuple[int, ...] = ()
    for unit in units(chain):
        if unit == previous or (fold == "distinct" and unit in begun):
            for i in range(begun[unit], begun[unit] + len(unit)):
                repeats[i] += 1
        else:
            begun[unit] = len(chosen)
            chosen += range(place, place + len(unit))
            repeats += [1] * len(unit)
        place += len(unit)
        previous = unit
    return chosen, repeats


# -- attributes and sizes ----------------------------------------------------------------------------------------------
_MOST = 400_000
Row = tuple[float, ...]


class Rows:
    """The different rows of numbers that calls were met with: `ATTRIBUTES`, then `SIZES` but the last."""

    def __init__(self) -> None:
        #: By identities, which the entries keep alive: the row of a step for given types; what a step does whatever its name.
        self._numbers: dict[tuple[int, ...], int] = {}
        self._kept: list[Any] = []
        self._sorts: dict[int, tuple[Step, int]] = {}
        self._sort_numbers: dict[Any, int] = {}
        #: By what a step does and the shapes it meets.
        self._made: dict[Any, int] = {}
        self._rows: list[Row] = []
        self._lock = threading.Lock()
        self._table = np.zeros((0, len(ATTRIBUTES) + len(SIZES) - 1), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, graph: Graph, places: Sequence[int]) -> list[int]:
        """The number of the row of each of some steps of a graph, given by place."""
        steps, types, numbers = graph.steps, graph.all_types, self._numbers
        found = []
        for place in places:
            step = steps[place]
            call = known_call(id(step))
            if call is None or call.step is not step:
                call = call_of(step)
            key = (id(step), id(types[step.name]), *[id(types[name]) for name in call.reads])
            number = numbers.get(key)
            found.append(self._learned(graph, step, key, call.reads) if number is None else number)
        return found

    def table(self, numbers: Sequence[int]) -> NDArray[np.float32]:
        """Rows by their numbers (n, A + S − 1)."""
        with self._lock:
            if len(self._table) < len(self._rows):
                new = np.array(self._rows[len(self._table) :], dtype=np.float32)
                self._table = np.concatenate([self._table, new])
        return self._table[np.asarray(numbers, dtype=np.intp)]

    def _learned(self, graph: Graph, step: Step, key: tuple[int, ...], reads: Sequence[str]) -> int:
        results, read = graph.all_types[step.name], [graph.all_types[name] for name in reads]
        keys = dict.fromkeys([value.key for value in step.args.values() if type(value) is Weight])
        weights = [graph.tensors[name] for name in keys]
        made = (
            self._sort(step), tuple([value.shape for value in results]), tuple([v.shape for values in read for v in values]),
            tuple([(entry.kind, entry.type.shape) for entry in weights]), tuple(graph.symbols.items()),
        )  # fmt: skip
        with self._lock:
            number = self._made.get(made)
            if number is None:
                self._rows.append((*_attributes(step), *_sizes(graph, step, results, weights)))
                number = self._made[made] = len(self._rows) - 1
            self._kept.append((step, results, read))
            self._numbers[key] = number
        return number

    def _sort(self, step: Step) -> int:
        """A number that tells the step from those that do something else for the same shapes."""
        known = self._sorts.get(id(step))
        if known is None or known[0] is not step:
            sort = step.op, tuple([(name, _bare(value)) for name, value in step.args.items()])
            known = self._sorts[id(step)] = step, self._sort_numbers.setdefault(sort, len(self._sort_numbers))
        return known[1]


_known = Rows()


def known_rows() -> Rows:
    """The rows that this process has met, unless they are too many. Numbers are those of the object that gave them."""
    global _known
    if len(_known) >= _MOST:
        _known = Rows()
    return _known


def _bare(value: Any) -> Any:
    """An argument without names of values and weights, as something that can be compared."""
    if isinstance(value, (Edge, Weight)):
        return type(value).__name__
    if isinstance(value, (tuple, list)):
        return tuple([_bare(item) for item in value])
    try:
        hash(value)
    except TypeError:
        value = repr(value)
    return type(value).__name__, value


def _attributes(step: Step) -> Row:
    """One number for each of `ATTRIBUTES`."""
    args = step.args
    kernel, stride, dilation = (_largest(args.get(name)) for name in ("kernel", "stride", "dilation"))
    groups = args.get("groups")
    rate = next((args[name] for name in ("p", "negative_slope", "alpha") if type(args.get(name)) is float), 0.0)
    return (
        kernel, stride, dilation, math.log2(groups) if type(groups) is int else 0.0,
        float(type(args.get("bias")) is Weight), float(rate),
    )  # fmt: skip


def _largest(value: Any) -> float:
    numbers = value if isinstance(value, tuple) else (value,)
    return float(max((number for number in numbers if type(number) is int), default=0))


def _sizes(graph: Graph, step: Step, results: tuple[TensorType, ...], weights: Sequence[Any]) -> Row:
    """One number for each of `SIZES` but the last."""
    width, space = _split(results[0].shape, step.op == "linear")
    num_params = sum(entry.type.numel for entry in weights if entry.kind == "parameter")
    flops = graph.at_one_sample(operator(step.op).flops(graph.operands(step), results))
    return tuple(math.log1p(max(_number(size), 0)) for size in (width, space, num_params, flops // 2))


def _split(shape: tuple[Any, ...], last: bool) -> tuple[Any, Any]:
    """Channels, and positions in space: channels come last after a linear layer and in sequences (N, T, C)."""
    if len(shape) < 2:
        return 1, 1
    axis = len(shape) - 1 if last or len(shape) == 3 else 1
    return shape[axis], math.prod(_number(size) for i, size in enumerate(shape) if i not in (0, axis))


def _number(size: Any) -> int:
    return 1 if isinstance(size, Size) else int(size)


def columns(operators: Sequence[str] = KINDS) -> tuple[str, ...]:
    """The names of the features of a call: operators, attributes, sizes."""
    return (*operators, *ATTRIBUTES, *SIZES)
