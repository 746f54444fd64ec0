"""A graph as a scene: its parts as boxes, its values as lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...ops import Edge
from ..graph import Graph
from ..tree import edges
from .lettering import shorten
from .outline import Part, num_layers, outline
from .scene import Box, Diagram, Line, Row, Scene
from .wording import count_text, facts, output_names, row, shape_text, summary_text

#: Rows of a stack, and characters of one row of small operators.
_MAX_STACK, _MAX_QUIET, _TITLE = 8, 34, 40
#: Kinds of operators that may follow another one in a stack.
_FOLLOWERS = {"norm", "activation", "shape", "math"}


def compose(graph: Graph, *, flat: bool = False, with_facts: bool = False) -> Scene:
    """The scene of a graph; ``flat`` without repeats, ``with_facts`` with what the page shows of each node."""
    return _Composer(graph, flat).scene(with_facts)


@dataclass(slots=True)
class _Unit:
    """What becomes one box: a part, or several nodes in a stack."""

    parts: list[Part]
    rows: list[Row]


class _Composer:
    def __init__(self, graph: Graph, flat: bool) -> None:
        self.graph, self.flat = graph, flat
        self.index = {step.name: i for i, step in enumerate(graph.steps)}
        self.reads = [tuple(dict.fromkeys(edges(tuple(step.args.values())))) for step in graph.steps]
        self.returned = {edge for _, edge in output_names(graph)}
        self.readers: dict[Edge, list[int]] = {}
        for i, read in enumerate(self.reads):
            for edge in read:
                self.readers.setdefault(edge, []).append(i)

    def scene(self, with_facts: bool) -> Scene:
        graph = self.graph
        diagram = self._with_outputs(outline(graph, self.flat))
        num_nodes = sum(step.op != "input" for step in graph.steps)
        subtitle = [f"{num_nodes:,} node{'s' * (num_nodes != 1)}", f"{count_text(graph.num_params)} parameters"]
        if graph.flops:
            subtitle.append(f"{count_text(graph.flops)} FLOPs for one sample")
        found = {step.name: facts(graph, step) for step in graph.steps} if with_facts else None
        return Scene(diagram, subtitle=" · ".join(subtitle), facts=found)

    def _with_outputs(self, parts: Sequence[Part]) -> Diagram:
        """The outermost diagram, with a box for each value that the network returns."""
        named: dict[Edge, list[str]] = {}
        for name, edge in output_names(self.graph):
            named.setdefault(edge, []).append(name)
        diagram = self.diagram(parts, [], [{edge} for edge in named], "")
        count, boxes = len(diagram.boxes), list(diagram.boxes)
        for i, (edge, names) in enumerate(named.items()):
            title = ", ".join(names) if len(names) < 4 else f"{len(names)} outputs"
            boxes.append(Box(f"out{i}", (Row(title, shape_text(self.graph.type_of(edge)), "input"),)))
        # The exits are the first vertices after the boxes, and so are the boxes that take their place.
        assert all(target < count + len(named) for line in diagram.lines for target in line.targets)
        return Diagram(tuple(boxes), diagram.lines)

    # -- a diagram -------------------------------------------------------------------------------------------------
    def diagram(
        self, parts: Sequence[Part], entries: Sequence[set[Edge]], exits: Sequence[set[Edge]], key: str,
        outside: Sequence[tuple[int, ...]] = ((), ()), path: str = "",
    ) -> Diagram:  # fmt: skip
        """Parts side by side. ``entries`` and ``exits`` give the values of each line that arrives or leaves, ``outside`` the
        indices of those lines in the diagram around this one."""
        leaving = set().union(*exits) if exits else set()
        units = self.stacked(parts, leaving)
        owner = {i: n for n, unit in enumerate(units) for part in unit.parts for i in range(part.start, part.stop)}
        read_by: dict[Edge, dict[int, None]] = {}
        for i, unit in enumerate(units):
            for edge in self.read_from_outside(unit):
                read_by.setdefault(edge, {})[i] = None
        count = len(units)
        for i, values in enumerate(exits):
            for edge in sorted(values):
                read_by.setdefault(edge, {})[count + len(entries) + i] = None
        entry_of = {edge: count + i for i, values in reversed(list(enumerate(entries))) for edge in values}
        groups: dict[tuple[int, tuple[int, ...]], list[Edge]] = {}
        for edge, targets in read_by.items():
            if edge in entry_of:
                source = entry_of[edge]
            elif self.index[edge.node] in owner:
                source = owner[self.index[edge.node]]
            else:
                continue
            found = tuple(target for target in targets if target != source)
            if found:
                groups.setdefault((source, found), []).append(edge)
        values_of = list(groups.values())
        inputs = {i: self.first_input(unit) for i, unit in enumerate(units)}
        lines = tuple(
            Line(source, targets, self.label(values, inputs.get(source), all(t >= count for t in targets) and bool(key)))
            for (source, targets), values in groups.items()
        )
        boxes = tuple(self.box(unit, f"{key}{i}", i, lines, values_of, path) for i, unit in enumerate(units))
        return Diagram(boxes, lines, *map(tuple, outside))

    def read_from_outside(self, unit: _Unit) -> list[Edge]:
        """The values that a unit reads and does not make, in order of use."""
        read = (edge for part in unit.parts for i in range(part.start, part.stop) for edge in self.reads[i])
        spans = [(part.start, part.stop) for part in unit.parts]
        at = self.index
        return list(dict.fromkeys(e for e in read if not any(start <= at[e.node] < stop for start, stop in spans)))

    def first_input(self, unit: _Unit) -> str | None:
        """The shape that a unit's first operand has, so that only changes are labelled."""
        read = self.read_from_outside(unit)
        return shape_text(self.graph.type_of(read[0])) if read else None

    def label(self, values: list[Edge], before: str | None, leaves_only: bool) -> str:
        if leaves_only or self.graph.steps[self.index[values[0].node]].op in ("input", "parameter", "constant"):
            return ""
        shapes = list(dict.fromkeys(shape_text(self.graph.type_of(edge)) for edge in values))
        if len(shapes) > 1:
            return f"{len(values)} values"
        if len(values) > 1:
            return f"{len(values)} of {shapes[0]}"
        return shapes[0] if shapes[0] != before else ""

    # -- boxes -----------------------------------------------------------------------------------------------------
    def box(self, unit: _Unit, key: str, number: int, lines: Sequence[Line], values_of: Sequence[list[Edge]], path: str) -> Box:
        part = unit.parts[0]
        if part.kind == "node":
            return Box(key, tuple(unit.rows))
        arriving = [i for i, line in enumerate(lines) if number in line.targets]
        leaving = [i for i, line in enumerate(lines) if line.source == number]
        entries, exits = [set(values_of[i]) for i in arriving], [set(values_of[i]) for i in leaving]
        outside = (tuple(arriving), tuple(leaving))
        if part.kind == "repeat":
            # The one with most layers shows what only some have (a shortcut's convolution); of equals the plainest.
            shown = max(part.parts, key=lambda p: (num_layers(self.graph, p), p.start - p.stop, p.start))
            ins, outs = self.ends_of_instance(part, shown, entries, exits)
            views: tuple[Diagram, ...] = (
                self.diagram(shown.parts, ins, outs, f"{key}/", outside, shown.title),
                self.diagram(part.parts, entries, exits, f"{key}:", outside, _around(part.title)),
            )
        else:
            views = (self.diagram(part.parts, entries, exits, f"{key}/", outside, part.title),)
        summary = self.summary(part)
        count = len(part.parts) if part.kind == "repeat" else 1
        title = shorten(_relative(part.title, path), _TITLE)
        plain = num_layers(self.graph, part) == 0
        return Box(key, (), title, summary, count, part.differ, plain, "", views)

    def ends_of_instance(
        self, repeat: Part, shown: Part, entries: list[set[Edge]], exits: list[set[Edge]]
    ) -> tuple[list[set[Edge]], list[set[Edge]]]:
        """What the lines at a repeat carry into and out of the one instance that is drawn for all.

        What the instance reads from the one before arrives by the lines that it does not read itself.
        """
        unit = _Unit([shown], [])
        read = set(self.read_from_outside(unit))
        ins = [values & read for values in entries]
        carried = sorted(read.difference(*ins) if ins else read, key=lambda e: (self.index[e.node], e.index))
        unread = [i for i, values in enumerate(ins) if not values] or ([0] if ins else [])
        for i, edge in enumerate(carried):
            if unread:
                ins[unread[min(i, len(unread) - 1)]].add(edge)
        made = [e for e in self.readers if shown.start <= self.index[e.node] < shown.stop]
        made += [e for e in self.returned if e not in self.readers and shown.start <= self.index[e.node] < shown.stop]
        out = {e for e in made if e in self.returned or any(not shown.start <= i < shown.stop for i in self.readers[e])}
        outs = [values & out for values in exits]
        rest = out.difference(*outs) if outs else out
        for values in outs:
            if not values:
                values |= rest or out
        return ins, outs

    def summary(self, part: Part) -> str:
        steps = self.graph.steps[part.start : part.stop]
        keys: set[str] = set()
        flops = 0
        for step in steps:
            node = self.graph[step.name]
            keys |= {k for k in node.weights.values() if self.graph.tensors[k].kind == "parameter"}
            flops += node.flops if step.mode != "train" else 0
        return summary_text(sum(self.graph.tensors[k].type.numel for k in keys), flops)

    # -- stacks ----------------------------------------------------------------------------------------------------
    def stacked(self, parts: Sequence[Part], leaving: set[Edge]) -> list[_Unit]:
        """The parts as units: chains such as convolution, norm, activation are one."""
        units: list[_Unit] = []
        unit_of: dict[Edge, _Unit] = {}
        for part in parts:
            made: list[Row] = []
            if part.kind == "node":
                step = self.graph.steps[part.start]
                made = [row(self.graph, step)]
                before = unit_of.get(self.reads[part.start][0]) if len(self.reads[part.start]) == 1 else None
                if before is not None and self._continues(before, part, made[0], leaving):
                    before.parts.append(part)
                    before.rows = _added(before.rows, made[0])
                    unit_of[Edge(step.name)] = before
                    continue
            units.append(_Unit([part], made))
            if part.kind == "node":
                unit_of[Edge(self.graph.steps[part.start].name)] = units[-1]
        return units

    def _continues(self, unit: _Unit, part: Part, made: Row, leaving: set[Edge]) -> bool:
        """Whether a node goes under the last one of a stack: it alone reads that one, and belongs to it."""
        name = self.graph.steps[unit.parts[-1].start].name
        results = [Edge(name, i) for i in range(len(self.graph.types(name)))]
        if len(unit.rows) >= _MAX_STACK or unit.rows[0].kind == "input" or self.reads[part.start] != (results[0],):
            return False
        if any(edge in leaving or any(i != part.start for i in self.readers.get(edge, ())) for edge in results):
            return False
        if made.kind == "conv":
            return unit.rows[0].kind == "norm" and all(r.kind in ("norm", "activation") or r.quiet for r in unit.rows)
        if unit.rows[0].kind == "norm" and any(r.kind == "conv" for r in unit.rows):
            return made.quiet
        return made.kind in _FOLLOWERS


def _relative(title: str, path: str) -> str:
    """A module's path inside the one around it, from the last word on: a number alone says nothing (``layer.0``)."""
    if not path or not title.startswith(f"{path}."):
        return title
    names, start = title.split("."), path.count(".") + 1
    while start and names[start][0].isdigit():
        start -= 1
    return ".".join(names[start:])


def _around(title: str) -> str:
    """The path around several siblings: ``blocks`` for ``blocks.1…5``."""
    return title.rpartition(".")[0] if "…" in title else title


def _added(rows: list[Row], new: Row) -> list[Row]:
    """Rows with one more; small ones share a row while there is room."""
    last = rows[-1]
    if new.quiet and last.quiet and new.role == last.role:
        words = last.title.split(" · ")
        title = last.title if words[-1] == new.title else f"{last.title} · {new.title}"
        if len(title) <= _MAX_QUIET:
            return [*rows[:-1], replace(last, title=title, detail="", nodes=(*last.nodes, *new.nodes))]
    return [*rows, new]
