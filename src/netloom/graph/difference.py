"""What changed between two graphs, as a value: `diff` works it out, `Diff` holds it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import GraphError
from .compared import Compared, Port, type_of_tensor
from .contents import Naming
from .graph import Graph
from .hashing import canonical_walk, walk_naming
from .match_search import best_matching
from .matching import Matching
from .node import Node
from .symbols import argument_places, namings
from .wiring import live_nodes

#: Ways to call the free symbols of the second graph that are tried where its inputs leave a choice.
_MAX_NAMINGS = 6


@dataclass(frozen=True, slots=True)
class Change:
    """What is different about one node: ``before`` and ``after`` are its names in the two graphs.

    ``values`` maps what differs to (old, new): attributes and weights by their names, the operator as ``"op"``, operands by
    the argument they are, with `Edge` or tuples of them for values.
    """

    before: str
    after: str
    values: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name in the second graph."""
        return self.after


@dataclass(frozen=True)
class Diff:
    """What turns the graph ``a`` into the graph ``b``; made by `diff`. False where nothing but names differs.

    - ``added``, ``removed``: nodes of ``b`` that ``a`` does not have, and the other way round.
    - ``resized``: nodes with other sizes of axes: channels, features, shapes.
    - ``changed``: nodes with another operator, other attributes, another mode, other tensors.
    - ``rewired``: nodes that read something else, or share their weights with others than before. What only passes through
      added nodes, or no longer passes through removed ones, is not rewired.
    - ``inputs``, ``outputs``: how the network is called and what comes back, (before, after) as text where that differs.
    - ``matches``: name in ``a`` → name in ``b``; ``renamed`` the part of it where they differ.

    ``print(diff)`` shows it as a table, in a notebook as a drawing of both graphs in one.
    """

    a: Graph
    b: Graph
    added: tuple[Node, ...] = ()
    removed: tuple[Node, ...] = ()
    resized: tuple[Change, ...] = ()
    rewired: tuple[Change, ...] = ()
    changed: tuple[Change, ...] = ()
    inputs: tuple[str, str] | None = None
    outputs: tuple[str, str] | None = None
    matches: Mapping[str, str] = field(default_factory=dict)

    @property
    def renamed(self) -> dict[str, str]:
        """Old name → new name, of the nodes that are the same under another name."""
        return {before: after for before, after in self.matches.items() if before != after}

    @cached_property
    def followers(self) -> tuple[str, ...]:
        """Nodes of ``b`` whose weights have other shapes only because what they read was resized."""
        own = {change.after for change in (*self.resized, *self.changed)}
        return tuple(
            after for before, after in self.matches.items()
            if after not in own and _shapes(self.a, before) != _shapes(self.b, after)
        )  # fmt: skip

    def __bool__(self) -> bool:
        return len(self) > 0

    def __len__(self) -> int:
        """The number of edits."""
        lists = (self.added, self.removed, self.resized, self.rewired, self.changed)
        return sum(map(len, lists)) + (self.inputs is not None) + (self.outputs is not None)

    def __str__(self) -> str:
        from .difference_text import table

        return table(self)

    def __repr__(self) -> str:
        counts = {name: len(getattr(self, name)) for name in ("added", "removed", "resized", "changed", "rewired")}
        counts |= {name: 1 for name in ("inputs", "outputs") if getattr(self, name) is not None}
        shown = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        return f"<Diff: {shown or 'no difference'}>"

    def draw(
        self, path: str | os.PathLike[str], *, direction: str = "down", theme: str | None = None, node_size: float = 1.0,
        title: str = "",
    ) -> Path:  # fmt: skip
        """Write a picture of both graphs in one (``.svg``, ``.png`` or ``.html``) and give its path.

        What ``b`` adds is green, what is gone red, what has changed yellow with the change in words; what is the same is
        grey and folded. Options and errors as `Graph.draw`'s.
        """
        from .difference_drawing import draw

        return draw(self, path, direction=direction, theme=theme, node_size=node_size, title=title)

    def _repr_html_(self) -> str:
        from .difference_drawing import notebook_html

        return notebook_html(self)

    def _repr_svg_(self) -> str:
        from .difference_drawing import notebook_svg

        return notebook_svg(self)

    def to_json(self) -> str:
        """A JSON document: hashes and totals of both graphs, every edit, the matches."""
        from .difference_json import to_json

        return to_json(self)


def diff(a: Graph, b: Graph) -> Diff:
    """What was added, removed, resized, changed and rewired between two graphs, in as few edits as a search can find.

    Nodes are matched by what they do and how they are connected; names only decide between equals, so that a renamed copy
    differs in nothing. The result is empty exactly when ``a.hash == b.hash``. `GraphError` where one is no graph.

    >>> import netloom as nl
    >>> def net(width, activation):
    ...     x = nl.input(8)
    ...     return nl.Graph(x, nl.linear(activation(nl.linear(x, width, name="hidden"), name="act"), 2, name="head"))
    >>> difference = nl.diff(net(16, nl.relu), net(12, nl.gelu))
    >>> difference.resized[0].values, difference.changed[0].values, difference.followers
    ({'out': (16, 12)}, {'op': ('relu', 'gelu')}, ('head',))
    >>> bool(nl.diff(net(16, nl.relu), net(16, nl.relu)))
    False
    """
    for graph in (a, b):
        if not isinstance(graph, Graph):
            hint = "; nl.trace gives the graph of a model" if hasattr(graph, "forward") else ""
            hint = "; its .graph is one" if isinstance(getattr(graph, "graph", None), Graph) else hint
            raise GraphError(f"diff takes two graphs, not a {type(graph).__name__}{hint}")
    if a.hash == b.hash:
        return Diff(a, b, matches=_isomorphism(a, b))
    found = min((_compare(a, b, *pair) for pair in _namings(a, b)), key=lambda matching: matching.total())
    return _described(found)


def _compare(a: Graph, b: Graph, ours: Naming, theirs: Naming) -> Matching:
    return best_matching(Compared(a, ours), Compared(b, theirs))


def _namings(a: Graph, b: Graph) -> Iterator[tuple[Naming, Naming]]:
    """Names for the free symbols of both: by their places, and where that says something else, by their own names."""
    first = next(namings(a, live_nodes))
    seen: list[Naming] = []
    for naming in (*islice(namings(b, live_nodes), _MAX_NAMINGS), {symbol: first.get(symbol, symbol) for symbol in b.symbols}):
        if naming not in seen:
            seen.append(naming)
            yield first, naming


def _isomorphism(a: Graph, b: Graph) -> dict[str, str]:
    """The same nodes of two graphs of one hash; the names decide where they can."""
    ours, theirs = Compared(a, walk_naming(a)), Compared(b, walk_naming(b))
    found = best_matching(ours, theirs)
    if not _same(found):
        return dict(zip(canonical_walk(a), canonical_walk(b)))
    return _matches(found)


def _same(matching: Matching) -> bool:
    return -1 not in matching.to_b and not _described(matching)


# -- from a matching to what it says -------------------------------------------------------------------------------------
def _described(matching: Matching) -> Diff:
    a, b = matching.a, matching.b
    resized: list[Change] = []
    rewired: list[Change] = []
    changed: list[Change] = []
    retied: dict[int, list[str]] = {}
    for u, role in matching.retied():
        retied.setdefault(u, []).append(role)
    for u, v in enumerate(matching.to_b):
        if v < 0 or u == a.root:
            continue
        names = a.vertices[u].name, b.vertices[v].name
        sizes, others = _values(matching, u, v)
        reads = _reads(matching, u, v) | {
            role: (a.vertices[u].tensors[role], b.vertices[v].tensors[role]) for role in retied.get(u, ())
        }
        for values, changes in ((sizes, resized), (others, changed), (reads, rewired)):
            if values:
                changes.append(Change(*names, values))
    return Diff(
        a.graph, b.graph,
        added=tuple(b.graph[vertex.name] for v, vertex in enumerate(b.vertices) if matching.to_a[v] < 0),
        removed=tuple(a.graph[vertex.name] for u, vertex in enumerate(a.vertices) if matching.to_b[u] < 0),
        resized=tuple(resized), rewired=tuple(rewired), changed=tuple(changed),
        inputs=_inputs(matching), outputs=_outputs(matching), matches=_matches(matching),
    )  # fmt: skip


def _matches(matching: Matching) -> dict[str, str]:
    a, b = matching.a, matching.b
    return {a.vertices[u].name: b.vertices[v].name for u, v in enumerate(matching.to_b) if v >= 0 and u != a.root}


def _values(matching: Matching, u: int, v: int) -> tuple[dict[str, tuple[Any, Any]], dict[str, tuple[Any, Any]]]:
    """What differs between a pair besides what it reads: sizes, and everything else."""
    a, b = matching.a, matching.b
    one, other = a.vertices[u], b.vertices[v]
    assert one.step is not None and other.step is not None
    sizes: dict[str, tuple[Any, Any]] = {}
    others: dict[str, tuple[Any, Any]] = {}
    if one.op != other.op:
        others["op"] = (one.op, other.op)
    else:
        stated = a.sizes(u) | b.sizes(v)
        for name in sorted(matching.pair_cost.attributes(u, v), key=[*one.texts, *other.texts].index):
            old, new = _value(one.step.args, name, one.texts), _value(other.step.args, name, other.texts)
            (sizes if name in stated else others)[name] = (old, new)
    for name, flag, new_flag in zip(("mode", "grad", "autocast"), one.flags, other.flags):
        if flag != new_flag:
            others[name] = (flag, new_flag)
    for role in one.tensors:
        if role in other.tensors:
            was, now = type_of_tensor(a.entry(u, role)), type_of_tensor(b.entry(v, role))
            if was != now:
                others[role] = (_tensor_text(was, now), _tensor_text(now, was))
    return sizes, others


def _value(args: Mapping[str, Any], name: str, texts: Mapping[str, str]) -> Any:
    """An argument as a change shows it: plain data as they are, a weight of the node's own as True, none as False."""
    shown = texts.get(name, "None")
    if "#" in shown or (shown == "None" and name in ("weight", "bias")):
        return shown != "None"
    return args[name] if name in args else shown


def _tensor_text(tensor: tuple[str, str, str], other: tuple[str, str, str]) -> str:
    kind, dtype, sha256 = tensor
    return f"{kind} {dtype}" + (f" {sha256[:8]}" if sha256 and sha256 != other[2] else "")


def _reads(matching: Matching, u: int, v: int) -> dict[str, tuple[Any, Any]]:
    from ..ops import Edge

    def shown(side: Compared, ports: list[Port]) -> Any:
        found = tuple(Edge(side.vertices[source].name, index) for source, index in ports)
        return found[0] if len(found) == 1 else found or None

    return {name: (shown(matching.a, old), shown(matching.b, new)) for name, old, new in matching.rewired(u, v)}


def _shapes(graph: Graph, name: str) -> list[tuple[Any, ...]]:
    return [graph.tensors[key].type.shape for key in graph[name].weights.values()]


# -- arguments and results -------------------------------------------------------------------------------------------------
def _inputs(matching: Matching) -> tuple[str, str] | None:
    """How the network is called, before and after, where more differs than inputs that came or went."""
    a, b = matching.a, matching.b
    pairs = [(u, v) for u, v in enumerate(matching.to_b) if v >= 0 and a.vertices[u].op == "input"]
    if all(a.vertices[u].place == b.vertices[v].place for u, v in pairs):
        return None
    came_or_went = any(
        side.vertices[i].op == "input" and partners[i] < 0
        for side, partners in ((a, matching.to_b), (b, matching.to_a)) for i in range(len(side))
    )  # fmt: skip
    if came_or_went:
        orders = [[name for _, name in argument_places(side.graph.arguments)] for side in (a, b)]
        ours = [matching.to_b[a.number[name]] for name in orders[0] if name in a.number]
        kept = [v for v in ours if v >= 0]
        theirs = [b.number[name] for name in orders[1] if name in b.number and matching.to_a[b.number[name]] >= 0]
        if kept == theirs and all(_form(a.vertices[u].place) == _form(b.vertices[v].place) for u, v in pairs):
            return None
    from .difference_text import arguments_text

    return arguments_text(a.graph), arguments_text(b.graph)


def _form(place: str) -> str:
    """The place of an input without its number."""
    return place.lstrip("0123456789")


def _outputs(matching: Matching) -> tuple[str, str] | None:
    """What comes back, before and after, where that differs."""
    a, b = matching.a, matching.b
    same = a.vertices[a.root].texts == b.vertices[b.root].texts
    if same and not matching.rewired(a.root, b.root):
        return None
    from .difference_text import results_text

    return results_text(a.graph), results_text(b.graph)
