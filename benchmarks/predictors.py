"""Predictors on tables of architectures: the same splits for all, in one run that goes on where it was stopped.

    NETLOOM_DATA=/path/to/data python -m benchmarks.predictors [--tables nb201 nbgraph …] [--seeds 30] [--limit-seconds 3000]
    NETLOOM_DATA=/path/to/data python -m benchmarks.predictors --speed      fit + predict of 15,000 graphs at n = 100
    NETLOOM_DATA=/path/to/data python -m benchmarks.predictors --thousand   1,000 labels for every predictor, 100,000 graphs

Prints for each table and size of the training set Kendall's τ: mean, standard deviation over seeds, and the lower end of the
mean's 95 % interval; R²; τ without graphs whose isomorphic twin was trained on; precision among the best 1 %; the root mean
square of errors in predicted standard deviations (1 is calibrated); CPU seconds of fit and of prediction. Ensemble is the
default; GaussianProcess and Trees are its own, so that each is fitted once; ``neural`` is the share that its neural predictor
has, 0 where none joined. Splits are kept in ``results/predictors.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import netloom as nl
from benchmarks import predictor_tables
from benchmarks.predictor_tables import TABLES
from netloom.predict.gaussian_process import VIEWS
from netloom.predict.predictor import Batch
from netloom.predict.targets import Targets

RESULTS = Path(__file__).parent / "results" / "predictors.jsonl"
#: Name → table, column of scores, sizes of the training set, graphs held out (0: all the rest; −5: five folds).
SPLITS = {
    "nb201": ("nb201", "c10_test200", (50, 100, 400), 2000),
    "arxiv": ("nbgraph", "arxiv", (100,), 3000),
    "cs": ("nbgraph", "cs", (100,), 3000),
    "convnets": ("convnets", "val_accuracy", (640,), -5),
    "nb201-cifar100": ("nb201", "c100_test200", (100,), 2000),
    "nb201-imagenet16": ("nb201", "in16_test200", (100,), 2000),
    "nb201-rest": ("nb201", "c10_test200", (156, 781, 1563), 0),
}
SHOWN = ("tau", "r2", "strict", "precision", "calibration", "fit_seconds", "predict_seconds", "neural")


class Encodings:
    """All graphs of a table, encoded once; a predictor is given the rows that it is to see."""

    def __init__(self, graphs: list[Any]) -> None:
        self.graphs = graphs
        self.all = Batch(graphs).encoded

    def batch(self, rows: Any) -> Batch:
        batch = Batch([self.graphs[i] for i in rows])
        batch.__dict__["encoded"] = self.all.some(rows)
        return batch


def one_split(encodings: Encodings, scores: Any, train: Any, test: Any, classes: Any, seed: int) -> dict[str, Any]:
    """What the default and its members come to. Encodings are shared, so fit and prediction go below the public calls."""
    predictor = nl.predict.Ensemble()
    targets = Targets.of(scores[train])
    begun = time.process_time()
    predictor._targets = targets
    predictor._fit(encodings.batch(train), targets.scaled(scores[train]), np.random.default_rng(seed))
    fitted = time.process_time()
    batch = encodings.batch(test)
    mean, deviation = predictor._predict(batch, True)
    seconds = {"fit_seconds": fitted - begun, "predict_seconds": time.process_time() - fitted}
    neural = sum(predictor._shares()[len(VIEWS) + 1 :])
    strict = ~np.isin(classes[test], classes[train])
    found = {"Ensemble": measured(mean, deviation, targets, scores[test], strict) | seconds | {"neural": neural}}
    for name, member in (("GaussianProcess", predictor.members[0]), ("Trees", predictor.members[len(VIEWS)])):
        found[name] = measured(*member._predict(batch, True), targets, scores[test], strict)
    return found


def measured(mean: Any, deviation: Any, targets: Targets, scores: Any, strict: Any) -> dict[str, float]:
    return {
        "tau": nl.predict.kendall_tau(mean, scores),
        "r2": nl.predict.r2(targets.scores(mean), scores),
        "strict": nl.predict.kendall_tau(mean[strict], scores[strict]),
        "precision": nl.predict.precision_at(mean, scores),
        "calibration": float(np.sqrt(np.mean(((targets.scaled(scores) - mean) / deviation) ** 2))),
    }


def divided(seed: int, count: int, size: int, held_out: int) -> tuple[Any, Any]:
    """Rows to learn from and rows to predict; for folds, seed 5 k + i is fold i of the k-th order."""
    if held_out < 0:
        order = np.random.default_rng(seed // -held_out).permutation(count)
        test = order[seed % -held_out :: -held_out]
        return np.setdiff1d(order, test), test
    order = np.random.default_rng(seed).permutation(count)
    return order[:size], order[-held_out:] if held_out else order[size:]


def summary(name: str, size: int, rows: list[dict[str, Any]]) -> None:
    for predictor in rows[0]["results"]:
        each = [row["results"][predictor] for row in rows]
        mean = {key: float(np.mean([row[key] for row in each])) for key in SHOWN if key in each[0]}
        spread = float(np.std([row["tau"] for row in each], ddof=1)) if len(each) > 1 else float("nan")
        lower = mean["tau"] - 1.96 * spread / len(each) ** 0.5
        seconds = f", fit {mean['fit_seconds']:.2f} s, predict {mean['predict_seconds']:.2f} s" if "fit_seconds" in mean else ""
        print(
            f"{name} n={size} {predictor}, {len(each)} splits: τ {mean['tau']:.4f} ± {spread:.4f} (≥ {lower:.4f}), "
            f"R² {mean['r2']:.3f}, strict {mean['strict']:.3f}, top 1 % {mean['precision']:.2f}, "
            f"calibration {mean['calibration']:.2f}{seconds}"
            + (f", neural share {mean['neural']:.2f}" if "neural" in mean else ""),
            flush=True,
        )


def speed() -> None:
    """CPU seconds of the public calls, encoding included, on graphs that nothing was worked out of before."""
    nl.predict.Ensemble().fit(*_fresh(100))  # what is imported once
    graphs, values = _fresh(15_000)
    begun = time.process_time()
    predictor = nl.predict.Ensemble().fit(graphs[:100], values[:100])
    fitted = time.process_time()
    predictor.predict(graphs)
    done = time.process_time()
    print(f"n = 100: fit {fitted - begun:.2f} s, predict 15,000 graphs {done - fitted:.2f} s, in all {done - begun:.2f} s")


def thousand() -> None:
    """CPU seconds of the public calls with 1,000 labels, one thread, encoding included, on graphs just made."""
    torch.set_num_threads(1)
    task = nl.tasks.load("digits")
    makers: dict[str, Any] = {
        "Ensemble": nl.predict.Ensemble,
        "GaussianProcess": nl.predict.GaussianProcess,
        "Trees": nl.predict.Trees,
        "NeuralPredictor": nl.predict.NeuralPredictor,
        "TokenTransformer": nl.predict.TokenTransformer,
        "LSTM": nl.predict.LSTM,
        "ProxyRank": lambda: nl.predict.ProxyRank(batch=task),
    }
    spaces: dict[str, Any] = {
        "NAS-Bench-201": lambda: _fresh(3_000),
        "Conv": lambda: _sampled(nl.spaces.Conv(task.input_shape, 10, max_macs=150_000), 3_000),
    }
    for space, made in spaces.items():
        for name, maker in makers.items():
            if name == "ProxyRank" and space != "Conv":  # cells for images of another size
                continue
            graphs, values = made()
            begun = time.process_time()
            predictor = maker().fit(graphs[:1_000], values[:1_000])
            fitted = time.process_time()
            predictor.predict(graphs[1_000:])
            done = time.process_time()
            tau = predictor.score(graphs[1_000:], values[1_000:])["kendall_tau"]
            print(
                f"{space}, {name}: fit of 1,000 {fitted - begun:.1f} s, 2,000 others predicted in {done - fitted:.1f} s, "
                f"τ {tau:.3f}",
                flush=True,
            )
    rng, epochs = np.random.default_rng(0), np.arange(1, 51)
    curves = [c - a * epochs**-0.6 for c, a in rng.uniform(0.3, 0.9, (1_000, 2))]
    begun = time.process_time()
    nl.predict.CurveExtrapolator().fit(curves)
    print(f"CurveExtrapolator: fit of 1,000 curves of 50 epochs {time.process_time() - begun:.2f} s", flush=True)
    graphs, values = _sampled(nl.spaces.Conv((3, 32, 32), 10, max_macs=5_000_000), 101_000)
    begun = time.process_time()
    predictor = nl.predict.Ensemble().fit(graphs[:1_000], values[:1_000])
    fitted = time.process_time()
    predictor.predict(graphs[1_000:])
    done = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"Conv, Ensemble: fit of 1,000 {fitted - begun:.1f} s, 100,000 in {done - fitted:.1f} s, {peak:.1f} GiB at most")


def _sampled(space: Any, count: int) -> tuple[list[Any], Any]:
    """Graphs as they are sampled, and scores that need nothing worked out of them."""
    rng = np.random.default_rng(0)
    graphs = [space.sample(rng) for _ in range(count)]
    return graphs, np.log([len(graph.steps) for graph in graphs]) + rng.normal(0, 0.1, count)


def _fresh(count: int) -> tuple[list[Any], Any]:
    """Random cells of NAS-Bench-201, nothing worked out of them, and their scores."""
    table, space = predictor_tables.read("nb201.parquet"), nl.spaces.NASBench201()
    rows = np.random.default_rng(0).permutation(len(table))[:count]
    return [space.from_string(table.cellstr[i]) for i in rows], table.c10_test200.to_numpy(dtype=np.float64)[rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="*", default=list(SPLITS))
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--limit-seconds", type=float, default=float("inf"), help="begin no split later than this")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--thousand", action="store_true")
    options = parser.parse_args()
    if options.speed:
        return speed()
    if options.thousand:
        return thousand()
    begun = time.monotonic()
    known = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    done = {(row["table"], row["n"], row["seed"]): row for row in known}
    tables: dict[str, Any] = {}
    for name in options.tables:
        table, column, sizes, held_out = SPLITS[name]
        for size in sizes:
            for seed in range(options.seeds):
                if (name, size, seed) in done or time.monotonic() - begun > options.limit_seconds:
                    continue
                if table not in tables:
                    read = TABLES[table]()
                    tables[table] = (read, Encodings(read.graphs))
                read, encodings = tables[table]
                train, test = divided(seed, len(read.graphs), size, held_out)
                results = one_split(encodings, read.scores[column], train, test, read.classes, seed)
                row = done[name, size, seed] = {"table": name, "n": size, "seed": seed, "results": results}
                with RESULTS.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            rows = [row for (of, n, seed), row in done.items() if (of, n) == (name, size) and seed < options.seeds]
            if rows:
                summary(name, size, rows)
    return None


if __name__ == "__main__":
    main()
