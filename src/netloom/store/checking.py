"""Is a store whole? What `Store.check` looks at."""

from __future__ import annotations

import math
from collections.abc import Iterator

import sqlalchemy as sa

from ..errors import NetloomError
from ..graph.graph import Graph
from .tables import curves, evaluations, graphs, proposals


def problems(connection: sa.Connection) -> list[str]:
    """Every broken promise of the store, one sentence each."""
    return [*_database(connection), *_dangling(connection), *_results(connection), *_graphs(connection)]


def _database(connection: sa.Connection) -> Iterator[str]:
    if connection.dialect.name == "sqlite":
        for (line,) in connection.exec_driver_sql("PRAGMA integrity_check(20)"):
            if line != "ok":
                yield f"the file is damaged: {line}"


def _dangling(connection: sa.Connection) -> Iterator[str]:
    """Rows that point at rows that are not there (foreign keys may have been off in another program)."""
    for table in (evaluations, curves, proposals):
        for column in table.c:
            for key in column.foreign_keys:
                target = key.column
                missing = sa.select(column).where(column.not_in(sa.select(target))).distinct().limit(20)
                for (value,) in connection.execute(missing):
                    yield f"{table.name} points at {target.table.name} {value!r}, which does not exist"


def _results(connection: sa.Connection) -> Iterator[str]:
    last = sa.select(curves.c.evaluation_id, sa.func.max(curves.c.epoch).label("epoch")).group_by(curves.c.evaluation_id)
    ends = last.subquery()
    query = (
        sa.select(evaluations, ends.c.epoch.label("last_epoch"), curves.c.score.label("last_score"))
        .outerjoin(ends, ends.c.evaluation_id == evaluations.c.id)
        .outerjoin(curves, sa.and_(curves.c.evaluation_id == evaluations.c.id, curves.c.epoch == ends.c.epoch))
    )
    for row in connection.execute(query):
        name = f"evaluation {row.id}"
        if row.status == "ok" and (row.score is None or not math.isfinite(row.score)):
            yield f"{name} is ok but has no score"
        if row.status == "ok" and row.last_epoch is not None and row.last_epoch != row.fidelity:
            yield f"{name} ran {row.fidelity} epochs, but its curve ends at {row.last_epoch}"
        if row.status == "ok" and row.last_score is not None and row.score is not None and row.last_score != row.score:
            yield f"{name} scored {row.score}, but its curve ends at {row.last_score}"


def _graphs(connection: sa.Connection) -> Iterator[str]:
    for row in connection.execute(sa.select(graphs).order_by(graphs.c.hash)):
        try:
            graph = Graph.from_json(row.json)
        except NetloomError as error:
            yield f"graph {row.hash} cannot be read: {error}"
            continue
        if graph.hash != row.hash:
            yield f"graph {row.hash} is not what its hash says: it has the hash {graph.hash}"
        elif (graph.num_params, graph.flops) != (row.num_params, row.flops):
            yield f"graph {row.hash} has {graph.num_params} parameters, but {row.num_params} are noted"
