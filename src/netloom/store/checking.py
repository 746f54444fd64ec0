"""Is a store whole? What `Store.check` looks at."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from ..errors import NetloomError, StoreError
from ..graph.graph import Graph
from .artifacts import Folder
from .tables import artifacts, curves, evaluations, graphs, metadata, recipes

#: Of one kind of damage so many places are named.
MOST_NAMED = 20

#: Settings of a recipe that may end a training before its last epoch.
_LIMITS = ("patience", "max_steps", "max_multiply_adds", "max_seconds")


def problems(connection: sa.Connection, quick: bool) -> list[str]:
    """Every broken promise of the database, one sentence each; ``quick`` does not read every graph."""
    found = [*_database(connection, quick), *_dangling(connection), *_scores(connection), *_curves(connection)]
    return found if quick else [*found, *_graphs(connection)]


def _database(connection: sa.Connection, quick: bool) -> Iterator[str]:
    if connection.dialect.name == "sqlite":
        for (line,) in connection.exec_driver_sql(f"PRAGMA {'quick_check' if quick else 'integrity_check'}({MOST_NAMED})"):
            if line != "ok":
                yield f"the file is damaged: {line}"


def _dangling(connection: sa.Connection) -> Iterator[str]:
    """Rows that point at rows that are not there (foreign keys may have been off in another program)."""
    for table in metadata.sorted_tables:
        for column in table.c:
            for key in column.foreign_keys:
                target = key.column
                there = sa.exists().where(target == column)
                missing = sa.select(column).where(column.is_not(None), ~there).distinct().limit(MOST_NAMED)
                for (value,) in connection.execute(missing):
                    yield f"{table.name} points at {target.table.name} {value!r}, which does not exist"


def _scores(connection: sa.Connection) -> Iterator[str]:
    ok = evaluations.c.status == "ok"
    without = sa.select(evaluations.c.id).where(ok, evaluations.c.score.is_(None)).limit(MOST_NAMED)
    for id in connection.execute(without).scalars():
        yield f"evaluation {id} is ok but has no score"
    other = sa.select(evaluations.c.id).join(graphs, graphs.c.id == evaluations.c.graph_id)
    for id in connection.execute(other.where(evaluations.c.num_params != graphs.c.num_params).limit(MOST_NAMED)).scalars():
        yield f"evaluation {id} notes another number of parameters than its graph"
    # No database gives an infinite number back that nobody put there by hand.
    for id, score in connection.execute(
        sa.select(evaluations.c.id, evaluations.c.score).where(sa.func.abs(evaluations.c.score) > 1e300).limit(MOST_NAMED)
    ):
        if not math.isfinite(score):
            yield f"evaluation {id} has the score {score}"


def _curves(connection: sa.Connection) -> Iterator[str]:
    """Learning curves that are not those of the evaluations that they belong to."""
    of = curves.c.evaluation_id
    ends = sa.select(of, sa.func.max(curves.c.epoch).label("epoch")).group_by(of).subquery()
    of_end = sa.and_(of == ends.c.evaluation_id, curves.c.epoch == ends.c.epoch)
    points = curves.alias()
    same_score = sa.exists().where(points.c.evaluation_id == evaluations.c.id, points.c.score == evaluations.c.score)
    differs = sa.or_(ends.c.epoch != evaluations.c.fidelity, curves.c.score != evaluations.c.score)
    query = (
        sa.select(
            evaluations.c.id, evaluations.c.fidelity, evaluations.c.score, ends.c.epoch.label("last_epoch"),
            curves.c.score.label("last_score"), same_score.label("agrees"), recipes.c.fields,
        )
        .select_from(evaluations.join(ends, ends.c.evaluation_id == evaluations.c.id).join(curves, of_end).join(recipes))
        .where(evaluations.c.status == "ok", differs)
        .order_by(evaluations.c.id)
    )  # fmt: skip
    named = 0
    for row in connection.execute(query):
        wrong = [*_length(row), *_end(row)]
        yield from wrong
        named += bool(wrong)
        if named >= MOST_NAMED:
            return


def _length(row: Any) -> Iterator[str]:
    may_end_early = any((row.fields or {}).get(name) for name in _LIMITS)
    if row.last_epoch > row.fidelity or (row.last_epoch < row.fidelity and not may_end_early):
        yield f"evaluation {row.id} ran {row.fidelity} epochs, but its curve ends at {row.last_epoch}"


def _end(row: Any) -> Iterator[str]:
    # The score may be that of the best epoch, where those weights were kept.
    if row.score is not None and row.last_score is not None and not row.agrees:
        yield f"evaluation {row.id} scored {row.score}, but its curve ends at {row.last_score}"


def _graphs(connection: sa.Connection) -> Iterator[str]:
    for row in connection.execution_options(yield_per=100).execute(sa.select(graphs).order_by(graphs.c.id)):
        try:
            graph = Graph.from_json(row.json)
        except NetloomError as error:
            yield f"graph {row.hash} cannot be read: {error}"
            continue
        if graph.hash != row.hash:
            yield f"graph {row.hash} is not what its hash says: it has the hash {graph.hash}"
            continue
        for name, here, noted in (
            ("parameters", graph.num_params, row.num_params),
            ("FLOPs", graph.flops, row.flops),
        ):
            if here != noted:
                yield f"graph {row.hash} has {here} {name}, but {noted} are noted"


def known_artifacts(connection: sa.Connection) -> list[tuple[str, int]]:
    """Hash and size of every artifact that the store notes."""
    return [(row.hash, row.num_bytes) for row in connection.execute(sa.select(artifacts).order_by(artifacts.c.hash))]


def artifact_problems(folder: Folder, known: list[tuple[str, int]], quick: bool) -> Iterator[str]:
    """Files that are missing or are not what their hash says; ``quick`` compares sizes alone."""
    for hash, num_bytes in known:
        found = folder.num_bytes(hash)
        if found is None:
            yield f"artifact {hash} is missing from {folder!r}"
        elif found != num_bytes:
            yield f"artifact {hash} in {folder!r} has {found:,} bytes where {num_bytes:,} were written"
        elif not quick:
            try:
                data = folder.get(hash)
            except StoreError as error:
                yield str(error)
                continue
            if hashlib.sha256(data).hexdigest() != hash:
                yield f"artifact {hash} in {folder!r} is damaged: its contents have another hash"
