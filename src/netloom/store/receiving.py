"""Taking rows from elsewhere (`exchange`) into a store: what it has already stays as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from ..errors import NetloomError, StoreError
from ..graph.graph import Graph
from .exchange import KEY_NAMES, Rows
from .finding import existing
from .recording import record_all
from .records import EvaluationKey, EvaluationRecord, curve_of
from .subjects import chunks, describe, graph_numbers, graph_values, ids_of, insert_one, numbered
from .tables import artifacts, graphs, parents, proposals, recipes, runs, tasks


@dataclass(slots=True)
class Received:
    """How many rows of each kind were new to the store, and how many it had.

    ``different`` counts evaluations of which the store kept another result for the same key.
    """

    new: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    different: int = 0

    def count(self, kind: str, new: int, known: int) -> None:
        """Add to the numbers of a kind."""
        self.new[kind] = self.new.get(kind, 0) + new
        self.known[kind] = self.known.get(kind, 0) + known

    def add(self, other: Received) -> None:
        """Add the numbers of another page."""
        for kind in other.new:
            self.count(kind, other.new[kind], other.known[kind])
        self.different += other.different

    def __str__(self) -> str:
        told = [f"{count:,} new {kind}" for kind, count in self.new.items() if count]
        had = self.known.get("evaluations", 0)
        known = f"; {had:,} evaluations were there already" if had else ""
        other = f", {self.different:,} of them with another result, which stays" if self.different else ""
        return (", ".join(told) or "nothing new") + known + other


def receive(connection: sa.Connection, kind: str, rows: Rows, received: Received, trusted: bool) -> None:
    """Take one page of rows. Of a source that is not ``trusted``, hashes of new graphs are compared with the graphs."""
    if kind == "graphs":
        new = _graphs(connection, rows, trusted)
    elif kind == "evaluations":
        new = _evaluations(connection, rows, received)
    elif kind == "proposals":
        new = _proposals(connection, rows)
    else:
        new = _OTHERS[kind](connection, rows)
    received.count(kind, new, len(rows) - new)


def _graphs(connection: sa.Connection, rows: Rows, trusted: bool) -> int:
    known = ids_of(connection, graphs, (row["hash"] for row in rows))
    make: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _as_told if trusted else _worked_out
    wanted = {row["hash"]: (lambda row=row: make(row)) for row in rows if row["hash"] not in known}
    numbered(connection, graphs, wanted)
    return len(wanted)


def _as_told(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("json", "text", "num_params", "flops")}


def _worked_out(row: Mapping[str, Any]) -> dict[str, Any]:
    try:
        graph = Graph.from_json(row["json"])
    except NetloomError as error:
        raise StoreError(f"graph {row['hash'][:80]} cannot be read: {error}") from None
    if graph.hash != row["hash"]:
        raise StoreError(f"graph {row['hash'][:80]} is not what its hash says: it has the hash {graph.hash}")
    return graph_values(graph)


def _tasks(connection: sa.Connection, rows: Rows) -> int:
    known = ids_of(connection, tasks, (row["hash"] for row in rows))
    for row in rows:
        describe(connection, tasks, row["hash"], {name: row[name] for name in ("name", "spec", "kind")})
    return len(rows) - len(known)


def _recipes(connection: sa.Connection, rows: Rows) -> int:
    known = ids_of(connection, recipes, (row["hash"] for row in rows))
    for row in rows:
        describe(connection, recipes, row["hash"], {"name": row["name"], "fields": _loaded(row["fields"])})
    return len(rows) - len(known)


def _artifacts(connection: sa.Connection, rows: Rows) -> int:
    new = 0
    for row in rows:
        new += insert_one(connection, artifacts, row, "hash")
    return new


def _evaluations(connection: sa.Connection, rows: Rows, received: Received) -> int:
    hashes = {link["artifact_hash"] for row in rows for link in row["artifacts"]}
    here: set[str] = set()
    for some in chunks(hashes):
        here.update(connection.execute(sa.select(artifacts.c.hash).where(artifacts.c.hash.in_(some))).scalars())
    items = [(row["graph_hash"], _key(row), _result(row, here)) for row in rows]
    recorded = record_all(connection, items, created=[row["created"] for row in rows])
    written = set(recorded.written)
    for i, (_, key, result) in enumerate(items):
        if i not in written:
            there = existing(connection, key)
            received.different += there is None or (there.status, there.score) != (result.status, result.score)
    return len(written)


def _key(row: Mapping[str, Any]) -> EvaluationKey:
    return EvaluationKey(**{name: row[name] for name in KEY_NAMES})


def _result(row: Mapping[str, Any], here: set[str]) -> EvaluationRecord:
    """The result in a row; files that did not come along are not spoken of."""
    return EvaluationRecord(
        status=row["status"],
        score=row["score"],
        seconds=row["seconds"],
        error=row["error"],
        curve=curve_of({**point, "more": _loaded(point["more"])} for point in row["curve"]),
        metrics=_loaded(row["metrics"]) or {},
        artifacts={link["role"]: link["artifact_hash"] for link in row["artifacts"] if link["artifact_hash"] in here},
    )


def _runs(connection: sa.Connection, rows: Rows) -> int:
    new = 0
    for row in rows:
        values = {**row, "settings": _loaded(row["settings"]), "environment": _loaded(row["environment"])}
        if insert_one(connection, runs, values, "id"):
            new += 1
            continue
        there = connection.execute(sa.select(runs).where(runs.c.id == row["id"])).mappings().one()
        if there["settings"] != values["settings"]:
            raise StoreError(f"both stores have a run {row['id'][:80]!r}, of other settings; delete one of them first")
        if there["updated"] < row["updated"]:
            later = {name: row[name] for name in ("status", "seconds", "updated")}
            connection.execute(sa.update(runs).where(runs.c.id == row["id"]).values(**later))
    return new


def _proposals(connection: sa.Connection, rows: Rows) -> int:
    new = 0
    for row in rows:
        there = existing(connection, _key(row))
        if there is None:
            raise StoreError(f"run {row['run_id'][:80]}: candidate {row['ask']} has no evaluation among what came along")
        values = {name: value for name, value in row.items() if name not in (*KEY_NAMES, "parents")}
        values.update(evaluation_id=there.id, edit=_loaded(row["edit"]))
        if not insert_one(connection, proposals, values, "run_id", "ask"):
            continue
        new += 1
        if row["parents"]:
            same = (proposals.c.run_id == row["run_id"], proposals.c.ask == row["ask"])
            number = connection.execute(sa.select(proposals.c.id).where(*same)).scalar_one()
            numbers = graph_numbers(connection, row["parents"])
            of = [{"proposal_id": number, "position": i, "graph_id": numbers[hash]} for i, hash in enumerate(row["parents"])]
            connection.execute(sa.insert(parents), of)
    return new


def _loaded(document: str | None) -> Any:
    try:
        return None if document is None else json.loads(document)
    except ValueError as error:
        raise StoreError(f"{str(document)[:60]!r} is no JSON: {error}") from None


_OTHERS: dict[str, Callable[[sa.Connection, Rows], int]] = {
    "tasks": _tasks,
    "recipes": _recipes,
    "artifacts": _artifacts,
    "runs": _runs,
}
