"""Adjacency arrays and tokens: what they hold, call by call."""

from __future__ import annotations

import math

import numpy as np
import pytest

import netloom as nl
from netloom.encode.call_arrays import ATTRIBUTES, SIZES
from netloom.encode.positions import laplacian, orthonormal, topological
from netloom.encode.vocabulary import KINDS
from netloom.errors import FormatError
from tests.encode.encoded_graphs import mixed, residual, sequence, silent, stacked


def kinds(arrays: object, i: int = 0) -> list[str]:
    nodes = arrays.nodes[i][arrays.mask[i]]  # type: ignore[attr-defined]
    return [KINDS[place] for place in nodes[:, : len(KINDS)].argmax(1)]


def test_one_graph_by_hand() -> None:
    arrays = nl.encode.adjacency(residual())
    assert kinds(arrays) == ["input", "conv3", "relu", "conv1", "avg_pool", "add", "add", "linear"]
    edges = np.argwhere(arrays.adjacency[0]).tolist()
    assert edges == [[0, 1], [1, 2], [2, 3], [2, 4], [2, 5], [3, 5], [4, 6], [5, 6], [6, 7]]
    assert arrays.topological[0, :, 0].tolist() == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert arrays.topological[0, :, 1].tolist() == pytest.approx([1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 2 / 6, 1 / 6, 0])
    rows = [dict(zip(arrays.columns, row)) for row in arrays.nodes[0].tolist()]
    assert set(rows[0]) == {*KINDS, *ATTRIBUTES, *SIZES}
    stem, pool, head = rows[1], rows[4], rows[7]
    assert (stem["conv3"], stem["kernel"], stem["stride"], stem["bias"], stem["groups.log"]) == (1, 3, 1, 1, 0)
    assert (pool["kernel"], pool["bias"], pool["params.log"], pool["macs.log"]) == (3, 0, 0, 0)
    assert stem["width.log"] == pytest.approx(math.log(5)) and stem["extent.log"] == pytest.approx(math.log(65))
    assert stem["params.log"] == pytest.approx(math.log(1 + 3 * 4 * 9 + 4))
    assert stem["macs.log"] == pytest.approx(math.log(1 + 3 * 4 * 9 * 64))
    assert head["width.log"] == pytest.approx(math.log(3)) and head["extent.log"] == pytest.approx(math.log(2))
    assert head["params.log"] == pytest.approx(math.log(1 + 256 * 2 + 2))


def test_a_graph_is_the_same_alone_and_in_a_batch() -> None:
    graphs = mixed()
    batch = nl.encode.adjacency(graphs)
    assert len(batch) == len(graphs)
    for i, graph in enumerate(graphs):
        alone = nl.encode.adjacency([graph])
        size = alone.mask.sum()
        assert batch.mask[i].sum() == size == (batch.nodes[i] != 0).any(1).sum()
        assert (batch.nodes[i, :size] == alone.nodes[0]).all() and not batch.nodes[i, size:].any()
        assert (batch.adjacency[i, :size, :size] == alone.adjacency[0]).all()
        assert batch.adjacency[i].sum() == alone.adjacency[0].sum()
        assert np.allclose(batch.laplacian[i, :size], alone.laplacian[0]) and not batch.laplacian[i, size:].any()
        assert (batch.topological[i, :size] == alone.topological[0]).all()
    assert not np.tril(batch.adjacency).any()


def test_names_and_dead_branches_do_not_count() -> None:
    one, other = (nl.encode.adjacency(graph) for graph in (residual(), residual(name="other", dead=True)))
    assert (one.nodes == other.nodes).all() and (one.adjacency == other.adjacency).all()


def test_order_permutes() -> None:
    one, other = (nl.encode.adjacency(graph) for graph in (residual(), residual(swap=True)))
    assert sorted(map(tuple, one.nodes[0].tolist())) == sorted(map(tuple, other.nodes[0].tolist()))


def test_stacks_fold_to_their_cells() -> None:
    whole, runs, distinct = (nl.encode.adjacency([stacked(7)], fold=fold) for fold in (None, "runs", "distinct"))
    assert kinds(runs) == kinds(distinct) == ["input", "conv3", "conv3", "relu", "conv1", "add", "linear"]
    assert whole.mask.sum() == 2 + 7 * 4 + 1
    repeats = runs.nodes[0, :, runs.columns.index("repeats.log")]
    assert np.exp(repeats).round().tolist() == [2, 2, 8, 8, 8, 8, 2]
    assert np.argwhere(runs.adjacency[0]).tolist() == [[0, 1], [1, 2], [1, 5], [2, 3], [3, 4], [4, 5], [5, 6]]
    assert np.exp(whole.nodes[0, :, -1]).round().tolist() == [2] * 31


def test_cells_of_all_stages_fold_to_one() -> None:
    """Widths differ between the stages, the cells do not."""
    graph = nl.spaces.NASBench201(N=3).from_string("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|avg_pool_3x3~1|none~2|")
    runs, distinct = (nl.encode.adjacency([graph], fold=fold) for fold in ("runs", "distinct"))
    assert kinds(distinct).count("avg_pool") == 2 and kinds(runs).count("avg_pool") == 5
    pools = distinct.nodes[0][distinct.nodes[0, :, KINDS.index("avg_pool")] == 1]
    assert sorted(np.exp(pools[:, -1]).round().tolist()) == [3, 10]


def test_sequences_have_their_channels_last() -> None:
    arrays = nl.encode.adjacency([sequence()])
    width, extent = (arrays.columns.index(name) for name in ("width.log", "extent.log"))
    attention = arrays.nodes[0][kinds(arrays).index("attention")]
    assert np.exp(attention[[width, extent]]).round().tolist() == [9, 6]
    assert kinds(arrays).count("input") == 2


def test_eigenvectors_are_those_of_the_laplacian() -> None:
    adjacency = np.zeros((6, 6), dtype=bool)
    for a, b in ((0, 1), (1, 2), (1, 3), (2, 4), (3, 4)):
        adjacency[a, b] = True
    vectors = laplacian(adjacency)
    both = (adjacency | adjacency.T).astype(float)
    degree = both.sum(1)
    root = np.diag([1 / math.sqrt(d) if d else 0 for d in degree])
    matrix = np.eye(6) - root @ both @ root
    assert np.allclose(vectors.T @ vectors, np.eye(6))
    diagonal = vectors.T @ matrix @ vectors
    assert np.allclose(diagonal, np.diag(np.diag(diagonal)), atol=1e-9) and (np.diff(np.diag(diagonal)) > -1e-9).all()
    largest = [next(entry for entry in column if abs(entry) > np.abs(column).max() - 1e-9) for column in vectors.T]
    assert min(largest) > 0


def test_depths_count_the_longest_way() -> None:
    edges = np.array([[0, 1], [1, 2], [0, 3], [2, 3]])
    assert topological(4, edges).tolist() == pytest.approx(np.array([[0, 1], [1 / 3, 2 / 3], [2 / 3, 1 / 3], [1, 0]]))
    assert topological(1, np.zeros((0, 2), dtype=int)).tolist() == [[0, 0]]


# -- tokens ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("positions", ["random", "laplacian"])
def test_tokens_are_nodes_then_edges(positions: str) -> None:
    graphs = [residual(), stacked(2), silent()]
    found, arrays = nl.encode.tokens(graphs, positions), nl.encode.adjacency(graphs)
    width, features = found.positions.shape[2], len(found.columns)
    whole = found.array
    assert whole.shape[2] == features + 2 * width + 2 and whole.shape == np.asarray(found).shape
    for i in range(len(graphs)):
        size, edges = arrays.mask[i].sum(), np.argwhere(arrays.adjacency[i])
        vectors = found.positions[i]
        assert found.mask[i].sum() == size + len(edges) and not whole[i][~found.mask[i]].any()
        assert found.types[i][found.mask[i]].tolist() == [0] * size + [1] * len(edges)
        for v in range(size):
            assert (whole[i, v] == [*arrays.nodes[i, v], *vectors[v], *vectors[v], 1, 0]).all()
        assert sorted(found.ends[i, size : size + len(edges)].tolist()) == edges.tolist()
        for row, (u, v) in zip(whole[i, size:], found.ends[i, size : size + len(edges)]):
            assert (row[features:] == [*vectors[u], *vectors[v], 0, 1]).all()
            carried = dict(zip(found.columns, row))
            assert carried["width.log"] == arrays.nodes[i, u, found.columns.index("width.log")]
            assert np.count_nonzero(row[:features]) == 2
        inner = vectors[:size] @ vectors[:size].T
        assert np.allclose(inner, np.eye(size), atol=1e-6)


def test_random_positions_follow_the_seed() -> None:
    graphs = [residual(), stacked(1), residual(8)]
    first, same, other = (nl.encode.tokens(graphs, width=16, seed=seed).positions for seed in (1, 1, 2))
    assert (first == same).all() and not (first == other).all()
    assert (first[0] == first[2]).all()  # of one size, so of one matrix; alone or in a batch
    assert np.allclose(nl.encode.tokens(graphs[0], width=16, seed=1).positions[0], first[0, :8], atol=1e-7)
    rng = np.random.default_rng(0)
    drawn = nl.encode.tokens(graphs, width=16, seed=rng).positions
    assert not (drawn[0] == drawn[2]).all()
    assert (drawn == nl.encode.tokens(graphs, width=16, seed=np.random.default_rng(0)).positions).all()


def test_more_calls_than_coordinates_have_unit_vectors_all_the_same() -> None:
    vectors = orthonormal(30, 8, np.random.default_rng(0))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert nl.encode.tokens([stacked(9)], "laplacian", width=5).positions.shape == (1, 39, 5)
    few = orthonormal(3, 8, np.random.default_rng(0))
    assert np.allclose(few @ few.T, np.eye(3))


def test_random_positions_are_drawn_evenly() -> None:
    """No direction is preferred: the mean of many is near zero, the mean square near 1 / width."""
    rng = np.random.default_rng(0)
    drawn = np.array([orthonormal(4, 4, rng) for _ in range(4000)])
    assert np.abs(drawn.mean(0)).max() < 0.04
    assert np.abs((drawn**2).mean(0) - 0.25).max() < 0.03


def test_flips_change_signs_alone() -> None:
    found = nl.encode.tokens(mixed(), "laplacian", width=8)
    flipped = found.flipped(3)
    assert (np.abs(flipped.positions) == np.abs(found.positions)).all()
    assert (flipped.positions == found.flipped(3).positions).all()
    assert not (flipped.positions == found.flipped(4).positions).all()
    ratio = flipped.positions[0] * np.sign(found.positions[0])
    assert all(len(set(np.sign(column[column != 0]))) <= 1 for column in ratio.T)  # one sign for all calls of a graph
    drawn = nl.encode.tokens(mixed(), "laplacian", width=8, flip=True, seed=3)
    assert (drawn.positions == flipped.positions).all()


def test_tokens_fold_too() -> None:
    assert nl.encode.tokens([stacked(7)], fold="runs").mask.sum() == 7 + 7


def test_nothing() -> None:
    assert nl.encode.adjacency([]).nodes.shape == (0, 0, len(KINDS) + len(ATTRIBUTES) + len(SIZES))
    assert nl.encode.tokens([]).array.shape[:2] == (0, 0)
    assert nl.encode.adjacency([silent()], eigenvectors=0).adjacency.shape == (1, 0, 0)
    assert nl.encode.tokens([silent()], "laplacian").mask.shape == (1, 0)


def test_bad_input() -> None:
    for call, message in (
        (lambda: nl.encode.adjacency([residual()], fold="cells"), "fold = 'cells'"),
        (lambda: nl.encode.adjacency([residual()], eigenvectors=-1), "eigenvectors = -1"),
        (lambda: nl.encode.tokens([residual()], "sine"), "positions = 'sine'; expected 'random' or 'laplacian'"),
        (lambda: nl.encode.tokens([residual()], width=0), "width = 0"),
    ):
        with pytest.raises(FormatError, match=message):
            call()
    with pytest.raises(FormatError, match="differ in length alone"):
        nl.encode.padded([np.zeros((2, 3)), np.zeros((2, 4))])
    assert nl.encode.padded([]).array.shape == (0, 0)
