"""`Classifier` and `Regressor`: a search behind the interface of scikit-learn."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from ..errors import SearchError
from ..training import recipe as find_recipe
from .blending import blend
from .budget import Budget
from .refitting import refitted
from .run import search

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..spaces import Space
    from ..tasks import Task
    from ..training import Recipe
    from .result import SearchResult

Array = np.ndarray[Any, Any]

#: Samples of which fewer are not split: networks are then compared on what they learned from.
_FEWEST = 10
#: Optimiser steps of one training that suit most tables, and the epochs that they may take.
_STEPS, _EPOCHS = 1200, (8, 120)
#: The share of a budget in time that the search has, where networks are refitted afterwards.
_SEARCHED = 0.8
#: Rows that predictions are made for at a time.
_ROWS = 4096


class _Searched(BaseEstimator):  # type: ignore[misc]
    """What both estimators have in common."""

    _kind: str
    search_: SearchResult
    best_graph_: Graph
    networks_: list[Any]
    shares_: tuple[float, ...]
    _preprocessing: Any

    def __init__(
        self,
        budget: Any = "5m",
        *,
        space: Any = None,
        strategy: Any = "evolution?initial=8",
        recipe: Any = None,
        valid: float = 0.2,
        blended: int = 8,
        refit: bool = True,
        executor: str = "inprocess",
        store: Any = None,
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.budget = budget
        self.space = space
        self.strategy = strategy
        self.recipe = recipe
        self.valid = valid
        self.blended = blended
        self.refit = refit
        self.executor = executor
        self.store = store
        self.seed = seed
        self.progress = progress

    # -- fitting ---------------------------------------------------------------------------------------------------
    def _search(self, X: Any, y: Array) -> Self:
        if isinstance(self.blended, bool) or not isinstance(self.blended, int) or self.blended < 1:
            raise SearchError(f"blended = {self.blended!r}; expected how many networks predict together, an integer ≥ 1")
        if not isinstance(self.refit, bool | np.bool_):
            raise SearchError(f"refit = {self.refit!r}; expected True or False: whether networks learn from all samples too")
        begun = time.perf_counter()
        task = self._task(X, y)
        budget, recipe = Budget.of(self.budget), find_recipe(self._recipe(task))
        again = self.refit and len(y) >= _FEWEST
        seconds = budget.seconds if again else None
        self.search_ = search(
            self._space(task), task, self.strategy, budget if seconds is None else replace(budget, seconds=_SEARCHED * seconds),
            recipe=recipe, executor=self.executor, store=self.store, seed=self.seed, progress=self.progress,
        )  # fmt: skip
        best = self.search_.best
        self.best_graph_, self.best_score_ = best.graph, best.score
        self.networks_, self.shares_ = blend(self.search_, task, self.blended)
        if again:
            left = None if seconds is None else seconds - (time.perf_counter() - begun)
            self._add_refitted(refitted([n.graph for n in self.networks_], task, recipe, seed=self.seed, seconds=left))
        self._preprocessing = task.preprocessing
        return self

    def _add_refitted(self, networks: list[Any]) -> None:
        """Each network shares its part with the one of its architecture that learned from all samples, if there is one."""
        pairs = list(zip(self.networks_, networks, self.shares_))
        halved = [(new, share / 2) for _, new, share in pairs if new is not None]
        kept = [(old, share if new is None else share / 2) for old, new, share in pairs]
        self.networks_ = [network for network, _ in (*kept, *halved)]
        self.shares_ = tuple(share for _, share in (*kept, *halved))

    def _task(self, X: Any, y: Array) -> Task:
        from .. import tasks

        few = len(y) < _FEWEST
        parts: dict[str, Any] = {"valid": (X, y) if few else self.valid, "test": 0, "seed": self.seed}
        return tasks.from_arrays(X, y, name="table", kind=self._kind, **parts)

    def _space(self, task: Task) -> Space | str:
        from .. import spaces

        if self.space is not None:
            return self.space  # type: ignore[no-any-return]
        if len(task.input_shape) == 3:
            return spaces.Conv(task.input_shape, task.num_outputs)
        return spaces.MLP(
            task.input_shape, task.num_outputs, layers=(1, 2, 3), widths=(32, 64, 128, 256),
            activations=("relu", "gelu", "silu"), norm=(None, "batch", "layer"), skip=0.3, dropout=(0.0, 0.1, 0.3),
        )  # fmt: skip

    def _recipe(self, task: Task) -> Recipe | str:
        from ..training import Recipe

        if self.recipe is not None:
            return self.recipe  # type: ignore[no-any-return]
        samples = len(task.train)
        batch_size = min(256, max(16, 2 ** round(math.log2(max(samples / 40, 1)))))
        epochs = round(_STEPS * batch_size / max(samples, 1))
        return Recipe(epochs=min(max(epochs, _EPOCHS[0]), _EPOCHS[1]), batch_size=batch_size, weight_decay=0.05)

    # -- predicting ------------------------------------------------------------------------------------------------
    def _checked(self, X: Any) -> Any:
        check_is_fitted(self, "networks_")
        return X if _is_frame(X) else validate_data(self, X, reset=False, allow_nd=True, dtype=None, ensure_all_finite=True)

    def _outputs(self, X: Any) -> list[Any]:
        """What each network says of the rows, as float64 tensors (N, outputs)."""
        import torch

        checked = _plain(self._checked(X))
        x = self._preprocessing.transform(checked)
        with torch.inference_mode():
            return [torch.cat([network(part) for part in x.double().split(_ROWS)]) for network in self.networks_]

    # -- states ----------------------------------------------------------------------------------------------------
    def __getstate__(self) -> dict[str, Any]:
        """Graphs as JSON and weights as bytes; the search itself stays behind, with its store."""
        state = dict(super().__getstate__())
        if "networks_" in state:
            state["networks_"] = [_packed(network) for network in state["networks_"]]
            state["best_graph_"] = state["best_graph_"].to_json()
        state.pop("search_", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "networks_" in state:
            from ..graph.graph import Graph

            state = {**state, "networks_": [_unpacked(*packed) for packed in state["networks_"]]}
            state["best_graph_"] = Graph.from_json(state["best_graph_"])
        super().__setstate__(state)


class Classifier(ClassifierMixin, _Searched):  # type: ignore[misc]
    """A classifier found by a search: ``fit(X, y)``, ``predict``, ``predict_proba``, ``score`` as scikit-learn has them.

    X (N, features), a DataFrame with columns of any kind, or images (N, C, H, W). ``budget`` is that of `nl.search`;
    ``valid`` the share of the samples that networks are compared on; the ``blended`` best-suited of them predict together
    (Caruana et al. 2004), 1 for the incumbent alone. With ``refit`` each is joined by one of its architecture that learns
    anew from all samples, the compared ones included; a budget in time keeps a fifth for that. ``space``, ``strategy``,
    ``recipe``, ``executor`` and ``store`` are those of `nl.search`; by default perceptrons for tables and convolutional
    networks for images, with as many epochs as the number of samples suggests. Afterwards ``best_graph_`` and ``best_score_``
    are the incumbent's, ``search_`` is the `SearchResult` (lost when pickled), ``classes_`` the labels.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> Classifier(budget=3).fit(X, y).score(X, y) > 0.8
    True
    """

    _kind = "classification"

    def fit(self, X: Any, y: Any) -> Self:
        """Search for networks that tell the labels ``y`` (N,) apart. `ValueError` where the arrays do not fit."""
        X, y = _data(self, X, y)
        check_classification_targets(y)
        y = column_or_1d(y, warn=True)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"Classifier needs samples of at least 2 classes, but y has only one class: {self.classes_[0]!r}")
        return self._search(X, codes)

    def predict_proba(self, X: Any) -> Array:
        """Probabilities (N, classes) in the order of ``classes_``."""
        outputs = self._outputs(X)
        mixed = sum(share * output.softmax(1) for share, output in zip(self.shares_, outputs))
        found: Array = mixed.numpy()  # type: ignore[union-attr]
        return found

    def predict(self, X: Any) -> Array:
        """Labels (N,)."""
        codes = self.predict_proba(X).argmax(1)
        found: Array = self.classes_[codes]
        return found

    def _task(self, X: Any, y: Array) -> Task:
        from .. import tasks

        if _is_frame(X):
            return super()._task(X, y)
        few = len(y) < _FEWEST
        names = tuple(map(str, range(len(self.classes_))))
        parts: dict[str, Any] = {"valid": (X, y) if few else self.valid, "test": 0, "seed": self.seed}
        return tasks.from_arrays(X, y, name="table", class_names=names, **parts)


class Regressor(RegressorMixin, _Searched):  # type: ignore[misc]
    """A regressor found by a search: ``fit(X, y)``, ``predict``, ``score`` (R²) as scikit-learn has them.

    y is (N,) or (N, targets). Everything else is as for `Classifier`.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> Regressor(budget=3).fit(X, y).score(X, y) > 0.2
    True
    """

    _kind = "regression"

    def fit(self, X: Any, y: Any) -> Self:
        """Search for networks that predict ``y``. `ValueError` where the arrays do not fit."""
        X, y = _data(self, X, y, multi_output=True, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._one_target = y.ndim == 1
        return self._search(X, np.asarray(y, dtype=np.float64))

    def predict(self, X: Any) -> Array:
        """Predictions (N,) or (N, targets), in the units of y."""
        outputs = self._outputs(X)
        mixed: Any = sum(share * output for share, output in zip(self.shares_, outputs))
        found: Array = np.asarray(self._preprocessing.restore(mixed), dtype=np.float64).reshape(len(mixed), -1)
        return found[:, 0] if self._one_target else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _data(estimator: Any, X: Any, y: Any, **options: Any) -> tuple[Any, Array]:
    """Checked inputs and targets; a DataFrame stays one, so that its columns may be of any kind."""
    if y is None:
        raise ValueError("This estimator requires y to be passed, but the target y is None")
    if not _is_frame(X):
        X, y = validate_data(estimator, X, y, allow_nd=True, dtype=None, **options)
        if len(y) < 2:
            raise ValueError(f"Found array with n_samples = {len(y)}; a search needs at least 2 samples")
        return _plain(X), y
    from sklearn.utils import check_consistent_length

    check_consistent_length(X, y)
    y = np.asarray(y)
    estimator.n_features_in_ = X.shape[1]
    estimator.feature_names_in_ = np.asarray([str(name) for name in X.columns], dtype=object)
    return X, y


def _plain(X: Any) -> Any:
    """Numbers that may stand as text become numbers; images of bytes stay bytes."""
    if _is_frame(X) or X.dtype == np.uint8:
        return X
    return np.asarray(X, dtype=np.float64)


def _is_frame(X: Any) -> bool:
    return type(X).__name__ == "DataFrame" and hasattr(X, "columns")


def _packed(network: Any) -> tuple[str, bytes]:
    from safetensors.torch import save

    return network.graph.to_json(), save({key: t.contiguous().clone() for key, t in network.state_dict().items()})


def _unpacked(graph: str, weights: bytes) -> Any:
    from safetensors.torch import load

    from ..building.network import build
    from ..graph.graph import Graph

    return build(Graph.from_json(graph), weights=load(weights)).double().eval()


