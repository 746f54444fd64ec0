"""An open table of DeepNets-1M networks with four properties, made through a store; killed, the same command goes on.

    NETLOOM_DATA=/path/to/data OMP_NUM_THREADS=1 python -m benchmarks.properties [--networks 300] [--train 1000] [--store sqlite:///properties.db]

Several of these may run at once on one store: each takes the networks that nobody has. Networks ``val/0`` to ``val/N-1`` of
netloom's fixed split with 8 channels; CIFAR-10 in 16 × 16 pixels, as many training images as ``--train`` says, 1,000 held out;
recipe ``express`` for 4 epochs; seed 0, one thread. Larger: more ``--networks``, ``--channels 32 --size 32 --train 45000``.

- accuracy: share of the held-out images classified right after the last epoch (batch norms go by batches of 64, as in training)
- noisy_accuracy: the same images as x' = clip(x + 0.08 n, 0, 1), x in [0, 1], n standard normal with a fixed seed, in 256 steps
- inference_seconds: CPU seconds for a batch of 64, median of 5
- convergence_epochs: epochs until the training accuracy of the curve is 95 % of its highest, linear between epochs

The last three are further numbers of the evaluation in the store. The table is written to ``--out`` whenever a network is done.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

import torch

import netloom as nl
from netloom.ghn.evaluating import batch_mode
from netloom.spaces.deepnets import DeepNets1M
from netloom.store import EvaluationKey, EvaluationRecord

PROPERTIES = ("accuracy", "noisy_accuracy", "inference_seconds", "convergence_epochs")
OUT = Path(__file__).parent / "data" / "deepnets_properties.parquet"
#: Standard deviation of the noise on images in [0, 1], as in Knyazev et al., NeurIPS 2021.
NOISE = 0.08
EPOCHS = 4


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=300)
    parser.add_argument("--store", default="sqlite:///properties.db")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--split", default="val")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no network after so many CPU seconds")
    return parser.parse_args()


def task_of(given: argparse.Namespace) -> nl.tasks.Task:
    return nl.tasks.load(f"cifar10:{os.environ['NETLOOM_DATA']}?size={given.size}&train={given.train}&valid=1000")


def main() -> None:
    given = arguments()
    torch.set_num_threads(1)
    task, recipe = task_of(given), nl.training.recipe("express", epochs=EPOCHS)
    space = DeepNets1M(given.split, 10, task.input_shape, given.channels)
    noisy, began = with_noise(task), time.process_time()
    with nl.Store(given.store) as store:
        store.add_task(task)
        store.add_recipe(recipe, f"express, {EPOCHS} epochs")
        for number in range(min(given.networks, len(space))):
            if time.process_time() - began > given.seconds:
                break
            graph = space[number]
            key = EvaluationKey.of(graph, task, recipe, seed=0)
            claim = store.claim(key)
            if claim is None:
                continue
            with store.holding(claim):
                record = measured(graph, task, noisy, recipe)
            store.record(graph, key, record, claim=claim)
            count = write(store, given, task, recipe, space)
            score = f"{record.score:.3f}" if record.score is not None else record.status
            print(f"{given.split}/{number}: {score}, {record.seconds:.1f} s; {count} in {given.out}", flush=True)
        print(f"{write(store, given, task, recipe, space)} networks, {given.out}")


def measured(graph: nl.Graph, task: nl.tasks.Task, noisy: torch.Tensor, recipe: Any) -> EvaluationRecord:
    """The four properties of one network."""
    begin = time.process_time()
    result = nl.train(graph, task, recipe, seed=0)
    record = EvaluationRecord.of(result)
    metrics = {"cpu_seconds": time.process_time() - begin}
    if result.status == "ok" and result.network is not None:
        network = result.network
        batch_mode(network)
        metrics["accuracy"] = accuracy(network, task.valid.x, task.valid.y)
        metrics["noisy_accuracy"] = accuracy(network, noisy, task.valid.y)
        metrics["inference_seconds"] = inference_seconds(network, task.valid.x[:64])
        metrics["convergence_epochs"] = convergence([point.train_score for point in result.curve])
    return EvaluationRecord(
        record.status, record.score, record.seconds, record.error, record.curve, metrics={**record.metrics, **metrics}
    )


def with_noise(task: nl.tasks.Task) -> torch.Tensor:
    """The held-out images with noise, normalised as the others are."""
    pixels = task.valid.held.float() / 255
    noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
    made: torch.Tensor = task.transform((pixels + NOISE * noise).clamp(0, 1).mul(255).round().to(torch.uint8))
    return made


@torch.no_grad()
def accuracy(network: Any, x: torch.Tensor, y: torch.Tensor) -> float:
    right = 0
    for images, labels in zip(x.split(64), y.split(64)):
        given = network(images)
        right += int(((given[0] if isinstance(given, tuple) else given).argmax(1) == labels).sum())
    return right / len(y)


@torch.no_grad()
def inference_seconds(network: Any, x: torch.Tensor) -> float:
    network(x)
    seconds = []
    for _ in range(5):
        begin = time.process_time()
        network(x)
        seconds.append(time.process_time() - begin)
    return statistics.median(seconds)


def convergence(scores: list[float]) -> float:
    """Epochs until 95 % of the highest score, where the curve begins at 0.

    >>> convergence([0.5, 0.9, 1.0])
    2.5
    """
    goal, before = 0.95 * max(scores), 0.0
    for epoch, score in enumerate(scores):
        if score >= goal:
            return epoch + (goal - before) / (score - before) if score > before else float(epoch + 1)
        before = score
    return float(len(scores))


def write(store: nl.Store, given: argparse.Namespace, task: Any, recipe: Any, space: DeepNets1M) -> int:
    """The table of what is in the store: properties, and the text that `DeepNets1M.described` makes the graph from."""
    import pandas as pd

    found = store.evaluations(task=task, recipe=recipe, fidelity=recipe.epochs, seed=0)
    by_hash = {row["graph_hash"]: row["id"] for row in found.to_dict("records")}
    rows = []
    for number in range(min(given.networks, len(space))):
        architecture = space.architecture(number)
        hash = hashes(space, number)
        if hash not in by_hash:
            continue
        _, record = store.evaluation(int(by_hash[hash]))
        values = {name: record.metrics.get(name) for name in (*PROPERTIES, "cpu_seconds")}
        rows.append(
            {"name": f"{given.split}/{number}", "hash": hash, "architecture": architecture.to_json(), "status": record.status}
            | values
        )  # fmt: skip
    if rows:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        beside = given.out.with_suffix(".part")
        pd.DataFrame(rows).to_parquet(beside, index=False, compression="zstd")
        beside.replace(given.out)
    return len(rows)


_HASHES: dict[tuple[str, int], str] = {}


def hashes(space: DeepNets1M, number: int) -> str:
    """Hash of network ``number``, worked out once."""
    key = (space.spec, number)
    if key not in _HASHES:
        _HASHES[key] = space[number].hash
    return _HASHES[key]


if __name__ == "__main__":
    main()
