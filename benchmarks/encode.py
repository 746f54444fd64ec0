"""Encodings: 32-bit codes beside sophius, a million random sequences of the robust notation, graphs a second of all the rest.

    python -m benchmarks.encode layers32 --sophius FOLDER [--graphs 100000]
    python -m benchmarks.encode robust [--sequences 1000000]
    python -m benchmarks.encode arrays [--graphs 10000]

FOLDER (or the variable SOPHIUS) is a checkout of https://github.com/alkorolyov/sophius, which is only run, in this process: the
same networks as its templates, made of our hex strings, are encoded by its `model2vec`; both sides must give the same rows. The
graphs are in memory; they are encoded for the first time, when no step is known yet, and again. CPU seconds, one thread.

`robust` decodes sequences of random length (0 to 128) of random tokens, in parts with seeds of their own. One in a hundred is
written and decoded again, and must have the same hash; one in a thousand must stand every check of a graph.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import netloom as nl
from netloom.encode import layers32, robust
from netloom.graph.tree import edges

SHAPE, CLASSES = (3, 32, 32), 10
#: Rounds in which either side encodes a part of the networks.
PARTS = 20
PERCENTILES = (0, 10, 25, 50, 75, 90, 99, 100)


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.process_time()
    made = call()
    return time.process_time() - begun, made


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# -- 32-bit codes ------------------------------------------------------------------------------------------------------
def peer(folder: str) -> Any:
    sys.path.insert(0, folder)
    try:
        from sophius.encode import Encoder  # type: ignore[import-not-found]
    except ImportError as error:
        sys.exit(f"{folder!r} holds no importable sophius ({error}); git clone https://github.com/alkorolyov/sophius")
    return Encoder()


def codes(folder: str, count: int) -> None:
    encoder = peer(folder)
    space = nl.spaces.Conv(input_shape=SHAPE, num_classes=CLASSES)
    rng = np.random.default_rng(0)
    graphs = [space.sample(rng) for _ in range(count)]
    first, rows = seconds(lambda: layers32.encode_many(graphs))
    again, _ = seconds(lambda: layers32.encode_many(graphs))
    hexes_took, hexes = seconds(lambda: layers32.to_hex_many(graphs))
    ratios, ours, theirs, wrong = [], 0.0, 0.0, 0
    for part in range(PARTS):
        here = range(part * count // PARTS, (part + 1) * count // PARTS)
        templates = [encoder.hash2model(hexes[i], SHAPE, CLASSES) for i in here]
        took, found = seconds(lambda templates=templates: [encoder.model2vec(template) for template in templates])  # type: ignore[misc]
        mine, _ = seconds(lambda here=here: layers32.encode_many([graphs[i] for i in here]))  # type: ignore[misc]
        wrong += sum(not np.array_equal(rows[i], vector) for i, vector in zip(here, found))
        ratios.append(took / mine)
        ours, theirs = ours + mine, theirs + took
    decoded, back = seconds(lambda: layers32.from_hex_many(hexes[: count // 5], SHAPE, CLASSES))
    print(f"{count:,} networks of {statistics.mean(map(len, graphs)):.1f} calls; rows that differ: {wrong}")
    print(f"sophius model2vec            {count / theirs:>10,.0f} a second")
    print(f"netloom encode_many, first   {count / first:>10,.0f} a second, {theirs / first:.1f} times as fast")
    print(f"netloom encode_many, again   {count / again:>10,.0f} a second, {theirs / again:.1f} times as fast")
    print(f"netloom to_hex_many          {count / hexes_took:>10,.0f} a second")
    print(f"netloom from_hex_many        {len(back) / decoded:>10,.0f} a second")
    print(f"ratio in {PARTS} rounds: median {statistics.median(ratios):.1f}, least {min(ratios):.1f}, most {max(ratios):.1f}")


# -- the robust notation -----------------------------------------------------------------------------------------------
def depth(graph: nl.Graph) -> int:
    """Calls on the longest way from the input to the classes."""
    depths: dict[str, int] = {}
    for step in graph.steps:
        depths[step.name] = max([depths[edge.node] + 1 for edge in edges(tuple(step.args.values()))], default=0)
    return depths[graph.steps[-1].name]


def sequences(count: int) -> None:
    notation = robust.Notation(SHAPE, CLASSES)
    size = len(notation.vocabulary)
    depths, calls, params, branching = [], [], [], 0
    spent = checked = written = 0.0
    part = 10_000
    hashes = set()
    for begun in range(0, count, part):
        rng = np.random.default_rng([0, begun])
        drawn = [rng.integers(0, size, rng.integers(0, 129)).tolist() for _ in range(min(part, count - begun))]
        took, graphs = seconds(lambda drawn=drawn: [notation.decode(tokens) for tokens in drawn])  # type: ignore[misc]
        spent += took
        for i, graph in enumerate(graphs):
            depths.append(depth(graph))
            calls.append(len(graph) - 1)
            params.append(graph.num_params)
            branching += any(step.op in ("add", "cat") for step in graph.steps)
            if i % 100 == 0:
                hashes.add(graph.hash)
                back = notation.decode(notation.encode(graph))
                if back.hash != graph.hash or back.num_params != graph.num_params:
                    sys.exit(f"not the same again: {notation.tokens(drawn[i])}")
                written += 1
            if i % 1000 == 0:
                graph.check()
                checked += 1
        if begun % 100_000 == 0:
            print(f"  {begun + len(drawn):>9,} sequences, {megabytes():,.0f} MB", file=sys.stderr)
    print(f"{count:,} random sequences of 0 to 128 of {size} tokens: all decode, {count / spent:,.0f} a second ({spent:.0f} s)")
    print(f"written and decoded again: {written:,.0f}, all the same ({len(hashes):,} different); checked: {checked:,.0f}")
    print(f"with a join: {branching / count:.0%}; at most {megabytes():,.0f} MB")
    print(f"{'percentile':>11}  " + " ".join(f"{percent:>13}" for percent in PERCENTILES))
    _distribution("calls", calls)
    _distribution("depth", depths)
    _distribution("parameters", params)


def _distribution(name: str, values: Sequence[float]) -> None:
    quantiles = np.percentile(values, PERCENTILES)
    print(f"{name:>11}  " + " ".join(f"{value:>13,.0f}" for value in quantiles))


# -- the rest ----------------------------------------------------------------------------------------------------------
def arrays(count: int) -> None:
    conv, cells = nl.spaces.Conv(input_shape=SHAPE, num_classes=CLASSES), nl.spaces.NASBench201()
    rng = np.random.default_rng(0)
    spaces = {
        "random convolutional networks": [conv.sample(rng) for _ in range(count)],
        "networks of NAS-Bench-201": [cells.sample(rng) for _ in range(count // 10)],
    }
    encoders: dict[str, Callable[[Any], Any]] = {
        "paths": nl.encode.paths,
        "wl": nl.encode.wl,
        "adjacency": lambda graphs: nl.encode.adjacency(graphs, eigenvectors=0),
        "adjacency, folded, 8 eigenvectors": lambda graphs: nl.encode.adjacency(graphs, fold="distinct"),
        "tokens, folded, random positions": lambda graphs: nl.encode.tokens(graphs, width=32, fold="distinct"),
        "tokens, folded, Laplacian": lambda graphs: nl.encode.tokens(graphs, "laplacian", width=32, fold="distinct"),
        "robust.encode": lambda graphs: [robust.encode(graph) for graph in graphs],
    }
    for name, graphs in spaces.items():
        print(f"{len(graphs):,} {name} of {statistics.mean(map(len, graphs)):.0f} calls: graphs a second, first and again")
        for encoder, encode in encoders.items():
            first, _ = seconds(lambda encode=encode, graphs=graphs: encode(graphs))  # type: ignore[misc]
            again, _ = seconds(lambda encode=encode, graphs=graphs: encode(graphs))  # type: ignore[misc]
            print(f"  {encoder:40} {len(graphs) / first:>10,.0f} {len(graphs) / again:>10,.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    beside = what.add_parser("layers32", help="32-bit codes beside sophius")
    beside.add_argument("--sophius", default=os.environ.get("SOPHIUS", ""), help="folder of a checkout of sophius")
    beside.add_argument("--graphs", type=int, default=100_000)
    decoded = what.add_parser("robust", help="random sequences of the robust notation")
    decoded.add_argument("--sequences", type=int, default=1_000_000)
    rest = what.add_parser("arrays", help="graphs a second of the other encodings")
    rest.add_argument("--graphs", type=int, default=10_000)
    options = parser.parse_args()
    if options.what == "layers32":
        codes(options.sophius, options.graphs)
    elif options.what == "robust":
        sequences(options.sequences)
    else:
        arrays(options.graphs)


if __name__ == "__main__":
    main()
