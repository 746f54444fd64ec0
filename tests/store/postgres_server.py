"""A PostgreSQL server of one's own, on a temporary folder and port: started, restarted without mercy, gone at the end."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

#: Where Debian keeps the programs that it leaves out of PATH, newest version first.
_DEBIAN = "/usr/lib/postgresql/*/bin"
ABSENT = "PostgreSQL is not installed (apt-get install postgresql): the store's promises are NOT held against it here"


def programs() -> Path | None:
    """The folder of initdb, pg_ctl and postgres; None where PostgreSQL is not installed."""
    places = sorted(glob.glob(_DEBIAN), key=lambda path: -float(path.split("/")[4]))
    for place in (os.path.dirname(shutil.which("initdb") or ""), *places):
        if place and all(os.access(f"{place}/{name}", os.X_OK) for name in ("initdb", "pg_ctl", "postgres")):
            return Path(place)
    return None


class PostgresServer:
    """A server that trusts everyone on this machine, with as many databases as are asked for."""

    def __init__(self) -> None:
        found = programs()
        assert found is not None, ABSENT
        self._programs = found
        self._user = _unprivileged()
        # Not pytest's folder: another user must be able to reach it.
        self.folder = Path(tempfile.mkdtemp(prefix="netloom-postgres-"))
        if self._user:
            os.chown(self.folder, self._user["user"], self._user["group"])
        self.port = _free_port()
        self._databases = 0
        self._call("initdb", "-D", str(self.folder / "data"), "-U", "netloom", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        self._control("start")

    def new_database(self) -> str:
        """The URL of an empty database."""
        import psycopg

        self._databases += 1
        name = f"store_{self._databases}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://netloom@127.0.0.1:{self.port}/{name}"

    def kill_and_start(self) -> None:
        """End every connection in the middle of what it does, as a crash would, and recover."""
        self._control("restart", "-m", "immediate")

    def stop(self) -> None:
        """End the server and remove all it had."""
        try:
            self._control("stop", "-m", "immediate")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _address(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=netloom dbname={database}"

    def _control(self, *words: str) -> None:
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c max_connections=200"
        )
        # fsync stays on: the promises are about what is on disk.
        log = str(self.folder / "log")
        self._call("pg_ctl", "-D", str(self.folder / "data"), "-l", log, "-w", "-t", "60", "-o", options, *words)

    def _call(self, program: str, *words: str) -> None:
        # A file, not a pipe: the server would keep a pipe open that pg_ctl had inherited.
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                [str(self._programs / program), *words], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}, timeout=120, **self._user,
            )  # fmt: skip
            said.seek(0)
            assert done.returncode == 0, f"{program} {' '.join(words)}: {said.read()[-2000:]}"


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then another user of this machine has to."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
