"""Seconds for `Graph.hash`, beside making the graph and beside networkx's Weisfeiler–Lehman hash of the same graph.

    python -m benchmarks.hashing

The goal: on samples of `spaces.Conv` the hash takes at most 30 % of the time of sampling. Symmetric graphs follow, with
the number of orders that a search without symmetries would have to try. CPU seconds, best of several runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import mean
from typing import Any

import networkx
import numpy as np

import netloom as nl
from netloom.graph.hashing import graph_hash


def seconds(call: Callable[[], Any], runs: int = 7, at_least: float = 0.02) -> float:
    """CPU seconds of one call: the best of ``runs``, each repeated until it lasts long enough to be measured."""
    best, repeats = float("inf"), 1
    while runs:
        start = time.process_time()
        for _ in range(repeats):
            call()
        spent = time.process_time() - start
        if spent < at_least:
            repeats *= 2
            continue
        best, runs = min(best, spent / repeats), runs - 1
    return best


def weisfeiler_lehman(graph: nl.Graph) -> str:
    view = networkx.DiGraph(graph.to_networkx())
    for _, data in view.nodes(data=True):
        data["label"] = f"{data['op']} {data['attrs']}"
    return str(networkx.weisfeiler_lehman_graph_hash(view, node_attr="label"))


def chain() -> nl.Graph:
    x = y = nl.input(3, 32, 32)
    for channels in (16, 32, 32, 64):
        y = nl.relu(nl.batch_norm(nl.conv2d(y, channels, kernel=3, padding=1)))
    return nl.Graph(x, nl.linear(nl.flatten(y), 10))


def residual(blocks: int) -> nl.Graph:
    x = y = nl.input(16, 8, 8)
    for _ in range(blocks):
        y = nl.add(nl.conv2d(nl.relu(nl.batch_norm(nl.conv2d(y, 16, kernel=3, padding=1))), 16, kernel=3, padding=1), y)
    return nl.Graph(x, y)


def twins(stages: int) -> nl.Graph:
    x = y = nl.input(16, 8, 8)
    for _ in range(stages):
        y = nl.add(nl.conv2d(y, 16, kernel=1), nl.conv2d(y, 16, kernel=1))
    return nl.Graph(x, y)


def crossed_towers(stages: int) -> nl.Graph:
    x = a = b = nl.input(16)
    sums = []
    for _ in range(stages):
        a, b = nl.linear(nl.sub(a, b), 16), nl.linear(nl.sub(b, a), 16)
        sums.append(nl.add(a, b))
    return nl.Graph(x, nl.cat(*sums, dim=1))


#: Rounds of samples before those that count.
WARMING = 80


def space_rows(count: int = 100, rounds: int = 7) -> list[tuple[str, float, float, float, float]]:
    """Means over samples of the space of convolutional networks; sampling and hashing take turns, the best round counts.

    The first draws fill the caches of both; they are counted apart, for the second row.
    """
    space = nl.spaces.Conv(input_shape=(3, 32, 32), num_classes=10)
    rng = np.random.default_rng(0)
    first: tuple[float, float] = (0.0, 0.0)
    found = []
    for turn in range(-WARMING, rounds):
        start = time.process_time()
        graphs = [space.sample(rng) for _ in range(count)]
        middle = time.process_time()
        for graph in graphs:
            graph_hash(graph)
        end = time.process_time()
        times = ((middle - start) / count, (end - middle) / count)
        if turn == -WARMING:
            first = times
        if turn >= 0:
            found.append(times)
    sampling, hashing = (min(times) for times in zip(*found))
    peer = mean(seconds(partial(weisfeiler_lehman, graph), runs=1) for graph in graphs[:10])
    return [
        ("sample of spaces.Conv (mean)", mean(map(len, graphs)), hashing, sampling, peer),
        (f"the first {count} samples in a process", mean(map(len, graphs)), first[1], first[0], peer),
    ]


CASES: dict[str, Callable[[], nl.Graph]] = {
    "chain of convolutions": chain,
    "residual, 16 blocks": lambda: residual(16),
    "residual, 1000 blocks": lambda: residual(1000),
    "40 twin stages (2^40 orders)": lambda: twins(40),
    "400 twin stages (2^400 orders)": lambda: twins(400),
    "100 crossed towers (2^100 orders)": lambda: crossed_towers(100),
}


def main() -> None:
    rows = space_rows() if hasattr(nl.spaces, "Conv") else []
    for name, make in CASES.items():
        graph = make()
        runs = 7 if len(graph) < 100 else 1
        peer = seconds(partial(weisfeiler_lehman, graph), runs=1)
        rows.append((name, len(graph), seconds(partial(graph_hash, graph), runs), seconds(make, runs), peer))
    print("| graph | nodes | hash, ms | making it, ms | hash / making | networkx WL hash, ms |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, nodes, hashing, making, peer in rows:
        print(
            f"| {name} | {nodes:.0f} | {hashing * 1e3:.3f} | {making * 1e3:.3f} | {hashing / making:.1%} | {peer * 1e3:.3f} |"
        )


if __name__ == "__main__":
    main()
