"""An explanation adds up, names what moved a score, and can be drawn."""

import numpy as np
import pytest

import netloom as nl
from netloom.errors import FormatError, PredictorError


@pytest.fixture(scope="module")
def fitted():
    space, rng = nl.spaces.Conv((3, 16, 16), 10, max_params=200_000), np.random.default_rng(0)
    graphs = [space.sample(rng) for _ in range(110)]
    table = nl.encode.features(graphs)
    scores = (table["live.batch_norm"] + 0.5 * table["live.max_pool"]).to_numpy() + rng.normal(0, 0.05, len(graphs))
    return nl.predict.GaussianProcess().fit(graphs[:80], scores[:80]), graphs


def test_it_adds_up_and_finds_what_made_the_scores(fitted):
    predictor, graphs = fitted
    found = predictor.explain(graphs[80:])
    assert np.allclose(found.base + found.contributions.sum(1) + found.rest, predictor.predict(graphs[80:]))
    assert np.array_equal(found.predictions, predictor.predict(graphs[80:]))
    assert {"live.batch_norm", "live.max_pool"} & set(list(found.importance)[:4])
    assert found.fidelity > 0.5 and np.abs(found.rest).mean() < np.abs(found.predictions - found.base).mean()
    name, value, share = found.top(3)[0]
    column = found.features.index(name)
    assert found.values[3, column] == value and found.contributions[3, column] == share
    assert found.frame().shape == (30, len(found.features) + 2) and name in str(found)


def test_a_loaded_predictor_explains_the_same(fitted, tmp_path):
    predictor, graphs = fitted
    predictor.save(tmp_path / "p.safetensors")
    loaded = nl.predict.load(tmp_path / "p.safetensors")
    ours, theirs = predictor.explain(graphs[80]), loaded.explain(graphs[80])
    assert ours.features == theirs.features and np.allclose(ours.contributions, theirs.contributions)


def test_other_graphs_to_compare_with(fitted):
    predictor, graphs = fitted
    assert predictor.explain(graphs[:2], background=graphs[40:]).base != predictor.explain(graphs[:2]).base
    with pytest.raises(PredictorError, match="5 graphs to compare with; .* 20 or more"):
        predictor.explain(graphs[:2], background=graphs[:5])
    with pytest.raises(PredictorError, match="call fit"):
        nl.predict.Trees().explain(graphs)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
@pytest.mark.parametrize("graph", [None, 1])
def test_pictures(fitted, suffix, graph, tmp_path):
    predictor, graphs = fitted
    path = predictor.explain(graphs[80:85]).draw(tmp_path / f"why{suffix}", graph)
    content = path.read_bytes()
    if suffix == ".svg":
        import xml.etree.ElementTree as ElementTree

        ElementTree.fromstring(content)
        assert b"live." in content
    else:
        assert content.startswith(b"\x89PNG")


def test_pictures_that_cannot_be_written(fitted, tmp_path):
    found = fitted[0].explain(fitted[1][:2])
    for path, graph, message in [("a.pdf", None, "'.pdf'"), ("no/a.svg", None, "no directory"), ("a.svg", 2, "graph 2 of")]:
        with pytest.raises(FormatError, match=message):
            found.draw(tmp_path / path, graph)
