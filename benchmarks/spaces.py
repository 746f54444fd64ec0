"""CPU time of the spaces: making a graph, its cost, its hash, membership; and NAS-Bench-201 from end to end.

    python -m benchmarks.spaces

The last part compares every cell with the published table, where NETLOOM_DATA holds it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import netloom as nl


def perceptron(choose: Any) -> nl.Graph:
    """A sampler as users write them, with the functional builder."""
    x = value = nl.input(64)
    for i in range(choose.integer("depth", 1, 4)):
        value = nl.relu(nl.linear(value, choose(f"width{i}", [16, 32, 64, 128, 256])))
    return nl.Graph(x, nl.linear(value, 10))


SPACES: dict[str, tuple[Any, int]] = {
    "conv": (nl.spaces.Conv(input_shape=(1, 8, 8)), 2000),
    "mlp": (nl.spaces.MLP(64, 10, activations="relu"), 2000),
    "mlp, norms and skips": (nl.spaces.MLP(64, 10, norm=(None, "batch", "layer"), skip=0.5, dropout=(0, 0.1)), 2000),
    "function like mlp": (nl.spaces.from_function(perceptron), 500),
    "nasbench201": (nl.spaces.NASBench201(), 200),
}


def milliseconds(function: Callable[[Any], Any], arguments: list[Any]) -> float:
    """CPU milliseconds of one call."""
    start = time.process_time()
    for argument in arguments:
        function(argument)
    return (time.process_time() - start) * 1000 / len(arguments)


def measure(name: str, space: Any, count: int) -> None:
    rngs = [np.random.default_rng([1, i]) for i in range(count)]
    for i in range(count):  # tables that are filled on the way
        space.sample(np.random.default_rng([0, i]))
    graphs: list[nl.Graph] = []
    sample = milliseconds(lambda rng: graphs.append(space.sample(rng)), rngs)
    cost = milliseconds(lambda graph: (graph.num_params, graph.flops), graphs)
    hashed = milliseconds(lambda graph: graph.hash, graphs)
    contains = milliseconds(space.contains, graphs[:100])
    nodes = sum(map(len, graphs)) / count
    times = {"sample": sample, "cost": cost, "hash": hashed, "contains": contains}
    print(f"{name:22} {nodes:6.1f} nodes  {'  '.join(f'{key} {value:6.3f}' for key, value in times.items())} ms")


def nasbench201(folder: str | None) -> None:
    """All cells: graphs and both counts; wrong ones where the table is at hand."""
    space = nl.spaces.NASBench201()
    start = time.process_time()
    counts = {cell: ((graph := space.from_string(cell)).num_params, graph.flops // 2) for cell in space}
    print(f"nasbench201: {len(counts):,} graphs with parameters and FLOPs in {time.process_time() - start:.1f} s")
    if folder is not None:
        import pandas

        table = pandas.read_parquet(Path(folder) / "nb201.parquet")
        wrong = sum(counts[row.cellstr] != (row.params_c10, row.macs_c10) for row in table.itertuples())
        print(f"nasbench201: {wrong} of {len(table):,} differ from the published table")


if __name__ == "__main__":
    for name, (space, count) in SPACES.items():
        measure(name, space, count)
    nasbench201(os.environ.get("NETLOOM_DATA"))
