"""Where a store is: reading what people write as its URL, and what may be shown of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ..errors import StoreError

_EXPECTED = "expected a URL such as sqlite:///runs.db or postgresql+psycopg://user@host/database"
_SUFFIXES = (".db", ".sqlite", ".sqlite3")


def parse(url: str | os.PathLike[str]) -> sa.URL:
    """The URL of a store: SQLite or PostgreSQL (through psycopg 3), or the path of an SQLite file.

    Raises `StoreError` for anything else.

    >>> str(parse("runs.db")), str(parse("postgres://host/nets"))
    ('sqlite:///runs.db', 'postgresql+psycopg://host/nets')
    """
    if isinstance(url, os.PathLike):
        return sa.URL.create("sqlite", database=os.fspath(url))
    if isinstance(url, str) and "://" not in url and url.lower().endswith(_SUFFIXES):
        return sa.URL.create("sqlite", database=url)
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise StoreError(f"{shown(url)!r} is no store; {_EXPECTED}") from None
    backend, _, driver = parsed.drivername.partition("+")
    if backend == "sqlite" and driver in ("", "pysqlite"):
        return parsed
    if backend in ("postgresql", "postgres") and driver in ("", "psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    raise StoreError(f"{shown(url)!r}: netloom keeps stores in SQLite and in PostgreSQL (psycopg 3); {_EXPECTED}")


def shown(url: Any) -> str:
    """A URL as it may be shown: without its password.

    >>> shown("postgresql://me:secret@host/nets")
    'postgresql://me:***@host/nets'
    """
    try:
        return sa.make_url(str(url)).render_as_string(hide_password=True)
    except (sa.exc.ArgumentError, ValueError):
        return str(url)[:200]


def sqlite_file(url: sa.URL) -> Path | None:
    """The file of an SQLite store; None for one in memory and for other databases."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def is_in_memory(url: sa.URL) -> bool:
    """Whether the store is gone with its process."""
    return url.get_backend_name() == "sqlite" and sqlite_file(url) is None
