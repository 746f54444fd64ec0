"""What every predictor promises."""

import json
import pickle

import numpy as np
import pytest

import netloom as nl
from netloom.errors import PredictorError
from netloom.predict.additive_kernel import factored, matern, squared_distances
from netloom.predict.predictor import Batch
from netloom.predict.saving import VERSION

KINDS = [nl.predict.GaussianProcess, nl.predict.Trees, nl.predict.Ensemble]


@pytest.fixture(scope="module")
def data():
    space = nl.spaces.Conv((3, 16, 16), 10, max_params=200_000)
    rng = np.random.default_rng(0)
    graphs = [space.sample(rng) for _ in range(140)]
    # A score that depends on structure and size, with noise.
    table = nl.encode.features(graphs)
    scores = table["params.log"] + table["live.conv3"] - table["live.dropout"] + rng.normal(0, 0.3, len(graphs))
    return graphs, scores.to_numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_predicts_unseen_networks(kind, data):
    graphs, scores = data
    predictor = kind().fit(graphs[:90], scores[:90])
    found = predictor.score(graphs[90:], scores[90:])
    assert found["kendall_tau"] > 0.5 and found["r2"] > 0.4
    mean, deviation = predictor.predict(graphs[90:], std=True)
    assert (deviation > 0).all() and np.array_equal(mean, predictor.predict(graphs[90:]))
    # A standard deviation that means something: most errors lie within two of them.
    assert (np.abs(mean - scores[90:]) < 2 * deviation).mean() > 0.75


def test_an_ensemble_is_as_sure_as_its_members_are_right_together(data):
    """Joined deviations of members alone would be those of mistakes that are not shared."""
    graphs, scores = data
    ensemble = nl.predict.Ensemble().fit(graphs[:90], scores[:90])
    rows = [member._left_out().rows for member in ensemble.members]
    assert [len(each) for each in rows] == [90, 90, 90, 30] and set(rows[3]) <= set(range(90))
    mean, deviation = ensemble.predict(graphs[90:], std=True)
    assert 0.6 < np.sqrt(np.mean(((mean - scores[90:]) / deviation) ** 2)) < 1.5
    _, joined = ensemble._joined(
        *(np.array(each) for each in zip(*(m._predict(Batch(graphs[90:]), True) for m in ensemble.members)))
    )
    assert (
        np.allclose(ensemble._predict(Batch(graphs[90:]), True)[1], ensemble._scale * np.sqrt(joined))
        and ensemble._scale != 1.0
    )


def test_a_neural_predictor_joins_where_much_is_unexplained(data, tmp_path):
    graphs, scores = data
    noisy = scores + np.random.default_rng(1).normal(0, 1.5, len(graphs))
    kinds = ["GaussianProcess", "GaussianProcess", "GaussianProcess", "Trees"]
    for given, count in ((scores, 90), (noisy, 49)):  # explained well; too few labels
        ensemble = nl.predict.Ensemble().fit(graphs[:count], given[:count])
        assert [type(member).__name__ for member in ensemble.members] == kinds
    ensemble = nl.predict.Ensemble().fit(graphs[:90], noisy[:90])
    network = ensemble.members[-1]
    assert [type(member).__name__ for member in ensemble.members] == [*kinds, "NeuralPredictor"]
    # Its share lies between what is believed before and what the labels left out can ask for.
    assert 0.4 * 400 / 490 - 1e-9 <= ensemble._shares()[-1] <= (0.4 * 400 + 90) / 490 + 1e-9
    others = nl.predict.Ensemble(*ensemble.members[:-1])
    assert ensemble._shares()[:4] == pytest.approx((1 - ensemble._shares()[-1]) * others._shares())
    # What it says of a graph left out is said by a member that has not seen it.
    assert network._left_out().rows.tolist() == list(range(90)) and network.gain > 0
    mean, deviation = ensemble.predict(graphs[90:], std=True)
    assert 0.6 < np.sqrt(np.mean(((mean - noisy[90:]) / deviation) ** 2)) < 1.6
    turned = [graphs[i] for i in (95, 91, 95, 139, 91)]
    assert ensemble.predict(turned) == pytest.approx(mean[[5, 1, 5, 49, 1]])
    again = nl.predict.load(ensemble.save(tmp_path / "ensemble.safetensors"))
    for one, other in zip(again.predict(graphs[90:], std=True), (mean, deviation)):
        assert np.array_equal(one, other)
    given = nl.predict.Ensemble(nl.predict.GaussianProcess(), nl.predict.Trees()).fit(graphs[:90], noisy[:90])
    assert len(given.members) == 2
    assert ensemble.fit(graphs[:49], noisy[:49]) is ensemble and len(ensemble.members) == 4  # chosen anew


def test_what_a_process_says_of_a_graph_left_out_does_not_depend_on_its_score(data):
    graphs, scores = data
    process = nl.predict.GaussianProcess().fit(graphs[:90], scores[:90])
    before = process._left_out()
    process._normal[5] += 3.0
    process._solve()
    after = process._left_out()
    assert after.mean[5] == pytest.approx(before.mean[5], abs=0.05) and np.abs(after.mean - before.mean).max() > 0.1
    assert np.array_equal(after.deviation, before.deviation)


@pytest.mark.parametrize("kind", [nl.predict.GaussianProcess, nl.predict.Ensemble])
def test_scores_that_follow_exactly_from_a_feature_are_learned(kind):
    """Noise goes to nothing then, lengths become short, and rounding makes the covariance indefinite."""
    space = nl.spaces.NASBench201(num_classes=10)
    graphs = [space.sample(np.random.default_rng([0, i])) for i in range(100)]
    scores = [graph.num_params + i for i, graph in enumerate(graphs)]
    assert kind().fit(graphs[:80], scores[:80]).score(graphs[80:], scores[80:])["kendall_tau"] > 0.85


def test_a_covariance_that_rounding_made_indefinite_is_given_noise():
    rows = np.array([[0.0], [0.0], [1.0]])
    covariance = matern(squared_distances(rows, rows))
    covariance[0, 1] = covariance[1, 0] = 1 + 1e-9
    factor = factored(covariance.copy(), 1.0)
    assert np.abs(factor @ factor.T - covariance).max() < 1e-5
    with pytest.raises(PredictorError, match="no covariance"):
        factored(-np.eye(2), 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_predictor_predicts_the_same(kind, data, tmp_path):
    graphs, scores = data
    predictor = kind().fit(graphs[:60], scores[:60], fidelity=[1, 4] * 30)
    predictor.save(tmp_path / "p.safetensors")
    loaded = nl.predict.load(tmp_path / "p.safetensors")
    assert type(loaded) is kind
    for fidelity in (None, 1):
        expected = predictor.predict(graphs[60:], std=True, fidelity=fidelity)
        np.testing.assert_allclose(loaded.predict(graphs[60:], std=True, fidelity=fidelity), expected, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides(kind, data):
    graphs, scores = data
    first, second = (kind().fit(graphs[:50], scores[:50], seed=3).predict(graphs[50:]) for _ in range(2))
    assert np.array_equal(first, second)


def test_fidelity_is_learned(data):
    graphs, scores = data
    epochs = np.array([1, 8] * 45)
    short = np.where(epochs == 1, scores[:90] - 3, scores[:90])
    predictor = nl.predict.GaussianProcess().fit(graphs[:90], short, fidelity=epochs)
    gap = predictor.predict(graphs[90:]) - predictor.predict(graphs[90:], fidelity=1)
    assert 1 < np.median(gap) < 5


def test_missing_scores_are_left_out_and_counted(data):
    graphs, scores = data
    holed = scores[:60].copy()
    holed[::6] = np.nan
    predictor = nl.predict.Ensemble().fit(graphs[:60], holed)
    assert predictor.dropped == 10
    kept = ~np.isnan(holed)
    other = nl.predict.Ensemble().fit([g for g, k in zip(graphs, kept) if k], holed[kept])
    assert np.array_equal(predictor.predict(graphs[60:]), other.predict(graphs[60:]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g, s: (g[:3], s[:3]), "needs at least 5"),
        (lambda g, s: (g, np.full(len(g), np.nan)), "scores are NaN"),
        (lambda g, s: (g, np.ones(len(g))), "equal scores"),
        (lambda g, s: (g, np.r_[np.inf, s[1:]]), "score 0 is infinite"),
        (lambda g, s: (g, s[1:]), "one number for each graph"),
        (lambda g, s: (g, ["a"] * len(g)), "must be 20 numbers"),
        (lambda g, s: (["x", *g[1:]], s), "item 0 is a str"),
    ],
)
def test_labels_that_teach_nothing_are_refused(change, message, data):
    graphs, scores = change(data[0][:20], data[1][:20])
    with pytest.raises(PredictorError, match=message):
        nl.predict.Ensemble().fit(graphs, scores)


def test_graphs_of_another_input_are_refused(data):
    predictor = nl.predict.GaussianProcess().fit(data[0][:30], data[1][:30])
    other = nl.spaces.Conv((3, 32, 32), 10).sample(np.random.default_rng(0))
    with pytest.raises(PredictorError, match="graph 0 takes 3×32×32; .* 3×16×16"):
        predictor.predict([other])
    assert predictor.predict([]).shape == (0,)


def test_a_predictor_that_was_not_fitted():
    with pytest.raises(PredictorError, match="call fit"):
        nl.predict.Ensemble().predict([])


class Exploit:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


@pytest.mark.parametrize("content", [b"", b"no tensors", pickle.dumps(Exploit())])
def test_hostile_files_are_refused(content, tmp_path):
    path = tmp_path / "p.safetensors"
    path.write_bytes(content)
    with pytest.raises(PredictorError, match="cannot be read as a predictor"):
        nl.predict.load(path)


def test_other_documents_are_refused(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "p.safetensors"
    for document, message in [
        ({}, "no predictor"),
        ({"predictor": 99}, "version 99"),
        ({"predictor": VERSION, "kind": "os.system"}, "unknown kind"),
        ({"predictor": VERSION, "kind": "trees", "types": [], "fidelity": None, "state": {}}, "damaged"),
    ]:
        save_file({"targets.values": np.ones(2)}, path, metadata={"netloom": json.dumps(document)})
        with pytest.raises(PredictorError, match=message):
            nl.predict.load(path)


def test_many_labels_of_a_larger_space_are_learned_in_seconds():
    rng = np.random.default_rng(1)
    space = nl.spaces.Conv((3, 32, 32), 10)
    graphs = [space.sample(rng) for _ in range(700)]
    scores = [np.log(graph.flops + 1) for graph in graphs]
    predictor = nl.predict.Ensemble().fit(graphs[:500], scores[:500])
    assert predictor.score(graphs[500:], scores[500:])["kendall_tau"] > 0.9
