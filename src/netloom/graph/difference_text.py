"""A diff as a table for people: what is whole blocks as blocks, equal changes on one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..ops import DType, Edge
from .blocks import Block
from .node import Node
from .text import Values, node_line

if TYPE_CHECKING:
    from .difference import Change, Diff
    from .graph import Graph

#: (kind, where, what): the columns of the table.
Row = tuple[str, str, str]

_MAX_NAMES = 4
_MAX_ROWS = 24
#: Rows that differ in the value of one attribute alone, from which on they are one.
_MANY_VALUES = 5
_MAX_WHERE = 44
_MAX_VALUE = 60


def table(diff: Diff) -> str:
    """The whole diff: a row for every edit, grouped, and the totals of both graphs below."""
    rows = list(edit_rows(diff))
    total_rows = totals(diff) if diff else []
    if not diff:
        rows.append(("same", "", "the two graphs are the same computation"))
    width = min(max((len(where) for _, where, _ in rows), default=0), _MAX_WHERE)
    first = max(len(row[0]) for row in (*rows, *total_rows)) + 2
    lines, previous = [], ""
    for kind, where, what in _capped(rows):
        shown = "" if kind == previous else kind
        previous = kind
        lines.append(f"{shown:{first}}{where:{width}}{'  ' if width else ''}{what}".rstrip())
    between = max((len(change) for _, change, _ in total_rows), default=0)
    lines += [f"{name:{first}}{change:{between}}  {more}".rstrip() for name, change, more in total_rows]
    return "\n".join(lines)


def _capped(rows: Sequence[Row]) -> Iterator[Row]:
    """The first rows of every kind, and how many more there are."""
    counts = Counter(kind for kind, _, _ in rows)
    seen: Counter[str] = Counter()
    for row in rows:
        kind = row[0]
        seen[kind] += 1
        if seen[kind] < _MAX_ROWS or counts[kind] <= _MAX_ROWS:
            yield row
        elif seen[kind] == counts[kind]:
            yield kind, "", f"… and {counts[kind] - _MAX_ROWS + 1} rows more"


def edit_rows(diff: Diff) -> Iterator[Row]:
    """One row for each edit, or for several that are one to a person."""
    yield from (("added", *row) for row in _units(diff.b, diff.added, "+"))
    yield from (("removed", *row) for row in _units(diff.a, diff.removed, "−"))
    yield from _grouped("resized", diff.resized)
    if diff.resized and diff.followers:
        yield "resized", "", f"with them {names(diff.followers, 3)}"
    yield from _grouped("changed", diff.changed)
    for change in diff.rewired:
        yield "rewired", change.name, ", ".join(_operand(diff, change, key) for key in change.values)
    for kind, pair in (("inputs", diff.inputs), ("outputs", diff.outputs)):
        if pair is not None:
            yield kind, "", f"{_cut(pair[0])} → {_cut(pair[1])}"
    renamed = diff.renamed
    if renamed:
        shown = ", ".join(f"{old} → {new}" for old, new in list(renamed.items())[:2])
        yield "renamed", "", f"{plural(len(renamed), 'node')}: {shown}{', …' if len(renamed) > 2 else ''}"


# -- added and removed -----------------------------------------------------------------------------------------------------
def _units(graph: Graph, nodes: Sequence[Node], sign: str) -> Iterator[tuple[str, str]]:
    """(where, what) of nodes, whole blocks first: instances of one repeat together, then runs of what is no block."""
    found: list[tuple[str, str, str]] = []
    loose: list[Node] = []
    place = {step.name: i for i, step in enumerate(graph.steps)}
    for parent, blocks in whole_blocks(graph, {node.name for node in nodes}):
        first = blocks[0]
        if first.kind == "node" and parent is None:
            node = graph[first.steps[0].name]
            if loose and place[node.name] != place[loose[-1].name] + 1:
                found += _loose(loose, sign)
                loose = []
            loose.append(node)
            continue
        found += _loose(loose, sign)
        loose = []
        of = operators(first)
        if parent is not None:
            where = parent.prefix or f"×{parent.count} {of}"
            within = [part.prefix for part in blocks if part.prefix and part.prefix != parent.prefix]
            found.append((where, f"{sign}{plural(len(blocks), 'block')}", f"{of}  ({names(within)})" if within else of))
        else:
            times = f"×{first.count} " if first.kind == "repeat" else ""
            found.append((first.prefix or span(first), f"{sign}{plural(len(first.steps), 'node')}", times + of))
    found += _loose(loose, sign)
    width = max((len(count) for _, count, _ in found if len(count) < 14), default=0)
    for where, count, of in found:
        yield where, f"{count:{width}}  {of}".strip()


def _loose(nodes: Sequence[Node], sign: str) -> list[tuple[str, str, str]]:
    """Single nodes in order of execution, from three on as a run."""
    if len(nodes) < 3:
        return [(node.name, f"{sign}1 node", _placed(node)) for node in nodes]
    shown = chain([short(node.op) for node in nodes])
    return [(f"{nodes[0].name} … {nodes[-1].name.rpartition('.')[2]}", f"{sign}{len(nodes)} nodes", shown)]


def span(block: Block) -> str:
    """The first and the last node of a block."""
    return f"{block.steps[0].name} … {block.steps[-1].name}"


def whole_blocks(graph: Graph, chosen: set[str]) -> Iterator[tuple[Block | None, list[Block]]]:
    """The largest blocks all of whose nodes are among ``chosen``, in order; instances of a repeat with that repeat."""
    yield from _whole(graph.blocks(), chosen)


def _whole(block: Block, chosen: set[str]) -> Iterator[tuple[Block | None, list[Block]]]:
    steps = {step.name for step in block.steps}
    if not steps & chosen:
        return
    if steps <= chosen and (block.kind == "node" or block.prefix or block.kind == "repeat" or len(steps) < len(block.graph)):
        yield None, [block]
        return
    if block.kind == "repeat":
        inside = [part for part in block.parts if {step.name for step in part.steps} <= chosen]
        if inside:
            yield block, inside
        for part in block.parts:
            if part not in inside:
                yield from _whole(part, chosen)
        return
    for part in block.parts:
        yield from _whole(part, chosen)


def operators(block: Block) -> str:
    """The operators of a block in order, in short."""
    from .block_labels import operators as shown

    return shown(block)


def _placed(node: Node) -> str:
    """A node as its line in the notation, with what reads it."""
    call = node_line(node).partition(" = ")[2]
    readers = [reader.name for reader in node.outputs]
    return _cut(call) + (f", read by {names(readers)}" if readers else "")


# -- changes ---------------------------------------------------------------------------------------------------------------
def _grouped(kind: str, changes: Sequence[Change]) -> Iterator[Row]:
    """Nodes that change alike on one row."""
    alike: dict[str, list[str]] = {}
    for change in changes:
        alike.setdefault(", ".join(value_text(name, pair) for name, pair in change.values.items()), []).append(change.name)
    for what, where in _by_attribute(changes, alike) if kind == "changed" else alike.items():
        shown = names(where)
        if len(shown) > _MAX_WHERE:
            shown = names(where, 1)
        yield kind, shown, what


def _by_attribute(changes: Sequence[Change], alike: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    """The rows of ``alike``, those that give many values to one attribute (rates that fall with depth) as one row."""
    rows: dict[tuple[str, ...], dict[str, None]] = {}
    found = {change.name: tuple(change.values) for change in changes}
    for what, where in alike.items():
        rows.setdefault(found[where[0]], {})[what] = None
    shown = []
    for keys, texts in rows.items():
        if len(texts) < _MANY_VALUES or "op" in keys:
            shown += [(text, alike[text]) for text in texts]
        else:
            first, *_, last = texts
            shown.append((f"{first}, …, {last}", [name for text in texts for name in alike[text]]))
    return shown


def value_text(name: str, pair: tuple[Any, Any]) -> str:
    """``kernel 3 → 5``; an operator and flags without their label."""
    old, new = map(_shown, pair)
    if name == "mode":
        old, new = old or "both modes", new or "both modes"
    return f"{old} → {new}" if name == "op" else f"{name} {old or '–'} → {new or '–'}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, DType):
        return value.name
    if isinstance(value, tuple) and value and all(type(v) is int and v == value[0] for v in value) and len(value) < 4:
        return str(value[0])
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple):
        return _cut("(" + ", ".join(map(_shown, value)) + ("," if len(value) == 1 else "") + ")")
    return _cut(str(value))


def _operand(diff: Diff, change: Change, key: str) -> str:
    old, new = change.values[key]
    if isinstance(old, str) or isinstance(new, str):
        return f"{key}: {_sharing(diff.a, change.before, old)} → {_sharing(diff.b, change.after, new)}"
    return f"{key}: {_edges(old)} → {_edges(new)}"


def _edges(value: Any) -> str:
    if isinstance(value, Edge):
        return f"{value.node}[{value.index}]" if value.index else value.node
    if isinstance(value, tuple):
        return ", ".join(map(_edges, value))
    return "none" if value is None else _shown(value)


def _sharing(graph: Graph, name: str, key: str) -> str:
    """Who else uses a tensor."""
    others = [node.name for node in graph.nodes if node.name != name and key in node.weights.values()]
    return f"shared with {names(others)}" if others else "its own"


# -- totals ------------------------------------------------------------------------------------------------------------------
def totals(diff: Diff) -> list[Row]:
    """Nodes, parameters and FLOPs before and after, those that differ."""
    found = []
    for name, old, new in (
        ("nodes", len(diff.a), len(diff.b)),
        ("parameters", diff.a.num_params, diff.b.num_params),
        ("FLOPs", diff.a.flops, diff.b.flops),
    ):
        if old != new:
            sign = "+" if new > old else "−"
            found.append((name, f"{count_text(old)} → {count_text(new)}", f"{sign}{count_text(abs(new - old))}"))
    return found


def count_text(count: int) -> str:
    """A large number in short: ``11.7M``.

    >>> count_text(11_689_512), count_text(999), count_text(1_814_083_944)
    ('11.7M', '999', '1.81G')
    """
    if count < 1000:
        return str(count)
    for unit in "KMGT":
        count_in_unit = count / 1000 ** ("KMGT".index(unit) + 1)
        if count_in_unit < 999.5 or unit == "T":
            return f"{count_in_unit:.3g}{unit}"
    return str(count)


def plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def names(found: Sequence[str], limit: int = _MAX_NAMES) -> str:
    """The first few names.

    >>> names(["a", "b", "c", "d", "e", "f"])
    'a, b, c and 3 more'
    """
    if len(found) <= limit:
        return ", ".join(found)
    shown = found[: max(1, limit - 1)]
    return f"{', '.join(shown)} and {len(found) - len(shown)} more"


def short(op: str) -> str:
    """An operator in short: ``conv``, ``bn``."""
    return {"batch_norm": "bn", "layer_norm": "ln"}.get(op, op[:-2] if op[-2:] in ("1d", "2d", "3d") else op)


def chain(ops: Sequence[str]) -> str:
    """Operators in order; of many, the first and the last."""
    return "–".join(ops) if len(ops) < 12 else f"{'–'.join(ops[:5])}–…–{ops[-1]}"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 1] + "…"


def arguments_text(graph: Graph) -> str:
    """What the network takes, as in the textual notation."""
    values = Values(graph)
    shown = []
    for argument in graph.arguments:
        tree = values.text(argument.tree)
        shown.append(f"{argument.name}={tree}" if argument.keyword else tree)
    return ", ".join(shown)


def results_text(graph: Graph) -> str:
    """What comes back, as in the textual notation."""
    values = Values(graph)
    shown = values.text(graph.result)
    return shown if graph.train_result is None else f"{shown}, in training {values.text(graph.train_result)}"


def plain(values: Mapping[str, tuple[Any, Any]]) -> dict[str, list[str]]:
    """The values of a change as texts."""
    return {name: [_edges(old), _edges(new)] for name, (old, new) in values.items()}
