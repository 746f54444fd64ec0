"""Making the tables of a new store, and bringing those of an older one to the newest schema.

A step is a file in ``migrations/versions``; Alembic runs what is missing, in one transaction: it happens as a whole or not
at all, also when the process is killed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from .. import __version__
from ..errors import StoreError, VersionError
from .tables import SCHEMA_VERSION, about, metadata

if TYPE_CHECKING:
    from alembic.config import Config

_SCRIPTS = Path(__file__).with_name("migrations")
#: Alembic's own note of what it ran; stores of schema 1 were made before there was one.
_REVISIONS = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))


def schema_of(connection: sa.Connection) -> int | None:
    """The schema of the store in a database, None where the database is empty.

    Raises `StoreError` for a database that holds something else, `VersionError` for a schema newer than this netloom.
    """
    found = set(sa.inspect(connection).get_table_names())
    if not found:
        return None
    if about.name not in found:
        raise StoreError("it is a database, but not a netloom store; give the URL of another one")
    versions = connection.execute(sa.select(about.c.schema_version)).scalars().all()
    if len(versions) != 1 or not isinstance(versions[0], int):
        raise StoreError(f"it is a netloom store whose table {about.name} does not say its schema; restore it from a copy")
    revisions = connection.execute(sa.select(_REVISIONS)).scalars().all() if _REVISIONS.name in found else []
    unknown = [revision for revision in revisions if revision not in map(str, range(1, SCHEMA_VERSION + 1))]
    if versions[0] > SCHEMA_VERSION or unknown:
        raise VersionError(
            f"it has version {max([str(versions[0]), *unknown], key=len)} of the schema, written by a newer netloom; this one "
            f"({__version__}) reads up to {SCHEMA_VERSION}: pip install --upgrade netloom, and nothing in the store is changed"
        )
    return versions[0]


def create(connection: sa.Connection, artifacts: str | None) -> None:
    """Make the tables of the newest schema in an empty database."""
    metadata.create_all(connection)
    connection.execute(about.insert().values(schema_version=SCHEMA_VERSION, written_by=__version__, artifacts=artifacts))
    _REVISIONS.metadata.create_all(connection)
    connection.execute(_REVISIONS.insert().values(version_num=str(SCHEMA_VERSION)))


def migrate(connection: sa.Connection, version: int) -> None:
    """Bring a store of schema ``version`` to the newest one, with its data."""
    from alembic import command

    config = configuration(connection)
    if not sa.inspect(connection).has_table(_REVISIONS.name):
        command.stamp(config, str(version))
    command.upgrade(config, "head")
    connection.execute(about.update().values(schema_version=SCHEMA_VERSION, written_by=__version__))


def configuration(connection: sa.Connection) -> Config:
    """Alembic's configuration, for a database that is open."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
