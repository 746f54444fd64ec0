"""The calls of a graph's signal as arrays: labels, edges, attributes, sizes. What `adjacency` and `tokens` are made of.

Whatever samples of a space have in common is worked out once: the wiring of a segment, the attributes of a step, the sizes of
a call for given operands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import FormatError
from ..graph.step import Step
from ..ops import Size, Weight, operator
from .signal_flow import Segment, signal, units
from .vocabulary import KINDS, LABELS, call_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..graph.graph import Graph

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
    steps, types, tensors = graph.steps, graph.all_types, graph.tensors
    live = found.live
    attributes, sizes = [], []
    for place in wires.places:
        step = steps[live[place]]
        attributes.append(_attributes(step))
        call = call_of(step)
        sizes.append(_sizes(graph, step, types, tensors, call.reads))
    table = np.array(sizes, dtype=np.float32).reshape(len(sizes), len(SIZES) - 1)
    return Calls(
        wires.kinds, wires.edges, np.array(attributes, dtype=np.float32).reshape(len(attributes), len(ATTRIBUTES)),
        np.concatenate([table, wires.repeats[:, None]], axis=1),
    )  # fmt: skip


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
#: By identities, which the entries keep alive: the attributes of a step; the sizes of a step for given types.
_ATTRIBUTES: dict[int, tuple[Step, tuple[float, ...]]] = {}
_SIZES: dict[tuple[int, ...], tuple[Any, tuple[float, ...]]] = {}


def _attributes(step: Step) -> tuple[float, ...]:
    """One number for each of `ATTRIBUTES`."""
    known = _ATTRIBUTES.get(id(step))
    if known is not None and known[0] is step:
        return known[1]
    args = step.args
    kernel, stride, dilation = (_largest(args.get(name)) for name in ("kernel", "stride", "dilation"))
    groups = args.get("groups")
    rate = next((args[name] for name in ("p", "negative_slope", "alpha") if type(args.get(name)) is float), 0.0)
    made = (
        kernel, stride, dilation, math.log2(groups) if type(groups) is int else 0.0,
        float(type(args.get("bias")) is Weight), float(rate),
    )  # fmt: skip
    if len(_ATTRIBUTES) >= _MOST:
        _ATTRIBUTES.clear()
    _ATTRIBUTES[id(step)] = (step, made)
    return made


def _largest(value: Any) -> float:
    numbers = value if isinstance(value, tuple) else (value,)
    return float(max((number for number in numbers if type(number) is int), default=0))


def _sizes(graph: Graph, step: Step, types: Any, tensors: Any, reads: Sequence[str]) -> tuple[float, ...]:
    """One number for each of `SIZES` but the last."""
    results = types[step.name]
    key = (id(step), id(results), *[id(types[name]) for name in reads])
    known = _SIZES.get(key)
    if known is not None:
        return known[1]
    shape = results[0].shape
    width, space = _split(shape, step.op == "linear")
    keys = {value.key for value in step.args.values() if type(value) is Weight}
    num_params = sum(tensors[key].type.numel for key in keys if tensors[key].kind == "parameter")
    flops = graph.at_one_sample(operator(step.op).flops(graph.operands(step), results))
    made = tuple(math.log1p(max(_number(size), 0)) for size in (width, space, num_params, flops // 2))
    if len(_SIZES) >= _MOST:
        _SIZES.clear()
    _SIZES[key] = ((step, results, [types[name] for name in reads]), made)
    return made


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
