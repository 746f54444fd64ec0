"""Regions between nonlinearities tell what a network begins and ends with, however often it is repeated."""

import netloom as nl
from netloom.encode.named_features import encoded


def regions(graph):
    found = encoded([graph]).regions
    return dict(zip(found.vocabulary, found.counts.toarray()[0].tolist()))


def network(*blocks, last=(), swapped=False):
    x = nl.input(8)
    y = nl.relu(nl.linear(x, 8))
    for block in blocks:
        branches = [nl.linear(y, 8), nl.tanh(nl.linear(y, 8))] if block == "two" else [nl.linear(y, 8)]
        y = nl.relu(nl.add(*(branches[::-1] if swapped else branches)) if block == "two" else branches[0])
    for function in last:
        y = function(y)
    return nl.Graph(x, nl.linear(y, 2))


def test_the_order_of_terms_does_not_count_and_names_neither():
    assert regions(network("two")) == regions(network("two", swapped=True))
    assert regions(network("two")) == regions(nl.Graph.from_text(network("two").to_text()))
    assert regions(network("two")) != regions(network("one"))


def test_only_the_first_and_the_last_count():
    deep, deeper = network("one", "two", "one", "one"), network("one", "two", "two", "two", "one", "one")
    assert regions(deep) == regions(deeper)
    assert regions(deep) != regions(network("two", "one", "one", "one"))
    assert regions(deep) != regions(network("one", "two", "one", "one", last=[nl.sigmoid]))


def test_several_at_the_beginning():
    x = nl.input(8)
    stem = nl.relu(nl.linear(x, 8))
    parts = [nl.relu(nl.linear(stem, 8)), nl.relu(nl.linear(stem, 8)), nl.gelu(nl.linear(stem, 8))]
    counts = regions(nl.Graph(x, nl.linear(nl.cat(parts, dim=-1), 2)))
    # The stem, two regions alike and one apart, first and last; and the end after two different ones is neither.
    assert sorted(counts.values()) == [1, 1, 1, 2, 2]


def test_without_a_signal_there_are_none():
    x = nl.input(8)
    assert regions(nl.Graph(x, nl.mul(x, 0.0))) == {}
