"""The estimators: what scikit-learn asks of one, tables with columns of any kind, images, pickles that run no code of torch."""

from __future__ import annotations

import pickle
import pickletools
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import netloom as nl
from netloom.errors import SearchError
from netloom.searching.refitting import joined
from netloom.training import recipe as find_recipe

QUICK = {"epochs": 4, "batch_size": 32}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [nl.Classifier, nl.Regressor])
def test_all_that_scikit_learn_asks(kind: Any) -> None:
    """No check is excluded; one is skipped by scikit-learn itself where the array API is switched off."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_estimator(kind(budget=3, recipe=QUICK), on_fail=None, on_skip=None)
    wrong = {r["check_name"]: r["exception"] for r in found if r["status"] not in ("passed", "skipped")}
    skipped = [r["check_name"] for r in found if r["status"] == "skipped"]
    assert not wrong and skipped in ([], ["check_array_api_input"]) and len(found) > 40


def test_a_few_of_the_checks_of_every_commit() -> None:
    from sklearn.utils import estimator_checks as checks

    estimator = nl.Classifier(budget=2, recipe=QUICK)
    for check in (
        checks.check_no_attributes_set_in_init, checks.check_parameters_default_constructible,
        checks.check_estimators_unfitted, checks.check_n_features_in_after_fitting, checks.check_fit_idempotent,
    ):  # fmt: skip
        check("Classifier", clone(estimator))


def test_it_classifies_and_the_networks_predict_together() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    labels = np.array(["malignant", "benign"])[y]
    model = nl.Classifier(budget=8, seed=1).fit(X[:400], labels[:400])
    assert model.score(X[400:], labels[400:]) > 0.93
    proba = model.predict_proba(X[400:])
    assert proba.shape == (169, 2) and np.allclose(proba.sum(1), 1)
    assert set(model.predict(X)) == {"malignant", "benign"} and list(model.classes_) == ["benign", "malignant"]
    assert len(model.networks_) == len(model.shares_) <= 16 and sum(model.shares_) == pytest.approx(1)
    assert model.best_graph_.hash == model.search_.best.graph.hash and model.best_score_ == model.search_.best.score
    alone = nl.Classifier(budget=8, seed=1, blended=1, refit=False).fit(X[:400], labels[:400])
    assert len(alone.networks_) == 1 and alone.best_graph_ == model.best_graph_


def test_networks_are_joined_by_such_that_learned_from_all_samples() -> None:
    X, y = load_diabetes(return_X_y=True)
    model = nl.Regressor(budget=3, recipe=QUICK, seed=5, blended=2).fit(X, y)
    found, refitted = model.networks_[:2], model.networks_[2:]
    assert [n.graph.hash for n in found] == [n.graph.hash for n in refitted] and len(refitted) == 2
    assert model.shares_[:2] == model.shares_[2:] and sum(model.shares_) == pytest.approx(1)
    task = model._task(X, y)
    whole = joined(task)
    assert len(whole.train) == 442 and len(task.train) < 442 and whole.num_outputs == 1
    again = nl.train(refitted[0].graph, whole, find_recipe(QUICK), seed=5).network.double().eval()
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), refitted[0].parameters()))


def test_a_budget_in_time_holds_refitting_too() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    begun = time.perf_counter()
    model = nl.Classifier(budget="6s", recipe=QUICK, seed=0).fit(X, y)
    assert time.perf_counter() - begun < 20 and model.score(X, y) > 0.9


def test_the_same_seed_gives_the_same_predictions() -> None:
    X, y = load_diabetes(return_X_y=True)
    once, again = (nl.Regressor(budget=3, recipe=QUICK, seed=5).fit(X, y).predict(X) for _ in range(2))
    assert np.array_equal(once, again) and once.shape == (442,)


def test_several_targets() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    y = np.column_stack([100 + 50 * X[:, 0], X[:, 1] - X[:, 2]])
    model = nl.Regressor(budget=4, recipe={"epochs": 30, "batch_size": 32}).fit(X, y)
    assert model.predict(X).shape == (300, 2) and model.score(X, y) > 0.8


def table() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "colour": rng.choice(["red", "green", None], 300),
            "size": np.where(rng.random(300) < 0.1, np.nan, rng.normal(size=300)),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 700, 300), unit="D"),
        }
    )
    return frame, np.where(frame["colour"] == "red", "yes", "no")


def test_a_table_with_columns_of_any_kind() -> None:
    frame, y = table()
    model = nl.Classifier(budget=3, recipe={"epochs": 15, "batch_size": 32}).fit(frame[:200], y[:200])
    assert model.score(frame[200:], y[200:]) > 0.95
    assert list(model.feature_names_in_) == ["colour", "size", "when"]
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(frame), model.predict_proba(frame))


def test_images() -> None:
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 1, 8, 8)[:600]
    model = nl.Classifier(budget=3, recipe={"epochs": 3}).fit(images, y[:600])
    assert model.predict(images[:5]).shape == (5,) and "conv2d" in model.best_graph_.to_text()


def test_a_pickle_holds_no_module() -> None:
    X, y = load_diabetes(return_X_y=True)
    model = nl.Regressor(budget=2, recipe=QUICK).fit(X, y)
    data = pickle.dumps(model)
    named = [str(argument) for opcode, argument, _ in pickletools.genops(data) if isinstance(argument, str)]
    assert not any(name.startswith("torch") for name in named)
    again = pickle.loads(data)
    assert np.array_equal(again.predict(X), model.predict(X)) and again.best_graph_ == model.best_graph_
    assert not hasattr(again, "search_") and hasattr(model, "search_")


def test_pipelines_clones_and_cross_validation() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), nl.Classifier(budget=2, recipe=QUICK))
    assert cross_val_score(pipeline, X[:200], y[:200], cv=2).min() > 0.7
    assert clone(nl.Classifier(budget="1m", seed=3)).get_params()["seed"] == 3


@pytest.mark.parametrize(
    ("options", "X", "y", "error", "message"),
    [
        ({}, np.ones((20, 2)), np.zeros(20, int), ValueError, "only one class"),
        ({}, np.full((20, 2), np.nan), np.arange(20) % 2, ValueError, "NaN"),
        ({"budget": "soon"}, np.eye(20), np.arange(20) % 2, SearchError, "cannot be read"),
        ({"blended": 0}, np.eye(20), np.arange(20) % 2, SearchError, "blended = 0"),
        ({"strategy": "evolutoin"}, np.eye(20), np.arange(20) % 2, SearchError, "did you mean"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(options: Any, X: Any, y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nl.Classifier(**{"budget": 2, **options}).fit(X, y)


def test_nothing_is_predicted_before_fit() -> None:
    with pytest.raises(NotFittedError):
        nl.Classifier().predict(np.eye(3))
