"""The arguments of ``netloom tour``. Imports argparse alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

_DESCRIPTION = """\
See on one task what netloom does, in five minutes, and what each of its parts is worth there.

A network is drawn, gets weights that nobody trained, is trained, grown and pruned. Then searches of equal budget
compete, each with one part more: random, + filter, + inheritance, + predicted weights, + Netformer. The best
network meets classifiers that need no search. DIR/index.html shows all of it, gains and losses alike, with the
report of the best search, in which the lineage of its network can be played step by step.

SUBJECT is data (digits, a table with --target, a folder of images by class, a task such as cifar10:FOLDER) or a
network of your own (MODULE:FUNCTION, a graph file, a saved network), which then is what the tour is about; --task
says on what.
Stopped and called again, it goes on with its searches.
"""
_EXAMPLES = """\
  netloom tour
  netloom tour houses.csv --target price --budget 3m --out houses-tour
  netloom tour photos/ --budget 30m
  netloom tour my_models:net --task digits
"""


def add_tour(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser; ``command`` makes one."""
    made = command(commands, "tour", "tour_command", "tour [SUBJECT] [--budget 5m] [--out DIR] …", _DESCRIPTION, _EXAMPLES)
    made.add_argument("subject", nargs="?", metavar="SUBJECT", help="data or a network (default: digits)")
    made.add_argument("--task", help="the data, where SUBJECT is a network (default: digits)")
    made.add_argument("--target", metavar="COLUMN", help="what is to be predicted of a table")
    made.add_argument("--data-dir", metavar="DIR", help="where fetched data are (default: the user's cache)")
    made.add_argument("--budget", default="5m", help="time for the whole, or candidates for each search (default: 5m)")
    made.add_argument("--out", default="tour", metavar="DIR", help="where the pages and stores go (default: tour)")
    made.add_argument("--seed", type=int, default=0, help="draws networks and weights (default: 0)")
    made.add_argument("--json", action="store_true", help="print what was measured as one JSON object at the end")
    made.add_argument("--quiet", action="store_true", help="show no progress")
