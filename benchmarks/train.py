"""Training beside its floor and beside other loops: equal networks, recipe and seeds, CPU seconds an epoch, in one run.

    NETLOOM_DATA=DIR OMP_NUM_THREADS=1 python -m benchmarks.train [--tasks digits,cifar10] [--networks 10] [--epochs 3]

Ten networks sampled from the convolutional space (at most half a million multiply–adds on digits, five on CIFAR-10, of which
5,000 training images are used). For each, turn by turn, after a step that does not count:

- ``floor``: forward, backward and step (our optimiser, the fastest here) on one batch that is resident, in the layout that
  training chooses, as often as an epoch has batches,
- ``netloom``: `run_loop` over an epoch, without measuring on the validation part, which the other loops do not do either,
- ``lowered``: the same with ``precision="auto", channels_last=True``: bfloat16 where the processor multiplies it faster,
- ``tutorial``: the loop of PyTorch's tutorial, `DataLoader(TensorDataset)`, `torch.optim.AdamW`, `loss.item()` at each step,
- ``images`` (CIFAR-10): the same over images as torchvision's data set gives them, ToTensor and Normalize for each,
- ``skorch`` and ``lightning``, with as few callbacks as they have.

The peers run in a process of their own, whose allocator is as Python sets it up; netloom's training keeps the memory it frees
(`netloom.measure.kept_memory`). ``tutorial_kept`` is the tutorial's loop in netloom's process: what is left of the difference.

Prints the ratios netloom ÷ floor (bar: 1.10) and peer ÷ netloom (aim: 3 for the tutorial's loop on the median network), their
medians, and the mean validation accuracy of each side. Peers that are not installed are left out: put
``pip install --no-deps --target DIR skorch tabulate pytorch-lightning lightning-utilities torchmetrics`` on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import platform
import statistics
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks import torchvision_shim  # noqa: F401  (before torchvision, which Lightning looks for)

import numpy as np  # isort: skip
import torch
from torch.nn.functional import cross_entropy

import netloom as nl
from netloom.measure.kept_memory import VARIABLE, keep_freed
from netloom.training import Limits, Recipe, evaluate, run_loop
from netloom.training.batches import batches_of
from netloom.training.learner import NetworkLearner
from netloom.training.precision import laid_out, miscomputed, resolve
from netloom.training.recipes import batches_per_epoch

BATCH = {"digits": 64, "cifar10": 256}
#: How often the floor and netloom are measured on every network, in turns.
TURNS = 7
SPACES = {"digits": "conv?max_macs=500000", "cifar10": "conv?max_macs=5000000"}


def load(name: str) -> nl.tasks.Task:
    if name == "digits":
        return nl.tasks.load("digits")
    if "NETLOOM_DATA" not in os.environ:
        raise SystemExit("CIFAR-10 needs NETLOOM_DATA, the folder of its Parquet files; or give --tasks digits")
    return nl.tasks.load(f"cifar10:{os.environ['NETLOOM_DATA']}?train=5000&valid=1000")


class Sides:
    """One network on one task, trained by every side from the same weights."""

    def __init__(self, graph: nl.Graph, task: nl.tasks.Task, recipe: Recipe, epochs: int) -> None:
        self.graph, self.task, self.recipe, self.epochs = graph, task, recipe, epochs
        self.steps = batches_per_epoch(len(task.train), recipe.batch_size)

    def network(self) -> torch.nn.Module:
        torch.manual_seed(0)
        return nl.build(self.graph, seed=0).train()

    def learner(self, recipe: Recipe | None = None) -> NetworkLearner:
        steps = self.epochs * self.steps
        return NetworkLearner(self.network(), recipe or self.recipe, self.steps, steps, classes=self.task.num_classes)

    def warm_up(self) -> None:
        """One step of another copy of the network: what is made once, such as kernels, is nobody's."""
        x, y = next(iter(batches_of(self.task.train, self.recipe, 0)(0, 0)))
        cross_entropy(self.network()(x), y).backward()

    def floor(self) -> tuple[float, torch.nn.Module]:
        learner = self.learner()
        network, optimizer = learner.network, learner.optimizer
        x, y = next(iter(batches_of(self.task.train, self.recipe, 0)(0, 0)))
        x = laid_out(x, learner.channels_last)

        def step() -> None:
            cross_entropy(network(x), y).backward()
            optimizer.step(1e-3)
            optimizer.zero_grad()

        step()
        start = time.process_time()
        for _ in range(self.epochs * self.steps):
            step()
        return time.process_time() - start, network

    def lowered(self) -> tuple[float, torch.nn.Module]:
        precision = "float32" if miscomputed(self.graph) else resolve("auto", "cpu")
        return self.netloom(replace(self.recipe, precision=precision, channels_last=True))

    def netloom(self, recipe: Recipe | None = None) -> tuple[float, torch.nn.Module]:
        learner = self.learner(recipe)
        batches = batches_of(self.task.train, self.recipe, 0, channels_last=learner.channels_last)
        self.learner(recipe).step(next(iter(batches(0, 0))))  # what is made once: kernels, layouts, pages
        start = time.process_time()
        result = run_loop(learner, batches, None, Limits(epochs=self.epochs))
        seconds = time.process_time() - start
        assert result.status == "ok", result
        learner.finish()
        return seconds, learner.network

    def tutorial_kept(self) -> tuple[float, torch.nn.Module]:
        return self.tutorial()

    def tutorial(self, dataset: Any = None) -> tuple[float, torch.nn.Module]:
        network = self.network()
        if dataset is None:
            dataset = torch.utils.data.TensorDataset(self.task.train.x, self.task.train.y)
        loader = torch.utils.data.DataLoader(dataset, batch_size=self.recipe.batch_size, shuffle=True)
        optimizer = torch.optim.AdamW(network.parameters(), lr=self.recipe.learning_rate, weight_decay=self.recipe.weight_decay)
        criterion = torch.nn.CrossEntropyLoss()
        self.warm_up()
        start = time.process_time()
        for _ in range(self.epochs):
            running = 0.0
            for inputs, labels in loader:
                optimizer.zero_grad()
                loss = criterion(network(inputs), labels)
                loss.backward()
                optimizer.step()
                running += loss.item()
        return time.process_time() - start, network

    def images(self) -> tuple[float, torch.nn.Module]:
        return self.tutorial(ImageDataset(self.task))

    def skorch(self) -> tuple[float, torch.nn.Module]:
        from skorch import NeuralNetClassifier

        net = NeuralNetClassifier(
            self.network(), criterion=torch.nn.CrossEntropyLoss, optimizer=torch.optim.AdamW, lr=self.recipe.learning_rate,
            optimizer__weight_decay=self.recipe.weight_decay, max_epochs=self.epochs, batch_size=self.recipe.batch_size,
            iterator_train__shuffle=True, train_split=None, verbose=0,
        )  # fmt: skip
        x, y = self.task.train.x.numpy(), self.task.train.y.numpy()
        self.warm_up()
        start = time.process_time()
        net.fit(x, y)
        return time.process_time() - start, net.module_

    def lightning(self) -> tuple[float, torch.nn.Module]:
        import pytorch_lightning

        network, recipe = self.network(), self.recipe

        class Module(pytorch_lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def training_step(self, batch: Any, index: int) -> torch.Tensor:
                return cross_entropy(self.network(batch[0]), batch[1])

            def configure_optimizers(self) -> Any:
                return torch.optim.AdamW(self.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)

        dataset = torch.utils.data.TensorDataset(self.task.train.x, self.task.train.y)
        loader = torch.utils.data.DataLoader(dataset, batch_size=recipe.batch_size, shuffle=True)
        trainer = pytorch_lightning.Trainer(
            max_epochs=self.epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, accelerator="cpu", devices=1,
        )  # fmt: skip
        module = Module()
        self.warm_up()
        start = time.process_time()
        trainer.fit(module, loader)
        return time.process_time() - start, network


class ImageDataset(torch.utils.data.Dataset[Any]):
    """The training images as `torchvision.datasets.CIFAR10` gives them: a PIL image, ToTensor, Normalize."""

    def __init__(self, task: nl.tasks.Task) -> None:
        from torchvision import transforms

        self.data, self.targets = task.train.held.permute(0, 2, 3, 1).contiguous().numpy(), task.train.y.tolist()
        mean, sd = ([v / 255 for v in values] for values in (task.train.normalization.mean, task.train.normalization.sd))
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, sd)])

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.data[index])), self.targets[index]


def networks(name: str, count: int, task: nl.tasks.Task) -> Iterator[nl.Graph]:
    """The first networks that the space gives for seed 0."""
    space, rng = nl.spaces.load(SPACES[name], input_shape=task.input_shape, num_classes=10), np.random.default_rng(0)
    for _ in range(count):
        yield space.sample(rng)


def recipe_of(name: str, epochs: int) -> Recipe:
    return Recipe(epochs=epochs, batch_size=BATCH[name], learning_rate=1e-3, schedule="constant", warmup=0.0, clip_norm=None)


def all_sides(name: str, count: int, epochs: int) -> Iterator[Sides]:
    """Every network on a task, whose training images are made once, for the peers."""
    task = load(name)
    assert len(task.train.x)
    for graph in networks(name, count, task):
        yield Sides(graph, task, recipe_of(name, epochs), epochs)


def serve(name: str, count: int, epochs: int, asked: Any) -> None:
    """In a process of its own: answers (number of a network, side) with CPU seconds and accuracy, or why there are none."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    made = list(all_sides(name, count, epochs))
    while (question := asked.recv()) is not None:
        number, side = question
        try:
            seconds, network = getattr(made[number], side)()
        except ImportError as error:
            asked.send(str(error).splitlines()[0][:100])
        else:
            asked.send((seconds, evaluate(network, made[number].task.valid).score))


def measure(name: str, count: int, epochs: int, skipped: list[str], left_out: dict[str, str]) -> None:
    peers_there, peers_here = multiprocessing.Pipe()
    os.environ[VARIABLE] = "0"
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(name, count, epochs, peers_there), daemon=True)
    process.start()
    del os.environ[VARIABLE]
    keep_freed()
    turns = {"floor": TURNS, "netloom": TURNS, "lowered": 1, "tutorial_kept": 2, "tutorial": 2, "skorch": 1, "lightning": 1}
    if name == "cifar10":
        turns["images"] = 1
    there = {"tutorial", "skorch", "lightning", "images"}
    rows: list[dict[str, Any]] = []
    for number, sides in enumerate(all_sides(name, count, epochs)):
        row: dict[str, Any] = {"task": name, "macs": sides.graph.flops // 2, "params": sides.graph.num_params}
        for turn in range(TURNS):  # the fastest counts: others share the machine
            for side, most in turns.items():
                if side in left_out or side in skipped or turn >= most:
                    continue
                if side in there:
                    peers_here.send((number, side))
                    answer = peers_here.recv()
                    if isinstance(answer, str):
                        left_out[side] = answer
                        continue
                    seconds, score = answer
                else:
                    seconds, network = getattr(sides, side)()
                    score = evaluate(network, sides.task.valid).score
                row[side] = min(seconds / epochs, row.get(side, float("inf")))
                if side != "floor":
                    row[f"{side}_accuracy"] = score
        rows.append(row)
        shown = {key: round(value, 5) if isinstance(value, float) else value for key, value in row.items()}
        print(json.dumps(shown), flush=True)
    peers_here.send(None)
    process.join()
    peers = [side for side in turns if side not in ("floor", "netloom", "lowered") and side in rows[0]]
    ratios = [row["netloom"] / row["floor"] for row in rows]
    print(f"{name}: netloom ÷ floor: median {statistics.median(ratios):.3f}, largest {max(ratios):.3f}")
    if "lowered" in rows[0]:
        gains = [row["netloom"] / row["lowered"] for row in rows]
        print(f"{name}: netloom ÷ lowered: median {statistics.median(gains):.2f}, per network {[round(g, 2) for g in gains]}")
        gains = [row["tutorial"] / row["lowered"] for row in rows]
        print(f"{name}: tutorial ÷ lowered: median {statistics.median(gains):.2f}, per network {[round(g, 2) for g in gains]}")
    for side in peers:
        median = statistics.median(row[side] / row["netloom"] for row in rows)
        print(f"{name}: {side} ÷ netloom: median {median:.2f}, per network {[round(r[side] / r['netloom'], 2) for r in rows]}")
    scored = [side for side in turns if f"{side}_accuracy" in rows[0]]
    scores = {side: round(statistics.mean(row[f"{side}_accuracy"] for row in rows), 4) for side in scored}
    print(f"{name}: mean validation accuracy after {epochs} epochs: {scores}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="digits,cifar10")
    parser.add_argument("--networks", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--skip", default="", help="sides to leave out, such as skorch,lightning")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, one thread")
    left_out: dict[str, str] = {}
    for name in options.tasks.split(","):
        measure(name, options.networks, options.epochs, options.skip.split(","), left_out)
    for side, reason in left_out.items():
        print(f"left out: {side}: {reason}")


if __name__ == "__main__":
    main()
