"""Export, import and merging: pages of rows from one place to another, and the weights that they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ..errors import NetloomError, StoreError
from . import artifacts as files
from . import parquet
from .addresses import is_in_memory
from .database import Database
from .exchange import KINDS, Rows
from .receiving import Received, receive
from .tables import artifacts

Told = Callable[[str, int], None]
#: Where artifacts lie, asked for only if there are some: a server's store may have no place for them.
Place = Callable[[], files.Folder]


def no_one(kind: str, rows: int) -> None:
    """Tell nobody how far it has come."""


def export(database: Database, folder: files.Folder | None, path: Path, told: Told, filters: dict[str, Any]) -> None:
    """Write a store to a folder, or evaluations to one file; with ``folder`` of its weights, those as well."""
    if path.suffix.lower() == ".parquet":
        if folder is not None:
            raise StoreError("one file holds no weights; export to a folder, given by a name without .parquet")
        database.read(lambda connection: parquet.write_file(connection, path, filters, told))
        return
    if filters:
        raise StoreError(f"a folder holds the whole store; filters ({', '.join(filters)}) go with a path that ends in .parquet")
    database.read(lambda connection: parquet.write_folder(connection, path, told))
    if folder is None:
        return
    copies = files.LocalFolder(path / "artifacts")
    for hash in database.read(lambda connection: list(connection.execute(sa.select(artifacts.c.hash)).scalars())):
        copies.put(hash, files.read(folder, hash))
        told("weights", 1)


def import_from(database: Database, place: Place, path: Path, told: Told) -> Received:
    """Take in what `export` wrote."""
    copies = files.LocalFolder(path / "artifacts")
    try:
        return _taken(database, parquet.read_pages(path), place, lambda: copies, trusted=False, told=told)
    except NetloomError as error:
        raise type(error)(f"{error}; it was importing {path}") from error.__cause__


def merge(database: Database, source: Database, places: tuple[Place, Place], with_artifacts: bool, told: Told) -> Received:
    """Take in everything of another store, as it is at one moment."""
    if database is source or (database.url == source.url and not is_in_memory(database.url)):
        raise StoreError(f"store {database.shown} cannot be merged into itself")

    def work(connection: sa.Connection) -> Received:
        pages = ((kind, page) for kind, read in KINDS.items() for page in read(connection))
        return _taken(database, pages, places[0], places[1] if with_artifacts else None, trusted=True, told=told)

    return source.read(work)


def _taken(
    database: Database, pages: Iterator[tuple[str, Rows]], place: Place, theirs: Place | None, trusted: bool, told: Told
) -> Received:
    received = Received()
    for kind, page in pages:
        rows = _with_files(database, page, place, theirs) if kind == "artifacts" else page
        # Counted afresh where the transaction is done again.
        counted = database.write(lambda connection, kind=kind, rows=rows: _received(connection, kind, rows, trusted))  # type: ignore[misc]
        received.add(counted)
        told(kind, len(page))
    return received


def _received(connection: sa.Connection, kind: str, rows: Rows, trusted: bool) -> Received:
    received = Received()
    if rows:
        receive(connection, kind, rows, received, trusted)
    return received


def _with_files(database: Database, page: Rows, place: Place, theirs: Place | None) -> Rows:
    """The artifacts whose files are here now; of the others nothing is noted."""
    if theirs is None or not page:
        return []
    source, target, here = theirs(), place(), []
    known = database.read(lambda connection: set(connection.execute(sa.select(artifacts.c.hash)).scalars()))
    for row in page:
        if row["hash"] not in known:
            if source.num_bytes(row["hash"]) is None:
                continue
            data = files.read(source, row["hash"])
            target.put(row["hash"], data)
            row["num_bytes"] = len(data)
        here.append(row)
    return here
