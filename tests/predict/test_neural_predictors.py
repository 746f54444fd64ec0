"""The predictors that are neural networks: what they learn, whatever the graphs; ranking losses; resuming a training."""

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.errors import PredictorError
from netloom.predict.ranking_losses import LOSSES

QUICK = {"width": 16, "members": 2, "steps": 100}
KINDS = [nl.predict.NeuralPredictor, nl.predict.TokenTransformer, nl.predict.LSTM]


@pytest.fixture(scope="module")
def data():
    space, rng = nl.spaces.Conv((3, 16, 16), 10, max_params=200_000), np.random.default_rng(0)
    graphs = [space.sample(rng) for _ in range(120)]
    table = nl.encode.features(graphs)
    scores = table["params.log"] + table["live.conv3"] - table["live.dropout"] + rng.normal(0, 0.2, len(graphs))
    return graphs, scores.to_numpy()


@pytest.fixture(scope="module")
def fitted(data):
    graphs, scores = data
    return {kind: kind(features=False, **QUICK).fit(graphs[:80], scores[:80]) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_learns_from_the_graph_alone(kind, data, fitted):
    graphs, scores = data
    assert fitted[kind].score(graphs[80:], scores[80:])["kendall_tau"] > (0.3 if kind is nl.predict.LSTM else 0.4)
    mean, deviation = fitted[kind].predict(graphs[80:], std=True)
    assert (deviation > 0).all()
    assert 0.6 < (np.abs(mean - scores[80:]) < 2 * deviation).mean()


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_one_predicts_the_same(kind, data, fitted, tmp_path):
    graphs, _ = data
    loaded = nl.predict.load(fitted[kind].save(tmp_path / "p.safetensors"))
    assert type(loaded) is kind and repr(loaded) == repr(fitted[kind])
    np.testing.assert_allclose(loaded.predict(graphs[80:], std=True), fitted[kind].predict(graphs[80:], std=True), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_graphs_does_not_matter_when_predicting(kind, data, fitted):
    graphs, _ = data
    alone = [fitted[kind].predict([graph])[0] for graph in graphs[80:84]]
    np.testing.assert_allclose(fitted[kind].predict(graphs[80:84]), alone, rtol=1e-4)


def test_the_seed_decides(data):
    graphs, scores = data
    few = {**QUICK, "steps": 30}
    one, same, other = (
        nl.predict.NeuralPredictor(**few).fit(graphs[:40], scores[:40], seed=seed).predict(graphs[80:]) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same) and not np.allclose(one, other)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_orders_graphs(loss, data):
    graphs, scores = data
    predictor = nl.predict.NeuralPredictor(loss=loss, **QUICK).fit(graphs[:60], scores[:60])
    found = predictor.score(graphs[80:], scores[80:])
    # Scores, not ranks alone: a ranking loss knows no scale, the labels left out give it one.
    assert found["kendall_tau"] > 0.4 and found["r2"] > 0.2


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_prefer_the_right_order_and_count_only_what_is_seen(loss):
    targets, everything = torch.tensor([2.0, 1.0, 0.0, -1.0]), torch.ones(1, 4, dtype=torch.bool)
    right, wrong = targets[None] * 1.0, -targets[None] * 1.0
    assert LOSSES[loss](right, targets, everything) < LOSSES[loss](wrong, targets, everything)
    seen = torch.tensor([[True, True, False, False]])
    changed = torch.tensor([[2.0, 1.0, 50.0, -70.0]])
    torch.testing.assert_close(LOSSES[loss](right, targets, seen), LOSSES[loss](changed, targets, seen))


def test_listmle_is_minus_the_log_likelihood_of_the_order():
    scores, targets = torch.tensor([[0.3, 1.2, -0.4]]), torch.tensor([1.0, 2.0, 0.0])
    order = scores[0, [1, 0, 2]].exp()
    likelihood = order[0] / order.sum() * order[1] / order[1:].sum()
    found = LOSSES["listmle"](scores, targets, torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(found, -likelihood.log() / 3)


def test_an_lstm_reads_32_bit_rows_where_all_graphs_have_them(data):
    graphs, scores = data
    x = nl.input(3, 16, 16)
    y = nl.conv2d(x, 8, kernel=3, padding=1)
    branched = nl.Graph(x, nl.linear(nl.flatten(nl.add(y, nl.relu(y))), 10))
    few = {**QUICK, "steps": 20}
    codes = nl.predict.LSTM(**few).fit(graphs[:30], scores[:30])
    with pytest.raises(PredictorError, match="graph 0 has no 32-bit rows.*rows='calls'"):
        codes.predict([branched])
    calls = nl.predict.LSTM(**few).fit([*graphs[:30], branched], [*scores[:30], 1.0])
    assert np.isfinite(calls.predict([branched])).all()


@pytest.mark.parametrize("kind", KINDS)
def test_cells_networks_without_signal_among_them(kind):
    space, rng = nl.spaces.NASBench201(num_classes=10), np.random.default_rng(0)
    graphs = [space.sample(rng) for _ in range(29)]
    graphs.append(space.from_string("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"))
    scores = np.array([graph.num_params for graph in graphs], dtype=float)
    predictor = kind(**{**QUICK, "steps": 100}).fit(graphs, scores)
    found = predictor.predict(graphs)
    assert np.isfinite(found).all() and nl.predict.kendall_tau(found, scores) > 0.5


def test_edges_as_tokens_and_random_positions(data):
    graphs, scores = data
    predictor = nl.predict.TokenTransformer(edges=True, positions="random", **QUICK).fit(graphs[:60], scores[:60])
    assert predictor.score(graphs[80:], scores[80:])["kendall_tau"] > 0.4


def test_fidelity_is_learned(data):
    graphs, scores = data
    epochs = np.array([1, 8] * 40)
    short = np.where(epochs == 1, scores[:80] - 4, scores[:80])
    predictor = nl.predict.NeuralPredictor(features=False, **QUICK).fit(graphs[:80], short, fidelity=epochs)
    gap = predictor.predict(graphs[80:]) - predictor.predict(graphs[80:], fidelity=1)
    assert 1.5 < np.median(gap) < 6


def test_progress_tells_how_it_goes(data, capsys):
    graphs, scores = data
    nl.predict.NeuralPredictor(progress=True, **{**QUICK, "steps": 40}).fit(graphs[:20], scores[:20])
    assert "epoch 2/2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nl.predict.NeuralPredictor(loss="ndcg"), "expected one of mse, hinge, logistic, listmle"),
        (lambda: nl.predict.NeuralPredictor(width=0), "width = 0; expected an integer ≥ 1"),
        (lambda: nl.predict.LSTM(members=1), "members = 1; expected an integer ≥ 2"),
        (lambda: nl.predict.LSTM(rows="words"), "expected one of auto, layers32, calls"),
        (lambda: nl.predict.TokenTransformer(heads=5), "a divisor of width"),
        (lambda: nl.predict.TokenTransformer(positions="sine"), "laplacian, random"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(PredictorError, match=message):
        make()


def test_training_is_resumed_to_the_bit():
    from netloom.predict.member_layers import Initial, linear
    from netloom.predict.member_training import MemberLearner, Schedule, parts

    rng = np.random.default_rng(0)
    x, y = torch.from_numpy(rng.normal(size=(30, 4)).astype(np.float32)), rng.normal(size=30)
    make = Initial(2, torch.Generator().manual_seed(0))
    make.linear("only", 4, 1)

    def forward(parameters, rows, generator):
        return linear(parameters, "only", x[rows])[..., 0]

    def learner():
        return MemberLearner(make.parameters, forward, y, parts(2, 30, rng), "mse", Schedule(20, 8, 0.01, 0.1, 1.0), 0)

    rng = np.random.default_rng(1)
    whole = learner()
    batches = [rng.integers(0, 30, 8) for _ in range(10)]
    losses = [whole.step(batch) for batch in batches]
    rng = np.random.default_rng(1)
    half = learner()
    assert [half.step(batch) for batch in batches[:5]] == losses[:5]
    resumed = learner()
    resumed.load_state_dict(half.state_dict())
    resumed.seen = half.seen
    assert [resumed.step(batch) for batch in batches[5:]] == losses[5:]
