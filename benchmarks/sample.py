"""Valid convolutional networks a second: `netloom.spaces.Conv` beside the generator whose space it is.

    python -m benchmarks.sample --sophius FOLDER [--rounds 15]

FOLDER (or the variable SOPHIUS) is a checkout of https://github.com/alkorolyov/sophius, which is only run, in this
process: its `ConvModelGenerator` with the same ranges makes templates, whose shapes it knows; no hash, no cost, no seed.
Ours are measured with shapes, parameters and FLOPs worked out; then with the canonical hash; then with the text as
`netloom sample` writes it. CPU seconds on one thread, in rounds of one batch each in random order; the ratio of a round is
theirs ÷ ours.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import netloom as nl
from netloom.spaces.chain import text_of

SHAPE, CLASSES, CONV_NUM, LIN_NUM = (3, 32, 32), 10, 5, 3
#: Networks of a batch, and samples that fill the caches before the first round.
BATCH, WARM = 400, 8000


def theirs(folder: str) -> Callable[[], Any]:
    """The peer's generator, from a checkout."""
    sys.path.insert(0, folder)
    try:
        from sophius.modelgen import ConvModelGenerator  # type: ignore[import-not-found]
    except ImportError as error:
        sys.exit(f"{folder!r} holds no importable sophius ({error}); git clone https://github.com/alkorolyov/sophius")
    generator = ConvModelGenerator(SHAPE, CLASSES, conv_num=CONV_NUM, lin_num=LIN_NUM)
    return lambda: generator.generate_model_tmpl()


def ours() -> dict[str, Callable[[], Any]]:
    """What is measured of this library, by what is included."""
    space = nl.spaces.Conv(input_shape=SHAPE, num_classes=CLASSES, conv_num=CONV_NUM, lin_num=LIN_NUM)
    rng = np.random.default_rng(0)

    def costed() -> nl.Graph:
        graph = space.sample(rng)
        if graph.num_params < 0 or graph.flops < 0:
            raise ArithmeticError("a network cannot cost less than nothing")
        return graph

    def hashed() -> str:
        return costed().hash

    def written() -> tuple[str, str]:
        graph = costed()
        return graph.hash, text_of(graph)

    return {"shapes, cost": costed, "shapes, cost, hash": hashed, "shapes, cost, hash, text": written}


def seconds(call: Callable[[], Any]) -> float:
    """CPU seconds of one call, over a batch."""
    start = time.process_time()
    for _ in range(BATCH):
        call()
    return (time.process_time() - start) / BATCH


def interval(values: list[float], draws: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the median."""
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(values, (draws, len(values))), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sophius", default=os.environ.get("SOPHIUS"), metavar="FOLDER", help="a checkout of the peer")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    if not given.sophius:
        sys.exit("give --sophius FOLDER: git clone https://github.com/alkorolyov/sophius FOLDER")
    peer, own = theirs(given.sophius), ours()
    for call in own.values():
        for _ in range(WARM):
            call()
    times: dict[str, list[float]] = {name: [] for name in ("sophius", *own)}
    for _ in range(given.rounds):
        calls = [("sophius", peer), *own.items()]
        random.shuffle(calls)
        for name, call in calls:
            times[name].append(seconds(call))
    print("| what | networks a CPU second (median) | times as many | 95 % |")
    print("|---|---:|---:|---|")
    print(f"| sophius: shapes | {1 / statistics.median(times['sophius']):,.0f} | 1 | |")
    for name in own:
        ratios = [a / b for a, b in zip(times["sophius"], times[name])]
        low, high = interval(ratios)
        speed, ratio = 1 / statistics.median(times[name]), statistics.median(ratios)
        print(f"| netloom: {name} | {speed:,.0f} | {ratio:.2f} | {low:.2f}–{high:.2f} |")


if __name__ == "__main__":
    main()
