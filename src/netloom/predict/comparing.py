"""Predictors side by side: the same splits for all, and what differs between two of them on the same split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import PredictorError
from .agreement import kendall_tau, r2
from .predictor import FEWEST, Array, Predictor

if TYPE_CHECKING:
    import pandas

    from ..graph.graph import Graph


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Kendall's τ and R² (P, S) of P predictors on S splits of ``num_train`` training and ``num_test`` test graphs."""

    names: tuple[str, ...]
    kendall_tau: Array
    r2: Array
    seconds: Array
    num_train: int
    num_test: int

    def frame(self) -> pandas.DataFrame:
        """A row for each predictor: mean and standard deviation of τ and R², mean seconds of fitting and predicting."""
        import pandas as pd

        ddof = int(self.kendall_tau.shape[1] > 1)
        return pd.DataFrame({
            "predictor": self.names,
            "kendall_tau": self.kendall_tau.mean(1), "kendall_tau_sd": self.kendall_tau.std(1, ddof=ddof),
            "r2": self.r2.mean(1), "r2_sd": self.r2.std(1, ddof=ddof), "seconds": self.seconds.mean(1),
        })  # fmt: skip

    def paired(self) -> pandas.DataFrame:
        """A row for each pair: mean difference of τ, its 95 % interval over splits, p of Student's paired t-test.

        Splits share graphs, so that intervals are narrower than those of new tables would be.
        """
        import pandas as pd
        from scipy import stats

        rows = []
        for a, b in combinations(range(len(self.names)), 2):
            differences = self.kendall_tau[a] - self.kendall_tau[b]
            mean, count = float(differences.mean()), len(differences)
            error = float(differences.std(ddof=1) / count**0.5) if count > 1 else float("nan")
            half = float(stats.t.ppf(0.975, count - 1)) * error if count > 1 else float("nan")
            p = float(2 * stats.t.sf(abs(mean) / error, count - 1)) if count > 1 and error > 0 else float("nan")
            rows.append((self.names[a], self.names[b], mean, mean - half, mean + half, p, int((differences > 0).sum())))
        return pd.DataFrame(rows, columns=["first", "second", "difference", "low", "high", "p", "wins"])


def compare(
    predictors: Mapping[str, Callable[[], Predictor]],
    graphs: Sequence[Graph],
    scores: Any,
    *,
    train: int | float = 0.8,
    seeds: int = 10,
    fidelity: Any = None,
    told: Callable[[str, int], None] | None = None,
) -> Comparison:
    """How well predictors do on ``seeds`` random splits, the same for all.

    ``train`` is a number of graphs, or a share; the others are predicted. Graphs with NaN scores are left out. ``told(name,
    seed)`` is called before each fit. `PredictorError` where too few graphs are left for either part.

    >>> import netloom as nl, numpy as np
    >>> space, rng = nl.spaces.Conv((3, 16, 16), 10, max_params=100_000), np.random.default_rng(0)
    >>> graphs = [space.sample(rng) for _ in range(40)]
    >>> scores = [np.log(graph.num_params) for graph in graphs]
    >>> found = compare({"a": nl.predict.GaussianProcess}, graphs, scores, train=30, seeds=2)
    >>> found.kendall_tau.shape, found.num_test
    ((1, 2), 10)
    """
    values = np.asarray(scores, dtype=np.float64)
    if len(values) != len(graphs):
        raise PredictorError(f"{len(values)} scores for {len(graphs)} graphs; expected one for each")
    kept = np.flatnonzero(~np.isnan(values))
    count = round(train * len(kept)) if isinstance(train, float) and train < 1 else int(train)
    if count < FEWEST or len(kept) - count < 2:
        raise PredictorError(
            f"{count} of {len(kept)} graphs with a score would be learned from; a comparison needs {FEWEST} or more of them, "
            "and 2 others to predict"
        )
    if not predictors or seeds < 1:
        raise PredictorError(f"{len(predictors)} predictors, {seeds} seeds; a comparison needs one of each")
    import time

    durations = None if fidelity is None else np.asarray(fidelity, dtype=np.float64)
    tau, explained, seconds = (np.zeros((len(predictors), seeds)) for _ in range(3))
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(kept)
        learned, predicted = order[:count], order[count:]
        for i, (name, make) in enumerate(predictors.items()):
            if told is not None:
                told(name, seed)
            begun = time.perf_counter()
            given: dict[str, Any] = {} if durations is None else {"fidelity": durations[learned]}
            fitted = make().fit([graphs[j] for j in learned], values[learned], seed=seed, **given)
            asked: dict[str, Any] = {} if durations is None else {"fidelity": durations[predicted]}
            found = fitted.predict([graphs[j] for j in predicted], **asked)
            seconds[i, seed] = time.perf_counter() - begun
            tau[i, seed], explained[i, seed] = kendall_tau(found, values[predicted]), r2(found, values[predicted])
    return Comparison(tuple(predictors), tau, explained, seconds, count, len(kept) - count)
