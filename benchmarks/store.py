"""The store at a million evaluations, beside Optuna's RDB storage: rates of insertion, look-ups, the best.

    python -m benchmarks.store [--evaluations 1000000] [--optuna PYTHON] [--trials 2000] [--postgres URL] [--folder DIR]

Ours goes into a new SQLite file (or an empty PostgreSQL database) by `record_many`, then, one at a time, by `record`; it is
asked for single keys, for the ten best and for a page of a filtered list. 2,000 networks are scored on ten tasks with ten
recipes and as many seeds as it takes.

PYTHON is an interpreter that has optuna, in an environment of its own (``python -m venv o && o/bin/pip install optuna``).
It writes as many trials as ``--trials`` says into a new SQLite file by ``study.add_trials``, its fastest way for results
that are there already, and 200 as they come from a search, by ``study.ask`` and ``study.tell``: once with the seven parts of a
key as attributes, as ours has them, once with a single attribute. Its insertion does not become faster with more trials, so
fewer are enough. Rates are per second of processor time of the
writing process (that of a server is not counted); those by the clock stand beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import netloom as nl
from netloom.store import EvaluationKey, EvaluationRecord, Store

NETWORKS, TASKS, RECIPES = 2000, 10, 10

_OPTUNA = """
import json, sys, time
import optuna
from optuna.trial import create_trial
optuna.logging.set_verbosity(optuna.logging.ERROR)
file, count, attributes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
study = optuna.create_study(storage=f"sqlite:///{file}", direction="maximize", study_name="x")
names = ("graph_hash", "task_hash", "recipe_hash", "init", "seed", "fidelity", "evaluator")[:attributes]
def trial(i):
    parts = (f"nl1:{i:032x}", "t" * 64, "r" * 64, "random", i, 10, 1)
    return create_trial(value=(i * 7919 % 10007) / 10007, user_attrs=dict(zip(names, parts)))
trials = [trial(i) for i in range(count)]
wall, cpu = time.perf_counter(), time.process_time()
study.add_trials(trials)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
one_wall, one_cpu = time.perf_counter(), time.process_time()
for i in range(200):
    asked = study.ask()
    for attribute, part in trial(i).user_attrs.items():
        asked.set_user_attr(attribute, part)
    study.tell(asked, 0.5)
one_wall, one_cpu = (time.perf_counter() - one_wall) / 200, (time.process_time() - one_cpu) / 200
again = optuna.load_study(study_name="x", storage=f"sqlite:///{file}")
start = time.perf_counter()
again.best_trial
print(json.dumps({"wall": wall, "cpu": cpu, "one_wall": one_wall, "one_cpu": one_cpu,
                  "best": time.perf_counter() - start, "version": optuna.__version__}))
"""


def network(number: int) -> nl.Graph:
    """One of 2,000 different networks."""
    x = nl.input(number % 50 + 1)
    return nl.Graph(x, nl.linear(nl.relu(nl.linear(x, number // 50 + 1)), 2))


def key(number: int, graphs: list[nl.Graph]) -> EvaluationKey:
    """The key number ``number``; all are different."""
    rest, graph = divmod(number, NETWORKS)
    rest, task = divmod(rest, TASKS)
    seed, recipe = divmod(rest, RECIPES)
    return EvaluationKey(graphs[graph].hash, f"{task:064x}", f"{recipe:064x}", seed, 10)


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock and of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def median_ms(work: Callable[[], Any], repeats: int) -> str:
    """Medians in milliseconds, by the clock and of this process."""
    times = [timed(work) for _ in range(repeats)]
    wall, cpu = (sorted(each[i] for each in times)[repeats // 2] * 1000 for i in (0, 1))
    return f"{wall:8.3f} ms   ({cpu:.3f} ms of processor)"


def ours(store: Store, count: int) -> tuple[float, float]:
    """Fill the store and ask it; gives the rates of insertion in batches and one at a time, per second of processor."""
    graphs, rng = [network(number) for number in range(NETWORKS)], random.Random(0)
    singles = 500

    def item(number: int) -> tuple[nl.Graph, EvaluationKey, EvaluationRecord]:
        return graphs[number % NETWORKS], key(number, graphs), EvaluationRecord("ok", rng.random(), 1.5)

    def items() -> Iterator[Any]:
        return (item(number) for number in range(count))

    wall, cpu = timed(lambda: store.record_many(items()))
    print(f"insertion in batches   {count / cpu:12,.0f} /s   ({count / wall:,.0f} /s by the clock, {count:,} in {wall:.0f} s)")
    more = [item(number) for number in range(count, count + singles)]
    single_wall, single_cpu = timed(lambda: [store.record(*each) for each in more])
    print(f"insertion, one by one  {singles / single_cpu:12,.0f} /s   ({singles / single_wall:,.0f} /s by the clock)")
    ask(store, [key(rng.randrange(count), graphs) for _ in range(1000)])
    return count / cpu, singles / single_cpu


def ask(store: Store, keys: list[EvaluationKey]) -> None:
    """Time the questions that people and searches ask."""
    import pandas as pd  # before the clock runs

    assert isinstance(store.evaluations(limit=1), pd.DataFrame)
    asked = iter(keys)
    print(f"look-up by key         {median_ms(lambda: store.find(next(asked)), 1000)}")
    task = keys[0].task_hash
    for words, question in {
        "best(10)": lambda: store.best(10),
        "best(10, task=…)": lambda: store.best(10, task=task),
        "best(10), ≤ 50 params": lambda: store.best(10, max_params=50),
        "1,000 of one task": lambda: store.evaluations(task=task, min_score=0.5, order="-score", limit=1000),
    }.items():
        print(f"{words:<22} {median_ms(question, 9)}")
    wall, cpu = timed(lambda: len(store.evaluations()))
    print(f"all as a DataFrame     {wall:8.1f} s    ({cpu:.1f} s of processor)")


def optuna(python: str, count: int, attributes: int, folder: Path) -> dict[str, Any]:
    """Optuna's storage, in a process of its own."""
    file = folder / f"optuna-{attributes}.db"
    command = [python, "-c", _OPTUNA, str(file), str(count), str(attributes)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(f"{python} cannot run the peer: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    rates = f"{count / result['cpu']:9,.0f} /s   ({count / result['wall']:,.0f} /s by the clock)"
    singles = f"{1 / result['one_cpu']:,.0f} /s ({1 / result['one_wall']:,.0f} /s by the clock)"
    best = f"best_trial {result['best'] * 1000:.0f} ms at {count:,} trials"
    print(f"{attributes} attributes: add_trials {rates}; ask and tell {singles}; {best}")
    return result


def main() -> None:
    """Measure, and print both sides and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--optuna", metavar="PYTHON", help="an interpreter that has optuna")
    parser.add_argument("--trials", type=int, default=2000, metavar="N", help="of the peer (default: 2000)")
    parser.add_argument("--postgres", metavar="URL", help="an empty database in the place of an SQLite file")
    parser.add_argument("--folder", metavar="DIR", help="where the files go (default: the system's temporary folder)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        url = given.postgres or f"sqlite:///{folder}/ours.db"
        print(f"netloom on {url.partition(':')[0]}, {given.evaluations:,} evaluations")
        with Store(url) as store:
            rates = ours(store, given.evaluations)
        if not given.postgres:
            print(f"size                   {(folder / 'ours.db').stat().st_size / 2**20:8.0f} MiB")
        if given.optuna:
            print(f"\noptuna on sqlite, {given.trials:,} trials")
            for attributes in (7, 1):
                peer = optuna(given.optuna, given.trials, attributes, folder)
                batched, single = rates[0] * peer["cpu"] / given.trials, rates[1] * peer["one_cpu"]
                told = f"{batched:,.0f} × in batches, {single:.1f} × one by one"
                print(f"netloom's rate of insertion to that, by processor time: {told}")


if __name__ == "__main__":
    main()
