"""`Predictor`: what every performance predictor can do, and what it says of bad input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, overload

import numpy as np

from ..encode.known_encodings import KnownEncodings
from ..encode.named_features import Encoded
from ..errors import NetloomError, PredictorError
from ..graph.graph import Graph
from ..graph.tree import edges
from .targets import Targets
from .views import Seen, Views

if TYPE_CHECKING:
    import os
    from typing import Literal

    from .explaining import Explanation
    from .transfer import Prior

Array = np.ndarray[Any, Any]

#: Graphs that are kept to compare with in explanations.
EXAMPLES = 200
#: Graphs that are predicted at once.
_AT_ONCE = 10_000
#: Fewer labels than this say nothing about an architecture.
FEWEST = 5


#: What all predictors encode by: a search that fits a model anew looks at much of its pool again.
encoded = KnownEncodings()


class Batch:
    """Graphs with what encodings make of them, worked out when first asked for and then shared."""

    def __init__(self, graphs: list[Graph], log_fidelity: Array | None = None) -> None:
        self.graphs, self.log_fidelity = graphs, log_fidelity
        self._seen: tuple[Views, Seen] | None = None

    def __len__(self) -> int:
        return len(self.graphs)

    @cached_property
    def views(self) -> Views:
        """What graphs are seen by, learned from these graphs."""
        return Views.of(self.encoded)

    def seen_through(self, views: Views) -> Seen:
        """The batch in views that were learned from it or from others."""
        if self._seen is None or self._seen[0] is not views:
            self._seen = (views, views(self.encoded))
        return self._seen[1]

    @cached_property
    def encoded(self) -> Encoded:
        """Features and path counts; the logarithm of the fidelity is one more feature where fidelities differ."""
        found = encoded(self.graphs)
        if self.log_fidelity is None:
            return found
        return found._replace(features=np.column_stack([found.features, self.log_fidelity]))

    def different(self) -> tuple[Batch, Array]:
        """One graph of each kind that encodings tell apart, and which of them each graph (N,) is like.

        Isomorphic graphs encode alike: half of the cells of some spaces.
        """
        rows, like = self.encoded.different()
        fidelity = None if self.log_fidelity is None else self.log_fidelity[rows]
        batch = Batch([self.graphs[i] for i in rows.tolist()], fidelity)
        batch.__dict__["encoded"] = self.encoded.some(rows)
        return batch, like

    def once(self) -> tuple[Batch, Array]:
        """Each graph that is given several times once, and which of them each (N,) is."""
        fidelity = np.zeros(len(self)) if self.log_fidelity is None else self.log_fidelity
        keys = list(zip(map(id, self.graphs), fidelity.tolist()))
        place = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        like = np.array([place[key] for key in keys], dtype=np.intp)
        if len(place) == len(self):
            return self, like
        rows = np.unique(like, return_index=True)[1]
        return Batch([self.graphs[i] for i in rows.tolist()], None if self.log_fidelity is None else fidelity[rows]), like


class LeftOut(NamedTuple):
    """Training graphs by their number in the batch, and what is predicted for each without it: mean, standard deviation."""

    rows: Array
    mean: Array
    deviation: Array

    def of(self, rows: Array) -> LeftOut:
        """Of these rows alone, in this order."""
        order = np.argsort(self.rows)
        places = order[np.searchsorted(self.rows, rows, sorter=order)]
        return LeftOut(rows, self.mean[places], self.deviation[places])


class Predictor(ABC):
    """Predicts scores of architectures from scores of others.

    >>> import math, netloom as nl, numpy as np
    >>> space = nl.spaces.Conv((3, 16, 16), 10, max_params=100_000)
    >>> rng = np.random.default_rng(0)
    >>> graphs = [space.sample(rng) for _ in range(60)]
    >>> scores = [math.log(graph.num_params) for graph in graphs]
    >>> predictor = nl.predict.GaussianProcess().fit(graphs[:40], scores[:40])
    >>> predictor.score(graphs[40:], scores[40:])["kendall_tau"] > 0.8
    True
    """

    #: The name under which a saved predictor is found again.
    kind: ClassVar[str]

    @property
    def reads_encodings_alone(self) -> bool:
        """Whether graphs that encode alike are predicted alike."""
        return False

    def __init__(self) -> None:
        self._targets: Targets | None = None
        self._types: list[tuple[tuple[int, ...], ...]] = []
        self._fidelity: float | None = None
        self._before: Predictor | None = None
        self._prior: Prior | None = None
        self._examples: list[Graph] = []
        self._reference: tuple[Array, Array] | None = None
        #: The file that it was read from, which anybody may have changed.
        self._file: str | None = None
        self.dropped = 0

    def fit(self, graphs: Iterable[Graph], scores: Any, *, fidelity: Any = None, seed: int = 0) -> Self:
        """Learn from graphs and their scores (N,), higher is better. Gives the predictor itself.

        ``fidelity`` (N,) is how long each was trained (epochs, say); predictions are then for the largest, unless asked
        otherwise. Graphs whose score is NaN are left out and counted in ``dropped``. `PredictorError` for fewer than 5 graphs
        or scores that are all equal or infinite.
        """
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise PredictorError(f"seed = {seed!r}; expected a whole number ≥ 0")
        graphs, values, durations = _checked(_graphs(graphs), scores, fidelity)
        kept = ~np.isnan(values)
        self.dropped = int((~kept).sum())
        graphs, values = [graph for graph, keep in zip(graphs, kept) if keep], values[kept]
        if len(graphs) < FEWEST:
            left_out = f" ({self.dropped} scores are NaN)" if self.dropped else ""
            raise PredictorError(f"{len(graphs)} graphs with a score{left_out}; a predictor needs at least {FEWEST}")
        if np.ptp(values) == 0:
            raise PredictorError(f"all {len(values)} scores are {values[0]:g}; there is nothing to learn from equal scores")
        log_fidelity = None
        self._fidelity = None
        if durations is not None and np.ptp(durations[kept]) > 0:
            log_fidelity = np.log(durations[kept])
            self._fidelity = float(durations[kept].max())
        self._types = sorted({_types_of(graph) for graph in graphs})
        self._targets = Targets.of(values)
        self._learn(Batch(graphs, log_fidelity), self._targets.scaled(values), np.random.default_rng(seed))
        self._examples, self._reference, self._file = graphs[:EXAMPLES], None, None
        return self

    def adapt(self, graphs: Iterable[Graph], scores: Any, *, fidelity: Any = None, seed: int = 0) -> Self:
        """Learn another space or task from few graphs and scores, with what was learned before. Gives the predictor itself.

        What was predicted before becomes the mean that new labels are told apart from, as far as they agree with it (Kennedy
        and O'Hagan, 2000); neural predictors go on learning from where they are. From then on predictions are for the new task.
        Arguments and errors as those of `fit`; `PredictorError` where nothing was learned before.

        >>> import netloom as nl, numpy as np
        >>> space, rng = nl.spaces.Conv((3, 16, 16), 10, max_params=100_000), np.random.default_rng(0)
        >>> graphs = [space.sample(rng) for _ in range(60)]
        >>> predictor = nl.predict.GaussianProcess().fit(graphs, [graph.num_params for graph in graphs])
        >>> predictor.adapt(graphs[:6], [2.0 * graph.num_params for graph in graphs[:6]]).score(
        ...     graphs[6:], [2.0 * graph.num_params for graph in graphs[6:]])["kendall_tau"] > 0.7
        True
        """
        from .transfer import copied

        self._before = copied(self)
        try:
            return self.fit(graphs, scores, fidelity=fidelity, seed=seed)
        finally:
            self._before = None

    @overload
    def predict(self, graphs: Iterable[Graph], *, std: Literal[False] = False, fidelity: Any = None) -> Array: ...
    @overload
    def predict(self, graphs: Iterable[Graph], *, std: Literal[True], fidelity: Any = None) -> tuple[Array, Array]: ...
    def predict(self, graphs: Iterable[Graph], *, std: bool = False, fidelity: Any = None) -> Any:
        """Scores (N,) of graphs; with ``std`` also the standard deviation of each.

        `PredictorError` before `fit`, and for graphs whose inputs are none of the training graphs'.
        """
        graphs = _graphs(graphs)
        targets = self.targets
        for i, graph in enumerate(graphs):
            if not isinstance(graph, Graph):
                raise PredictorError(f"item {i} is a {type(graph).__name__}; a predictor reads graphs (see nl.trace)")
            if _types_of(graph) not in self._types:
                raise PredictorError(
                    f"graph {i} takes {_shown(_types_of(graph))}; the predictor was fitted on graphs that take "
                    f"{' or '.join(map(_shown, self._types[:3]))}; fit it on such graphs as well"
                )
        if not graphs:
            return (np.zeros(0), np.zeros(0)) if std else np.zeros(0)
        try:
            mean, deviation = self._in_parts(graphs, std, self._fidelity if fidelity is None else fidelity)
        except NetloomError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            if self._file is None:
                raise
            raise PredictorError(f"{self._file!r} is damaged or was changed: {error!r}; fit and save it anew") from error
        found = targets.scores(mean)
        return (found, deviation * np.abs(targets.slope(mean))) if std else found

    def _in_parts(self, graphs: list[Graph], std: bool, fidelity: Any) -> tuple[Array, Array]:
        """Means and deviations of what is learned."""
        log_fidelity = None if self._fidelity is None else np.log(np.broadcast_to(fidelity, len(graphs)))
        parts = []
        # In parts, so that counts of many graphs do not fill the memory.
        for begin in range(0, len(graphs), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            batch = Batch(graphs[part], None if log_fidelity is None else log_fidelity[part])
            few, like = batch.different() if self._prior is None and self.reads_encodings_alone else batch.once()
            mean, deviation = (column[like] for column in self._predict(few, std))
            parts.append((mean if self._prior is None else mean + self._prior(few)[like], deviation))
        mean, deviation = (np.concatenate(column) for column in zip(*parts))
        return mean, deviation

    @property
    def targets(self) -> Targets:
        """The map between scores and what is learned; `PredictorError` before `fit`."""
        if self._targets is None:
            raise PredictorError(f"{type(self).__name__} has not been fitted; call fit(graphs, scores) first")
        return self._targets

    def score(self, graphs: Iterable[Graph], scores: Any) -> dict[str, float]:
        """Kendall's τ and R² of the predictions on graphs with known scores."""
        from .agreement import kendall_tau, r2

        predicted = self.predict(graphs)
        scores = np.asarray(scores, dtype=np.float64)
        return {"kendall_tau": kendall_tau(predicted, scores), "r2": r2(predicted, scores)}

    def explain(self, graphs: Iterable[Graph], *, background: Iterable[Graph] | None = None) -> Explanation:
        """Which features moved the predictions of graphs, by comparison with the graphs that were learned from.

        ``background`` are other graphs to compare with, at least 20. `PredictorError` for fewer.

        >>> import netloom as nl, numpy as np
        >>> space, rng = nl.spaces.Conv((3, 16, 16), 10, max_params=100_000), np.random.default_rng(0)
        >>> graphs = [space.sample(rng) for _ in range(60)]
        >>> predictor = nl.predict.GaussianProcess().fit(graphs, [np.log(graph.num_params) for graph in graphs])
        >>> explanation = predictor.explain(graphs[:3])
        >>> contributions = explanation.contributions.sum(1) + explanation.rest
        >>> bool(np.allclose(explanation.base + contributions, predictor.predict(graphs[:3])))
        True
        """
        from .explaining import explained

        graphs = _graphs(graphs)
        predictions = self.predict(graphs)
        if background is None:
            reference = self.reference()
        else:
            others = _graphs(background)
            reference = encoded(others).features, self.predict(others)
        return explained(encoded(graphs).features, predictions, *reference)

    def reference(self) -> tuple[Array, Array]:
        """Features (R, F) of up to 200 of the graphs that were learned from, and predictions (R,) for them."""
        if self._reference is None:
            self._reference = encoded(self._examples).features.astype(np.float32), self.predict(self._examples)
        return self._reference

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted predictor to a safetensors file, which `netloom.predict.load` reads back."""
        from .saving import write

        return write(self, path)

    # -- what a predictor does ---------------------------------------------------------------------------------------
    def _learn(self, batch: Batch, learned: Array, rng: np.random.Generator) -> None:
        """Learn anew, or after what was learned before."""
        self._prior = None
        if self._before is None:
            self._fit(batch, learned, rng)
        else:
            self._fit_after(self._before, batch, learned, rng)

    def _fit_after(self, before: Predictor, batch: Batch, learned: Array, rng: np.random.Generator) -> None:
        """Learn what is left of normal scores (N,) when the share that ``before`` predicts is taken from them."""
        from .transfer import Prior

        self._prior = Prior.of(before, batch, learned)
        self._fit(batch, learned - self._prior(batch), rng)

    @abstractmethod
    def _fit(self, batch: Batch, normal: Array, rng: np.random.Generator) -> None:
        """Learn normal scores (N,) of a batch."""

    @abstractmethod
    def _predict(self, batch: Batch, std: bool) -> tuple[Array, Array]:
        """Mean and standard deviation (any numbers without ``std``) of normal scores."""

    def _left_out(self) -> LeftOut | None:
        """What the last fit says of training graphs that it did not learn from; None where it cannot tell."""
        return None

    @abstractmethod
    def _state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays and JSON data that hold everything that was learned."""

    @abstractmethod
    def _restore(self, arrays: dict[str, Array], data: dict[str, Any]) -> None:
        """Take over what `_state` gave."""


def _graphs(graphs: Any) -> list[Any]:
    """Graphs as a list, of one graph or network as well; networks by their graphs."""
    if isinstance(graphs, Graph) or hasattr(graphs, "graph"):
        graphs = [graphs]
    return [getattr(graph, "graph", graph) for graph in graphs]


def _checked(graphs: list[Graph], scores: Any, fidelity: Any) -> tuple[list[Graph], Array, Array | None]:
    for i, graph in enumerate(graphs):
        if not isinstance(graph, Graph):
            raise PredictorError(f"item {i} is a {type(graph).__name__}; a predictor reads graphs (see nl.trace)")
    values = _numbers("scores", scores, len(graphs))
    if np.isinf(values).any():
        raise PredictorError(f"score {int(np.isinf(values).argmax())} is infinite; scores must be finite, or NaN where unknown")
    durations = None if fidelity is None else _numbers("fidelity", fidelity, len(graphs))
    if durations is not None and not (durations > 0).all():
        raise PredictorError("fidelity must be above zero for every graph")
    return graphs, values, durations


def _numbers(name: str, values: Any, count: int) -> Array:
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise PredictorError(f"{name} must be {count} numbers, one for each graph") from None
    if found.shape != (count,):
        raise PredictorError(f"{name} has shape {found.shape}; expected ({count},), one number for each graph")
    return found


def _types_of(graph: Graph) -> tuple[tuple[int, ...], ...]:
    """Shapes of one sample of all inputs; the predictor's graphs must share them with those it was fitted on."""
    # Not by `Graph.inputs`, which makes nodes of all calls.
    shapes = [graph.type_of(edge).shape[1:] for argument in graph.arguments for edge in edges(argument.tree)]
    return tuple(tuple(size if isinstance(size, int) else -1 for size in shape) for shape in shapes)


def _shown(types: Any) -> str:
    return ", ".join("×".join("?" if size < 0 else str(size) for size in shape) or "a number" for shape in types)
