"""A built network beside the module it was traced from: forward and backward, plain and under torch.compile.

    .venv/bin/python -m benchmarks.build [--pairs 40] [--models resnet50,…] [--compile]

For every model: pairs of steps (ours, the original's, in random order within the pair), each a forward and backward pass of
at least 50 ms, in CPU seconds on one thread; prints the median ratio ours ÷ original and the bootstrap 95 % interval of the
median.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
import warnings
from typing import Any

import torch

import netloom as nl
from benchmarks.trace import MODELS


def step_of(module: torch.nn.Module, example: Any, train: bool, repeats: int) -> Any:
    """A function that runs ``repeats`` forward (and backward) passes."""

    def forward_backward() -> None:
        for _ in range(repeats):
            result = module(example)
            if not isinstance(result, torch.Tensor):
                result = next(v for v in result.values() if isinstance(v, torch.Tensor))
            if train:
                module.zero_grad(set_to_none=True)
                result.square().mean().backward()

    def forward_only() -> None:
        with torch.no_grad():
            for _ in range(repeats):
                module(example)

    return forward_backward if train else forward_only


def cpu_seconds(step: Any) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def interval(ratios: list[float], rounds: int = 2000) -> tuple[float, float]:
    """Bootstrap 95 % interval of the median."""
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(rounds))
    return medians[int(0.025 * rounds)], medians[int(0.975 * rounds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--models", default="resnet50,vit_b_16,swin_t,densenet121,llama_small")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    for name in options.models.split(","):
        torch.manual_seed(0)
        model, example = MODELS[name]()
        if not (example.dtype.is_floating_point and example.ndim == 4):
            example = example[:2]
        else:
            example = example[:1]
        net = nl.build(nl.trace(model, example), weights=model)
        for train in (True, False):
            model.train(train), net.train(train)
            sides: list[Any] = [torch.compile(m) if options.compile else m for m in (net, model)]
            for side in sides:
                step_of(side, example, train, 1)()
            once = cpu_seconds(step_of(sides[1], example, train, 1))
            repeats = max(1, round(0.06 / max(once, 1e-4) + 0.5))
            steps = [step_of(side, example, train, repeats) for side in sides]
            rng = random.Random(0)
            ratios = []
            for _ in range(options.pairs):
                order = [0, 1] if rng.random() < 0.5 else [1, 0]
                took = {which: cpu_seconds(steps[which]) for which in order}
                ratios.append(took[0] / took[1])
            low, high = interval(ratios)
            print(json.dumps({
                "model": name, "pass": "forward+backward" if train else "forward", "compiled": options.compile,
                "pairs": options.pairs, "step seconds": round(once * repeats, 3),
                "median ratio": round(statistics.median(ratios), 4), "95 %": [round(low, 4), round(high, 4)],
            }), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
