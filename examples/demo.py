"""Evolve a network on real handwritten digits, and compare it with two classifiers that need no search.

    python examples/demo.py [BUDGET]

Every choice, the network's and the other classifiers' settings alike, is made on the validation part. The test part is
read once, at the end.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

import netloom as nl
from netloom.training import evaluate

SPACE = "conv?max_macs=500000"
#: How many of the best candidates are trained at length, and the most seconds for each.
FINALISTS, FINAL_SECONDS = 2, 30.0


def main(budget: str | int = "60s", directory: str = "demo-report", executor: str = "local") -> dict[str, float]:
    """Run the demonstration; gives the test accuracy of each classifier."""
    task = nl.tasks.load("digits")
    print(
        f"{task}\nConvolutional networks of up to half a million multiply-accumulates evolve for {budget};\n"
        "children begin with what their parents learned.\n"
    )
    Path(directory).mkdir(parents=True, exist_ok=True)
    store = f"sqlite:///{directory}/runs.db"
    result = nl.search(SPACE, task, strategy="evolution?initial=12", budget=budget, store=store, executor=executor)
    page = nl.report(result, directory)
    best = finalist(result, task)
    generations = int(result.store.lineage(best.network.graph, run=result.run_id)["generation"].max())
    print(f"\nThe incumbent, {best.network.graph.num_params:,} parameters, after {generations} generations of edits:\n")
    print(best.network.graph.to_text())

    others = {"logistic regression": logistic_regression(task), "nearest neighbours": nearest_neighbours(task)}
    test = task.test
    flat, labels = test.x.flatten(1).numpy(), test.y.numpy()
    accuracy = {"netloom's network": evaluate(best.network, test).accuracy}
    accuracy |= {name: float(model.score(flat, labels)) for name, model in others.items()}
    print(f"accuracy on the {len(test)} test images, read once ({task.test_reads} time):")
    for name, value in accuracy.items():
        print(f"  {name:<20} {value:.4f}  ({round((1 - value) * len(test))} wrong)")
    print(f"\nreport: {page.resolve()}\nstore:  {directory}/runs.db   (netloom store ls sqlite:///{directory}/runs.db)")
    return accuracy


def finalist(result: Any, task: nl.tasks.Task) -> Any:
    """The best candidates trained further, from their weights; of those and the incumbent as it was the best on validation."""
    torch.set_num_threads(1)  # networks this small gain nothing from more, and lose where others use the machine
    top = result.store.best(FINALISTS, run=result.run_id)
    print(f"\nTraining the best {len(top)} of {result.evaluations['graph_hash'].nunique()} further:")
    finals = [result.best]
    for row in top.itertuples():
        network = result.store.network(int(row.id))
        finals.append(nl.train(network, task, "thorough", seed=result.settings.seed, max_seconds=FINAL_SECONDS))
        print(f"  {row.num_params:>9,} parameters: {row.score:.4f} in the search, {finals[-1].score:.4f} now (validation)")
    return max(finals, key=lambda final: final.score)


def logistic_regression(task: nl.tasks.Task) -> Any:
    """The best of several regularisations on the validation part."""
    from sklearn.linear_model import LogisticRegression

    return _best_on_valid(task, [LogisticRegression(C=c, max_iter=5000) for c in (0.01, 0.1, 1.0, 10.0)])


def nearest_neighbours(task: nl.tasks.Task) -> Any:
    """The best of several numbers of neighbours on the validation part."""
    from sklearn.neighbors import KNeighborsClassifier

    return _best_on_valid(task, [KNeighborsClassifier(k) for k in (1, 3, 5, 7)])


def _best_on_valid(task: nl.tasks.Task, models: list[Any]) -> Any:
    x, y = task.train.x.flatten(1).numpy(), task.train.y.numpy()
    valid_x, valid_y = task.valid.x.flatten(1).numpy(), task.valid.y.numpy()
    fitted = [model.fit(x, y) for model in models]
    return max(fitted, key=lambda model: model.score(valid_x, valid_y))


if __name__ == "__main__":
    main(*sys.argv[1:2])
