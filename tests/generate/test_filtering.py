"""`filtered`: of a space's samples only those that a predictor thinks well of, and it is said how many those are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import netloom as nl
from netloom.errors import GeneratorError, PredictorError
from netloom.generate import filtered

SPACE = nl.spaces.MLP(16, 4, widths=(8, 16, 32, 64), layers=(1, 2, 3))


@pytest.fixture(scope="module")
def trees() -> Any:
    rng = np.random.default_rng(0)
    graphs = [SPACE.sample(rng) for _ in range(60)]
    return nl.predict.Trees().fit(graphs, [-np.log(graph.num_params) for graph in graphs])


def test_what_passes_is_predicted_above(trees: Any) -> None:
    found = filtered(SPACE, trees, 15, min_score=-7.0, seed=1)
    assert len({graph.hash for graph in found.graphs}) == 15 and found.predicted.min() >= -7.0
    assert np.allclose(trees.predict(found.graphs), found.predicted)
    assert found.passed >= 15 and 0 < found.acceptance_rate < 1 and not found.is_short
    assert [g.hash for g in filtered(SPACE, trees, 15, min_score=-7.0, seed=1).graphs] == [g.hash for g in found.graphs]
    capped = filtered(SPACE, trees, 5, min_quantile=0.5, max_params=800, max_flops=2000)
    assert all(graph.num_params <= 800 and graph.flops <= 2000 for graph in capped.graphs) and capped.too_large


def test_a_quantile_is_one_of_random_samples(trees: Any) -> None:
    found = filtered(SPACE, trees, 20, min_quantile=0.75)
    assert 0.15 < found.acceptance_rate < 0.4


def test_it_ends(trees: Any) -> None:
    found = filtered(SPACE, trees, 5, min_score=3.0, most_draws=120)
    assert found.is_short and found.drawn == 120 and not found.graphs and len(found.predicted) == 0
    assert "0 of 5 networks came of 120 draws" in found.shortage() and found.highest < 3


@pytest.mark.parametrize("wrong, message", [
    ({}, "min_score or min_quantile"), ({"min_score": 1.0, "min_quantile": 0.5}, "one of them"),
    ({"min_quantile": 2.0}, "between 0 and 1"), ({"min_score": 0.0, "n": 0}, "n = 0"),
    ({"min_score": 0.0, "max_params": -1}, "max_params = -1"), ({"min_score": 0.0, "most_draws": 0}, "most_draws = 0"),
])  # fmt: skip
def test_wishes_that_make_no_sense(trees: Any, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(GeneratorError, match=message):
        filtered(SPACE, trees, **{"n": 1, **wrong})


def test_a_space_that_the_predictor_does_not_know(trees: Any) -> None:
    with pytest.raises(PredictorError, match="fitted on graphs that take 16"):
        filtered("conv", trees, 1, min_score=0.0)
