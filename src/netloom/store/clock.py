"""Time: as stores write it, and by the clock that all who use a store share."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import sqlalchemy as sa


def timestamp() -> str:
    """The time in UTC, as stores write it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def seconds_now(connection: sa.Connection) -> float:
    """Seconds since 1970 by the server's clock, or this machine's for SQLite: workers' clocks need not agree."""
    if connection.dialect.name == "postgresql":
        return float(connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one())
    return time.time()
