"""CIFAR-10: one trained network pruned to half its FLOPs by each value of neurons, fine-tuned alike; beside Torch-Pruning and
beside the small network trained from scratch.

    NETLOOM_DATA=/path/to/data python -m benchmarks.prune_cifar10 [--folder results] [--epochs 10] [--tune 2] [--threads 1]

Resumable: every network that is done is a line in results/prune_cifar10.jsonl; trained weights stay in the folder.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, pad

import netloom as nl

RESULTS = Path(__file__).parent / "results" / "prune_cifar10.jsonl"
MEAN, STD = torch.tensor([0.491, 0.482, 0.447]).view(1, 3, 1, 1), torch.tensor([0.247, 0.243, 0.262]).view(1, 3, 1, 1)


class Block(torch.nn.Module):
    """A residual block of two 3×3 convolutions (He et al. 2016)."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(out)
        self.conv2 = torch.nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(out)
        self.shortcut = torch.nn.Sequential()
        if stride != 1 or channels != out:
            project = torch.nn.Conv2d(channels, out, 1, stride, bias=False)
            self.shortcut = torch.nn.Sequential(project, torch.nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def resnet14() -> torch.nn.Module:
    """Three stages of two blocks, 32, 64 and 128 channels, after a stem of stride 2."""
    torch.manual_seed(0)
    stem = [torch.nn.Conv2d(3, 32, 3, 2, 1, bias=False), torch.nn.BatchNorm2d(32), torch.nn.ReLU()]
    blocks = [Block(32, 32, 1), Block(32, 32, 1), Block(32, 64, 2), Block(64, 64, 1), Block(64, 128, 2), Block(128, 128, 1)]
    return torch.nn.Sequential(*stem, *blocks, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(128, 10))


def load(part: str, cache: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Images uint8 (N, 3, 32, 32) and labels of a part."""
    stored = cache / f"cifar10_{part}.npz"
    if not stored.exists():
        import pyarrow.parquet as pq
        from PIL import Image

        table = pq.read_table(Path(os.environ["NETLOOM_DATA"]) / f"cifar10_{part}.parquet")
        images = [np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in table["img"].to_pylist()]
        np.savez(stored, x=np.stack(images).transpose(0, 3, 1, 2), y=np.asarray(table["label"]))
    data = np.load(stored)
    return torch.from_numpy(data["x"]), torch.from_numpy(data["y"]).long()


class Runs:
    """Training and testing, the same for every network."""

    def __init__(self, folder: Path, batch: int = 128) -> None:
        self.train_x, self.train_y = load("train", folder)
        self.test_x, self.test_y = load("test", folder)
        self.batch = batch

    def batches(self, seed: int) -> Any:
        rng = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.train_x), generator=rng)
        for start in range(0, len(order) - self.batch + 1, self.batch):
            at = order[start : start + self.batch]
            x = (self.train_x[at].float() / 255 - MEAN) / STD
            x = pad(x, (4, 4, 4, 4))
            dy, dx = torch.randint(0, 9, (2,), generator=rng).tolist()
            x = x[:, :, dy : dy + 32, dx : dx + 32]
            flip = torch.rand(len(at), generator=rng) < 0.5
            yield torch.where(flip.view(-1, 1, 1, 1), x.flip(3), x), self.train_y[at]

    def fit(self, model: torch.nn.Module, epochs: float, rate: float, seed: int = 0) -> torch.nn.Module:
        """SGD with momentum, one cycle; part of an epoch where that is asked for."""
        model.train()
        total = int(epochs * (len(self.train_x) // self.batch))
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4, nesterov=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=total + 1, pct_start=0.15)
        done, epoch = 0, 0
        while done < total:
            for x, y in self.batches(1000 * seed + epoch):
                optimizer.zero_grad()
                cross_entropy(model(x), y).backward()
                optimizer.step()
                schedule.step()
                done += 1
                if done == total:
                    break
            epoch += 1
        return model.eval()

    def accuracy(self, model: torch.nn.Module) -> float:
        model.eval()
        correct = 0
        with torch.no_grad():
            for start in range(0, len(self.test_x), 500):
                x = (self.test_x[start : start + 500].float() / 255 - MEAN) / STD
                correct += int((model(x).argmax(1) == self.test_y[start : start + 500]).sum())
        return correct / len(self.test_x)

    def gathered(self, kind: type, model: torch.nn.Module, count: int = 40) -> Any:
        """A value gathered over some training batches, weights unchanged."""
        gather = kind(model, torch.randn(2, 3, 32, 32))
        model.eval()
        with gather:
            for _, (x, y) in zip(range(count), self.batches(77)):
                model.zero_grad()
                cross_entropy(model(x), y).backward()
        return gather


def values(runs: Runs, model: torch.nn.Module) -> dict[str, Callable[[], Any]]:
    """Name → how the value comes about."""
    mutate = nl.mutate

    def taylor() -> str:
        model.eval()
        model.zero_grad()
        for _, (x, y) in zip(range(40), runs.batches(77)):
            cross_entropy(model(x), y).backward()
        return "taylor"

    return {
        "magnitude": lambda: "magnitude", "l1": lambda: "l1", "bn_scale": lambda: "bn_scale", "random": lambda: "random",
        "taylor": taylor,
        "activation contribution": lambda: runs.gathered(mutate.ActivationContribution, model),
        "fisher (activations)": lambda: runs.gathered(mutate.Fisher, model),
        "taylor, batch by batch": lambda: runs.gathered(mutate.Taylor, model),
        "serene": lambda: runs.gathered(mutate.SeReNe, model, 8),
    }  # fmt: skip


def peer(model: torch.nn.Module, share: float, importance: Any, runs: Runs) -> torch.nn.Module:
    """Torch-Pruning's network with about that share of the FLOPs: its ratio found by halving."""
    import copy

    import torch_pruning as tp

    x = torch.randn(1, 3, 32, 32)
    full = tp.utils.count_ops_and_params(model, x)[0]
    low, high, best = 0.0, 0.9, None
    for _ in range(10):
        middle = (low + high) / 2
        trial = copy.deepcopy(model)
        if isinstance(importance, tp.importance.GroupTaylorImportance):
            for (_, theirs), (_, ours) in zip(trial.named_parameters(), model.named_parameters()):
                theirs.grad = None if ours.grad is None else ours.grad.clone()
        last = [m for m in trial.modules() if isinstance(m, torch.nn.Linear)]
        tp.pruner.MetaPruner(trial, x, importance=importance, pruning_ratio=middle, ignored_layers=last).step()
        if tp.utils.count_ops_and_params(trial, x)[0] <= share * full:
            best, high = trial, middle
        else:
            low = middle
    assert best is not None
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/prune_cifar10"))
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--tune", type=float, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="beginnings of the names of the networks to train; all without")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.folder.mkdir(parents=True, exist_ok=True)
    runs, x = Runs(given.folder), torch.randn(2, 3, 32, 32)
    done = {json.loads(line)["name"] for line in RESULTS.read_text().splitlines()} if RESULTS.exists() else set()

    def wanted(title: str) -> bool:
        return title not in done and (given.only is None or title.startswith(tuple(given.only)))

    def note(name: str, model: torch.nn.Module, before: float | None, started: float) -> None:
        graph = nl.trace(model, x)
        row = {
            "name": name, "flops": graph.flops, "params": graph.num_params, "before_tuning": before,
            "accuracy": runs.accuracy(model), "seconds": round(time.process_time() - started, 1),
        }  # fmt: skip
        with RESULTS.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)

    stored = given.folder / "original.pt"
    model = resnet14()
    if stored.exists():
        model.load_state_dict(torch.load(stored, weights_only=True))
        model.eval()
    else:
        started = time.process_time()
        runs.fit(model, given.epochs, 0.2)
        torch.save(model.state_dict(), stored)
        note("original", model, None, started)
    ranked = ("magnitude", "taylor", "activation contribution")
    for name, value in values(runs, model).items():
        for ranking in ("layer", "global") if name in ranked else ("layer",):
            title = f"{name}, {ranking}"
            if wanted(title):
                started = time.process_time()
                small = nl.prune(model, x, flops=0.5, value=value(), ranking=ranking).network
                before = runs.accuracy(small)
                note(title, runs.fit(small, given.tune, 0.05, seed=1), before, started)
    small_graph = nl.prune(model, x, flops=0.5).graph
    for title, epochs, rate in (
        ("half the size from scratch, as long as fine-tuning", given.tune, 0.2),
        ("half the size from scratch, as long as all", given.epochs + given.tune, 0.2),
    ):
        if wanted(title):
            started = time.process_time()
            note(title, runs.fit(nl.build(small_graph, seed=0), epochs, rate, seed=1), None, started)
    theirs = {"Torch-Pruning magnitude": "GroupMagnitudeImportance", "Torch-Pruning taylor": "GroupTaylorImportance"}
    for title, importance in theirs.items():
        if wanted(title):
            import torch_pruning as tp

            values(runs, model)["taylor"]()
            started = time.process_time()
            small = peer(model, 0.5, getattr(tp.importance, importance)(), runs)
            before = runs.accuracy(small)
            note(title, runs.fit(small, given.tune, 0.05, seed=1), before, started)
    if wanted("original, tuned as well"):
        started = time.process_time()
        note("original, tuned as well", runs.fit(model, given.tune, 0.05, seed=1), None, started)


if __name__ == "__main__":
    main()
