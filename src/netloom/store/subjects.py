"""What evaluations are about: graphs, tasks and recipes, each kept once and found by its hash."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ..errors import StoreError
from ..graph.graph import Graph
from .tables import graphs, recipes, tasks

T = TypeVar("T")

#: How many values a statement names at once; SQLite's oldest limit is 999.
_CHUNK = 500


def insert_new(connection: sa.Connection, table: sa.Table, *unique: str) -> Any:
    """An insertion that leaves alone what has the same ``unique`` columns already."""
    insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing(index_elements=list(unique))


def insert_one(connection: sa.Connection, table: sa.Table, values: Mapping[str, Any], *unique: str) -> bool:
    """Insert a row unless one with the same ``unique`` columns is there; says whether it was inserted."""
    insertion = insert_new(connection, table, *unique).values(**values).returning(table.c[unique[0]])
    return connection.execute(insertion).first() is not None


def chunks(values: Iterable[T], size: int = _CHUNK) -> Iterator[list[T]]:
    """``values`` in lists of at most ``size``.

    >>> list(chunks("abc", 2))
    [['a', 'b'], ['c']]
    """
    chunk: list[T] = []
    for value in values:
        chunk.append(value)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def ids_of(connection: sa.Connection, table: sa.Table, hashes: Iterable[str]) -> dict[str, int]:
    """Hash → number, of those that the store has."""
    found: dict[str, int] = {}
    for some in chunks(hashes):
        rows = connection.execute(sa.select(table.c.hash, table.c.id).where(table.c.hash.in_(some)))
        found.update((row.hash, row.id) for row in rows)
    return found


def numbered(connection: sa.Connection, table: sa.Table, rows: Mapping[str, Callable[[], Mapping[str, Any]]]) -> dict[str, int]:
    """Hash → number; what is missing is inserted, from what the function of its hash gives."""
    known = ids_of(connection, table, rows)
    # In the order of hashes: two writers that insert the same rows in other orders would wait for each other for ever.
    missing = sorted(set(rows) - set(known))
    if missing:
        connection.execute(insert_new(connection, table, "hash"), [{"hash": hash, **rows[hash]()} for hash in missing])
        known.update(ids_of(connection, table, missing))
    return known


def graph_values(graph: Graph) -> dict[str, Any]:
    """The columns of a graph, but for its hash."""
    return {"json": graph.to_json(), "text": graph.to_text(), "num_params": graph.num_params, "flops": graph.flops}


def graph_numbers(connection: sa.Connection, given: Iterable[Graph | str]) -> dict[str, int]:
    """Hash → number of graphs, which are added where the store lacks them; of a hash alone the store must have the graph."""
    rows: dict[str, Callable[[], Mapping[str, Any]]] = {}
    named: dict[str, None] = {}
    for graph in given:
        if isinstance(graph, Graph):
            rows.setdefault(graph.hash, lambda graph=graph: graph_values(graph))  # type: ignore[misc]
        elif isinstance(graph, str):
            named[graph] = None
        else:
            raise StoreError(f"expected a Graph, or the hash of one that the store has, not a {type(graph).__name__}")
    numbers = numbered(connection, graphs, rows)
    numbers.update(ids_of(connection, graphs, [hash for hash in named if hash not in numbers]))
    missing = [hash for hash in named if hash not in numbers]
    if missing:
        raise StoreError(f"there is no graph {missing[0][:80]!r} in the store; give the Graph itself")
    return numbers


def sizes_of(connection: sa.Connection, ids: Iterable[int]) -> dict[int, int]:
    """Number of a graph → its number of parameters."""
    found: dict[int, int] = {}
    for some in chunks(ids):
        rows = connection.execute(sa.select(graphs.c.id, graphs.c.num_params).where(graphs.c.id.in_(some)))
        found.update((row.id, row.num_params) for row in rows)
    return found


def task_numbers(connection: sa.Connection, hashes: Iterable[str]) -> dict[str, int]:
    """Hash → number of tasks; one that nobody described has no name yet."""
    return numbered(connection, tasks, {hash: lambda: {"name": "", "spec": "", "kind": ""} for hash in hashes})


def recipe_numbers(connection: sa.Connection, hashes: Iterable[str]) -> dict[str, int]:
    """Hash → number of recipes; one that nobody described has no name yet."""
    return numbered(connection, recipes, {hash: lambda: {"name": "", "fields": None} for hash in hashes})


def describe(connection: sa.Connection, table: sa.Table, hash: str, values: Mapping[str, Any]) -> None:
    """Give a task or recipe what people know it by, where it has that not yet."""
    numbered(connection, table, {hash: lambda: values})
    for name, value in values.items():
        if value:
            column = table.c[name]
            unknown = column.is_(None) if name == "fields" else column == ""
            connection.execute(sa.update(table).where(table.c.hash == hash, unknown).values({name: value}))


def task_values(task: Any) -> dict[str, Any]:
    """What is kept of a task."""
    return {name: str(getattr(task, name, "") or "") for name in ("name", "spec", "kind")}


def recipe_values(recipe: Any, name: str) -> dict[str, Any]:
    """What is kept of a recipe: its name and its fields."""
    fields: Any = asdict(recipe) if is_dataclass(recipe) and not isinstance(recipe, type) else None
    if fields is None and hasattr(recipe, "to_json"):
        fields = json.loads(recipe.to_json())
    try:
        fields = json.loads(json.dumps(fields))
    except (TypeError, ValueError) as error:
        raise StoreError(f"recipe {name or recipe!r} is not made of JSON values: {error}") from None
    return {"name": name or str(getattr(recipe, "name", "") or ""), "fields": fields}


def hashes_like(connection: sa.Connection, table: sa.Table, said: Any) -> Sequence[int]:
    """The numbers of the tasks or recipes that ``said`` means: an object with a hash, a hash or its start, a name, a spec."""
    hash = getattr(said, "hash", None)
    if isinstance(hash, str):
        return list(ids_of(connection, table, [hash]).values())
    if not isinstance(said, str) or not said:
        raise StoreError(f"{table.name} are found by a name, a hash, or an object that has one, not by {str(said)[:80]!r}")
    named = [table.c.hash == said, table.c.name == said]
    if "spec" in table.c:
        named.append(table.c.spec == said)
    found = connection.execute(sa.select(table.c.id).where(sa.or_(*named))).scalars().all()
    if not found and len(said) >= 6:
        found = connection.execute(sa.select(table.c.id).where(table.c.hash.startswith(said, autoescape=True))).scalars().all()
    return found
