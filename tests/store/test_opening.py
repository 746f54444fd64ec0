"""Opening a store: which URLs there are, what is refused and with which advice, and stores that may only be read."""

from __future__ import annotations

import contextlib
import os
import pickle
import pwd
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netloom.errors import StoreError
from netloom.store import Store
from netloom.testing.stores import graph, key, result
from tests.store.postgres_server import PostgresServer


@contextlib.contextmanager
def without_rights() -> Iterator[None]:
    """As a user who owns nothing: root would be let through everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A folder in which nobody may write, on a path on which everybody may walk."""
    modes = {
        path: path.stat().st_mode for path in (folder, *folder.parents) if path.is_relative_to("/tmp") and path != Path("/tmp")
    }
    for path in modes:
        path.chmod(0o555)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def in_process(code: str, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload,no-any-return]


# -- URLs --------------------------------------------------------------------------------------------------------------
def test_a_path_is_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store(tmp_path / "a.db") as store:
        store.record(graph(0), key(0), result(0))
    for same in (str(tmp_path / "a.db"), "a.db", "sqlite:///a.db", f"sqlite:///{tmp_path}/a.db", "sqlite+pysqlite:///a.db"):
        with Store(same, must_exist=True) as store:
            assert store.find(key(0)) is not None


@pytest.mark.parametrize(
    "url",
    ["", "runs", "mysql://host/x", "oracle+cx_oracle://h/x", "sqlite+aiosqlite:///x.db", "postgresql+psycopg2://h/x", "://"],
)
def test_what_is_no_store_of_ours_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="expected a URL such as sqlite:///runs.db or postgresql"):
        Store(url)


def test_a_driver_that_is_missing_is_named_with_its_extra() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from netloom.store import Store\n"
        "try: Store('postgresql://me:secret@host/nets')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    said = in_process(code).stdout
    assert said.startswith("StoreError") and "pip install 'netloom[postgres]'" in said and "secret" not in said


def test_a_server_that_is_not_there_is_told_soon_and_without_the_password() -> None:
    with pytest.raises(StoreError, match=r"me:\*\*\*@127.0.0.1.*cannot be opened.*refused") as told:
        Store("postgresql://me:secret@127.0.0.1:1/nets", wait_seconds=0.2)
    assert "secret" not in str(told.value)


def test_a_database_that_is_not_there_is_told(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with pytest.raises(StoreError, match='database "nothing" does not exist'):
        Store(url.rpartition("/")[0] + "/nothing")


def test_a_server_that_holds_something_else_is_refused(postgres: PostgresServer) -> None:
    import psycopg

    url = postgres.new_database()
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute("CREATE TABLE people (name TEXT)")
    with pytest.raises(StoreError, match="not a netloom store"):
        Store(url)


# -- files -------------------------------------------------------------------------------------------------------------
def test_files_that_are_no_store_say_so(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, " * 100)
    (tmp_path / "empty.db").touch()
    sqlite3.connect(tmp_path / "none.db").execute("PRAGMA user_version = 3").connection.close()
    cases = {
        "text.db": "cannot be opened: the file is no SQLite database", "empty.db": "without tables, but not a netloom store",
        "none.db": "without tables, but not a netloom store", ".": "is a folder; give the URL of a file",
        "no/such/x.db": "there is no directory|there is no file",
    }  # fmt: skip
    for name, message in cases.items():
        with pytest.raises(StoreError, match=message):
            Store(f"sqlite:///{tmp_path}/{name}", must_exist=True)
    with Store(tmp_path / "empty.db") as store:  # an empty file may become a store, as an empty database
        assert store.check() == []


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    with Store(file) as store:
        store.record_many((graph(i), key(i), result(i)) for i in range(400))
    content = bytearray(file.read_bytes())
    for at in range(4096 * 3, len(content), 4096):
        content[at : at + 600] = b"\xff" * 600
    file.write_bytes(content)
    with pytest.raises(StoreError, match="damaged|malformed"), Store(file) as store:
        problems = store.check()
        raise StoreError("; ".join(problems))


# -- reading alone -----------------------------------------------------------------------------------------------------
def everything_that_writes(store: Store) -> list[object]:
    return [
        lambda: store.record(graph(1), key(1), result(1)),
        lambda: store.record_many([(graph(1), key(1), result(1))]),
        lambda: store.claim(key(1)),
        lambda: store.add_run("run", {}, {}),
        lambda: store.add_artifact(b"x"),
        lambda: store.vacuum(),
        lambda: store.merge("sqlite://"),
    ]


def test_a_store_that_may_only_be_read_is_read(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    with Store(file) as store:
        stored = store.record(graph(0), key(0), result(0))
        store.evaluations(), store.best(1)  # what is imported late is imported now
    before = sorted(tmp_path.iterdir())
    with locked(tmp_path), without_rights(), Store(file, must_exist=True) as store:
        assert store.read_only and store.find(key(0)) == stored and len(store.evaluations()) == 1 and store.check() == []
        for call in everything_that_writes(store):
            with pytest.raises(StoreError, match="open for reading alone|in memory and holds nothing"):
                call()  # type: ignore[operator]
    with (
        locked(tmp_path),
        without_rights(),
        pytest.raises(StoreError, match="no right to make it in .*; choose another folder"),
    ):
        Store(tmp_path / "new.db")
    assert sorted(tmp_path.iterdir()) == before


def test_a_store_is_read_beside_a_writer(url: str) -> None:
    with Store(url) as writing, Store(url, read_only=True) as reading:
        stored = writing.record(graph(0), key(0), result(0))
        assert reading.find(key(0)) == stored and not writing.read_only
        for call in everything_that_writes(reading):
            with pytest.raises(StoreError, match="open for reading alone|in memory and holds nothing"):
                call()  # type: ignore[operator]
    with pytest.raises(StoreError, match="there is no file"):
        Store(url.replace("runs", "none"), read_only=True)


def test_a_server_is_read_alone(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with Store(url) as writing, Store(url, read_only=True) as reading:
        stored = writing.record(graph(0), key(0), result(0))
        assert reading.find(key(0)) == stored
        with pytest.raises(StoreError, match="open for reading alone"):
            reading.record(graph(1), key(1), result(1))


# -- threads, forks and other processes --------------------------------------------------------------------------------
def test_a_store_in_memory_serves_threads_and_no_other_process() -> None:
    with Store() as store:
        threads = [threading.Thread(target=lambda i=i: store.record(graph(i), key(i), result(i))) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.counts()["evaluations"] == 8 and store.check() == []
        with pytest.raises(StoreError, match="belongs to one process"):
            pickle.dumps(store)


def test_a_pickled_store_opens_the_same_and_makes_no_new_one(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.db", artifacts=tmp_path / "weights") as store:
        store.record(graph(0), key(0), result(0))
        hash = store.add_artifact(b"some bytes")
        packed = pickle.dumps(store)
    with pickle.loads(packed) as again:
        assert again.find(key(0)) is not None and again.artifact(hash) == b"some bytes"
    (tmp_path / "runs.db").unlink()
    with pytest.raises(StoreError, match="there is no file"):
        pickle.loads(packed)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_processes_that_make_the_same_store_at_once_all_can(new_url: Callable[[], str]) -> None:
    code = (
        "import os, sys, time\n"
        "from netloom.store import Store\n"
        "from netloom.testing.store_processes import graph, key, result\n"
        "for url in sys.argv[1:]:\n"
        "    start, children = time.time() + 0.1, []\n"
        "    for i in range(8):\n"
        "        children.append(os.fork())\n"
        "        if children[-1] == 0:\n"
        "            time.sleep(start - time.time())\n"
        "            Store(url).record(graph(i), key(i), result(i))\n"
        "            os._exit(0)\n"
        "    print([os.waitpid(child, 0)[1] for child in children], Store(url).counts()['evaluations'], Store(url).check())\n"
    )
    done = in_process(code, new_url(), new_url())
    assert done.stdout == "[0, 0, 0, 0, 0, 0, 0, 0] 8 []\n" * 2, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_uses_connections_of_its_own(url: str) -> None:
    code = (
        "import os, sys\n"
        "from netloom.store import Store\n"
        "from netloom.testing.store_processes import graph, key, result\n"
        "store = Store(sys.argv[1])\n"
        "store.record(graph(0), key(0), result(0))\n"
        "children = []\n"
        "for i in range(1, 4):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        for n in range(100 * i, 100 * i + 20): store.record(graph(n), key(n), result(n))\n"
        "        os._exit(0)\n"
        "    children.append(child)\n"
        "for n in range(1000, 1020): store.record(graph(n), key(n), result(n))\n"
        "print([os.waitpid(child, 0)[1] for child in children], store.counts()['evaluations'], store.check())\n"
    )
    done = in_process(code, url)
    assert done.stdout == "[0, 0, 0] 81 []\n", done.stderr
