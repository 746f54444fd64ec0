"""Strategies on NAS-Bench-201: what they find with so many queries, and how many they need.

    export NETLOOM_DATA=/path/to/data OMP_NUM_THREADS=1
    python -m benchmarks.search_nb201 [--seeds 10] [--strategies random evolution …]
    python -m benchmarks.search_nb201 --regret [--seeds 100] [--strategies predictor]
    python -m benchmarks.search_nb201 --halving
    python -m benchmarks.search_nb201 --svg docs/images/search_nb201.svg

*Queries*: a strategy sees the 12-epoch validation accuracy on CIFAR-10 (the table's own); what is reported is the 200-epoch
test accuracy of the cell with the best validation accuracy so far, mean over seeds. *Halving* has no lower fidelity in the
table: it is run on two, 12 epochs as above and 200 epochs (the test accuracy with normal noise of 0.2 points, fixed for a cell
and a seed, in the stead of a validation accuracy that the table has not), against random search that trains every cell for 200
epochs, at equal epochs. *Regret*: evaluations until a cell within 0.1 points of the best 200-epoch test accuracy was tried,
where the strategy sees that accuracy itself, or with normal noise of 0.2 points. ``--cells 1`` has one cell a stage instead of
five, which is faster; the table's numbers are the same. Results go to results/search_nb201.jsonl, one line a run; what is there
is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import netloom as nl
from netloom.predict import predictor as predictors
from netloom.searching import simulate
from netloom.training import Recipe

RESULTS = Path(__file__).parent / "results" / "search_nb201.jsonl"
#: Label → strategy. Populations are those of the published runs on tables: 50 with samples of 10.
STRATEGIES = {
    "random": "random",
    "evolution": "evolution?population=50&sample=10&initial=50&fresh=0",
    "evolution, default": "evolution",
    "genetic": "genetic",
    "local": "local",
    "bandit": "bandit?population=50&sample=10",
    "nsga2": "nsga2",
    "guided": "guided?predictor=GaussianProcess",
    "filtered": "filtered?predictor=GaussianProcess",
    "predictor": "predictor?predictor=GaussianProcess",
    "predictor, Ensemble": "predictor",
    "generator": "generator?predictor=GaussianProcess",
}
HALVING = {
    "random, 200 epochs": "random",
    "successive-halving": "successive-halving?candidates=256&reduction=16&min_epochs=12&max_epochs=200",
    "asha": "asha?reduction=16&min_epochs=12&max_epochs=200",
    "hyperband": "hyperband?reduction=16&min_epochs=12&max_epochs=200",
}
QUERIES = (100, 200, 500)
EPOCHS = (10_000, 20_000, 40_000)
BEST, NOISE = 94.3733, 0.2


# -- the table -----------------------------------------------------------------------------------------------------------
class Cells(nl.spaces.NASBench201):
    """The space, with every network made once, and known by its hash."""

    def _network(self, cell: Any, dead: bool = True) -> Any:
        return made(self.N, cell)

    def to_string(self, graph: Any) -> str:
        return str(table()[0].cellstr[row_of(graph)])


@cache
def made(cells: int, cell: Any) -> Any:
    """The network of a cell."""
    return nl.spaces.NASBench201(N=cells)._network(cell)


@cache
def table() -> tuple[Any, dict[str, int]]:
    """The table, and the row of every network by its hash: of cells with one network the first."""
    import pandas as pd

    frame = pd.read_parquet(Path(os.environ["NETLOOM_DATA"]) / "nb201.parquet")
    kept = Path(tempfile.gettempdir()) / f"netloom-nb201-hashes-{SPACE.N}.json"
    if not kept.exists():
        kept.write_text(json.dumps([SPACE.from_string(cell).hash for cell in frame.cellstr]))
    rows: dict[str, int] = {}
    for row, hash in enumerate(json.loads(kept.read_text())):
        rows.setdefault(hash, row)
    return frame, rows


SPACE = Cells()


def row_of(graph: Any) -> int:
    return table()[1][graph.hash]


def column(name: str) -> Any:
    return table()[0][name].to_numpy(dtype=np.float64)


class Encodings:
    """`encoded` of `netloom.predict`, which works out every graph once."""

    def __init__(self) -> None:
        self.whole: Any = None
        self.rows: dict[str, int] = {}
        self.original = predictors.encoded

    def __call__(self, graphs: Any) -> Any:
        if self.whole is None:  # all cells at once: one encoding of which rows are taken
            every = {graph.hash: graph for graph in map(SPACE.from_string, table()[0].cellstr)}
            self.rows = {hash: row for row, hash in enumerate(every)}
            self.whole = self.original(list(every.values()))
        return self.whole.some(np.array([self.rows[graph.hash] for graph in graphs], dtype=int))


# -- runs ----------------------------------------------------------------------------------------------------------------
def queries_run(strategy: str, seed: int) -> dict[str, Any]:
    seen, truth = column("c10_val12"), column("c10_test200")
    results = simulate(SPACE, lambda graph: seen[row_of(graph)], strategy, max(QUERIES), seed=seed)
    rows = np.array([row_of(result.graph) for result in results])
    best = np.maximum.accumulate(seen[rows])
    # The incumbent changes where the validation accuracy is beaten.
    incumbent = np.array([rows[int(np.argmax(seen[rows[: i + 1]]))] for i in range(len(rows))])
    curve = [float(truth[row]) for row in incumbent]
    return {"curve": [round(value, 3) for value in curve], "valid": round(float(best[-1]), 3)}


def halving_run(strategy: str, seed: int) -> dict[str, Any]:
    first, truth = column("c10_val12"), column("c10_test200")
    last = truth + np.random.default_rng([seed, 7]).normal(0, NOISE, len(truth))

    def score(graph: Any, epochs: int | None) -> float:
        return (first if epochs == 12 else last)[row_of(graph)]

    results = simulate(SPACE, score, strategy, max(EPOCHS) // 12, seed=seed, fidelity=True, recipe=Recipe(epochs=200))
    used, top, found = 0, -np.inf, {}
    chosen = 0.0
    for result in results:
        epochs = result.epochs or 200
        for limit in EPOCHS:
            if used <= limit < used + epochs:
                found[str(limit)] = chosen
        used += epochs
        if epochs == 200 and (result.score or 0.0) > top:
            top, chosen = float(result.score or 0.0), float(truth[row_of(result.graph)])
    for limit in EPOCHS:
        found.setdefault(str(limit), chosen)
    return {"after": found}


def regret_run(strategy: str, seed: int, noise: float) -> dict[str, Any]:
    truth = column("c10_test200")
    seen = truth + np.random.default_rng([seed, 7]).normal(0, noise, len(truth)) if noise else truth
    count = iter(range(1, 10**6))

    def score(graph: Any) -> float:
        row, number = row_of(graph), next(count)
        if truth[row] >= BEST - 0.1:
            raise Found(number)
        return seen[row]

    try:
        simulate(SPACE, score, strategy, 500, seed=seed)
    except Found as found:
        return {"needed": found.args[0]}
    return {"needed": 500}


class Found(Exception):
    """A cell that is good enough was tried."""


# -- reports -------------------------------------------------------------------------------------------------------------
def known() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def report() -> None:
    runs = known()
    print("| strategy | runs | " + " | ".join(f"{n} queries" for n in QUERIES) + " | CPU s a run |\n|---|---|" + "---|" * 4)
    for label in dict.fromkeys(run["label"] for run in runs if run["kind"] == "queries"):
        mine = [run for run in runs if run["kind"] == "queries" and run["label"] == label]
        curves = np.array([run["curve"] for run in mine])
        cells = [f"{curves[:, n - 1].mean():.2f} ± {curves[:, n - 1].std(ddof=1):.2f}" for n in QUERIES]
        print(f"| {label} | {len(mine)} | {' | '.join(cells)} | {np.median([run['seconds'] for run in mine]):.1f} |")
    print("\n| strategy | runs | " + " | ".join(f"{n:,} epochs" for n in EPOCHS) + " |\n|---|---|" + "---|" * 3)
    for label in HALVING:
        mine = [run for run in runs if run["kind"] == "halving" and run["label"] == label]
        if len(mine) > 1:
            values = np.array([[run["after"][str(limit)] for limit in EPOCHS] for run in mine])
            cells = [f"{mean:.2f} ± {sd:.2f}" for mean, sd in zip(values.mean(0), values.std(0, ddof=1))]
            print(f"| {label} | {len(mine)} | {' | '.join(cells)} |")
    print("\n| strategy | noise | runs | mean evaluations to regret ≤ 0.1 | median | CPU s a run |\n|---|---|---|---|---|---|")
    for label, noise in dict.fromkeys((run["label"], run["noise"]) for run in runs if run["kind"] == "regret"):
        mine = [run for run in runs if run["kind"] == "regret" and (run["label"], run["noise"]) == (label, noise)]
        needed = np.array([run["needed"] for run in mine], dtype=float)
        error = needed.std(ddof=1) / len(needed) ** 0.5 if len(needed) > 1 else float("nan")
        seconds = np.median([run["seconds"] for run in mine])
        shown = f"{needed.mean():.1f} ± {error:.1f} | {np.median(needed):g} | {seconds:.1f}"
        print(f"| {label} | {noise:g} | {len(mine)} | {shown} |")


def draw(path: str) -> None:
    """Curves with bands of one standard error, as SVG."""
    from benchmarks.search_drawing import curves_svg

    found: dict[str, list[list[float]]] = {}
    for run in known():
        if run["kind"] == "queries":
            found.setdefault(run["label"], []).append(run["curve"])
    Path(path).write_text(curves_svg({label: np.array(curves) for label, curves in found.items()}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", nargs="*")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--cells", type=int, default=5, help="cells a stage; 5 as in the benchmark")
    parser.add_argument("--regret", action="store_true")
    parser.add_argument("--halving", action="store_true")
    parser.add_argument("--noise", nargs="*", type=float, default=[0.0, NOISE])
    parser.add_argument("--print", action="store_true")
    parser.add_argument("--svg")
    options = parser.parse_args()
    if options.svg:
        draw(options.svg)
    if options.print or options.svg:
        report()
        return
    global SPACE
    SPACE = Cells(N=options.cells)
    predictors.encoded = Encodings()  # type: ignore[assignment]
    kind = "regret" if options.regret else "halving" if options.halving else "queries"
    names = options.strategies or (["predictor"] if options.regret else list(HALVING if options.halving else STRATEGIES))
    done = {(run["kind"], run["label"], run["seed"], run.get("noise")) for run in known()}
    for seed in range(options.first, options.first + options.seeds):
        for label in names:
            for noise in options.noise if options.regret else [None]:
                if (kind, label, seed, noise) in done:
                    continue
                strategy = {**STRATEGIES, **HALVING}.get(label, label)
                began = time.process_time()
                if kind == "regret":
                    found = regret_run(strategy, seed, float(noise or 0.0))
                else:
                    found = (halving_run if kind == "halving" else queries_run)(strategy, seed)
                record = {"kind": kind, "label": label, "seed": seed, "noise": noise, "cells": options.cells, **found}
                record["seconds"] = round(time.process_time() - began, 2)
                with RESULTS.open("a") as file:
                    file.write(json.dumps(record) + "\n")
                shown = found.get("needed") or found.get("after") or found["curve"][-1]
                print(f"{kind} {label}, seed {seed}, noise {noise}: {shown} in {record['seconds']} CPU s", flush=True)


if __name__ == "__main__":
    main()
