"""What calls do with axes of tensors: make results with them, as with the rows of a layer, or sum over them, as its columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..graph.graph import Graph, Step
from ..graph.tree import edges
from ..ops import Edge, TensorType, Weight, operator
from ..ops.dims import Dims
from ..ops.dims import labels as labels_of
from .atoms import atoms_of

if TYPE_CHECKING:
    from .analysis import Dimensions

#: Operators beside views that only pick or move elements of their operand ``x``.
PARTS = frozenset({"split", "unbind", "getitem", "contiguous", "clone", "reshape", "flatten", "permute", "transpose"})


@dataclass(frozen=True, slots=True)
class Operand:
    """One tensor that a call takes: its name among the arguments, what it is, its axes as the rule writes them."""

    name: str
    ref: Edge | Weight
    axes: tuple[Any, ...]

    def carries(self, label: str) -> bool:
        return any(label in labels_of(axis) for axis in self.axes)

    def at(self, label: str) -> int:
        return next(i for i, axis in enumerate(self.axes) if label in labels_of(axis))


def operands_of(graph: Graph, step: Step, rule: Dims) -> Iterator[Operand]:
    """The tensors that a call takes; entries of a list of weights by their role."""
    kind, types = operator(step.op), graph.operands(step)
    for name, value in kind.typed(types):
        given, rows = step.args[name], rule.operands[name]
        if isinstance(value, TensorType):
            yield Operand(name, given, rows)
            continue
        refs = [ref for ref in given if type(ref) in (Edge, Weight)]
        names = kind.roles(types) if name == kind.weight_list else [f"{name}[{k}]" for k in range(len(refs))]
        for each, ref, row in zip(names, refs, rows):
            yield Operand(each, ref, row)


@dataclass(slots=True)
class AxisRole:
    """Of one axis of a tensor the atoms with which some call makes results, and those over which some call sums."""

    made: set[str]
    summed: set[str]


def axis_roles(dims: Dimensions) -> tuple[dict[str, list[AxisRole]], dict[Edge, str]]:
    """Key of a tensor that calls read → the role of each axis, and value that is a parameter, or a part of one → its key.

    A parameter that is read by itself has the roles that it has where it is used, as a whole or in parts.
    """
    graph = dims.graph
    found: dict[str, list[AxisRole]] = {}
    parts: dict[Edge, str] = {}
    for step in graph.steps:
        kind = operator(step.op)
        if step.op == "parameter":
            ref = step.args["value"]
            if type(ref) is Weight:
                parts[Edge(step.name)] = _entered(dims, found, ref.key)
            continue
        read = [edge for edge in step.edges if edge in parts]
        if not step.weights and not read:
            continue
        if read and (kind.view or step.op in PARTS) and step.edges == (step.args.get("x"),):
            parts.update((Edge(step.name, k), parts[read[0]]) for k in range(len(graph.types(step.name))))
            continue
        rule, labels = dims.rule(step.name)
        made = {label for row in rule.outputs for axis in row for label in labels_of(axis)}
        operands = list(operands_of(graph, step, rule))
        for operand in operands:
            key = _entered(dims, found, operand.ref.key) if type(operand.ref) is Weight else parts.get(operand.ref)  # type: ignore[arg-type]
            for i, axis in enumerate(operand.axes if key is not None else ()):
                for label in labels.keys() & labels_of(axis):
                    gone = (operand.name, i) in rule.summed or label not in made
                    if gone and label not in made and _makes_for(operand, operands, label, parts):
                        gone = False
                    _note(dims, found, key, i, set(atoms_of(labels[label])), gone, type(operand.ref) is Weight)  # type: ignore[arg-type]
    for edge in edges([graph.result, graph.train_result]):
        if edge in parts:
            for role, how in zip(found[parts[edge]], dims.of(parts[edge])):
                role.made.update(atoms_of(how))
    for key, roles in found.items():
        for role, how in zip(roles, dims.of(key)):
            if not role.made and not role.summed:  # read by itself, and lost on the way
                role.made.update(atoms_of(how))
    return found, parts


def _makes_for(operand: Operand, operands: list[Operand], label: str, parts: dict[Edge, str]) -> bool:
    """Whether, of parameters that are multiplied with each other, an operand is one that makes what the last sums over."""
    carriers = [each for each in operands if each.carries(label)]
    computed = any(isinstance(each.ref, Edge) and each.ref not in parts for each in carriers)
    return len(carriers) > 1 and not computed and operand is not carriers[-1]


def _entered(dims: Dimensions, found: dict[str, list[AxisRole]], key: str) -> str:
    head = dims.head(key)
    if head not in found:
        found[head] = [AxisRole(set(), set()) for _ in dims.graph.tensors[head].type.shape]
    return head


def _note(
    dims: Dimensions, found: dict[str, list[AxisRole]], key: str, axis: int, atoms: set[str], gone: bool, whole: bool
) -> None:
    """Note a role: at the same axis of a tensor that is read as a whole, else wherever it has these atoms, if that is plain."""
    at = [axis]
    if not whole:
        at = [i for i, how in enumerate(dims.of(key)) if not atoms.isdisjoint(atoms_of(how))]
    for i in at:
        role = found[key][i]
        if not whole and len(at) > 1:
            gone = False
        (role.summed if gone else role.made).update(atoms)
