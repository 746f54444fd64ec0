"""Progress of decoding, hashing and downloading: a bar on a terminal, silence elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(what: str, total: int | None, *, unit: str = "", show: bool = True) -> Iterator[Callable[[int], None]]:
    """A function that takes how much more is done; ``unit`` ``B`` counts bytes. ``total`` None: not known.

    >>> with progress("decoding images", 3, show=False) as done:
    ...     done(1)
    """
    if not show or not sys.stderr.isatty():
        yield lambda more: None
        return
    from rich import progress as rich
    from rich.console import Console

    bytes_done = (rich.DownloadColumn(), rich.TransferSpeedColumn())
    counts = bytes_done if unit == "B" else (rich.MofNCompleteColumn(),)
    columns = (rich.TextColumn("{task.description}", markup=False), rich.BarColumn(), *counts, rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda more: bar.advance(task, more)


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
