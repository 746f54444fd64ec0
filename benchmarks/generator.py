"""The generator on NAS-Bench-201: how good its first 100 new networks are, against other ways to come by the next 100.

    export NETLOOM_DATA=/path/to/data OMP_NUM_THREADS=1
    python -m benchmarks.generator [--seeds 5] [--sizes 100 400] [--cells 1]
    python -m benchmarks.generator --print

Each way has the same number of labels (200-epoch test accuracy on CIFAR-10): random cells, or those that evolution asked for
first. *Random* and *random, screened* are new random cells, the latter the 100 best of 400 by the default predictor on the
same labels; *evolution* goes on for 100; *generator* writes 100 new ones: with its predictor choosing among 8 for each (the
default), without that choice (``screen=1``), and without a predictor at all. Reported is the mean true accuracy of the 100, and
the best. Results go to results/generator.jsonl, one line for each seed and number of labels; what is there is not run again.
``--cells 1`` has one cell a stage instead of five, which is faster; the table's numbers are the same.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import netloom as nl
from benchmarks import search_nb201 as cells
from netloom.searching import simulate

RESULTS = Path(__file__).parent / "results" / "generator.jsonl"
COUNT = 100
NAMES = {
    "random": "random", "screened": "random, screened", "evolution": "evolution", "alone": "generator, no predictor",
    "unscreened": "generator, screen=1", "generator": "generator",
}  # fmt: skip


class Cells(cells.Cells):
    """The space of the table, in which a network's cell is looked up."""

    def some_string(self, graph: Any) -> str:
        return self.to_string(graph)


def run(size: int, seed: int, space: Any) -> dict[str, Any]:
    """Mean and best true accuracy of the 100 of each way, and CPU seconds of fit and sampling."""
    frame, truth = cells.table()[0], cells.column("c10_test200")
    order = np.random.default_rng(seed).permutation(len(truth))
    graphs = [space.from_string(cell) for cell in frame.cellstr[order[:size]]]
    scores, known = truth[order[:size]], {graph.hash for graph in graphs}
    found: dict[str, Any] = {}

    def said(name: str, chosen: Any) -> None:
        values = truth[[cells.row_of(graph) for graph in chosen]]
        found[name] = [round(float(values.mean()), 3), round(float(values.max()), 3)]

    new: dict[str, Any] = {}
    for row in order[size:]:
        graph = space.from_string(frame.cellstr[row])
        if graph.hash not in known:
            new.setdefault(graph.hash, graph)
        if len(new) == 4 * COUNT:
            break
    said("random", list(new.values())[:COUNT])
    evolved = simulate(space, lambda graph: truth[cells.row_of(graph)], cells.STRATEGIES["evolution"], size + COUNT, seed=seed)
    said("evolution", [result.graph for result in evolved[size:]])
    started = time.process_time()
    generator = nl.generate.TokenGenerator(space).fit(graphs, scores, seed=seed)
    fitted = time.process_time()
    said("generator", generator.sample(COUNT, seed=seed))
    found["seconds"] = [round(fitted - started, 1), round(time.process_time() - fitted, 1)]
    said("unscreened", generator.sample(COUNT, seed=seed, screen=1))
    ranked = generator.predict(list(new.values())).argsort()[::-1]
    said("screened", [list(new.values())[i] for i in ranked[:COUNT]])
    alone = nl.generate.TokenGenerator(space, predictor=None).fit(graphs, scores, seed=seed)
    said("alone", alone.sample(COUNT, seed=seed))
    return found


def known_runs() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def report() -> None:
    runs = known_runs()
    for size in sorted({run["size"] for run in runs}):
        mine = [run for run in runs if run["size"] == size]
        print(f"\n{size} labels, {len(mine)} seeds\n\n| the next {COUNT} by | mean accuracy | best |\n|---|---|---|")
        for name, label in NAMES.items():
            means, bests = np.array([run[name] for run in mine]).T
            error = means.std(ddof=1) / len(means) ** 0.5 if len(means) > 1 else float("nan")
            print(f"| {label} | {means.mean():.2f} ± {error:.2f} | {bests.mean():.2f} |")
        fit, sample = np.median([run["seconds"] for run in mine], axis=0)
        print(f"\nCPU seconds: fit {fit:.1f}, sample {sample:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sizes", nargs="*", type=int, default=[100, 400])
    parser.add_argument("--cells", type=int, default=5, help="cells a stage; 5 as in the benchmark")
    parser.add_argument("--print", action="store_true")
    options = parser.parse_args()
    if not options.print:
        space = cells.SPACE = Cells(N=options.cells)
        done = {(run["size"], run["seed"]) for run in known_runs()}
        for seed in range(options.seeds):
            for size in options.sizes:
                if (size, seed) in done:
                    continue
                found = {"size": size, "seed": seed, "cells": options.cells, **run(size, seed, space)}
                with RESULTS.open("a") as file:
                    file.write(json.dumps(found) + "\n")
                print(found, flush=True)
    report()


if __name__ == "__main__":
    main()
