"""Signals found side by side are those found one by one."""

import numpy as np
import pytest

import netloom as nl
from netloom.encode import step_variants
from netloom.encode.named_features import encoded
from netloom.encode.signal_batches import Segments, signals
from netloom.encode.signal_flow import signal
from netloom.encode.vocabulary import KINDS, LABELS

from .encoded_graphs import residual, silent, stacked


def several():
    rng = np.random.default_rng(0)
    spaces = [nl.spaces.NASBench201(), nl.spaces.Conv((3, 32, 32), 10, max_params=10**6), nl.spaces.MLP(8, 2)]
    graphs = [space.sample(rng) for _ in range(12) for space in spaces]
    x, other = nl.input(4), nl.input(4)
    shared = nl.relu(nl.add(x, other))
    graphs += [
        residual(), residual(swap=True, dead=True), stacked(3), silent(), nl.Graph(x, x),
        nl.Graph((x, other), (nl.linear(shared, 2), nl.add(shared, shared))),
        nl.Graph(x, nl.cat([x, nl.mul(x, 0.0), nl.reshape(nl.linear(x, 3), (-1, 3))], dim=-1)),
    ]  # fmt: skip
    return graphs


@pytest.mark.parametrize("most_names", [0, 10**7])
def test_side_by_side_is_one_by_one(most_names, monkeypatch):
    monkeypatch.setattr(step_variants, "MOST_NAMES", most_names)
    graphs, segments = several(), Segments()
    found = signals(graphs, segments)
    assert len(set(segments.found)) == len(segments.found)
    chain, bounds = found.chains()
    live = found.live_calls()
    for i, graph in enumerate(graphs):
        alone = signal(graph)
        assert tuple(segments.found[number] for number in chain[bounds[i] : bounds[i + 1]]) == alone.segments
        assert live.labels[live.bounds[i] : live.bounds[i + 1]].tolist() == [alone.labels[place] for place in alone.live]
        blocks = found.block[found.bounds[i] : found.bounds[i + 1]]
        kinds = np.bincount([LABELS[label].kind for label in alone.labels], minlength=len(KINDS))
        assert found.of.kinds[blocks].sum(0).tolist() == kinds.tolist()
        assert found.of.num_steps[blocks].sum() == len(graph.steps)


def test_repeated_cells_are_one_block():
    found = signals([stacked(2), stacked(9)], Segments())
    assert len(found.block) > len(found.of.num_steps) == len(signals([stacked(3)], Segments()).of.num_steps)


def test_segments_that_are_known_keep_their_numbers():
    segments = Segments()
    first, _ = signals([stacked(2)], segments).chains()
    count = len(segments.found)
    again, _ = signals([silent(), stacked(5)], segments).chains()
    assert len(segments.found) == count and set(again) == set(first)


def parts_that_matter():
    """Pairs of graphs that differ in one thing alone, which encodings see."""
    x = nl.input(4, 8, 8)
    y = nl.relu(nl.conv2d(x, 4, kernel=3, padding=1))
    narrow, wide = (nl.conv2d(y, width, kernel=1) for width in (4, 6))
    return {
        "width of a later call": (nl.Graph(x, nl.conv2d(narrow, 2, kernel=1)), nl.Graph(x, nl.conv2d(wide, 2, kernel=1))),
        "groups": (nl.Graph(x, nl.conv2d(y, 4, kernel=3)), nl.Graph(x, nl.conv2d(y, 4, kernel=3, groups=2))),
        "which is the result": tuple(nl.Graph(x, of) for last in [nl.conv2d(wide, 2, kernel=1)] for of in ((y, last), last)),
        "what is forgotten": (nl.Graph(x, nl.mul(narrow, 0.0)), nl.Graph(x, narrow)),
        "rows of an embedding": tuple(
            nl.Graph(i, nl.embedding(i, rows, 4)) for rows in (5, 50) for i in [nl.input(3, dtype="int64")]
        ),
    }  # fmt: skip


@pytest.mark.parametrize("what", parts_that_matter())
def test_blocks_that_differ_are_told_apart(what):
    one, other = parts_that_matter()[what]
    together, alone = encoded([one, other]).features, [encoded([graph]).features[0] for graph in (one, other)]
    assert np.array_equal(together, alone) and not np.array_equal(*alone)
