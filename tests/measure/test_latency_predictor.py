"""The latency predictor: what it learns from times that are known in closed form, its files, a store, and bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netloom as nl
from netloom.errors import MeasureError
from netloom.graph.graph import Graph
from netloom.measure import LatencyPredictor
from netloom.measure.call_features import call_features


@pytest.fixture(scope="module")
def graphs() -> list[Graph]:
    space, rng = nl.spaces.Conv((3, 16, 16), 10, max_params=200_000), np.random.default_rng(0)
    return [space.sample(rng) for _ in range(120)]


def roofline(graph: Graph) -> float:
    """A machine on which convolutions do 10 GFLOPs, pointwise ones 4, and everything else moves 5 GB, a second."""
    total = 3e-5
    for kind, (calls, megaflops, megabytes) in call_features(graph, 1).items():
        if kind != "any":
            rate = 4e3 if kind == "conv2d 1×1" else 1e4
            total += 4e-6 * calls + megaflops / rate + megabytes / 5e3
    return total


def test_a_roofline_is_learned(graphs: list[Graph]) -> None:
    times = np.array([roofline(graph) for graph in graphs])
    predictor = LatencyPredictor(correct=False).fit(graphs[:60], times[:60])
    found = predictor.score(graphs[60:], times[60:])
    assert found["kendall_tau"] > 0.97 and found["spearman_rho"] > 0.99 and found["median_relative_error"] < 0.02
    assert predictor(graphs[70]) == predictor.predict(graphs[70:71])[0]
    shares = predictor.by_kind(graphs[70])
    assert sum(shares.values()) == pytest.approx(predictor(graphs[70]))
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_the_correction_learns_what_is_not_additive(graphs: list[Graph]) -> None:
    """A machine that slows down with the work it has had."""
    times = np.array([roofline(graph) ** 1.5 for graph in graphs])
    errors = {
        correct: LatencyPredictor(correct=correct).fit(graphs[:80], times[:80]).score(graphs[80:], times[80:])
        for correct in (False, True)
    }
    assert errors[True]["median_relative_error"] < 0.8 * errors[False]["median_relative_error"]


def test_noise_does_not_make_it_worse_than_the_noise(graphs: list[Graph]) -> None:
    clean = np.array([roofline(graph) for graph in graphs])
    noisy = clean * np.random.default_rng(1).lognormal(0, 0.1, len(clean))
    predictor = LatencyPredictor().fit(graphs[:80], noisy[:80])
    assert predictor.score(graphs[80:], clean[80:])["median_relative_error"] < 0.06


def test_single_calls_teach_networks(graphs: list[Graph]) -> None:
    """Fitted on graphs of one call each, it adds them up."""
    parts = {part.hash: part for graph in graphs[:20] for part in nl.measure.node_graphs(graph).values()}
    predictor = LatencyPredictor().fit(parts.values(), [roofline(part) for part in parts.values()])
    found = predictor.score(graphs[60:], [roofline(graph) for graph in graphs[60:]])
    assert found["kendall_tau"] > 0.9


def test_unknown_operators_cost_what_any_call_does(graphs: list[Graph]) -> None:
    predictor = LatencyPredictor().fit(graphs, [roofline(graph) for graph in graphs])
    x = nl.input(3, 16, 16)
    value = x
    for _ in range(30):
        value = nl.erfc(value)
    assert predictor(nl.Graph(x, value)) > 2 * predictor(nl.Graph(x, nl.erfc(x))) > 0


def test_batches_scale(graphs: list[Graph]) -> None:
    times = [sum(m for _, m, _ in call_features(graph, 16).values()) for graph in graphs]
    predictor = LatencyPredictor(batch=16).fit(graphs, times)
    assert predictor.batch == 16 and predictor.score(graphs, times)["median_relative_error"] < 0.02


def test_files(graphs: list[Graph], tmp_path: Path) -> None:
    times = [roofline(graph) * (1 + graph.activations / 50_000) for graph in graphs]
    predictor = LatencyPredictor(batch=2).fit(graphs, times)
    assert predictor.save(tmp_path / "latency.safetensors") == tmp_path / "latency.safetensors"
    loaded = LatencyPredictor.load(tmp_path / "latency.safetensors")
    assert loaded.batch == 2 and loaded.predict(graphs) == pytest.approx(predictor.predict(graphs), rel=1e-9)
    whole = (tmp_path / "latency.safetensors").read_bytes()
    for name, data in (("cut", whole[:100]), ("empty", b""), ("pickle", b"\x80\x04."), ("text", b"{}")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(MeasureError, match="no latency predictor"):
            LatencyPredictor.load(tmp_path / name)
    with pytest.raises(MeasureError, match="no latency predictor"):
        LatencyPredictor.load(tmp_path / "nowhere")
    network = nl.build(graphs[0])
    network.save(tmp_path / "network.safetensors")
    with pytest.raises(MeasureError, match="no latency predictor"):
        LatencyPredictor.load(tmp_path / "network.safetensors")
    with pytest.raises(MeasureError, match="cannot be written"):
        predictor.save(tmp_path / "no" / "folder" / "file")


def test_from_a_store(graphs: list[Graph]) -> None:
    from netloom.store import EvaluationKey, EvaluationRecord

    store = nl.Store()
    for i, graph in enumerate(graphs[:12]):
        for seed, factor in enumerate((1.0, 5.0, 1.1) if i == 0 else (1.0,)):
            key = EvaluationKey(graph.hash, "task", "recipe", seed, 1)
            store.record(graph, key, EvaluationRecord("ok", 0.5, 1.0, metrics={"latency": factor * roofline(graph)}))
    store.record(graphs[20], EvaluationKey(graphs[20].hash, "task", "recipe", 0, 1), EvaluationRecord("ok", 0.5, 1.0))
    found, seconds = nl.measure.measured(store)
    assert [graph.hash for graph in found] == [graph.hash for graph in graphs[:12]]
    assert seconds == pytest.approx([1.1 * roofline(graphs[0]), *map(roofline, graphs[1:12])])
    assert LatencyPredictor().fit(found, seconds).predict(found).shape == (12,)
    assert nl.measure.measured(store, "no such metric") == ([], [])


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        ([1.0] * 4, "4 times for 20 graphs"), (["a"] * 20, "must be 20 numbers"), ([0.0] * 20, "above zero"),
        ([float("inf")] * 20, "must be finite"), ([float("nan")] * 17 + [1.0] * 3, "3 measured graphs"),
    ],
)  # fmt: skip
def test_refused(graphs: list[Graph], seconds: list[object], told: str) -> None:
    with pytest.raises(MeasureError, match=told):
        LatencyPredictor().fit(graphs[:20], seconds)


def test_before_fit_and_without_graphs(graphs: list[Graph]) -> None:
    with pytest.raises(MeasureError, match="has not been fitted"):
        LatencyPredictor().predict(graphs[:2])
    with pytest.raises(MeasureError, match="item 0 is a str"):
        LatencyPredictor().fit(["a"] * 6, [1.0] * 6)
    assert LatencyPredictor().fit(graphs, [roofline(graph) for graph in graphs]).predict([]).shape == (0,)


def test_equal_times_and_few_networks(graphs: list[Graph]) -> None:
    predictor = LatencyPredictor().fit(graphs[:5], [0.01] * 5)
    assert predictor.predict(graphs[:5]) == pytest.approx([0.01] * 5, rel=0.3)
