"""Evolution whose children are screened by a predictor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..population import check_counts
from ..proposal import Proposal, Result
from ..screening import Sketch, distinct, sketch_of
from ..surrogate import Surrogate, check_acquisition, make_predictor
from .evolution import Evolution

if TYPE_CHECKING:
    import numpy

    from ..context import Context

#: Parents in a row without a new child after which no more are asked.
_IN_VAIN = 3


@dataclass(repr=False)
class Guided(Evolution):
    """Evolution with a guide: of ``screen`` children the one is tried that a predictor thinks most of.

    ``predictor`` is the name of one in `netloom.predict`, the file of a fitted one (then used as it is), or any object with
    ``fit(graphs, scores)`` and ``predict(graphs)``; it is fitted on what the search has found, and with ``warm`` on what the
    store knew of the task and recipe before. Parents are drawn anew for every child. ``acquisition`` says what counts: the
    ``mean``, or ``ei``, ``ucb`` (``width`` standard deviations above the mean), ``thompson``. Crossover is left out; all other
    settings are those of `Evolution`.

    Source: L. Dudziak et al., "BRP-NAS: Prediction-based NAS using GCNs", NeurIPS 2020; X. Ning et al., "A Generic Graph-based
    Neural Architecture Encoding Scheme for Predictor-based NAS", ECCV 2020.
    """

    name: ClassVar[str] = "guided"

    population: int = 50
    sample: int = 10
    predictor: str | Any = "Ensemble"
    screen: int = 20
    acquisition: str = "ucb"
    width: float = 0.5
    warm: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self.name, screen=self.screen)
        check_acquisition(self.name, self.acquisition, self.width)
        if not isinstance(self.predictor, str) or not self.predictor.endswith(".safetensors"):
            make_predictor(self.predictor)

    def begin(self, context: Context) -> None:
        super().begin(context)
        self._surrogate = Surrogate(context, self.predictor, warm=self.warm)

    def tell(self, index: int, result: Result) -> None:
        super().tell(index, result)
        if self.context.keeps(result):
            self._surrogate.tell(result)

    def _child(self, parents: list[Result], rng: numpy.random.Generator) -> Proposal | None:
        context, guide, how = self.context, self._surrogate, self._breeding
        if not guide.ready():
            return super()._child(parents, rng)
        children = distinct(self._sketches(parents, rng), context.known)
        if not children:
            return None
        gains, predicted = guide.gain([child.graph for child in children], self.acquisition, self.width, rng)
        best = int(gains.argmax())
        return children[best].finished(context, how, guide.name, predicted[best])

    def _sketches(self, parents: list[Result], rng: numpy.random.Generator) -> list[Sketch | None]:
        """Children to look at; fewer where parent after parent has no new one, for then the space is nearly tried out."""
        made: list[Sketch | None] = []
        while len(made) < self.screen and (len(made) < _IN_VAIN or any(made[-_IN_VAIN:])):
            made.append(sketch_of(self.context, self._parent(parents, rng)).child(self.context, rng, self._breeding))
        return made
