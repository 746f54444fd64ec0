"""What each part of the loop buys at equal budget: random, + filter, + inheritance, + predicted weights, + Netformer.

    OMP_NUM_THREADS=1 python -m benchmarks.ablation [--tasks digits,cancer,diabetes,clusters] [--seeds 5] [--show]
    OMP_NUM_THREADS=1 python -m benchmarks.ablation --auto [--tasks …] [--seeds 5]
    NETLOOM_DATA=… OMP_NUM_THREADS=1 python -m benchmarks.ablation --tasks cifar10

The budget is epochs of training, those of races between initialisers among them; what predictors and hypernetworks compute is
not counted, and stands in its own column as CPU seconds. Of CIFAR-10 4,000 images train and 1,000 are held out. Every search
has a store of its own. Scores are those of the validation part, best so far; the test part is read once for each search, with
its best network. Results go to benchmarks/results/ablation.jsonl, one line for each task, step and seed: what is there is not
run again. Curves with 95 % intervals over the seeds go to docs/images/ablation-TASK.svg. ``--auto`` asks one thing alone:
whether ``init="auto"``, races included in the budget, makes a search of random samples worse than random weights do.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sklearn import datasets

import netloom as nl
from netloom.touring import STEPS, Ablation, Run, Step, ablate
from netloom.touring.ablation import paired
from netloom.touring.chart import chart

RESULTS = Path(__file__).parent / "results" / "ablation.jsonl"
IMAGES = Path(__file__).parent.parent / "docs" / "images"


@dataclass(frozen=True)
class Setting:
    """A task with the space and budget that it is searched with."""

    space: str
    budget: str
    epochs: int
    batch_size: int = 64


MLP = "mlp?widths=4,8,16,32,64&activations=relu,tanh,sigmoid"
#: Random samples, begun by whichever initialiser pays.
AUTO = Step("random, auto", "samples of the space, begun by whichever initialiser pays", "space", "none", "auto")
SETTINGS = {
    "digits": Setting("conv?max_macs=150000", "80 epochs", 4),
    "cancer": Setting(MLP, "160 epochs", 8, 32),
    "diabetes": Setting(MLP, "160 epochs", 8, 32),
    "clusters": Setting(MLP, "100 epochs", 5),
    "cifar10": Setting("conv?max_macs=5000000", "80 epochs", 4, 128),
}


def task_of(name: str) -> nl.tasks.Task:
    """The data of a setting; the same split for all seeds."""
    if name == "cifar10":
        if "NETLOOM_DATA" not in os.environ:
            raise SystemExit("cifar10 is read from the folder that NETLOOM_DATA names; it is not set")
        return nl.tasks.load(f"cifar10:{os.environ['NETLOOM_DATA']}?train=4000&valid=1000")
    if name == "digits":
        return nl.tasks.load("digits")
    if name == "cancer":
        X, y = datasets.load_breast_cancer(return_X_y=True)
    elif name == "diabetes":
        X, y = datasets.load_diabetes(return_X_y=True)
    else:
        X, y = datasets.make_classification(
            2000, 30, n_informative=12, n_redundant=6, n_classes=4, n_clusters_per_class=3, flip_y=0.02, random_state=0
        )
    return nl.tasks.from_arrays(X, y, name=name)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--tasks", default="digits,cancer,diabetes,clusters")
    asked.add_argument("--seeds", type=int, default=5)
    asked.add_argument("--show", action="store_true", help="run nothing; tables and pictures of what is there")
    asked.add_argument("--auto", action="store_true", help="random samples with random weights, and with init='auto'")
    given = asked.parse_args()
    steps = (STEPS[0], AUTO) if given.auto else STEPS
    names = given.tasks.split(",")
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    for seed in range(0 if given.show else given.seeds):
        for name in names:
            for step in steps:
                if not any((row["task"], row["step"], row["seed"]) == (name, step.name, seed) for row in rows):
                    row = measured(name, step, seed)
                    if row is None:
                        continue
                    rows.append(row)
                    with RESULTS.open("a") as file:
                        file.write(json.dumps(row) + "\n")
    for name in names:
        found = [row for row in rows if row["task"] == name and (given.auto or row["step"] != AUTO.name)]
        if found:
            (show_auto if given.auto else show)(name, found)


def measured(name: str, step: Any, seed: int) -> dict[str, Any] | None:
    """One search; None where the step does not fit the task."""
    setting, task = SETTINGS[name], task_of(name)
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        found = ablate(
            task, setting.space, folder, budget=setting.budget, seeds=[seed], steps=[step], test=True,
            recipe={"epochs": setting.epochs, "batch_size": setting.batch_size},
            tell=lambda text: print(name, text, flush=True),
        )  # fmt: skip
    if not found.runs:
        return None
    run = {**asdict(found.runs[0]), "task": name, "budget": setting.budget, "score_name": found.score_name}
    return {**run, "cpu_seconds": round(time.process_time() - begun, 1)}


def show_auto(name: str, rows: list[dict[str, Any]]) -> None:
    """What ``init="auto"`` gains over random weights."""
    before, after = ([run_of(row) for row in rows if row["step"] == step.name] for step in (STEPS[0], AUTO))
    gain = paired(before, after)
    if gain is not None:
        print(f"{name}: auto − random {shown(gain)} over {len(after)} seeds")


def shown(gain: tuple[float, float | None]) -> str:
    """A gain with half its interval, which one seed does not have."""
    return f"{gain[0]:+.4f} ± {math.nan if gain[1] is None else gain[1]:.4f}"


def run_of(row: dict[str, Any]) -> Run:
    return Run(row["step"], row["seed"], row["run_id"], tuple(row["spent"]), tuple(row["best"]), row["test_score"])


def show(name: str, rows: list[dict[str, Any]]) -> None:
    """The table and the picture of a task."""
    runs = tuple(map(run_of, rows))
    first = rows[0]
    found = Ablation(name, first["budget"], "epochs of training", first["score_name"], runs, {})
    print(f"\n{name}, {first['budget']}, {first['score_name']}")
    print(f"{'step':<20}{'seeds':>6}{'validation':>12}{'test':>9}{'gain':>9}  95 %{'':>12}{'CPU s':>8}")
    for step in found.steps:
        own = found.of(step)
        gain = found.gain(step)
        words = "" if gain is None else f"  {shown(gain)}"
        seconds = [row["cpu_seconds"] for row in rows if row["step"] == step]
        valid, test = sum(found.final(step)) / len(own), sum(run.test_score or 0.0 for run in own) / len(own)
        print(f"{step:<20}{len(own):>6}{valid:>12.4f}{test:>9.4f}{words:<27}{sum(seconds) / len(seconds):>8.0f}")
    (IMAGES / f"ablation-{name}.svg").write_text(chart(found, title=name, standalone=True), encoding="utf-8")


if __name__ == "__main__":
    main()
