"""`Surrogate`: a predictor that is refitted as results arrive, and what is gained by trying a candidate."""

from __future__ import annotations

import contextlib
import copy
import difflib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError, PredictorError, SearchError
from .proposal import Result
from .refits import Refits

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph
    from .context import Context

_log = logging.getLogger("netloom.search")

ACQUISITIONS = ("ei", "ucb", "thompson", "mean")
#: Evaluations of the store that a fit begins with, the latest first.
_MOST_KNOWN = 1000
#: A fit is made anew after so large a share of new results.
_SHARE = 0.05


def make_predictor(given: Any) -> Any:
    """A predictor from the name of its class in `netloom.predict`, from the file of a fitted one, or itself.

    Any object with ``fit(graphs, scores)`` and ``predict(graphs)`` is one; `SearchError` says what is none.
    """
    from .. import predict

    if isinstance(given, str):
        if given.endswith(".safetensors"):
            return predict.load(given)
        kinds = {kind.__name__: kind for kind in predict.KINDS.values()}
        if given not in kinds:
            near = difflib.get_close_matches(given, kinds, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise SearchError(
                f"unknown predictor {given[:80]!r}; {hint}there is: {', '.join(kinds)}, or a .safetensors file of a fitted one"
            )
        return kinds[given]()
    if isinstance(given, type) or not callable(getattr(given, "fit", None)) or not callable(getattr(given, "predict", None)):
        raise SearchError(f"predictor = {given!r}; expected an object with fit(graphs, scores) and predict(graphs)")
    return given


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A fit: how many results it draws on, what was known then, and the predictor; None where it could not be made."""

    results: int
    known: set[str]
    predictor: Any


class Surrogate:
    """What a search believes of candidates that it has not tried.

    ``tell`` takes results in the order told; `predict` draws on the first ones of them, as `drawn_on` says: it is fitted anew
    when there are 5 % more; beside the training of candidates, where several workers do that. A predictor from a file is used
    as it is, and never fitted. With ``warm`` the fit begins with what the store knew of the same task and recipe when the run
    began.
    """

    def __init__(self, context: Context, predictor: Any, *, warm: bool = True) -> None:
        self.is_fixed = isinstance(predictor, str) and predictor.endswith(".safetensors")
        self.predictor = make_predictor(predictor)
        self.name = type(self.predictor).__name__
        self.context = context
        self.results: list[Result] = []
        self._warm = known_scores(context) if warm and not self.is_fixed else []
        self._beside = context.workers > 1
        self._refits: Refits[_Fitted] = Refits(beside=self._beside)
        self._due = 0
        #: What was known when the fit fell due: what is made of it must not depend on what came after.
        self._known_at_due: set[str] = set(context.known)
        self._in_use = _Fitted(0, self._known_at_due, self.predictor if self.is_fixed else None)

    def tell(self, result: Result) -> None:
        """Take in a result that has a score."""
        if result.score is None or result.repeated:
            return
        self.results.append(result)
        if len(self.results) >= self._due + max(1, int(_SHARE * self._due)):
            self._due = len(self.results)
            self._known_at_due = set(self.context.known)

    @property
    def drawn_on(self) -> int:
        """How many of the results told the fit in use draws on."""
        return self._in_use.results

    @property
    def scored(self) -> list[Result]:
        """The results that the fit in use draws on."""
        return self.results[: self.drawn_on]

    @property
    def best(self) -> float:
        """The best score that the fit draws on."""
        return max([result.score or 0.0 for result in self.scored] + [score for _, score in self._warm], default=-float("inf"))

    @property
    def size(self) -> int:
        """Scores that there are to learn from."""
        return len(self._warm) + self._due

    def first_scores(self, count: int) -> list[float]:
        """The scores of the first candidates, which were random: those of the store, then those of this search."""
        return ([score for _, score in self._warm] + [float(result.score or 0.0) for result in self.results])[:count]

    @contextlib.contextmanager
    def as_it_was_known(self) -> Iterator[None]:
        """While inside, the search knows the graphs that it knew when the fit fell due."""
        now, self.context.known = self.context.known, self._in_use.known
        try:
            yield
        finally:
            self.context.known = now

    def ready(self) -> bool:
        """Whether predictions can be made; sees to the fit where that is due."""
        if self.is_fixed:
            self._in_use = _Fitted(self._due, self._known_at_due, self.predictor)
        else:
            due, known = self._due, self._known_at_due
            self._in_use = self._refits.latest(due, lambda: _Fitted(due, known, self._fitted(due))) or self._in_use
        if self._in_use.predictor is not None:
            self.predictor = self._in_use.predictor
        return self._in_use.predictor is not None

    def _fitted(self, due: int) -> Any:
        """The predictor, fitted on what was known before and the first ``due`` results; None where it cannot be."""
        # The one in use goes on predicting meanwhile.
        predictor = copy.deepcopy(self.predictor) if self._beside else self.predictor
        results = self.results[:due]
        graphs = [graph for graph, _ in self._warm] + [result.graph for result in results]
        scores = [score for _, score in self._warm] + [float(result.score or 0.0) for result in results]
        try:
            if _is_ours(predictor):
                predictor.fit(graphs, scores, seed=self.context.seed)
            else:
                predictor.fit(graphs, scores)
        except PredictorError as error:  # too few, or all equal
            _log.info("no fit of %s on %d scores yet: %s", self.name, len(scores), error)
            return None
        return predictor

    def predict(self, graphs: Sequence[Graph]) -> tuple[Any, Any]:
        """Mean and standard deviation (N,) of scores; zero deviations where the predictor states none."""
        import numpy as np

        graphs = list(graphs)
        try:
            mean, deviation = self.predictor.predict(graphs, std=True)
        except TypeError:
            mean = self.predictor.predict(graphs)
            deviation = np.zeros(len(graphs))
        mean, deviation = np.asarray(mean, dtype=float), np.asarray(deviation, dtype=float)
        if mean.shape != (len(graphs),) or deviation.shape != mean.shape:
            raise SearchError(f"{self.name}.predict gave {mean.shape} for {len(graphs)} graphs; expected one number for each")
        return mean, deviation

    def gain(self, graphs: Sequence[Graph], acquisition: str, width: float, rng: numpy.random.Generator) -> tuple[Any, Any]:
        """What is gained by trying each graph (N,), by the acquisition function, and the mean predictions (N,).

        Worked out on the scale that the predictor learns on, where it has one of its own: there errors are alike everywhere.
        """
        import numpy as np

        mean, deviation = self.predict(graphs)
        centre, spread, best = mean, deviation, self.best
        targets = getattr(self.predictor, "targets", None) if _is_ours(self.predictor) else None
        if targets is not None:
            learned = getattr(targets, "scaled", None) or targets.normal_scores
            centre = learned(mean)
            spread = deviation / np.maximum(np.abs(targets.slope(centre)), 1e-12)
            best = float(learned(np.array([best]))[0]) if np.isfinite(best) else best
        return acquired(centre, spread, best, acquisition, width, rng), mean


def acquired(mean: Any, deviation: Any, best: float, acquisition: str, width: float, rng: numpy.random.Generator) -> Any:
    """The value (N,) of trying candidates with normal beliefs: improvement expected over ``best``, upper bound, a draw, or
    mean.

    Sources: J. Mockus, "On Bayesian Methods for Seeking the Extremum", 1975; N. Srinivas et al., ICML 2010; W. Thompson, 1933.

    >>> import numpy as np
    >>> acquired(np.array([0.0, 1.0]), np.array([1.0, 0.0]), 0.5, "ei", 1.0, np.random.default_rng(0)).round(3).tolist()
    [0.198, 0.5]
    """
    import numpy as np
    from scipy.special import ndtr

    draws = rng.standard_normal(len(mean))
    if acquisition == "thompson":
        return mean + deviation * draws
    if acquisition == "ucb":
        return mean + width * deviation
    if acquisition == "mean" or not np.isfinite(best):
        return mean
    gap = mean - best
    spread = np.maximum(deviation, 1e-12)
    z = gap / spread
    return np.where(deviation > 0, gap * ndtr(z) + spread * np.exp(-z * z / 2) / np.sqrt(2 * np.pi), np.maximum(gap, 0.0))


def check_acquisition(strategy: str, acquisition: str, width: float) -> None:
    """`SearchError` for an acquisition function that there is not."""
    if acquisition not in ACQUISITIONS:
        near = difflib.get_close_matches(str(acquisition), ACQUISITIONS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SearchError(f"{strategy}: acquisition = {acquisition!r}; {hint}there is: {', '.join(ACQUISITIONS)}")
    if isinstance(width, bool) or not isinstance(width, int | float) or not width >= 0:
        raise SearchError(f"{strategy}: width = {width!r}; expected a number ≥ 0")


def known_scores(context: Context) -> list[tuple[Graph, float]]:
    """Graphs and scores that the store had of the task and recipe of a search when it began, trained as long from random."""
    store, task, recipe = context.store, context.task, context.recipe
    if store is None or task is None or recipe is None:
        return []
    rows = store.evaluations(task=task.hash, recipe=recipe.hash, status="ok")
    rows = rows[(rows["fidelity"] == recipe.epochs) & (rows["init"] == "random") & rows["score"].notna()]
    if context.run_id:
        import pandas as pd

        began = pd.Timestamp(store.run(context.run_id)["created"])
        rows = rows[pd.to_datetime(rows["created"], utc=True) < began]
    found = []
    for row in rows.drop_duplicates("graph_hash", keep="last").tail(_MOST_KNOWN).itertuples():
        try:
            graph = store.graph(row.graph_hash)
        except NetloomError:  # of a newer version, say: one score fewer to learn from
            continue
        found.append((graph, float(row.score)))
    return found


def _is_ours(predictor: Any) -> bool:
    """Whether it is one of `netloom.predict`, which take a seed and tell standard deviations."""
    from ..predict import Predictor

    return isinstance(predictor, Predictor)
