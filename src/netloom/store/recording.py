"""Writing results: one, or thousands in a transaction; one result for one key, whoever writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ..errors import ClaimLostError, StoreError
from ..graph.graph import Graph
from .clock import timestamp
from .finding import existing, stored
from .records import INEXACT, REST, Claim, EvaluationKey, EvaluationRecord, curve_rows, result_values
from .subjects import chunks, graph_numbers, insert_new, recipe_numbers, sizes_of, task_numbers
from .tables import artifacts, claims, curves, evaluation_artifacts, evaluations

#: A graph (or the hash of one that is in the store), what was measured of it, and what came out.
Item = tuple[Graph | str, EvaluationKey, EvaluationRecord]

#: Rows of one transaction where many are written: others get their turn in between.
BATCH = 10_000

_UNIQUE = ("graph_id", "task_id", "recipe_id", *REST)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The ids of what the store holds for each key from now on, and which of them were written just now (by position)."""

    ids: list[int]
    written: list[int]


def checked(graph: Graph | str, key: EvaluationKey, result: EvaluationRecord) -> Item:
    """The item, where its parts fit each other."""
    hash = graph.hash if isinstance(graph, Graph) else graph
    if hash != key.graph_hash:
        raise StoreError(f"the key is of graph {key.graph_hash[:80]}, but the graph given has the hash {str(hash)[:80]}")
    return graph, key, result


def record(connection: sa.Connection, item: Item, claim: Claim | None) -> EvaluationRecord:
    """Store one result, under a claim or without, and give what the store holds for its key from now on."""
    _, key, _ = item
    if claim is not None:
        released = connection.execute(sa.delete(claims).where(claims.c.token == claim.token)).rowcount
        if not released:
            return _already(connection, key, claim)
    return stored(connection, record_all(connection, [item], claim.token if claim else None).ids[0])


def _already(connection: sa.Connection, key: EvaluationKey, claim: Claim) -> EvaluationRecord:
    """The claim is gone: either this very result was committed when the connection broke, or somebody took the claim over."""
    there = existing(connection, key)
    if there is not None and there.claim_token == claim.token:
        return stored(connection, there.id)
    raise ClaimLostError(
        f"the claim of {claim.holder} on graph {key.graph_hash} (seed {key.seed}, fidelity {key.fidelity}) was taken over "
        f"after {claim.grace_seconds:g} seconds without a heartbeat, and its result was not stored; use store.holding(claim) "
        "while working, or a longer grace_seconds"
    )


def record_all(
    connection: sa.Connection, items: Sequence[Item], claim_token: int | None = None, created: Sequence[str] | None = None
) -> Recorded:
    """Store results in the present transaction. ``created`` says when each came, where that is not now."""
    now = timestamp()
    subjects = _subjects(connection, items)
    numbers = _reserve(connection, len(items))
    rows = [
        {
            "id": number,
            **subject,
            **{name: getattr(key, name) for name in REST},
            **result_values(result),
            "claim_token": claim_token,
            "created": now if created is None else created[i],
        }
        for i, (number, subject, (_, key, result)) in enumerate(zip(numbers, subjects, items))
    ]
    connection.execute(insert_new(connection, evaluations, *_UNIQUE), rows)
    between = sa.select(evaluations.c.id).where(evaluations.c.id.between(min(numbers), max(numbers)))
    new = set(connection.execute(between).scalars()) & set(numbers)
    ids, written = list(numbers), []
    for i, number in enumerate(numbers):
        if number in new:
            written.append(i)
        else:
            ids[i], replaced = _replace(connection, rows[i])
            if replaced:
                written.append(i)
    _write_details(connection, [(ids[i], items[i][2]) for i in written])
    return Recorded(ids, written)


def _subjects(connection: sa.Connection, items: Sequence[Item]) -> list[dict[str, int]]:
    """The numbers of the graph, task and recipe of each item, and the size of the graph."""
    graph_ids = graph_numbers(connection, (graph for graph, _, _ in items))
    task_ids = task_numbers(connection, {key.task_hash for _, key, _ in items})
    recipe_ids = recipe_numbers(connection, {key.recipe_hash for _, key, _ in items})
    sizes = sizes_of(connection, graph_ids.values())
    return [
        {
            "graph_id": graph_ids[key.graph_hash],
            "num_params": sizes[graph_ids[key.graph_hash]],
            "task_id": task_ids[key.task_hash],
            "recipe_id": recipe_ids[key.recipe_hash],
        }
        for _, key, _ in items
    ]


def _reserve(connection: sa.Connection, count: int) -> list[int]:
    """Ids that no evaluation has, has had, or will get from another writer."""
    if connection.dialect.name == "postgresql":
        drawn = "SELECT nextval(pg_get_serial_sequence('evaluations', 'id')) FROM generate_series(1, %(count)s)"
        return list(connection.exec_driver_sql(drawn, {"count": count}).scalars())
    # The transaction holds SQLite's only write lock.
    last = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'evaluations'").scalar() or 0
    return list(range(last + 1, last + 1 + count))


def _replace(connection: sa.Connection, row: dict[str, Any]) -> tuple[int, bool]:
    """The id of what is there for the key of ``row``, and whether it was one that ``row`` could replace."""
    same_key = [evaluations.c[name] == row[name] for name in _UNIQUE]
    values = {name: value for name, value in row.items() if name not in (*_UNIQUE, "id")}
    inexact = evaluations.c.status.in_(INEXACT)
    replaced = connection.execute(sa.update(evaluations).where(*same_key, inexact).values(values)).rowcount
    number = connection.execute(sa.select(evaluations.c.id).where(*same_key)).scalar_one()
    if replaced:
        for table in (curves, evaluation_artifacts):
            connection.execute(sa.delete(table).where(table.c.evaluation_id == number))
    return int(number), bool(replaced)


def _write_details(connection: sa.Connection, written: Sequence[tuple[int, EvaluationRecord]]) -> None:
    """Curves and artifacts of results that have just been written."""
    points = [row for number, result in written for row in curve_rows(number, result.curve)]
    if points:
        connection.execute(sa.insert(curves), points)
    links = [
        {"evaluation_id": number, "role": role, "artifact_hash": hash}
        for number, result in written
        for role, hash in result.artifacts.items()
    ]
    if links:
        _check_artifacts(connection, {str(link["artifact_hash"]) for link in links})
        connection.execute(sa.insert(evaluation_artifacts), links)


def _check_artifacts(connection: sa.Connection, hashes: set[str]) -> None:
    known: set[str] = set()
    for some in chunks(hashes):
        known.update(connection.execute(sa.select(artifacts.c.hash).where(artifacts.c.hash.in_(some))).scalars())
    for hash in sorted(hashes - known):
        raise StoreError(f"there is no artifact {hash[:80]!r} in the store; add it first with store.save_weights(network)")
