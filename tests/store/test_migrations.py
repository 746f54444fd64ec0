"""Stores of every schema that was ever released become stores of the present one, with their data, or stay as they were."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command

from netloom.errors import StoreError, VersionError
from netloom.store import SCHEMA_VERSION, EvaluationKey, EvaluationRecord, Store, migrating, tables
from tests.store.postgres_server import PostgresServer

RELEASED = Path(__file__).parent / "released"


def old(schema: int, folder: Path) -> Path:
    """A copy of the store of an old schema, which has three runs, two tasks and every kind of result."""
    return Path(shutil.copy(RELEASED / f"schema_{schema}.sqlite", folder / "old.db"))


def rows(file: Path, query: str) -> list[dict[str, Any]]:
    with sqlite3.connect(file) as raw:
        raw.row_factory = sqlite3.Row
        return [dict(row) for row in raw.execute(query)]


def test_a_store_of_every_earlier_schema_is_kept() -> None:
    """Whoever adds a schema puts a small store of the one before under the tests."""
    assert sorted(path.name for path in RELEASED.iterdir()) == [f"schema_{n}.sqlite" for n in range(1, SCHEMA_VERSION)]
    versions = Path(migrating.__file__).parent / "migrations" / "versions"
    assert sorted(path.stem for path in versions.glob("*.py")) == [f"schema_{n}" for n in range(1, SCHEMA_VERSION + 1)]


# -- data --------------------------------------------------------------------------------------------------------------
def same_as_before(store: Store, before: dict[str, list[dict[str, Any]]]) -> None:
    assert store.check() == []
    assert {name: store.counts()[name] for name in before} == {name: len(found) for name, found in before.items()}
    for row in before["evaluations"]:
        parts = {name: row[name] for name in EvaluationKey.__slots__ if name in row}
        found = store.find(EvaluationKey(**parts))
        assert found is not None and found.id == row["id"]
        assert [found.status, found.score, found.seconds, found.error] == [
            row[name] for name in ("status", "score", "seconds", "error")
        ]
        points = [p for p in before["curves"] if p["evaluation_id"] == row["id"]]
        assert [(p.epoch, p.train_loss, p.valid_loss, p.score, p.seconds) for p in found.curve] == [
            tuple(p[name] for name in ("epoch", "train_loss", "valid_loss", "score", "seconds")) for p in points
        ]
    for row in before["graphs"]:
        assert store.graph(row["hash"]).num_params == row["num_params"]
    for row in before["runs"]:
        run = store.run(row["id"])
        assert run["settings"] == json.loads(row["settings"]) and run["environment"] == json.loads(row["environment"])
        told = [p for p in before["proposals"] if p["run_id"] == row["id"]]
        frame = store.evaluations(row["id"])
        assert list(zip(frame["ask"], frame["id"], frame["reused"], frame["elapsed"])) == [
            (p["ask"], p["evaluation_id"], bool(p["reused"]), p["elapsed"]) for p in told
        ]


def contents(file: Path) -> dict[str, list[dict[str, Any]]]:
    order = {"graphs": "hash", "evaluations": "id", "curves": "evaluation_id, epoch", "runs": "id", "proposals": "id"}
    return {name: rows(file, f"SELECT * FROM {name} ORDER BY {by}") for name, by in order.items()}


def test_schema_1_migrates_with_its_data(tmp_path: Path) -> None:
    file = old(1, tmp_path)
    before = contents(file)
    assert {name: len(found) for name, found in before.items()} == {
        "graphs": 8, "evaluations": 9, "curves": 30, "runs": 3, "proposals": 11,
    }  # fmt: skip
    for _ in range(2):  # the second time there is nothing left to do
        with Store(file) as store:
            same_as_before(store, before)
            # What runs said of their task, recipe and strategy has its own place now.
            assert list(store.tasks()["name"]) == ["digits", ""] and list(store.tasks()["evaluations"]) == [7, 2]
            assert set(store.recipes()["name"]) == {"", "express"} and store.recipes()["fields"][0]["batch_size"] == 256
            assert set(store.runs()["strategy"]) == {"random"} and list(store.runs()["seed"]) == [3, 3, 1]
            assert list(store.best(1, task="digits")["score"]) == [max(r["score"] or 0 for r in before["evaluations"])]
            assert set(store.evaluations(store.run_ids()[0])["proposed_by"]) == {"random"}
    assert all(row["text"].startswith("netloom 1") for row in rows(file, "SELECT text FROM graphs"))
    with Store(file) as store:
        new = store.record(store.graph(before["graphs"][0]["hash"]), key_of(before, seed=77), EvaluationRecord("ok", 0.5, 1.0))
        assert new.id == max(row["id"] for row in before["evaluations"]) + 1


def key_of(before: dict[str, list[dict[str, Any]]], seed: int) -> EvaluationKey:
    return EvaluationKey(before["graphs"][0]["hash"], "t" * 64, "r" * 64, seed, 1)


def test_schema_1_migrates_on_postgresql(postgres: PostgresServer, tmp_path: Path) -> None:
    file, url = old(1, tmp_path), postgres.new_database()
    before = contents(file)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        command.upgrade(migrating.configuration(connection), "1")
        connection.exec_driver_sql("DROP TABLE alembic_version")  # stores of schema 1 had none
        for name, found in before.items():
            table = sa.Table(name, sa.MetaData(), autoload_with=connection, resolve_fks=False)
            for row in found:
                if name == "runs":
                    row = {**row, "settings": json.loads(row["settings"]), "environment": json.loads(row["environment"])}
                values = {**row, "reused": bool(row["reused"])} if name == "proposals" else row
                connection.execute(table.insert().values(**values))
    engine.dispose()
    with Store(url) as store:
        same_as_before(store, before)
        new = store.record(before["graphs"][0]["hash"], key_of(before, seed=77), EvaluationRecord("ok", 0.5, 1.0))
        assert new.id > max(row["id"] for row in before["evaluations"]), "the sequence did not count what was copied"
        store.add_proposal(store.run_ids()[0], 99, new.id, reused=False, elapsed=1.0)


# -- schema ------------------------------------------------------------------------------------------------------------
def shape(engine: sa.Engine) -> dict[str, Any]:
    """Columns, keys and indices of every table, whatever they are called by the database."""
    inspector = sa.inspect(engine)
    found: dict[str, Any] = {}
    for name in inspector.get_table_names():
        columns = {
            c["name"]: (str(c["type"]), c["nullable"], c["default"] is None or "nextval" in str(c["default"]))
            for c in inspector.get_columns(name)
        }
        found[name] = {
            "columns": columns,
            "primary": inspector.get_pk_constraint(name)["constrained_columns"],
            "foreign": sorted(
                (k["constrained_columns"], k["referred_table"], k["referred_columns"]) for k in inspector.get_foreign_keys(name)
            ),
            "unique": sorted(u["column_names"] for u in inspector.get_unique_constraints(name)),
            "indices": sorted((i["name"], i["column_names"]) for i in inspector.get_indexes(name)),
        }
    return found


def test_a_migrated_store_has_the_tables_of_a_new_one(tmp_path: Path) -> None:
    file = old(1, tmp_path)
    Store(file).close()
    Store(tmp_path / "new.db").close()
    migrated, new = (shape(sa.create_engine(f"sqlite:///{path}")) for path in (file, tmp_path / "new.db"))
    assert migrated == new and set(tables.metadata.tables) | {"alembic_version"} == set(new)
    options = (
        "SELECT name, sql LIKE '%AUTOINCREMENT%' AS counted, sql LIKE '%WITHOUT ROWID%' AS bare "
        "FROM sqlite_master WHERE type = 'table'"
    )
    assert sorted(map(str, rows(file, options))) == sorted(map(str, rows(tmp_path / "new.db", options)))


def test_a_migrated_store_has_the_tables_of_a_new_one_on_postgresql(postgres: PostgresServer) -> None:
    migrated, new = sa.create_engine(postgres.new_database()), sa.create_engine(postgres.new_database())
    with migrated.begin() as connection:
        command.upgrade(migrating.configuration(connection), "head")
    with new.begin() as connection:
        migrating.create(connection, None)
    assert shape(migrated) == shape(new)
    migrated.dispose(), new.dispose()


# -- what can go wrong -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "newer",
    [
        "UPDATE netloom_store SET schema_version = 99",
        "UPDATE alembic_version SET version_num = '99'",
        "INSERT INTO alembic_version VALUES ('99')",
    ],
)
def test_a_newer_schema_is_refused_with_advice(url: str, tmp_path: Path, newer: str) -> None:
    Store(url).close()
    with sqlite3.connect(tmp_path / "runs.db") as raw:
        raw.execute(newer)
    before = (tmp_path / "runs.db").read_bytes()
    for options in ({}, {"must_exist": True}, {"read_only": True}):
        with pytest.raises(
            VersionError, match="version 99 of the schema, written by a newer netloom.*pip install --upgrade netloom"
        ):
            Store(url, **options)  # type: ignore[arg-type]
    assert (tmp_path / "runs.db").read_bytes() == before


@pytest.mark.parametrize("damage", ["DELETE FROM netloom_store", "INSERT INTO netloom_store VALUES (2, '', '')"])
def test_a_store_that_does_not_say_its_schema_is_refused(url: str, tmp_path: Path, damage: str) -> None:
    Store(url).close()
    with sqlite3.connect(tmp_path / "runs.db") as raw:
        raw.execute(damage)
    with pytest.raises(StoreError, match="does not say its schema"):
        Store(url)


def test_rows_that_would_be_lost_stop_a_migration_which_changes_nothing(tmp_path: Path) -> None:
    file = old(1, tmp_path)
    with sqlite3.connect(file) as raw:
        raw.execute("DELETE FROM graphs WHERE hash IN (SELECT hash FROM graphs LIMIT 1)")
    before = contents(file)
    with pytest.raises(StoreError, match="it has schema 1, and 1 of its rows of evaluations point at graphs"):
        Store(file)
    assert contents(file) == before and rows(file, "SELECT * FROM netloom_store") == [{"schema_version": 1}]


def test_a_graph_that_cannot_be_read_is_kept_and_told(tmp_path: Path) -> None:
    file = old(1, tmp_path)
    with sqlite3.connect(file) as raw:
        raw.execute("UPDATE graphs SET json = '{' WHERE hash IN (SELECT hash FROM graphs LIMIT 1)")
    with Store(file) as store:
        (problem,) = store.check()
        assert "cannot be read" in problem and store.counts()["evaluations"] == 9


_KILLED = """
import os, signal, sys
from netloom.store import Store
import netloom.graph.graph
at = int(sys.argv[2])
calls = []
whole = netloom.graph.graph.Graph.to_text
def to_text(self):
    calls.append(self)
    if len(calls) == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self)
netloom.graph.graph.Graph.to_text = to_text
Store(sys.argv[1])
"""


def test_a_migration_that_is_killed_has_not_happened(tmp_path: Path) -> None:
    file = old(1, tmp_path)
    before = contents(file)
    done = subprocess.run([sys.executable, "-c", _KILLED, str(file), "5"], timeout=120)
    assert done.returncode == -9
    assert contents(file) == before and rows(file, "SELECT * FROM netloom_store") == [{"schema_version": 1}]
    with Store(file) as store:
        same_as_before(store, before)


def test_two_processes_that_open_an_old_store_at_once_both_can(tmp_path: Path) -> None:
    file = old(1, tmp_path)
    before = contents(file)
    code = "import sys; from netloom.store import Store; print(Store(sys.argv[1]).counts()['evaluations'])"
    both = [subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=120)[0] for process in both] == ["9\n", "9\n"]
    with Store(file) as store:
        same_as_before(store, before)


def test_an_old_store_that_may_only_be_read_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="it has schema 1 and must be brought to schema .* open it where it may, or a copy"):
        Store(old(1, tmp_path), read_only=True)
