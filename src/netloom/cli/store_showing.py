"""What ``netloom store show`` says: each function gives the same as data and as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..store import SCHEMA_VERSION, Store

Shown = tuple[dict[str, Any], str]

#: Evaluations and ancestors that are printed of one thing.
_MOST = 10


def overview(store: Store) -> Shown:
    """A store in short: what is in it, by task."""
    counts = store.counts()
    tasks, recipes, claims = (_rows(frame) for frame in (store.tasks(), store.recipes(), store.claims()))
    data = {
        "url": store.shown_url, "schema": SCHEMA_VERSION, "read_only": store.read_only, "counts": counts, "tasks": tasks,
        "recipes": recipes, "claims": claims,
    }  # fmt: skip
    lines = [f"{store.shown_url}, schema {SCHEMA_VERSION}{', read-only' if store.read_only else ''}"]
    lines.append(", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing in it yet")
    for what, rows in (("task", tasks), ("recipe", recipes)):
        if rows:
            named = [[row["name"] or "unnamed", f"{row['evaluations']:,}", row["hash"][:16]] for row in rows]
            lines += ["", table([what, "evaluations", "hash"], named)]
    if claims:
        held = [[row["holder"], f"{row['silent_seconds']:.0f} s ago", row["graph_hash"], row["seed"]] for row in claims]
        lines += ["", table(["claimed by", "heartbeat", "graph", "seed"], held)]
    return data, "\n".join(lines)


def shown_run(store: Store, id: str) -> Shown:
    """A run: its settings, machine, and best candidates."""
    run, best = store.run(id), _rows(store.best(_MOST, run=id))
    evaluations = store.evaluations(id)
    failures = evaluations[evaluations["score"].isna()]["status"].value_counts().to_dict()
    data = {**run, "candidates": int(evaluations["graph_hash"].nunique()), "without_score": failures, "best": best}
    lines = [f"run {id}: {run['status']}, {run['seconds']:.1f} s, began {run['created'][:19]} UTC"]
    lines += [f"  {name:<18} {_short(value)}" for name, value in {**run["settings"], **run["environment"]}.items()]
    lines.append(f"  {'candidates':<18} {data['candidates']:,}")
    lines += [f"  {status:<18} {count:,} without a score" for status, count in failures.items()]
    if best:
        names = ["score", "num_params", "flops", "id", "graph_hash"]
        lines += ["", table(names, [[row[name] for name in names] for row in best])]
    return data, "\n".join(lines)


def shown_graph(store: Store, hash: str) -> Shown:
    """A graph: its text, what it scored, and where it came from."""
    graph = store.graph(hash)
    evaluations, lineage = _rows(store.evaluations(graph=graph.hash)), _rows(store.lineage(graph))
    data = {
        "hash": graph.hash, "num_params": graph.num_params, "flops": graph.flops, "text": graph.to_text(),
        "evaluations": evaluations, "lineage": lineage,
    }  # fmt: skip
    lines = [f"graph {graph.hash}: {graph.num_params:,} parameters, {graph.flops:,} FLOPs", "", graph.to_text().rstrip()]
    names = ["id", "status", "score", "task", "recipe", "fidelity", "seed", "init", "seconds"]
    if evaluations:
        lines += ["", table(names, [[row[name] for name in names] for row in evaluations[:_MOST]])]
        lines += [f"and {len(evaluations) - _MOST:,} more"] if len(evaluations) > _MOST else []
    if lineage:
        names = ["generation", "graph_hash", "score", "proposed_by", "scored_by", "initialised_by", "edit"]
        shown = [{**row, "edit": None if row["edit"] is None else _short(row["edit"])} for row in lineage[:_MOST]]
        lines += ["", table(names, [[row[name] for name in names] for row in shown])]
    return data, "\n".join(lines)


def shown_evaluation(store: Store, id: int) -> Shown:
    """An evaluation: its key, its result and its learning curve."""
    key, result = store.evaluation(id)
    values = {name: getattr(key, name) for name in type(key).__slots__}
    told = {name: getattr(result, name) for name in ("status", "score", "seconds", "error")}
    curve = _rows(store.curves([id]))
    data = {"id": id, **values, **told, "metrics": dict(result.metrics), "artifacts": dict(result.artifacts), "curve": curve}
    lines = [f"evaluation {id}"]
    lines += [f"  {name:<12} {_short(value)}" for name, value in {**values, **told}.items() if value not in ("", None)]
    lines += [f"  {name:<12} {value:.6g}" for name, value in result.metrics.items()]
    lines += [f"  {role:<12} {hash}" for role, hash in result.artifacts.items()]
    if curve:
        names = ["epoch", "train_loss", "train_score", "valid_loss", "score", "seconds"]
        lines += ["", table(names, [[row[name] for name in names] for row in curve])]
    return data, "\n".join(lines)


def table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows under their names; numbers to the right.

    >>> print(table(["score", "graph"], [[0.5, "nl1:a"], [None, "nl1:bc"]]))
     score  graph
    0.5000  nl1:a
         -  nl1:bc
    """
    written = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in written)]) for i, name in enumerate(names)]
    right = [all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(names))]
    lines = [list(names), *written]
    aligned = (
        "  ".join(cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in zip(line, widths, right))
        for line in lines
    )
    return "\n".join(line.rstrip() for line in aligned)


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 1e4 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 100 else text[:97] + "…"


def _rows(frame: Any) -> list[dict[str, Any]]:
    return list(frame.astype(object).where(frame.notna(), None).to_dict("records"))
