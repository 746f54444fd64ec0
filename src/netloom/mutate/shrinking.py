"""Graphs with fewer indices: sizes restated in attributes and tensors, and which rows of the old tensors are left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import EditError
from ..graph.graph import Graph, Step
from ..graph.table import Constant, TensorEntry
from ..graph.tree import same
from ..ops import Edge, Size, TensorType, Weight, operator
from ..ops.arguments import Slice
from ..ops.dtypes import DTYPES
from .analysis import Dimensions, analyse
from .atoms import atoms_of, kept_indices, resized

if TYPE_CHECKING:
    import numpy as np

#: Key of the tensor table → for each axis the indices that stay, None where all do.
Gather = dict[str, tuple["np.ndarray | None", ...]]


def shrink(graph: Graph, kept: Mapping[str, Sequence[int]], dims: Dimensions | None = None) -> tuple[Graph, Gather]:
    """The graph in which of every atom in ``kept`` only those indices are left, and what is left of every tensor.

    The second result has an entry for every tensor that changes: for each axis the indices that stay, or None for all;
    `gather` applies it to a state_dict. ``dims`` is the analysis of the graph where that is at hand. `EditError` for atoms that
    are unknown or frozen, indices that they do not have, and for a tensor that would have nothing left.

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> graph = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 8, name="hidden")), 2, name="head"))
    >>> smaller, left = shrink(graph, {"hidden": [0, 3, 5]})
    >>> smaller["hidden"].out_size, smaller.num_params, [None if a is None else a.tolist() for a in left["head.weight"]]
    (3, 23, [None, [0, 3, 5]])
    """
    dims = analyse(graph) if dims is None else dims
    chosen = {name: _checked(dims, name, indices) for name, indices in kept.items()}
    return _Shrinking(dims, chosen).result()


def gather(state: Mapping[str, Any], left: Gather) -> dict[str, Any]:
    """A state_dict (torch tensors or arrays) with what `shrink` leaves of every tensor; others are shared, not copied."""
    found = dict(state)
    for key, axes in left.items():
        if key in found:
            for axis, indices in enumerate(axes):
                if indices is not None:
                    found[key] = found[key][(*(slice(None),) * axis, indices)]
    return found


def _checked(dims: Dimensions, name: str, indices: Sequence[int]) -> list[int]:
    if name not in dims:
        raise EditError(f"no atom is called {name!r}; the free ones are {', '.join(atom.id for atom in dims.free) or 'none'}")
    atom, found = dims[name], sorted(set(map(int, indices)))
    if atom.frozen and len(found) != atom.size:
        raise EditError(f"the size of {name!r} may not change: {atom.frozen}")
    if found and not 0 <= found[0] <= found[-1] < atom.size:
        raise EditError(f"{name!r} has indices 0 to {atom.size - 1}, not {found[0] if found[0] < 0 else found[-1]}")
    return found


class _Shrinking:
    def __init__(self, dims: Dimensions, chosen: dict[str, list[int]]) -> None:
        self.dims, self.graph, self.chosen = dims, dims.graph, chosen
        self.old = dims.sizes
        self.new = {**self.old, **{name: len(indices) for name, indices in chosen.items()}}
        self.kept: dict[Any, Any] = {}

    def result(self) -> tuple[Graph, Gather]:
        graph = self.graph
        left = self._left()
        steps = [self._step(step) for step in graph.steps]
        table = {key: self._entry(key, entry, left) for key, entry in graph.tensors.items()}
        made = Graph.make(
            steps, table, graph.arguments, graph.result,
            train_result=graph.train_result, symbols=graph.symbols, notes=graph.notes,
        )  # fmt: skip
        self._verify(made)
        return self._initialised(made), left

    def size(self, expression: Any) -> Any:
        return resized(expression, self.new, self.chosen)

    def touched(self, expression: Any) -> bool:
        return any(atom in self.chosen for atom in atoms_of(expression))

    def indices(self, expression: Any) -> Any:
        """The indices of an axis that stay, None where all do."""
        import numpy as np

        if not self.touched(expression):
            return None
        if expression not in self.kept:
            self.kept[expression] = np.asarray(kept_indices(expression, self.old, self.chosen), dtype=np.int64)
        return self.kept[expression]

    # -- tensors -------------------------------------------------------------------------------------------------------
    def _left(self) -> Gather:
        found: Gather = {}
        for key in self.graph.tensors:
            axes = tuple(map(self.indices, self.dims.of(key)))
            if any(indices is not None for indices in axes):
                found[key] = axes
            for axis, indices in enumerate(axes):
                if indices is not None and not len(indices):
                    raise EditError(f"nothing would be left of axis {axis} of the tensor {key!r}; keep at least one index")
        return found

    def _entry(self, key: str, entry: TensorEntry, left: Gather) -> TensorEntry:
        if key not in left:
            return entry
        sizes = [size if kept is None else len(kept) for size, kept in zip(entry.type.shape, left[key])]
        type_ = TensorType(entry.type.dtype, tuple(sizes))
        constant = None if entry.constant is None else self._constant(key, entry.constant, type_, left)
        return replace(entry, type=type_, constant=constant)

    def _constant(self, key: str, constant: Constant, type_: TensorType, left: Gather) -> Constant:
        import numpy as np

        if constant.data is None:
            raise EditError(f"the data of the constant {key!r} are not at hand; load the document with its artifacts")
        width = DTYPES[constant.type.dtype][1]
        data = np.frombuffer(constant.data, dtype=np.dtype((np.void, width))).reshape(constant.type.shape)
        return Constant.of(type_, gather({key: data}, left)[key].tobytes())

    def _initialised(self, made: Graph) -> Graph:
        """Rules for fresh weights that depend on sizes, restated where they were the operator's own."""
        table = dict(made.tensors)
        for old, new in zip(self.graph.nodes, made.nodes):
            kind = operator(old.op)
            for role, key in old.weights.items():
                head = key if table[key].alias_of is None else None
                if head is None or table[key].init == ("constant", 0.0):
                    continue
                if same(self.graph.tensors[key].init, kind.init(role, self.graph.operands(old.step))):
                    table[key] = replace(table[key], init=kind.init(role, made.operands(new.step)))
        types = {step.name: made.types(step.name) for step in made.steps}
        return Graph.make(
            made.steps, table, made.arguments, made.result,
            train_result=made.train_result, symbols=made.symbols, notes=made.notes, types=types,
        )  # fmt: skip

    # -- nodes ---------------------------------------------------------------------------------------------------------
    def _step(self, step: Step) -> Step:
        stated = self.dims.attrs(step.name)
        changed = {name: self._restated(tree, step.args[name]) for name, tree in stated.items()}
        return replace(step, args={**step.args, **changed}) if changed else step

    def _restated(self, tree: Any, value: Any) -> Any:
        """``value`` with new sizes where ``tree`` says what they are."""
        if tree is None or isinstance(value, Edge | Weight):
            return value
        if isinstance(tree, tuple) and isinstance(value, tuple):
            parts = [self._restated(part, entry) for part, entry in zip(tree, value)]
            return Slice(*parts) if isinstance(value, Slice) else tuple(parts)
        if not isinstance(value, int | Size) or not self.touched(tree):
            return value
        return self.size(tree)

    def _verify(self, made: Graph) -> None:
        """Every value has the shape that its atoms say: otherwise a rule of an operator is wrong."""
        for step in made.steps:
            for k, found in enumerate(made.types(step.name)):
                expected = tuple(map(self.size, self.dims.of(Edge(step.name, k))))
                if found.shape != expected:
                    raise EditError(f"{step.op} {step.name!r} gives {found.shape} where its dimension rule says {expected}")
