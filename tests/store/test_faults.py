"""Faults, really done: kills, races, a server that restarts in the middle, full disks. `make test-slow` has the long forms."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netloom.errors import StoreError
from netloom.store import EvaluationRecord, Store
from netloom.testing.store_processes import check_kills, check_workers, graph, key, result
from tests.store.postgres_server import PostgresServer

# -- kills -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_100_kills_lose_nothing(url: str) -> None:
    assert check_kills(url, kills=100) > 100
    with Store(url) as store:
        assert store.vacuum().claims >= 0 and store.check() == []


@pytest.mark.slow
def test_100_kills_lose_nothing_on_postgresql(postgres: PostgresServer) -> None:
    assert check_kills(postgres.new_database(), kills=100) > 100


# -- races -------------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_8_processes_claim_5000_jobs(url: str) -> None:
    """No ``database is locked`` reaches a worker: each would end with it, and the check shows what it was told."""
    check_workers(url, processes=8, keys=5000)


def test_a_restart_of_the_server_in_the_middle_commits_each_job_once(postgres: PostgresServer) -> None:
    url = postgres.new_database()

    def restart() -> None:
        with Store(url) as store:
            while (done := store.counts()["evaluations"]) < 5:
                time.sleep(0.01)
        assert done < 60, "the work was over before the restart"
        postgres.kill_and_start()

    check_workers(url, processes=2, keys=60, during=restart)


@pytest.mark.slow
def test_restarts_of_the_server_while_8_processes_claim_5000_jobs(postgres: PostgresServer) -> None:
    def restarts() -> None:
        for _ in range(5):
            time.sleep(5)
            postgres.kill_and_start()

    check_workers(postgres.new_database(), processes=8, keys=5000, during=restarts)


def test_a_writer_waits_for_another_and_says_so_when_it_is_too_long(url: str, tmp_path: Path) -> None:
    Store(url).close()
    other = sqlite3.connect(tmp_path / "runs.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with Store(url, wait_seconds=0.3) as store:
        with pytest.raises(StoreError, match=r"another process has kept it busy for 0\.3 seconds; .* wait_seconds=") as told:
            store.record(graph(0), key(0), result(0))
        assert "locked" not in str(told.value)
        assert store.find(key(0)) is None, "readers need not wait"
    letting_go = threading.Timer(0.5, lambda: other.execute("COMMIT"))
    letting_go.start()
    with Store(url) as store:
        assert store.record(graph(0), key(0), result(0)).id == 1
    letting_go.join()
    other.close()


def test_a_commit_of_which_the_answer_is_lost_is_found_out(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection breaks after the server has committed: what was asked for is done once, and nothing fails."""
    import psycopg
    import sqlalchemy as sa

    with Store(postgres.new_database()) as store:
        store.add_run("run", {}, {})
        claim = store.claim(key(0))
        break_once = [True]

        def lost(connection: sa.Connection) -> None:
            if break_once:
                break_once.pop()
                connection.connection.driver_connection.execute("COMMIT")  # type: ignore[union-attr]
                connection.connection.driver_connection.close()  # type: ignore[union-attr]

        sa.event.listen(store._database.engine, "commit", lost)
        calls: dict[str, Callable[[], object]] = {
            "record": lambda: store.record(graph(0), key(0), result(0), claim=claim),
            "add_run": lambda: store.add_run("second", {}, {}),
            "add_proposal": lambda: store.add_proposal("run", 0, 1, reused=False, elapsed=1.0),
            "record_many": lambda: store.record_many([(graph(1), key(1), result(1))]),
            "claim": lambda: store.claim(key(2)),
        }
        for name, call in calls.items():
            break_once[:] = [True]
            assert call() is not None or name.startswith("add"), f"{name} was told that it failed"
            assert break_once == [], f"{name} committed nothing"
        assert store.counts()["evaluations"] == 2 and store.counts()["claims"] == 1 and store.check() == []
        assert store.run_ids() == ("run", "second") and list(store.evaluations("run")["ask"]) == [0]
        assert psycopg is not None


# -- full disks --------------------------------------------------------------------------------------------------------
_FILLS = """
import resource, signal, sys
from netloom.errors import StoreError
from netloom.store import EvaluationRecord, Store
from netloom.testing.store_processes import graph, key
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(sys.argv[1])
store.check()
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
done = 0
try:
    while done < 100_000:
        store.record(graph(done), key(done), EvaluationRecord("failed", None, 1.0, "x" * 20_000))
        done += 1
        print(done, flush=True)
except StoreError as error:
    print(error, file=sys.stderr)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.record(graph(done), key(done), EvaluationRecord("failed", None, 1.0, "room again"))
    sys.exit(3)
"""


def test_a_file_that_may_not_grow_is_told_and_leaves_a_whole_store(url: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _FILLS, url, "1000000"], capture_output=True, text=True, timeout=300)
    acknowledged = len(done.stdout.splitlines())
    assert done.returncode == 3 and acknowledged > 5, done.stderr
    assert "nothing of this was stored" in done.stderr and "Make room" in done.stderr and "MiB are free" in done.stderr
    with Store(url) as store:
        assert store.check() == [] and store.missing(map(key, range(acknowledged))) == []
        last = store.find(key(acknowledged))
        assert last is not None and last.error == "room again", "with room again the same store goes on"


@contextlib.contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[Path]:
    """A file system of its own, so small that it is soon full."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no right to mount a small file system here; the test with a file-size limit runs everywhere")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_told_and_leaves_a_whole_store(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1500) as disk, Store(disk / "runs.db") as store:
        with pytest.raises(StoreError, match="nothing of this was stored; what was stored before is whole. Make room"):
            for number in range(1000):
                store.record(graph(number), key(number), EvaluationRecord("failed", None, 1.0, "x" * 20_000))
        assert number > 5 and store.missing(map(key, range(number))) == []
        assert store.check() == []
        with pytest.raises(StoreError, match="artifact of 3,000,000 bytes cannot be written.*No space left"):
            store.add_artifact(b"x" * 3_000_000)
        assert store.counts()["artifacts"] == 0 and list(disk.rglob("*.partial")) == []
        with pytest.raises(StoreError, match="cannot write.*No space left"):
            store.export_parquet(disk / "all.parquet")
        assert not (disk / "all.parquet").exists() and list(disk.rglob("*.partial")) == []
