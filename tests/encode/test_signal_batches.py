"""Signals found side by side are those found one by one."""

import numpy as np
import pytest

import netloom as nl
from netloom.encode import signal_batches
from netloom.encode.signal_batches import Segments, signals
from netloom.encode.signal_flow import signal

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
    monkeypatch.setattr(signal_batches, "_MOST_NAMES", most_names)
    graphs, segments = several(), Segments()
    found = signals(graphs, segments)
    assert len(set(segments.found)) == len(segments.found)
    for i, graph in enumerate(graphs):
        alone = signal(graph)
        chain = found.chain[found.chain_bounds[i] : found.chain_bounds[i + 1]]
        assert tuple(segments.found[number] for number in chain) == alone.segments
        assert found.labels[found.bounds[i] : found.bounds[i + 1]].tolist() == alone.labels
        live = found.live[found.live_bounds[i] : found.live_bounds[i + 1]]
        assert (live - found.bounds[i]).tolist() == alone.live


def test_segments_that_are_known_keep_their_numbers():
    segments = Segments()
    first = signals([stacked(2)], segments)
    count = len(segments.found)
    again = signals([silent(), stacked(5)], segments)
    assert len(segments.found) == count and set(again.chain) == set(first.chain)
