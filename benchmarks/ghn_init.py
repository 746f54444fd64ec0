"""What predicted weights save: steps to an accuracy, and accuracy from few labels, on the digits from the shipped hypernetwork.

    OMP_NUM_THREADS=1 python -m benchmarks.ghn_init [--file digits] [--networks 2] [--seeds 5] [--epochs 12] [--shots 5]

Unseen chains of convolutions (`benchmarks.ghn_digits.Chains`), each trained by `express` from random, predicted (with noise,
``beta`` 3e-5), and predicted and orthogonal weights, with 5 seeds. Steps: until validation accuracy of the curve reaches 90 %,
linear between epochs. Few labels: the same with so many images of each class, validation accuracy at the end. Means over
networks and seeds with a 95 % interval (Student's t), and paired differences from random initialisation.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import netloom as nl
from benchmarks.ghn_digits import Chains
from benchmarks.property_predictors import interval

STARTS: dict[str, dict[str, Any]] = {
    "random": {"how": "random"}, "orthogonal": {"how": "random", "orthogonal": True},
    "predicted": {"how": "ghn", "beta": 3e-5}, "predicted, orthogonal": {"how": "ghn", "beta": 3e-5, "orthogonal": True},
}  # fmt: skip
GOAL = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", default="digits")
    parser.add_argument("--networks", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--shots", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    graphs = [Chains().sample(np.random.default_rng((11, number))) for number in range(given.networks)]
    whole, few = nl.tasks.load("digits"), nl.tasks.load(f"digits?shots={given.shots}")
    for title, task, epochs, measure in (
        (f"steps to {GOAL:.0%} validation accuracy", whole, given.epochs, steps_to),
        (f"validation accuracy, {given.shots} labels of each class", few, 3 * given.epochs, last),
    ):
        print(f"{title}: {given.networks} networks × {given.seeds} seeds")
        found = {name: measured(start, graphs, task, epochs, measure, given) for name, start in STARTS.items()}
        for name, values in found.items():
            less = interval([a - b for a, b in zip(values, found["random"])]) if name != "random" else ""
            print(f"  {name:<22} {interval(values)}  {'difference ' + less if less else ''}", flush=True)


def measured(
    start: dict[str, Any], graphs: Sequence[nl.Graph], task: Any, epochs: int, measure: Any, given: Any
) -> list[float]:  # fmt: skip
    values = []
    for graph in graphs:
        for seed in range(given.seeds):
            network = nl.build(graph, seed=seed)
            how = f"ghn:{given.file}" if start["how"] == "ghn" else "random"
            nl.ghn.initialise(network, how, seed=seed, **{key: value for key, value in start.items() if key != "how"})
            result = nl.train(network, task, "express", seed, epochs=epochs)
            values.append(measure(result, max(1, -(-len(task.train) // 64))))
    return values


def steps_to(result: Any, steps_per_epoch: int) -> float:
    """Steps until the curve reaches the goal; all of them where it never does."""
    before = 0.1
    for epoch, point in enumerate(result.curve):
        if point.score >= GOAL:
            return (epoch + (GOAL - before) / (point.score - before)) * steps_per_epoch
        before = point.score
    return float(len(result.curve) * steps_per_epoch)


def last(result: Any, steps_per_epoch: int) -> float:
    return float(result.score)


if __name__ == "__main__":
    main()
