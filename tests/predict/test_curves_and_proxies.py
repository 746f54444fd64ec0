"""Final scores from the first epochs; scores from zero-cost proxies; what is taken along to another task."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import netloom as nl
from netloom.errors import PredictorError
from netloom.predict.learning_curves import as_curves, power_law
from netloom.training.loop import Epoch
from netloom.training.results import TrainingResult


def made_curves(count, epochs=30, seed=0):
    """Curves along power laws with noise; where they end."""
    rng, t = np.random.default_rng(seed), np.arange(1, epochs + 1)
    top, rise, speed = rng.uniform(0.5, 0.9, count), rng.uniform(0.1, 0.6, count), rng.uniform(0.4, 1.2, count)
    whole = top[:, None] - rise[:, None] * t ** -speed[:, None]
    return whole + rng.normal(0, 0.004, whole.shape), whole[:, -1]


@pytest.mark.parametrize(("method", "least"), [("learned", 0.75), ("power_law", 0.6)])
def test_first_epochs_tell_the_last(method, least):
    curves, final = made_curves(90)
    predictor = nl.predict.CurveExtrapolator(method).fit(curves[:60], final[:60])
    early = curves[60:, :8]
    mean, deviation = predictor.predict(early, std=True)
    assert nl.predict.kendall_tau(mean, final[60:]) > max(least, nl.predict.kendall_tau(early[:, -1], final[60:]))
    assert (np.abs(mean - final[60:]) < 2 * deviation).mean() > 0.8


def test_curves_of_any_length_and_of_one_epoch():
    curves, final = made_curves(60)
    predictor = nl.predict.CurveExtrapolator().fit([curve[: 5 + i % 10] for i, curve in enumerate(curves)], final, fidelity=30)
    lengths = [1, 2, 7, 14, 30]
    found = predictor.predict([curves[0][:length] for length in lengths])
    assert np.isfinite(found).all()
    # Beyond what was seen of enough curves, the first epochs decide.
    assert found[-1] == found[-2] == predictor.predict([curves[0][:14]])[0]


def test_longer_curves_are_told_better():
    curves, final = made_curves(120)
    predictor = nl.predict.CurveExtrapolator().fit(curves[:80], final[:80])
    errors = [np.abs(predictor.predict(curves[80:, :epochs]) - final[80:]).mean() for epochs in (1, 4, 12, 30)]
    assert errors == sorted(errors, reverse=True)


def test_results_and_the_curves_of_a_store_are_read():
    frame = pd.DataFrame({
        "evaluation_id": [7, 7, 3, 3, 3], "epoch": [2, 1, 1, 2, 3], "score": [0.5, 0.4, 0.1, np.nan, 0.3],
    })  # fmt: skip
    np.testing.assert_array_equal(as_curves(frame), [[0.4, 0.5, np.nan], [0.1, 0.1, 0.3]])
    points = tuple(Epoch(i + 1, 1.0, 1.0, score, float(i)) for i, score in enumerate([0.2, 0.6]))
    result = TrainingResult(None, 0.6, "ok", 2.0, points)
    np.testing.assert_array_equal(as_curves([result, points[:1]]), [[0.2, 0.6], [0.2, np.nan]])


def test_scores_of_a_store_are_found_by_evaluation():
    curves, final = made_curves(20, epochs=6)
    frame = pd.DataFrame([(100 - i, e + 1, s) for i, row in enumerate(curves) for e, s in enumerate(row)])
    frame.columns = ["evaluation_id", "epoch", "score"]
    by_id = pd.Series(final, index=[100 - i for i in range(20)]).sort_index()
    one = nl.predict.CurveExtrapolator().fit(frame, by_id).predict(curves[:, :3])
    np.testing.assert_allclose(one, nl.predict.CurveExtrapolator().fit(curves, final).predict(curves[:, :3]))


def test_a_power_law_goes_on_and_short_curves_stay_where_they_are():
    t = np.arange(1, 11)
    exact = np.stack([0.9 - 0.5 * t**-0.5, 0.7 - 0.3 * t**-1.0])
    np.testing.assert_allclose(power_law(exact, 100), [0.9 - 0.05, 0.7 - 0.003], atol=0.01)
    assert power_law(exact[:, :2], 100).tolist() == exact[:, 1].tolist()


def test_a_saved_extrapolator_predicts_the_same(tmp_path):
    curves, final = made_curves(40)
    for method in ("learned", "power_law"):
        predictor = nl.predict.CurveExtrapolator(method).fit(curves, final)
        loaded = nl.predict.load(predictor.save(tmp_path / "c.safetensors"))
        assert np.array_equal(loaded.predict(curves[:, :9], std=True), predictor.predict(curves[:, :9], std=True))


@pytest.mark.parametrize(
    ("curves", "scores", "message"),
    [
        ([[0.1], [np.nan], [0.2]], None, "curve 1 has no score"),
        ([[0.1]] * 3, None, "3 curves with a final score"),
        ([[0.1]] * 9, None, "not all equal"),
        ([[i / 9] for i in range(9)], [1, 2], r"expected \(9,\)"),
        ([["a"]] * 9, None, "one score for each epoch"),
        ([[0.1, 0.2]] * 9, [np.inf, *range(8)], "must be finite"),
    ],
)
def test_curves_that_teach_nothing_are_refused(curves, scores, message):
    with pytest.raises(PredictorError, match=message):
        nl.predict.CurveExtrapolator().fit(curves, scores)


# -- proxies -----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def graphs():
    space, rng = nl.spaces.Conv((3, 8, 8), 10, max_params=50_000), np.random.default_rng(0)
    return [space.sample(rng) for _ in range(40)]


def test_proxies_rank_without_labels_and_better_with(graphs):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=40)
    table = pd.DataFrame({"good": scores + rng.normal(0, 0.5, 40), "wrong": -scores + rng.normal(0, 0.3, 40)})
    blind = nl.predict.ProxyRank(["good"]).predict(graphs, proxies=table)
    assert nl.predict.kendall_tau(blind, scores) > 0.5 and blind.min() >= 0 and blind.max() <= 1
    predictor = nl.predict.ProxyRank().fit(graphs[:20], scores[:20], proxies=table[:20])
    mean, deviation = predictor.predict(graphs[20:], proxies=table[20:], std=True)
    # The proxy that is wrong about the task is turned round.
    assert nl.predict.kendall_tau(mean, scores[20:]) > 0.65 and (deviation > 0).all()


def test_proxies_are_measured_on_a_batch(graphs):
    batch = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    predictor = nl.predict.ProxyRank("l2_norm", batch=batch).fit(graphs[:12], [g.num_params for g in graphs[:12]])
    found = predictor.predict(graphs[12:18])
    assert nl.predict.kendall_tau(found, [g.num_params for g in graphs[12:18]]) > 0.3


def test_a_saved_proxy_rank_and_values_that_are_missing(graphs, tmp_path):
    scores = np.arange(40.0)
    table = {"nwot": np.where(scores % 7 == 3, np.nan, scores), "snip": scores[::-1] * 2}
    labelled = np.where(scores < 2, np.nan, scores)
    predictor = nl.predict.ProxyRank().fit(graphs, labelled, proxies=table)
    assert predictor.dropped == 2
    loaded = nl.predict.load(predictor.save(tmp_path / "p.safetensors"))
    assert np.array_equal(loaded.predict(graphs, proxies=table), predictor.predict(graphs, proxies=table))
    with pytest.raises(PredictorError, match="no values"):
        loaded.predict(graphs)
    with pytest.raises(PredictorError, match="lack snip"):
        loaded.predict(graphs, proxies={"nwot": scores})
    with pytest.raises(PredictorError, match="40 rows of proxies for 3 graphs"):
        loaded.predict(graphs[:3], proxies=table)


@pytest.mark.skipif("NETLOOM_DATA" not in os.environ, reason="needs NETLOOM_DATA with nb201_proxies.parquet")
def test_published_proxies_of_nasbench201():
    folder = Path(os.environ["NETLOOM_DATA"])
    proxies, cells = pd.read_parquet(folder / "nb201_proxies.parquet"), pd.read_parquet(folder / "nb201.parquet")
    scores = cells.set_index("arch").loc[proxies["arch"], "c10_test200"].to_numpy()
    names = ["c10_nwot", "c10_synflow", "c10_jacov", "c10_l2_norm"]
    single = [nl.predict.kendall_tau(nl.predict.ProxyRank(name).rank(proxies), scores) for name in names]
    together = nl.predict.ProxyRank(names)
    assert nl.predict.kendall_tau(together.rank(proxies), scores) > np.median(single) > 0.5
    space = nl.spaces.NASBench201()
    graphs = [space.from_string(cell) for cell in cells.set_index("arch").loc[proxies["arch"], "cellstr"][:100]]
    fitted = together.fit(graphs[:50], scores[:50], proxies=proxies[:50]).predict(graphs[50:], proxies=proxies[50:100])
    assert nl.predict.kendall_tau(fitted, scores[50:100]) > 0.45


# -- transfer ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [nl.predict.GaussianProcess, nl.predict.Trees, nl.predict.NeuralPredictor])
def test_what_was_learned_before_helps_with_few_labels(kind, tmp_path):
    space, rng = nl.spaces.Conv((3, 16, 16), 10, max_params=200_000), np.random.default_rng(1)
    graphs = [space.sample(rng) for _ in range(140)]
    table = nl.encode.features(graphs)
    old = (table["params.log"] + table["live.conv3"] - table["live.dropout"]).to_numpy()
    new = 3 * old + 0.5 * table["live.relu"].to_numpy()
    settings = {"steps": 100, "members": 2, "width": 16} if kind is nl.predict.NeuralPredictor else {}
    fresh = kind(**settings).fit(graphs[80:88], new[80:88])
    source = kind(**settings).fit(graphs[:80], old[:80])
    before = source.predict(graphs[88:])
    adapted = source.adapt(graphs[80:88], new[80:88])
    assert adapted is source and not np.array_equal(adapted.predict(graphs[88:]), before)
    found, alone = (p.score(graphs[88:], new[88:])["kendall_tau"] for p in (adapted, fresh))
    assert found > max(alone, 0.45)
    loaded = nl.predict.load(adapted.save(tmp_path / "a.safetensors"))
    np.testing.assert_allclose(loaded.predict(graphs[88:], std=True), adapted.predict(graphs[88:], std=True), rtol=1e-6)
    # Another fit begins anew.
    anew = adapted.fit(graphs[80:88], new[80:88]).predict(graphs[88:])
    np.testing.assert_allclose(anew, fresh.predict(graphs[88:]), rtol=1e-6)


def test_old_predictions_that_say_nothing_are_left_out():
    space, rng = nl.spaces.Conv((3, 16, 16), 10, max_params=200_000), np.random.default_rng(1)
    graphs = [space.sample(rng) for _ in range(90)]
    size = np.array([np.log(graph.num_params) for graph in graphs])
    source = nl.predict.GaussianProcess().fit(graphs[:30], size[:30])
    adapted = source.adapt(graphs[30:60], -size[30:60])
    assert adapted._prior.share == 0
    assert adapted.score(graphs[60:], -size[60:])["kendall_tau"] > 0.6


def test_nothing_to_adapt():
    with pytest.raises(PredictorError, match="call fit"):
        nl.predict.GaussianProcess().adapt([], [])
