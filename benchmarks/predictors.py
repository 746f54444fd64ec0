"""Predictors on tabular benchmarks: the same splits for every method, in one run.

    NETLOOM_DATA=/path/to/data python -m benchmarks.predictors [--tables nb201 …] [--seeds 30] [--predictors Ensemble …]

Tables: ``nb201`` (NAS-Bench-201, CIFAR-10, 200-epoch test accuracy, 2,000 random cells held out), ``nb201-rest`` (all the rest
held out), ``nb201-cifar100``, ``nb201-imagenet16``. Prints Kendall's τ: mean, standard deviation over seeds, and the lower end
of the mean's 95 % interval; τ without cells whose isomorphic twin was trained on; precision among the best 1 %; the root mean
square of errors in predicted standard deviations (1 is calibrated); CPU seconds of fit and of prediction.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import netloom as nl
from netloom.predict.predictor import Batch
from netloom.predict.targets import Targets

RESULTS = Path(__file__).parent / "results" / "predictors.jsonl"
#: Table → column of scores, sizes of the training set, cells held out (0: all the rest).
TABLES = {
    "nb201": ("c10_test200", (50, 100, 400), 2000),
    "nb201-rest": ("c10_test200", (156, 781, 1563), 0),
    "nb201-cifar100": ("c100_test200", (100,), 2000),
    "nb201-imagenet16": ("in16_test200", (100,), 2000),
}


class Encodings:
    """All graphs of a table, encoded once; a predictor is given the rows that it is to see."""

    def __init__(self, graphs: list[Any]) -> None:
        self.graphs = graphs
        started = time.process_time()
        self.all = Batch(graphs).encoded
        self.seconds = time.process_time() - started

    def batch(self, rows: Any) -> Batch:
        batch = Batch([self.graphs[i] for i in rows])
        batch.__dict__["encoded"] = type(self.all)(self.all.features[rows], [self.all.paths[i] for i in rows])
        return batch


def one_split(make: Any, encodings: Encodings, scores: Any, train: Any, test: Any, classes: Any, seed: int) -> dict[str, Any]:
    """What one fit comes to. Encodings are shared between splits, so fit and prediction go below the public calls."""
    predictor = make()
    targets = Targets.of(scores[train])
    started = time.process_time()
    predictor._targets = targets
    predictor._fit(encodings.batch(train), targets.scaled(scores[train]), np.random.default_rng(seed))
    fitted = time.process_time()
    mean, deviation = predictor._predict(encodings.batch(test), True)
    done = time.process_time()
    strict = ~np.isin(classes[test], classes[train])
    truth = targets.scaled(scores[test])
    return {
        "tau": nl.predict.kendall_tau(mean, scores[test]),
        "strict": nl.predict.kendall_tau(mean[strict], scores[test][strict]),
        "precision": nl.predict.precision_at(mean, scores[test]),
        "calibration": float(np.sqrt(np.mean(((truth - mean) / deviation) ** 2))),
        "fit_seconds": fitted - started,
        "predict_seconds": done - fitted,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="*", default=list(TABLES))
    parser.add_argument("--predictors", nargs="*", default=["Ensemble", "GaussianProcess", "Trees"])
    parser.add_argument("--sizes", nargs="*", type=int, help="sizes of the training set instead of the table's own")
    parser.add_argument("--seeds", type=int, default=30)
    options = parser.parse_args()
    import pandas as pd

    table = pd.read_parquet(Path(os.environ["NETLOOM_DATA"]) / "nb201.parquet")
    space = nl.spaces.NASBench201()
    started = time.process_time()
    graphs = [space.from_string(cell) for cell in table.cellstr]
    print(f"{len(graphs)} graphs in {time.process_time() - started:.1f} s", end="; ")
    encodings = Encodings(graphs)
    print(f"encoded in {encodings.seconds:.1f} s", flush=True)
    for name in options.tables:
        column, sizes, held_out = TABLES[name]
        scores = table[column].to_numpy(dtype=np.float64)
        for size in options.sizes or sizes:
            for title in options.predictors:
                rows = []
                for seed in range(options.seeds):
                    order = np.random.default_rng(seed).permutation(len(table))
                    test = order[-held_out:] if held_out else order[size:]
                    rows.append(
                        one_split(
                            getattr(nl.predict, title), encodings, scores, order[:size], test, table.iso_class.to_numpy(), seed
                        )
                    )
                mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
                spread = float(np.std([row["tau"] for row in rows], ddof=1)) if len(rows) > 1 else float("nan")
                lower = mean["tau"] - 1.96 * spread / len(rows) ** 0.5
                record = {"table": name, "n": size, "predictor": title, "seeds": len(rows), "sd": spread, "lower": lower}
                print(
                    f"{name} n={size} {title}: τ {mean['tau']:.4f} ± {spread:.4f} (≥ {lower:.4f}), "
                    f"strict {mean['strict']:.3f}, top 1 % {mean['precision']:.2f}, calibration {mean['calibration']:.2f}, "
                    f"fit {mean['fit_seconds']:.2f} s, predict {mean['predict_seconds']:.2f} s",
                    flush=True,
                )
                with RESULTS.open("a") as file:
                    file.write(json.dumps({**record, **mean}) + "\n")


if __name__ == "__main__":
    main()
