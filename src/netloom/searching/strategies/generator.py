"""Search by a generator: candidates are written by a transformer that has learned what scores well."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import GeneratorError, NetloomError, SearchError
from ...store import Lineage
from ..offspring import Breeding, as_data, child_of, fresh_unknown
from ..population import check_counts, check_shares, first_candidates
from ..proposal import Proposal, Result
from ..refits import Refits
from ..space_edits import choices_of
from ..strategy import Strategy, shown
from ..surrogate import known_scores

if TYPE_CHECKING:
    import numpy

    from ...generate import TokenGenerator
    from ...graph.graph import Graph
    from ..context import Context

_log = logging.getLogger("netloom.search")

#: The best results that children are made of, and how many of them compete to be a parent.
_PARENTS, _COMPETE = 20, 5
#: The fewest candidates that are written after a fit.
_FEWEST = 16
#: Marks the generator of what is written, so that it draws nothing that an ask does.
_WRITTEN = 0x9E4


@dataclass(frozen=True, slots=True)
class _Written:
    """A fitted generator, None where there is none, and the networks that it wrote, with what was predicted of each."""

    generator: TokenGenerator | None
    networks: tuple[tuple[Graph, float], ...]


@dataclass(repr=False)
class GeneratorSearch(Strategy):
    """What a generator writes, learned from the results so far; besides, children of the best and random candidates.

    The first ``initial`` candidates are random (at most a fifth of a budget in evaluations), fewer where the store knew scores
    of the task and recipe and ``warm`` is on. Then a `netloom.generate.TokenGenerator` writes the share ``generated`` of the
    candidates, no architecture twice; the share ``fresh`` is random, the rest are children of the best, which begin with their
    parents' weights (``inherit``) and train ``share`` of the epochs. It is fitted anew when there are ``growth`` more
    results, with ``unlabelled`` networks beside them whose scores its ``predictor`` (a name in `netloom.predict`, or none)
    gives; of ``screen`` networks the one predicted best is tried. ``file`` is a saved generator that is used as it is.
    Where nothing can be written, because networks are of no family that has a notation, it is an evolution.

    Source: generation conditioned on the outcome, as in L. Chen et al., "Decision Transformer", NeurIPS 2021; token-based
    architecture generation as the public system TART plans it.
    """

    name: ClassVar[str] = "generator"

    initial: int = 20
    generated: float = 0.7
    fresh: float = 0.05
    growth: float = 0.3
    screen: int = 4
    predictor: str | None = "Ensemble"
    unlabelled: int = 300
    steps: int | None = None
    file: str | None = None
    warm: bool = True
    inherit: bool = True
    share: float = 0.5
    mutations: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_counts(self.name, initial=self.initial, screen=self.screen, steps=self.steps)
        check_shares(self.name, generated=self.generated, fresh=self.fresh, share=self.share)
        if isinstance(self.growth, bool) or not isinstance(self.growth, int | float) or not self.growth > 0:
            raise SearchError(f"generator: growth = {self.growth!r}; expected a number above 0")
        if not self.share > 0:
            raise SearchError(f"generator: share = {self.share!r}; expected a number above 0")
        if self.generated + self.fresh > 1:
            raise SearchError(f"generator: generated + fresh = {self.generated + self.fresh:g}; expected 1 at most")
        try:
            self._made(None)
        except GeneratorError as error:
            raise SearchError(f"generator: {error}") from None

    __repr__ = shown

    def begin(self, context: Context) -> None:
        super().begin(context)
        self._breeding = Breeding.of(self, context)
        self._initial = max(5, first_candidates(context, self.initial))
        self._results: list[Result] = []
        self._warm = known_scores(context) if self.warm and self.file is None else []
        #: How many results the fit draws on, and which graphs were known when it fell due.
        self._due = 0
        self._known_then: set[str] = set(context.known)
        self._refits: Refits[_Written] = Refits(beside=context.workers > 1)
        self._latest: _Written | None = None
        #: What is left of what was written after the last fit, best first, with what was predicted of it.
        self._written: list[tuple[Graph, float]] = []

    def ask(self, index: int, rng: numpy.random.Generator) -> Proposal:
        context = self.context
        kind = rng.random()
        if (len(self._warm) + self._due < self._initial and self.file is None) or kind < self.fresh:
            return fresh_unknown(context, rng)
        if kind < self.fresh + self.generated:
            found = self._next_written()
            if found is not None:
                return found
        parents = sorted(self._results, key=lambda r: (-(r.score or 0.0), r.graph.num_params))[:_PARENTS]
        if parents:
            parent = parents[int(rng.integers(len(parents), size=min(_COMPETE, len(parents))).min())]
            child = child_of(context, parent, rng, proposed_by="mutation", breeding=self._breeding)
            if child is not None:
                return child
        return fresh_unknown(context, rng)

    def tell(self, index: int, result: Result) -> None:
        if not self.context.keeps(result) or result.repeated:
            return
        self._results.append(result)
        if len(self._results) >= max(self._due * (1 + self.growth), self._due + 1):
            self._due, self._known_then = len(self._results), set(self.context.known)

    # -- what is written ---------------------------------------------------------------------------------------------
    def _next_written(self) -> Proposal | None:
        due, known = self._due, self._known_then
        latest = self._refits.latest(due, lambda: self._write(due, known))
        if latest is not None and latest is not self._latest:
            self._latest, self._written = latest, list(latest.networks)
        while self._written:
            graph, predicted = self._written.pop(0)
            if not self.context.known_graph(graph):
                return self._proposal(graph, predicted)
        return None

    def _write(self, due: int, known: set[str]) -> _Written:
        """Candidates of a generator fitted anew: a function of the results that are due, and of nothing after them."""
        import numpy as np

        context, results = self.context, self._results[:due]
        scores = [score for _, score in self._warm] + [float(result.score or 0.0) for result in results]
        graphs = [graph for graph, _ in self._warm] + [result.graph for result in results]
        caps = self._caps()
        count = max(_FEWEST, ceil(2 * self.growth * len(graphs)))
        try:
            if self.file is not None and self._latest is not None and self._latest.generator is not None:
                generator = self._latest.generator
            else:
                generator = self._made(context)
                if self.file is None:
                    generator.fit(graphs, scores, seed=context.seed, strict=False)
            found = generator.draw(
                count, seed=np.random.default_rng([context.seed, due, _WRITTEN]),
                screen=self.screen if generator.learned.guide is not None else 1,
                exclude=known, max_params=caps.get("max_params"), max_flops=caps.get("max_flops"),
            )  # fmt: skip
        except NetloomError as error:  # nothing to learn yet, or networks that no notation writes
            _log.info("nothing is written from %d scores: %s", len(scores), error)
            return _Written(None, ())
        written = ((graph, float(mean)) for graph, mean in zip(found.graphs, found.predicted) if context.allows(graph))
        return _Written(generator, tuple(written))

    def _made(self, context: Context | None) -> TokenGenerator:
        from ...generate import TokenGenerator, load

        space = None if context is None else context.space
        if self.file is not None:
            return load(self.file, space=space)
        return TokenGenerator(space, predictor=self.predictor, unlabelled=self.unlabelled, steps=self.steps)

    def _caps(self) -> dict[str, float]:
        """Upper bounds of parameters and FLOPs among the constraints."""
        context = self.context
        found: dict[str, float] = {}
        for constraint in context.constraints:
            name, times = {"params": ("max_params", 1), "flops": ("max_flops", 1), "macs": ("max_flops", 2)}.get(
                constraint.name, ("", 0)
            )
            start = context.start_value(constraint.name)
            if name and constraint.most and not (constraint.is_relative and start is None):
                bound = times * constraint.bound(start)
                found[name] = min(found.get(name, bound), bound)
        return found

    def _proposal(self, graph: Graph, predicted: float) -> Proposal:
        edit: dict[str, Any] = {"kind": "generated", "titles": []}
        choices = choices_of(self.context.space, graph)
        if choices is not None:
            edit["choices"] = as_data(choices)
        generator = None if self._latest is None else self._latest.generator
        guide = None if generator is None else generator.learned.guide
        lineage = Lineage(edit=edit, proposed_by="generator")
        if guide is not None:
            lineage = replace(lineage, scored_by=type(guide).__name__, predicted_score=predicted)
        return Proposal(graph, lineage=lineage)
