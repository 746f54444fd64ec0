"""Scorers: the parts of a loop that say of candidates what they will come to, before anything is trained."""

from __future__ import annotations

import difflib
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError, PredictorError, SearchError
from .proposal import Result
from .surrogate import Surrogate, make_predictor

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from .context import Context
    from .warm_starting import Earlier

_log = logging.getLogger("netloom.search")

NONE, PREDICTOR, DEFAULT = "none", "predictor", "Ensemble"
#: A predictor is fitted anew when results have grown by this share.
_GROWTH = 0.15
#: Networks of which values are kept, and samples on which a hypernetwork's networks are scored.
_KEPT, _SAMPLES = 4096, 512


class Scorer(ABC):
    """Values of graphs, the higher the better, on any scale; `None` for a graph that it can say nothing of."""

    #: What the record calls it.
    name: str

    def begin(self, context: Context) -> None:
        """Take up work for a search."""
        self.context = context

    def tell(self, result: Result) -> None:
        """A result of the search."""
        del result  # most parts have nothing to learn

    def ready(self) -> bool:
        """Whether it has learned enough to be asked."""
        return True

    @abstractmethod
    def values(self, graphs: Sequence[Graph]) -> list[float | None]:
        """A value for each graph."""

    def predicted(self, graph: Graph) -> float | None:
        """The score that it expects, where its values are such."""
        return None


class FromPredictor(Scorer):
    """A predictor of `netloom.predict`, refitted as results arrive; an upper bound of what it believes."""

    def __init__(self, predictor: Any, after: int, width: float, warm: bool) -> None:
        self._given, self._after, self._width, self._warm = predictor, after, width, warm

    def begin(self, context: Context) -> None:
        super().begin(context)
        self._surrogate = Surrogate(context, self._given, warm=self._warm)
        self.name = self._surrogate.name
        self._means: dict[str, float] = {}
        self._waiting: list[Result] = []

    def tell(self, result: Result) -> None:
        if not self.context.keeps(result):
            return
        self._waiting.append(result)
        # A fit takes as long as training a small network: it is worth it when there is enough that is new.
        if len(self._waiting) >= max(1, round(_GROWTH * self._surrogate.size)):
            for each in self._waiting:
                self._surrogate.tell(each)
            self._waiting = []

    def ready(self) -> bool:
        beliefs = self._surrogate
        return (beliefs.is_fixed or beliefs.size >= self._after) and beliefs.ready()

    def values(self, graphs: Sequence[Graph]) -> list[float | None]:
        mean, deviation = self._surrogate.predict(graphs)
        self._means = {graph.hash: float(value) for graph, value in zip(graphs, mean)}
        return [float(value) for value in mean + self._width * deviation]

    def predicted(self, graph: Graph) -> float | None:
        return self._means.get(graph.hash)


class FromProxy(Scorer):
    """A zero-cost proxy, measured on a batch of the task: numbers of an untrained network."""

    def __init__(self, name: str) -> None:
        self.name = name

    def begin(self, context: Context) -> None:
        super().begin(context)
        self._known: dict[str, float | None] = {}

    def ready(self) -> bool:
        return self.context.task is not None

    def values(self, graphs: Sequence[Graph]) -> list[float | None]:
        return [_remembered(self._known, graph, self._value) for graph in graphs]

    def _value(self, graph: Graph) -> float:
        from ..measure import proxies

        found = proxies(graph, self.context.task, names=[self.name], seed=self.context.seed)
        return float(found[self.name])


class FromHypernetwork(Scorer):
    """The validation score of a network whose weights a hypernetwork predicts: nothing is trained."""

    name = "ghn"

    def __init__(self, where: str) -> None:
        self._where = where

    def begin(self, context: Context) -> None:
        super().begin(context)
        from .learned_weights import hypernetwork

        self._known: dict[str, float | None] = {}
        self._learned = None if context.task is None else hypernetwork(self._where, context.task)
        self._used: Any = None
        if self._learned is not None:
            self._learned.begin(context)

    def tell(self, result: Result) -> None:
        if self._learned is not None:
            self._learned.tell(result)

    def ready(self) -> bool:
        return self._learned is not None

    def values(self, graphs: Sequence[Graph]) -> list[float | None]:
        assert self._learned is not None
        if self._used is not self._learned.latest:
            self._used = self._learned.latest
            self._known.clear()
        return [_remembered(self._known, graph, self._value) for graph in graphs]

    def _value(self, graph: Graph) -> float:
        from ..ghn import evaluate

        assert self.context.task is not None
        found = evaluate(self._used, [graph], self.context.task, max_samples=_SAMPLES)
        return float(found.top1[0])

    def predicted(self, graph: Graph) -> float | None:
        return self._known.get(graph.hash)


class FromEarlierTasks(Scorer):
    """A predictor of how far above its task's mean a network comes, fitted on results of earlier tasks."""

    name = "warm start"

    def __init__(self, earlier: Earlier) -> None:
        self._earlier = earlier

    def begin(self, context: Context) -> None:
        super().begin(context)
        self._predictor = make_predictor(DEFAULT)
        try:
            self._predictor.fit(self._earlier.graphs, self._earlier.scores, seed=context.seed)
            self._works = True
        except NetloomError as error:  # all scores equal, say
            _log.info("no predictor of earlier tasks: %s", error)
            self._works = False

    def ready(self) -> bool:
        return self._works

    def values(self, graphs: Sequence[Graph]) -> list[float | None]:
        try:
            return [float(value) for value in self._predictor.predict(list(graphs))]
        except PredictorError as error:  # graphs that it cannot compare with those that it knows
            _log.info("nothing said by earlier tasks: %s", error)
            return [None] * len(graphs)


def _remembered(known: dict[str, float | None], graph: Graph, value: Any) -> float | None:
    """A value worked out once; None where that fails, or is no number."""
    if graph.hash not in known:
        if len(known) >= _KEPT:
            known.clear()
        try:
            found = value(graph)
            known[graph.hash] = found if found == found else None
        except NetloomError as error:
            _log.info("no value of %s: %s", graph.hash, error)
            known[graph.hash] = None
    return known[graph.hash]


def read_scorers(given: Any) -> tuple[Any, ...]:
    """Scorers, checked, from text such as ``"predictor+synflow"`` or a list of names and predictors; empty for ``"none"``.

    >>> read_scorers("predictor+synflow"), read_scorers("none")
    (('predictor', 'synflow'), ())
    """
    from ..measure import PROXIES
    from ..predict import KINDS

    words = tuple(given.split("+")) if isinstance(given, str) else tuple(given) if isinstance(given, list | tuple) else (given,)
    if words in ((), (NONE,), ("",)):
        return ()
    given = [word for word in words if not isinstance(word, str)]
    if given:
        for predictor in given:
            make_predictor(predictor)  # says what is wrong with it
        return (*read_scorers([word for word in words if isinstance(word, str)]), *given)
    predictors = [kind.__name__ for kind in KINDS.values()]
    known = [NONE, PREDICTOR, "ghn:FILE", *predictors, *PROXIES]
    for word in words:
        kind, colon, where = str(word).partition(":")
        fine = isinstance(word, str) and (
            word in (PREDICTOR, *predictors, *PROXIES) or str(word).endswith(".safetensors") or (kind == "ghn" and bool(where))
        )
        if not fine or word == NONE:
            near = difflib.get_close_matches(str(word), known, 1)
            hint = f"did you mean {near[0]!r}? " if near and near[0] != word else ""
            raise SearchError(
                f"score {str(word)[:80]!r}; {hint}there is: {', '.join(known)}, or a fitted predictor's .safetensors file; "
                "several are joined by '+'"
            )
    if len(set(words)) < len(words):
        raise SearchError(f"score {'+'.join(words)!r} names one scorer twice")
    return words


def make_scorer(name: Any, *, after: int, width: float, warm: bool) -> Scorer:
    """The scorer of a name, or of a predictor."""
    if not isinstance(name, str):
        return FromPredictor(name, after, width, warm)
    from ..measure import PROXIES

    kind, colon, where = name.partition(":")
    if kind == "ghn" and colon:
        return FromHypernetwork(where)
    if name in PROXIES:
        return FromProxy(name)
    return FromPredictor(DEFAULT if name == PREDICTOR else name, after, width, warm)
