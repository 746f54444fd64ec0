"""The strategy `generator`: candidates are written once there is something to learn from, else it is an evolution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netloom as nl
from netloom.errors import SearchError
from netloom.searching import GeneratorSearch, make_strategy, simulate

SPACE = nl.spaces.MLP(16, 4, widths=(8, 16, 32, 64, 128), layers=(1, 2, 3, 4))
SMALL = "generator?initial=20&unlabelled=60&steps=60&predictor=Trees"


def score(graph: nl.Graph) -> float:
    return float(1 / (1 + abs(np.log(graph.num_params / 2000))))


def test_what_is_written_is_better_than_what_is_drawn() -> None:
    results = simulate(SPACE, score, f"{SMALL}&generated=0.9", 60)
    by = {name: [r.score for r in results if r.lineage.proposed_by == name] for name in ("random", "generator")}
    assert len(by["generator"]) >= 25 and len({result.graph.hash for result in results}) == 60
    assert np.mean(by["generator"]) > np.mean(by["random"]) + 0.1
    written = [result.lineage for result in results if result.lineage.proposed_by == "generator"]
    assert all(one.scored_by == "Trees" and one.predicted_score is not None for one in written)
    assert all(SPACE.contains(result.graph) for result in results if result.lineage.proposed_by == "generator")


def test_constraints_are_caps_of_what_is_written() -> None:
    results = simulate(
        SPACE, lambda graph: float(np.log(graph.num_params)), SMALL, 40, constraints="params <= 3000, macs <= 3k"
    )
    assert all(result.graph.num_params <= 3000 and result.graph.flops <= 6000 for result in results)
    assert sum(result.lineage.proposed_by == "generator" for result in results) >= 8


def test_a_saved_generator_is_used_as_it_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    graphs = [SPACE.sample(rng) for _ in range(60)]
    path = (
        nl.generate.TokenGenerator(SPACE, steps=80, unlabelled=0)
        .fit(graphs, list(map(score, graphs)))
        .save(tmp_path / "g.safetensors")
    )
    results = simulate(SPACE, score, GeneratorSearch(file=str(path), generated=1.0, fresh=0.0), 12)
    assert {result.lineage.proposed_by for result in results} == {"generator"}
    assert np.mean([result.score for result in results]) > np.mean(list(map(score, graphs)))


def test_networks_without_a_notation_make_it_an_evolution() -> None:
    """Complex numbers in between: no notation says these."""

    def spectral(choose: Any) -> nl.Graph:
        x = nl.input(8)
        y = nl.linear(x, choose("width", list(range(8, 40))))
        scale = choose.uniform("scale", 0.5, 1.5)
        return nl.Graph(x, nl.linear(nl.irfft(nl.rfft(nl.mul(y, scale))), 2))

    results = simulate(nl.spaces.from_function(spectral), lambda graph: -abs(graph.num_params - 200), SMALL, 30)
    assert len(results) == 30
    assert {result.lineage.proposed_by for result in results} == {"random", "mutation"}


@pytest.mark.parametrize("text, message", [
    ("generator?growth=0", "growth = 0"), ("generator?predictor=Ensembel", "did you mean 'Ensemble'"),
    ("generator?generated=0.9&fresh=0.2", "expected 1 at most"), ("generator?file=no.safetensors", "cannot be read"),
    ("generator?share=0", "share = 0"),
])  # fmt: skip
def test_settings_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(SearchError, match=message):
        make_strategy(text)
