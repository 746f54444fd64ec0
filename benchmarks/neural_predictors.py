"""The neural predictors on the tables of `benchmarks.predictors`: the same splits, one line of results for each fit.

    NETLOOM_DATA=DIR python -m benchmarks.neural_predictors [--tables nb201 …] [--seeds 30] [--names NeuralPredictor …]

Each predictor is fitted on the graph alone (``graph``) and with named features beside it (``features``, the default). Of
NAS-Bench-201 with 100 labels only, unless `--sizes` names others. Fits that `results/neural_predictors.jsonl` has are not
repeated: stop it when you like. Prints Kendall's τ (mean, standard deviation over seeds, lower end of the mean's 95 %
interval), R², τ without graphs whose isomorphic twin was trained on, precision among the best 1 %, root mean square of errors
in predicted standard deviations (1 is calibrated), and CPU seconds of one thread for fit and prediction, graphs read before.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

import netloom as nl
from benchmarks.predictor_tables import TABLES
from benchmarks.predictors import SPLITS, divided, measured
from netloom.predict import graph_reading
from netloom.predict.call_graphs import call_graphs
from netloom.predict.predictor import Batch
from netloom.predict.targets import Targets

RESULTS = Path(__file__).parent / "results" / "neural_predictors.jsonl"
NAMES = ("NeuralPredictor", "TokenTransformer", "LSTM")


class Read:
    """A table's graphs, read once for the neural predictors; one is given the rows that it is to see."""

    def __init__(self, name: str, features: bool) -> None:
        table, column, self.sizes, self.held_out = SPLITS[name]
        read = TABLES[table]()
        self.graphs, self.scores, self.classes = read.graphs, read.scores[column], read.classes
        self.fold = graph_reading.fold_for(self.graphs)
        self.calls = call_graphs(self.graphs, self.fold)
        self.encoded = Batch(self.graphs).encoded if features else None

    def batch(self, rows: Any) -> Batch:
        batch = Batch([self.graphs[i] for i in rows])
        batch.__dict__["call_graphs"] = {self.fold: self.calls[rows]}
        if self.encoded is not None:
            batch.__dict__["encoded"] = self.encoded.some(rows)
        return batch


def one_split(read: Read, name: str, features: bool, size: int, seed: int) -> dict[str, Any]:
    """What one fit comes to."""
    train, test = divided(seed, len(read.graphs), size, read.held_out)
    options: dict[str, Any] = {"rows": "calls"} if name == "LSTM" else {}
    predictor = getattr(nl.predict, name)(features=features, **options)
    targets = Targets.of(read.scores[train])
    started = time.process_time()
    predictor._targets = targets
    predictor._fit(read.batch(train), targets.scaled(read.scores[train]), np.random.default_rng(seed))
    fitted = time.process_time()
    mean, deviation = predictor._predict(read.batch(test), True)
    done = time.process_time()
    strict = ~np.isin(read.classes[test], read.classes[train])
    found = measured(mean, deviation, targets, read.scores[test], strict)
    return found | {"fit_seconds": fitted - started, "predict_seconds": done - fitted}


def said(key: tuple[str, str, str, int], rows: list[dict[str, Any]]) -> str:
    """One line about all seeds of a predictor."""
    measured_in_all = [field for field in rows[-1] if isinstance(rows[-1][field], float) and all(field in row for row in rows)]
    mean = {field: float(np.mean([row[field] for row in rows])) for field in measured_in_all}
    spread = float(np.std([row["tau"] for row in rows], ddof=1)) if len(rows) > 1 else float("nan")
    return (
        f"{key[0]}, {key[1]} ({key[2]}), {key[3]} labels, {len(rows)} seeds: τ {mean['tau']:.4f} ± {spread:.4f} "
        f"(≥ {mean['tau'] - 1.96 * spread / len(rows) ** 0.5:.4f}), strict {mean['strict']:.3f}, "
        f"top 1 % {mean['precision']:.2f}, calibration {mean['calibration']:.2f}, "
        f"fit {mean['fit_seconds']:.1f} s, predict {mean['predict_seconds']:.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="*", default=list(NAMES), choices=NAMES)
    parser.add_argument("--tables", nargs="*", default=["nb201"], choices=list(SPLITS))
    parser.add_argument("--sizes", nargs="*", type=int, help="default: 100, or the table's only size")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--inputs", nargs="*", default=["graph", "features"], choices=["graph", "features"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    known: dict[tuple[str, str, str, int], list[dict[str, Any]]] = {}
    for line in RESULTS.read_text().splitlines() if RESULTS.exists() else []:
        row = json.loads(line)
        known.setdefault((row["table"], row["predictor"], row["inputs"], row["n"]), []).append(row)
    for table in options.tables:
        read = Read(table, "features" in options.inputs)
        sizes = options.sizes or ([100] if 100 in read.sizes else read.sizes)
        # Seeds in the outer loop: stopped at any time, all predictors have seen the same splits.
        for seed, size, name, inputs in product(range(options.seeds), sizes, options.names, options.inputs):
            rows = known.setdefault((table, name, inputs, size), [])
            if any(row["seed"] == seed for row in rows):
                continue
            found = one_split(read, name, inputs == "features", size, seed)
            rows.append({"table": table, "predictor": name, "inputs": inputs, "n": size, "seed": seed, **found})
            with RESULTS.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(said((table, name, inputs, size), rows), flush=True)
    print("\nAll:")
    for key, rows in sorted(known.items()):
        if rows:
            print(said(key, rows))


if __name__ == "__main__":
    main()
