"""The promises of a store, held against SQLite and against a real PostgreSQL server by the one suite that others use too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import netloom.testing.store_processes as processes
import netloom.testing.stores as suite
from netloom.store import Store

PARTS = sorted(name for name in dir(suite) if name.startswith("check_"))
#: Parts that need more than one database, or are tested by themselves.
APART = {"check_store", "check_exchange", "check_workers", "check_kills"}


@pytest.mark.parametrize("part", [name for name in PARTS if name not in APART])
def test_part(part: str, new_url: Callable[[], str]) -> None:
    getattr(suite, part)(new_url())


def test_exchange(new_url: Callable[[], str]) -> None:
    suite.check_exchange(new_url(), new_url(), new_url())


def test_a_store_of_one_kind_is_merged_into_one_of_the_other(tmp_path: object, postgres: object) -> None:
    here, there = f"sqlite:///{tmp_path}/here.db", postgres.new_database()  # type: ignore[attr-defined]
    suite.check_exchange(here, there, postgres.new_database())  # type: ignore[attr-defined]


def test_workers_share_keys(new_url: Callable[[], str]) -> None:
    processes.check_workers(new_url(), processes=3, keys=24)


def test_killed_writers_lose_nothing(new_url: Callable[[], str]) -> None:
    assert processes.check_kills(new_url(), kills=2) >= 2


def test_check_store_runs_every_part() -> None:
    """Were a part left out of `check_store`, third parties would not be held to it."""
    from inspect import getsource

    source = getsource(suite.check_store)
    assert [name for name in PARTS if name != "check_store" and name not in source] == []


# -- the suite itself: a store that breaks a promise fails -------------------------------------------------------------
def broken(monkeypatch: pytest.MonkeyPatch, name: str, method: Callable[..., object]) -> None:
    monkeypatch.setattr(Store, name, method)


def test_a_store_that_replaces_results_fails(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from netloom.store import recording

    monkeypatch.setattr(recording, "INEXACT", ("time_limit", "out_of_memory", "killed", "ok"))
    with pytest.raises(AssertionError, match="did not stay"):
        suite.check_one_result(url)


def test_a_store_that_gives_a_key_twice_fails(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from netloom.store import claiming

    monkeypatch.setattr(claiming, "_DELETE_DEAD", __import__("sqlalchemy").delete(claiming.claims))
    monkeypatch.setattr(claiming, "is_taken", lambda *_: False)
    with pytest.raises(AssertionError, match="given to a second one"):
        suite.check_claims(url)


def test_a_store_without_fences_fails(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Store.record
    broken(monkeypatch, "record", lambda self, graph, key, result, claim=None: whole(self, graph, key, result))
    with pytest.raises(AssertionError, match="still good for something"):
        suite.check_fencing(url)


def test_a_store_that_deletes_shared_evaluations_fails(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from netloom.store import tables

    def delete(self: Store, id: str, *, keep_evaluations: bool = True) -> int:
        gone = list(self.evaluations(id)["id"])
        with self._database.engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
            for table in (tables.proposals, tables.evaluations):
                column = table.c.evaluation_id if table is tables.proposals else table.c.id
                connection.execute(table.delete().where(column.in_(gone)))
            connection.execute(tables.runs.delete().where(tables.runs.c.id == id))
        return len(gone)

    broken(monkeypatch, "delete_run", delete)
    with pytest.raises(AssertionError, match="were deleted with a run"):
        suite.check_runs(url)


def test_a_store_that_forgets_lineage_fails(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Store.add_proposal

    def forget(self: Store, *positional: object, lineage: object = None, **named: object) -> None:
        whole(self, *positional, **named)  # type: ignore[arg-type]

    broken(monkeypatch, "add_proposal", forget)
    with pytest.raises(AssertionError, match="lineage"):
        suite.check_lineage(url)
