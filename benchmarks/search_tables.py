"""`nl.Classifier` beside scikit-learn's HistGradientBoosting and MLPClassifier on eight data sets, test accuracy.

    python -m benchmarks.search_tables [--budget 5m] [--seeds 1] [--executor inprocess]

Data sets are embedded in scikit-learn or made by it. A third of each is the test part, the same for all.
The peers run as they are by default, and, so that they have had a choice too, as the best of a small grid by cross-validation.
Results go to benchmarks/results/search_tables.jsonl, one line for each data set and seed; what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import netloom as nl

RESULTS = Path(__file__).parent / "results" / "search_tables.jsonl"


def tables(seed: int) -> dict[str, tuple[Any, Any]]:
    """Name → X, y."""
    made = {"random_state": seed}
    return {
        "iris": datasets.load_iris(return_X_y=True),
        "wine": datasets.load_wine(return_X_y=True),
        "breast_cancer": datasets.load_breast_cancer(return_X_y=True),
        "digits": datasets.load_digits(return_X_y=True),
        "classification": datasets.make_classification(
            3000, 30, n_informative=12, n_redundant=6, n_classes=4, n_clusters_per_class=3, flip_y=0.02, **made
        ),
        "hastie": datasets.make_hastie_10_2(4000, **made),
        "quantiles": datasets.make_gaussian_quantiles(n_samples=3000, n_features=8, n_classes=4, **made),
        "moons": datasets.make_moons(2000, noise=0.25, **made),
    }


def peers() -> dict[str, Any]:
    """Name → classifier: as by default, and the best of a grid."""
    trees = HistGradientBoostingClassifier(random_state=0)
    net = make_pipeline(StandardScaler(), MLPClassifier(random_state=0))
    grid = {"learning_rate": [0.03, 0.1, 0.3], "max_leaf_nodes": [7, 31], "l2_regularization": [0.0, 1.0]}
    sizes = {"mlpclassifier__hidden_layer_sizes": [(64,), (256,), (128, 128)], "mlpclassifier__alpha": [1e-4, 1e-2, 1.0]}
    return {
        "HistGradientBoosting": trees,
        "HistGradientBoosting, grid": GridSearchCV(trees, grid, cv=3),
        "MLPClassifier": net,
        "MLPClassifier, grid": GridSearchCV(net, sizes, cv=3),
    }


def measure(name: str, X: Any, y: Any, seed: int, budget: str, executor: str) -> dict[str, Any]:
    """Test accuracy and seconds of all on one data set."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=1 / 3, random_state=seed, stratify=y)
    found: dict[str, Any] = {"data": name, "seed": seed, "budget": budget, "train": len(y_train), "test": len(y_test)}
    for who, model in {"netloom": nl.Classifier(budget=budget, seed=seed, executor=executor), **peers()}.items():
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of iterations that did not suffice
            model.fit(X_train, y_train)
        found[who] = {"accuracy": float(model.score(X_test, y_test)), "seconds": round(time.perf_counter() - start, 1)}
        if who == "netloom":
            found["candidates"] = len(model.search_.evaluations)
    return found


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--budget", default="5m")
    asked.add_argument("--seeds", type=int, default=1)
    asked.add_argument("--executor", default="inprocess")
    given = asked.parse_args()
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    done = {(row["data"], row["seed"], row["budget"]) for row in rows}
    for seed in range(given.seeds):
        for name, (X, y) in tables(seed).items():
            if (name, seed, given.budget) not in done:
                rows.append(measure(name, X, y, seed, given.budget, given.executor))
                with RESULTS.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    show([row for row in rows if row["budget"] == given.budget])


def show(rows: list[dict[str, Any]]) -> None:
    """A line for each data set, then who is ahead how often."""
    names = ["netloom", *peers()]
    print(f"{'data':<16}" + "".join(f"{name:>28}" for name in names))
    for data in dict.fromkeys(row["data"] for row in rows):
        means = [np.mean([row[name]["accuracy"] for row in rows if row["data"] == data]) for name in names]
        print(f"{data:<16}" + "".join(f"{mean:>28.4f}" for mean in means))
    means = [np.mean([row[name]["accuracy"] for row in rows]) for name in names]
    print(f"{'mean':<16}" + "".join(f"{mean:>28.4f}" for mean in means))


if __name__ == "__main__":
    main()
