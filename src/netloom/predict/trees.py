"""`Trees`: randomised and boosted regression trees on features, path counts and neighbourhoods."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .forest import Array, Forest
from .predictor import Batch, LeftOut, Predictor
from .views import Views

#: Above this many labels trees are grown on samples of as many.
_MOST = 20_000
#: Share of each boosted tree that is added.
_RATE = 0.06
#: Trees by which errors on rows that were not seen are measured.
_HELD_OUT = 20


class Trees(Predictor):
    """Extremely randomised trees (Geurts et al., 2006) and stochastic gradient boosting (Friedman, 2002), averaged.

    Randomised trees see each set of columns that order the training graphs alike once, which says more evenly what splits may
    be of. The standard deviation is the error of randomised trees on a third of the graphs that they were not grown on.
    """

    kind: ClassVar[str] = "trees"

    def __init__(self, num_trees: int = 200, boosted: bool = True) -> None:
        super().__init__()
        self.num_trees, self.boosted = num_trees, boosted

    @property
    def reads_encodings_alone(self) -> bool:
        return True

    def _fit(self, batch: Batch, normal: Array, rng: np.random.Generator) -> None:
        from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor

        self._views = batch.views
        x, seed = self._table(batch), int(rng.integers(2**31))
        share = min(1.0, _MOST / len(x))
        different = _different(x)
        grown = ExtraTreesRegressor(
            self.num_trees, max_features=0.4, random_state=seed, bootstrap=share < 1, max_samples=share if share < 1 else None
        ).fit(x[:, different], normal)
        self._random = Forest.of_trees([tree.tree_ for tree in grown.estimators_], 1 / self.num_trees, columns=different)
        self._steps: Forest | None = None
        if self.boosted:
            boosted = GradientBoostingRegressor(
                n_estimators=150, learning_rate=_RATE, max_depth=4, max_features=0.1, subsample=min(0.7, share),
                random_state=seed,
            ).fit(x, normal)  # fmt: skip
            trees = [stage[0].tree_ for stage in boosted.estimators_]
            self._steps = Forest.of_trees(trees, _RATE, float(boosted.init_.constant_[0, 0]))
        held, predicted = self._held_out(x[:, different], normal, seed)
        self._error = float(np.sqrt(np.mean((predicted - normal[held]) ** 2)))
        self._held = LeftOut(held, predicted, np.full(len(held), self._error))

    def _held_out(self, x: Array, normal: Array, seed: int) -> tuple[Array, Array]:
        """A third of the rows, and what a few trees that have not seen them predict."""
        from sklearn.ensemble import ExtraTreesRegressor

        order = np.random.default_rng(seed).permutation(len(x))[:3000]
        held, rest = order[: len(order) // 3], order[len(order) // 3 :]
        small = ExtraTreesRegressor(_HELD_OUT, max_features=0.4, random_state=seed).fit(x[rest], normal[rest])
        return held, small.predict(x[held])

    def _left_out(self) -> LeftOut:
        return self._held

    def _table(self, batch: Batch) -> Array:
        views = batch.seen_through(self._views)
        return np.hstack([batch.encoded.features[:, self._views.columns.kept], *views[1:]])

    def _predict(self, batch: Batch, std: bool) -> tuple[Array, Array]:
        x = self._table(batch)
        mean = self._random(x)
        if self._steps is not None:
            mean = 0.5 * (mean + self._steps(x))
        return mean, np.full(len(batch), self._error)

    def _state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        arrays, data = self._views.as_data()
        arrays = {f"views.{name}": array for name, array in arrays.items()}
        forests = {"random": self._random, "boosted": self._steps}
        numbers: dict[str, Any] = {}
        for name, forest in forests.items():
            if forest is not None:
                arrays |= {f"{name}.{field}": getattr(forest, field) for field in _ARRAYS}
                numbers[name] = [forest.weight, forest.bias]
        return arrays, {"views": data, "forests": numbers, "error": self._error}

    def _restore(self, arrays: dict[str, Array], data: dict[str, Any]) -> None:
        views = {name.removeprefix("views."): array for name, array in arrays.items() if name.startswith("views.")}
        self._views = Views.from_data(views, data["views"])
        found = {}
        for name, (weight, bias) in data["forests"].items():
            found[name] = Forest(**{field: arrays[f"{name}.{field}"] for field in _ARRAYS}, weight=weight, bias=bias)
        self._random, self._steps, self._error = found["random"], found.get("boosted"), data["error"]


def _different(x: Array) -> Array:
    """The first of each set of columns that order the rows alike."""
    ranks = np.array([np.unique(column, return_inverse=True)[1] for column in x.T], dtype=np.int32)
    return np.sort(np.unique(ranks, axis=0, return_index=True)[1])


_ARRAYS = ("feature", "threshold", "left", "right", "value", "roots")
