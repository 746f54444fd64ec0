"""What values of neurons cost: the scores themselves, gathering them while a model trains, and penalties on neurons.

    .venv/bin/python -m benchmarks.hooks [--pairs 30] [--models resnet50,vit_b_16,llama_small]

One thread, CPU seconds. Prints

- for every model, the median time of `atom_scores` by magnitude,
- for training steps of ResNet-18 at 64×64, batch 16 (forward, backward, SGD): pairs of steps, with and without, in random
  order within the pair; the median of the ratios of each pair and the bootstrap 95 % interval of that median. Two plain
  models beside each other show what such a ratio is worth.

Needs torchvision and transformers, which netloom does not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

import netloom as nl
from benchmarks.build import interval
from benchmarks.trace import MODELS
from netloom.mutate.gathering import ActivationContribution, Fisher, SeReNe, Taylor
from netloom.mutate.regularising import GroupLasso, ScaleLasso
from netloom.mutate.values import atom_scores

Step = Callable[[], None]


def scores_of(name: str, repeats: int = 15) -> dict[str, Any]:
    """Median CPU milliseconds of scores of all neurons of a model."""
    torch.manual_seed(0)
    model, example = MODELS[name]()
    graph = nl.trace(model, example, mode="eval")
    dims = nl.mutate.analyse(graph)
    found: dict[str, Any] = {"model": name, "parameters": graph.num_params, "atoms": len(dims.free)}
    for value in ("magnitude", "l1"):
        seconds = []
        for _ in range(repeats):
            start = time.process_time()
            atom_scores(value, model, graph, dims)
            seconds.append(time.process_time() - start)
        found[f"{value}, ms"] = round(1000 * statistics.median(seconds), 1)
    return found


class Trainer:
    """A ResNet-18 that trains on one batch over and over; ``extra`` runs between backward pass and optimiser."""

    def __init__(self, channels_last: bool = False) -> None:
        import torchvision

        torch.manual_seed(0)
        self.model = torchvision.models.resnet18(num_classes=10)
        self.x, self.y = torch.randn(16, 3, 64, 64), torch.randint(0, 10, (16,))
        if channels_last:
            self.model, self.x = self.model.to(memory_format=torch.channels_last), self.x.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)
        self.graph = nl.trace(self.model, self.x[:2])
        self.penalty: Callable[[torch.nn.Module], torch.Tensor] | None = None
        self.extra: Callable[[torch.nn.Module], None] | None = None

    def step(self) -> None:
        self.optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(self.model(self.x), self.y)
        if self.penalty is not None:
            loss = loss + self.penalty(self.model)
        loss.backward()
        if self.extra is not None:
            self.extra(self.model)
        self.optimizer.step()


@contextlib.contextmanager
def _gathering(kind: Any, channels_last: bool = False, **options: Any) -> Iterator[Step]:
    trainer = Trainer(channels_last)
    with kind(trainer.model, graph=trainer.graph, **options):
        yield trainer.step


@contextlib.contextmanager
def _plain(channels_last: bool = False) -> Iterator[Step]:
    yield Trainer(channels_last).step


@contextlib.contextmanager
def _penalty(kind: Any, gradients: bool) -> Iterator[Step]:
    trainer = Trainer()
    penalty = kind(trainer.graph, strength=1e-4)
    if gradients:
        trainer.extra = penalty.add_gradients
    else:
        trainer.penalty = penalty
    yield trainer.step


def sides() -> dict[str, Any]:
    return {
        "nothing (a second plain model)": _plain(),
        "ActivationContribution": _gathering(ActivationContribution),
        "ActivationContribution, every=4": _gathering(ActivationContribution, every=4),
        "ActivationContribution, channels last": _gathering(ActivationContribution, channels_last=True),
        "Fisher": _gathering(Fisher),
        "Fisher, every=4": _gathering(Fisher, every=4),
        "Taylor": _gathering(Taylor),
        "Taylor, every=4": _gathering(Taylor, every=4),
        "SeReNe, every=40": _gathering(SeReNe, every=40),
        "GroupLasso.add_gradients": _penalty(GroupLasso, gradients=True),
        "GroupLasso as a loss": _penalty(GroupLasso, gradients=False),
        "ScaleLasso.add_gradients": _penalty(ScaleLasso, gradients=True),
    }


def compare(name: str, side: Any, pairs: int) -> dict[str, Any]:
    """Median of the ratios with ÷ without, over pairs of blocks of steps."""
    block = 40 if "every=40" in name else 4
    rng, ratios, steps = random.Random(0), [], []
    with side as ours, _plain("channels last" in name) as plain:
        for step in (ours, plain):
            for _ in range(block + 1):
                step()
        for _ in range(pairs if block == 4 else max(3, pairs // 8)):
            took: dict[int, float] = {}
            for which in rng.sample((0, 1), 2):
                start = time.process_time()
                for _ in range(block):
                    (ours, plain)[which]()
                took[which] = time.process_time() - start
            ratios.append(took[0] / took[1])
            steps.append(took[1] / block)
    low, high = interval(ratios)
    return {
        "training with": name, "pairs": len(ratios), "plain step, ms": round(1000 * statistics.median(steps)),
        "median ratio": round(statistics.median(ratios), 4), "95 %": [round(low, 4), round(high, 4)],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--models", default="resnet50,vit_b_16,llama_small")
    parser.add_argument("--only", default="", help="part of the name of what is trained with")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    for name in filter(None, options.models.split(",")):
        print(json.dumps(scores_of(name)), flush=True)
    for name, side in sides().items():
        if options.only in name:
            print(json.dumps(compare(name, side, options.pairs)), flush=True)


if __name__ == "__main__":
    main()
