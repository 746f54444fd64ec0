"""``netloom store``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import StoreError
from ..spaces.loading import whole_number
from ..store import Store
from ..store.parquet import read_pages
from ..tasks.progress import progress
from .output import writer
from .store_showing import overview, shown_evaluation, shown_graph, shown_run, table


def run(given: argparse.Namespace) -> int:
    """Do what the action says with the store."""
    makes = given.action in ("import", "merge")
    if given.action == "merge":
        for other in given.others:
            Store(other, must_exist=True).close()
    if given.action == "import":
        next(read_pages(Path(given.path)), None)
    with Store(given.url, must_exist=not makes) as store:
        return _ACTIONS[given.action](store, given)


def _list(store: Store, given: argparse.Namespace) -> int:
    runs = _records(store.runs())
    if given.json:
        return _print_json(runs)
    for each in runs:
        score = "no score" if each["best_score"] is None else f"best {each['best_score']:.4f}"
        print(
            f"{each['id']}  {each['status']:<11}  {each['strategy']} on {each['task']}, "
            f"{each['candidates']} candidates in {each['seconds']:.0f} s, {score}"
        )
    if not runs:
        print("no runs")
    return 0


def _show(store: Store, given: argparse.Namespace) -> int:
    what = given.what
    if what is None:
        shown: tuple[dict[str, Any], str] = overview(store)
    elif what in store.run_ids():
        shown = shown_run(store, what)
    elif what.isascii() and what.isdigit():
        shown = shown_evaluation(store, int(what))
    else:
        shown = shown_graph(store, what)
    data, text = shown
    if given.json:
        return _print_json(data)
    print(text)
    return 0


def _best(store: Store, given: argparse.Namespace) -> int:
    n = _number("-n", given.n) or 0
    best = _records(store.best(n, run=given.run, **_filters(store, given)))
    if given.out is not None:
        if not best:
            raise StoreError(f"store {store.shown_url} has no scored network to write to {given.out}")
        _write_network(store, best[0], given.out)
    if given.json:
        return _print_json(best)
    names = ["score", "num_params", "flops", "task", "recipe", "fidelity", "seed", "id", "graph_hash"]
    print(table(names, [[row[name] for name in names] for row in best]) if best else "no evaluation has a score")
    return 0


def _write_network(store: Store, row: dict[str, Any], path: str) -> None:
    suffix = Path(path).suffix.lower()
    if suffix == ".safetensors":
        store.network(row["id"]).save(path)
        return
    graph = store.graph(row["graph_hash"])
    written = {".json": graph.to_json, ".txt": graph.to_text, ".nl": graph.to_text}.get(suffix)
    if written is None:
        raise StoreError(f"cannot write a network to {path!r}: expected .json, .txt, .nl or .safetensors")
    with writer(path) as write:
        write(written())


def _export(store: Store, given: argparse.Namespace) -> int:
    filters = _filters(store, given)
    if given.status is not None:
        filters["status"] = given.status
    with _told("exporting") as told:
        store.export_parquet(given.path, artifacts=given.artifacts, told=told, **filters)
    print(given.path)
    return 0


def _import(store: Store, given: argparse.Namespace) -> int:
    with _told("importing") as told:
        received = store.import_parquet(given.path, told=told)
    return _print_received(given, {given.path: received})


def _merge(store: Store, given: argparse.Namespace) -> int:
    received = {}
    for other in given.others:
        with _told(f"merging {other}") as told:
            received[other] = store.merge(other, artifacts=given.artifacts, told=told)
    return _print_received(given, received)


def _print_received(given: argparse.Namespace, received: dict[str, Any]) -> int:
    if given.json:
        facts = {name: {"new": r.new, "known": r.known, "different": r.different} for name, r in received.items()}
        return _print_json(facts)
    for name, each in received.items():
        print(f"{name}: {each}")
    return 0


def _check(store: Store, given: argparse.Namespace) -> int:
    found, counts = store.check(quick=given.quick), store.counts()
    if given.json:
        _print_json({"whole": not found, "problems": found, "counts": counts})
    elif found:
        print("\n".join(found))
    else:
        always = ("graphs", "evaluations", "curves", "runs", "proposals")
        told = {name: count for name, count in counts.items() if name in always or (count and name in ("artifacts", "claims"))}
        print("whole: " + ", ".join(f"{count:,} {name}" for name, count in told.items()))
    return int(bool(found))


def _vacuum(store: Store, given: argparse.Namespace) -> int:
    cleaned = store.vacuum(unused=given.unused)
    if given.json:
        return _print_json({name: getattr(cleaned, name) for name in type(cleaned).__slots__})
    print(cleaned)
    return 0


def _delete(store: Store, given: argparse.Namespace) -> int:
    deleted = store.delete_run(given.run, keep_evaluations=not given.evaluations)
    if given.json:
        return _print_json({"run": given.run, "evaluations": deleted})
    print(f"{given.run}: deleted, with {deleted:,} evaluations")
    return 0


_ACTIONS: dict[str, Callable[[Store, argparse.Namespace], int]] = {
    "ls": _list, "show": _show, "best": _best, "export": _export, "import": _import, "merge": _merge, "check": _check,
    "vacuum": _vacuum, "delete": _delete,
}  # fmt: skip


def _filters(store: Store, given: argparse.Namespace) -> dict[str, Any]:
    """The filters that were given; a task or recipe of which there is no evaluation is a mistake."""
    for name, known in (("task", store.tasks), ("recipe", store.recipes)):
        said = getattr(given, name)
        if said is not None and store.evaluations(limit=1, **{name: said}).empty:
            words = [f"{row['name'] or 'unnamed'} ({row['hash'][:12]})" for row in _records(known())]
            raise StoreError(
                f"store {store.shown_url} has no evaluation of {name} {said!r}; it has: {', '.join(words) or 'none'}"
            )
    filters = {
        "task": given.task,
        "recipe": given.recipe,
        "min_score": given.min_score,
        "max_params": _number("--max-params", given.max_params),
        "max_flops": _number("--max-flops", given.max_flops),
    }
    return {name: value for name, value in filters.items() if value is not None}


def _number(flag: str, text: str | None) -> int | None:
    """A whole number, as people write it: 250000, 250K, 0.25M."""
    try:
        return None if text is None else whole_number(text)
    except ValueError as error:
        raise StoreError(f"{flag} {text}: {error}") from None


def _records(frame: Any) -> list[dict[str, Any]]:
    """The rows of a DataFrame, with None where there is nothing."""
    return list(frame.astype(object).where(frame.notna(), None).to_dict("records"))


def _print_json(data: Any) -> int:
    print(json.dumps(data, ensure_ascii=False, allow_nan=False, default=str))
    return 0


@contextmanager
def _told(what: str) -> Iterator[Callable[[str, int], None]]:
    with progress(what, None, show=sys.stderr.isatty()) as done:
        yield lambda kind, rows: done(rows)
