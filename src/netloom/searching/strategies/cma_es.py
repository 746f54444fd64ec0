"""CMA-ES over the sizes of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import SearchError
from ...store import Lineage
from ..offspring import TRIES, fresh_unknown
from ..population import check_counts, first_candidates
from ..proposal import Proposal, Result
from ..strategy import Strategy
from ..vectors import VectorSpace, vector_space

if TYPE_CHECKING:
    import numpy

    from ..context import Context


@dataclass
class CMAES(Strategy):
    """The structure of the best of ``initial`` random candidates, its sizes adapted by an evolution strategy.

    Sizes are the numbers that the space draws (channels, widths, kernels …), or all sizes of the network that the search starts
    from; a network of so many numbers is a point, and points are drawn from a normal distribution that follows the best half of
    every ``population`` results (None: 4 + 3 log D). ``sigma`` is its first width, as a share of the range of every size. Where
    it has narrowed to nothing new, the search begins again from other random candidates. Networks train from random weights.

    Needs the package `cmaes` (``pip install "netloom[cma]"``).

    Source: N. Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv 1604.00772, 2016.
    """

    name: ClassVar[str] = "cma-es"

    initial: int = 10
    population: int | None = None
    sigma: float = 0.25

    def __post_init__(self) -> None:
        check_counts(self.name, initial=self.initial)
        if self.population is not None and (type(self.population) is not int or self.population < 2):
            raise SearchError(f"cma-es: population = {self.population!r}; expected an integer ≥ 2, or none")
        if isinstance(self.sigma, bool) or not isinstance(self.sigma, int | float) or not 0 < self.sigma <= 1:
            raise SearchError(f"cma-es: sigma = {self.sigma!r}; expected a number above 0, 1 at most")

    def begin(self, context: Context) -> None:
        super().begin(context)
        try:
            import cmaes  # noqa: F401
        except ImportError:
            raise SearchError('cma-es needs the package cmaes; install it with: pip install "netloom[cma]"') from None
        _check_space(context)
        self._initial = first_candidates(context, self.initial) if context.start is None else 1
        self._begin_again()

    def _begin_again(self) -> None:
        self._first: list[Result] = []
        self._told = 0
        self._template: Result | None = None
        self._space: VectorSpace | None = None
        self._adapting: Any = None
        self._points: list[tuple[Any, float]] = []
        self._repeats = 0

    def ask(self, index: int, rng: numpy.random.Generator) -> Proposal:
        if self._adapting is None or self._space is None or self._template is None:
            return fresh_unknown(self.context, rng)
        # All randomness of a point is that of its ask: what adapts can then be rebuilt from what was told.
        self._adapting.reseed_rng(int(rng.integers(2**31)))
        made: Proposal | None = None
        for _ in range(TRIES):
            point = [float(number) for number in self._adapting.ask()]
            graph = self._space.graph(point)
            if graph is None or not self.context.allows(graph):
                continue
            edit = {"kind": "sizes", "titles": [], "point": point, "template": self._template.graph.hash}
            parents = (self._template.graph.hash,) if graph.hash != self._template.graph.hash else ()
            made = Proposal(graph, lineage=Lineage(parents, edit, self.name))
            if not self.context.known_graph(graph):
                return made
        return made or fresh_unknown(self.context, rng)

    def tell(self, index: int, result: Result) -> None:
        edit = result.lineage.edit
        if not isinstance(edit, dict) or "point" not in edit:
            self._told_first(result)
        elif self._template is not None and edit["template"] == self._template.graph.hash:
            self._told_point(edit["point"], result)

    def _told_first(self, result: Result) -> None:
        if self._adapting is not None:
            return  # one that another worker was still at, or that stood in for a point
        self._told += 1
        if self.context.keeps(result):
            self._first.append(result)
        if self._told < self._initial:
            return
        for template in sorted(self._first, key=lambda r: (-(r.score or 0.0), r.graph.num_params)):
            before: Any = template.lineage.edit
            choices = before.get("choices") if isinstance(before, dict) else None
            space = vector_space(self.context.space, template.graph, choices)
            if space.coordinates:
                self._template, self._space = template, space
                self._adapting = _adapting(space.start, self.sigma, self.population, self.context.seed)
                return
        self._told, self._initial = 0, 1  # none had sizes, or all failed: one more

    def _told_point(self, point: list[float], result: Result) -> None:
        import numpy as np

        value = -(result.score or 0.0) if self.context.keeps(result) else float("inf")
        self._points.append((np.array(point), value))
        self._repeats = self._repeats + 1 if result.repeated else 0
        if len(self._points) == self._adapting.population_size:
            self._adapting.tell(self._points)
            self._points = []
            if self._adapting.should_stop() or self._repeats >= self._adapting.population_size:
                self._begin_again()


def _adapting(start: list[float], sigma: float, population: int | None, seed: int) -> Any:
    """A `cmaes.CMA` over points (D,) between 0 and 1."""
    import cmaes
    import numpy as np

    # It wants two numbers at least; a second one that nothing depends on does no harm.
    mean = np.array(start if len(start) > 1 else [*start, 0.5])
    bounds = np.array([[0.0, 1.0]] * len(mean))
    return cmaes.CMA(mean=mean, sigma=sigma, bounds=bounds, seed=seed % 2**31, population_size=population)


def _check_space(context: Context) -> None:
    """`SearchError` where the networks have no sizes that may change."""
    import numpy as np

    for number in range(5):
        graph = context.start
        if graph is None:
            graph = context.sample(np.random.default_rng([context.seed, number]))
        if vector_space(context.space, graph).coordinates:
            return
    what = (
        "the network that the search starts from" if context.space is None else f"space {context.space.spec or context.space!r}"
    )
    raise SearchError(f"cma-es adapts sizes, and {what} has none that may change; take another strategy, such as 'evolution'")
