"""A graph's steps as numbers: what each one is (exactly, and roughly), what it reads, and which values are alive where.

Names do not enter, so whatever is found in these numbers is found by structure alone.
"""

from __future__ import annotations

import marshal
from bisect import bisect_left, bisect_right
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ops import Edge, Weight
from .contents import Ref, plan_of, text
from .tree import edges

if TYPE_CHECKING:
    from .block_summaries import Summary
    from .graph import Graph, Step

#: Attributes that tell one layer from another of the same operator; sizes, strides and rates do not.
_TELLING = ("kernel", "equation", "nonlinearity", "mode")
#: Families of operators that multiply matrices.
_MULTIPLYING = ("conv", "linear", "matmul", "attention", "recurrent", "einsum")
Ints = np.ndarray[Any, np.dtype[np.int64]]


class Reading:
    """The steps of a graph by position.

    - ``content[i]``: equal for steps that are the same call, attributes and types included. ``label[i]``: equal for steps
      that do the same kind of thing, whatever its sizes.
    - ``reads[i]``: (position, output) of each operand, in order. ``keys[i]``: canonical keys of the tensors it uses.
    - ``uses[i]``: positions that read it, ascending. ``returned``: positions of results of the graph.
    - ``depends[i]``: whether it is worked out from an input; ``carries[i]``: whether it is floating point, too. ``weighty[i]``: whether it
      uses tensors of its own or multiplies matrices (``multiplies[i]``), and so makes a layer what it is.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.steps = graph.steps
        self.position = {step.name: i for i, step in enumerate(graph.steps)}
        contents: dict[Hashable, int] = {}
        labels: dict[Hashable, int] = {}
        self.content: list[int] = []
        self.types: list[int] = []
        self.reads: list[list[tuple[int, int]]] = []
        self.keys: list[list[str]] = []
        self.uses: list[list[int]] = [[] for _ in graph.steps]
        self.depends: list[bool] = []
        self.carries: list[bool] = []
        self.weighty: list[bool] = []
        self.multiplies: list[bool] = []
        label: list[int] = []
        known: dict[Hashable, int] = {}
        for i, step in enumerate(graph.steps):
            outputs = graph.types(step.name)
            refs: list[Ref] = []
            content = (step.op, _plain(step, refs), outputs, step.mode, step.grad, step.autocast)
            reads, keys = [], []
            tensors: list[Hashable] = []
            for ref in refs:
                if type(ref) is Edge:
                    reads.append((self.position[ref.node], ref.index))
                else:
                    entry = graph.tensors[ref[0]]
                    head = ref[0] if entry.alias_of is None else entry.alias_of
                    keys.append(head)
                    tensors.append((entry.kind, entry.type, graph.tensors[head].constant))
            for place in dict.fromkeys(place for place, _ in reads):
                self.uses[place].append(i)
            self.content.append(contents.setdefault((content, tuple(tensors)), len(contents)))
            label.append(labels.setdefault(_rough(step), len(labels)))
            self.types.append(known.setdefault(outputs, len(known)))
            self.reads.append(reads)
            self.keys.append(keys)
            depends = step.op == "input" or any(self.depends[place] for place, _ in reads)
            self.depends.append(depends)
            self.carries.append(depends and bool(outputs) and outputs[0].dtype.startswith(("float", "bfloat", "complex")))
            self.multiplies.append(plan_of(step.op).kind.family in _MULTIPLYING)
            self.weighty.append(bool(keys) or self.multiplies[-1])
        self.label: Ints = np.array(label, dtype=np.int64)
        layer = [heavy and bool(reads) for heavy, reads in zip(self.weighty, self.reads)]
        self._layers: list[int] = [0, *np.cumsum(layer).tolist()]
        #: Summaries of runs of steps, by `key`.
        self.summaries: dict[Any, Summary] = {}
        self.results = edges([graph.result, graph.train_result])
        self.returned = {self.position[edge.node] for edge in self.results}

    def live(self, start: int, stop: int) -> Ints:
        """How many values cross each border inside ``[start, stop)``: entry ``i`` is the border before step ``start + i``.

        Data counts from where it is made to its last use here. Anything else (masks, tables, parameters) counts to its first
        use: what every block reads again joins no two of them. Of values from outside only those count that the first
        step reads.
        """
        change = np.zeros(stop - start + 1, dtype=np.int64)
        for i in range(start, stop):
            uses = self.uses[i]
            if uses and uses[0] < stop:
                last = uses[-1] if self.carries[i] else uses[0]
                if last >= stop:
                    last = uses[bisect_left(uses, stop) - 1]
                change[i + 1 - start] += 1
                change[last + 1 - start] -= 1
        for place in {place for place, _ in self.reads[start] if place < start and self.carries[place]}:
            uses = self.uses[place]
            change[0] += 1
            change[uses[bisect_left(uses, stop) - 1] + 1 - start] -= 1
        return np.cumsum(change)[: stop - start]

    def layers(self, start: int, stop: int) -> int:
        """Number of weighty steps in ``[start, stop)`` that read something."""
        return self._layers[stop] - self._layers[start]

    def forks(self, border: int) -> bool:
        """Whether the value made right before a border is read more than once."""
        return len(self.uses[border - 1]) > 1

    def key(self, start: int, stop: int) -> tuple[Any, ...]:
        """Equal for runs of steps that compute the same in the same way, names aside: wiring and shared tensors count."""
        outside: dict[tuple[int, int], int] = {}
        tensors: dict[str, int] = {}
        wires: list[Any] = []
        for i in range(start, stop):
            for ref in self.reads[i]:
                wires.append((ref[0] - start, ref[1]) if ref[0] >= start else -1 - outside.setdefault(ref, len(outside)))
            wires += [tensors.setdefault(key, len(tensors)) for key in self.keys[i]]
        entering = [(self.types[place], index) for place, index in outside]
        leaving = [i - start for i in range(start, stop) if self.leaves(i, stop)]
        return tuple(self.content[start:stop]), tuple(wires), tuple(entering), tuple(leaving)

    def leaves(self, i: int, stop: int) -> bool:
        """Whether a value made at ``i`` is used at or after ``stop``, or returned."""
        return i in self.returned or bool(self.uses[i]) and self.uses[i][-1] >= stop

    def leaving(self, start: int, stop: int) -> tuple[Edge, ...]:
        """The values made in a run of steps that are used after it or returned, in order of production."""
        used: set[tuple[int, int]] = {(self.position[edge.node], edge.index) for edge in self.results}
        for place in range(start, stop):
            for user in self.uses[place]:
                if user >= stop:
                    used.update(self.reads[user])
        return tuple(Edge(self.steps[place].name, index) for place, index in sorted(used) if start <= place < stop)

    def scaled(self, a: int, b: int) -> bool:
        """Whether the results of two steps differ along one axis at most."""
        if self.types[a] == self.types[b]:
            return True
        first, second = self.graph.types(self.steps[a].name)[0].shape, self.graph.types(self.steps[b].name)[0].shape
        return len(first) == len(second) and sum(x != y for x, y in zip(first, second)) < 2

    def wired(self, start: int, stop: int) -> list[tuple[int, ...]]:
        """What each step reads inside the run, by distance; everything from outside is one."""
        found = []
        for i in range(start, stop):
            inside = [i - place if place >= start else 0 for place, _ in self.reads[i]]
            found.append(tuple(d for j, d in enumerate(inside) if d or j == 0 or inside[j - 1]))
        return found

    def uses_within(self, i: int, start: int, stop: int) -> int:
        uses = self.uses[i]
        return bisect_right(uses, stop - 1) - bisect_left(uses, start)


def _plain(step: Step, refs: list[Ref]) -> Hashable:
    """The arguments without edges and weights, those gathered in ``refs``; different for 1, 1.0 and True."""
    plain: list[Any] = []
    for name, value in step.args.items():
        kind = type(value)
        if kind is Edge or kind is Weight:
            refs.append(value)
            plain.append(name)
        elif kind is tuple and value and type(value[0]) in (Edge, Weight, tuple):
            plain.append(text(value, refs, {}))
        else:
            plain.append(value)
    try:
        return marshal.dumps(plain, 2)
    except ValueError:
        return tuple([text(value, refs, {}) for value in plain])


def _rough(step: Step) -> Hashable:
    args = step.args
    telling = [args[name] for name in _TELLING if name in args]
    grouped = args.get("groups", 1) != 1
    return step.op, ascii(telling) if telling else "", grouped, step.mode, step.grad
