"""Graphs cut where one value is all that goes on, into *blocks*: what samples of a space have in common, each looked at once.

Blocks are told apart by a hash of 64 bits of what their calls make, of what shape, and of what they read; names and places in
the graph are not in it, so that repeated cells are one block. The shape of the value that comes in is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..graph.tree import edges
from ..ops import Edge
from .hash_mixing import mixed
from .step_variants import Placed, Variants

if TYPE_CHECKING:
    from ..graph.graph import Graph

Array = np.ndarray[Any, Any]

#: Graphs that are cut at once.
AT_ONCE = 500
_PLACE, _READ, _RESULT = np.uint64(0x2545F491), np.uint64(0x5851F42D), np.uint64(0xD6E8FEB86659FD93)
_SORT, _ELEMENTS = np.uint64(0x8EBC6AF09C88C6E3), np.uint64(0x589965CC75374CC3)
_ENTERED, _LAST = np.uint64(0xA0761D6478BD642F), np.uint64(0xE7037ED1A0B428DB)


def spread(begins: Array, counts: Array) -> Array:
    """``begins[0]``, ``begins[0] + 1`` …, ``counts[0]`` of them, then as many from ``begins[1]`` on, and so forth."""
    ends = np.cumsum(counts)
    found: Array = np.repeat(begins - (ends - counts), counts) + np.arange(ends[-1] if len(ends) else 0)
    return found


class Raw(NamedTuple):
    """Different blocks (D,), one after the other: which variants their calls (C,) are, and what those read.

    ``entered`` blocks begin with a call of variant −1, the value that comes in. Edges (E,) lead between places among all calls,
    in the order of ``target``; results (R,) are places too.
    """

    bounds: Array
    entered: Array
    variant: Array
    target: Array
    source: Array
    result: Array

    def some(self, begin: int, end: int) -> Raw:
        """Those from ``begin`` to ``end``."""
        bounds = self.bounds[begin : end + 1]
        first, last = int(bounds[0]), int(bounds[-1])
        a, b = np.searchsorted(self.target, [first, last])
        c, d = np.searchsorted(self.result, [first, last])
        return Raw(
            bounds - first, self.entered[begin:end], self.variant[first:last], self.target[a:b] - first,
            self.source[a:b] - first, self.result[c:d] - first,
        )  # fmt: skip

    @staticmethod
    def joined(parts: Sequence[Raw]) -> Raw:
        offset = np.cumsum([0, *(len(part.variant) for part in parts)])

        def moved(name: str) -> list[Array]:
            return [getattr(part, name) + begin for part, begin in zip(parts, offset.tolist())]

        bounds = np.concatenate([[0], *(found[1:] for found in moved("bounds"))])
        entered, variant = (np.concatenate([getattr(part, name) for part in parts]) for name in ("entered", "variant"))
        return Raw(bounds, entered, variant, *(np.concatenate(moved(name)) for name in ("target", "source", "result")))


class Blocks:
    """The different blocks that were met, in order."""

    def __init__(self) -> None:
        self.variants = Variants()
        self.parts: list[Raw] = []
        self._by_hash: dict[int, int] = {}
        self._codes = _Codes(self.variants)

    def of(self, graphs: Sequence[Graph], whole: bool = False) -> tuple[Array, Array]:
        """Numbers of the blocks of graphs (P,), those that are new join; and where each graph's begin (N + 1,).

        With ``whole`` each graph is one block.
        """
        parts = [self._cut(graphs[begin : begin + AT_ONCE], whole) for begin in range(0, len(graphs), AT_ONCE)]
        numbers = np.concatenate([found for found, _ in parts] or [np.zeros(0, dtype=np.intp)])
        counts = np.concatenate([counts for _, counts in parts] or [np.zeros(0, dtype=np.intp)])
        return numbers, np.concatenate([[0], np.cumsum(counts)])

    def _cut(self, graphs: Sequence[Graph], whole: bool) -> tuple[Array, Array]:
        steps = self.variants.placed(graphs)
        result, of_graph = _results(graphs, steps, self.variants.names)
        last = np.arange(len(steps.graph))
        # Edges are in the order of what they lead to, so that the last one written is the last that reads.
        last[steps.source] = steps.target
        last[result] = steps.bounds[1:][of_graph]
        is_last = np.zeros(len(last), dtype=bool)
        is_last[steps.bounds[1:] - 1] = True
        if whole:
            ends = is_last
        else:
            before = np.concatenate([[0], np.maximum.accumulate(last)[:-1]])
            ends = (before <= np.arange(len(last))) | is_last
        begins = np.concatenate([[0], np.flatnonzero(ends)[:-1] + 1])
        hashes = self._hashes(steps, begins, result, of_graph)
        different, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        numbers = np.array([self._by_hash.get(code, -1) for code in different.tolist()], dtype=np.intp)
        new = np.flatnonzero(numbers < 0)
        new = new[np.argsort(first[new])]  # by first place, so that numbers do not depend on hashes
        numbers[new] = len(self._by_hash) + np.arange(len(new))
        self._by_hash.update(zip(different[new].tolist(), numbers[new].tolist()))
        if len(new):
            self.parts.append(_taken(steps, begins, first[new], result))
        return numbers[inverse], np.bincount(steps.graph[begins], minlength=len(graphs))

    def _hashes(self, steps: Placed, begins: Array, result: Array, of_graph: Array) -> Array:
        codes, shapes = self._codes()
        code = codes[steps.variant]
        distance = steps.target - steps.source
        nth = np.arange(len(steps.target)) - steps.edge_bounds[steps.target]
        # Most calls read the one before them and nothing else; how many they read is in their code.
        odd = np.flatnonzero((distance != 1) | (nth > 0))
        target = steps.target[odd]
        read = mixed((distance[odd].astype(np.uint64) << np.uint64(24)) + nth[odd].astype(np.uint64) + _READ)
        starts = np.flatnonzero(np.diff(target, prepend=-1))
        if len(starts):
            code[target[starts]] ^= mixed(np.add.reduceat(read, starts))
        # The last block of a graph ends with it; a result may be the value that comes in.
        final = np.searchsorted(begins, steps.bounds[1:], side="left") - 1
        extra = np.zeros(len(begins), dtype=np.uint64)
        extra[final] = _LAST
        inside = result >= begins[final[of_graph]]
        code[result[inside]] ^= _RESULT
        extra[final[of_graph[~inside]]] = _RESULT
        place = np.arange(len(code)) - np.repeat(begins, np.diff(np.append(begins, len(code))))
        found = np.add.reduceat(mixed(code + mixed(place.astype(np.uint64) + _PLACE)), begins) + extra
        entered = steps.bounds[steps.graph[begins]] != begins
        found[entered] += mixed(shapes[steps.variant[begins[entered] - 1]] ^ _ENTERED)
        return mixed(found)


def _results(graphs: Sequence[Graph], steps: Placed, names: dict[str, int]) -> tuple[Array, Array]:
    """Places of the results, and the graph of each."""
    places: list[int] = []
    of_graph: list[int] = []
    for i, graph in enumerate(graphs):
        result = graph.result
        wanted = [result.node] if type(result) is Edge else [edge.node for edge in edges(result)]
        begin, end = int(steps.bounds[i]), len(graph.steps)
        for name in wanted:
            # Nearly always the last step.
            offset = end - 1
            while graph.steps[offset].name != name:
                offset -= 1
            places.append(begin + offset)
            of_graph.append(i)
    return np.array(places, dtype=np.intp), np.array(of_graph, dtype=np.intp)


def _taken(steps: Placed, begins: Array, which: Array, result: Array) -> Raw:
    """Some of the blocks, apart from their graphs."""
    ends = np.append(begins[1:], len(steps.graph))
    first, last = begins[which], ends[which]
    entered = steps.bounds[steps.graph[first]] != first
    sizes = last - first + entered
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    variant = np.full(bounds[-1], -1, dtype=np.int32)
    # Where the calls of a block come to stand, less where they stand; the value before them comes to stand before.
    moved = bounds[:-1] + entered - first
    places = spread(first, last - first)
    variant[places + np.repeat(moved, last - first)] = steps.variant[places]
    begin, end = steps.edge_bounds[first], steps.edge_bounds[last]
    chosen, move = spread(begin, end - begin), np.repeat(moved, end - begin)
    whose = steps.bounds[1:][steps.graph[first]]
    of_graphs = _by_graph(steps, result, first)
    results = [of_graphs[i] + moved[i] for i in np.flatnonzero(whose == last).tolist()]
    inner = bounds[1:][whose != last] - 1
    found = np.sort(np.concatenate([inner, *results]))
    return Raw(bounds, entered, variant, steps.target[chosen] + move, steps.source[chosen] + move, found)


def _by_graph(steps: Placed, result: Array, first: Array) -> list[Array]:
    """For each block the results of its graph."""
    order = np.sort(result)
    bounds = np.searchsorted(order, steps.bounds)
    graph = steps.graph[first]
    return [order[a:b] for a, b in zip(bounds[graph].tolist(), bounds[graph + 1].tolist())]


class _Codes:
    """Numbers of 64 bits of variants: of what they do and make, whatever their names; and of the shapes that they make."""

    def __init__(self, variants: Variants) -> None:
        self._variants = variants
        self._codes = np.zeros(0, dtype=np.uint64)
        self._of_shapes = np.zeros(0, dtype=np.uint64)

    def __call__(self) -> tuple[Array, Array]:
        """Codes and codes of shapes of all variants so far (V,)."""
        step, shape, _, elements = (column[len(self._codes) :] for column in self._variants.found.columns.values())
        if len(step):
            of_shape = mixed(shape.astype(np.uint64) + np.uint64(1))
            sort = self._variants.steps.columns["sort"][step].astype(np.uint64)
            code = mixed(mixed(sort ^ _SORT) + of_shape + mixed(elements.view(np.uint64) ^ _ELEMENTS))
            self._codes, self._of_shapes = np.concatenate([self._codes, code]), np.concatenate([self._of_shapes, of_shape])
        return self._codes, self._of_shapes
