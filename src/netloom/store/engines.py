"""Engines: how SQLAlchemy reaches SQLite and PostgreSQL, with what netloom's promises need of them."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from ..errors import StoreError
from .addresses import sqlite_file

#: Execution option of transactions that write.
WRITES = "netloom_writes"

#: WAL lets readers (a report, another process) work while a search writes. FULL: what was acknowledged outlives a power cut.
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536")


def make_engine(url: sa.URL, must_exist: bool, read_only: bool, wait_seconds: float) -> tuple[sa.Engine, bool]:
    """The engine for a URL and whether it can only read; `StoreError` where the driver or the file is missing."""
    if url.get_backend_name() == "postgresql":
        return _postgresql(url, read_only), read_only
    file = sqlite_file(url)
    if file is None:
        if must_exist:
            raise StoreError("it is in memory and holds nothing; give the URL of a file such as sqlite:///runs.db")
        options: dict[str, Any] = {"check_same_thread": False}
        return _prepared(sa.create_engine(url, poolclass=sa.pool.StaticPool, connect_args=options), False), False
    _check_file(file, must_exist or read_only)
    read_only = read_only or _is_read_only(file)
    if read_only:
        address = _read_only_address(file)
        options = {"timeout": wait_seconds, "check_same_thread": False, "uri": True}
        made = sa.create_engine("sqlite://", poolclass=sa.pool.QueuePool, creator=lambda: sqlite3.connect(address, **options))
        return _prepared(made, True), True
    # The driver's timeout is SQLite's busy timeout: how long a writer waits for another.
    options = {"timeout": wait_seconds, "check_same_thread": False}
    return _prepared(sa.create_engine(url, poolclass=sa.pool.QueuePool, connect_args=options), False), False


def _check_file(file: Path, must_exist: bool) -> None:
    if file.is_dir():
        raise StoreError(f"{file} is a folder; give the URL of a file such as sqlite:///{file}/runs.db")
    if must_exist and not file.exists():
        raise StoreError(f"there is no file {file}")
    if not file.parent.is_dir():
        raise StoreError(f"there is no directory {file.parent}; make it first")
    if not file.exists() and not _may(file.parent, os.W_OK):
        raise StoreError(f"there is no file {file}, and no right to make it in {file.parent.resolve()}; choose another folder")
    if file.exists() and not _may(file, os.R_OK):
        raise StoreError(f"no right to read {file}; ask for it with chmod, or as the user who made it")


def _may(path: Path, what: int) -> bool:
    return os.access(path, what, effective_ids=os.access in os.supports_effective_ids)


def _is_read_only(file: Path) -> bool:
    return file.exists() and not (_may(file, os.W_OK) and _may(file.parent, os.W_OK))


def _read_only_address(file: Path) -> str:
    # SQLite reads a WAL database by a file beside it. Where that cannot be made, and no unfinished WAL is left, nobody else
    # can be writing either, and the file is read as one that does not change.
    wal = file.with_name(file.name + "-wal")
    unchanging = not _may(file.parent, os.W_OK) and not (wal.exists() and wal.stat().st_size)
    return f"file:{quote(str(file.resolve()))}?mode=ro{'&immutable=1' if unchanging else ''}"


def _prepared(engine: sa.Engine, read_only: bool) -> sa.Engine:
    pragmas = [pragma for pragma in _PRAGMAS if not (read_only and pragma.startswith(("journal", "synchronous")))]

    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where `begun` says, not where the driver guesses
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begun(connection: sa.Connection) -> None:
        # A transaction that reads first and writes later would fail at once where another process wrote in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITES) else "BEGIN")

    sa.event.listen(engine, "connect", connected)
    sa.event.listen(engine, "begin", begun)
    return engine


def _postgresql(url: sa.URL, read_only: bool) -> sa.Engine:
    options: dict[str, Any] = {"connect_timeout": 10, "application_name": "netloom"}
    options = {name: value for name, value in options.items() if name not in url.query}
    if read_only:
        options["options"] = f"{url.query.get('options', '')} -c default_transaction_read_only=on".strip()
        url = url.difference_update_query(["options"])
    try:
        return sa.create_engine(url, pool_pre_ping=True, connect_args=options)
    except ImportError as error:
        # psycopg without its compiled part raises ImportError as well.
        raise StoreError(
            f"PostgreSQL needs the package psycopg, which cannot be imported ({error}); pip install 'netloom[postgres]'"
        ) from None
