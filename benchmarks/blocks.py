"""CPU milliseconds for `Graph.blocks`, beside tracing the same model; the goal is 50 ms for 1,000 nodes.

    python -m benchmarks.blocks

The best of several runs, because the machine may do other things; summaries (hashes and costs of all blocks) are timed
apart, since they are worked out only when asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import netloom as nl
from netloom.graph.blocks import Block, find_blocks

MODELS = """
    resnet18 resnet50 vgg16 mobilenet_v2 efficientnet_b0 convnext_tiny densenet121 densenet201 googlenet inception_v3 vit_b_16
    swin_t swin_b
""".split()


def milliseconds(call: Callable[[], Any], runs: int = 7) -> float:
    best = float("inf")
    for _ in range(runs):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best * 1e3


def transformer(layers: int) -> nl.Graph:
    x = y = nl.input(16, 64)
    for _ in range(layers):
        z = nl.layer_norm(y, (64,))
        q, k, v = (nl.linear(z, 64) for _ in range(3))
        y = nl.add(y, nl.linear(nl.matmul(nl.softmax(nl.matmul(q, nl.transpose(k, 1, 2)), -1), v), 64))
        y = nl.add(y, nl.linear(nl.gelu(nl.linear(nl.layer_norm(y, (64,)), 256)), 64))
    return nl.Graph(x, y)


def residual(blocks: int) -> nl.Graph:
    x = y = nl.input(16, 8, 8)
    for _ in range(blocks):
        z = nl.relu(nl.batch_norm(nl.conv2d(y, 16, kernel=3, padding=1)))
        y = nl.relu(nl.add(nl.batch_norm(nl.conv2d(z, 16, kernel=3, padding=1)), y))
    return nl.Graph(x, y)


def cases() -> Iterator[tuple[str, nl.Graph, float]]:
    """Name, graph, milliseconds for making it."""
    for name, make in (("transformer, 71 layers", lambda: transformer(71)), ("residual, 142 blocks", lambda: residual(142))):
        start = time.process_time()
        graph = make()
        yield name, graph, (time.process_time() - start) * 1e3
    import benchmarks.torchvision_shim  # noqa: F401  (before torchvision)

    import torch  # isort: skip
    import torchvision

    for name in MODELS:
        options: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        model = getattr(torchvision.models, name)(weights=None, **options)
        example = torch.zeros(2, 3, 299, 299) if name == "inception_v3" else torch.zeros(2, 3, 224, 224)
        start = time.process_time()
        graph = nl.trace(model, example)
        yield name, graph, (time.process_time() - start) * 1e3


def summarise(root: Block) -> None:
    root.reading.summaries.clear()
    stack = [root]
    while stack:
        block = stack.pop()
        block.summary  # noqa: B018  (worked out on access)
        stack += block.parts


def stages(root: Block) -> str:
    return " ".join(f"×{block.count}" for part in root.parts for block in (part, *part.parts) if block.kind == "repeat")


def main() -> None:
    print("| graph | nodes | blocks, ms | per 1,000 nodes, ms | making it, ms | summaries, ms | repeats |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for name, graph, making in cases():
        root = find_blocks(graph)
        found = milliseconds(lambda graph=graph: find_blocks(graph))
        summaries = milliseconds(lambda root=root: summarise(root), 1)
        each = found / len(graph) * 1e3
        print(
            f"| {name} | {len(graph)} | {found:.1f} | {each:.0f} | {making:.0f} | {summaries:.0f} | {stages(root)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
