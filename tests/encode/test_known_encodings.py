"""What was encoded before is the same when it is asked for again, and is bounded."""

import numpy as np
import pytest

import netloom as nl
from netloom.encode import known_encodings
from netloom.encode.known_encodings import KnownEncodings
from netloom.encode.named_features import encoded


@pytest.fixture(scope="module")
def graphs():
    space, rng = nl.spaces.NASBench201(num_classes=10), np.random.default_rng(0)
    found = [space.sample(rng) for _ in range(12)]
    return [graph for graph in found if graph.hash]


def same(one, other):
    np.testing.assert_array_equal(one.features, other.features)
    for left, right in zip(one[1:], other[1:]):
        assert counts_by_name(left) == counts_by_name(right)


def counts_by_name(counted):
    dense = counted.counts.toarray()
    return [{name: row[i] for i, name in enumerate(counted.vocabulary) if row[i]} for row in dense]


def test_some_known_and_some_new(graphs):
    known = KnownEncodings()
    known(graphs[:5])
    same(known(graphs[3:9] + graphs[:2] + graphs[:1]), encoded(graphs[3:9] + graphs[:2] + graphs[:1]))
    assert len(known) == len({graph.hash for graph in graphs[:9]})


def test_what_is_known_is_not_encoded_again(graphs, monkeypatch):
    known = KnownEncodings()
    first = known(graphs)
    monkeypatch.setattr(known_encodings, "encoded", lambda graphs: pytest.fail("encoded again"))
    same(known(graphs), first)


def test_the_oldest_are_forgotten(graphs):
    known = KnownEncodings(most=4)
    known(graphs[:4])
    known(graphs[2:6])
    assert len(known) == 4
    same(known(graphs), encoded(graphs))


def test_hashes_are_not_worked_out_for_it():
    space, rng = nl.spaces.NASBench201(num_classes=10), np.random.default_rng(1)
    fresh = [space.sample(rng) for _ in range(3)]
    known = KnownEncodings()
    same(known(fresh), encoded(fresh))
    assert len(known) == 0 and all("hash" not in graph.__dict__ for graph in fresh)
