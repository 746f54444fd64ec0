"""The neural predictors on NAS-Bench-201: the same splits as `benchmarks.predictors`, one line of results for each fit.

    NETLOOM_DATA=/path/to/data python -m benchmarks.neural_predictors [--seeds 30] [--sizes 100] [--names NeuralPredictor …]

CIFAR-10, 200-epoch test accuracy, 2,000 random cells held out. Each predictor is fitted on the graph alone (``graph``) and
with named features beside it (the default). Fits that `results/neural_predictors.jsonl` has are not repeated: stop it when you
like. Prints Kendall's τ (mean, standard deviation over seeds, lower end of the mean's 95 % interval), τ without cells whose
isomorphic twin was trained on, precision among the best 1 %, root mean square of errors in predicted standard deviations (1 is
calibrated), and CPU seconds of one thread for fit and prediction, graphs read before.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import netloom as nl
from netloom.predict import graph_reading
from netloom.predict.call_graphs import call_graphs
from netloom.predict.predictor import Batch
from netloom.predict.targets import Targets

RESULTS = Path(__file__).parent / "results" / "neural_predictors.jsonl"
NAMES = ("NeuralPredictor", "TokenTransformer", "LSTM")


class Table:
    """All cells, read once; a predictor is given the rows that it is to see."""

    def __init__(self, features: bool) -> None:
        import pandas as pd

        table = pd.read_parquet(Path(os.environ["NETLOOM_DATA"]) / "nb201.parquet")
        space = nl.spaces.NASBench201()
        self.graphs = [space.from_string(cell) for cell in table.cellstr]
        self.scores = table.c10_test200.to_numpy(dtype=np.float64)
        self.classes = table.iso_class.to_numpy()
        self.fold = graph_reading.fold_for(self.graphs)
        self.calls = call_graphs(self.graphs, self.fold)
        self.encoded = Batch(self.graphs).encoded if features else None

    def batch(self, rows: Any) -> Batch:
        batch = Batch([self.graphs[i] for i in rows])
        batch.__dict__["call_graphs"] = {self.fold: self.calls[rows]}
        if self.encoded is not None:
            batch.__dict__["encoded"] = self.encoded._replace(features=self.encoded.features[rows], paths=None)
        return batch


def one_split(table: Table, name: str, features: bool, size: int, seed: int) -> dict[str, Any]:
    """What one fit comes to."""
    order = np.random.default_rng(seed).permutation(len(table.graphs))
    train, test = order[:size], order[-2000:]
    options: dict[str, Any] = {"rows": "calls"} if name == "LSTM" else {}
    predictor = getattr(nl.predict, name)(features=features, **options)
    targets = Targets.of(table.scores[train])
    started = time.process_time()
    predictor._targets = targets
    predictor._fit(table.batch(train), targets.scaled(table.scores[train]), np.random.default_rng(seed))
    fitted = time.process_time()
    mean, deviation = predictor._predict(table.batch(test), True)
    done = time.process_time()
    strict = ~np.isin(table.classes[test], table.classes[train])
    truth = targets.scaled(table.scores[test])
    return {
        "tau": nl.predict.kendall_tau(mean, table.scores[test]),
        "strict": nl.predict.kendall_tau(mean[strict], table.scores[test][strict]),
        "precision": nl.predict.precision_at(mean, table.scores[test]),
        "calibration": float(np.sqrt(np.mean(((truth - mean) / deviation) ** 2))),
        "fit_seconds": fitted - started,
        "predict_seconds": done - fitted,
    }


def said(key: tuple[str, str, int], rows: list[dict[str, Any]]) -> str:
    """One line about all seeds of a predictor."""
    mean = {field: float(np.mean([row[field] for row in rows])) for field in rows[0] if isinstance(rows[0][field], float)}
    spread = float(np.std([row["tau"] for row in rows], ddof=1)) if len(rows) > 1 else float("nan")
    return (
        f"{key[0]} ({key[1]}), {key[2]} labels, {len(rows)} seeds: τ {mean['tau']:.4f} ± {spread:.4f} "
        f"(≥ {mean['tau'] - 1.96 * spread / len(rows) ** 0.5:.4f}), strict {mean['strict']:.3f}, "
        f"top 1 % {mean['precision']:.2f}, calibration {mean['calibration']:.2f}, "
        f"fit {mean['fit_seconds']:.1f} s, predict {mean['predict_seconds']:.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="*", default=list(NAMES), choices=NAMES)
    parser.add_argument("--sizes", nargs="*", type=int, default=[100])
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--inputs", nargs="*", default=["graph", "features"], choices=["graph", "features"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    known: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for line in RESULTS.read_text().splitlines() if RESULTS.exists() else []:
        row = json.loads(line)
        known.setdefault((row["predictor"], row["inputs"], row["n"]), []).append(row)
    table = Table("features" in options.inputs)
    # Seeds in the outer loop: stopped at any time, all predictors have seen the same splits.
    for seed in range(options.seeds):
        for size in options.sizes:
            for name in options.names:
                for inputs in options.inputs:
                    rows = known.setdefault((name, inputs, size), [])
                    if any(row["seed"] == seed for row in rows):
                        continue
                    found = one_split(table, name, inputs == "features", size, seed)
                    rows.append({"predictor": name, "inputs": inputs, "n": size, "seed": seed, **found})
                    with RESULTS.open("a") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
                    print(said((name, inputs, size), rows), flush=True)
    print("\nAll:")
    for key, rows in sorted(known.items()):
        if rows:
            print(said(key, rows))


if __name__ == "__main__":
    main()
