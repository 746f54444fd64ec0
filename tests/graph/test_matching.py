"""Matchings of two graphs: never dearer than the cheapest of all, with costs that add up."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.graph.alignment import align
from netloom.graph.compared import Compared
from netloom.graph.graph import Graph
from netloom.graph.match_moves import apply, gain
from netloom.graph.match_search import best_matching
from netloom.graph.matching import NAME, NODE, Matching, PairCosts
from tests.graph.graph_variants import disguised, random_graph

NAMING = {"N": "n0"}


def compared(seed: int, size: int) -> tuple[Compared, Compared]:
    """Two unrelated graphs, the second without names."""
    rng = random.Random(seed)
    a, b = random_graph(rng, size), disguised(random_graph(rng, size), rng)
    return Compared(a, NAMING), Compared(b, NAMING)


def cheapest(a: Compared, b: Compared) -> float:
    """The least cost of any matching, by trying all."""
    matching = Matching(a, b, PairCosts(a, b))

    def totals(u: int, spent: float, best: float) -> Iterator[float]:
        if spent >= best:
            return
        if u == a.root:
            yield matching.total()
            return
        for v in range(b.root):
            if matching.to_a[v] < 0 and matching.pair_cost(u, v) < 2 * NODE:
                matching.link(u, v)
                for total in totals(u + 1, spent + matching.pair_cost(u, v), best):
                    best = min(best, total)
                    yield total
                matching.unlink(u)
        for total in totals(u + 1, spent + NODE, best):
            yield total

    return min(totals(0, 0.0, float("inf")))


@pytest.mark.parametrize("seed", range(30))
def test_no_matching_of_small_graphs_costs_less(seed: int) -> None:
    a, b = compared(seed, 2 + seed % 2)
    assert max(len(a), len(b)) <= 8
    assert best_matching(a, b).total() <= cheapest(a, b) + NAME * len(a)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), size=st.integers(3, 12))
def test_what_a_change_gains_is_the_difference_of_totals(seed: int, size: int) -> None:
    a, b = compared(seed, size)
    rng = random.Random(seed)
    matching = Matching(a, b, PairCosts(a, b))
    for _ in range(30):
        u, v = rng.randrange(a.root), rng.randrange(-1, b.root)
        if v < 0 and matching.to_b[u] < 0 or v >= 0 and matching.pair_cost(u, v) > 1e6:
            continue
        before, pairs = matching.total(), list(matching.to_b)
        expected = gain(matching, u, v)
        assert matching.to_b == pairs
        apply(matching, u, v)
        assert matching.total() - before == pytest.approx(expected)
        assert all(matching.to_b[x] == y for y, x in enumerate(matching.to_a) if x >= 0)


@settings(max_examples=60)
@given(costs=st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), max_size=4), opening=st.integers(0, 2))
def test_alignment_costs_no_more_than_any_other(costs: list[list[int]], opening: int) -> None:
    table = np.array(costs, dtype=float).reshape(len(costs), 3)

    def cost(pairs: tuple[tuple[int, int], ...]) -> float:
        spent, i, j = 0.0, 0, 0
        for x, y in (*pairs, table.shape):
            spent += (x - i) + (y - j) + opening * ((x > i) + (y > j))
            if x < len(table):
                spent += table[x, y]
            i, j = x + 1, y + 1
        return spent

    cells = list(itertools.product(range(table.shape[0]), range(3)))
    chains = (
        chain
        for k in range(min(table.shape) + 1) for chain in itertools.combinations(cells, k)
        if all(p[0] < q[0] and p[1] < q[1] for p, q in zip(chain, chain[1:]))
    )  # fmt: skip
    assert cost(tuple(align(table, 1.0, opening))) == min(map(cost, chains)) if costs else align(table, 1.0, 0) == []


def test_a_removed_block_is_a_whole_block_without_names() -> None:
    """Removed nodes could begin anywhere in a chain of equal blocks; people see blocks."""

    def chain(blocks: int) -> Graph:
        x = y = nl.input(3, 16, 16)
        for i in range(blocks):
            y = nl.relu(nl.batch_norm(nl.conv2d(y, 3, kernel=3, padding=1, name=f"b{i}.conv"), name=f"b{i}.norm"))
        return nl.Graph(x, nl.linear(nl.flatten(y), 10))

    a, b = chain(6), disguised(chain(4), random.Random(3))
    assert [node.op for node in nl.diff(a, b).removed] == ["conv2d", "batch_norm", "relu"] * 2
