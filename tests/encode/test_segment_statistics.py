"""Statistics of many segments, walked side by side, are those of each, call by call."""

import numpy as np
import pytest

import netloom as nl
from netloom.encode.segment_statistics import NAMES, statistics
from netloom.encode.signal_flow import signal

from .slow_statistics import statistics as call_by_call

SPACES = {
    "cells": lambda: nl.spaces.NASBench201(num_classes=10),
    "chains": lambda: nl.spaces.Conv((3, 32, 32), 10),
    "free graphs": lambda: nl.spaces.DeepNets1M(),
}


@pytest.mark.parametrize("space", SPACES)
def test_side_by_side_is_call_by_call(space):
    space, rng = SPACES[space](), np.random.default_rng(0)
    segments = list({segment: None for _ in range(20) for segment in signal(space.sample(rng)).segments})
    found = statistics(segments)
    assert found.shape == (len(segments), len(NAMES))
    np.testing.assert_allclose(found, np.array([call_by_call(segment) for segment in segments]), rtol=1e-9, atol=1e-9)


def test_a_value_read_twice_by_one_call_counts_twice():
    x = nl.input(8)
    y = nl.relu(nl.linear(x, 8))
    graph = nl.Graph(x, nl.linear(nl.cat([y, y, nl.tanh(y)], dim=-1), 2))
    segments = list(signal(graph).segments)
    np.testing.assert_allclose(statistics(segments), np.array([call_by_call(segment) for segment in segments]), atol=1e-12)
    assert statistics(segments)[:, NAMES.index("edges")].max() == 4


def test_no_segments():
    assert statistics([]).shape == (0, len(NAMES))
