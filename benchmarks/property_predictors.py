"""How well four properties of DeepNets-1M networks are predicted: Kendall's τ on the table that `benchmarks.properties` makes.

    OMP_NUM_THREADS=1 python -m benchmarks.property_predictors [TABLE.parquet] [--ghn FILE] [--predictors Trees …]

Five splits (seeds 0 to 4), half of the networks learned from and half predicted, the same for all. ``GHN embeddings`` is the
recipe of Knyazev et al., NeurIPS 2021: a support vector regression on the mean state of a network's nodes, its C, gamma and
epsilon by a 5-fold search. Compared with: the number of parameters (up or down, as the learned half says), and accuracy with
parameters that ``--ghn`` predicts, where it was trained on CIFAR-10. Prints mean τ over the splits and a 95 % interval of the
mean (Student's t), then per property whether TokenTransformer beats NeuralPredictor, from paired differences.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

import netloom as nl
from benchmarks.properties import OUT, PROPERTIES
from netloom.predict import kendall_tau
from netloom.spaces.deepnets import DeepNets1M

SPLITS = 5
PREDICTORS = ("Ensemble", "Trees", "GaussianProcess", "NeuralPredictor", "TokenTransformer", "LSTM")
EMBEDDED, PARAMS, FILLED = "GHN embeddings", "number of parameters", "GHN-predicted accuracy"
_GRID = {
    "C": [1, 10, 50, 100, 200, 500, 1000], "gamma": ["auto", 0.05, 0.1, 0.2, 0.5], "epsilon": [0.05, 0.1, 0.2],
}  # fmt: skip


def main() -> None:
    import pandas as pd
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?", type=Path, default=OUT)
    parser.add_argument("--ghn", help="a hypernetwork: its embeddings, and its predicted accuracies")
    parser.add_argument("--predictors", nargs="*", default=list(PREDICTORS))
    parser.add_argument("--splits", type=int, default=SPLITS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    frame = pd.read_parquet(given.table)
    frame = frame[frame["status"] == "ok"].reset_index(drop=True)
    graphs = [DeepNets1M.described(text) for text in frame["architecture"]]
    assert all(graph.hash == hash for graph, hash in zip(graphs, frame["hash"]))
    print(f"{len(graphs)} networks, {given.table}, {given.splits} splits")
    found: dict[tuple[str, str], list[float]] = {}
    for name, method in methods(graphs, given.ghn, given.predictors).items():
        begin = time.process_time()
        for label in PROPERTIES:
            scores = frame[label].to_numpy(dtype=float)
            found[name, label] = [_tau(method, scores, seed) for seed in range(given.splits)]
        shown = "  ".join(f"{label} {interval(found[name, label])}" for label in PROPERTIES)
        print(f"{name:<24} {shown}  {time.process_time() - begin:.0f} CPU s", flush=True)
    if {"TokenTransformer", "NeuralPredictor"} <= set(given.predictors):
        for label in PROPERTIES:
            pairs = zip(found["TokenTransformer", label], found["NeuralPredictor", label])
            print(f"TokenTransformer − NeuralPredictor, {label}: {interval([a - b for a, b in pairs])}")


Method = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]


def methods(graphs: Sequence[nl.Graph], ghn: str | None, predictors: Sequence[str]) -> dict[str, Method]:
    """Name → (rows learned from, their scores, rows to predict, seed) → predictions."""
    params = np.array([float(graph.num_params) for graph in graphs])
    found: dict[str, Method] = {PARAMS: lambda known, scores, asked, seed: params[asked] * _sign(params[known], scores)}
    if ghn is not None:
        hypernetwork = nl.ghn.load(ghn)
        embeddings = nl.ghn.embed(hypernetwork, list(graphs)).numpy()
        found[EMBEDDED] = lambda known, scores, asked, seed: _regressed(embeddings[known], scores, embeddings[asked], seed)
        filled = _filled(hypernetwork, graphs)
        if filled is not None:
            found[FILLED] = lambda known, scores, asked, seed: filled[asked] * _sign(filled[known], scores)
    return found | {name: _predictor(name, graphs) for name in predictors}


def _sign(values: np.ndarray, scores: np.ndarray) -> float:
    return 1.0 if kendall_tau(values, scores) >= 0 else -1.0


def _predictor(name: str, graphs: Sequence[nl.Graph]) -> Method:
    def run(known: np.ndarray, scores: np.ndarray, asked: np.ndarray, seed: int) -> np.ndarray:
        kind = getattr(nl.predict, name)
        made = kind(seed=seed) if "seed" in signature(kind).parameters else kind()
        made.fit([graphs[row] for row in known], scores)
        return np.asarray(made.predict([graphs[row] for row in asked]))

    return run


def _regressed(x: np.ndarray, y: np.ndarray, asked: np.ndarray, seed: int) -> np.ndarray:
    """The paper's regression; targets are scaled, for epsilon is a number in their units."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVR

    order = np.random.default_rng(seed).permutation(len(x))
    middle, spread = y.mean(), y.std() or 1.0
    search = GridSearchCV(SVR(kernel="rbf"), _GRID, cv=5, scoring="neg_mean_squared_error")
    search.fit(x[order], (y[order] - middle) / spread)
    return np.asarray(search.predict(asked)) * spread + middle


def _filled(hypernetwork: Any, graphs: Sequence[nl.Graph]) -> np.ndarray | None:
    import os

    shape = tuple(graphs[0].inputs[0].shape[1:])
    if hypernetwork.config.num_classes != 10 or "cifar10" not in str(hypernetwork.about.get("task")):
        return None
    task = nl.tasks.load(f"cifar10:{os.environ['NETLOOM_DATA']}?size={shape[-1]}&valid=1000")
    return np.array(nl.ghn.evaluate(hypernetwork, graphs, task).top1)


def _tau(method: Method, scores: np.ndarray, seed: int) -> float:
    order = np.random.default_rng((17, seed)).permutation(len(scores))
    known, asked = order[: len(order) // 2], order[len(order) // 2 :]
    predicted = method(known, scores[known], asked, seed)
    return kendall_tau(predicted, scores[asked])


def interval(values: Sequence[float]) -> str:
    """Mean with the 95 % interval of it."""
    from scipy.stats import t

    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:+.3f}"
    half = float(t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"


if __name__ == "__main__":
    main()
