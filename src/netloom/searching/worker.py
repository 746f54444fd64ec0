"""The program of a worker process: scores the candidates that come through a connection.

Started by `netloom.searching.executors.LocalProcesses`, with the number of an inherited file descriptor.
"""

from __future__ import annotations

import pickle
import signal
import sys
from multiprocessing.connection import Connection

from .candidate import score_candidate


def main(descriptor: int) -> None:
    """Answer every `Job` with its `Outcome` until the search closes the connection."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    connection = Connection(descriptor)
    try:
        # Both ends are netloom on this machine, and nobody else has the descriptor: pickle is safe here.
        task, _ = pickle.loads(connection.recv_bytes())
        while True:
            connection.send(score_candidate(connection.recv(), task))
    except (EOFError, OSError):
        return


if __name__ == "__main__":
    main(int(sys.argv[1]))
