"""Counts of paths and of neighbourhoods: against the plain definitions, and the same for graphs written otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import netloom as nl
from netloom.encode.call_arrays import calls_of
from netloom.encode.signal_flow import signal
from netloom.encode.vocabulary import KINDS, LABELS, MAIN
from netloom.errors import FormatError
from tests.encode.encoded_graphs import mixed, residual, silent, stacked


def labels_of(graph: nl.Graph) -> list[str]:
    return [LABELS[label].name for segment in signal(graph).segments for label, *_ in segment]


def plain_wl(graph: nl.Graph, iterations: int) -> Counter[str]:
    """The definition, written out, on the whole graph at once."""
    names, edges = labels_of(graph), calls_of(graph).edges.tolist()
    found = Counter(names)
    for _ in range(iterations):
        names = [
            f"<{name} from {sorted(names[a] for a, b in edges if b == i)} to {sorted(names[b] for a, b in edges if a == i)}>"
            for i, name in enumerate(names)
        ]
        found.update(names)
    return found


def as_columns(rows: list[Counter[str]]) -> list[tuple[float, ...]]:
    names = sorted({name for row in rows for name in row})
    return sorted(tuple(float(row[name]) for row in rows) for name in names)


@pytest.mark.parametrize("iterations", [0, 1, 2, 3])
def test_neighbourhoods_are_those_of_the_definition(iterations: int) -> None:
    """Names differ, so the columns are compared as a collection; radii are told apart on either side."""
    graphs = mixed()
    counts = nl.encode.wl(graphs, iterations)
    assert sorted(map(tuple, counts.dense().T.tolist())) == as_columns([plain_wl(graph, iterations) for graph in graphs])


def plain_paths(graph: nl.Graph) -> Counter[str]:
    """Every path of a small graph, walked."""
    names, calls = labels_of(graph), calls_of(graph)
    readers: dict[int, list[int]] = {}
    for source, target in calls.edges.tolist():
        readers.setdefault(source, []).append(target)
    found: Counter[str] = Counter()

    def walk(i: int, passed: tuple[str, ...]) -> None:
        passed = (*passed, names[i]) if KINDS[calls.kinds[i]] in MAIN else passed
        if i not in readers:
            found[" > ".join(passed) or "identity"] += 1
        for j in readers.get(i, ()):
            walk(j, passed)

    walk(0, ())
    return found


def test_paths_across_a_graph_are_those_of_the_definition() -> None:
    cells = nl.spaces.NASBench201(C=4, N=1)
    cell = cells.from_string("|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|")
    graphs = [residual(), stacked(3), cell]
    counts = nl.encode.paths(graphs, across=True)
    for row, graph in zip(counts.dense(), graphs):
        assert {name: count for name, count in zip(counts.vocabulary, row) if count} == dict(plain_paths(graph))


def test_paths_of_a_stack_are_counted_cell_by_cell() -> None:
    counts = nl.encode.paths([stacked(2), stacked(40)])
    column = counts.vocabulary.index("conv2d_3 > conv2d_1")
    assert counts.dense()[:, column].tolist() == [2, 40]
    assert counts.dense().sum(1).max() < 100


@pytest.mark.parametrize("encode", [nl.encode.wl, nl.encode.paths], ids=["wl", "paths"])
def test_only_what_is_computed_counts(encode: object) -> None:
    rows = encode([residual(), residual(8), residual(name="b", swap=False), residual(dead=True)]).dense()  # type: ignore[operator]
    assert (rows == rows[0]).all()
    swapped = nl.encode.paths([residual(), residual(swap=True)], across=True).dense()
    assert (swapped[0] == swapped[1]).all()


@pytest.mark.parametrize("encode", [nl.encode.wl, nl.encode.paths], ids=["wl", "paths"])
def test_a_vocabulary_gives_other_graphs_the_same_columns(encode) -> None:  # type: ignore[no-untyped-def]
    graphs = mixed()
    first = encode(graphs[:6])
    again = encode(graphs, vocabulary=first.vocabulary)
    assert again.vocabulary == first.vocabulary and again.shape == (len(graphs), len(first.vocabulary))
    assert (again[:6] == first.dense()).all() and not again.left_out[:6].any()
    assert again.left_out.any()
    whole = encode(graphs)
    assert np.allclose(again.dense().sum(1) + again.left_out, whole.dense().sum(1))
    assert encode(graphs, vocabulary=first).vocabulary == first.vocabulary


def test_vocabularies_are_sorted_and_can_be_kept_small() -> None:
    graphs = mixed()
    whole, common = nl.encode.wl(graphs), nl.encode.wl(graphs, min_graphs=5)
    assert list(whole.vocabulary) == sorted(whole.vocabulary)
    kept = (whole.dense() > 0).sum(0) >= 5
    assert common.vocabulary == tuple(np.array(whole.vocabulary)[kept])
    assert (common.dense() == whole.dense()[:, kept]).all()


def test_names_are_the_same_in_every_process() -> None:
    """Whatever has been encoded before."""
    code = (
        "import netloom as nl; from tests.encode.encoded_graphs import mixed\n"
        "graphs = mixed()[::-1]\n"
        "print('\\n'.join(nl.encode.wl(graphs).vocabulary + nl.encode.paths(graphs).vocabulary))"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=root, check=True)
    graphs = mixed()
    assert done.stdout.split("\n")[:-1] == [*nl.encode.wl(graphs).vocabulary, *nl.encode.paths(graphs).vocabulary]


def test_counts_are_arrays_rows_and_frames() -> None:
    graphs = mixed()
    counts = nl.encode.wl(graphs)
    assert len(counts) == len(graphs) and np.asarray(counts).shape == counts.shape == counts.sparse.shape
    assert (counts[3] == counts.dense()[3]).all() and (counts[2:5] == counts.dense()[2:5]).all()
    frame = counts.frame()
    assert tuple(frame.columns) == counts.vocabulary and (frame.to_numpy() == counts.dense()).all()


def test_nothing_and_silence() -> None:
    assert nl.encode.wl([]).shape == nl.encode.paths([]).shape == (0, 0)
    assert nl.encode.wl([silent()]).shape == (1, 0)
    assert nl.encode.paths(silent(), across=True).dense().tolist() == [[]]
    assert (nl.encode.wl(residual()).dense() == nl.encode.wl([residual()]).dense()).all()


def test_bad_input() -> None:
    with pytest.raises(FormatError, match="iterations = -1"):
        nl.encode.wl([residual()], -1)
    with pytest.raises(FormatError, match="'conv2d_3' twice"):
        nl.encode.wl([residual()], vocabulary=["conv2d_3", "relu", "conv2d_3"])
    with pytest.raises(FormatError, match="expected the names"):
        nl.encode.paths([residual()], vocabulary="conv2d_3")


ENCODERS = [nl.encode.wl, nl.encode.paths, nl.encode.adjacency, nl.encode.tokens, nl.encode.layers32.encode_many]


@pytest.mark.parametrize("encode", ENCODERS)
def test_what_is_no_graph_is_named_and_networks_are_fine(encode) -> None:  # type: ignore[no-untyped-def]
    graph = nl.encode.layers32.from_hex("01000000")
    with pytest.raises(FormatError, match=r"item 1 of the graphs is int \(3\); expected a Graph"):
        encode([graph, 3])
    with pytest.raises(FormatError, match="what is encoded is NoneType"):
        encode(None)
    assert len(encode(nl.build(graph))) == len(encode([nl.build(graph)])) == 1
