"""Screening: many candidates as graphs alone, of which a few are made with their weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .offspring import Breeding, Draft, bred, fresh, proposal_of
from .proposal import Proposal

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph
    from .context import Context
    from .proposal import Result


@dataclass(frozen=True, slots=True)
class Sketch:
    """A candidate as a graph, and what it takes to make it again: its ``parent`` (None for a sample), a seed for each step."""

    draft: Draft
    parent: Result | None = None
    seeds: tuple[int, ...] = ()
    #: A sample as it was drawn.
    sample: Proposal | None = None

    @property
    def graph(self) -> Graph:
        """The architecture."""
        return self.draft.graph

    def child(self, context: Context, rng: numpy.random.Generator, how: Breeding) -> Sketch | None:
        """One step further; None where no new candidate was found."""
        import numpy as np

        seed = int(rng.integers(2**63))
        draft = bred(context, self.draft, how, np.random.default_rng(seed))
        return None if draft is None else Sketch(draft, self.parent, (*self.seeds, seed))

    def finished(self, context: Context, how: Breeding, predictor: str, predicted: float) -> Proposal:
        """The candidate with the weights that it inherits, and with what was predicted of it."""
        made = self.sample if self.sample is not None else proposal_of(self._with_weights(context, how), how, "mutation")
        return replace(made, lineage=replace(made.lineage, scored_by=predictor, predicted_score=float(predicted)))

    def _with_weights(self, context: Context, how: Breeding) -> Draft:
        import numpy as np

        draft: Draft | None = None
        if self.parent is not None and how.inherit:
            draft = Draft.of(context, self.parent, True)
            for seed in self.seeds if draft.network is not None else ():
                draft = bred(context, draft, how, np.random.default_rng(seed)) if draft is not None else None
            if draft is not None and draft.network is None:
                draft = None
        # Where weights decide what is pruned, the same draws may come to a neighbour of what was looked at.
        return self.draft if draft is None else draft


def sketch_of(context: Context, parent: Result) -> Sketch:
    """A result as what children are made of."""
    return Sketch(Draft.of(context, parent, False), parent)


def fresh_sketch(context: Context, rng: numpy.random.Generator) -> Sketch:
    """A sample of the space."""
    proposal = fresh(context, rng)
    edit = proposal.lineage.edit
    choices = edit.get("choices") if isinstance(edit, dict) else None
    return Sketch(Draft(proposal.graph, None, proposal.lineage.parents, choices=choices), sample=proposal)


def distinct(sketches: Iterable[Sketch | None], known: Any) -> list[Sketch]:
    """Sketches without None, without repeats, and without graphs that are known."""
    found: dict[str, Sketch] = {}
    for sketch in sketches:
        if sketch is not None and sketch.graph.hash not in known:
            found.setdefault(sketch.graph.hash, sketch)
    return list(found.values())
