"""A process that draws samples for `sample_many`: reads space and settings, then numbers of parts, from its connection."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing.connection import Connection, Pipe
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError
from .sampling_parts import Table, draw_part

if TYPE_CHECKING:
    from .space import Space


class Worker:
    """A program of its own, so that a script needs no ``__main__`` guard, and the connection to it."""

    def __init__(self, setup: bytes) -> None:
        self.connection, theirs = Pipe()
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        environment = dict(os.environ, PYTHONPATH=path, OMP_NUM_THREADS="1")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "netloom.spaces.sampling_worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the caller alone, which ends its workers
        )
        theirs.close()
        self.connection.send_bytes(setup)

    def ask(self, number: int) -> None:
        self.connection.send(number)

    def answer(self) -> tuple[int, Table | NetloomError]:
        """Number of the part, and the part or why there is none."""
        found: tuple[int, Table | NetloomError] = self.connection.recv()
        return found

    def close(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()


def serve(connection: Connection) -> None:
    """Answer until the other end closes."""
    from .loading import load

    try:
        given, settings = connection.recv()
        space: Space = given
        if isinstance(given, str):
            space = load(given, max_params=settings["max_params"], max_flops=settings["max_flops"])
        while True:
            number = connection.recv()
            answer: Any
            try:
                answer = draw_part(space, number, settings)
            except NetloomError as error:
                answer = error
            connection.send((number, answer))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
