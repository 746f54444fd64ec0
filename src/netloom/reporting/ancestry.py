"""Where a candidate came from: its ancestors, what each edit changed, and what that gained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..graph.graph import Graph
    from ..store import Store
    from .summary import Candidate, Evaluation, Summary

#: Ancestors that are shown at most, the nearest first; and nodes of a pair of graphs that are compared at most.
MAX_ANCESTORS, _MAX_NODES = 200, 6_000
_Difference = tuple[str, dict[str, str], int]
_NO_DIFFERENCE: _Difference = ("", {}, 0)
_differences: dict[tuple[str, str], _Difference] = {}
#: Differences by pair of hashes that are kept while a report is refreshed.
_KEPT = 2_000


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One network of a lineage. ``generation`` is 0 for the oldest; ``gain`` its score minus that of its first parent.

    ``difference`` is what changed from its first parent, as a table for people; ``roles`` says the same of its nodes by name
    (``added``, ``changed``), ``removed`` counts those that are gone. ``line`` says that it is on the line of first parents.
    """

    hash: str
    generation: int
    parents: tuple[str, ...]
    score: float | None
    gain: float | None
    edit: Any = None
    difference: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    removed: int = 0
    line: bool = True


def ancestors(store: Store, summary: Summary, hash: str) -> tuple[Ancestor, ...]:
    """The network with this hash and all it came from, as far as the run tells, oldest generation first."""
    line = set(_line(summary, hash))
    generations = _generations(summary, hash)
    deepest = max(generations.values())
    made = [
        _ancestor(store, summary, each, deepest - generation, each in line) for each, generation in generations.items()
    ]  # fmt: skip
    return tuple(sorted(made, key=lambda ancestor: (ancestor.generation, not ancestor.line)))


def _first(summary: Summary, hash: str) -> Evaluation | None:
    """The first proposal of a network: later ones of the same network cannot be where it came from."""
    candidate = summary.by_hash.get(hash)
    return candidate.evaluations[0] if candidate is not None else None


def _line(summary: Summary, hash: str) -> Iterator[str]:
    """The network, its first parent, the first parent of that, and so on."""
    seen: set[str] = set()
    while hash not in seen:
        yield hash
        seen.add(hash)
        first = _first(summary, hash)
        if first is None or not first.parents:
            return
        hash = first.parents[0]


def _generations(summary: Summary, hash: str) -> dict[str, int]:
    """Hash → the most steps back from ``hash`` along parents; the line of first parents always, others while there is room."""
    found = {each: steps for steps, each in enumerate(list(_line(summary, hash))[:MAX_ANCESTORS])}
    waiting = list(found)
    while waiting and len(found) < MAX_ANCESTORS:
        child = waiting.pop(0)
        first = _first(summary, child)
        for parent in first.parents if first is not None else ():
            if parent not in found and len(found) < MAX_ANCESTORS:
                found[parent] = found[child] + 1
                waiting.append(parent)
    return found


def _ancestor(store: Store, summary: Summary, hash: str, generation: int, line: bool) -> Ancestor:
    candidate, first = summary.by_hash.get(hash), _first(summary, hash)
    if candidate is None or first is None:
        return Ancestor(hash, generation, (), None, None, line=line)
    difference, roles, removed = _NO_DIFFERENCE
    if first.parents and generation > 0:
        difference, roles, removed = _compared(store, first.parents[0], hash)
    return Ancestor(
        hash, generation, first.parents, candidate.score, _gain(summary, candidate, first.parents), first.edit, difference,
        roles, removed, line,
    )  # fmt: skip


def _gain(summary: Summary, child: Candidate, parents: tuple[str, ...]) -> float | None:
    parent = summary.by_hash.get(parents[0]) if parents else None
    if parent is None or parent.score is None or child.score is None:
        return None
    return child.score - parent.score


def _compared(store: Store, before: str, after: str) -> _Difference:
    """What changed, in words, the roles of the nodes of ``after``, and how many nodes are gone."""
    if (before, after) not in _differences:
        if len(_differences) >= _KEPT:
            _differences.clear()
        _differences[before, after] = _difference(store, before, after)
    return _differences[before, after]


def _difference(store: Store, before: str, after: str) -> _Difference:
    from ..graph.difference import diff

    try:
        a, b = store.graph(before), store.graph(after)
        if len(a.nodes) + len(b.nodes) > _MAX_NODES:
            return _totals(a, b), {}, 0
        found = diff(a, b)
    except NetloomError as error:
        return f"cannot be compared: {error}", {}, 0
    roles = {change.after: "changed" for change in (*found.resized, *found.changed, *found.rewired)}
    roles |= {node.name: "added" for node in found.added}
    return str(found), roles, len(found.removed)


def _totals(a: Graph, b: Graph) -> str:
    return (
        f"too large to be compared node by node\nnodes       {len(a.nodes):,} → {len(b.nodes):,}\n"
        f"parameters  {a.num_params:,} → {b.num_params:,}\nFLOPs       {a.flops:,} → {b.flops:,}"
    )
