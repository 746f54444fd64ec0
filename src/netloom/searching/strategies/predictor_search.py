"""Search by a predictor: Bayesian optimisation over architectures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import SearchError
from ..offspring import Breeding, fresh_unknown
from ..population import check_counts, check_shares
from ..proposal import Proposal, Result
from ..screening import Sketch, distinct, fresh_sketch, sketch_of
from ..strategy import Strategy, shown
from ..surrogate import Surrogate, check_acquisition, make_predictor

if TYPE_CHECKING:
    import numpy

    from ..context import Context

#: The best results whose children are looked at, and the best candidates whose children are looked at next.
_PARENTS, _LEADERS = 10, 10
#: Marks the generator of a pool, so that it draws nothing that an ask does.
_POOL = 0x9001


@dataclass(repr=False)
class PredictorSearch(Strategy):
    """What a predictor expects most of, among samples and children, refitted as results arrive.

    The first ``initial`` candidates are random, fewer where the store knew scores of the task and recipe and ``warm`` is on.
    Then a pool of ``pool`` candidates is looked at, as graphs alone: samples of the space, children of the best results, and
    over ``rounds`` children of the most promising of those. They are tried in the order of ``acquisition``: ``ei`` (expected
    improvement), ``ucb`` (``width`` standard deviations above the mean), ``thompson`` (a draw from what is believed) or
    ``mean``; no architecture twice, also while results are missing. The predictor (a name in `netloom.predict`, or any object
    with ``fit`` and ``predict``) is fitted anew when there are 5 % more results. Children begin with their parents' weights
    (``inherit``) and train ``share`` of the epochs; ``mutations`` are those of `Evolution`.

    Source: C. White et al., "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", AAAI
    2021.
    """

    name: ClassVar[str] = "predictor"

    predictor: str | Any = "Ensemble"
    initial: int = 7
    pool: int = 500
    rounds: int = 3
    acquisition: str = "ei"
    width: float = 1.0
    warm: bool = True
    inherit: bool = True
    share: float = 0.5
    mutations: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_counts(self.name, initial=self.initial, pool=self.pool, rounds=self.rounds)
        check_acquisition(self.name, self.acquisition, self.width)
        check_shares(self.name, share=self.share)
        if not self.share > 0:
            raise SearchError(f"predictor: share = {self.share!r}; expected a number above 0")
        if not isinstance(self.predictor, str) or not self.predictor.endswith(".safetensors"):
            make_predictor(self.predictor)

    __repr__ = shown

    def begin(self, context: Context) -> None:
        super().begin(context)
        self._surrogate = Surrogate(context, self.predictor, warm=self.warm)
        self._breeding = Breeding.of(self, context)
        #: The pool of the last fit, most promising first, with what was predicted of each.
        self._ranked: list[tuple[Sketch, float]] = []
        self._ranked_at = -1

    def ask(self, index: int, rng: numpy.random.Generator) -> Proposal:
        beliefs = self._surrogate
        if (beliefs.size < self.initial and not beliefs.is_fixed) or not beliefs.ready():
            return fresh_unknown(self.context, rng)
        if self._ranked_at != beliefs.drawn_on:
            self._ranked, self._ranked_at = self._look_around(), beliefs.drawn_on
        while self._ranked:
            sketch, predicted = self._ranked.pop(0)
            if self.context.known_graph(sketch.graph):
                continue
            with beliefs.as_it_was_known():
                made = sketch.finished(self.context, self._breeding, beliefs.name, predicted)
            if not self.context.known_graph(made.graph):
                return made
        return fresh_unknown(self.context, rng)

    def tell(self, index: int, result: Result) -> None:
        if self.context.keeps(result):
            self._surrogate.tell(result)

    def _look_around(self) -> list[tuple[Sketch, float]]:
        """The pool, most promising first: a function of the results that the fit draws on, and of nothing after them."""
        import numpy as np

        beliefs, context, how = self._surrogate, self.context, self._breeding
        rng = np.random.default_rng([context.seed, beliefs.drawn_on, _POOL])
        size = max(1, self.pool // (self.rounds + 1))
        with beliefs.as_it_was_known():
            known = set(context.known)
            ranked = sorted(beliefs.scored, key=lambda r: (-(r.score or 0.0), r.graph.num_params))[:_PARENTS]
            first: list[Sketch | None] = [fresh_sketch(context, rng) for _ in range(size)] if context.space is not None else []
            if ranked:
                parents = [sketch_of(context, result) for result in ranked]
                first += [parents[i % len(parents)].child(context, rng, how) for i in range(size)]
            found = self._valued(distinct(first, known), rng)
            for _ in range(self.rounds - 1):
                leaders = sorted(found.values(), key=lambda entry: -entry[0])[:_LEADERS]
                made = [leaders[i % len(leaders)][2].child(context, rng, how) for i in range(size)] if leaders else []
                found |= self._valued(distinct(made, known | set(found)), rng)
        return [(sketch, predicted) for _, predicted, sketch in sorted(found.values(), key=lambda entry: -entry[0])]

    def _valued(self, sketches: list[Sketch], rng: numpy.random.Generator) -> dict[str, tuple[float, float, Sketch]]:
        if not sketches:
            return {}
        gains, predicted = self._surrogate.gain([sketch.graph for sketch in sketches], self.acquisition, self.width, rng)
        return {s.graph.hash: (float(gain), float(mean), s) for s, gain, mean in zip(sketches, gains, predicted)}
