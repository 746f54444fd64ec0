"""The tables of a store, and opening a database as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ..errors import StoreError, VersionError

#: Written into every store; a store of another version is refused by name.
SCHEMA_VERSION = 1

metadata = sa.MetaData()

about = sa.Table("netloom_store", metadata, sa.Column("schema_version", sa.Integer, nullable=False))

graphs = sa.Table(
    "graphs",
    metadata,
    sa.Column("hash", sa.String(80), primary_key=True),
    sa.Column("json", sa.Text, nullable=False),
    sa.Column("num_params", sa.BigInteger, nullable=False),
    sa.Column("flops", sa.BigInteger, nullable=False),
)

#: One row for each thing that was measured: the first seven columns say what, and occur together once.
evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("graph_hash", sa.ForeignKey("graphs.hash"), nullable=False, index=True),
    sa.Column("task_hash", sa.String(64), nullable=False),
    sa.Column("recipe_hash", sa.String(64), nullable=False),
    sa.Column("init", sa.String(80), nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("fidelity", sa.Integer, nullable=False),
    sa.Column("evaluator", sa.Integer, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("score", sa.Float),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("created", sa.String(32), nullable=False),
    sa.UniqueConstraint(
        "graph_hash", "task_hash", "recipe_hash", "init", "seed", "fidelity", "evaluator", name="one_result_for_one_key"
    ),
)

curves = sa.Table(
    "curves",
    metadata,
    sa.Column("evaluation_id", sa.ForeignKey("evaluations.id"), primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True),
    sa.Column("train_loss", sa.Float, nullable=False),
    sa.Column("valid_loss", sa.Float, nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("environment", sa.JSON, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("created", sa.String(32), nullable=False),
)

#: What each run asked for: ``ask`` numbers the candidates of a run, ``elapsed`` is the run's clock when the result came,
#: ``reused`` says that the result was in the store already. ``id`` keeps the order in which results were told.
proposals = sa.Table(
    "proposals",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.ForeignKey("runs.id"), nullable=False),
    sa.Column("ask", sa.Integer, nullable=False),
    sa.Column("evaluation_id", sa.ForeignKey("evaluations.id"), nullable=False),
    sa.Column("reused", sa.Boolean, nullable=False),
    sa.Column("elapsed", sa.Float, nullable=False),
    sa.UniqueConstraint("run_id", "ask", name="one_proposal_for_one_ask"),
)


def open_database(url: str, must_exist: bool = False) -> sa.Engine:
    """The engine of the store at ``url``, its tables made where the database is empty.

    Raises `StoreError` for a URL or database that cannot be used, `VersionError` for a store of another version.
    """
    engine = _engine(url, must_exist)
    try:
        with engine.execution_options(**{WRITES: True}).begin() as connection:
            found = set(sa.inspect(connection).get_table_names())
            if about.name in found:
                version = connection.execute(sa.select(about.c.schema_version)).scalar()
                if version != SCHEMA_VERSION:
                    raise VersionError(f"store {shown(url)} has version {version}; this netloom reads version {SCHEMA_VERSION}")
            elif found or must_exist:
                raise StoreError(f"{shown(url)} is a database, but not a netloom store; give the URL of another one")
            else:
                metadata.create_all(connection)
                connection.execute(about.insert().values(schema_version=SCHEMA_VERSION))
    except sa.exc.SQLAlchemyError as error:
        engine.dispose()
        raise StoreError(f"store {shown(url)} cannot be opened: {first_line(error)}") from None
    except (StoreError, VersionError):
        engine.dispose()
        raise
    return engine


def _engine(url: str, must_exist: bool) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        options: dict[str, Any] = {}
        if parsed.get_backend_name() == "sqlite":
            _check_file(url, parsed.database, must_exist)
            # The driver's timeout is SQLite's busy timeout: how long a writer waits for another.
            options["connect_args"] = {"timeout": 60, "check_same_thread": False}
            if parsed.database in (None, "", ":memory:"):
                options["poolclass"] = sa.pool.StaticPool
        engine = sa.create_engine(parsed, **options)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError) as error:
        raise StoreError(f"{shown(url)!r}: expected a URL such as sqlite:///runs.db ({first_line(error)})") from None
    except ModuleNotFoundError as error:
        raise StoreError(f"store {shown(url)} needs the package {error.name}; pip install 'netloom[postgres]'") from None
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _check_file(url: str, path: str | None, must_exist: bool) -> None:
    if path in (None, "", ":memory:"):
        if must_exist:
            raise StoreError(f"store {shown(url)} is in memory and holds nothing; give the URL of a file such as sqlite:///runs.db")
        return
    file = Path(str(path))
    if must_exist and not file.exists():
        raise StoreError(f"store {shown(url)}: there is no file {file}")
    if not file.parent.is_dir():
        raise StoreError(f"store {shown(url)}: there is no directory {file.parent}; make it first")


#: Execution option of transactions that write.
WRITES = "netloom_writes"


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says, not where the driver guesses
    cursor = connection.cursor()
    # WAL lets readers (a report, another process) work while a search writes.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later would fail at once where another process wrote in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITES) else "BEGIN")


def shown(url: str) -> str:
    """A URL as it may be shown: without its password."""
    try:
        return sa.make_url(url).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return str(url)[:200]


def first_line(error: BaseException) -> str:
    """The first line of what an exception says."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).splitlines() or [type(cause).__name__])[0]
