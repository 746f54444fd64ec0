"""A network with zeros in place of indices that are to go, and with the statistics of its norms over those that stay.

The oracle of the tests puts zeros at what goes (`tests.mutate.mask_oracle`). A norm, a mean or a softmax counts zeros too; here
each call that reduces so over something that changes reads only what stays, with the weights that stay, and its result is put
back among zeros. All else is computed at full size by the original's own weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import netloom as nl
from netloom.graph.graph import Step
from netloom.graph.table import Constant, TensorEntry
from netloom.graph.tree import edges, map_leaves
from netloom.mutate import Dimensions
from netloom.mutate.atoms import atoms_of, kept_indices
from netloom.ops import DType, Edge, TensorType, Weight
from tests.mutate.mask_oracle import _coupled

#: Behind the key of a tensor: its rows that stay.
SMALL = "~small"
Kept = Mapping[str, Sequence[int]]


def out_of_reach(dims: Dimensions, kept: Kept) -> set[str]:
    """The atoms that no mask reaches: they are on an axis of free size of a call that reduces over something that changes."""
    found: set[str] = set()
    for step in dims.graph.steps:
        if _reduces(dims, step, kept):
            for edge in [*edges(tuple(step.args.values())), *_results(dims, step)]:
                for axis, size in zip(dims.of(edge), dims.graph.type_of(edge).shape):
                    if not isinstance(size, int):
                        found.update(atom for atom in atoms_of(axis) if atom in kept)
    return found


def _reduces(dims: Dimensions, step: Step, kept: Kept) -> bool:
    return any(atom in kept for axis in _coupled(dims, step) for atom in atoms_of(axis))


def _results(dims: Dimensions, step: Step) -> list[Edge]:
    return [Edge(step.name, k) for k in range(len(dims.graph.types(step.name)))]


def masked(dims: Dimensions, kept: Kept, smaller: nl.Graph) -> nl.Graph:
    """The graph with zeros at the indices that go; ``smaller`` is the graph without them."""
    return _Masking(dims, kept, smaller).run()


class _Masking:
    def __init__(self, dims: Dimensions, kept: Kept, smaller: nl.Graph) -> None:
        self.dims, self.kept, self.smaller, self.graph = dims, kept, smaller, dims.graph
        self.steps: list[Step] = []
        self.table = dict(dims.graph.tensors)
        self.now: dict[Edge, Edge] = {}
        self.count = 0

    def run(self) -> nl.Graph:
        for step in self.graph.steps:
            if _reduces(self.dims, step, self.kept):
                self._call_among_survivors(step)
            else:
                self.steps.append(self._following(step, self._moved))
            for edge in _results(self.dims, step):
                self._mask(edge, step.mode)
        graph = self.graph
        result, train = map_leaves(graph.result, self._moved), map_leaves(graph.train_result, self._moved)
        return nl.Graph.make(
            self.steps, self.table, graph.arguments, result, train_result=train, symbols=graph.symbols
        )  # fmt: skip

    def _moved(self, leaf: Any) -> Any:
        return self.now.get(leaf, leaf) if type(leaf) is Edge else leaf

    def _following(self, step: Step, moved: Any) -> Step:
        return replace(step, args={name: map_leaves(value, moved) for name, value in step.args.items()})

    def _alive(self, edge: Edge) -> dict[int, list[int]]:
        """Axis → the indices of it that stay, of those axes of a value that lose some."""
        row, shape = self.dims.of(edge), self.graph.type_of(edge).shape
        return {
            i: kept_indices(axis, self.dims.sizes, self.kept)
            for i, axis in enumerate(row)
            if isinstance(shape[i], int) and any(atom in self.kept for atom in atoms_of(axis))
        }

    def _call_among_survivors(self, step: Step) -> None:
        def small(leaf: Any) -> Any:
            if type(leaf) is Weight:
                entry = self.smaller.tensors[leaf.key]
                head = entry.alias_of or leaf.key
                self.table[head + SMALL] = replace(self.smaller.tensors[head], persistent=True)
                return Weight(head + SMALL)
            if type(leaf) is not Edge:
                return leaf
            current = self._moved(leaf)
            for axis, alive in self._alive(leaf).items():
                current = self._select(current, axis, alive, step.mode)
            return current

        name = f"{step.name}{SMALL}"
        self.steps.append(replace(self._following(self.smaller[step.name].step, small), name=name))
        for edge in _results(self.dims, step):
            current = Edge(name, edge.index)
            for axis, alive in self._alive(edge).items():
                places = {index: place for place, index in enumerate(alive)}
                size = self.graph.type_of(edge).shape[axis]
                current = self._select(current, axis, [places.get(i, 0) for i in range(size)], step.mode)
            self.now[edge] = current

    def _mask(self, edge: Edge, mode: str) -> None:
        """Zeros where a value carries an index that goes."""
        type_ = self.graph.type_of(edge)
        for axis, alive in self._alive(edge).items() if type_.dtype.startswith("float") else ():
            size, stays = type_.shape[axis], set(alive)
            gone = bytes(i not in stays for i in range(size))
            mask = self._constant(TensorType("bool", (size, *(1,) * (type_.rank - axis - 1))), gone, mode)
            self._add("masked_fill", {"x": self._moved(edge), "mask": mask, "value": 0.0}, mode, edge)

    def _select(self, source: Edge, axis: int, indices: Sequence[int], mode: str) -> Edge:
        data = b"".join(index.to_bytes(8, "little") for index in indices)
        index = self._constant(TensorType("int64", (len(indices),)), data, mode)
        return self._add("index_select", {"x": source, "index": index, "dim": axis}, mode)

    def _constant(self, type_: TensorType, data: bytes, mode: str) -> Edge:
        key = f"mask~{self.count}~value"
        self.table[key] = TensorEntry(type_, "buffer", requires_grad=False, constant=Constant.of(type_, data))
        return self._add("constant", {"value": Weight(key), "dtype": DType(type_.dtype), "shape": type_.shape}, mode)

    def _add(self, op: str, args: dict[str, Any], mode: str, stands_for: Edge | None = None) -> Edge:
        step = Step(f"mask~{self.count}", op, args, mode=mode)
        self.count += 1
        self.steps.append(step)
        if stands_for is not None:
            self.now[stands_for] = Edge(step.name)
        return Edge(step.name)
