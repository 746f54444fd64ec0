"""Every predictor passes the suite, and a spoiled one does not."""

import numpy as np
import pytest

import netloom as nl
from netloom.testing.predictors import check_predictor

#: Kinds that learn from graphs and scores alone; the neural ones made small.
KINDS = {
    "Ensemble": nl.predict.Ensemble,
    "Trees": lambda: nl.predict.Trees(num_trees=50),
    **{f"GaussianProcess {views}": lambda views=views: nl.predict.GaussianProcess(views) for views in ("separate", "joined")},
    "neighbours": lambda: nl.predict.GaussianProcess("neighbours"),
    **{
        kind.__name__: lambda kind=kind: kind(steps=60, members=2)
        for kind in (nl.predict.NeuralPredictor, nl.predict.TokenTransformer, nl.predict.LSTM)
    },
}


@pytest.mark.parametrize("name", KINDS)
def test_predictor_keeps_its_contract(name):
    check_predictor(KINDS[name], least_tau=0.3)


class Lazy(nl.predict.GaussianProcess):
    def _predict(self, batch, std):
        mean, deviation = super()._predict(batch, std)
        return mean + np.arange(len(mean)), deviation


class Negative(nl.predict.GaussianProcess):
    def _predict(self, batch, std):
        mean, deviation = super()._predict(batch, std)
        return mean, deviation - 10


class Forgetful(nl.predict.GaussianProcess):
    def _restore(self, arrays, data):
        super()._restore(arrays, data)
        self._mean += 1


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [(Lazy, "depend on the order"), (Negative, "expected ≥ 0"), (Forgetful, "expected|read as|change by")],
)
def test_spoiled_predictors_are_found(spoiled, message):
    with pytest.raises(AssertionError, match=message):
        check_predictor(spoiled)


def test_views_that_there_are_not():
    with pytest.raises(nl.errors.PredictorError, match="views = 'all'; expected one of separate, joined, neighbours"):
        nl.predict.GaussianProcess("all")
