"""Regions of many graphs, as numbers: what lies between two nonlinearities, at the beginning of a network and at its end.

A region is a call at which one ends, a nonlinearity or the last call, with all that leads there from the nonlinearities before:
a layer with its norm, a cell's node with all that it adds up, a graph convolution with its matrix products. *First* are regions
that begin where at most one nonlinearity was before, *last* those that only the end reads. Repeated blocks have the same
regions: where they begin and end says what a block is, whatever the depth.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .neighbourhood_hashes import label_hashes
from .signal_batches import mixed
from .vocabulary import KINDS, LABELS, NONLINEAR

Array = np.ndarray[Any, Any]

_ORDERLESS = ("add", "cat", "mul")
_FIRST, _LAST = np.uint64(0xA0761D6478BD642F), np.uint64(0xE7037ED1A0B428DB)
_BEGIN, _PLACE = np.uint64(0x8EBC6AF09C88C6E3), np.uint64(0x589965CC75374CC3)
_NONE = np.iinfo(np.int64).max


class Calls(NamedTuple):
    """The calls of some graphs: labels (C,), places in their graphs (C,), whether one is its graph's last (C,); edges (E,) in
    the order of ``target``."""

    labels: Array
    position: Array
    is_last: Array
    target: Array
    source: Array


def region_hashes(calls: Calls) -> tuple[Array, Array]:
    """Numbers of 64 bits, the same in every process, of all first and last regions (R,), and the call that ends each (R,)."""
    if not len(calls.labels):
        return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.intp)
    kinds = np.array([label.kind for label in LABELS])[calls.labels]
    ends = np.isin(kinds, [KINDS.index(kind) for kind in NONLINEAR]) | calls.is_last
    levels = _levels(calls)
    code, least, most = _forward(calls, levels, kinds, ends)
    # Nothing before, or one region that itself has nothing before.
    begins = least == _NONE
    alone = least == most
    one = np.flatnonzero(~begins & alone)
    is_first = begins.copy()
    is_first[one] = begins[least[one]]
    first, last = np.flatnonzero(ends & is_first), np.flatnonzero(ends & _read_by_the_end(calls, levels, ends))
    return np.concatenate([mixed(code[first] ^ _FIRST), mixed(code[last] ^ _LAST)]), np.concatenate([first, last])


#: Edges whose targets have one position in their graphs: which, the targets, and where each target's begin among the edges.
Level = tuple[Array, Array, Array]


def _levels(calls: Calls) -> list[Level]:
    at = calls.position[calls.target]
    # Sorting numbers of 16 bits takes one pass.
    order = np.argsort(at.astype(np.uint16) if len(at) and at.max() < 65536 else at, kind="stable")
    target = calls.target[order]
    starts = np.flatnonzero(np.diff(target, prepend=-1))
    bounds = np.flatnonzero(np.diff(at[order], prepend=-1))
    begins = np.append(np.searchsorted(starts, bounds), len(starts)).tolist()
    ends = [*bounds[1:].tolist(), len(order)]
    return [
        (order[edge:end], target[starts[begin:until]], starts[begin:until] - edge)
        for edge, end, begin, until in zip(bounds.tolist(), ends, begins, begins[1:])
    ]


def _forward(calls: Calls, levels: list[Level], kinds: Array, ends: Array) -> tuple[Array, Array, Array]:
    """The number of what leads to each call, and the first and last end that is met going back from it (`_NONE`, −1: none)."""
    own = label_hashes(calls.labels)
    ordered = ~np.isin(kinds, [KINDS.index(kind) for kind in _ORDERLESS])
    code = mixed(own)
    least, most = np.full(len(own), _NONE), np.full(len(own), -1)
    nth = np.zeros(len(calls.target), dtype=np.uint64)
    for edges, _, starts in levels:
        nth[edges] = np.arange(len(edges)) - np.repeat(starts, np.diff(np.append(starts, len(edges))))
    place = np.where(ordered[calls.target], nth, np.uint64(0)) * _PLACE
    is_end = ends[calls.source]
    for edges, target, starts in levels:
        source, at_end = calls.source[edges], is_end[edges]
        brought = mixed(np.where(at_end, _BEGIN, code[source]) + place[edges])
        first, last = np.where(at_end, source, least[source]), np.where(at_end, source, most[source])
        if len(starts) < len(edges):
            brought = np.add.reduceat(brought, starts)
            first, last = np.minimum.reduceat(first, starts), np.maximum.reduceat(last, starts)
        code[target], least[target], most[target] = mixed(own[target] ^ mixed(brought)), first, last
    return code, least, most


def _read_by_the_end(calls: Calls, levels: list[Level], ends: Array) -> Array:
    """Which calls no end reads but the last call of the graph."""
    other = np.zeros(len(ends), dtype=bool)
    for edges, _, _ in reversed(levels):
        source, target = calls.source[edges], calls.target[edges]
        reads = np.where(ends[target], ~calls.is_last[target], other[target])
        other[source[reads]] = True
    found: Array = ~other & ~calls.is_last
    return found
