"""Runs: what a strategy asked for, what it was told, and where its candidates came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from ..errors import StoreError
from .clock import timestamp
from .finding import JOINED
from .records import Lineage, finite
from .subjects import graph_numbers, insert_one
from .tables import curves, evaluation_artifacts, evaluations, graphs, parents, proposals, runs


def add(connection: sa.Connection, values: Mapping[str, Any]) -> None:
    """Begin the record of a run; `StoreError` where another one has its id."""
    if not insert_one(connection, runs, values, "id"):
        there = connection.execute(sa.select(runs.c.created).where(runs.c.id == values["id"])).scalar()
        if there != values["created"]:  # not this very insertion, done again because the connection broke in its commit
            raise StoreError(f"there is a run {values['id'][:80]!r} already; give another id")


def run_values(
    id: str, settings: Mapping[str, Any], environment: Mapping[str, Any], strategy: str | None, seed: int | None
) -> dict[str, Any]:
    """The columns of a run that begins now; `StoreError` for settings that are not JSON values."""
    now = timestamp()
    strategy = settings.get("strategy", "") if strategy is None else strategy
    seed = settings.get("seed") if seed is None else seed
    return {
        "id": str(id),
        "strategy": str(strategy),
        "seed": seed if isinstance(seed, int) else None,
        "settings": json_values("settings", dict(settings)),
        "environment": json_values("environment", dict(environment)),
        "status": "running",
        "seconds": 0.0,
        "created": now,
        "updated": now,
    }


def json_values(what: str, value: Any) -> Any:
    """``value`` as JSON gives it back; `StoreError` for what JSON cannot say."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise StoreError(f"{what} of a run are JSON values (numbers, words, lists, dicts): {error}") from None


def update(connection: sa.Connection, id: str, status: str, seconds: float) -> None:
    """Note how far a run has come."""
    values = {"status": status, "seconds": float(seconds), "updated": timestamp()}
    connection.execute(sa.update(runs).where(runs.c.id == id).values(**values))


def get(connection: sa.Connection, id: str) -> dict[str, Any]:
    """The record of a run; `StoreError` names the latest where there is none."""
    row = connection.execute(sa.select(runs).where(runs.c.id == id)).first()
    if row is None:
        latest = connection.execute(sa.select(runs.c.id).order_by(runs.c.created.desc()).limit(5)).scalars()
        raise StoreError(f"it has no run {str(id)[:80]!r}; the latest are: {', '.join(latest) or 'none'}")
    return dict(row._mapping)


def add_proposal(
    connection: sa.Connection,
    run: str,
    ask: int,
    evaluation_id: int,
    *,
    reused: bool,
    elapsed: float,
    lineage: Lineage,
    again: bool,
) -> None:
    """Note what the candidate number ``ask`` of a run came to, and where it came from.

    ``again``: the connection broke in an earlier commit of this very proposal, which may be there.
    """
    values = {
        "run_id": run,
        "ask": int(ask),
        "evaluation_id": int(evaluation_id),
        "reused": bool(reused),
        "elapsed": float(elapsed),
        "edit": json_values("the edit", lineage.edit),
        "proposed_by": lineage.proposed_by,
        "scored_by": lineage.scored_by,
        "predicted_score": finite(lineage.predicted_score),
        "initialised_by": lineage.initialised_by,
    }
    get(connection, run)
    if connection.execute(sa.select(evaluations.c.id).where(evaluations.c.id == evaluation_id)).first() is None:
        raise StoreError(f"run {run}: there is no evaluation number {evaluation_id}; record it before its proposal")
    if not insert_one(connection, proposals, values, "run_id", "ask"):
        there = connection.execute(sa.select(proposals).where(proposals.c.run_id == run, proposals.c.ask == ask)).one()
        if not again or (there.evaluation_id, there.elapsed) != (values["evaluation_id"], values["elapsed"]):
            raise StoreError(f"run {run} has told what became of candidate {ask} already; every ask index is used once")
        return
    if lineage.parents:
        this = (proposals.c.run_id == run, proposals.c.ask == ask)
        number = connection.execute(sa.select(proposals.c.id).where(*this)).scalar_one()
        numbers = graph_numbers(connection, lineage.parents)
        rows = [{"proposal_id": number, "position": i, "graph_id": numbers[hash]} for i, hash in enumerate(lineage.parents)]
        connection.execute(sa.insert(parents), rows)


def delete(connection: sa.Connection, id: str, keep_evaluations: bool) -> int:
    """Remove a run, and, unless they are kept, the evaluations that it made and nobody else uses; gives their number."""
    get(connection, id)
    of_run = sa.select(proposals.c.id).where(proposals.c.run_id == id)
    made = sa.select(proposals.c.evaluation_id).where(proposals.c.run_id == id, proposals.c.reused.is_(False))
    candidates = [] if keep_evaluations else list(connection.execute(made).scalars())
    connection.execute(sa.delete(parents).where(parents.c.proposal_id.in_(of_run)))
    connection.execute(sa.delete(proposals).where(proposals.c.run_id == id))
    connection.execute(sa.delete(runs).where(runs.c.id == id))
    deleted = 0
    for number in candidates:
        if connection.execute(sa.select(proposals.c.id).where(proposals.c.evaluation_id == number).limit(1)).first():
            continue
        for table in (curves, evaluation_artifacts):
            connection.execute(sa.delete(table).where(table.c.evaluation_id == number))
        deleted += connection.execute(sa.delete(evaluations).where(evaluations.c.id == number)).rowcount
    return deleted


def lineage_rows(connection: sa.Connection, hash: str, run: str | None) -> list[dict[str, Any]]:
    """The graph and all its ancestors, nearest first, each with how it was made and scored."""
    rows: list[dict[str, Any]] = []
    seen, generation, depth = {hash}, [hash], 0
    while generation:
        found = _proposals_of(connection, generation, run)
        parents_of = _parents_of(connection, [row["proposal_id"] for row in found])
        following: list[str] = []
        for row in found:
            row["parents"] = parents_of.get(row.pop("proposal_id"), [])
            following += [parent for parent in row["parents"] if parent not in seen]
            seen.update(row["parents"])
            rows.append({"generation": depth, **row})
        generation, depth = following, depth + 1
    return rows


def _proposals_of(connection: sa.Connection, hashes: list[str], run: str | None) -> list[dict[str, Any]]:
    query = (
        sa.select(
            graphs.c.hash.label("graph_hash"), evaluations.c.score, proposals.c.proposed_by, proposals.c.edit,
            proposals.c.scored_by, proposals.c.predicted_score, proposals.c.initialised_by, proposals.c.run_id, proposals.c.ask,
            proposals.c.id.label("proposal_id"),
        )
        .select_from(JOINED.join(proposals, proposals.c.evaluation_id == evaluations.c.id))
        .where(graphs.c.hash.in_(hashes))
        .order_by(proposals.c.id)
    )  # fmt: skip
    if run is not None:
        query = query.where(proposals.c.run_id == run)
    return [dict(row._mapping) for row in connection.execute(query)]


def _parents_of(connection: sa.Connection, numbers: list[int]) -> dict[int, list[str]]:
    query = (
        sa.select(parents.c.proposal_id, graphs.c.hash)
        .join(graphs, graphs.c.id == parents.c.graph_id)
        .where(parents.c.proposal_id.in_(numbers))
        .order_by(parents.c.proposal_id, parents.c.position)
    )
    found: dict[int, list[str]] = {}
    for row in connection.execute(query):
        found.setdefault(row.proposal_id, []).append(row.hash)
    return found
