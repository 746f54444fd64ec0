"""Features describe what a graph computes, not how it is written."""

import numpy as np
import pytest

import netloom as nl
from netloom.encode.named_features import NAMES, encoded
from netloom.encode.signal_flow import signal, units


def chain(*kernels, names=False):
    x = y = nl.input(3, 16, 16)
    for i, kernel in enumerate(kernels):
        label = {"name": f"layer{i}"} if names else {}
        y = nl.relu(nl.conv2d(y, 8, kernel=kernel, padding=kernel // 2, **label))
    return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(y, 1)), 4))


def row(graph):
    return nl.encode.features([graph]).iloc[0]


def test_names_and_forms_do_not_count():
    plain, named = chain(3, 5), chain(3, 5, names=True)
    x = nl.input(3, 16, 16)
    y = nl.relu(nl.conv2d(x, 8, kernel=3, padding=1))
    y = nl.relu(nl.conv2d(nl.reshape(nl.reshape(y, (-1, 8, 256)), (-1, 8, 16, 16)), 8, kernel=5, padding=2))
    reshaped = nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(y, 1)), 4))
    assert (row(plain) == row(named)).all()
    live = [name for name in NAMES if not name.startswith("all.") and name != "dead"]
    assert (row(plain)[live] == row(reshaped)[live]).all()
    assert (row(plain) == row(nl.Graph.from_text(plain.to_text()))).all()


def test_dead_branches_are_counted_apart():
    x = nl.input(3, 16, 16)
    y = nl.relu(nl.conv2d(x, 8, kernel=3, padding=1))
    dead = nl.conv2d(nl.mul(y, 0.0), 8, kernel=5, padding=2)
    graph = nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(nl.add(y, dead), 1)), 4))
    found = row(graph)
    assert found["live.conv5"] == 0 and found["all.conv5"] == 1 and found["live.conv3"] == 1
    assert found["live.add"] == 0 and found["disconnected"] == 0


def test_an_output_that_no_input_reaches():
    x = nl.input(3, 16, 16)
    y = nl.mul(nl.conv2d(x, 8, kernel=3, padding=1), 0.0)
    found = row(nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(y, 1)), 4)))
    assert found["disconnected"] == 1 and found["live.conv3"] == 0 and found["all.conv3"] == 1


def test_paths_are_those_of_the_whole_graph():
    x = nl.input(8)
    y = x
    for _ in range(3):
        y = nl.add(y, nl.relu(nl.linear(nl.relu(nl.linear(y, 8)), 8)))
    found = row(nl.Graph(x, nl.linear(y, 2)))
    assert found["longest.linear"] == 7 and found["shortest.linear"] == 1 and found["mean.linear"] == 4
    assert found["paths.log"] == pytest.approx(3 * np.log(2)) and found["skips"] == 3 and found["bypassed"] == 3


def test_dense_blocks_have_more_paths_than_floats_count():
    x = nl.input(4)
    values = [x]
    for _ in range(1100):
        values.append(nl.relu(nl.add(values[-1], values[-2]) if len(values) > 1 else nl.linear(x, 4)))
    graph = nl.Graph(x, nl.linear(values[-1], 2))
    assert np.isfinite(nl.encode.features([graph]).to_numpy()).all()


def test_repeated_cells_are_units():
    x = y = nl.input(8)
    for _ in range(4):
        y = nl.tanh(nl.linear(nl.relu(nl.linear(y, 8)), 8))
    found = encoded([nl.Graph(x, nl.linear(y, 2))])
    counts = dict(zip(found.paths.vocabulary, found.paths.counts.toarray()[0]))
    linear = next(path for path in counts if len(path) == 2)
    assert counts[linear] == 4 and linear[0] == linear[1]
    assert units((5, 1, 1, 1, 6)) == [(5,), (1,), (1,), (1,), (6,)]


def test_any_sample_of_any_space_has_finite_features():
    rng = np.random.default_rng(0)
    spaces = [nl.spaces.Conv((3, 32, 32), 10, max_params=10**6), nl.spaces.NASBench201(), nl.spaces.MLP(8, 2)]
    graphs = [space.sample(rng) for space in spaces for _ in range(20)]
    table = nl.encode.features(graphs)
    assert table.shape == (60, len(NAMES)) and np.isfinite(table.to_numpy()).all()
    for i in (0, 25, 50):
        assert (table.iloc[i] == row(graphs[i])).all()


def test_several_inputs_and_outputs():
    a, b = nl.input(4), nl.input(6)
    h = nl.relu(nl.add(nl.linear(a, 8), nl.linear(b, 8)))
    graph = nl.Graph((a, b), (nl.linear(h, 2), nl.linear(h, 3)))
    assert row(graph)["live.linear"] == 4 and row(graph)["live.input"] == 2
    assert len(signal(graph).segments) >= 1


def test_no_graphs():
    assert nl.encode.features([]).shape == (0, len(NAMES))


def test_every_column_has_a_name_of_its_own():
    assert len(set(NAMES)) == len(NAMES)
