"""Meta-features beside pymfe: the same 37 numbers, CPU seconds, memory.

    OMP_NUM_THREADS=1 python -m benchmarks.metafeatures [--rounds 3] [--largest]

Needs pymfe, which is no dependency of netloom (`make bench` installs it, without what it would pull in):
`pip install --no-deps --target DIR pymfe patsy statsmodels texttable igraph gower` and `PYTHONPATH=DIR`.

Random classification data of several sizes; on each, all 23 features and those without the decision tree (19), both sides in
turns in one process, medians of CPU seconds. pymfe counts with `fit` and `extract`: what a group might need is computed in
`fit`. All values are compared. At 20,000 × 50 pymfe (with f1 and f2, which need its group "complexity") is killed at 22 GB;
there our side runs in a fresh process whose peak memory is told. `--largest` runs pymfe there without f1 and f2.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from netloom.tasks.metafeatures import FEATURES, TREE, get_meta_features

SIZES = ((150, 4), (1797, 64), (2000, 50), (5000, 100))
WITHOUT_TREE = [name for name, about in FEATURES.items() if about.group != TREE]


def data(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d))
    y = (x[:, :3].sum(1) + rng.normal(size=n) > 0).astype(int) + (x[:, 0] > 1)
    return x, y


def theirs(x: np.ndarray, y: np.ndarray, features: list[str], groups: Any = "all") -> dict[str, float]:
    from pymfe.mfe import MFE

    engine = MFE(groups=groups, features=features, summary=["mean", "sd"], random_state=0, suppress_warnings=True)
    found = engine.fit(x, y, suppress_warnings=True).extract(suppress_warnings=True)
    return dict(zip(*found))


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = call()
    return time.process_time() - start, found


def compared(n: int, d: int, features: list[str], rounds: int) -> tuple[float, float]:
    """Median CPU seconds of netloom and of pymfe, values checked."""
    x, y = data(n, d)
    ours, peers = [], []
    for _ in range(rounds):
        spent, mine = seconds(lambda: get_meta_features(x, y, features))
        ours.append(spent)
        spent, his = seconds(lambda: theirs(x, y, features))
        peers.append(spent)
    for name, value in his.items():
        assert np.isclose(mine[name], value, rtol=1e-6, atol=1e-12, equal_nan=True), (name, mine[name], value)
    return statistics.median(ours), statistics.median(peers)


def peak() -> None:
    """What the largest size takes, in this process."""
    x, y = data(20_000, 50)
    without, _ = seconds(lambda: get_meta_features(x, y, WITHOUT_TREE))
    whole, _ = seconds(lambda: get_meta_features(x, y))
    # Linux hands the peak of a parent on in getrusage; this one is of the process alone.
    highest = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(f"20000 × 50: {whole:.2f} s, {without:.3f} s without the tree; peak memory {int(highest.split()[1]) / 1024:,.0f} MB")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--largest", action="store_true")
    arguments.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.peak:
        return peak()
    get_meta_features(*data(60, 3))
    theirs(*data(60, 3), list(FEATURES))
    for n, d in SIZES:
        for words, features in (("all 23 features", list(FEATURES)), ("without the tree", WITHOUT_TREE)):
            ours, peers = compared(n, d, features, given.rounds)
            print(f"{n} × {d}, {words}: netloom {ours:.4f} s, pymfe {peers:.3f} s, {peers / ours:.1f}×", flush=True)
    subprocess.run([sys.executable, "-m", "benchmarks.metafeatures", "--peak"], check=True)
    if given.largest:
        x, y = data(20_000, 50)
        features = [name for name in FEATURES if name not in ("f1", "f2")]
        spent, _ = seconds(lambda: theirs(x, y, features, ["general", "statistical", "info-theory", "model-based"]))
        print(f"20000 × 50, pymfe without f1 and f2: {spent:.1f} s")
    return None


if __name__ == "__main__":
    main()
