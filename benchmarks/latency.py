"""Latency predicted operator by operator, on networks whose latency was measured but not learned from.

    OMP_NUM_THREADS=1 python -m benchmarks.latency [--train 120] [--test 80] [--batch 1] [--seed 0] [--max-seconds 0.15]

Networks are samples of `nl.spaces.Conv` (3×32×32) and `nl.spaces.NASBench201`; one predictor for each space, and one for both.
Times are medians of processor seconds of a call on one thread, which other jobs on the machine change less than wall time.
Every network of the test part is measured twice, the second time after all others: that bounds what a prediction can agree
with. Prints Kendall's τ, Spearman's ρ and the median relative error with the first measurement: of the second, of predictions
(with and without the correction), and of FLOPs and parameters scaled to the times. Measurements are kept in
``results/latency.jsonl``; a run that was stopped goes on there, and one on another machine measures anew.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import netloom as nl
from netloom.measure.machine import machine_name

RESULTS = Path(__file__).parent / "results" / "latency.jsonl"
SPACES = {
    "Conv": lambda: nl.spaces.Conv((3, 32, 32), 10, max_params=1_000_000),
    "NASBench201": lambda: nl.spaces.NASBench201(),
}


def sampled(space: Any, count: int, rng: np.random.Generator) -> list[Any]:
    """Different networks."""
    found: dict[str, Any] = {}
    while len(found) < count:
        graph = space.sample(rng)
        found.setdefault(graph.hash, graph)
    return list(found.values())


class Known:
    """Processor seconds of networks, measured once on each machine."""

    def __init__(self) -> None:
        lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
        self.times = {tuple(record[:4]): record[4] for record in map(json.loads, lines)}

    def __call__(self, graph: Any, batch: int, round: int, max_seconds: float) -> float:
        key = machine_name(), graph.hash, batch, round
        if key not in self.times:
            found = nl.measure.latency(graph, batch=batch, threads=1, max_seconds=max_seconds)
            self.times[key] = found.cpu_seconds
            with RESULTS.open("a") as file:
                print(json.dumps([*key, found.cpu_seconds]), file=file)
        return float(self.times[key])


def row(name: str, predicted: np.ndarray, measured: np.ndarray) -> None:
    from scipy.stats import kendalltau, spearmanr

    error = np.median(np.abs(predicted / measured - 1))
    tau, rho = kendalltau(predicted, measured)[0], spearmanr(predicted, measured)[0]
    print(f"  {name:44} {tau:7.3f} {rho:7.3f} {error:8.1%}", flush=True)


def scaled(cost: list[float], times: np.ndarray, to: list[float]) -> np.ndarray:
    """A cost turned into seconds by the straight line with the least relative errors."""
    x = np.column_stack([np.ones(len(cost)), cost])
    line = np.linalg.lstsq(x / times[:, None], np.ones(len(times)), rcond=None)[0]
    return np.maximum(np.column_stack([np.ones(len(to)), to]) @ line, 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=120)
    parser.add_argument("--test", type=int, default=80)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-seconds", type=float, default=0.15)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)

    known = Known()

    def measure(graphs: list[Any], round: int) -> np.ndarray:
        return np.array([known(graph, given.batch, round, given.max_seconds) for graph in graphs])

    print(f"{machine_name()}, 1 thread, batch {given.batch}; {given.train} networks to learn from, {given.test} to predict")
    parts, start = {}, time.process_time()
    for name, make in SPACES.items():
        graphs = sampled(make(), given.train + given.test, rng)
        # Noise comes in spells: a random order keeps it from telling the parts apart.
        order = rng.permutation(len(graphs))
        times = np.empty(len(graphs))
        times[order] = measure([graphs[i] for i in order], 0)
        parts[name] = graphs[: given.train], times[: given.train], graphs[given.train :], times[given.train :]
    again = {name: measure(test, 1) for name, (_, _, test, _) in parts.items()}
    spent = time.process_time() - start
    both = nl.measure.LatencyPredictor(batch=given.batch).fit(
        [graph for train, *_ in parts.values() for graph in train], np.concatenate([times for _, times, *_ in parts.values()])
    )
    print(f"\n  {'':44} {'τ':>7} {'ρ':>7} {'error':>8}")
    for name, (train, times, test, measured) in parts.items():
        print(f"{name}: {times.min() * 1e3:.2f} to {times.max() * 1e3:.2f} ms")
        row("measured again", again[name], measured)
        for label, correct in (("predicted", True), ("predicted, additive part alone", False)):
            predictor = nl.measure.LatencyPredictor(batch=given.batch, correct=correct).fit(train, times)
            row(label, predictor.predict(test), measured)
        row("predicted by one for both spaces", both.predict(test), measured)
        few = nl.measure.LatencyPredictor(batch=given.batch).fit(train[:30], times[:30])
        row("predicted from 30 networks", few.predict(test), measured)
        for label, cost in (("FLOPs, scaled", "flops"), ("parameters, scaled", "num_params")):
            row(label, scaled([getattr(g, cost) for g in train], times, [getattr(g, cost) for g in test]), measured)
    start = time.process_time()
    graphs = [graph for _, _, test, _ in parts.values() for graph in test]
    both.predict(graphs)
    print(f"\n{spent:.0f} CPU seconds of measuring; {(time.process_time() - start) / len(graphs) * 1e3:.2f} ms a prediction")


if __name__ == "__main__":
    main()
