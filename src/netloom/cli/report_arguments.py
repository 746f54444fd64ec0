"""The arguments of ``netloom report``. Imports argparse alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from .store_arguments import DEFAULT_STORE


def add_report(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    made = command(
        commands,
        "report",
        "report_command",
        "report [STORE] [RUN] [--out DIR] [--watch [--port N]] [--json]",
        "Write the report of a run: one HTML page that needs no network, with the incumbent and how it came to be, score over\n"
        "time, trade-offs, learning curves, which edits and sizes paid, failures, and every candidate in a table.\n\n"
        "With --watch the page is served on this machine alone and follows the search while it runs; Ctrl-C ends it.",
        "  netloom report sqlite:///runs.db                              the latest run, to report/index.html\n"
        "  netloom report sqlite:///runs.db 20260102-030405-ab12 --out out\n"
        "  netloom report sqlite:///runs.db --watch                      while 'netloom search' runs in another terminal\n"
        "  netloom report sqlite:///runs.db --json | jq .best.score      for machines; writes a page only with --out\n",
    )
    subject = f"URL of the store (default: {DEFAULT_STORE}), id of the run (default: the latest)"
    made.add_argument("words", nargs="*", metavar="STORE RUN", help=subject)
    made.add_argument("--store", metavar="URL", help="the store, where it is not given as a word")
    made.add_argument("--out", metavar="DIR", help="directory of the page (default: report)")
    made.add_argument("--watch", action="store_true", help="serve the page and bring it up to date while the search runs")
    made.add_argument("--port", type=int, metavar="N", default=8765, help="port of --watch, 0 for any (default: 8765)")
    made.add_argument("--host", metavar="HOST", default="127.0.0.1", help="127.0.0.1 (default), localhost or ::1; no others")
    made.add_argument("--json", action="store_true", help="print the outcome of the run as JSON")
