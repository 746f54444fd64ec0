"""A store's database: opened, its schema made or brought up to date, and its transactions.

Every piece of work is a function of a connection that may be called again: when the database is busy, restarts, or ends a
deadlock, the whole transaction is done anew until ``wait_seconds`` are over. Work is written so that doing it twice is doing
it once, for whether a commit succeeded cannot be known when the connection breaks in it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import sqlalchemy as sa

from ..errors import NetloomError, StoreError
from . import migrating
from .addresses import is_in_memory, parse, shown
from .engines import WRITES, make_engine
from .failures import described, is_passing
from .tables import SCHEMA_VERSION, about

T = TypeVar("T")

_LONGEST_PAUSE_SECONDS = 0.5


class Database:
    """An open database with the tables of a store.

    Raises `StoreError` for a URL or database that cannot be used, `VersionError` for a store of a newer schema.
    """

    def __init__(
        self, url: str | os.PathLike[str], *, must_exist: bool, read_only: bool, wait_seconds: float, artifacts: str | None
    ) -> None:
        self.url = parse(url)
        self.shown = shown(self.url)
        self.wait_seconds = wait_seconds
        try:
            self.engine, self.read_only = make_engine(self.url, must_exist, read_only, wait_seconds)
            self.dialect = self.engine.dialect.name
            self._writer = self.engine.execution_options(**{WRITES: True})
            # One connection is all there is of a database in memory: threads take turns.
            self._lock: Any = threading.RLock() if is_in_memory(self.url) else contextlib.nullcontext()
            _forget_after_fork(self)
            self._prepare(must_exist, artifacts)
        except NetloomError as error:
            self.close()
            raise type(error)(f"store {self.shown}: {error}") from error.__cause__

    def close(self) -> None:
        """Let go of the database."""
        if hasattr(self, "engine"):
            self.engine.dispose()

    # -- transactions ----------------------------------------------------------------------------------------------
    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """What ``work`` gives, in one transaction that sees one state of the store."""
        return self._told(work, write=False, wait_seconds=self.wait_seconds)

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """What ``work`` gives, committed as a whole or not at all. ``work`` may be called more than once."""
        if self.read_only:
            raise StoreError(f"store {self.shown} is open for reading alone: its file or folder may not be written")
        return self._told(work, write=True, wait_seconds=self.wait_seconds)

    def _told(self, work: Callable[[sa.Connection], T], write: bool, wait_seconds: float) -> T:
        try:
            return self._repeated(work, write, wait_seconds)
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"store {self.shown}: {described(error, self.url, self.wait_seconds)}") from error
        except StoreError as error:
            if str(error).startswith("store "):
                raise
            raise type(error)(f"store {self.shown}: {error}") from error.__cause__

    def _repeated(self, work: Callable[[sa.Connection], T], write: bool, wait_seconds: float) -> T:
        end, pause = time.monotonic() + wait_seconds, 0.01
        while True:
            try:
                with self._lock, self._begin(write) as connection:
                    return work(connection)
            except sa.exc.SQLAlchemyError as error:
                if not is_passing(error) or time.monotonic() + pause > end:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def outside(self, work: Callable[[Callable[[str], Any], str], T]) -> T:
        """What ``work`` gives, called with a function that executes a statement outside of any transaction."""
        try:
            with self._lock, contextlib.closing(self.engine.raw_connection()) as raw:
                connection: Any = raw.driver_connection
                kept = getattr(connection, "autocommit", None)
                if self.dialect == "postgresql":
                    connection.autocommit = True
                try:
                    return work(connection.execute, self.dialect)
                finally:
                    if self.dialect == "postgresql":
                        connection.autocommit = kept
        except Exception as error:
            if isinstance(error, self.engine.dialect.loaded_dbapi.Error):
                raise StoreError(f"store {self.shown}: {error}") from error
            raise

    @contextlib.contextmanager
    def _begin(self, write: bool) -> Iterator[sa.Connection]:
        with (self._writer if write else self.engine).begin() as connection:
            if self.dialect == "postgresql" and not write:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield connection

    # -- schema ----------------------------------------------------------------------------------------------------
    def _prepare(self, must_exist: bool, artifacts: str | None) -> None:
        """Make the tables where there are none, migrate them where they are old."""
        # A server that does not answer is more often a wrong URL than a restart: whoever opens is told soon.
        patience = self.wait_seconds if self.dialect == "sqlite" else min(self.wait_seconds, 2.0)
        try:
            if self._repeated(migrating.schema_of, False, patience) == SCHEMA_VERSION and artifacts is None:
                return
            if self.read_only:
                self._repeated(self._check_readable, False, patience)
            else:
                self._repeated(lambda connection: self._make(connection, must_exist, artifacts), True, self.wait_seconds)
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"it cannot be opened: {described(error, self.url, patience)}") from error

    def _make(self, connection: sa.Connection, must_exist: bool, artifacts: str | None) -> None:
        if self.dialect == "postgresql":
            # Two processes that open a new or old store at once take turns; any number that is always the same will do.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7234901)")
        version = migrating.schema_of(connection)
        if version is None:
            if must_exist:
                raise StoreError("it is a database without tables, but not a netloom store; give the URL of another one")
            migrating.create(connection, artifacts)
        elif version < SCHEMA_VERSION:
            migrating.migrate(connection, version)
        if artifacts is not None:
            connection.execute(about.update().values(artifacts=artifacts))

    def _check_readable(self, connection: sa.Connection) -> None:
        version = migrating.schema_of(connection)
        if version is None:
            raise StoreError("it is a database without tables, but not a netloom store; give the URL of another one")
        if version < SCHEMA_VERSION:
            raise StoreError(
                f"it has schema {version} and must be brought to schema {SCHEMA_VERSION}, but may not be written; open it "
                "where it may, or a copy of it"
            )


_DATABASES: weakref.WeakSet[Database] = weakref.WeakSet()


def _forget_after_fork(database: Database) -> None:
    """A forked child must never use connections of its parent: it opens its own."""
    _DATABASES.add(database)


def _drop_connections() -> None:
    for database in list(_DATABASES):
        if not is_in_memory(database.url):
            database.engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_connections)
