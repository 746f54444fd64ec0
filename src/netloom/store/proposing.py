"""What a run proposed, with where each candidate came from: all of a run in a few queries, for those who look at it whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from . import querying
from .tables import evaluations, graphs, parents, proposals

if TYPE_CHECKING:
    import pandas


def frame(connection: sa.Connection, run: str) -> pandas.DataFrame:
    """The evaluations of a run in the order told, as `Store.proposals` gives them."""
    made = querying.frame(connection, run, {}, None, None)
    query = (
        sa.select(proposals.c.ask, proposals.c.edit, evaluations.c.metrics)
        .join(evaluations, evaluations.c.id == proposals.c.evaluation_id)
        .where(proposals.c.run_id == run)
    )
    more = {row.ask: row for row in connection.execute(query)}
    came = _parents(connection, run)
    asks = [int(ask) for ask in made["ask"]]
    made["edit"] = [more[ask].edit for ask in asks]
    made["metrics"] = [more[ask].metrics or {} for ask in asks]
    made["parents"] = [came.get(ask, ()) for ask in asks]
    return made


def _parents(connection: sa.Connection, run: str) -> dict[int, tuple[str, ...]]:
    """Ask index → hashes of the parents, in order."""
    query = (
        sa.select(proposals.c.ask, graphs.c.hash)
        .join(parents, parents.c.proposal_id == proposals.c.id)
        .join(graphs, graphs.c.id == parents.c.graph_id)
        .where(proposals.c.run_id == run)
        .order_by(proposals.c.id, parents.c.position)
    )
    found: dict[int, tuple[str, ...]] = {}
    for row in connection.execute(query):
        found[row.ask] = (*found.get(row.ask, ()), row.hash)
    return found


def texts(connection: sa.Connection, run: str) -> dict[str, str]:
    """Hash → text of the graphs of a run and of their parents."""
    told = sa.select(evaluations.c.graph_id).join(proposals, proposals.c.evaluation_id == evaluations.c.id)
    came = sa.select(parents.c.graph_id).join(proposals, proposals.c.id == parents.c.proposal_id)
    wanted = graphs.c.id.in_(sa.union(told.where(proposals.c.run_id == run), came.where(proposals.c.run_id == run)))
    found: dict[str, str] = {}
    for row in connection.execute(sa.select(graphs.c.hash, graphs.c.text).where(wanted, graphs.c.text.is_not(None))):
        found[row.hash] = row.text
    for row in connection.execute(sa.select(graphs.c.hash, graphs.c.json).where(wanted, graphs.c.text.is_(None))):
        found[row.hash] = _read(row.json)
    return found


def _read(json: str) -> str:
    """The text of a graph that was stored before texts were."""
    from ..graph.graph import Graph

    return Graph.from_json(json).to_text()
