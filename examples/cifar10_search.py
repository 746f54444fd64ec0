"""Search a network for CIFAR-10, and train it beside a random sample and a network built by hand.

    python examples/cifar10_search.py FOLDER [--search 45m] [--epochs 16] [--out cifar10-search]

FOLDER holds CIFAR-10 as Parquet files, python batches or class folders; without one it is fetched. The space is a function of
thirty lines: a stem, two to four stages of convolutions that may pool, add a shortcut, change kernel and width, with any of six
activations, with norms or without, below 120 million multiply–adds. Evolution looks at candidates that train on 10,240 images
each. Then three networks learn under one recipe: the winner, the median of the random samples that the search began with, and
a network built by hand, made as wide as the winner's multiply–adds allow. The test part is read once for each, at the end.

The same command goes on where it stopped: the search from its store, each training from its checkpoint. The aim is 90 % of the
test images within three hours on two processor cores; whether it is reached has not been measured yet.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

import netloom as nl
from netloom.training import Recipe

#: What the three networks learn by, at the end.
RECIPE = Recipe(
    epochs=16, batch_size=128, optimizer="muon", momentum=0.95, nesterov=True, learning_rate=0.02, weight_decay=0.05,
    decay_biases=False, schedule="linear", warmup=0.2, label_smoothing=0.1, clip_norm=None, crop=4, flip=True, cutout=4,
    precision="auto", channels_last=True,
)  # fmt: skip
#: How a candidate is judged: 80 batches, a fifth of an epoch.
GLANCE = nl.training.recipe(RECIPE, epochs=1, max_steps=80, crop=2, cutout=0)
MAX_MACS, VALID = 120_000_000, 3000
ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "sigmoid", "softplus")


def residual_network(choose: Any) -> nl.Graph:
    """The space: every choice of stem, stages, widths, kernels, pooling, shortcuts, norm, activation and head."""
    activation = choose("activation", ACTIVATIONS)
    norm = choose("norm", (True, False))

    def layer(x: Any, width: int, kernel: int, *, stride: int = 1, pool: str = "none") -> Any:
        y = nl.conv2d(x, width, kernel=kernel, stride=stride, padding=kernel // 2, bias=not norm)
        if pool != "none":
            y = (nl.max_pool2d if pool == "max" else nl.avg_pool2d)(y, kernel=2)
        y = nl.batch_norm(y) if norm else y
        return getattr(nl, activation)(y)

    x = nl.input(3, 32, 32)
    y = layer(x, choose.integer("stem", 8, 96, log=True), choose("stem_kernel", (1, 3, 5)))
    for stage in range(choose("stages", (2, 3, 4))):
        width = choose.integer(f"width{stage}", 16, 384, log=True)
        kernel = choose(f"kernel{stage}", (1, 3, 5))
        how = choose(f"down{stage}", ("max", "avg", "stride"))
        y = layer(y, width, kernel, stride=2) if how == "stride" else layer(y, width, kernel, pool=how)
        blocks = choose(f"blocks{stage}", (0, 1, 2))
        depth, shortcut = (choose(f"depth{stage}", (1, 2)), choose(f"shortcut{stage}", (True, False))) if blocks else (0, False)
        for _ in range(blocks):
            inner = y
            for _ in range(depth):
                inner = layer(inner, width, kernel)
            y = y + inner if shortcut else inner
    pooled = (nl.adaptive_max_pool2d if choose("head", ("max", "avg")) == "max" else nl.adaptive_avg_pool2d)(y, 1)
    graph = nl.Graph(x, nl.linear(nl.flatten(pooled), 10) * 0.125)
    if graph.flops > 2 * MAX_MACS:
        choose.reject(f"{graph.flops // 2:,} multiply–adds, above {MAX_MACS:,}")
    return graph


def built_by_hand(max_macs: int) -> nl.Graph:
    """The network of ``examples/cifar10_90.py``, with the widths that bring it nearest below ``max_macs``."""

    def network(scale: float) -> nl.Graph:
        def layer(x: Any, width: float, pool: bool = False) -> Any:
            y = nl.conv2d(x, max(4, round(width * scale)), kernel=3, padding=1, bias=False)
            return nl.relu(nl.batch_norm(nl.max_pool2d(y, kernel=2) if pool else y))

        x = nl.input(3, 32, 32)
        y = layer(x, 32)
        for width in (64, 128, 256):
            y = layer(y, width, pool=True)
            y = y + layer(layer(y, width), width)
        return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_max_pool2d(y, 1)), 10) * 0.125)

    scales = [0.1 + 0.01 * i for i in range(200)]
    fitting = [scale for scale in scales if network(scale).flops <= 2 * max_macs]
    return network(max(fitting, default=scales[0]))


def find(task: nl.tasks.Task, given: argparse.Namespace) -> tuple[nl.Graph, nl.Graph]:
    """The winner of a search, and the median of its random samples."""
    space = nl.spaces.from_function(residual_network)
    result = nl.search(
        space, task, f"evolution?inherit=false&population=20&sample=6&initial={given.random}", given.search,
        store=f"sqlite:///{given.out}/runs.db", recipe=GLANCE, seed=given.seed, candidate_seconds=180,
    )  # fmt: skip
    nl.report(result, given.out)
    table = result.evaluations
    drawn = table[(table["proposed_by"] == "random") & table["score"].notna()].sort_values("score")
    median = result.store.graph(drawn.iloc[len(drawn) // 2]["graph_hash"])
    print(
        f"\n{len(table)} candidates; after {GLANCE.max_steps} batches the best has {result.best.score:.3f} of the validation "
        f"images, random samples a median of {drawn['score'].median():.3f} (best {drawn['score'].max():.3f})\n\n"
        f"{result.best.graph.to_text()}"
    )
    return result.best.graph, median


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="where CIFAR-10 is (default: fetch it)")
    parser.add_argument("--search", default="45m", metavar="BUDGET", help="a time or a number of candidates (default: 45m)")
    parser.add_argument("--random", type=int, default=30, metavar="N", help="samples that the search begins with (default: 30)")
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs, help=f"of each of the three (default: {RECIPE.epochs})")
    parser.add_argument("--threads", type=int, default=2, help="default: 2")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--out", default="cifar10-search", metavar="DIR", help="default: cifar10-search")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    Path(given.out).mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    task = nl.tasks.load(f"cifar10:{given.folder}?valid={VALID}" if given.folder else f"cifar10?valid={VALID}")
    winner, median = find(task, given)
    spent = {"search": time.perf_counter() - start}
    networks = {"winner": winner, "built by hand": built_by_hand(winner.flops // 2), "median random sample": median}
    rows = {}
    for name, graph in networks.items():
        begun = time.perf_counter()
        print(f"\n{name}: {graph.num_params:,} parameters, {graph.flops // 2:,} multiply–adds an image")
        checkpoint = Path(given.out, name.replace(" ", "-"))
        learned = nl.train(graph, task, nl.training.recipe(RECIPE, epochs=given.epochs), checkpoint=checkpoint, progress=True)
        learned.draw(checkpoint.with_suffix(".svg"), score_name="accuracy", title=f"CIFAR-10: {name}")
        spent[name] = time.perf_counter() - begun
        test = nl.training.evaluate(learned.network, task.read_test(), precision=RECIPE.precision, channels_last=True)
        rows[name] = {
            "test": test.score, "valid": learned.score, "params": graph.num_params, "macs": graph.flops // 2,
            "minutes": round(spent[name] / 60, 1),
        }  # fmt: skip
        Path(given.out, "accuracy.json").write_text(json.dumps(rows, indent=1))
    print(f"\n{'network':<22}{'test':>8}{'parameters':>13}{'multiply–adds':>15}{'minutes':>9}")
    for name, row in rows.items():
        print(f"{name:<22}{row['test']:>8.4f}{row['params']:>13,}{row['macs']:>15,}{row['minutes']:>9.1f}")
    minutes = sum(spent.values()) / 60
    print(f"\n{minutes:.0f} minutes altogether, {spent['search'] / 60:.0f} of them the search; {given.out}/index.html")


if __name__ == "__main__":
    main()
