"""Networks that are drawn have the statistics of the published ones, as a hypernetwork sees them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import netloom as nl

#: Split → mean and standard deviation of nodes, mean degree, mean path (Knyazev et al.'s notebook, first 1,000 of train).
PUBLISHED = {"train": (192.3, 94.9, 2.3, 14.5), "bnfree": (135.1, 78.1, 2.4, 10.0), "dense": (355.1, 182.3, 2.4, 15.1)}
#: Shares of node types in the published generator's networks.
SHARES = {"bn": 0.25, "sum": 0.115, "bias": 0.065, "sep_conv": 0.06, "concat": 0.04, "dil_conv": 0.027, "ln": 0.027}


@pytest.mark.parametrize(("split", "count"), [("train", 90), ("bnfree", 40), ("dense", 25)])
def test_statistics_are_the_published_ones(split: str, count: int) -> None:
    space = nl.spaces.DeepNets1M(split)
    views = [nl.ghn.hyper_graph(space[number]) for number in range(count)]
    nodes = np.array([len(view) for view in views])
    mean, deviation, degree, path = PUBLISHED[split]
    # Three standard errors of a mean of so many, and a tenth: the published splits are other draws.
    tolerance = 3 * deviation / count**0.5 + 0.1 * mean
    assert abs(nodes.mean() - mean) < tolerance
    assert 0.6 < nodes.std() / deviation < 1.5
    assert np.mean([view.average_degree for view in views]) == pytest.approx(degree, abs=0.1)
    assert np.mean([view.average_path for view in views]) == pytest.approx(path, rel=0.2)
    if split == "train":
        kinds = Counter(node.type for view in views for node in view.nodes)
        for kind, share in SHARES.items():
            assert kinds[kind] / nodes.sum() == pytest.approx(share, rel=0.35), kind
