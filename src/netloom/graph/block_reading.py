"""A graph's steps as numbers: what each one is (exactly, and roughly), what it reads, and how long its value is needed.

Names do not enter, so whatever is found in these numbers is found by structure alone.
"""

from __future__ import annotations

import marshal
from bisect import bisect_left
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ops import Edge, TensorType, Weight
from .contents import Ref, plan_of, text
from .tree import edges

if TYPE_CHECKING:
    from .block_summaries import Summary
    from .graph import Graph, Step

Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
#: Attributes that tell one layer from another of the same operator; sizes, strides and rates do not.
_TELLING = ("kernel", "equation", "nonlinearity", "mode")
#: Families of operators that multiply matrices.
_MULTIPLYING = frozenset({"conv", "linear", "matmul", "attention", "recurrent", "einsum"})
#: How much more a step counts that makes a layer what it is.
WEIGHTY = 4


class Reading:
    """The steps of a graph by position.

    - ``content[i]``: equal for steps that are the same call, attributes and types included; ``label[i]``: equal for steps
      that do the same kind of thing, whatever its sizes; ``type[i]``: equal for equal types of the results.
    - ``reads[i]``: (position, output) of each operand, in order; ``keys[i]``: keys of the tensors it uses, behind ties.
    - ``uses[i]``: positions that read it, ascending; ``width[i]``: how many of its outputs are read.
    - ``depends[i]``: whether it is worked out from an input; ``carries[i]``: whether it is floating point, too.
    - ``multiplies[i]``: whether it multiplies matrices; ``weight[i]``: what it counts, more where it does or uses tensors.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph, self.steps = graph, graph.steps
        self.position = {step.name: i for i, step in enumerate(graph.steps)}
        self.reads: list[list[tuple[int, int]]] = []
        self.keys: list[list[str]] = []
        self.uses: list[list[int]] = [[] for _ in graph.steps]
        self.depends: list[bool] = []
        self.carries: list[bool] = []
        self.multiplies: list[bool] = []
        self._heads: dict[str, tuple[str, Hashable]] = {}
        kinds: dict[tuple[TensorType, ...], int] = {}
        contents, labels, wirings = (dict[Hashable, int]() for _ in range(3))
        numbers = [self._read(i, step, kinds, contents, labels, wirings) for i, step in enumerate(graph.steps)]
        self.content, self.label, self.type, self._wiring = np.array(numbers, dtype=np.int64).T.copy()
        self._close: dict[int, Bools] = {}
        self._note_shapes([outputs[0].shape if outputs else () for outputs in kinds])
        self._keys: dict[tuple[int, int], tuple[Any, ...]] = {}
        self._paths: dict[str, int] = {}
        #: Answers of searches for runs that are alike.
        self.nearest: dict[Any, int | None] = {}
        #: Summaries of runs of steps, by `key`.
        self.summaries: dict[Any, Summary] = {}
        self._weigh()
        self._note_ends()

    def _read(
        self, i: int, step: Step, kinds: dict[tuple[TensorType, ...], int], contents: dict[Hashable, int],
        labels: dict[Hashable, int], wirings: dict[Hashable, int],
    ) -> tuple[int, int, int, int]:  # fmt: skip
        """Take down what a step reads; the numbers of its content, its label, its type and its wiring."""
        outputs = self.graph.types(step.name)
        refs: list[Ref] = []
        plain = _plain(step, refs)
        position = self.position
        reads = [(position[ref[0]], ref[1]) for ref in refs if type(ref) is Edge]
        tensors = [self._tensor(ref[0]) for ref in refs if type(ref) is Weight] if len(reads) < len(refs) else []
        depends = step.op == "input"
        for place, _ in reads:
            uses = self.uses[place]
            if not uses or uses[-1] != i:
                uses.append(i)
            depends = depends or self.depends[place]
        self.reads.append(reads)
        self.keys.append([key for key, _ in tensors])
        self.depends.append(depends)
        self.carries.append(depends and bool(outputs) and outputs[0].dtype.startswith(("float", "bfloat", "complex")))
        self.multiplies.append(plan_of(step.op).kind.family in _MULTIPLYING)
        kind = kinds.setdefault(outputs, len(kinds))
        call = (step.op, plain, kind, step.mode, step.grad, step.autocast, tuple([content for _, content in tensors]))
        wiring = tuple([i - place for place, _ in reads])
        return (
            contents.setdefault(call, len(contents)),
            labels.setdefault(_rough(step), len(labels)),
            kind,
            wirings.setdefault(wiring, len(wirings)),
        )

    def _tensor(self, key: str) -> tuple[str, Hashable]:
        """The key of a tensor behind all ties, and what it is."""
        if key not in self._heads:
            entry = self.graph.tensors[key]
            head = key
            while entry.alias_of is not None:
                head, entry = entry.alias_of, self.graph.tensors[entry.alias_of]
            self._heads[key] = head, (entry.kind, entry.type, entry.constant)
        return self._heads[key]

    def _note_shapes(self, shapes: list[tuple[Any, ...]]) -> None:
        """Shapes as rows of numbers, equal for equal sizes."""
        sizes: dict[Any, int] = {}
        self._ranks: Ints = np.array([len(shape) for shape in shapes], dtype=np.int64)
        self._shapes: Ints = np.full((len(shapes), max(self._ranks.tolist())), -1, dtype=np.int64)
        for row, shape in zip(self._shapes, shapes):
            row[: len(shape)] = [sizes.setdefault(size, len(sizes)) for size in shape]

    def _weigh(self) -> None:
        weighty = [bool(keys) or multiplies for keys, multiplies in zip(self.keys, self.multiplies)]
        self.weight: Ints = np.where(weighty, WEIGHTY, 1)
        layers = [heavy and bool(reads) for heavy, reads in zip(weighty, self.reads)]
        self._layers: list[int] = [0, *np.cumsum(layers).tolist()]

    def _note_ends(self) -> None:
        """The last use of every output; a result of the graph is used after all steps."""
        count = len(self.steps)
        self._ends: list[dict[int, int]] = [{} for _ in range(count)]
        for i, reads in enumerate(self.reads):
            for place, index in reads:
                self._ends[place][index] = i
        for edge in edges([self.graph.result, self.graph.train_result]):
            self._ends[self.position[edge.node]][edge.index] = count
        self.width: Ints = np.array([len(ends) for ends in self._ends], dtype=np.int64)
        self._last: Ints = np.array([max(ends.values(), default=i) for i, ends in enumerate(self._ends)], dtype=np.int64)
        self._first: Ints = np.array([uses[0] if uses else i for i, uses in enumerate(self.uses)], dtype=np.int64)
        self._flows: Ints = np.array([uses[-1] if uses else i for i, uses in enumerate(self.uses)], dtype=np.int64)
        self._flows = np.where(self.carries, self._flows, self._first)

    # -- values over time ------------------------------------------------------------------------------------------
    def live(self, start: int, stop: int) -> Ints:
        """How many values cross each border inside ``[start, stop)``: entry ``i`` is the border before step ``start + i``.

        Data counts from where it is made to its last use here. Anything else (masks, tables, parameters) counts to its first
        use: what every block reads again joins no two of them. Of values from outside only those count that the first
        step reads.
        """
        places = np.arange(start, stop)
        ends = self._flows[start:stop].copy()
        for i in np.flatnonzero(ends >= stop).tolist():
            uses = self.uses[start + i]
            inner = bisect_left(uses, stop)
            ends[i] = uses[inner - 1] if inner else start + i
        change = _crossing(places - start, ends - start, self.width[start:stop], stop - start)
        for place in {place for place, _ in self.reads[start] if place < start and self.carries[place]}:
            uses = self.uses[place]
            change[: uses[bisect_left(uses, stop) - 1] + 1 - start] += 1
        return change

    def young(self, start: int, stop: int, age: int) -> Ints:
        """As `live`, of the values made at most ``age`` steps before the border, wherever they are used after it."""
        places = np.arange(start, stop)
        ends = np.minimum(self._last[start:stop], places + age)
        return _crossing(places - start, np.minimum(ends, stop) - start, self.width[start:stop], stop - start)

    def readers(self, border: int) -> int:
        """How often the value made right before a border is read."""
        return len(self.uses[border - 1])

    # -- runs of steps -----------------------------------------------------------------------------------------------
    def layers(self, start: int, stop: int) -> int:
        """Number of steps in ``[start, stop)`` that read something and use tensors or multiply matrices."""
        return self._layers[stop] - self._layers[start]

    def close(self, kind: int) -> Bools:
        """For every entry of ``type`` whether its shape differs from that of ``kind`` along one axis at most."""
        if kind not in self._close:
            same_rank = self._ranks == self._ranks[kind]
            self._close[kind] = same_rank & ((self._shapes != self._shapes[kind]).sum(1) < 2)
        return self._close[kind]

    def under(self, path: str) -> int:
        """Number of steps that lie under a module path."""
        if not self._paths:
            from .block_labels import paths_of

            self._paths = paths_of(self)
        return self._paths.get(path, 0)

    def equal(self, a: int, b: int, length: int) -> bool:
        """Whether two runs of steps make the same calls, wiring aside."""
        return bool((self.content[a : a + length] == self.content[b : b + length]).all())

    def regular(self, start: int, period: int, length: int) -> bool:
        """Whether a periodic stretch makes the same calls in every period, each wired to the one before in the same way."""
        if not self.equal(start, start + period, length - period):
            return False
        whole = length - length % period
        wiring = self._wiring[start : start + whole].reshape(-1, period)[1:]
        changes = (wiring[1:] != wiring[:-1]).sum(0)
        return bool(((changes == 0) | (changes == len(wiring) - 1)).all())

    def wired_alike(self, a: int, b: int, length: int) -> bool:
        """Whether two runs of steps are wired alike inside: each step reads what lies equally far back in both.

        What comes from outside may come from anywhere, and there may be more of it in one than in the other.
        """
        differing = np.flatnonzero(self._wiring[a : a + length] != self._wiring[b : b + length]).tolist()
        return all(self._inside(a, a + i) == self._inside(b, b + i) for i in differing)

    def _inside(self, start: int, i: int) -> list[int]:
        """How far back each operand lies; 0 for one or more from before ``start``."""
        found: list[int] = []
        for place, _ in self.reads[i]:
            if place >= start or not found or found[-1]:
                found.append(i - place if place >= start else 0)
        return found

    def outside(self, start: int, stop: int) -> set[int]:
        """Positions before ``start`` that ``[start, stop)`` reads."""
        return {place for i in range(start, stop) for place, _ in self.reads[i] if place < start}

    def linked(self, before: int, start: int, stop: int) -> bool:
        """Whether ``[start, stop)`` reads anything made in ``[before, start)``."""
        return any(before <= place < start for i in range(start, stop) for place, _ in self.reads[i])

    def leaving(self, start: int, stop: int) -> list[tuple[int, int]]:
        """(position, output) of the values made in ``[start, stop)`` that are used after it or returned."""
        places = (np.flatnonzero(self._last[start:stop] >= stop) + start).tolist()
        return [(i, index) for i in places for index, last in sorted(self._ends[i].items()) if last >= stop]

    def key(self, start: int, stop: int) -> tuple[Any, ...]:
        """Equal for runs of steps that compute the same in the same way, names aside: wiring and shared tensors count."""
        if (start, stop) in self._keys:
            return self._keys[start, stop]
        outside: dict[tuple[int, int], int] = {}
        tensors: dict[str, int] = {}
        wires: list[Any] = []
        for i in range(start, stop):
            for place, index in self.reads[i]:
                if place >= start:
                    wires.append((i - place, index))
                else:
                    wires.append(outside.setdefault((place, index), len(outside)))
            wires += [tensors.setdefault(tensor, len(tensors)) for tensor in self.keys[i]]
        entering = tuple([(int(self.type[place]), index) for place, index in outside])
        leaving = tuple([(place - start, index) for place, index in self.leaving(start, stop)])
        key = self._keys[start, stop] = self.content[start:stop].tobytes(), tuple(wires), entering, leaving
        return key


def _crossing(places: Ints, ends: Ints, widths: Ints, count: int) -> Ints:
    """For each border before step ``i`` the sum of widths of the values with ``place < i <= end``."""
    change = np.zeros(count + 2, dtype=np.int64)
    np.add.at(change, places + 1, widths)
    np.subtract.at(change, ends + 1, widths)
    return np.cumsum(change)[:count]


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
