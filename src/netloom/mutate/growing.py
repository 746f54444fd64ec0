"""Growth that changes nothing: what new indices are filled with so that the network computes what it computed.

Of every index that is new, either nothing reads it (its columns are zero: the usual way), or nothing makes it (its rows are
zero, where a norm or a product of two activations would notice it), or it is a copy that shares its outgoing weights with its
original (Net2Net, Chen et al. 2016). The operators say where which of these does no harm; see `Dims.coupled`,
`Operator.zeroes` and `Operator.padded`. Where none does, the reason is kept: the plan says "not preserving".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

from ..graph.graph import Graph, Step
from ..graph.tree import weights
from ..ops import Edge, Product, Weight, operator
from ..ops.dims import labels as labels_of
from .analysis import Dimensions
from .atoms import NEW, Take, atoms_of, resized
from .gradients import is_dead, reads_zeros
from .places import rows_of
from .resizing import TensorCodes
from .roles import PARTS, Operand, operands_of

if TYPE_CHECKING:
    import numpy as np

#: How new indices of an axis are filled: with zeros, by the tensor's rule for fresh values, or with its last old index. Where
#: new indices of two axes meet, rows that nothing reads (`INIT`) go over columns of zeros, and rows of zeros over columns that
#: learn from zeros (`UNDER`): so all of it learns at once.
ZERO, INIT, UNDER, EDGE = "zero", "init", "under", "edge"


@dataclass
class Growth:
    """Key → how the new indices of each axis are filled ("" where there are none), whether copies share what their original
    had, and a factor for the whole tensor; node → attributes to restate; and why the function is not preserved, if so."""

    fills: dict[str, list[str]] = field(default_factory=dict)
    shared: dict[str, list[bool]] = field(default_factory=dict)
    #: Key → for each axis the new indices that are zero although others are filled otherwise: the keys of a fused projection.
    blank: dict[str, list[np.ndarray[Any, Any] | None]] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    attrs: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Node → a factor for its result.
    times: dict[str, float] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    #: The atoms whose growth is noticed.
    harmed: set[str] = field(default_factory=set)


def settle_growth(dims: Dimensions, chosen: Mapping[str, Sequence[int]], resized: tuple[Graph, TensorCodes]) -> Growth:
    """How the tensors of a resized graph are filled when the atoms in ``chosen`` have those codes; see `resizing.resize`."""
    grown = any(min(codes, default=0) < 0 for codes in chosen.values())
    return _Growing(dims, chosen, *resized).settle() if grown else Growth()


def step_values(step: Step) -> tuple[Any, ...]:
    return tuple(step.args.values())


@dataclass(frozen=True)
class _Harm:
    """A place at which new indices of an atom would be noticed."""

    step: str
    label: str
    atom: str
    why: str


class _Growing:
    def __init__(self, dims: Dimensions, chosen: Mapping[str, Sequence[int]], larger: Graph, moved: TensorCodes) -> None:
        self.dims, self.graph, self.chosen, self.larger, self.moved = dims, dims.graph, chosen, larger, moved
        self.new = {atom for atom, codes in chosen.items() if NEW in codes}
        self.copied = {atom for atom, codes in chosen.items() if any(code < NEW for code in codes)}
        self.grown = self.new | self.copied
        self.sizes = {**dims.sizes, **{atom: len(codes) for atom, codes in chosen.items()}}
        self.growth = Growth()
        self.zero: dict[tuple[Edge, str], bool] = {}
        #: Values that are zero at the new indices of an atom because of the part of a projection that they are.
        self.proven: set[tuple[Edge, str]] = set()
        self.steps = [step for step in self.graph.steps if self._touched(step)]
        for key, axes in moved.items():
            self.growth.fills[key] = [self._usual(key, i) if codes is not None else "" for i, codes in enumerate(axes)]
            self.growth.blank[key] = [None] * len(axes)
            self.growth.shared[key] = [
                codes is not None and bool((codes < NEW).any()) and self._sums(key, i, self.copied)
                for i, codes in enumerate(axes)
            ]

    def _usual(self, key: str, axis: int) -> str:
        if not any(atom in self.grown for atom in atoms_of(self.dims.of(key)[axis])):
            return ""
        if self.graph.tensors[key].constant is not None:
            return EDGE
        return ZERO if self._sums(key, axis, self.grown) else INIT

    def _makes(self, key: str, axis: int) -> bool:
        """Whether some call makes results with atoms of an axis that grow."""
        return not self.grown.isdisjoint(self.dims.roles(key)[axis].made)

    def _sums(self, key: str, axis: int, changing: set[str]) -> bool:
        """Whether some call sums over the atoms of an axis that change."""
        here = changing.intersection(atoms_of(self.dims.of(key)[axis]))
        return bool(here) and here <= self.dims.roles(key)[axis].summed

    def _touched(self, step: Step) -> bool:
        return any(atom in self.grown for expression in self.dims.rule(step.name)[1].values() for atom in atoms_of(expression))

    def settle(self) -> Growth:
        if not self.grown:
            return self.growth
        given_up: set[_Harm] = set()
        for _ in range(200):
            harms = [harm for harm in self._harms() if harm not in given_up]
            if not harms:
                break
            # Of every atom the first: those after it often come of it, and other atoms hardly do.
            first = {harm.atom: harm for harm in reversed(harms)}
            given_up.update(harm for harm in first.values() if not self._mended(harm))
        left = self._harms()
        self.growth.reasons += list(dict.fromkeys(harm.why for harm in left))
        self.growth.harmed = {harm.atom for harm in left}
        self._let_train()
        self._wake()
        return self.growth

    # -- what new indices hold -----------------------------------------------------------------------------------------
    def operands(self, step: Step) -> Iterator[Operand]:
        return operands_of(self.graph, step, self.dims.rule(step.name)[0])

    def is_zero(self, operand: Operand, label: str, atom: str) -> bool:
        if isinstance(operand.ref, Edge):
            return self.zero.get((operand.ref, atom), False)
        key = self.dims.head(operand.ref.key)
        fill = self.growth.fills.get(key, ())
        if not fill or fill[operand.at(label)] == "":
            return False
        entry = self.graph.tensors[key]
        return fill[operand.at(label)] == ZERO or (entry.constant is None and entry.init == ("constant", 0.0))

    def _places(self, step: Step) -> Iterator[tuple[str, str, list[Operand], frozenset[str]]]:
        """(label, grown atom, operands that carry the label, names of those that are zero at new indices)."""
        operands = list(self.operands(step))
        for label, expression in self.dims.rule(step.name)[1].items():
            for atom in atoms_of(expression):
                if atom in self.grown:
                    carriers = [operand for operand in operands if operand.carries(label)]
                    yield label, atom, carriers, frozenset(o.name for o in carriers if self.is_zero(o, label, atom))

    def _harms(self) -> list[_Harm]:
        """Run the network on "zero or anything at new indices"; gives every place that would notice them."""
        self.zero.clear()
        self.growth.scales.clear()
        self.growth.attrs.clear()
        self.growth.times.clear()
        found: list[_Harm] = []
        for step in self.steps:
            seen: set[tuple[Edge, str]] = set()
            rule, types = self.dims.rule(step.name)[0], self.graph.operands(step)
            results = {label for row in rule.outputs for axis in row for label in labels_of(axis)}
            for label, atom, carriers, zeros in self._places(step):
                why = self._noticed(step, label, atom, carriers, zeros, label in results)
                if why:
                    found.append(_Harm(step.name, label, atom, why))
                if label in results and atom in self.new:
                    value = operator(step.op).zeroes(types, label, zeros, rule)
                    for k, row in enumerate(rule.outputs):
                        if any(label in labels_of(axis) for axis in row):
                            place = (Edge(step.name, k), atom)
                            # A value with the atom on several axes is zero if it is along each of them.
                            others = self.zero[place] if place in seen else True
                            self.zero[place] = (value and others) or place in self.proven
                            seen.add(place)
        return found

    def _noticed(
        self, step: Step, label: str, atom: str, carriers: list[Operand], zeros: frozenset[str], in_result: bool
    ) -> str:
        """Why a call's result at old indices depends on the new ones, "" where it does not."""
        rule = self.dims.rule(step.name)[0]
        coupled = rule.coupled.get(label)
        what = f"{step.op} {step.name!r}"
        if coupled is None and in_result:
            return ""
        if coupled is None:
            # What a view leaves out, it does not sum.
            if not carriers or operator(step.op).view or step.op in PARTS:
                return ""
            if atom in self.new and not zeros:
                return f"{what} sums over {atom!r}"
            if atom in self.copied and not any(self._shares(o, label, atom) for o in carriers):
                return f"{what} sums over copies of {atom!r}"
            return ""
        if atom in self.copied and atom not in self.new and coupled in ("average", "rms"):
            if self._times(self.dims.rule(step.name)[1][label]):
                return ""
        activations = {o.name for o in carriers if isinstance(o.ref, Edge)}
        if atom not in self.copied and activations <= zeros:
            if coupled == "zeros" and len(zeros) == len(carriers):
                return ""
            if coupled in ("rms", "average") and self._padded(step, label):
                return ""
        return f"{what} mixes the indices of {atom!r}"

    def _shares(self, operand: Operand, label: str, atom: str) -> bool:
        """Whether copies share the weights that an operand is, or is a part of."""
        if isinstance(operand.ref, Weight):
            key: str | None = self.dims.head(operand.ref.key)
            at = [operand.at(label)]
        else:
            key = self.dims.part_of(operand.ref)
            at = [i for i, how in enumerate(self.dims.of(key)) if atom in atoms_of(how)] if key is not None else []
        shared = self.growth.shared.get(key or "")
        return bool(shared) and len(at) == 1 and shared[at[0]] and atom not in self.dims.roles(str(key))[at[0]].made  # type: ignore[index]

    def _times(self, axis: Any) -> int:
        """How many indices stand for each that was on an axis, where these are equally many and none is new; else 0."""
        if isinstance(axis, str):
            codes = self.chosen.get(axis, ())
            counts = Counter(code if code >= 0 else -(code + 2) for code in codes)
            if not codes:
                return 1
            even = NEW not in codes and len(counts) == self.dims.sizes[axis] and len(set(counts.values())) == 1
            return next(iter(counts.values())) if even else 0
        if isinstance(axis, Take):
            return int(axis.atom not in self.chosen)
        parts = [self._times(part) for part in axis.parts]
        if isinstance(axis, Product):
            return prod(parts)
        return parts[0] if len(set(parts)) == 1 else 0

    def _padded(self, step: Step, label: str) -> bool:
        """Whether the operator can make up for zeros beside the old indices; notes how."""
        expression = self.dims.rule(step.name)[1][label]
        old, new = resized(expression, self.dims.sizes), resized(expression, self.sizes)
        found = operator(step.op).padded(self.graph.operands(step), label, old, new)
        if found is None:
            return False
        for role, factor in found.get("scale", {}).items():
            ref = step.args.get(role)
            if not isinstance(ref, Weight) or self.growth.scales.get(self.dims.head(ref.key), factor) != factor:
                return False
            self.growth.scales[self.dims.head(ref.key)] = factor
        self.growth.attrs[step.name] = dict(found.get("attrs", {}))
        if "times" in found:
            self.growth.times[step.name] = self.growth.times.get(step.name, 1.0) * found["times"]
        return True

    # -- making values zero --------------------------------------------------------------------------------------------
    def _mended(self, harm: _Harm) -> bool:
        """Try to make an operand zero at new indices, the last first; True where something was changed."""
        if harm.atom not in self.new:
            return False
        step = self.graph[harm.step].step
        carriers = [o for o in self.operands(step) if o.carries(harm.label) and isinstance(o.ref, Edge)]
        coupled = self.dims.rule(step.name)[0].coupled.get(harm.label)
        if not carriers or not self._can_be_mended(step, harm.label, coupled):
            return False
        groups = [[o] for o in reversed(carriers)] if coupled is None else [carriers]
        for group in groups:
            before = self._filled()
            if all(self._force(o.ref, harm.atom, {harm.step}) for o in group if isinstance(o.ref, Edge)):
                if before != self._filled():
                    return True
            self._restore(before)
        return False

    def _can_be_mended(self, step: Step, label: str, coupled: str | None) -> bool:
        """Whether zeros at new indices would do no harm."""
        if coupled in (None, "zeros"):
            return True
        expression = self.dims.rule(step.name)[1][label]
        old, new = resized(expression, self.dims.sizes), resized(expression, self.sizes)
        return operator(step.op).padded(self.graph.operands(step), label, old, new) is not None

    def _filled(self) -> Any:
        """What has been decided of fills so far, to compare and to go back to."""
        blank = {key: [None if b is None else tuple(b.tolist()) for b in rows] for key, rows in self.growth.blank.items()}
        return {key: list(fill) for key, fill in self.growth.fills.items()}, blank, set(self.proven)

    def _restore(self, before: Any) -> None:
        import numpy as np

        fills, blank, proven = before
        self.growth.fills = {key: list(fill) for key, fill in fills.items()}
        self.growth.blank = {key: [None if b is None else np.asarray(b) for b in rows] for key, rows in blank.items()}
        self.proven = set(proven)

    def _force(self, edge: Edge, atom: str, visited: set[str]) -> bool:
        """Fill weights with zeros so that a value is zero at the new indices of an atom."""
        if self.zero.get((edge, atom)):
            return True
        if edge.node in visited:
            return False
        visited.add(edge.node)
        step = self.graph[edge.node].step
        if self._force_part(edge, atom):
            return True
        rule, labels = self.dims.rule(step.name)
        row = {label for axis in rule.outputs[edge.index] for label in labels_of(axis)}
        mine = [label for label, expression in labels.items() if label in row and atom in atoms_of(expression)]
        return bool(mine) and all(self._force_label(step, label, atom, visited) for label in mine)

    def _force_label(self, step: Step, label: str, atom: str, visited: set[str]) -> bool:
        kind, types = operator(step.op), self.graph.operands(step)
        carriers = [o for o in self.operands(step) if o.carries(label)]
        inputs = [o for o in carriers if isinstance(o.ref, Edge)]
        own = [o for o in carriers if isinstance(o.ref, Weight)]
        zero_now = frozenset(o.name for o in carriers if self.is_zero(o, label, atom))
        ways: list[list[Operand]] = [[o] for o in inputs] + ([inputs] if len(inputs) > 1 else [])
        ways += [[o] for o in own] + ([own] if len(own) > 1 else [])
        for way in ways:
            if kind.zeroes(types, label, zero_now | {o.name for o in way}, self.dims.rule(step.name)[0]):
                before = self._filled()
                if all(self._force_operand(step, o, label, atom, visited) for o in way):
                    return True
                self._restore(before)
        return False

    def _force_operand(self, step: Step, operand: Operand, label: str, atom: str, visited: set[str]) -> bool:
        if isinstance(operand.ref, Edge):
            return self._learns(operand.ref, step, visited) and self._force(operand.ref, atom, visited)
        key = self.dims.head(operand.ref.key)
        fill = self.growth.fills.get(key)
        if fill is None or not fill[operand.at(label)] or self.graph.tensors[key].constant is not None:
            return False
        fill[operand.at(label)] = ZERO
        return True

    def _learns(self, edge: Edge, step: Step, visited: set[str]) -> bool:
        """Whether a value that is zero still gets a gradient: not through a rectifier alone."""
        if not operator(step.op).flat_at_zero(self.graph.operands(step)):
            return True
        others = [self.graph[name].step for name in self.graph.consumers[edge.node] if name not in (step.name, *visited)]
        return any(not operator(other.op).flat_at_zero(self.graph.operands(other)) for other in others)

    def _force_part(self, edge: Edge, atom: str) -> bool:
        """Zeros for the rows of a projection that a value is made of, where it is a part of what the projection gives."""
        chain: list[Step] = []
        here = edge
        while True:
            step = self.graph[here.node].step
            source = step.args.get("x")
            if not (operator(step.op).view or step.op in PARTS) or not isinstance(source, Edge) or weights(step_values(step)):
                break
            chain.append(step)
            here = source
        own = [o for o in self.operands(step) if isinstance(o.ref, Weight)]
        if not chain or here.index or not own:
            return False
        rule, labels = self.dims.rule(step.name)
        axis = next((i for i, e in enumerate(self.dims.of(here)) if atom in atoms_of(e)), None)
        if axis is None:
            return False
        known = (each for each in labels_of(rule.outputs[0][axis]) if each in labels)
        label = next((each for each in known if atom in atoms_of(labels[each])), None)
        mine = [o for o in own if label is not None and o.carries(label)]
        if label is None or not operator(step.op).zeroes(self.graph.operands(step), label, frozenset(o.name for o in mine)):
            return False
        rows = rows_of(self.larger, here, axis, chain[::-1], edge)
        if rows is None or not all(self._blank(o, label, rows) for o in mine):
            return False
        self.proven.add((edge, atom))
        return True

    def _blank(self, operand: Operand, label: str, rows: np.ndarray[Any, Any]) -> bool:
        """Zeros for those new rows of a weight."""
        import numpy as np

        assert isinstance(operand.ref, Weight)
        key, axis = self.dims.head(operand.ref.key), operand.at(label)
        fill = self.growth.fills.get(key)
        codes = self.moved[key][axis] if key in self.moved else None
        if fill is None or codes is None or fill[axis] not in (INIT, ZERO) or self.graph.tensors[key].constant is not None:
            return False
        new = rows[codes[rows] == NEW]
        if len(new) == int((codes == NEW).sum()):
            fill[axis] = ZERO
        else:
            old = self.growth.blank[key][axis]
            self.growth.blank[key][axis] = new if old is None else np.union1d(old, new)
        return True

    def _let_train(self) -> None:
        """Columns that read zeros need not be zero as well: two zeros in a row would never learn."""
        for key, fill in self.growth.fills.items():
            for axis, how in enumerate(fill):
                only_summed = self._sums(key, axis, self.grown) and not self._makes(key, axis)
                if how == ZERO and only_summed and reads_zeros(self, key, axis):
                    fill[axis] = UNDER

    @cached_property
    def reading(self) -> dict[str, list[Step]]:
        """Key → the steps that read its tensor."""
        found: dict[str, list[Step]] = {}
        for step in self.steps:
            for key in dict.fromkeys(self.dims.head(weight.key) for weight in weights(step_values(step))):
                found.setdefault(key, []).append(step)
        return found

    # -- what could never learn ----------------------------------------------------------------------------------------
    def _wake(self) -> None:
        """Fresh values for atoms that are zero wherever they are made and read, and that no gradient would reach.

        The first of their tensors at which nobody notices gets them; else those that make them, and the plan says so.
        """
        for atom in sorted(atom for atom in self.new if is_dead(self, atom)):
            before = self._filled()
            made: list[tuple[str, int]] = []
            read: list[tuple[str, int]] = []
            for key, fill in self.growth.fills.items():
                for axis, how in enumerate(fill):
                    zero = how == ZERO or self.growth.blank[key][axis] is not None
                    if zero and atom in atoms_of(self.dims.of(key)[axis]):
                        (read if atom in self.dims.roles(key)[axis].summed else made).append((key, axis))
            ways = [way for way in (made, *([place] for place in (*made, *read))) if way]
            if not any(self._freshly(way, atom, before) == [] for way in ways):
                left = self._freshly(made or read, atom, before)
                self.growth.reasons += [f"{harm.why}, and zeros there would never learn" for harm in left]
                self.growth.harmed.add(atom)

    def _freshly(self, places: list[tuple[str, int]], atom: str, before: Any) -> list[_Harm]:
        """What notices fresh values of an atom at some axes of tensors, where all else is as it was."""
        self._restore(before)
        self.proven = {place for place in self.proven if place[1] != atom}
        for key, axis in places:
            self.growth.fills[key][axis], self.growth.blank[key][axis] = INIT, None
        return [harm for harm in self._harms() if harm.atom == atom]
