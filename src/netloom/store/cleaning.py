"""Giving room back: what `Store.vacuum` removes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from .artifacts import YOUNG_SECONDS, Folder
from .claiming import delete_dead
from .database import Database
from .tables import artifacts, evaluation_artifacts, evaluations, graphs, parents, recipes, tasks


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a vacuum removed, and the size of the database before and after."""

    claims: int
    files: int
    rows: int
    bytes_before: int
    bytes_after: int

    def __str__(self) -> str:
        return (
            f"{self.claims:,} dead claims, {self.files:,} files and {self.rows:,} unused rows removed; "
            f"{self.bytes_before / 2**20:,.1f} MiB before, {self.bytes_after / 2**20:,.1f} MiB after"
        )


def vacuum(database: Database, folder: Folder | None, unused: bool) -> Cleaned:
    """Remove rows, then the files that nothing names any more, then give room back."""
    before = database.read(size_of)
    claims, rows = database.write(lambda connection: remove_rows(connection, unused))
    known = database.read(lambda connection: set(connection.execute(sa.select(artifacts.c.hash)).scalars()))
    removed = remove_files(folder, known) if folder is not None else 0
    database.outside(shrink)
    return Cleaned(claims, removed, rows, before, database.read(size_of))


def remove_rows(connection: sa.Connection, unused: bool) -> tuple[int, int]:
    """Remove dead claims and, if ``unused``, rows that no evaluation or lineage needs; gives both numbers."""
    claims = delete_dead(connection)
    if not unused:
        return claims, 0
    rows = 0
    needed = {
        graphs: (evaluations.c.graph_id, parents.c.graph_id),
        tasks: (evaluations.c.task_id,),
        recipes: (evaluations.c.recipe_id,),
    }
    for table, columns in needed.items():
        unreferenced = [~sa.exists().where(column == table.c.id) for column in columns]
        rows += connection.execute(sa.delete(table).where(*unreferenced)).rowcount
    # An artifact may be where evaluations began, without being what one of them came to.
    begun_from = ~sa.exists().where(evaluations.c.init == artifacts.c.hash)
    linked = ~sa.exists().where(evaluation_artifacts.c.artifact_hash == artifacts.c.hash)
    # A young one may belong to a result that is still on its way.
    old = artifacts.c.created < (datetime.now(UTC) - timedelta(seconds=YOUNG_SECONDS)).isoformat()
    rows += connection.execute(sa.delete(artifacts).where(linked, begun_from, old)).rowcount
    return claims, rows


def remove_files(folder: Folder, known: set[str]) -> int:
    """Remove old files that no row names: what a killed process left, and what `remove_rows` let go."""
    removed = 0
    for hash in folder.old_hashes():
        if hash not in known:
            folder.remove(hash)
            removed += 1
    return removed


def shrink(execute: Callable[[str], Any], dialect: str) -> None:
    """Have the database give unused pages back and count its rows anew."""
    of_sqlite = ("VACUUM", "ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)")
    for statement in ("VACUUM ANALYZE",) if dialect == "postgresql" else of_sqlite:
        execute(statement)


def size_of(connection: sa.Connection) -> int:
    """Bytes of the database."""
    if connection.dialect.name == "postgresql":
        return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
