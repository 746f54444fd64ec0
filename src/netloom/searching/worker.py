"""The program of a worker process: scores the candidates that come through a connection.

Started by `netloom.searching.local_processes`, with the number of an inherited file descriptor.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection

from .candidate import score_candidate


def main(descriptor: int) -> None:
    """Answer every `Job` with its `Outcome` until the search closes the connection or is gone."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _follow(os.getppid())
    connection = Connection(descriptor)
    try:
        # Both ends are netloom on this machine, and nobody else has the descriptor: pickle is safe here.
        task, threads = pickle.loads(connection.recv_bytes())
        torch.set_num_threads(threads)
        while True:
            connection.send(score_candidate(connection.recv(), task))
    except (EOFError, OSError):
        return


def _follow(parent: int) -> None:
    """End this process when the search that began it is gone, in the middle of a training too."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
