"""Looking results up by their key."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from ..errors import StoreError
from .records import HASHES, REST, EvaluationKey, EvaluationRecord, curve_of, key_values
from .tables import curves, evaluation_artifacts, evaluations, graphs, recipes, tasks

_SUBJECTS = {"graph_hash": graphs, "task_hash": tasks, "recipe_hash": recipes}

#: Evaluations with what they are about.
JOINED = (
    evaluations.join(graphs, graphs.c.id == evaluations.c.graph_id)
    .join(tasks, tasks.c.id == evaluations.c.task_id)
    .join(recipes, recipes.c.id == evaluations.c.recipe_id)
)
#: The columns of a key, as they are called in `EvaluationKey`.
KEY_COLUMNS = [*(_SUBJECTS[name].c.hash.label(name) for name in HASHES), *(evaluations.c[name] for name in REST)]

# Written once: SQLAlchemy would take longer to put this together than SQLite to answer it.
_BY_KEY = sa.select(evaluations).where(
    *(
        evaluations.c[name.replace("_hash", "_id")]
        == sa.select(table.c.id).where(table.c.hash == sa.bindparam(name)).scalar_subquery()
        for name, table in _SUBJECTS.items()
    ),
    *(evaluations.c[name] == sa.bindparam(name) for name in REST),
)
_BY_ID = sa.select(evaluations).where(evaluations.c.id == sa.bindparam("id"))
_CURVE = sa.select(curves).where(curves.c.evaluation_id == sa.bindparam("id")).order_by(curves.c.epoch)
_ARTIFACTS = sa.select(evaluation_artifacts).where(evaluation_artifacts.c.evaluation_id == sa.bindparam("id"))
_KEY_OF = sa.select(*KEY_COLUMNS).select_from(JOINED).where(evaluations.c.id == sa.bindparam("id"))


def existing(connection: sa.Connection, key: EvaluationKey) -> Any | None:
    """The row of the evaluation of ``key``, or None."""
    return connection.execute(_BY_KEY, key_values(key)).first()


def find(connection: sa.Connection, key: EvaluationKey) -> EvaluationRecord | None:
    """The stored result of ``key``, or None."""
    row = existing(connection, key)
    return None if row is None else _record(connection, row)


def stored(connection: sa.Connection, id: int) -> EvaluationRecord:
    """The result number ``id``, which exists."""
    return _record(connection, connection.execute(_BY_ID, {"id": id}).one())


def found_by_id(connection: sa.Connection, id: int) -> tuple[EvaluationKey, EvaluationRecord] | None:
    """Key and result number ``id``, or None."""
    row = connection.execute(_KEY_OF, {"id": id}).first()
    return None if row is None else (key_of_row(row), stored(connection, id))


def key_of_row(row: Any) -> EvaluationKey:
    """The key in a row that has `KEY_COLUMNS`."""
    return EvaluationKey(**{name: getattr(row, name) for name in (*HASHES, *REST)})


def graph_json(connection: sa.Connection, hash: str) -> str:
    """The JSON of the graph with this hash, or with the only hash that begins so."""
    query = sa.select(graphs.c.hash, graphs.c.json)
    rows = connection.execute(query.where(graphs.c.hash == hash)).all()
    if not rows:
        rows = connection.execute(query.where(graphs.c.hash.startswith(hash, autoescape=True)).limit(2)).all()
    if len(rows) != 1:
        many = "more than one graph" if rows else "no graph"
        raise StoreError(f"it has {many} whose hash begins with {hash[:80]!r}")
    return str(rows[0].json)


def curve(connection: sa.Connection, id: int) -> Any:
    """The learning curve of the evaluation number ``id``."""
    return curve_of(dict(row._mapping) for row in connection.execute(_CURVE, {"id": id}))


def _record(connection: sa.Connection, row: Any) -> EvaluationRecord:
    linked = {link.role: link.artifact_hash for link in connection.execute(_ARTIFACTS, {"id": row.id})}
    return EvaluationRecord(
        row.status, row.score, row.seconds, row.error, curve(connection, row.id), row.id, row.metrics or {}, linked
    )
