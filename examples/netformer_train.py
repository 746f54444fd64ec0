"""Learn a zoo of trained networks: from a zoo to a Netformer in about a minute.

    python examples/netformer_train.py [--networks 600] [--steps 400] [--out former.safetensors]

Trains random perceptrons on random regressions, each on a task of its own, lets a Netformer learn them, and says how much of
networks of unseen tasks comes back after they have been through the latents. More networks and steps give more:
docs/netformer.md has figures.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import torch

import netloom as nl


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--networks", type=int, default=600)
    arguments.add_argument("--steps", type=int, default=400)
    arguments.add_argument("--out", default="former.safetensors")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()

    zoo = nl.zoo.make(tempfile.mkdtemp() + "/zoo", models=given.networks, tasks=given.networks, seed=0)
    learned, unseen = zoo.split(0.1, by="task")
    print(f"{time.perf_counter() - start:4.0f} s  {zoo!r}")

    # The quick variant: answers at probe inputs in, perceptrons on both sides. Leave the names out for transformers.
    former = nl.netformer.Netformer(encoder="answers", decoder="mlp")
    former.fit(learned, steps=given.steps, on_epoch=lambda e: print(f"      median R² of held-out networks: {e.score:.3f}"))
    former.save(given.out)
    print(f"{time.perf_counter() - start:4.0f} s  {former!r}, saved to {given.out}")

    report = former.evaluate(unseen)
    print(f"{time.perf_counter() - start:4.0f} s  {len(unseen)} networks of unseen tasks, encoded and decoded:")
    print(f"      functional R²: median {report.median:.3f}, pooled {report.pooled:.3f}; 0.9 or more: {report.share:.0%}")
    print(f"      architecture recovered exactly: {report.recovery:.0%}; edge IoU: {report.edge_iou:.3f}")


if __name__ == "__main__":
    main()
