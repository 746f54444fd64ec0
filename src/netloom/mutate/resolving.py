"""The operators' dimension rules of all nodes of a graph, laid into one `Unifier`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import prod
from typing import Any

from ..graph.graph import Graph, Step
from ..graph.tree import edges
from ..ops import Concat, Edge, Product, Size, TensorType, Weight, operator
from ..ops.dims import Dims, labels
from .unify import Unifier

#: The axes of one tensor, as variables.
Row = tuple[int, ...]


class Ties:
    """Every axis of every value and tensor of a graph as a variable, tied as the operators say.

    ``values`` and ``tensors`` give the variables of an edge and of a key; ``attrs`` those that the attributes of a node state:
    attribute → the axis, or a tuple of axes and None, in place of the sizes; ``multiples`` (variable, factor, node);
    ``below`` (variable, the larger one, node);
    ``loosable`` the nodes that have a rule for more sizes, which counts for those in ``loosened``.
    """

    def __init__(
        self, graph: Graph, open_inputs: Collection[str] = (), open_outputs: bool = False, loosened: Collection[str] = ()
    ) -> None:
        self.graph = graph
        self.loosened = frozenset(loosened)
        self.loosable: list[str] = []
        self.open_inputs = frozenset(open_inputs)
        self.axes = Unifier()
        self.values: dict[Edge, Row] = {}
        self.tensors: dict[str, Row] = {}
        self.attrs: dict[str, dict[str, Any]] = {}
        self.multiples: list[tuple[int, int, str]] = []
        self.below: list[tuple[int, int, str]] = []
        #: Node → its rule, and the variables of its labels.
        self.rules: dict[str, Dims] = {}
        self.labels: dict[str, dict[str, int]] = {}
        #: Key → for each axis whether some call makes results with it, and whether some call sums over it.
        self.produced: dict[str, list[bool]] = {}
        self.summed: dict[str, list[bool]] = {}
        for step in graph.steps:
            _Call(self, step).settle()
        if not open_outputs:
            self._freeze_borders()
        self.axes.solve()

    def row(self, ref: Edge | Weight) -> Row:
        """The variables of an operand."""
        if type(ref) is Edge:
            return self.values[ref]
        key = self.head(ref.key)  # type: ignore[union-attr]
        if key not in self.tensors:
            self.tensors[key] = tuple(map(self.axes.new, self.graph.tensors[key].type.shape))
        return self.tensors[key]

    def head(self, key: str) -> str:
        """The entry whose tensor a key names: itself unless it is an alias."""
        while (other := self.graph.tensors[key].alias_of) is not None:
            key = other
        return key

    def _freeze_borders(self) -> None:
        for edge in edges([self.graph.result, self.graph.train_result]):
            self._freeze(edge, "an output" if len(self.graph.outputs) == 1 else f"the output {str(edge)!r}")

    def _freeze(self, edge: Edge, place: str) -> None:
        for i, variable in enumerate(self.values[edge]):
            self.axes.freeze(variable, f"axis {i} of {place}")


class _Call:
    """The rule of one node at work: its labels as variables."""

    def __init__(self, ties: Ties, step: Step) -> None:
        self.ties, self.axes, self.step = ties, ties.axes, step
        self.kind = operator(step.op)
        self.types = ties.graph.operands(step)
        self.outputs = ties.graph.types(step.name)
        self.dims: Dims = self.kind.dims(self.types, self.outputs)
        loose = self.kind.loose_dims(self.types, self.outputs)
        if loose is not None:
            ties.loosable.append(step.name)
            self.dims = loose if step.name in ties.loosened else self.dims
        self.labels: dict[str, int] = {}
        self.place: dict[str, str] = {}

    def settle(self) -> None:
        self.axes.at = f"{self.step.op} {self.step.name!r}"
        composite = []
        for where, axis, variable in self._operand_axes():
            if not isinstance(axis, str):
                composite.append((axis, variable))
            elif axis in self.labels:
                self.axes.tie(self.labels[axis], variable)
            else:
                self.labels[axis] = variable
                self.place[axis] = where
        self._plain_outputs()
        self._solve_sizes([(axis, self.axes.size[variable]) for axis, variable in composite])
        for axis, variable in composite:
            self.axes.tie(variable, self._variable(axis, self.axes.size[variable]))
        for k, (row, output) in enumerate(zip(self.dims.outputs, self.outputs)):
            variables = tuple(map(self._variable, row, output.shape))
            self.ties.values[Edge(self.step.name, k)] = variables
        self._freeze()
        self._note()
        self._note_roles()
        self.ties.rules[self.step.name], self.ties.labels[self.step.name] = self.dims, self.labels

    def _note_roles(self) -> None:
        """For the axes of weights: whether the result has them, or they are summed over."""
        made = {label for row in self.dims.outputs for axis in row for label in labels(axis)}
        for name, axes, ref in self._weights():
            key = self.ties.head(ref.key)
            produced = self.ties.produced.setdefault(key, [False] * len(axes))
            summed = self.ties.summed.setdefault(key, [False] * len(axes))
            for i, axis in enumerate(axes):
                gone = (name, i) in self.dims.summed or not made.intersection(labels(axis))
                produced[i], summed[i] = produced[i] or not gone, summed[i] or gone

    def _weights(self) -> Iterator[tuple[str, Any, Weight]]:
        """(argument, axes, weight) of every operand that is an entry of the tensor table; entries of a list by their role."""
        for name, value in self.kind.typed(self.types):
            given, rows = self.step.args[name], self.dims.operands[name]
            if type(given) is Weight:
                yield name, rows, given
            elif isinstance(given, tuple) and not isinstance(value, TensorType):
                roles = self.kind.roles(self.types) if name == self.kind.weight_list else (name,) * len(given)
                for role, ref, axes in zip(roles, given, rows):
                    if type(ref) is Weight:
                        yield role, axes, ref

    def _operand_axes(self) -> Iterator[tuple[str, Any, int]]:
        for name, value in self.kind.typed(self.types):
            given, rows = self.step.args[name], self.dims.operands[name]
            if isinstance(value, TensorType):
                refs, rows = [given], [rows]
            else:
                refs = [ref for ref in given if type(ref) in (Edge, Weight)]
            for ref, axes in zip(refs, rows):
                for i, (axis, variable) in enumerate(zip(axes, self.ties.row(ref))):
                    yield f"axis {i} of the {name}", axis, variable

    def _plain_outputs(self) -> None:
        for row, output in zip(self.dims.outputs, self.outputs):
            for i, (axis, size) in enumerate(zip(row, output.shape)):
                if isinstance(axis, str) and axis not in self.labels:
                    self.labels[axis] = self.axes.new(size)
                    self.place[axis] = f"axis {i} of the result"

    def _variable(self, axis: Any, size: Any = None) -> int:
        """The variable of an axis; an axis with labels of unknown size stays as it is, whatever size it has."""
        if isinstance(axis, str):
            return self.labels[axis]
        known = [label for label in labels(axis) if label in self.labels]
        if len(known) < len(labels(axis)):
            variable = self.axes.new(size)
            for each in (variable, *(self.labels[label] for label in known)):
                self.axes.freeze(each, f"no axis tells its parts at {self.axes.at}")
            return variable
        parts = [self._variable(part) for part in axis.parts]
        if not isinstance(axis, Product):
            return self.axes.concat(parts)
        return self.axes.product(parts, growing=not self.dims.growing.isdisjoint(labels(axis)))

    def _solve_sizes(self, equations: list[tuple[Any, Any]]) -> None:
        """New variables for the labels inside products and concatenations, as soon as one equation tells their size."""
        for row, output in zip(self.dims.outputs, self.outputs):
            equations += [(axis, size) for axis, size in zip(row, output.shape) if not isinstance(axis, str)]
        for name, stated in self.dims.attrs.items():
            _stated(stated, getattr(self.types, name), equations)
        waiting, before = equations, -1
        while waiting and len(waiting) != before:
            before = len(waiting)
            waiting = [(axis, size) for axis, size in waiting if not self._solved(axis, size)]

    def _solved(self, axis: Any, size: Any) -> bool:
        """Whether all labels of an axis of a size are known, once those that follow from it are."""
        if isinstance(axis, str):
            if axis not in self.labels:
                self.labels[axis] = self.axes.new(size)
            return True
        unknown = [part for part in axis.parts if any(label not in self.labels for label in labels(part))]
        if not unknown:
            return True
        if any(part != unknown[0] for part in unknown) or (isinstance(axis, Product) and len(unknown) > 1):
            return False
        known = [self.axes.size[self._variable(part)] for part in axis.parts if part != unknown[0]]
        if isinstance(axis, Concat):
            return self._solved(unknown[0], (size - sum(known)) // len(unknown))
        inner = prod(known)
        return inner != 0 and self._solved(unknown[0], size // inner)

    def _freeze(self) -> None:
        fixed = self.dims.fixed if self.step.name not in self.ties.open_inputs else ()
        for label in sorted(fixed):
            if label in self.labels:
                place = self.place.get(label, f"{label!r}")
                self.axes.freeze(self.labels[label], f"{place} of {self.axes.at}")

    def _note(self) -> None:
        if self.dims.attrs:
            self.ties.attrs[self.step.name] = {name: self._tree(stated) for name, stated in self.dims.attrs.items()}
        for label, factor in self.dims.multiples.items():
            if label in self.labels and factor != 1:
                self.ties.multiples.append((self.labels[label], factor, self.step.name))

        for small, large in self.dims.below.items():
            self.ties.below.append((self.labels[small], self.labels[large], self.step.name))

    def _tree(self, stated: Any) -> Any:
        """What an attribute states, with variables in place of axes and None in place of plain data."""
        if isinstance(stated, str | Product | Concat):
            return self._variable(stated) if all(label in self.labels for label in labels(stated)) else None
        if isinstance(stated, tuple | list):
            return tuple(map(self._tree, stated))
        return None


def _stated(stated: Any, value: Any, equations: list[tuple[Any, Any]]) -> None:
    """The equations of an attribute that holds sizes."""
    if isinstance(stated, str | Product | Concat):
        if isinstance(value, int | Size):
            equations.append((stated, value))
    elif isinstance(stated, tuple | list) and isinstance(value, tuple | list):
        for part, entry in zip(stated, value):
            _stated(part, entry, equations)


def variables_of(tree: Any) -> Iterator[int]:
    """The variables that the attributes of a node state."""
    if isinstance(tree, int):
        yield tree
    elif isinstance(tree, tuple | dict):
        for part in tree.values() if isinstance(tree, Mapping) else tree:
            yield from variables_of(part)
