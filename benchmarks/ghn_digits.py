"""The hypernetwork that comes with netloom, trained from nothing on the embedded digits; killed, the same command goes on.

    OMP_NUM_THREADS=1 python -m benchmarks.ghn_digits [--folder runs/ghn_digits] [--chains 60] [--cells 40] [--out FILE]
    OMP_NUM_THREADS=1 python -m benchmarks.ghn_digits --datasheet FILE [--networks 50] [--samples 256]

Two stages. Chains of three to five convolutions come first: a step over eight of them takes a tenth of a second, and what a
convolution, a norm and a classifier look like is learned there. Then as many networks of DeepNets-1M besides: eight channels,
at most six cells, with batch norm.
``--datasheet`` prints accuracies of predicted parameters beside random initialisation, on new chains and every split.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import netloom as nl
from netloom.ghn.candidates import Candidates

SHAPE = (1, 8, 8)
SETTINGS: dict[str, Any] = {
    "hid": 32, "max_channels": 16, "kernel": 5, "batch_size": 32, "schedule": "cosine", "learning_rate": 4e-3,
}  # fmt: skip
SPLITS = ("val", "test", "wide", "deep", "dense", "bnfree")
CHANNELS = 8


class Chains:
    """Three to five convolutions of 8 or 16 channels and kernels of 3 and 5, batch norm and ReLU, two pools, a linear layer."""

    spec = "chains"

    def sample(self, rng: np.random.Generator) -> nl.Graph:
        x = nl.input(*SHAPE)
        y, depth = x, int(rng.integers(3, 6))
        pools = set(rng.choice(depth, 2, replace=False).tolist())
        for place in range(depth):
            kernel = int(rng.choice([3, 3, 5]))
            y = nl.conv2d(y, int(rng.choice([8, 16, 16])), kernel=kernel, padding=kernel // 2, bias=bool(rng.random() < 0.3))
            y = nl.relu(nl.batch_norm(y))
            if place in pools:
                y = nl.max_pool2d(y, 2) if rng.random() < 0.5 else nl.avg_pool2d(y, 2)
        return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(y, 1)), 10))

    def contains(self, graph: nl.Graph) -> bool:
        return True


class Mixed:
    """A chain, or a network of DeepNets-1M with eight channels, at most six cells, and batch norm."""

    spec = "chains, and deepnets1m?split=search&channels=8&max_cells=6"

    def __init__(self) -> None:
        self.chains, self.cells = Chains(), nl.spaces.DeepNets1M("search", 10, SHAPE, CHANNELS, 6)

    def sample(self, rng: np.random.Generator) -> nl.Graph:
        return self.chains.sample(rng) if rng.random() < 0.5 else self.cells.sample(rng)

    def contains(self, graph: nl.Graph) -> bool:
        return self.chains.contains(graph) or self.cells.contains(graph)


def train(given: argparse.Namespace) -> None:
    begin = time.process_time()
    first = nl.ghn.train(
        "digits", "ghn2", Chains(), **SETTINGS, meta_batch=8, pool=400, epochs=given.chains, watched=8,
        checkpoint=given.folder / "chains", out=given.folder / "chains.safetensors", on_epoch=told,
    )  # fmt: skip
    print(f"chains: {first.status}, {first.steps} steps, {time.process_time() - begin:.0f} CPU s", flush=True)
    if not given.cells:
        return
    second = nl.ghn.train(
        "digits", "ghn2", Mixed(), **{**SETTINGS, "learning_rate": 2e-3}, meta_batch=4, pool=400, epochs=given.cells, watched=8,
        start=first.ghn, checkpoint=given.folder / "cells", on_epoch=told,
    )  # fmt: skip
    second.ghn.about["channels"] = CHANNELS
    second.ghn.save(given.out)
    print(f"cells: {second.status}, {second.steps} steps, {time.process_time() - begin:.0f} CPU s; {given.out}")


def told(point: Any) -> None:
    print(f"epoch {point.epoch}  loss {point.train_loss:.3f}  unseen {point.score:.3f}  {point.seconds:.0f} s", flush=True)


def datasheet(given: argparse.Namespace) -> None:
    """Accuracies on networks that were not learned from, on the test part of the digits."""
    ghn, task = nl.ghn.load(given.datasheet), nl.tasks.load("digits")
    for split in ("chains", *SPLITS):
        wide = CHANNELS * (4 if split == "wide" else 1)
        candidates = Candidates(task, space=Chains(), seed=7) if split == "chains" else Candidates(task, split, channels=wide)
        graphs = list(candidates.among(range(min(given.networks, len(candidates)))))
        part = "valid" if split == "val" else "test"
        filled, fresh = (nl.ghn.evaluate(of, graphs, task, part=part, max_samples=given.samples) for of in (ghn, None))
        print(f"| {split} | {len(graphs)} | {cell(filled)} | {100 * filled.max:.1f} | {cell(fresh)} |", flush=True)


def cell(found: Any) -> str:
    return f"{100 * found.mean:.1f} ± {100 * found.standard_error:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/ghn_digits"))
    parser.add_argument("--chains", type=int, default=20)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("ghn_digits.safetensors"))
    parser.add_argument("--datasheet", metavar="FILE")
    parser.add_argument("--networks", type=int, default=50)
    parser.add_argument("--samples", type=int, default=256)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.datasheet:
        datasheet(given)
    else:
        given.folder.mkdir(parents=True, exist_ok=True)
        train(given)


if __name__ == "__main__":
    main()
