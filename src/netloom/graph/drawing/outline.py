"""The hierarchy that a picture shows: modules by the paths in the names of nodes, repeats where siblings are alike.

Names come first because people know a model by them; what names do not tell (graphs of the builder, loops inside a
module) is folded by structure, as `Graph.blocks` finds it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

from ...ops import operator
from ..blocks import Block
from ..graph import Graph, Step
from ..step import module_path
from .theme import kind_of

#: Repeats of fewer nodes than this an instance are drawn as they are, unless they take this many nodes in all.
_MIN_REPEATED, _LONG = 3, 24
#: Unnamed steps in a row that compute nothing heavy and are folded into one box.
_MIN_CLUTTER = 7
#: Modules of at most this many steps have no box of their own.
_MAX_DISSOLVED = 3
#: Parts side by side above which they are put into boxes, for want of any structure.
_MAX_PARTS = 300
#: Share of layers that two siblings must have in common to be instances of one repeat.
_ALIKE = 0.6
_HEAVY = {"conv", "linear", "attention", "recurrent", "norm", "input"}


def num_layers(graph: Graph, part: Part) -> int:
    """Number of steps of a part that compute something."""
    return sum(map(_heavy, graph.steps[part.start : part.stop]))


@dataclass(frozen=True, slots=True)
class Part:
    """The steps ``start`` to ``stop`` of a graph: a ``"node"``, a ``"group"`` of parts, or a ``"repeat"`` of parts alike.

    ``differ`` says that the instances of a repeat are not all equal.
    """

    kind: str
    title: str
    start: int
    stop: int
    parts: tuple[Part, ...] = ()
    differ: bool = False


def outline(graph: Graph, flat: bool = False) -> tuple[Part, ...]:
    """The parts of a whole graph, in order of execution; ``flat`` folds nothing that its names do not fold."""
    return _Reader(graph, flat).parts(0, len(graph.steps), 0)


class _Reader:
    def __init__(self, graph: Graph, flat: bool) -> None:
        self.graph, self.flat = graph, flat
        self.paths = [tuple(module_path(step.name).split(".")) for step in graph.steps]

    def parts(self, start: int, stop: int, depth: int) -> tuple[Part, ...]:
        """The parts of a run of steps whose first ``depth`` names agree."""
        found: list[Part] = []
        at = start
        while at < stop:
            end = at + 1
            if len(self.paths[at]) > depth + 1:
                while end < stop and len(self.paths[end]) > depth + 1 and self.paths[end][depth] == self.paths[at][depth]:
                    end += 1
            if end - at > _MAX_DISSOLVED:
                found.append(self.group(at, end, depth + 1))
            else:
                found += [self.node(i) for i in range(at, end)]
            at = end
        if self.flat:
            return tuple(found)
        unnamed = depth == 0 and all(part.kind == "node" for part in found)
        if depth and all(part.kind == "node" for part in found):
            repeats = _repeats_within(self.graph.blocks(), start, stop) if len(found) >= _LONG else []
            return tuple(self.loose(found, True) if any(len(repeat) >= _LONG for repeat in repeats) else found)
        return tuple(self.in_runs(self.folded(self.with_repeats(found), unnamed)))

    def node(self, index: int) -> Part:
        return Part("node", self.graph.steps[index].name, index, index + 1)

    def group(self, start: int, stop: int, depth: int) -> Part:
        """The steps of one module; a single part inside takes its place."""
        parts = self.parts(start, stop, depth)
        title = ".".join(self.paths[start][:depth])
        if len(parts) == 1:
            only = parts[0]
            if only.kind == "repeat":
                return Part("repeat", title, start, stop, only.parts, only.differ)
            return only
        return Part("group", title, start, stop, parts)

    def with_repeats(self, parts: list[Part]) -> list[Part]:
        """The parts with runs of siblings that are alike as repeats."""
        found: list[Part] = []
        for part in parts:
            previous = found[-1] if found else None
            if previous is not None and part.kind == "group" and previous.kind in ("group", "repeat"):
                last = previous.parts[-1] if previous.kind == "repeat" else previous
                if self.alike(last, part):
                    members = (*previous.parts, part) if previous.kind == "repeat" else (previous, part)
                    differ = (previous.kind == "repeat" and previous.differ) or self.key(last) != self.key(part)
                    found[-1] = Part("repeat", _span(members), members[0].start, part.stop, members, differ)
                    continue
            found.append(part)
        return found

    def alike(self, a: Part, b: Part) -> bool:
        """Whether two neighbours are instances of one thing: numbered siblings of like layers and equal results."""
        if a.kind != "group" or re.sub(r"\d+", "#", a.title) != re.sub(r"\d+", "#", b.title) or a.title == b.title:
            return False
        if self.types(a) != self.types(b):
            return False
        depth = a.title.count(".") + 1
        ours, theirs = self.layers(a, depth), self.layers(b, depth)
        shared, total = (ours & theirs).total(), max(ours.total(), theirs.total())
        return shared >= _ALIKE * total

    def layers(self, part: Part, depth: int) -> Counter[tuple[str, str]]:
        """The layers of a part, counted by operator and path inside the part; all nodes where it has no layers."""
        found = [
            (_heavy(step), step.op, re.sub(r"\d+", "#", ".".join(path[depth:])))
            for step, path in zip(self.graph.steps[part.start : part.stop], self.paths[part.start : part.stop])
        ]
        return Counter((op, path) for heavy, op, path in found if heavy) or Counter((op, path) for _, op, path in found)

    def types(self, part: Part) -> object:
        return self.graph.types(self.graph.steps[part.stop - 1].name)

    def key(self, part: Part) -> object:
        steps = self.graph.steps[part.start : part.stop]
        return [(step.op, self.graph.types(step.name)) for step in steps]

    # -- what names do not tell ------------------------------------------------------------------------------------
    def folded(self, parts: list[Part], unnamed: bool) -> list[Part]:
        """Runs of loose nodes that only prepare something in one box, and repeats by structure where there are no modules."""
        found: list[Part] = []
        run: list[Part] = []
        for part in [*parts, None]:
            if part is not None and part.kind == "node":
                run.append(part)
                continue
            found += self.loose(run, unnamed)
            run = []
            if part is not None:
                found.append(part)
        return found

    def loose(self, run: list[Part], unnamed: bool) -> list[Part]:
        if len(run) < _MIN_CLUTTER:
            return run
        start, stop = run[0].start, run[-1].stop
        found: list[Part] = []
        at = start
        for block in _repeats_within(self.graph.blocks(), start, stop) if unnamed else ():
            found += self.clutter(at, block.start)
            found.append(self.of_block(block))
            at = block.stop
        return found + self.clutter(at, stop)

    def in_runs(self, parts: list[Part]) -> list[Part]:
        """More parts than anybody can look at, as boxes of as many each as there are boxes."""
        if len(parts) <= _MAX_PARTS:
            return parts
        first = next((i for i, part in enumerate(parts) if self.graph.steps[part.start].op != "input"), 0)
        size = math.isqrt(len(parts) - 1) + 1
        runs = [parts[i : i + size] for i in range(first, len(parts), size)]
        return parts[:first] + [
            Part("group", f"nodes {run[0].start + 1:,} to {run[-1].stop:,}", run[0].start, run[-1].stop, tuple(run))
            for run in runs
        ]

    def clutter(self, start: int, stop: int) -> list[Part]:
        """Loose nodes as they are, or as one box where there are many and none is a layer."""
        nodes = [self.node(i) for i in range(start, stop)]
        steps = self.graph.steps[start:stop]
        if len(nodes) < _MIN_CLUTTER or len(nodes) == len(self.graph.steps) or any(_heavy(step) for step in steps):
            return nodes
        return [Part("group", f"{steps[0].op} … {steps[-1].op}", start, stop, tuple(nodes))]

    def of_block(self, block: Block) -> Part:
        """A repeat found by structure, with what is inside its instances."""
        instances = tuple(Part("group", part.label, part.start, part.stop, tuple(self.inside(part))) for part in block.parts)
        return Part("repeat", block.label, block.start, block.stop, instances, not block.exact)

    def inside(self, block: Block) -> list[Part]:
        if block.kind == "node":
            return [self.node(block.start)]
        if block.kind == "repeat" and _is_chain(block):
            return [self.of_block(block)]
        return [found for part in block.parts for found in self.inside(part)]


def _heavy(step: Step) -> bool:
    """Whether a node is a layer, as against what moves values or prepares them."""
    return kind_of(step.op) in _HEAVY or operator(step.op).family == "pool"


def _span(members: tuple[Part, ...]) -> str:
    """A title for several siblings: ``layers.1…5``."""
    first, last = members[0].title, members[-1].title
    number = re.search(r"\d+$", last)
    return f"{first}…{number[0]}" if number else first


def _repeats_within(block: Block, start: int, stop: int) -> list[Block]:
    """The largest repeats inside a run of steps that can be drawn by one instance."""
    if block.stop <= start or block.start >= stop:
        return []
    if block.kind == "repeat" and start <= block.start and block.stop <= stop and _is_chain(block):
        return [block]
    return [found for part in block.parts for found in _repeats_within(part, start, stop)]


def _is_chain(repeat: Block) -> bool:
    """Whether a repeat is the same thing over and over, each on the result of the one before.

    Later nodes may read the last two instances, as the cells of a search space do; branches side by side are no chain.
    """
    first, *others = repeat.parts
    if len(first) < _MIN_REPEATED and len(repeat) < _LONG:
        return False
    if any([s.op for s in part.steps] != [s.op for s in first.steps] for part in others):
        return False
    for before, part in zip(repeat.parts, others):
        made = {step.name for step in before.steps}
        if not any(edge.node in made for edge in part.inputs):
            return False
    last = {step.name for part in repeat.parts[-2:] for step in part.steps}
    return all(edge.node in last for edge in repeat.outputs)
