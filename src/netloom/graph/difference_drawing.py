"""Both graphs of a diff in one picture: what is new, what is gone, what has changed; what is the same folded away."""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..ops import Edge
from .blocks import Block
from .difference_text import chain, count_text, operators, plural, short, table, value_text
from .drawing.picture import write_scene
from .drawing.scene import Box, Diagram, Line, Row, Scene
from .drawing.svg import render
from .drawing.wording import facts, output_names, row, shape_text
from .tree import edges

if TYPE_CHECKING:
    from .difference import Diff
    from .graph import Graph, Step

#: From this many nodes that are the same on, side by side, they become one box.
_MANY_SAME = 5
#: Rows in one box, and characters of what has changed.
_MAX_STACK, _MAX_DETAIL = 8, 46
#: From this many nodes on, repeats whose instances change alike are one box.
_LARGE = 60


def draw(
    diff: Diff, path: str | os.PathLike[str], *, direction: str = "down", theme: str | None = None, node_size: float = 1.0,
    title: str = "",
) -> Path:  # fmt: skip
    """Write the picture of a diff; see `Diff.draw`."""
    scene = replace(_Overlay(diff).scene(str(path).endswith(".html")), title=title)
    return write_scene(scene, {}, path, direction=direction, theme=theme, node_size=node_size)


def notebook_html(diff: Diff) -> str:
    """What a notebook shows of a diff: the table and the picture."""
    return f"<pre>{html.escape(table(diff))}</pre>\n{render(compose(diff), {})}"


def notebook_svg(diff: Diff) -> str:
    """The picture alone."""
    return render(compose(diff), {})


def compose(diff: Diff) -> Scene:
    """The scene of a diff: boxes in the order of execution of ``b``, what is gone where it was in ``a``."""
    return _Overlay(diff).scene()


@dataclass(slots=True)
class _Unit:
    """What becomes one box: nodes of ``b``, or of ``a`` where ``role`` is "removed"."""

    role: str
    steps: list[Step]
    blocks: list[Block] = field(default_factory=list)
    parent: Block | None = None
    #: Of whole blocks that change alike: how.
    words: str = ""


class _Overlay:
    def __init__(self, diff: Diff) -> None:
        self.diff = diff
        self.added = {node.name for node in diff.added}
        self.removed = {node.name for node in diff.removed}
        self.words: dict[str, list[str]] = {}
        for change in (*diff.changed, *diff.resized):
            self.words.setdefault(change.after, []).extend(value_text(*item) for item in change.values.items())
        for change in diff.rewired:
            self.words.setdefault(change.after, []).append(f"{', '.join(change.values)} rewired")
        self.images = dict(diff.matches)
        #: Nodes of ``b`` after which something is gone.
        self.breaks = self.borders()

    def borders(self) -> set[str]:
        found: set[str] = set()
        last = ""
        for step in self.diff.a.steps:
            if step.name in self.removed:
                found.add(last)
            else:
                last = self.images.get(step.name, last)
        return found

    def scene(self, with_facts: bool = False) -> Scene:
        diff = self.diff
        units = self.merged()
        unit_of = {step.name: i for i, unit in enumerate(units) if unit.role != "removed" for step in unit.steps}
        gone = {step.name: i for i, unit in enumerate(units) if unit.role == "removed" for step in unit.steps}
        boxes = [self.box(unit, f"u{i}") for i, unit in enumerate(units)]
        lines = self.lines(unit_of, gone, units)
        role = "changed" if diff.outputs is not None else "same"
        for name, edge in output_names(diff.b):
            boxes.append(Box(f"out{len(boxes)}", (Row(name, shape_text(diff.b.type_of(edge)), "input", role=role),)))
            lines.append(Line(unit_of[edge.node], (len(boxes) - 1,)))
        pairs = [
            (len(diff.a), len(diff.b), "nodes"), (diff.a.num_params, diff.b.num_params, "parameters"),
            (diff.a.flops, diff.b.flops, "FLOPs for one sample"),
        ]  # fmt: skip
        shown = [
            f"{count_text(old)} → {count_text(new)} {what}" if old != new else f"{count_text(new)} {what}"
            for old, new, what in pairs if new or old
        ]  # fmt: skip
        found = {step.name: facts(diff.b, step) for step in diff.b.steps} if with_facts else None
        if found is not None:
            found |= {_gone(node.name): facts(diff.a, node.step) for node in diff.removed}
        return Scene(Diagram(tuple(boxes), tuple(lines)), subtitle=" · ".join(shown), facts=found)

    # -- units -----------------------------------------------------------------------------------------------------
    def merged(self) -> list[_Unit]:
        """The units of ``b`` with those that are gone after what came before them."""
        units = list(self.joined(self.diff.b, self.walk(self.diff.b.blocks(), None, self.role)))
        place = {step.name: i for i, unit in enumerate(units) for step in unit.steps}
        after: dict[int, list[_Unit]] = {}
        order = {step.name: i for i, step in enumerate(self.diff.a.steps)}
        for unit in self.joined(self.diff.a, self.walk(self.diff.a.blocks(), None, self.role_before)):
            if unit.role != "removed":
                continue
            first = order[unit.steps[0].name]
            before = (self.images[s.name] for s in self.diff.a.steps[:first] if s.name in self.images)
            last = max((place[name] for name in before if name in place), default=-1)
            after.setdefault(last, []).append(unit)
        return [*after.get(-1, ()), *(u for i, unit in enumerate(units) for u in (unit, *after.get(i, ())))]

    def role(self, step: Step) -> str:
        return "added" if step.name in self.added else "changed" if step.name in self.words else "same"

    def role_before(self, step: Step) -> str:
        return "removed" if step.name in self.removed else "same"

    def walk(self, block: Block, parent: Block | None, role_of: Callable[[Step], str]) -> Iterator[_Unit]:
        """The largest blocks of one role, and single nodes."""
        roles = {role_of(step) for step in block.steps}
        whole = len(roles) == 1 and roles != {"changed"} and parent is not None
        # What is gone stands between what came before it and what comes after it.
        whole = whole and (role_of != self.role or self.breaks.isdisjoint(step.name for step in block.steps[:-1]))
        if block.kind == "group" and parent is not None and parent.kind != "repeat" and not block.prefix:
            # Loose nodes between blocks: a few are shown as they are.
            whole = whole and len(block.steps) > _MAX_STACK
        if block.kind == "node" or whole:
            yield _Unit(role_of(block.steps[0]), list(block.steps), [block], parent)
            return
        parts = self.alike(block) if block.kind == "repeat" and role_of == self.role else block.parts
        for part in parts:
            if isinstance(part, _Unit):
                yield part
            else:
                yield from self.walk(part, block, role_of)

    def alike(self, repeat: Block) -> Iterator[_Unit | Block]:
        """The instances of a repeat; those that change without coming or going, of large graphs, as units."""
        for part in repeat.parts:
            roles = {self.role(step) for step in part.steps}
            small = len(self.diff.b) < _LARGE or part.kind == "node"
            if small or "added" in roles or roles == {"same"} or not self.breaks.isdisjoint(s.name for s in part.steps):
                yield part
                continue
            words = dict.fromkeys(word for step in part.steps for word in self.words.get(step.name, ()))
            yield _Unit("changed", list(part.steps), [part], repeat, ", ".join(words))

    def joined(self, graph: Graph, units: Iterator[_Unit]) -> Iterator[_Unit]:
        """Units of one role side by side as one: instances of a repeat, runs of nodes."""
        current: _Unit | None = None
        for unit in units:
            broken = current is not None and graph is self.diff.b and current.steps[-1].name in self.breaks
            if current is not None and not broken and _goes_on(graph, current, unit):
                current.steps += unit.steps
                current.blocks += unit.blocks
                continue
            if current is not None:
                yield current
            current = unit
        if current is not None:
            yield current

    # -- boxes -------------------------------------------------------------------------------------------------------
    def box(self, unit: _Unit, key: str) -> Box:
        graph = self.diff.a if unit.role == "removed" else self.diff.b
        if all(block.kind == "node" for block in unit.blocks) and (unit.role != "same" or len(unit.steps) < _MANY_SAME):
            return Box(key, tuple(self.row(graph, step, unit.role) for step in unit.steps))
        first = unit.blocks[0]
        if unit.words:
            title = _between(first, unit.blocks[-1]) if len(unit.blocks) > 1 else first.prefix
            return Box(key, (), title or operators(first), _cut(unit.words), len(unit.blocks), role="changed")
        ops = chain([short(step.op) for step in unit.steps])
        if first.kind == "node":
            return Box(key, (), plural(len(unit.steps), "node"), ops, role=unit.role)
        if unit.parent is not None and unit.parent.kind == "repeat" and len(unit.blocks) > 1:
            title = _between(first, unit.blocks[-1]) or _body(first)
            return Box(key, (), title, _body(first) if first.prefix else "", len(unit.blocks), role=unit.role)
        count = first.count
        return Box(key, (), first.prefix or plural(len(unit.steps), "node"), _body(first), count, role=unit.role)

    def row(self, graph: Graph, step: Step, role: str) -> Row:
        made = row(graph, step)
        words = ", ".join(self.words.get(step.name, ())) if role == "changed" else ""
        detail = _cut(words)
        nodes = (_gone(step.name),) if role == "removed" else made.nodes
        return replace(made, role=role, detail=detail or made.detail, nodes=nodes)

    # -- lines -------------------------------------------------------------------------------------------------------
    def lines(self, unit_of: dict[str, int], gone: dict[str, int], units: Sequence[_Unit]) -> list[Line]:
        found: dict[tuple[int, str, Edge], dict[int, None]] = {}

        def connect(source: int, target: int, role: str, edge: Edge) -> None:
            if source != target:
                found.setdefault((source, role, edge), {})[target] = None

        fresh = {(c.after, edge) for c in self.diff.rewired for _, new in c.values.values() for edge in _edges(new)}
        for step in self.diff.b.steps:
            for edge in edges(tuple(step.args.values())):
                added = step.name in self.added or edge.node in self.added or (step.name, edge) in fresh
                connect(unit_of[edge.node], unit_of[step.name], "added" if added else "", edge)
        before = gone | {old: unit_of[new] for old, new in self.images.items()}
        stale = {(c.before, edge) for c in self.diff.rewired for old, _ in c.values.values() for edge in _edges(old)}
        for step in self.diff.a.steps:
            for edge in edges(tuple(step.args.values())):
                removed = step.name in self.removed or edge.node in self.removed or (step.name, edge) in stale
                if removed and edge.node in before and step.name in before:
                    connect(before[edge.node], before[step.name], "removed", edge)
        grouped: dict[tuple[int, tuple[int, ...], str], None] = {}
        for (source, role, _), targets in found.items():
            grouped[source, tuple(targets), role] = None
        return [Line(source, targets, "", role) for source, targets, role in grouped]


def _goes_on(graph: Graph, unit: _Unit, other: _Unit) -> bool:
    """Whether one unit of a graph goes on with another: instances of one repeat, links of a chain of nodes."""
    if unit.role != other.role or unit.parent is not other.parent or unit.steps[0].op == "input":
        return False
    if unit.words or other.words:
        return unit.words == other.words
    if unit.parent is not None and unit.parent.kind == "repeat":
        return True
    if unit.blocks[0].kind != "node" or other.blocks[0].kind != "node":
        return False
    chained = edges(tuple(other.steps[0].args.values())) == [Edge(unit.steps[-1].name)]
    alone = graph.consumers[unit.steps[-1].name] == (other.steps[0].name,)
    return chained and alone and len(unit.steps) < (99 if unit.role == "same" else _MAX_STACK)


def _body(block: Block) -> str:
    """What a block is made of; of a repeat, one instance."""
    return _cut(operators(block))


def _between(first: Block, last: Block) -> str:
    """The module paths of the first and the last of several blocks, what both share said once."""
    if not first.prefix:
        return ""
    end = last.prefix.rpartition(".")[2]
    return f"{first.prefix} … {'.'.join(last.prefix.split('.')[-2:]) if end.isdigit() else end}"


def _gone(name: str) -> str:
    """What the page calls a node that is gone: ``b`` may have another one of its name."""
    return f"{name} (removed)"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_DETAIL else text[: _MAX_DETAIL - 1] + "…"


def _edges(value: object) -> list[Edge]:
    return edges(value) if not isinstance(value, str) else []
