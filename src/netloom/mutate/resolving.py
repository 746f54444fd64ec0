"""The operators' dimension rules of all nodes of a graph, laid into one `Unifier`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from math import prod
from types import SimpleNamespace
from typing import Any

from ..graph.graph import Graph, Step
from ..graph.tree import edges
from ..ops import Concat, Edge, Operator, Product, Size, TensorType, Weight, operator
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
        #: Node → its rule (one object for all that are alike), and the variables of its labels.
        self.rules: dict[str, Rule] = {}
        self.labels: dict[str, dict[str, int]] = {}
        known: dict[Any, Rule] = {}
        for step in graph.steps:
            _Call(self, step, self._rule(step, known)).settle()
        if not open_outputs:
            self._freeze_borders()
        self.axes.solve()

    def _rule(self, step: Step, known: dict[Any, Rule]) -> Rule:
        """The rule of a call; networks repeat their blocks, so that most calls have been met before."""
        types, outputs = self.graph.operands(step), self.graph.types(step.name)
        key = (step.op, step.name in self.loosened, outputs, *types.__dict__.values())
        found = known.get(key)
        if found is None:
            found = known[key] = Rule(operator(step.op), types, outputs, step.name in self.loosened)
        if found.loosable:
            self.loosable.append(step.name)
        return found

    def row(self, ref: Edge | Weight) -> Row:
        """The variables of an operand."""
        if type(ref) is Edge:
            return self.values[ref]
        key = self.head(ref.key)  # type: ignore[union-attr]
        if key not in self.tensors:
            self.tensors[key] = tuple(map(self.axes.new, self.graph.tensors[key].type.shape))
        return self.tensors[key]

    def is_read(self, edge: Edge) -> bool:
        """Whether a call takes a value, or the network gives it."""
        return edge in self._read

    @cached_property
    def _read(self) -> set[Edge]:
        taken = {edge for step in self.graph.steps for edge in step.edges}
        return taken.union(edges([self.graph.result, self.graph.train_result]))

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


class Rule:
    """What the dimension rule says of all calls of an operator with like operands and attributes, sorted out once.

    ``operands`` (argument, place in its list or None, axes); ``made`` (label, size) of the labels that only results have;
    ``equations`` (axis, size) tell the sizes of further labels; ``fixed`` (label, where it stands), ``numbered`` beside that
    the output that holds its numbers.
    """

    __slots__ = ("dims", "loosable", "outputs", "operands", "made", "equations", "fixed", "numbered", "is_plain")

    def __init__(self, kind: Operator, types: SimpleNamespace, outputs: tuple[TensorType, ...], loosened: bool) -> None:
        loose = kind.loose_dims(types, outputs)
        self.loosable, self.outputs = loose is not None, outputs
        self.dims: Dims = loose if loose is not None and loosened else kind.dims(types, outputs)
        self.operands: list[tuple[str, int | None, Any]] = []
        self._sort_operands(kind, types)
        #: Label → the axis of an operand or of the result where it stands first.
        place: dict[str, tuple[int, str]] = {}
        for name, _, axes in self.operands:
            for i, axis in enumerate(axes):
                if type(axis) is str and axis not in place:
                    place[axis] = i, name
        self.made: dict[str, Any] = {}
        self.equations: list[tuple[Any, Any]] = []
        for row, output in zip(self.dims.outputs, outputs):
            for i, (axis, size) in enumerate(zip(row, output.shape)):
                if type(axis) is not str:
                    self.equations.append((axis, size))
                elif axis not in place:
                    place[axis], self.made[axis] = (i, "result"), size
        stated: list[tuple[Any, Any]] = []
        for name, axis in self.dims.attrs.items():
            _stated(axis, getattr(types, name), stated)
        self.equations += [(axis, size) for axis, size in stated if type(axis) is not str or axis not in place]
        self.is_plain = all(type(axis) is str for row in self.dims.outputs for axis in row)
        where = {label: "axis {} of the {}".format(*at) for label, at in place.items()}
        self.fixed = [(label, where.get(label, f"{label!r}")) for label in sorted(self.dims.fixed)]
        self.numbered = [(label, where.get(label, f"{label!r}"), k) for label, k in sorted(self.dims.numbered.items())]

    def _sort_operands(self, kind: Operator, types: SimpleNamespace) -> None:
        for name, value in kind.typed(types):
            rows, given = self.dims.operands[name], getattr(types, name)
            places: list[int | None] = [None]
            if not isinstance(value, TensorType):  # an index may hold other things beside tensors
                places = [i for i, entry in enumerate(given) if isinstance(entry, TensorType)]
            self.operands += [(name, at, axes) for at, axes in zip(places, [rows] if places == [None] else rows)]


class _Call:
    """The rule of one node at work: its labels as variables."""

    def __init__(self, ties: Ties, step: Step, rule: Rule) -> None:
        self.ties, self.axes, self.step, self.rule, self.dims = ties, ties.axes, step, rule, rule.dims
        self.labels: dict[str, int] = {}

    def settle(self) -> None:
        ties, axes, rule, known, name = self.ties, self.axes, self.rule, self.labels, self.step.name
        axes.at = f"{self.step.op} {name!r}"
        composite = self._take_operands()
        for label, size in rule.made.items():
            known[label] = axes.new(size)
        if composite or rule.equations:
            self._solve_sizes([(axis, axes.size[variable]) for axis, variable in composite] + rule.equations)
        for axis, variable in composite:
            axes.tie(variable, self._variable(axis, axes.size[variable]))
        for k, (row, output) in enumerate(zip(self.dims.outputs, rule.outputs)):
            plain = [known[axis] for axis in row] if rule.is_plain else map(self._variable, row, output.shape)  # type: ignore[index]
            ties.values[Edge(name, k)] = tuple(plain)
        if name not in ties.open_inputs:
            for label, place in rule.fixed:
                if label in known and not axes.is_frozen(known[label]):
                    axes.freeze(known[label], f"{place} of {axes.at}")
        for label, place, k in rule.numbered:
            if label in known and not axes.is_frozen(known[label]) and ties.is_read(Edge(name, k)):
                axes.freeze(known[label], f"{place} of {axes.at}, whose indices are read as numbers")
        if self.step.op == "opaque":
            refs: list[Edge | Weight] = [*self.step.edges, *self.step.weights]
            for ref in refs:
                what = str(ref) if isinstance(ref, Edge) else ref.key
                for i, variable in enumerate(ties.row(ref)):
                    axes.freeze(variable, f"axis {i} of {what!r} in {axes.at}")
        self._note()
        ties.rules[name], ties.labels[name] = rule, known

    def _take_operands(self) -> list[tuple[Any, int]]:
        """Give plain labels the variables of the axes that they stand for; what is left are axes made of several labels."""
        known, args, composite = self.labels, self.step.args, []
        for name, index, row in self.rule.operands:
            for axis, variable in zip(row, self.ties.row(args[name] if index is None else args[name][index])):
                if type(axis) is not str:
                    composite.append((axis, variable))
                elif axis in known:
                    self.axes.tie(known[axis], variable)
                else:
                    known[axis] = variable
        return composite

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
