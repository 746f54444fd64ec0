"""Blocks: the nested repeats of a graph, found by structure alone.

A `Block` is a run of consecutive steps. Blocks form a tree that partitions the graph: a *node* is one step, a *group* is
parts in order, a *repeat* is the same thing several times over.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..ops import Edge
from .block_likeness import SMALL, Region, Span, alike_after, alike_before
from .block_reading import Reading
from .block_repeats import Repeat, best_repeat
from .tree import edges

if TYPE_CHECKING:
    from .block_summaries import Summary
    from .graph import Graph, Step

#: Outside of repeats, smaller groups (a norm written out, a squeeze-and-excitation) are parts of what is around them.
_SMALL = 9


class Block:
    """A run of steps of a graph: one node, a group of parts, or a repeat of one thing. See `Graph.blocks`."""

    def __init__(self, reading: Reading, kind: str, start: int, stop: int, parts: tuple[Block, ...], exact: bool) -> None:
        self.graph: Graph = reading.graph
        #: ``"node"`` (one step), ``"group"`` (parts in order) or ``"repeat"`` (instances that are alike).
        self.kind = kind
        #: The blocks it is made of, in order of execution; none for a node.
        self.parts = parts
        #: Of a repeat: whether all instances are equal, sizes included. True for any other block.
        self.exact = exact
        #: Its steps are ``graph.steps[start:stop]``.
        self.start, self.stop = start, stop
        self.reading = reading

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps inside, in order."""
        return self.graph.steps[self.start : self.stop]

    @property
    def count(self) -> int:
        """Number of instances of a repeat; 1 for any other block."""
        return len(self.parts) if self.kind == "repeat" else 1

    @property
    def typical(self) -> Block:
        """Of a repeat: the instance that most others are equal to, the last of several such. Any other block: itself."""
        if self.kind != "repeat":
            return self
        keys = [self.reading.key(part.start, part.stop) for part in reversed(self.parts)]
        return self.parts[-1 - keys.index(Counter(keys).most_common(1)[0][0])]

    @cached_property
    def prefix(self) -> str:
        """The longest module path that all its nodes lie under; "" for none."""
        from .block_labels import common_path

        return common_path(self.steps)

    @cached_property
    def label(self) -> str:
        """A short name to show a person: the module path if there is one, else the operators."""
        from .block_labels import label

        return label(self)

    @cached_property
    def inputs(self) -> tuple[Edge, ...]:
        """The values it reads from outside, in order of use."""
        inside = {step.name for step in self.steps}
        read = (edge for step in self.steps for edge in edges(tuple(step.args.values())))
        return tuple(dict.fromkeys(edge for edge in read if edge.node not in inside))

    @cached_property
    def outputs(self) -> tuple[Edge, ...]:
        """The values made inside that are read outside or returned, in order of production."""
        steps = self.graph.steps
        return tuple(Edge(steps[i].name, index) for i, index in self.reading.leaving(self.start, self.stop))

    @property
    def summary(self) -> Summary:
        """What it computes, in brief; equal blocks of any graph have the very same object."""
        from .block_summaries import summary

        return summary(self)

    def __len__(self) -> int:
        """Number of steps inside."""
        return self.stop - self.start

    def outline(self, depth: int | None = None) -> str:
        """The tree as lines for people: blocks with ×count, operators, output shape, parameters (tied ones once).

        As deep as fits 40 lines, or ``depth`` levels. Of a repeat the typical instance is shown; ``~`` marks repeats whose
        instances are alike but not equal.

        >>> import netloom as nl
        >>> x = y = nl.input(8)
        >>> for _ in range(3):
        ...     y = nl.relu(nl.linear(y, 8))
        >>> print(nl.Graph(x, nl.linear(y, 2, name="head")).blocks().outline())
        graph: 7 nodes, 234 parameters, 416 FLOPs
          block           operators  output  parameters
          x               input      (N, 8)
          linear–relu ×3             (N, 8)         216
          head            linear     (N, 2)          18
        """
        from .block_labels import outline

        return outline(self, depth)

    def __str__(self) -> str:
        return self.outline()

    def __repr__(self) -> str:
        times = f" ×{self.count}" if self.kind == "repeat" else ""
        return f"<Block {self.label}: {self.kind}{times}, {len(self)} steps>"


def find_blocks(graph: Graph) -> Block:
    """The tree of blocks over all steps of a graph; `Graph.blocks` keeps it."""
    return _Finder(Reading(graph)).root()


class _Finder:
    """Takes the best repeat of a region, then looks into what is left and into the instances."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        #: Runs that stand alone, but are like the instances of a repeat beside them.
        self.kept: set[Span] = set()
        #: Parts of bodies that are solved, by their key.
        self.solved: dict[Any, tuple[Block, ...]] = {}

    def root(self) -> Block:
        steps = self.reading.steps
        start = next((i for i, step in enumerate(steps) if step.op != "input"), len(steps))
        found = self.sections(Region.of(self.reading, start, len(steps))) if start < len(steps) else []
        parts = [p for part in found for p in (part.parts if self.small(part, _SMALL) else (part,))]
        return self.block("group", [self.node(i) for i in range(start)] + self.arranged(parts))

    def small(self, block: Block, size: int) -> bool:
        """Whether a group is better shown as its nodes."""
        plain = block.kind == "group" and all(part.kind == "node" for part in block.parts)
        return plain and len(block) < size and (block.start, block.stop) not in self.kept

    def sections(self, region: Region) -> list[Block]:
        """The blocks that a region is made of, side by side."""
        repeats: list[Repeat] = []
        gaps = [region]
        while gaps:
            gap = gaps.pop()
            repeat = best_repeat(self.reading, gap) if gap.stop - gap.start > 1 else None
            if repeat is not None:
                repeats.append(repeat)
                gaps += [gap.cut(gap.start, repeat.start), gap.cut(repeat.stop, gap.stop)]
        repeats.sort(key=lambda repeat: repeat.start)
        found: list[Block] = []
        start, left = region.start, None
        for repeat in repeats:
            found = self.joined(found, self.rest(region.cut(start, repeat.start), left, repeat.spans[1]))
            found.append(self.repeat(repeat))
            start, left = repeat.stop, repeat.spans[-1]
        return self.joined(found, self.rest(region.cut(start, region.stop), left, None))

    def joined(self, found: list[Block], after: list[Block]) -> list[Block]:
        """Blocks and those that follow; a last instance that differs becomes one of the repeat before it."""
        if found and after and (after[0].start, after[0].stop) in self.kept:
            repeat, last, types = found[-1], after[0], self.reading.type
            if repeat.kind == "repeat" and types[last.stop - 1] == types[repeat.stop - 1]:
                whole = Block(self.reading, "repeat", repeat.start, last.stop, (*repeat.parts, last), False)
                return [*found[:-1], whole, *after[1:]]
        return found + after

    def rest(self, region: Region, left: Span | None, right: Span | None) -> list[Block]:
        """The blocks of a region without repeats: what is like the instances beside it, and its parts."""
        start, stop = region.start, region.stop
        if start == stop:
            return []
        begin = alike_after(self.reading, region, left, start, sizes=False) if left else None
        begin = start if begin is None else begin
        end = alike_before(self.reading, region, right, stop, sizes=False) if right else None
        end = stop if end is None or end < begin else end
        found = [self.lone(start, begin)] if start < begin else []
        inner = region.cut(begin, end)
        if len(inner.borders) == 2:
            found += [self.node(i) for i in range(begin, end)]
        else:
            found += [self.body(a, b) for a, b in inner.parts]
        return [*found, self.lone(end, stop)] if end < stop else found

    def lone(self, start: int, stop: int) -> Block:
        block = self.body(start, stop)
        self.kept.add((start, stop))
        return block

    def arranged(self, parts: list[Block]) -> list[Block]:
        """Neighbouring nodes between larger blocks as groups; what is too small for a block, or is all there is, dissolved."""
        parts = [p for part in parts for p in (part.parts if self.small(part, SMALL) else (part,))]
        large = [part for part in parts if part.kind != "node"]
        if len(large) == 1 and large[0].kind == "group":
            return self.arranged([p for part in parts for p in (part.parts if part is large[0] else (part,))])
        if not large:
            return parts
        found: list[Block] = []
        loose: list[Block] = []
        for part in [*parts, None]:
            if part is not None and part.kind == "node":
                loose.append(part)
                continue
            found += [self.block("group", loose)] if len(loose) > 1 else loose
            loose = []
            if part is not None:
                found.append(part)
        return found

    def repeat(self, repeat: Repeat) -> Block:
        keys = [self.reading.key(*span) for span in repeat.spans]
        # Of equal instances the last shows best what is read from the one before and what from far away.
        for span in reversed(repeat.spans):
            self.body(*span)
        parts = [self.body(*span) for span in repeat.spans]
        exact = len(set(keys)) == 1 and self.shared_alike(repeat.spans)
        return Block(self.reading, "repeat", repeat.start, repeat.stop, tuple(parts), exact)

    def shared_alike(self, spans: list[tuple[int, int]]) -> bool:
        """Whether each tensor of the body is one for all instances, or a fresh one for each."""
        uses = [[key for i in range(*span) for key in self.reading.keys[i]] for span in spans]
        return all(len(set(keys)) in (1, len(spans)) for keys in zip(*uses))

    def body(self, start: int, stop: int) -> Block:
        """A run of steps as one block; equal runs get equal trees."""
        if stop - start == 1:
            return self.node(start)
        key = self.reading.key(start, stop)
        if key in self.solved:
            solved = self.solved[key]
            return self.block("group", [self.moved(part, start - solved[0].start) for part in solved])
        parts = self.arranged(self.sections(Region.of(self.reading, start, stop)))
        self.solved[key] = tuple(parts)
        return self.block("group", parts) if len(parts) > 1 else parts[0]

    def moved(self, block: Block, by: int) -> Block:
        if not by:
            return block
        parts = tuple(self.moved(part, by) for part in block.parts)
        return Block(self.reading, block.kind, block.start + by, block.stop + by, parts, block.exact)

    def node(self, i: int) -> Block:
        return Block(self.reading, "node", i, i + 1, (), True)

    def block(self, kind: str, parts: list[Block]) -> Block:
        if len(parts) == 1 and kind == "group" and parts[0].kind != "node":
            return parts[0]
        return Block(self.reading, kind, parts[0].start, parts[-1].stop, tuple(parts), True)
