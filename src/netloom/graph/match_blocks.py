"""Pairs of nodes by way of blocks: the trees of two graphs are aligned from the top, so that whole blocks come or go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .alignment import align
from .compared import Compared
from .matching import NODE, PairCosts

if TYPE_CHECKING:
    from .blocks import Block

#: What it costs to pair blocks whose sizes or places in the module tree differ, beside the nodes that only one has.
_UNEQUAL, _ELSEWHERE = 0.1, 0.01
#: What a run of nodes that only one has costs beside the nodes; the same for blocks, and for each of them.
_OPENING = 0.3
_BLOCK_OPENING, _BLOCK = 0.05, 0.5
_NEVER = 1e6


def by_blocks(a: Compared, b: Compared, costs: PairCosts) -> list[tuple[int, int]]:
    """Pairs of vertices that stand at the same place of blocks that correspond."""
    return list(_Aligner(a, b, costs).pairs(a.graph.blocks(), b.graph.blocks()))


class _Aligner:
    def __init__(self, a: Compared, b: Compared, costs: PairCosts) -> None:
        self.a, self.b, self.costs = a, b, costs

    def pairs(self, one: Block, other: Block) -> Iterator[tuple[int, int]]:
        """Pairs within two blocks that correspond."""
        ours, theirs = _parts(one), _parts(other)
        if all(part.kind == "node" for part in (*ours, *theirs)):
            yield from self.nodes(_names(one), _names(other))
            return
        left = right = 0
        for i, j in [*self.aligned(ours, theirs), (len(ours), len(theirs))]:
            # What no block corresponds to may still hold nodes that do.
            loose = _loose(ours[left:i]), _loose(theirs[right:j])
            yield from self.nodes(*loose)
            if i < len(ours):
                yield from self.pairs(ours[i], theirs[j])
            left, right = i + 1, j + 1

    def aligned(self, ours: Sequence[Block], theirs: Sequence[Block]) -> list[tuple[int, int]]:
        import numpy as np

        contents = [Counter(step.op for step in part.steps) for part in (*ours, *theirs)]
        table = np.empty((len(ours), len(theirs)))
        for i, one in enumerate(ours):
            for j, other in enumerate(theirs):
                table[i, j] = self.distance(one, other, contents[i], contents[len(ours) + j])
        # Long blocks weigh more, which one cost of a gap cannot say: distances are shares of what the two hold together.
        return [(i, j) for i, j in align(table, _BLOCK, _BLOCK_OPENING) if table[i, j] < 1]

    def distance(self, one: Block, other: Block, ours: Counter[str], theirs: Counter[str]) -> float:
        """0 for equal blocks, 1 for blocks that have nothing in common."""
        if (one.kind == "node") != (other.kind == "node"):
            return _NEVER
        together = ours.total() + theirs.total()
        apart = ((ours - theirs).total() + (theirs - ours).total()) / together
        if apart >= 1:
            return _NEVER
        same = not apart and self.contents(self.a, 0, one) == self.contents(self.b, 1, other)
        return 0.8 * apart + (0 if same else _UNEQUAL) + _ELSEWHERE * (one.prefix != other.prefix)

    def contents(self, side: Compared, number: int, block: Block) -> list[int]:
        """What the nodes of a block are, as numbers that mean the same in both graphs."""
        kinds = self.costs.kinds[number]
        return [kinds[side.number[step.name]] for step in block.steps if step.name in side.number]

    def nodes(self, ours: Sequence[str], theirs: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Pairs by aligning runs of single nodes."""
        import numpy as np

        rows = [self.a.number[name] for name in ours if name in self.a.number]
        columns = [self.b.number[name] for name in theirs if name in self.b.number]
        if not rows or not columns:
            return
        table = np.minimum(np.array([[self.costs(u, v) for v in columns] for u in rows]), _NEVER)
        for i, j in align(table, NODE, _OPENING):
            if table[i, j] < 2 * NODE:
                yield rows[i], columns[j]


def _parts(block: Block) -> tuple[Block, ...]:
    """The parts of a block; of a node itself."""
    return block.parts or (block,)


def _names(block: Block) -> list[str]:
    return [step.name for step in block.steps]


def _loose(blocks: Sequence[Block]) -> list[str]:
    return [block.steps[0].name for block in blocks if block.kind == "node"]
