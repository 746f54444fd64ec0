"""Regions of many graphs, as numbers: what lies between two nonlinearities, at the beginning of a network and at its end.

A region is a call at which one ends, a nonlinearity or the last call, with all that leads there from the nonlinearities before:
a layer with its norm, a cell's node with all that it adds up, a graph convolution with its matrix products. *First* are regions
that begin where at most one nonlinearity was before, *last* those that only the end reads. Repeated blocks have the same
regions: where they begin and end says what a block is, whatever the depth.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .hash_mixing import mixed
from .neighbourhood_hashes import label_hashes
from .vocabulary import KINDS, LABELS, NONLINEAR

Array = np.ndarray[Any, Any]

_ORDERLESS = ("add", "cat", "mul")
_FIRST, _LAST = np.uint64(0xA0761D6478BD642F), np.uint64(0xE7037ED1A0B428DB)
_BEGIN, _PLACE = np.uint64(0x8EBC6AF09C88C6E3), np.uint64(0x589965CC75374CC3)
#: No end is met going back, or not exactly one with none before.
_NONE, _MORE = -1, -2


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
    is_first = _before(calls, levels, ends) >= _NONE
    is_last, leads_there = _read_by_the_end(calls, levels, ends)
    # Most calls are in no such region.
    code = _codes(calls, is_first | leads_there, kinds, ends)
    first, last = np.flatnonzero(ends & is_first), np.flatnonzero(is_last)
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


def _before(calls: Calls, levels: list[Level], ends: Array) -> Array:
    """The end that is met going back from each call, where it is one with none before; `_NONE` for no end, else `_MORE`."""
    found, brought = np.full(len(ends), _NONE), np.where(ends, np.arange(len(ends)), _NONE)
    for edges, target, starts in levels:
        before = brought[calls.source[edges]]
        if len(starts) < len(edges):
            least, most = np.minimum.reduceat(before, starts), np.maximum.reduceat(before, starts)
            least_end = np.minimum.reduceat(np.where(before < 0, len(ends), before), starts)
            before = np.where((least > _MORE) & ((most == _NONE) | (least_end == most)), most, _MORE)
        found[target] = before
        brought[target] = np.where(ends[target], np.where(before == _NONE, target, _MORE), before)
    return found


def _read_by_the_end(calls: Calls, levels: list[Level], ends: Array) -> tuple[Array, Array]:
    """Which ends no end reads but the last call of the graph; and which calls lead there from the ends before."""
    other = np.zeros(len(ends), dtype=bool)
    leads_there = np.zeros(len(ends), dtype=bool)
    only_last = ends & ~calls.is_last
    for edges, target, _ in reversed(levels):
        leads_there[target] |= only_last[target] & ~other[target]
        source, reader = calls.source[edges], calls.target[edges]
        other[source[np.where(ends[reader], ~calls.is_last[reader], other[reader])]] = True
        leads_there[source[leads_there[reader] & ~ends[source]]] = True
    is_last = only_last & ~other
    return is_last, leads_there | is_last


def _codes(calls: Calls, some: Array, kinds: Array, ends: Array) -> Array:
    """The number of what leads to each of some calls; 0 for the others."""
    which = np.flatnonzero(some)
    used = np.flatnonzero(some[calls.target])
    nth = used - np.searchsorted(calls.target, calls.target[used])
    part = Calls(calls.labels, calls.position, calls.is_last, calls.target[used], calls.source[used])
    own = np.zeros(len(some), dtype=np.uint64)
    own[which] = label_hashes(calls.labels[which])
    code = np.zeros(len(some), dtype=np.uint64)
    code[which] = mixed(own[which])
    ordered = ~np.isin(kinds, [KINDS.index(kind) for kind in _ORDERLESS])
    place = np.where(ordered[part.target], nth.astype(np.uint64), np.uint64(0)) * _PLACE
    at_end = ends[part.source]
    for edges, target, starts in _levels(part):
        brought = mixed(np.where(at_end[edges], _BEGIN, code[part.source[edges]]) + place[edges])
        if len(starts) < len(edges):
            brought = np.add.reduceat(brought, starts)
        code[target] = mixed(own[target] ^ mixed(brought))
    return code
