"""CPU seconds of `nl.diff` on networks of about 1,000 nodes, and how many edits it says there are.

    python -m benchmarks.diff

Each pair is compared as it is, and with all nodes of the second network renamed, listed in another order, and operands of
sums swapped. The goal: about a second.
"""

from __future__ import annotations

import random
import time
from dataclasses import replace

import netloom as nl
from netloom.graph.graph import Graph
from tests.graph.graph_variants import disguised


def residual(stages: tuple[int, ...], width: int = 16) -> Graph:
    """A residual network with this many blocks in each stage, seven nodes a block."""
    x = nl.input(3, 64, 64)
    y = nl.relu(nl.conv2d(x, width, kernel=3, padding=1, name="stem"))
    for stage, count in enumerate(stages):
        channels = width * 2**stage
        y = nl.relu(nl.conv2d(y, channels, kernel=3, stride=2, padding=1, name=f"stage{stage}.down"))
        for i in range(count):
            name = f"stage{stage}.{i}"
            inner = nl.relu(nl.batch_norm(nl.conv2d(y, channels, kernel=3, padding=1, name=f"{name}.a")))
            y = nl.relu(nl.add(nl.batch_norm(nl.conv2d(inner, channels, kernel=3, padding=1, name=f"{name}.b")), y))
    return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(y, 1)), 10, name="head"))


def edited(graph: Graph) -> Graph:
    """Three edits apart: a stride and padding of one convolution, an activation, an operand."""
    steps = list(graph.steps)
    relus = [i for i, step in enumerate(steps) if step.op == "relu"]
    adds = [i for i, step in enumerate(steps) if step.op == "add"]
    i, j, k = relus[len(relus) // 3], relus[2 * len(relus) // 3], adds[len(adds) // 2]
    steps[i] = replace(steps[i], op="silu", args={"x": steps[i].args["x"]})
    steps[j] = replace(steps[j], op="tanh", args={"x": steps[j].args["x"]})
    steps[k] = replace(steps[k], args={**steps[k].args, "y": steps[k].args["x"]})
    return Graph.make(steps, graph.tensors, graph.arguments, graph.result, symbols=graph.symbols)


def main() -> None:
    base = residual((35, 35, 35, 35))
    pairs = {
        "the same": (base, base),
        "three edits": (base, edited(base)),
        "half as many blocks in one stage": (residual((35, 17, 35, 35)), base),
        "twice as wide": (base, residual((35, 35, 35, 35), 32)),
        "20 blocks against 140": (residual((5, 5, 5, 5)), base),
    }
    print(f"{'':34} {'nodes':>12} {'as it is':>18} {'in disguise':>18}")
    for name, (a, b) in pairs.items():
        shown = []
        for other in (b, disguised(b, random.Random(0))):
            start = time.process_time()
            found = nl.diff(a, other)
            shown.append(f"{time.process_time() - start:6.2f} s {len(found):4} edits")
        print(f"{name:34} {len(a):5} → {len(b):4} {shown[0]:>18} {shown[1]:>18}", flush=True)


if __name__ == "__main__":
    main()
