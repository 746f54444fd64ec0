"""``netloom store``."""

from __future__ import annotations

import argparse

from ..store import Store


def run(given: argparse.Namespace) -> int:
    """List the runs, or look for anything that is wrong."""
    with Store(given.url, must_exist=True) as store:
        return _check(store) if given.action == "check" else _list(store)


def _check(store: Store) -> int:
    found = store.check()
    if not found:
        counts = store.counts()
        print("whole: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
        return 0
    print("\n".join(found))
    return 1


def _list(store: Store) -> int:
    for run_id in store.run_ids():
        run = store.run(run_id)
        settings, evaluations = run["settings"], store.evaluations(run_id)
        best = evaluations["score"].max()
        score = f"best {best:.4f}" if best == best else "no score"
        print(
            f"{run_id}  {run['status']:<11}  {settings.get('strategy')} on {settings.get('task_name')}, "
            f"{evaluations['graph_hash'].nunique()} candidates in {run['seconds']:.0f} s, {score}"
        )
    if not store.run_ids():
        print("no runs")
    return 0
