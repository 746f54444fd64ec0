"""Plans: what an edit does to every tensor, as data that can be read, stored, applied later and undone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import EditError
from ..graph.graph import Graph
from ..graph.node import Node
from ..ops import operator
from .atoms import NEW, copy_of, sources

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """Where one tensor comes from: for each axis its codes (see `atoms.axis_codes`; None where it stays), how new indices are
    filled (``"zero"``, ``"init"``, ``"edge"``, or ``""``), whether copies share their original's values (``"even"``, or
    ``"uneven"``, so that they part in training; ``""`` where not), a factor, and new indices that are zero in any case."""

    axes: tuple[np.ndarray[Any, Any] | None, ...]
    fill: tuple[str, ...]
    shared: tuple[str, ...]
    scale: float = 1.0
    blank: tuple[np.ndarray[Any, Any] | None, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Move) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        axes = tuple(None if codes is None else tuple(codes.tolist()) for codes in self.axes)
        return (axes, self.fill, self.shared, self.scale, tuple(None if b is None else tuple(b.tolist()) for b in self.blank))


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a plan: the graph after it, the tensors that move, those that are made anew (key → rule), and the reasons
    why the network does not compute what it did, if so. Other tensors stay under their key."""

    title: str
    graph: Graph
    moves: Mapping[str, Move] = field(default_factory=dict)
    fresh: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What an edit does: from the graph ``before``, stage by stage, to ``graph``.

    ``print(plan)`` shows every node whose size, operator or weights change. ``seed`` fixes the new weights.
    """

    before: Graph
    stages: tuple[Stage, ...] = ()
    seed: int = 0

    @property
    def graph(self) -> Graph:
        """The graph after the edit."""
        return self.stages[-1].graph if self.stages else self.before

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the edited network does not compute what the old one did; empty where it does (in evaluation mode)."""
        return tuple(dict.fromkeys(reason for stage in self.stages for reason in stage.reasons))

    @property
    def preserving(self) -> bool:
        """Whether the edited network computes what the old one did, in evaluation mode."""
        return not self.reasons

    @cached_property
    def codes(self) -> Mapping[str, tuple[np.ndarray[Any, Any] | None, ...] | None]:
        """Key of the new state → for each axis where its indices come from in the old one; None for a tensor made anew."""
        found: dict[str, Any] = {
            key: (None,) * entry.type.rank for key, entry in self.before.tensors.items() if entry.alias_of is None
        }
        for stage in self.stages:
            after: dict[str, Any] = {}
            for key, entry in stage.graph.tensors.items():
                if entry.alias_of is None:
                    known = None if key in stage.fresh else found.get(key)
                    after[key] = known if known is None else _composed(known, stage.moves.get(key), self.before, key)
            found = after
        return found

    def indices(self, key: str, axis: int = 0) -> list[int]:
        """Where the indices of an axis of a tensor of the new network come from: old indices, -1 where nothing stood.

        >>> import netloom as nl
        >>> x = nl.input(4)
        >>> edit = nl.edit(nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 3, name="hidden")), 2, name="head")))
        >>> edit["hidden"].resize(out=+1)
        >>> edit.plan.indices("head.weight", axis=1)
        [0, 1, 2, -1]
        """
        if key not in self.codes:
            raise EditError(f"the edited network has no tensor {key!r}; see plan.graph.tensors")
        axes = self.codes[key]
        size = self.graph.tensors[key].type.shape[axis]
        if axes is None:
            return [NEW] * size
        codes = axes[axis]
        return list(range(size)) if codes is None else codes.tolist()

    def apply(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The state of the new network from that of the old one (every parameter and buffer by key); nothing is changed."""
        from .transfer import apply_plan

        return apply_plan(self, state)

    def undo(self, state: Mapping[str, torch.Tensor], old: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The old network's state with what has survived (and was perhaps trained) put back; the rest as in ``old``."""
        from .transfer import undo_plan

        return undo_plan(self, state, old)

    def to_json(self) -> str:
        """The plan as a JSON document: both graphs, and every index that stays."""
        from .plan_json import to_json

        return to_json(self)

    @staticmethod
    def from_json(document: str) -> Plan:
        """The plan of a document by `to_json`; `FormatError` for any other."""
        from .plan_json import from_json

        return from_json(document)

    # -- for a person --------------------------------------------------------------------------------------------------
    def rows(self) -> Iterator[tuple[str, str, str, str, str]]:
        """(node, operator, size before, size after, what becomes of its weights) of every node that changes."""
        before, after = self.before, self.graph
        names = dict.fromkeys([*(step.name for step in before.steps), *(step.name for step in after.steps)])
        for name in names:
            if name not in after:
                yield name, before[name].op, str(before[name].out_size), "", "removed"
            elif name not in before:
                yield name, after[name].op, "", str(after[name].out_size), "inserted"
            else:
                old, new = before[name], after[name]
                what = self._of_weights(new.weights.values())
                changed = _differences(old, new) if old.op == new.op else f"{old.op} → {new.op}"
                if old.out_size != new.out_size or what or changed or old.in_sizes != new.in_sizes:
                    sizes = [str(old.out_size), str(new.out_size)]
                    if old.out_size == new.out_size and old.in_sizes != new.in_sizes and new.weights:
                        sizes = [f"{_of(old.in_sizes)} in", f"{_of(new.in_sizes)} in"]
                    if sizes[0] != sizes[1] or what or changed:
                        yield name, new.op, *sizes, "; ".join(filter(None, (what, changed)))  # type: ignore[misc]

    def _of_weights(self, keys: Iterable[str]) -> str:
        """What becomes of the weights of a node, those that fare alike together: ``weight, bias: 6 of 8 kept``."""
        together: dict[str, list[str]] = {}
        for key in keys:
            together.setdefault(self._of_weight(key), []).append(key.rpartition(".")[2])
        if len(together) == 1:
            return next(iter(together))
        return "; ".join(f"{', '.join(names)}: {what}" for what, names in together.items() if what)

    def _of_weight(self, key: str) -> str:
        axes = self.codes.get(self.graph.tensors[key].alias_of or key)
        if axes is None:
            return "new"
        parts = []
        for i, codes in enumerate(axes):
            if codes is not None:
                kept, new, copies = int((codes >= 0).sum()), int((codes == NEW).sum()), int((codes < NEW).sum())
                old = self.before.tensors[key].type.shape[i] if key in self.before.tensors else kept
                text = f"{kept} of {old} kept" if kept != old or not (new or copies) else f"{kept} kept"
                text += f", {new} new" * bool(new) + f", {copies} copied" * bool(copies)
                parts.append(text if i == 0 else f"{text} (axis {i})")
        return ", ".join(parts)

    def __str__(self) -> str:
        rows = [("node", "operator", "before", "after", "weights"), *self.rows()]
        if len(rows) == 1:
            return "nothing changes"
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[4]]).rstrip() for row in rows]
        old, new = self.before, self.graph
        lines.append(f"parameters {old.num_params:,} → {new.num_params:,}, FLOPs {old.flops:,} → {new.flops:,}")
        if self.preserving:
            lines.append("preserving: in evaluation mode the network computes what it did")
        else:
            lines += [f"not preserving: {reason}" for reason in self.reasons[:8]]
            lines += [f"… and {len(self.reasons) - 8} more reasons"] * (len(self.reasons) > 8)
        return "\n".join(lines)

    def __repr__(self) -> str:
        titles = [stage.title for stage in self.stages]
        more = f" and {len(titles) - 3} more" if len(titles) > 3 else ""
        return f"<Plan: {', '.join(titles[:3]) or 'nothing'}{more}>"


def _of(sizes: tuple[int, ...]) -> str:
    return "+".join(map(str, sizes))


def _differences(old: Node, new: Node) -> str:
    """Attributes that are no sizes of features: kernel, padding, stride."""
    before, after = old.attrs, new.attrs
    changed = [name for name in after if name in before and before[name] != after[name]]
    sizes = operator(new.op).dims(new.graph.operands(new.step), new.types).attrs if changed else {}
    return ", ".join(f"{name} {before[name]} → {after[name]}" for name in changed if name not in sizes)


def _composed(first: tuple[Any, ...], move: Move | None, before: Graph, key: str) -> tuple[Any, ...]:
    """The codes of two changes, one after the other."""
    import numpy as np

    if move is None:
        return first
    found = []
    for axis, (old, new) in enumerate(zip(first, move.axes)):
        if old is None or new is None:
            found.append(new if old is None else old)
            continue
        origin = old[np.where(new == NEW, 0, sources(new))]
        copied = np.where(origin >= 0, np.vectorize(copy_of, otypes=[np.int64])(origin), origin)
        both = np.where(new == NEW, NEW, np.where(new < NEW, copied, origin))
        same = np.array_equal(both, np.arange(before.tensors[key].type.shape[axis]))
        found.append(None if same else both)
    return tuple(found)
