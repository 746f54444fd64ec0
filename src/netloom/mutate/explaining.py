"""For a person: what moves together with the sizes of a node, and through which nodes."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..graph.graph import Step
from ..graph.tree import edges, weights
from ..ops import Edge
from .atoms import Atom, Member, atoms_of, shown

if TYPE_CHECKING:
    from .analysis import Dimensions

#: Lines and names of one list before the rest is counted.
_MOST_LINES, _MOST_NAMES = 24, 6


def explain(dims: Dimensions, name: str) -> str:
    """See `Dimensions.explain`."""
    node = dims.graph[name]
    refs: list[Edge | str] = [Edge(name, k) for k in range(len(node.types))]
    refs += [dims.head(weight.key) for weight in weights(tuple(node.step.args.values()))]
    lines = [f"{name} ({node.op})"]
    plain = {atom.id: atom.size for atom in dims.atoms if atom.frozen}
    found: dict[str, None] = {}
    for ref in dict.fromkeys(refs):
        axes = dims.of(ref)
        if axes:
            what = "result" if ref == refs[0] else f"result {ref.index}" if isinstance(ref, Edge) else ref
            lines.append(f"  {what}: ({', '.join(shown(axis, plain) for axis in axes)})")
        found.update(dict.fromkeys(atom for axis in axes for atom in atoms_of(axis)))
    for atom in map(dims.__getitem__, found):
        if not atom.frozen:
            lines += _together(dims, name, atom, plain)
    reasons = dict.fromkeys(f"{dims[atom].size}: {dims[atom].frozen}" for atom in found if dims[atom].frozen)
    return "\n".join([*lines, *(["fixed are"] if reasons else []), *(f"  {reason}" for reason in reasons)])


def table(dims: Dimensions) -> str:
    """See `Dimensions.__str__`."""
    rows = [("atom", "size", "made by", "read by")]
    for atom in dims.free:
        made, read = makers(dims, atom)
        if made or read:
            rows.append((atom.id, str(atom.size), ", ".join(_few(made)), ", ".join(_few(read))))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{a.ljust(widths[0])}  {b.rjust(widths[1])}  {c.ljust(widths[2])}  {d}".rstrip() for a, b, c, d in rows]
    fixed = dict.fromkeys(
        f"{atom.size} because of {atom.frozen}" for atom in dims.atoms if atom.frozen and _is_a_size(dims, atom)
    )
    return "\n".join([*lines, f"fixed: {'; '.join(list(fixed)[:8])}{'; …' if len(fixed) > 8 else ''}"] if fixed else lines)


def makers(dims: Dimensions, atom: Atom) -> tuple[list[str], list[str]]:
    """The nodes whose weights make the indices of an atom, and those whose weights read them, in order."""
    keys = {member.ref: member for member in atom.members if isinstance(member.ref, str)}
    made: dict[str, None] = {}
    read: dict[str, None] = {}
    for step in dims.graph.steps:
        for key in _keys(dims, step):
            for member in [m for m in atom.members if m.ref == key] if key in keys else ():
                if dims.produces(key)[member.axis]:
                    made[step.name] = None
                if dims.sums(key)[member.axis]:
                    read[step.name] = None
    return list(made), list(read)


def _is_a_size(dims: Dimensions, atom: Atom) -> bool:
    """Whether a fixed atom is the size of features: on the result of an input or an output, and no batch."""
    borders = {Edge(node.name) for node in (*dims.graph.inputs, *dims.graph.outputs)}
    return isinstance(atom.size, int) and any(
        member.ref in borders and member.axis == (dims.graph[member.ref.node].feature_axis)  # type: ignore[union-attr]
        for member in atom.members
    )


def _together(dims: Dimensions, start: str, atom: Atom, plain: Mapping[str, Any]) -> list[str]:
    """The layers in which an atom takes part, nearest first, with the way there."""
    parents = _paths(dims, start, atom)
    tensors: dict[str, list[Member]] = defaultdict(list)
    for member in atom.members:
        if isinstance(member.ref, str):
            tensors[member.ref].append(member)
    lines = [f"{atom.id}: {atom.size} indices, free, which are"]
    shown_keys: set[str] = set()
    ways = []
    for step in sorted(parents, key=lambda step: len(_way(parents, step))):
        keys = [key for key in _keys(dims, dims.graph[step].step) if key in tensors and key not in shown_keys]
        shown_keys.update(keys)
        if keys:
            members = [member for key in keys for member in tensors[key]]
            ways.append(f"  {_places(members, atom, plain)}{_through(_way(parents, step))}")
    lines += ways[:_MOST_LINES]
    if len(ways) > _MOST_LINES:
        lines.append(f"  … and tensors of {len(ways) - _MOST_LINES} more nodes")
    return lines


def _places(members: list[Member], atom: Atom, plain: Mapping[str, Any]) -> str:
    """The tensors of one node, those with the atom in the same place together: ``bn1.weight, bias: axis 0``."""
    together: dict[str, list[str]] = defaultdict(list)
    for member in members:
        together[f"axis {member.axis}{_inside(member, atom, plain)}"].append(str(member.ref))
    texts = []
    for place, keys in together.items():
        owner = keys[0].rpartition(".")[0]
        rest = [key.removeprefix(f"{owner}.") if owner else key for key in keys[1:]]
        texts.append(f"{', '.join([keys[0], *_few(rest)])}: {place}")
    return "; ".join(texts)


def _inside(member: Member, atom: Atom, plain: Mapping[str, Any]) -> str:
    return "" if member.how == atom.id else f" = {shown(member.how, plain)}"


def _through(way: list[str]) -> str:
    between = way[1:-1]
    return f"   (through {', '.join(_few(between))})" if between else ""


def _few(names: list[str]) -> list[str]:
    rest = len(names) - _MOST_NAMES
    return names if rest <= 1 else [*names[:_MOST_NAMES], f"{rest} more"]


def _keys(dims: Dimensions, step: Step) -> list[str]:
    return [dims.head(weight.key) for weight in weights(tuple(step.args.values()))]


def _paths(dims: Dimensions, start: str, atom: Atom) -> dict[str, str]:
    """Every node that the atom passes through → the node before it on a shortest way from ``start``."""
    places: dict[Edge | str, list[str]] = defaultdict(list)
    carried = {member.ref for member in atom.members}
    of_node: dict[str, list[Edge | str]] = {}
    for step in dims.graph.steps:
        refs = {*_keys(dims, step), *edges(tuple(step.args.values())), *_results(dims, step)}
        of_node[step.name] = [ref for ref in refs if ref in carried]
        for ref in of_node[step.name]:
            places[ref].append(step.name)
    parents = {start: start}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        for ref in of_node[here]:
            for other in places[ref]:
                if other not in parents:
                    parents[other] = here
                    queue.append(other)
    return parents


def _results(dims: Dimensions, step: Step) -> Iterable[Edge]:
    return (Edge(step.name, k) for k in range(len(dims.graph.types(step.name))))


def _way(parents: dict[str, str], step: str) -> list[str]:
    way = [step]
    while parents[way[-1]] != way[-1]:
        way.append(parents[way[-1]])
    return way[::-1]
