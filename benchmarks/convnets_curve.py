"""R² against the number of networks learned from, on random convolutional networks that were trained for 50 epochs on CIFAR-10.

    NETLOOM_DATA=/path/to/data python -m benchmarks.convnets_curve [--splits 3] [--sizes 50 100 200 400 640]
    python -m benchmarks.convnets_curve --print

``convnets_cifar10.parquet`` has 800 of them. A split holds 160 out; predictors learn from the first so many of the rest. LSTM
is netloom's (with named features) and sophius's view (32-bit codes alone, ``features=False``); Ensemble is the default. At
the end a curve R² = a − b n^−c through the means says where R² would pass 0.8, if it goes on like that. Results go to
results/convnets_curve.jsonl; what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import netloom as nl
from benchmarks.predictor_tables import convnets

RESULTS = Path(__file__).parent / "results" / "convnets_curve.jsonl"
MAKES: dict[str, Any] = {
    "Ensemble": nl.predict.Ensemble, "LSTM": nl.predict.LSTM, "LSTM, codes alone": lambda: nl.predict.LSTM(features=False),
}  # fmt: skip
BAR = 0.8


def known() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def report() -> None:
    runs = known()
    sizes = sorted({run["size"] for run in runs})
    print("| R² | " + " | ".join(f"{size}" for size in sizes) + " |\n|---|" + "---|" * len(sizes))
    for name in MAKES:
        found = {size: [run["r2"] for run in runs if run["predictor"] == name and run["size"] == size] for size in sizes}
        cells = [
            f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "" for values in found.values()
        ]
        print(f"| {name} | {' | '.join(cells)} |")
    for name in MAKES:
        means = {
            size: np.mean([run["r2"] for run in runs if run["predictor"] == name and run["size"] == size])
            for size in sizes if any(run["predictor"] == name and run["size"] == size for run in runs)
        }  # fmt: skip
        if len(means) > 3:
            print(f"{name}: {extrapolated(np.array(list(means)), np.array(list(means.values())))}")


def extrapolated(sizes: Any, values: Any) -> str:
    """Where a power law through the means passes the bar."""
    best: tuple[float, float, float, float] = (np.inf, 0.0, 0.0, 0.0)
    for power in np.linspace(0.05, 1.5, 59):
        table = np.column_stack([np.ones(len(sizes)), -(sizes.astype(float) ** -power)])
        (top, drop), *_ = np.linalg.lstsq(table, values, rcond=None)
        error = float(((table @ (top, drop) - values) ** 2).sum())
        if drop > 0:
            best = min(best, (error, float(top), float(drop), float(power)))
    _, top, drop, power = best
    curve = f"R² = {top:.2f} − {drop:.2f} n^−{power:.2f}"
    if top <= BAR:
        return f"{curve} levels off below {BAR}"
    return f"{curve} would pass {BAR} at about {(drop / (top - BAR)) ** (1 / power):,.0f} networks"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--sizes", nargs="*", type=int, default=[50, 100, 200, 400, 640])
    parser.add_argument("--print", action="store_true")
    options = parser.parse_args()
    if not options.print:
        table = convnets()
        scores = table.scores["val_accuracy"]
        done = {(run["predictor"], run["size"], run["split"]) for run in known()}
        for split in range(options.splits):
            order = np.random.default_rng(split).permutation(len(scores))
            test, train = order[:160], order[160:]
            for size in options.sizes:
                for name, make in MAKES.items():
                    if (name, size, split) in done:
                        continue
                    rows, started = train[:size], time.process_time()
                    fitted = make().fit([table.graphs[i] for i in rows], scores[rows], seed=split)
                    found = fitted.score([table.graphs[i] for i in test], scores[test])
                    seconds = round(time.process_time() - started, 1)
                    row = {"predictor": name, "size": size, "split": split, **{k: round(v, 4) for k, v in found.items()}}
                    with RESULTS.open("a") as file:
                        file.write(json.dumps({**row, "seconds": seconds}) + "\n")
                    print(row, flush=True)
    report()


if __name__ == "__main__":
    main()
