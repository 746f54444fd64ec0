"""What a database's error means: whether waiting helps, and what to tell a person."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import sqlalchemy as sa

from .addresses import shown, sqlite_file

#: PostgreSQL's conditions that end by themselves: serialization failures and deadlocks, a server that stops or starts, too
#: many connections, a row that another transaction removed just before it was pointed at.
_PASSING = {"40001", "40P01", "57P01", "57P02", "57P03", "53300", "55P03", "23503"}
_READ_ONLY = {"25006", "42501"}
_FULL = {"53100", "53200"}


def is_passing(error: sa.exc.SQLAlchemyError) -> bool:
    """Whether the same transaction may succeed a moment later."""
    if not isinstance(error, sa.exc.DBAPIError):
        return isinstance(error, sa.exc.TimeoutError)
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return state in _PASSING or state.startswith("08")
    return error.connection_invalidated or (isinstance(error, sa.exc.OperationalError) and "connect" in str(cause))


def described(error: sa.exc.SQLAlchemyError, url: sa.URL, wait_seconds: float) -> str:
    """What went wrong and the mend, without the SQL."""
    cause = getattr(error, "orig", None)
    line = first_line(error)
    if is_passing(error):
        if isinstance(cause, sqlite3.Error):
            return (
                f"another process has kept it busy for {wait_seconds:g} seconds; look for one that hangs in the middle of "
                "writing, or give more time with wait_seconds="
            )
        return f"the server did not do it in {wait_seconds:g} seconds: {line}"
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause, line, url)
    state = getattr(cause, "sqlstate", None)
    if state in _FULL:
        return f"the server has no room left, and nothing of this was stored; what was stored before is whole: {line}"
    if state in _READ_ONLY:
        return f"it may only be read by this user: {line}"
    return line


def _of_sqlite(cause: sqlite3.Error, line: str, url: sa.URL) -> str:
    code = (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF
    file = sqlite_file(url)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR) and file is not None:
        return (
            f"it could not be written ({line}), and nothing of this was stored; what was stored before is whole. Make room: "
            f"{_room(file)}"
        )
    if code == sqlite3.SQLITE_READONLY:
        return f"its file or folder may not be written: {line}"
    if code == sqlite3.SQLITE_NOTADB:
        return f"the file is no SQLite database; give the URL of another one, such as {shown('sqlite:///runs.db')}"
    if code == sqlite3.SQLITE_CORRUPT:
        return f"the file is damaged ({line}); restore it from a copy"
    return line


def _room(file: Path) -> str:
    try:
        free = f"{shutil.disk_usage(file.parent).free / 2**20:,.0f} MiB are free"
        size = f"{file.stat().st_size / 2**20:,.1f} MiB is its size"
    except OSError as error:
        return str(error)
    return f"in {file.parent.resolve()} {free}, {size}, and the user may have a limit of their own (ulimit -f, quota)"


def first_line(error: BaseException) -> str:
    """The first line of what an exception says."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).splitlines() or [type(cause).__name__])[0]
