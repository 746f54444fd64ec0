"""Random search through a filter: only samples that a predictor thinks well of are trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import SearchError
from ..offspring import Breeding, fresh_unknown
from ..population import check_counts, check_shares, first_candidates
from ..proposal import Proposal, Result
from ..screening import Sketch, distinct, fresh_sketch
from ..strategy import Strategy, shown
from ..surrogate import Surrogate, make_predictor

if TYPE_CHECKING:
    import numpy

    from ..context import Context

#: Samples that are looked at together.
_TOGETHER = 20


@dataclass(repr=False)
class Filtered(Strategy):
    """Samples of the space, of which those are tried that are predicted above ``min_score``, or above a
    quantile of the scores of random samples.

    The first ``initial`` candidates are random (fewer where the store knew scores and ``warm`` is on, none where the predictor
    is the file of a fitted one). Of the ``most`` samples of one ask that none passes, the one predicted best is tried. How many
    were drawn for a candidate stands in ``edit["drawn"]``; `acceptance_rate` is what share passed. ``predictor`` is as in
    `Guided`.

    Source: the second step of sophius; predictor-based sampling: W. Wen et al., "Neural Predictor for Neural Architecture
    Search", ECCV 2020.
    """

    name: ClassVar[str] = "filtered"

    predictor: str | Any = "Ensemble"
    initial: int = 30
    quantile: float = 0.8
    min_score: float | None = None
    most: int = 500
    warm: bool = True

    def __post_init__(self) -> None:
        check_counts(self.name, initial=self.initial, most=self.most)
        check_shares(self.name, quantile=self.quantile)
        if self.min_score is not None and (isinstance(self.min_score, bool) or not isinstance(self.min_score, int | float)):
            raise SearchError(f"filtered: min_score = {self.min_score!r}; expected a number, or none")
        if not isinstance(self.predictor, str) or not self.predictor.endswith(".safetensors"):
            make_predictor(self.predictor)

    __repr__ = shown

    def begin(self, context: Context) -> None:
        super().begin(context)
        self._surrogate = Surrogate(context, self.predictor, warm=self.warm)
        self._initial = max(5, first_candidates(context, self.initial))
        self._drawn = self._passed = 0

    @property
    def acceptance_rate(self) -> float | None:
        """The share of samples that passed the filter; None before any was looked at."""
        return self._passed / self._drawn if self._drawn else None

    def ask(self, index: int, rng: numpy.random.Generator) -> Proposal:
        guide = self._surrogate
        if (guide.size < self._initial and not guide.is_fixed) or not guide.ready():
            return fresh_unknown(self.context, rng)
        least, drawn = self._least(), 0
        best: tuple[float, Sketch] | None = None
        while drawn < self.most:
            sketches = [fresh_sketch(self.context, rng) for _ in range(min(_TOGETHER, self.most - drawn))]
            predicted = guide.predict([sketch.graph for sketch in sketches])[0]
            for sketch, mean in zip(sketches, predicted):
                drawn += 1
                if not distinct([sketch], self.context.known):
                    continue
                if mean >= least:
                    return self._proposal(sketch, float(mean), drawn, True)
                if best is None or mean > best[0]:
                    best = float(mean), sketch
        if best is None:
            return fresh_unknown(self.context, rng)
        return self._proposal(best[1], best[0], drawn, False)

    def tell(self, index: int, result: Result) -> None:
        edit = result.lineage.edit
        if isinstance(edit, dict) and "drawn" in edit:
            self._drawn += int(edit["drawn"])
            self._passed += bool(edit["passed"])
        if self.context.keeps(result):
            self._surrogate.tell(result)

    def _least(self) -> float:
        """The prediction from which on a sample is tried."""
        if self.min_score is not None:
            return self.min_score
        import numpy as np

        scores = self._surrogate.first_scores(self._initial)
        return float(np.quantile(scores, self.quantile)) if scores else -float("inf")

    def _proposal(self, sketch: Sketch, predicted: float, drawn: int, passed: bool) -> Proposal:
        made = sketch.finished(self.context, Breeding(), self._surrogate.name, predicted)
        edit = {"kind": "sample", "titles": [], **(made.lineage.edit or {}), "drawn": drawn, "passed": passed}
        return replace(made, lineage=replace(made.lineage, edit=edit, proposed_by=self.name))
