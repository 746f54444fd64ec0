"""Evaluations as DataFrames, filtered and ordered by the database."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ..errors import StoreError
from .finding import JOINED, KEY_COLUMNS
from .records import CURVE_COLUMNS, HASHES, REST
from .subjects import hashes_like
from .tables import artifacts, claims, curves, evaluations, graphs, proposals, recipes, runs, tasks

if TYPE_CHECKING:
    import pandas

_COLUMNS = [
    evaluations.c.id,
    *KEY_COLUMNS,
    *(evaluations.c[name] for name in ("status", "score", "seconds", "error", "created")),
    evaluations.c.num_params,
    graphs.c.flops,
    tasks.c.name.label("task"),
    recipes.c.name.label("recipe"),
]
_OF_RUN = [
    *(proposals.c[name] for name in ("reused", "elapsed", "proposed_by", "scored_by", "predicted_score", "initialised_by"))
]
_NUMBERS = {"score": "float64", "seconds": "float64"}

#: Filters that compare one column with one value, or, where a list is given, with any of its values.
_EQUAL = ("status", "init", "seed", "fidelity", "evaluator")
_BOUNDS = {
    "min_score": (evaluations.c.score, operator.ge),
    "max_score": (evaluations.c.score, operator.le),
    "min_params": (evaluations.c.num_params, operator.ge),
    "max_params": (evaluations.c.num_params, operator.le),
    "min_flops": (graphs.c.flops, operator.ge),
    "max_flops": (graphs.c.flops, operator.le),
    "since": (evaluations.c.created, operator.ge),
}
FILTERS = ("task", "recipe", "graph", *_EQUAL, *_BOUNDS)


def frame(
    connection: sa.Connection, run: str | None, filters: dict[str, Any], order: str | None, limit: int | None
) -> pandas.DataFrame:
    """The evaluations that pass the filters, or those of one run, as `Store.evaluations` gives them."""
    columns = list(_COLUMNS)
    source: sa.FromClause = JOINED
    if run is not None:
        columns = [proposals.c.ask, *columns, *_OF_RUN]
        source = source.join(proposals, proposals.c.evaluation_id == evaluations.c.id)
    query = sa.select(*columns).select_from(source).where(*conditions(connection, filters))
    if run is not None:
        query = query.where(proposals.c.run_id == run)
    first = proposals.c.id if run is not None else evaluations.c.id
    query = query.order_by(*_order(order, columns), first).limit(_limit(limit))
    return as_frame(connection.execute(query))


def best(connection: sa.Connection, n: int, run: str | None, filters: dict[str, Any], distinct: bool) -> pandas.DataFrame:
    """The ``n`` best evaluations, as `Store.best` gives them."""
    rows: list[Any] = []
    seen: set[str] = set()
    query = _ranked(connection, run, filters)
    offset, size = 0, max(n, 1)
    while len(rows) < n:
        result = connection.execute(query.limit(size).offset(offset))
        found = result.all()
        for row in found:
            if not distinct or row.graph_hash not in seen:
                rows.append(row)
                seen.add(row.graph_hash)
        if len(found) < size:
            break
        # Networks that were scored many times over take more rows than there are networks.
        offset, size = offset + size, 4 * size
    return _typed(rows[:n], [column.name for column in _COLUMNS])


def _ranked(connection: sa.Connection, run: str | None, filters: dict[str, Any]) -> sa.Select[Any]:
    query = sa.select(*_COLUMNS).select_from(JOINED).where(evaluations.c.score.is_not(None), *conditions(connection, filters))
    if run is not None:
        query = query.where(evaluations.c.id.in_(sa.select(proposals.c.evaluation_id).where(proposals.c.run_id == run)))
    return query.order_by(evaluations.c.score.desc(), evaluations.c.num_params, evaluations.c.id)


def conditions(connection: sa.Connection, filters: dict[str, Any]) -> list[Any]:
    """The filters as conditions on `JOINED`; `StoreError` for one that there is not, or that makes no sense."""
    made: list[Any] = []
    for name, value in filters.items():
        if name not in FILTERS:
            near = difflib.get_close_matches(name, FILTERS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there is: {', '.join(FILTERS)}"
            raise StoreError(f"evaluations have no filter {name!r}; {hint}")
        if value is None:
            continue
        if name in ("task", "recipe"):
            table, column = (tasks, evaluations.c.task_id) if name == "task" else (recipes, evaluations.c.recipe_id)
            # A single number, where it is one, lets the database read its index from the end.
            numbers = hashes_like(connection, table, value)
            made.append(column == numbers[0] if len(numbers) == 1 else column.in_(numbers))
        elif name == "graph":
            made.append(graphs.c.hash == getattr(value, "hash", value))
        elif name in _EQUAL:
            column = evaluations.c[name]
            made.append(column.in_(list(value)) if isinstance(value, list | tuple | set) else column == value)
        else:
            column, compared = _BOUNDS[name]
            made.append(compared(column, _bound(name, value)))
    return made


def _bound(name: str, value: Any) -> Any:
    if name == "since":
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    try:
        return float(value) if "score" in name else int(value)
    except (TypeError, ValueError, OverflowError):
        raise StoreError(f"{name} = {str(value)[:80]!r}; expected a number") from None


def _order(order: str | None, columns: Sequence[Any]) -> list[Any]:
    if order is None:
        return []
    named = {column.name: column for column in columns}
    name = order.removeprefix("-") if isinstance(order, str) else ""
    if name not in named:
        near = difflib.get_close_matches(name, named, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there is: {', '.join(named)}"
        raise StoreError(f"order = {str(order)[:80]!r} is no column, nor one after '-' for the highest first; {hint}")
    column = named[name]
    return [sa.nulls_last(column.desc() if order.startswith("-") else column.asc())]


def _limit(limit: Any) -> int | None:
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise StoreError(f"limit = {limit!r}; expected how many rows at most, an integer ≥ 0")
    return limit


def as_frame(result: sa.CursorResult[Any]) -> pandas.DataFrame:
    """The rows of a query as a DataFrame."""
    names = list(result.keys())
    return _typed(result.all(), names)


def _typed(rows: Sequence[Any], names: list[str]) -> pandas.DataFrame:
    import pandas as pd

    made = pd.DataFrame.from_records([tuple(row) for row in rows], columns=names)
    return made.astype({name: type for name, type in {**_NUMBERS, "predicted_score": "float64"}.items() if name in made})


def subjects_frame(connection: sa.Connection, table: sa.Table) -> pandas.DataFrame:
    """Tasks or recipes with the number of their evaluations."""
    pointing = evaluations.c.task_id if table is tasks else evaluations.c.recipe_id
    counted = sa.select(sa.func.count()).where(pointing == table.c.id).scalar_subquery().label("evaluations")
    columns = [column for column in table.c if column.name != "id"]
    return as_frame(connection.execute(sa.select(*columns, counted).order_by(table.c.id)))


def lineage_frame(rows: list[dict[str, Any]]) -> pandas.DataFrame:
    """A graph and its ancestors, as `Store.lineage` gives them."""
    import pandas as pd

    names = [
        "generation", "graph_hash", "score", "proposed_by", "edit", "scored_by", "predicted_score", "initialised_by", "run_id",
        "ask", "parents",
    ]  # fmt: skip
    return pd.DataFrame.from_records(rows, columns=names).astype({"score": "float64", "predicted_score": "float64"})


def claims_frame(rows: list[dict[str, Any]]) -> pandas.DataFrame:
    """Claims, as `Store.claims` gives them."""
    import pandas as pd

    names = ["token", "holder", "silent_seconds", "grace_seconds", *HASHES, *REST]
    return pd.DataFrame.from_records(rows, columns=names)


def counts(connection: sa.Connection) -> dict[str, int]:
    """Number of rows of every table of records."""
    counted: Sequence[sa.Table] = (graphs, evaluations, curves, runs, proposals, tasks, recipes, artifacts, claims)
    return {table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in counted}


def curves_frame(connection: sa.Connection, ids: Sequence[int] | None) -> pandas.DataFrame:
    """Learning curves, one row for each epoch of each evaluation."""
    columns = [column for column in curves.c if column.name != "more"]
    query = sa.select(*columns).order_by(curves.c.evaluation_id, curves.c.epoch)
    if ids is not None:
        query = query.where(curves.c.evaluation_id.in_([int(id) for id in ids]))
    made = as_frame(connection.execute(query))
    return made.astype({name: "float64" for name in CURVE_COLUMNS if name != "epoch"})


def runs_frame(connection: sa.Connection) -> pandas.DataFrame:
    """Every run with the number of its candidates and the best of their scores, as `Store.runs` gives them."""
    told = (
        sa.select(
            proposals.c.run_id,
            sa.func.count(sa.distinct(evaluations.c.graph_id)).label("candidates"),
            sa.func.max(evaluations.c.score).label("best_score"),
        )
        .join(evaluations, evaluations.c.id == proposals.c.evaluation_id)
        .group_by(proposals.c.run_id)
        .subquery()
    )
    query = (
        sa.select(
            runs.c.id, runs.c.status, runs.c.strategy, runs.c.seed, runs.c.settings, runs.c.seconds,
            sa.func.coalesce(told.c.candidates, 0).label("candidates"), told.c.best_score, runs.c.created, runs.c.updated,
        )
        .outerjoin(told, told.c.run_id == runs.c.id)
        .order_by(runs.c.created, runs.c.id)
    )  # fmt: skip
    rows = connection.execute(query).all()
    names = ["id", "status", "strategy", "space", "task", "seed", "seconds", "candidates", "best_score", "created", "updated"]
    said = [{**row._mapping, "space": row.settings.get("space", ""), "task": row.settings.get("task_name", "")} for row in rows]
    import pandas as pd

    made = pd.DataFrame.from_records(said, columns=names)
    return made.astype({"best_score": "float64", "seconds": "float64"})
