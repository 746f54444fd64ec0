"""The graph with other sizes: attributes and tensors restated, and where every index of every tensor comes from."""

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
from .analysis import Dimensions
from .atoms import NEW, atoms_of, axis_codes, copy_of, resized, sources

if TYPE_CHECKING:
    import numpy as np

#: Atom → the codes of its indices after the change (see `atoms.axis_codes`), in order.
Codes = dict[str, Sequence[int]]
#: Key of the tensor table → for each axis its codes, None where it stays as it is.
TensorCodes = dict[str, tuple["np.ndarray | None", ...]]


def resize(dims: Dimensions, chosen: Mapping[str, Sequence[int]]) -> tuple[Graph, TensorCodes]:
    """The graph in which every atom in ``chosen`` has the indices that its codes say, and the codes of every tensor's axes.

    `EditError` for atoms that are unknown or frozen, indices they do not have, growth where an axis takes only some indices
    of the atom, and for a tensor that would have nothing left.

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> graph = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 3, name="hidden")), 2, name="head"))
    >>> larger, codes = resize(nl.mutate.analyse(graph), {"hidden": [0, 2, -1, -1]})
    >>> larger["hidden"].out_size, codes["head.weight"][1].tolist()
    (4, [0, 2, -1, -1])
    """
    return _Resizing(dims, {name: _checked(dims, name, codes) for name, codes in chosen.items()}).result()


def _checked(dims: Dimensions, name: str, codes: Sequence[int]) -> list[int]:
    if name not in dims:
        raise EditError(f"no atom is called {name!r}; the free ones are {', '.join(atom.id for atom in dims.free) or 'none'}")
    atom, found = dims[name], list(map(int, codes))
    if atom.frozen and found != list(range(atom.size)):
        raise EditError(f"the size of {name!r} may not change: {atom.frozen}")
    lowest, highest = min(found, default=0), max(found, default=0)
    if highest >= atom.size or copy_of(atom.size) >= lowest:
        index = highest if highest >= atom.size else copy_of(lowest)
        raise EditError(f"{name!r} has indices 0 to {atom.size - 1}, not {index}")
    if lowest < 0 and (taken := dims.taken(name)):
        raise EditError(f"{name!r} cannot grow: {taken} is fixed")
    return found


class _Resizing:
    def __init__(self, dims: Dimensions, chosen: dict[str, list[int]]) -> None:
        self.dims, self.graph = dims, dims.graph
        self.old = dims.sizes
        self.chosen = {name: codes for name, codes in chosen.items() if codes != list(range(self.old[name]))}
        self.new = {**self.old, **{name: len(codes) for name, codes in self.chosen.items()}}
        self.codes: dict[Any, Any] = {}
        self.shaped: dict[Edge, tuple[Any, ...]] = {}
        self.loosened = frozenset(dims.loosened)

    def result(self) -> tuple[Graph, TensorCodes]:
        graph = self.graph
        if not self.chosen:
            return graph, {}
        moved = self._moved()
        steps = [self._step(step) for step in graph.steps]
        table = {key: self._entry(key, entry, moved) for key, entry in graph.tensors.items()}
        made = Graph.make(
            steps, table, graph.arguments, graph.result,
            train_result=graph.train_result, symbols=graph.symbols, notes=graph.notes, alike=self._alike(steps, table),
        )  # fmt: skip
        self._verify(made)
        return self._initialised(made), moved

    def _alike(self, steps: Sequence[Step], table: Mapping[str, TensorEntry]) -> dict[str, Any]:
        """For each node what its result hangs on: what it was, the sizes of its operands, attributes that are new."""
        found = {}
        for old, new in zip(self.graph.steps, steps):
            shapes = [table[weight.key].type for weight in new.weights]
            shapes += [self.shapes(edge) for edge in new.edges]  # type: ignore[misc]
            changed = [value for name, value in new.args.items() if value is not old.args[name]] if new is not old else []
            found[new.name] = (self.dims.likeness(new.name), *shapes, *changed)
        return found

    def shapes(self, edge: Edge) -> tuple[Any, ...]:
        """What the shape of a value becomes."""
        if edge not in self.shaped:
            self.shaped[edge] = tuple(map(self.size, self.dims.of(edge)))
        return self.shaped[edge]

    def size(self, expression: Any) -> Any:
        return self.new[expression] if type(expression) is str else resized(expression, self.new, self.chosen)

    def touched(self, expression: Any) -> bool:
        if type(expression) is str:
            return expression in self.chosen
        return any(atom in self.chosen for atom in atoms_of(expression))

    def axis(self, expression: Any) -> Any:
        """The codes of an axis, None where it stays as it is."""
        if not self.touched(expression):
            return None
        if expression not in self.codes:
            self.codes[expression] = axis_codes(expression, self.old, self.chosen)
        return self.codes[expression]

    # -- tensors -------------------------------------------------------------------------------------------------------
    def _moved(self) -> TensorCodes:
        found: TensorCodes = {}
        for key in self.graph.tensors:
            axes = tuple(map(self.axis, self.dims.of(key)))
            for axis, codes in enumerate(axes):
                if codes is not None:
                    found[key] = axes
                    if not len(codes):
                        raise EditError(f"nothing would be left of axis {axis} of the tensor {key!r}; keep at least one index")
        return found

    def _entry(self, key: str, entry: TensorEntry, moved: TensorCodes) -> TensorEntry:
        if key not in moved:
            return entry
        sizes = [size if codes is None else len(codes) for size, codes in zip(entry.type.shape, moved[key])]
        type_ = TensorType(entry.type.dtype, tuple(sizes))
        constant = None if entry.constant is None else _constant(key, entry.constant, type_, moved[key])
        return TensorEntry(type_, entry.kind, entry.init, entry.requires_grad, entry.persistent, entry.alias_of, constant)

    def _initialised(self, made: Graph) -> Graph:
        """Rules for fresh weights that depend on sizes, restated where they were the operator's own."""
        table = dict(made.tensors)
        for old, new in zip(self.graph.nodes, made.nodes):
            sized = [weight.key for weight in old.step.weights if table[weight.key].init[0] != "constant"]
            if not sized or old.op == "parameter":
                continue
            kind, before, after = operator(old.op), self.graph.operands(old.step), made.operands(new.step)
            for role, key in old.weights.items():
                if key in sized and table[key].alias_of is None and same(self.graph.tensors[key].init, kind.init(role, before)):
                    table[key] = replace(table[key], init=kind.init(role, after))
        return made.with_tensors(table)

    # -- nodes ---------------------------------------------------------------------------------------------------------
    def _step(self, step: Step) -> Step:
        stated = self.dims.attrs(step.name)
        if not stated and step.name not in self.loosened:
            return step
        changed = {name: self._restated(tree, step.args[name]) for name, tree in stated.items()}
        if step.name in self.loosened:
            row = self.dims.of(Edge(step.name))
            if any(map(self.touched, row)):
                changed |= operator(step.op).refitted(self.graph.operands(step), tuple(map(self.size, row)))
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
                expected = self.shapes(Edge(step.name, k))
                if found.shape != expected:
                    raise EditError(f"{step.op} {step.name!r} gives {found.shape} where its dimension rule says {expected}")


def _constant(key: str, constant: Constant, type_: TensorType, axes: Sequence[Any]) -> Constant:
    """The constant with its rows where they go; new ones repeat the last."""
    import numpy as np

    if constant.data is None:
        raise EditError(f"the data of the constant {key!r} are not at hand; load the document with its artifacts")
    width = DTYPES[constant.type.dtype][1]
    data = np.frombuffer(constant.data, dtype=np.dtype((np.void, width))).reshape(constant.type.shape)
    for axis, codes in enumerate(axes):
        if codes is not None:
            data = np.take(data, edge_repeated(codes, data.shape[axis]), axis)
    return Constant.of(type_, data.tobytes())


def edge_repeated(codes: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    """The codes of an axis of that size with its last index in place of new ones."""
    import numpy as np

    return np.where(codes == NEW, size - 1, sources(codes))
