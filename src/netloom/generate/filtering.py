"""`filtered`: samples of a space of which only those are kept that a predictor thinks well of."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GeneratorError
from ..predict import Predictor
from ..predict import load as load_predictor
from ..spaces import Space
from ..spaces import load as load_space
from .drawing import check_caps

if TYPE_CHECKING:
    from ..graph.graph import Graph

Array = np.ndarray[Any, Any]

#: Samples that are predicted together; the first ones, whose predictions are what a quantile is of.
_TOGETHER, _FIRST = 50, 200
#: Draws for each network that is asked for, and beyond.
_PER_NETWORK, _BEYOND = 100, 2000


@dataclass(slots=True)
class Filtered:
    """Samples that passed, in the order drawn, with what is predicted of each (N,).

    Of ``drawn`` samples ``repeated`` were there already and ``too_large`` exceed a cap; ``passed`` of the rest were predicted
    at ``least`` or above. ``highest`` is the best that was predicted.
    """

    n: int
    least: float
    graphs: list[Graph] = field(default_factory=list)
    predicted: Array = field(default_factory=lambda: np.zeros(0))
    drawn: int = 0
    repeated: int = 0
    too_large: int = 0
    passed: int = 0
    highest: float = -np.inf

    @property
    def is_short(self) -> bool:
        """Whether there are fewer than were asked for."""
        return len(self.graphs) < self.n

    @property
    def acceptance_rate(self) -> float:
        """The share of samples within the caps, repeats left out, that passed."""
        looked_at = self.drawn - self.repeated - self.too_large
        return self.passed / looked_at if looked_at else 0.0

    def shortage(self) -> str:
        """Why there are too few, and what would help."""
        caps = f", {self.too_large:,} exceed the caps" if self.too_large else ""
        return (
            f"{len(self.graphs):,} of {self.n:,} networks came of {self.drawn:,} draws ({self.repeated:,} repeated{caps}): "
            f"{self.acceptance_rate:.2%} are predicted {self.least:.4g} or better, {self.highest:.4g} at best; ask for a lower "
            "score or for fewer, or allow more draws"
        )


def filtered(
    space: Space | str,
    predictor: Predictor | str | os.PathLike[str],
    n: int = 1,
    *,
    min_score: float | None = None,
    min_quantile: float | None = None,
    seed: int = 0,
    max_params: float | None = None,
    max_flops: float | None = None,
    most_draws: int | None = None,
    told: Callable[[int, int], object] | None = None,
) -> Filtered:
    """Up to ``n`` different samples of a space that are predicted ``min_score`` or better.

    With ``min_quantile`` instead, better than that quantile of what the first 200 samples are predicted. Draw i is
    ``space.sample(numpy.random.default_rng([seed, i]))``, as in `netloom.spaces.sample_many`; after ``most_draws`` (100 for
    each network and 2,000 more) it ends, and the result ``is_short``. ``told(found, drawn)`` is called now and then.
    `GeneratorError` for settings that make no sense, `PredictorError` for a space whose inputs the predictor does not know.

    >>> import netloom as nl, numpy as np
    >>> space, rng = nl.spaces.MLP(16, 4), np.random.default_rng(0)
    >>> graphs = [space.sample(rng) for _ in range(60)]
    >>> predictor = nl.predict.Trees().fit(graphs, [-graph.num_params for graph in graphs])
    >>> found = filtered(space, predictor, 5, min_quantile=0.8)
    >>> bool(max(graph.num_params for graph in found.graphs) < np.median([graph.num_params for graph in graphs]))
    True
    """
    if type(n) is not int or n < 1:
        raise GeneratorError(f"n = {n!r}; expected an integer ≥ 1")
    if (min_score is None) == (min_quantile is None):
        raise GeneratorError("give min_score or min_quantile, one of them: it says which samples are kept")
    if min_quantile is not None and not 0 <= min_quantile <= 1:
        raise GeneratorError(f"min_quantile = {min_quantile!r}; expected a number between 0 and 1")
    if most_draws is not None and (type(most_draws) is not int or most_draws < 1):
        raise GeneratorError(f"most_draws = {most_draws!r}; expected an integer ≥ 1")
    check_caps(max_params, max_flops)
    known = predictor if isinstance(predictor, Predictor) else load_predictor(predictor)
    source = load_space(space) if isinstance(space, str) else space
    found = Filtered(n, np.nan if min_score is None else float(min_score))
    seen: set[str] = set()
    most = most_draws or _PER_NETWORK * n + _BEYOND
    while found.is_short and found.drawn < most:
        count = min(_FIRST if min_quantile is not None and not found.drawn else _TOGETHER, most - found.drawn)
        graphs = _new(source, seed, count, found, seen, max_params, max_flops)
        predicted = known.predict(graphs)
        if min_quantile is not None and np.isnan(found.least):
            if not len(predicted):
                continue
            found.least = float(np.quantile(predicted, min_quantile))
        _keep(graphs, predicted, found)
        if told is not None:
            told(len(found.graphs), found.drawn)
    return found


def _new(
    space: Space, seed: int, count: int, found: Filtered, seen: set[str], max_params: float | None, max_flops: float | None
) -> list[Graph]:
    """The next samples, without repeats and such as exceed a cap."""
    graphs = []
    for _ in range(count):
        graph = space.sample(np.random.default_rng([seed, found.drawn]))
        found.drawn += 1
        if graph.hash in seen:
            found.repeated += 1
            continue
        seen.add(graph.hash)
        if (max_params is not None and graph.num_params > max_params) or (max_flops is not None and graph.flops > max_flops):
            found.too_large += 1
        else:
            graphs.append(graph)
    return graphs


def _keep(graphs: list[Graph], predicted: Array, found: Filtered) -> None:
    found.highest = max(found.highest, float(predicted.max(initial=-np.inf)))
    passing = [i for i, value in enumerate(predicted) if value >= found.least]
    found.passed += len(passing)
    kept = passing[: found.n - len(found.graphs)]
    found.graphs += [graphs[i] for i in kept]
    found.predicted = np.concatenate([found.predicted, predicted[kept]])
