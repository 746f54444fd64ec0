"""Whether a gradient comes to what growth has filled with zeros: through the calls that read it, and what else they read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..graph.graph import Step
from ..ops import Edge, Weight, operator
from ..ops.dims import labels as labels_of
from .atoms import atoms_of
from .roles import PARTS, Operand

if TYPE_CHECKING:
    from .growing import _Growing


def reads_zeros(growing: _Growing, key: str, axis: int) -> bool:
    """Whether all that a tensor is multiplied with along an axis is zero at the indices that are new there."""
    atoms = [atom for atom in atoms_of(growing.dims.of(key)[axis]) if atom in growing.new]
    found = False
    for step, mine in _users(growing, key):
        rule, labels = growing.dims.rule(step.name)
        if isinstance(mine.ref, Weight):
            if (mine.name, axis) in rule.summed:
                return False  # It reads a recurrent state, which is zero at the first step alone.
            here = set(labels_of(mine.axes[axis]))
        else:
            here = {each for each, how in labels.items() if mine.carries(each) and not set(atoms).isdisjoint(atoms_of(how))}
        for label in here:
            others = [
                o for o in growing.operands(step) if isinstance(o.ref, Edge) and o.name != mine.name and o.carries(label)
            ]
            if not others or not all(growing.is_zero(o, label, atom) for o in others for atom in atoms):
                return False
            found = True
    return found


def _users(growing: _Growing, key: str) -> Iterator[tuple[Step, Operand]]:
    """The calls that read a tensor, with the operand that it is, be it through views."""
    for step in growing.reading.get(key, ()):
        if step.op == "parameter":
            yield from _users_of(growing, Edge(step.name))
        else:
            for operand in growing.operands(step):
                if isinstance(operand.ref, Weight) and growing.dims.head(operand.ref.key) == key:
                    yield step, operand


def _users_of(growing: _Growing, edge: Edge) -> Iterator[tuple[Step, Operand]]:
    for name in growing.graph.consumers[edge.node]:
        step = growing.graph[name].step
        for operand in growing.operands(step):
            if operand.ref != edge:
                continue
            if operator(step.op).view or step.op in PARTS:
                for k in range(len(growing.graph.types(name))):
                    yield from _users_of(growing, Edge(name, k))
            else:
                yield step, operand


def is_dead(growing: _Growing, atom: str) -> bool:
    """Whether the new indices of an atom are zero in every tensor, or in a part of one, and no gradient comes to them."""
    parts = [edge for edge, known in growing.proven if known == atom]
    if parts:
        return not all(_comes_to(growing, atom, {edge}) for edge in parts)
    fills = [
        how
        for key, fill in growing.growth.fills.items()
        for axis, how in enumerate(fill)
        if how and atom in atoms_of(growing.dims.of(key)[axis])
    ]
    return set(fills) == {"zero"} and not _comes_to(growing, atom, None)


def _comes_to(growing: _Growing, atom: str, starts: set[Edge] | None) -> bool:
    """Whether some call sums over new indices of an atom such that a gradient comes to some values; None: to tensors."""
    live = set(starts or ())
    for step in growing.steps:
        rule, labels = growing.dims.rule(step.name)
        results = {label for row in rule.outputs for axis in row for label in labels_of(axis)}
        for label, how in labels.items():
            if atom not in atoms_of(how):
                continue
            carriers = [operand for operand in growing.operands(step) if operand.carries(label)]
            begins = [o for o in carriers if o.ref in live or (starts is None and isinstance(o.ref, Weight))]
            if not any(_reached(growing, step, label, atom, o, carriers, label in results) for o in begins):
                continue
            if label not in results:
                if operator(step.op).view or step.op in PARTS:  # a part that is left out
                    continue
                return True
            rows = enumerate(rule.outputs)
            live |= {Edge(step.name, k) for k, row in rows if any(label in labels_of(axis) for axis in row)}
    return False


def _reached(
    growing: _Growing, step: Step, label: str, atom: str, operand: Operand, carriers: list[Operand], goes_on: bool
) -> bool:  # fmt: skip
    """Whether a gradient of what a call gives comes to the zeros at the new indices of an operand."""
    kind, types = operator(step.op), growing.graph.operands(step)
    rule = growing.dims.rule(step.name)[0]
    if kind.flat_at_zero(types) or (rule.coupled.get(label) == "zeros" and not goes_on):
        return False
    others = [o for o in carriers if o is not operand and growing.is_zero(o, label, atom)]
    if not goes_on:
        return len(others) < len(carriers) - 1 or len(carriers) == 1
    return not any(kind.zeroes(types, label, frozenset({o.name}), rule) for o in others)
