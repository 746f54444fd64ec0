"""A store's contents as rows that mean the same in any store: hashes and run ids in the place of numbers.

Parquet files and the merging of stores both go through here, in pages, so that a store of any size fits in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from .finding import JOINED, KEY_COLUMNS
from .querying import conditions
from .records import CURVE_COLUMNS, HASHES, REST
from .tables import artifacts, curves, evaluation_artifacts, evaluations, graphs, parents, proposals, recipes, runs, tasks

Rows = list[dict[str, Any]]

_PAGE = 5_000
#: Graphs are large.
_GRAPH_PAGE = 500

_RESULT = ("status", "score", "seconds", "error", "metrics", "created")
_TOLD = ("reused", "elapsed", "edit", "proposed_by", "scored_by", "predicted_score", "initialised_by")


def _pages(connection: sa.Connection, query: sa.Select[Any], number: Any, size: int | None = None) -> Iterator[Rows]:
    """The rows of a query in pages, by a rising number that each row has as ``number``."""
    last = -1
    while True:
        page = connection.execute(query.where(number > last).order_by(number).limit(size or _PAGE)).mappings().all()
        if not page:
            return
        last = page[-1]["number"]
        yield [dict(row) for row in page]


def _simple(table: sa.Table, size: int | None = None) -> Callable[[sa.Connection], Iterator[Rows]]:
    columns = [column for column in table.c if column.name != "id"]

    def read(connection: sa.Connection) -> Iterator[Rows]:
        for page in _pages(connection, sa.select(table.c.id.label("number"), *columns), table.c.id, size):
            yield [_written(row) for row in page]

    return read


def _written(row: dict[str, Any]) -> dict[str, Any]:
    """A row without its number, JSON values as JSON."""
    row.pop("number", None)
    for name in ("fields", "metrics", "settings", "environment", "edit"):
        if name in row:
            row[name] = _json(row[name])
    return row


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _artifacts(connection: sa.Connection) -> Iterator[Rows]:
    yield [dict(row) for row in connection.execute(sa.select(artifacts).order_by(artifacts.c.hash)).mappings()]


def evaluation_pages(connection: sa.Connection, filters: dict[str, Any] | None = None) -> Iterator[Rows]:
    """Evaluations, with the key in words, the curve and the artifacts in lists."""
    query = (
        sa.select(evaluations.c.id.label("number"), *KEY_COLUMNS, *(evaluations.c[name] for name in _RESULT))
        .select_from(JOINED)
        .where(*conditions(connection, filters or {}))
    )
    for page in _pages(connection, query, evaluations.c.id):
        first, last = page[0]["number"], page[-1]["number"]
        points = _grouped(connection, curves, first, last, (*CURVE_COLUMNS, "more"))
        links = _grouped(connection, evaluation_artifacts, first, last, ("role", "artifact_hash"))
        for row in page:
            number = row["number"]
            row["curve"] = [{**point, "more": _json(point["more"])} for point in points.get(number, [])]
            row["artifacts"] = links.get(number, [])
        yield [_written(row) for row in page]


def _grouped(connection: sa.Connection, table: sa.Table, first: int, last: int, names: tuple[str, ...]) -> dict[int, Rows]:
    """The rows of the evaluations from ``first`` to ``last``, by evaluation."""
    query = (
        sa.select(table.c.evaluation_id, *(table.c[name] for name in names))
        .where(table.c.evaluation_id.between(first, last))
        .order_by(table.c.evaluation_id, table.c[names[0]])
    )
    found: dict[int, Rows] = {}
    for row in connection.execute(query):
        found.setdefault(row[0], []).append(dict(zip(names, row[1:])))
    return found


def _runs(connection: sa.Connection) -> Iterator[Rows]:
    query = sa.select(runs).order_by(runs.c.created, runs.c.id)
    yield [_written(dict(row)) for row in connection.execute(query).mappings()]


def _proposals(connection: sa.Connection) -> Iterator[Rows]:
    source = JOINED.join(proposals, proposals.c.evaluation_id == evaluations.c.id)
    columns = [proposals.c.id.label("number"), proposals.c.run_id, proposals.c.ask, *KEY_COLUMNS]
    query = sa.select(*columns, *(proposals.c[name] for name in _TOLD)).select_from(source)
    for page in _pages(connection, query, proposals.c.id):
        first, last = page[0]["number"], page[-1]["number"]
        of = (
            sa.select(parents.c.proposal_id, graphs.c.hash)
            .join(graphs, graphs.c.id == parents.c.graph_id)
            .where(parents.c.proposal_id.between(first, last))
            .order_by(parents.c.proposal_id, parents.c.position)
        )
        hashes: dict[int, list[str]] = {}
        for number, hash in connection.execute(of):
            hashes.setdefault(number, []).append(hash)
        for row in page:
            row["parents"] = hashes.get(row["number"], [])
        yield [_written(row) for row in page]


#: What a store holds, in an order in which nothing is named before it is there.
KINDS: dict[str, Callable[[sa.Connection], Iterator[Rows]]] = {
    "tasks": _simple(tasks),
    "recipes": _simple(recipes),
    "graphs": _simple(graphs, _GRAPH_PAGE),
    "artifacts": _artifacts,
    "evaluations": evaluation_pages,
    "runs": _runs,
    "proposals": _proposals,
}
KEY_NAMES = (*HASHES, *REST)


def subjects_of(connection: sa.Connection, page: Rows) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The graphs, tasks and recipes of a page of evaluations, by hash."""
    found = []
    for table, name in ((graphs, "graph_hash"), (tasks, "task_hash"), (recipes, "recipe_hash")):
        hashes = sorted({row[name] for row in page})
        rows = connection.execute(sa.select(table).where(table.c.hash.in_(hashes))).mappings()
        found.append({row["hash"]: _written({k: v for k, v in row.items() if k != "id"}) for row in rows})
    return found[0], found[1], found[2]
