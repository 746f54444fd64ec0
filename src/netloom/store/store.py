"""`Store`: evaluations, graphs and runs in a database."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ..errors import StoreError
from . import tables
from .tables import curves, evaluations, first_line, graphs, open_database, proposals, runs

if TYPE_CHECKING:
    import pandas

    from ..graph.graph import Graph
    from ..training import Epoch

#: Ways to end that depend on the machine or its load: such a result is kept, but a later one may take its place.
INEXACT = ("time_limit", "out_of_memory", "killed")


@dataclass(frozen=True, slots=True)
class EvaluationKey:
    """What was measured: two results with one key would be the same result.

    ``init`` is ``"random"`` or the hash of the starting weights; ``fidelity`` the number of epochs; ``evaluator`` the
    version of the training and scoring code.
    """

    graph_hash: str
    task_hash: str
    recipe_hash: str
    seed: int
    fidelity: int
    init: str = "random"
    evaluator: int = 1


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """What came out: ``score`` is None where there is none, ``error`` says why; ``id`` is 0 before it is stored."""

    status: str
    score: float | None
    seconds: float
    error: str = ""
    curve: tuple[Epoch, ...] = ()
    id: int = 0


class Store:
    """A store at a database URL: ``sqlite:///FILE``, ``sqlite://`` (in memory), or any database SQLAlchemy opens.

    Safe for several processes at once. Raises `StoreError` for a URL or database that cannot be used.

    >>> store = Store("sqlite://")
    >>> store.check()
    []
    """

    def __init__(self, url: str = "sqlite://", *, must_exist: bool = False) -> None:
        self.url = url
        self._engine = open_database(url, must_exist)
        self._writer = self._engine.execution_options(**{tables.WRITES: True})

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.shown_url}>"

    @property
    def shown_url(self) -> str:
        """The URL as it may be shown: without its password."""
        return tables.shown(self.url)

    @contextmanager
    def _transaction(self, write: bool = False) -> Iterator[sa.Connection]:
        try:
            with (self._writer if write else self._engine).begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"store {self!r}: {first_line(error)}") from error

    # -- evaluations -----------------------------------------------------------------------------------------------
    def find(self, key: EvaluationKey) -> EvaluationRecord | None:
        """The stored result of ``key``, or None."""
        with self._transaction() as connection:
            row = connection.execute(sa.select(evaluations).where(*_matches(key))).first()
            return _record(row, _curve(connection, row.id)) if row else None

    def record(self, graph: Graph, key: EvaluationKey, result: EvaluationRecord) -> EvaluationRecord:
        """Store a result (and its graph) and give what the store holds for its key from now on.

        A result that is there already stays, unless its status is one of `INEXACT`.
        """
        try:
            return self._record(graph, key, result)
        except StoreError as error:
            if not isinstance(error.__cause__, sa.exc.IntegrityError):
                raise
            # Another process committed the same key in between: now it is there to be read.
            return self._record(graph, key, result)

    def _record(self, graph: Graph, key: EvaluationKey, result: EvaluationRecord) -> EvaluationRecord:
        with self._transaction(write=True) as connection:
            self._add_graph(connection, graph)
            there = connection.execute(sa.select(evaluations).where(*_matches(key))).first()
            if there and there.status not in INEXACT:
                return _record(there, _curve(connection, there.id))
            values: dict[str, Any] = {
                "status": result.status,
                "score": None if result.score is None or math.isnan(result.score) else result.score,
                "seconds": result.seconds,
                "error": result.error,
                "created": now(),
            }
            if there:
                row_id = int(there.id)
                connection.execute(sa.update(evaluations).where(evaluations.c.id == row_id).values(values))
                connection.execute(sa.delete(curves).where(curves.c.evaluation_id == row_id))
            else:
                inserted = connection.execute(sa.insert(evaluations).values(**asdict(key), **values))
                row_id = int(inserted.inserted_primary_key[0])  # type: ignore[index]
            if result.curve:
                connection.execute(sa.insert(curves), [{"evaluation_id": row_id, **asdict(p)} for p in result.curve])
            return replace(result, id=row_id, score=values["score"])

    def evaluations(self, run: str | None = None) -> pandas.DataFrame:
        """Every evaluation, or those of one run in the order told, as a DataFrame.

        Columns: the fields of the key, ``status``, ``score``, ``seconds``, ``error``, ``created``, ``num_params``, ``flops``;
        for a run also ``ask``, ``reused`` and ``elapsed`` (seconds since the run began).
        """
        import pandas as pd

        columns: list[Any] = [*evaluations.c, graphs.c.num_params, graphs.c.flops]
        query = sa.select(*columns).join(graphs).order_by(evaluations.c.id)
        if run is not None:
            self.run(run)
            query = (
                sa.select(proposals.c.ask, *columns, proposals.c.reused, proposals.c.elapsed)
                .join(evaluations, proposals.c.evaluation_id == evaluations.c.id)
                .join(graphs, evaluations.c.graph_hash == graphs.c.hash)
                .where(proposals.c.run_id == run)
                .order_by(proposals.c.id)
            )
        with self._transaction() as connection:
            result = connection.execute(query)
            frame = pd.DataFrame(result.all(), columns=list(result.keys()))
        return frame.astype({"score": "float64", "seconds": "float64"})

    def curve(self, evaluation_id: int) -> tuple[Epoch, ...]:
        """The learning curve of one evaluation."""
        with self._transaction() as connection:
            return _curve(connection, evaluation_id)

    # -- graphs ----------------------------------------------------------------------------------------------------
    def _add_graph(self, connection: sa.Connection, graph: Graph) -> None:
        if connection.execute(sa.select(graphs.c.hash).where(graphs.c.hash == graph.hash)).first() is None:
            values = {"hash": graph.hash, "json": graph.to_json(), "num_params": graph.num_params, "flops": graph.flops}
            try:
                with connection.begin_nested():
                    connection.execute(sa.insert(graphs).values(values))
            except sa.exc.IntegrityError:
                pass  # another process stored it between the two statements

    def graph(self, hash: str) -> Graph:
        """The graph with this hash, or with the only hash that begins so; `StoreError` where there is none."""
        from ..graph.graph import Graph

        with self._transaction() as connection:
            begins = graphs.c.hash.startswith(hash, autoescape=True)
            rows = connection.execute(sa.select(graphs.c.hash, graphs.c.json).where(begins).limit(2)).all()
        exact = [row for row in rows if row.hash == hash] or rows
        if len(exact) != 1:
            many = "more than one graph" if exact else "no graph"
            raise StoreError(f"store {self!r} has {many} whose hash begins with {hash[:80]!r}")
        return Graph.from_json(exact[0].json)

    # -- runs ------------------------------------------------------------------------------------------------------
    def add_run(self, id: str, settings: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        """Begin the record of a run."""
        values = {"id": id, "settings": dict(settings), "environment": dict(environment), "status": "running", "seconds": 0.0}
        with self._transaction(write=True) as connection:
            connection.execute(sa.insert(runs).values(created=now(), **values))

    def update_run(self, id: str, *, status: str, seconds: float) -> None:
        """Note how far a run has come: its status and the seconds it has worked."""
        with self._transaction(write=True) as connection:
            connection.execute(sa.update(runs).where(runs.c.id == id).values(status=status, seconds=seconds))

    def run(self, id: str) -> dict[str, Any]:
        """Settings, environment, status, seconds and time of creation of a run; `StoreError` where there is none."""
        with self._transaction() as connection:
            row = connection.execute(sa.select(runs).where(runs.c.id == id)).first()
            if row is None:
                known = [r.id for r in connection.execute(sa.select(runs.c.id).order_by(runs.c.created.desc()).limit(5))]
                raise StoreError(f"store {self!r} has no run {id[:80]!r}; the latest are: {', '.join(known) or 'none'}")
            return dict(row._mapping)

    def run_ids(self) -> tuple[str, ...]:
        """The ids of all runs, oldest first."""
        with self._transaction() as connection:
            return tuple(row.id for row in connection.execute(sa.select(runs.c.id).order_by(runs.c.created, runs.c.id)))

    def add_proposal(self, run: str, ask: int, evaluation_id: int, *, reused: bool, elapsed: float) -> None:
        """Note that the candidate number ``ask`` of a run came to this evaluation."""
        values = {"run_id": run, "ask": ask, "evaluation_id": evaluation_id, "reused": reused, "elapsed": elapsed}
        with self._transaction(write=True) as connection:
            connection.execute(sa.insert(proposals).values(values))

    def counts(self) -> dict[str, int]:
        """Number of rows of every table of records."""
        counted: Sequence[sa.Table] = (graphs, evaluations, curves, runs, proposals)
        with self._transaction() as connection:
            return {t.name: connection.execute(sa.select(sa.func.count()).select_from(t)).scalar_one() for t in counted}

    def check(self) -> list[str]:
        """Everything that is wrong with the store, one sentence each; an empty list when it is whole."""
        from .checking import problems

        with self._transaction() as connection:
            return problems(connection)


def now() -> str:
    """The time in UTC, as stores write it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _matches(key: EvaluationKey) -> list[Any]:
    return [tables.evaluations.c[name] == value for name, value in asdict(key).items()]


def _record(row: Any, curve: tuple[Epoch, ...]) -> EvaluationRecord:
    return EvaluationRecord(row.status, row.score, row.seconds, row.error, curve, row.id)


def _curve(connection: sa.Connection, evaluation_id: int) -> tuple[Epoch, ...]:
    from ..training import Epoch

    query = sa.select(curves).where(curves.c.evaluation_id == evaluation_id).order_by(curves.c.epoch)
    return tuple(Epoch(r.epoch, r.train_loss, r.valid_loss, r.score, r.seconds) for r in connection.execute(query))
