"""Sizes that requests leave open: the integer program on random graphs.

    .venv/bin/python -m benchmarks.mutate_sizes [--seeds 3] [--repeats 3]

Graphs of linear layers (60 %), concatenations (20 %) and sums (20 %), in which a sum of concatenations ties sizes that no layer
shares. CPU seconds, best of the repeats: ``analyse`` (which axes change together) and ``Problem.solve`` for

- ``30 relaxed``: wishes for the sizes of 30 layers, each by up to a quarter more or less,
- ``3 exact``: of three layers exactly; ``3 exact, 27 relaxed``: both at once;
- ``edit``: all of an edit with the 30 wishes, from the graph to the plan of every tensor.

The goal: 1,000 nodes and 30 wishes in under a second.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import netloom as nl
from netloom.errors import EditError
from netloom.mutate import Dimensions, analyse
from netloom.mutate.sizing import Problem, Request
from netloom.ops import Edge, Product


def random_graph(num_nodes: int, rng: np.random.Generator) -> nl.Graph:
    """A graph of about that many nodes whose values are vectors."""
    x = nl.input(16)
    values: list[tuple[Any, int]] = [(nl.linear(x, 16, name="stem"), 16)]
    read: set[int] = set()

    def pick() -> int:
        """One of the values, late ones more often."""
        index = len(values) - 1 - min(int(rng.geometric(0.05)) - 1, len(values) - 1)
        read.add(index)
        return index

    for number in range(num_nodes):
        kind, name = rng.choice(["layer", "cat", "add"], p=[0.6, 0.2, 0.2]), f"node{number}"
        first, size = values[pick()]
        if kind == "layer":
            size = int(rng.integers(8, 128))
            values.append((nl.linear(first, size, name=name), size))
        elif kind == "cat" and size < 256:
            other, more = values[pick()]
            values.append((nl.cat([first, other], 1, name=name), size + more))
        else:
            same = [i for i, (value, width) in enumerate(values) if width == size and value is not first]
            index = int(rng.choice(same)) if same else -1
            read.add(index)
            other = values[index][0] if same else nl.linear(values[pick()][0], size, name=f"{name}_in")
            values.append((nl.add(first, other, name=name), size))
    loose = [value for index, (value, _) in enumerate(values) if index not in read]
    return nl.Graph(x, nl.linear(nl.cat(loose, 1), 10, name="head"))


def requests(dims: Dimensions, count: int, exact: int, rng: np.random.Generator) -> list[Request]:
    """Sizes asked of as many different layers, the first ones exactly."""
    axes = {step.name: dims.of(Edge(step.name))[1] for step in dims.graph.steps if step.op == "linear" and step.name != "head"}
    chosen = rng.choice(sorted(axes), count, replace=False)
    found = []
    for i, name in enumerate(map(str, chosen)):
        size = dims.graph[name].out_size
        found.append(Request(repr(name), axes[name], max(1, size + int(rng.integers(-size // 4, size // 4 + 1))), i >= exact))
    return found


def best(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """The least CPU seconds, and what the call gave."""
    seconds, found = [], None
    for _ in range(repeats):
        started = time.process_time()
        found = call()
        seconds.append(time.process_time() - started)
    return min(seconds), found


def _solve(dims: Dimensions, wishes: list[Request]) -> str:
    try:
        sizes = Problem(dims, wishes).solve()
    except EditError as error:
        return f"refused: {error}"
    new = {**dims.sizes, **sizes}
    from netloom.mutate.atoms import resized

    met = sum(resized(request.axis, new) == request.size for request in wishes)
    return f"{met} of {len(wishes)} met, {len(sizes)} sizes change"


def _edit(graph: nl.Graph, wishes: list[Request]) -> Any:
    with nl.edit(graph) as edit:
        for request in wishes:
            edit[request.what.strip("'")].resize(out_to=request.size, relax=True)
    return edit.plan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    _edit(random_graph(5, np.random.default_rng(0)), [])  # what is imported on the way is no part of it
    for num_nodes in (100, 300, 1000):
        for seed in range(options.seeds):
            rng = np.random.default_rng(seed)
            graph = random_graph(num_nodes, rng)
            seconds, dims = best(lambda: analyse(graph), options.repeats)  # noqa: B023  (called at once)
            sums = sum(not isinstance(axis, str | Product) for axis in dims.axes)
            print(
                f"{num_nodes} nodes, seed {seed}: {len(dims.free)} free sizes, {sums} sums, {len(dims.multiples)} ties; "
                f"analyse {seconds:.3f} s"
            )
            for title, count, exact in (("30 relaxed", 30, 0), ("3 exact", 3, 3), ("3 exact, 27 relaxed", 30, 3)):
                wishes = requests(dims, count, exact, rng)
                seconds, said = best(lambda: _solve(dims, wishes), options.repeats)  # noqa: B023
                print(f"    {title}: {seconds:.3f} s, {said}")
            seconds, _ = best(lambda: _edit(graph, requests(dims, 30, 0, rng)), 1)  # noqa: B023
            print(f"    edit: {seconds:.3f} s", flush=True)


if __name__ == "__main__":
    main()
