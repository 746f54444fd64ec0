"""Thousands of small networks at once against a loop over them: CPU seconds on one thread, in the same run, turn by turn.

    OMP_NUM_THREADS=1 python -m benchmarks.train_many [--networks 1024] [--rounds 3]

`nl.train_many` does all networks and everything that `nl.train` does (weights drawn, validation after every epoch, best weights
kept); the loops do a share of the networks, and their time is multiplied. They are plain PyTorch, on tensors in memory, without
validation: Adam as it comes, and Adam with ``fused=True``. Bars, against the faster of the two: 50 for equal networks with
batches of 32, 20 for mixed ones with batches of 64. The last lines hold the results against `nl.train`'s.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import netloom as nl
from netloom.tasks import Task
from netloom.tasks.random_regression import regression
from netloom.training.many_chains import Chain, chain_of
from netloom.training.many_training import cast_task

STEPS = 300
MIXED = nl.spaces.MLP(
    8, 1, layers=(1, 2, 3), widths=range(4, 17), activations=("relu", "tanh", "sigmoid"), bias=(True, False)
)  # fmt: skip
MODULES = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}


def equal_networks(count: int) -> list[nl.Graph]:
    """8 → 16 → 16 → 1."""
    x = nl.input(8)
    return [nl.Graph(x, nl.linear(nl.relu(nl.linear(nl.relu(nl.linear(x, 16)), 16)), 1))] * count


def mixed_networks(count: int) -> list[nl.Graph]:
    """One to three hidden layers of 4 to 16, three activations, with and without biases."""
    rng = np.random.default_rng(0)
    return [MIXED.sample(rng) for _ in range(count)]


def recipe(batch_size: int) -> nl.training.Recipe:
    """300 steps of Adam."""
    return nl.training.Recipe(
        epochs=STEPS, max_steps=STEPS, batch_size=batch_size, learning_rate=1e-2, weight_decay=0.0, clip_norm=None,
        schedule="constant", warmup=0.0,
    )  # fmt: skip


def module_of(graph: nl.Graph) -> torch.nn.Module:
    """The network as one would write it."""
    chain = chain_of(graph)
    assert isinstance(chain, Chain)
    layers: list[torch.nn.Module] = []
    for layer in chain.layers:
        layers.append(torch.nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None))
        layers += [MODULES[op]() for op, _ in layer.activations]
    return torch.nn.Sequential(*layers)


def loop(graphs: list[nl.Graph], tasks: list[Task], batch_size: int, fused: bool | None) -> None:
    """Network after network, as in the tutorial."""
    for graph, task in zip(graphs, tasks):
        network, x, y = module_of(graph), task.train.x, task.train.y
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-2, fused=fused)
        steps = 0
        while steps < STEPS:
            order = torch.randperm(len(x))
            for rows in order.split(batch_size)[: STEPS - steps]:
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(network(x[rows]), y[rows]).backward()
                optimizer.step()
                steps += 1


def seconds(work: Callable[[], Any]) -> float:
    """CPU seconds."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(name: str, graphs: list[nl.Graph], tasks: list[Task], batch_size: int, rounds: int) -> None:
    share = max(1, len(graphs) // 32)
    few, theirs = graphs[::32], tasks[::32]
    times: dict[str, list[float]] = {"train_many": [], "fused": [], "default": [], "nl.train": []}
    nl.train_many(few, theirs, recipe(batch_size))  # what is imported and compiled on the way
    for _ in range(rounds):
        times["fused"].append(seconds(lambda: loop(few, theirs, batch_size, True)) * len(graphs) / len(few))
        times["train_many"].append(seconds(lambda: nl.train_many(graphs, tasks, recipe(batch_size))))
        times["default"].append(seconds(lambda: loop(few[: share // 2], theirs, batch_size, None)) * len(graphs) / (share // 2))
        one = seconds(lambda: [nl.train(g, t, recipe(batch_size)) for g, t in zip(few[:4], theirs)])
        times["nl.train"].append(one * len(graphs) / len(few[:4]))
    ours = statistics.median(times["train_many"])
    print(f"{name}: {len(graphs):,} networks, {STEPS} steps, batches of {batch_size}: {ours:.2f} CPU seconds")
    for key, label in (("fused", "Adam, fused"), ("default", "Adam"), ("nl.train", "nl.train")):
        ratios = [peer / mine for peer, mine in zip(times[key], times["train_many"])]
        shown = ", ".join(f"{ratio:.0f}" for ratio in ratios)
        print(f"    against a loop ({label:11}): {statistics.median(ratios):6.1f} ×   (rounds: {shown})")


def exactness(graphs: list[nl.Graph], tasks: list[Task]) -> None:
    """The largest relative difference of any tensor from training alone."""
    for dtype, steps in ((torch.float64, 300), (torch.float32, 20)):
        limited = nl.training.recipe(recipe(64), max_steps=steps)
        worst = 0.0
        for graph, task, result in zip(graphs, tasks, nl.train_many(graphs, tasks, limited, dtype=dtype)):
            alone = nl.train(nl.build(graph, seed=result.seed).to(dtype), cast_task(task, dtype), limited, seed=result.seed)
            for key, tensor in alone.network.state_dict().items():
                difference = (result.network.state_dict()[key] - tensor).norm() / tensor.norm().clamp(min=1e-3)
                worst = max(worst, float(difference))
        print(f"{len(graphs)} mixed networks, {steps} steps in {dtype}: differ by {worst:.1e} at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    tasks = [regression(i) for i in range(256)]
    spread = [tasks[i % 256] for i in range(given.networks)]
    compare("equal", equal_networks(given.networks), spread, 32, given.rounds)
    mixed = mixed_networks(given.networks)
    compare("mixed", mixed, spread, 64, given.rounds)
    exactness(mixed[:24], spread[:24])


if __name__ == "__main__":
    main()
