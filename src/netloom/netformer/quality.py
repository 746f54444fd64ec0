"""`WeightPredictor`: how good a trained network is, from its weights and answers alone, without data."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import NetformerError
from ..predict.forest import Forest
from .config import expect
from .populations import Population

if TYPE_CHECKING:
    import os

    from .model import Netformer

Array = np.ndarray[Any, Any]
FEATURES = ("statistics", "outputs", "all")
VERSION = 1
_RATE = 0.05


class WeightPredictor:
    """Predicts scores of trained networks: `fit` on networks with known scores, `predict` others, as predictors of graphs do.

    ``features``: ``"statistics"`` of each layer's weights and biases (mean, variance, quantiles: Unterthiner et al. 2020,
    arXiv 2002.11448), ``"outputs"`` adds statistics of the answers at the probe inputs, ``"all"`` the latents too. Boosted
    trees learn from them. Networks are those that ``former`` reads.
    """

    def __init__(self, former: Netformer, features: str = "all", num_trees: int = 300) -> None:
        if not hasattr(former, "population"):
            raise NetformerError(f"a {type(former).__name__} is no Netformer; nl.netformer.load(FILE or name) gives one")
        expect(features in FEATURES, "features", features, f"one of {', '.join(FEATURES)}")
        expect(type(num_trees) is int and num_trees >= 1, "num_trees", num_trees, "a whole number ≥ 1")
        self.former, self.features, self.num_trees = former, features, num_trees
        self._forest: Forest | None = None

    def fit(self, networks: Any, scores: Any, *, seed: int = 0) -> WeightPredictor:
        """Learn the scores (N,) of networks (a zoo, a `Population`, or a list); gives itself."""
        from sklearn.ensemble import GradientBoostingRegressor

        population = self.former.population(networks)
        try:
            wanted = np.asarray(scores, dtype=np.float64)
        except (TypeError, ValueError):
            raise NetformerError("scores are no numbers; give one for each network") from None
        if wanted.shape != (len(population),) or not np.isfinite(wanted).all():
            raise NetformerError(f"scores have shape {wanted.shape}; expected {len(population)} finite numbers, one a network")
        if len(wanted) < 4 or not np.ptp(wanted):
            raise NetformerError("there is nothing to learn: give four networks or more, with different scores")
        # By rank: a few networks that failed would outweigh all others.
        normal = np.argsort(np.argsort(wanted, kind="stable"), kind="stable") / (len(wanted) - 1)
        grown = GradientBoostingRegressor(
            n_estimators=self.num_trees, learning_rate=_RATE, max_depth=5, max_features=0.2, subsample=0.7, random_state=seed
        ).fit(self.table(population), normal)
        trees = [stage[0].tree_ for stage in grown.estimators_]
        self._forest = Forest.of_trees(trees, _RATE, float(grown.init_.constant_[0, 0]))
        self._sorted = np.sort(wanted)
        return self

    def predict(self, networks: Any) -> Array:
        """Scores (N,) of networks."""
        if self._forest is None:
            raise NetformerError("this WeightPredictor has not been fitted; call fit(networks, scores) first")
        ranks = np.clip(self._forest(self.table(self.former.population(networks))), 0, 1)
        found: Array = np.interp(ranks, np.linspace(0, 1, len(self._sorted)), self._sorted)
        # Beyond the known scores ranks still tell networks apart.
        return found + 1e-9 * ranks

    def table(self, population: Population) -> Array:
        """Features (N, F) of networks."""
        parts = [weight_statistics(population), population.structures.features(self.former.family).numpy()]
        if self.features != "statistics":
            parts.append(output_statistics(population, self.former))
        if self.features == "all":
            parts.append(self.former.encode(population))
        return np.concatenate(parts, axis=1)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the trees to a safetensors file; `load` reads them for the same Netformer."""
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        if self._forest is None:
            raise NetformerError("this WeightPredictor has not been fitted; call fit(networks, scores) first")
        arrays = {f.name: getattr(self._forest, f.name) for f in fields(Forest) if f.name not in ("weight", "bias")}
        about = {"weight predictor": VERSION, "features": self.features, "weight": _RATE, "bias": self._forest.bias}
        target = Path(path)
        try:
            save_file({**arrays, "scores": self._sorted}, target, metadata={"netloom": json.dumps(about)})
        except (OSError, SafetensorError) as error:
            raise NetformerError(f"the predictor cannot be written to {str(target)!r}: {error}") from None
        return target

    @staticmethod
    def load(path: str | os.PathLike[str], former: Netformer) -> WeightPredictor:
        """The predictor of a file that `save` wrote; ``former`` is the Netformer that it was fitted with."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="numpy") as file:
                about = json.loads((file.metadata() or {}).get("netloom", "{}"))
                arrays = {name: file.get_tensor(name) for name in file.keys()}
            if about["weight predictor"] != VERSION:
                raise NetformerError(f"{str(path)!r} is of version {about['weight predictor']!r}; this netloom reads {VERSION}")
            made = WeightPredictor(former, about["features"])
            made._sorted = arrays.pop("scores")
            made._forest = Forest(**arrays, weight=about["weight"], bias=about["bias"])
            return made
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, NetformerError):
                raise
            raise NetformerError(f"{str(path)!r} is no weight predictor that netloom wrote: {error}") from None


def weight_statistics(population: Population) -> Array:
    """Mean, variance and quantiles 0, ¼, ½, ¾, 1 of the weights and of the biases of each layer, (M, 14·(L + 1)).

    Layers that a network does not have are zeros.
    """
    layers = len(population.weights)
    found = np.zeros((len(population), layers + 1, 2, 7), np.float32)
    for place in range(len(population)):
        arrays = [tensor.numpy().reshape(-1) for tensor in population.state(place)]
        depth = len(arrays) // 2 - 1
        for number, (weight, bias) in enumerate(zip(arrays[::2], arrays[1::2])):
            row = layers if number == depth else number
            for which, values in enumerate((weight, bias)):
                found[place, row, which] = [values.mean(), values.var(), *np.quantile(values, [0, 0.25, 0.5, 0.75, 1])]
    return found.reshape(len(population), -1)


def output_statistics(population: Population, former: Netformer) -> Array:
    """Seven numbers of each output at the probe inputs, (M, 7·K): mean, spread, skewness, kurtosis, extremes, and the share of
    the spread that a linear function explains.
    """
    with torch.no_grad():
        probes = former.core.probes_for(1)[0]
        outputs = population.outputs(probes, former.family).double()
    mean, spread = outputs.mean(1), outputs.std(1).clamp(min=1e-9)
    normal = (outputs - mean[:, None]) / spread[:, None]
    design = torch.cat([probes, torch.ones(len(probes), 1)], 1).double()
    projection = design @ torch.linalg.pinv(design)
    linear = ((projection @ normal) ** 2).mean(1)
    parts = [mean, spread.log(), (normal**3).mean(1), (normal**4).mean(1), normal.amax(1), normal.amin(1), linear]
    found: Array = torch.cat(parts, 1).float().numpy()
    return found
