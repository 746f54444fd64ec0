"""`GaussianProcess`: additive Matérn kernels over features, paths and neighbourhoods; the best single predictor."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..errors import PredictorError
from .additive_kernel import Array, Fitted, factored, fit_kernel
from .predictor import Batch, LeftOut, Predictor
from .views import Views

#: Labels by which lengths and weights are chosen, and those that predictions are drawn from.
_FOR_KERNEL, _MOST = 300, 2000
#: Rows that predictions are made for at a time.
_ROWS = 8192


#: What blurred path counts count beside features, in `JOINED`.
_BLURRED = 0.5
VIEWS = ("separate", "joined", "neighbours")


class GaussianProcess(Predictor):
    """A Gaussian process: a sum of kernels, of features with a length each, path counts, and counts of neighbourhoods.

    ``views`` says what the kernels are of: ``"separate"``, of features, path counts, path counts blurred over similar paths,
    and neighbourhoods; ``"joined"``, of features and blurred path counts in one, path counts, neighbourhoods;
    ``"neighbours"``, of features and neighbourhoods. Lengths, weights and noise maximise the marginal likelihood under a weak
    prior, on at most 300 labels; predictions draw on at most 2,000, the rest is left out at random. The standard deviation is
    scaled so that the leave-one-out errors of the training graphs have unit variance in its terms.
    """

    kind: ClassVar[str] = "gaussian_process"

    def __init__(self, views: str = "separate") -> None:
        super().__init__()
        if views not in VIEWS:
            raise PredictorError(f"views = {views!r}; expected one of {', '.join(VIEWS)}")
        self.views = views
        self._scale = np.ones(0)

    def _seen(self, batch: Batch) -> tuple[Array, ...]:
        """Views (N, D_i) that have a kernel each, the first with a length for each column."""
        features, paths, blurred, neighbours, regions = batch.seen_through(self._views)
        features = np.hstack([features, regions])
        chosen: tuple[Array, ...] = (features, paths, blurred, neighbours)
        if self.views == "joined":
            chosen = (np.hstack([features, _BLURRED * blurred / self._scale]), paths, neighbours)
        elif self.views == "neighbours":
            chosen = (features, neighbours)
        # A view that tells nothing apart has no columns, and takes part only where it is the first.
        return tuple(view for i, view in enumerate(chosen) if view.shape[1] or not i)

    @property
    def reads_encodings_alone(self) -> bool:
        return True

    def _fit(self, batch: Batch, normal: Array, rng: np.random.Generator) -> None:
        chosen = self._chosen = np.sort(rng.permutation(len(batch))[:_MOST])
        self._views = batch.views
        deviation = batch.seen_through(self._views).blurred.std(0)
        self._scale = np.where(deviation > 1e-9, deviation, 1.0)
        self._rows = tuple(view[chosen] for view in self._seen(batch))
        self._normal = normal[chosen]
        first = np.sort(rng.permutation(len(chosen))[:_FOR_KERNEL])
        self._kernel = fit_kernel(tuple(view[first] for view in self._rows), self._normal[first] - self._normal.mean())
        self._solve()
        # Leave-one-out residuals in closed form: Rasmussen and Williams, "Gaussian Processes for Machine Learning", (5.12).
        precision = np.diagonal(self._inverse)
        self._inflation = float(np.sqrt(np.mean(self._weights**2 / precision)))

    def _solve(self) -> None:
        covariance = self._kernel.kernel(self._rows, self._rows)
        covariance[np.diag_indices_from(covariance)] += self._kernel.signal * (self._kernel.noise + 1e-8)
        factored(covariance, self._kernel.signal)
        self._inverse = np.linalg.inv(covariance)
        self._mean = float(self._normal.mean())
        self._weights = self._inverse @ (self._normal - self._mean)

    def _predict(self, batch: Batch, std: bool) -> tuple[Array, Array]:
        views = self._seen(batch)
        mean, deviation = np.empty(len(batch)), np.zeros(len(batch))
        for start in range(0, len(batch), _ROWS):
            rows = slice(start, start + _ROWS)
            shared = self._kernel.kernel(tuple(view[rows] for view in views), self._rows, np.float32)
            mean[rows] = self._mean + shared @ self._weights
            if std:
                explained = np.einsum("ij,ij->i", shared @ self._inverse, shared)
                variance = np.maximum(self._kernel.variance - explained, 1e-9) + self._kernel.signal * self._kernel.noise
                deviation[rows] = self._inflation * np.sqrt(variance)
        return mean, deviation

    def _left_out(self) -> LeftOut:
        precision = np.diagonal(self._inverse)
        return LeftOut(self._chosen, self._normal - self._weights / precision, self._inflation / np.sqrt(precision))

    def _state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        arrays, data = self._views.as_data()
        arrays = {f"views.{name}": array for name, array in arrays.items()}
        arrays |= {f"rows.{i}": view for i, view in enumerate(self._rows)}
        arrays |= {f"scale.{i}": scale for i, scale in enumerate(self._kernel.scales)}
        arrays |= {"normal": self._normal, "blur.scale": self._scale}
        kernel = {"weights": self._kernel.weights, "noise": self._kernel.noise, "signal": self._kernel.signal}
        return arrays, {"views": data, "of": self.views, "kernel": kernel, "inflation": self._inflation}

    def _restore(self, arrays: dict[str, Array], data: dict[str, Any]) -> None:
        views = {name.removeprefix("views."): array for name, array in arrays.items() if name.startswith("views.")}
        self._views = Views.from_data(views, data["views"])
        self.views, self._scale = data["of"], arrays["blur.scale"]
        kernel = data["kernel"]
        count = len(kernel["weights"])
        self._rows = tuple(arrays[f"rows.{i}"] for i in range(count))
        scales = tuple(arrays[f"scale.{i}"] for i in range(count))
        self._kernel = Fitted(scales, tuple(kernel["weights"]), kernel["noise"], kernel["signal"])
        self._normal, self._inflation = arrays["normal"], data["inflation"]
        self._solve()
