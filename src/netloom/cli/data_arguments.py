"""The arguments of ``netloom data``. Imports argparse alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_DESCRIPTION = """\
Data to train on: what there is, what it looks like, and fetching it.

actions:
  ls                what can be loaded, what has been fetched, and how large the cache is
  show SPEC …       sizes, classes or columns, and the hash of a task (its test part stays unread)
  fetch NAME …      cifar10, pennfudan, deepnets1m or ghn into a folder; interrupted, it goes on when called again
  clear             remove decoded copies from the cache; what has been fetched stays

A SPEC is digits, cifar10, cifar10:FOLDER, images:FOLDER, imagenet:FOLDER, table:FILE?target=COLUMN or regression:SEED,
with settings after '?', as in 'images:pets?size=64&valid=10%&test=500&seed=1'.
"""
_EXAMPLES = """\
  netloom data ls
  netloom data show digits --picture digits.png
  netloom data show 'table:houses.csv?target=price&drop=id'
  netloom data show 'images:pets?size=64&broken=skip' --picture pets.png
  netloom data fetch cifar10 --data-dir /data                  then: netloom train GRAPH --task cifar10:/data/cifar10
  netloom data fetch deepnets1m --all                          11 GB more than without --all
  netloom data fetch ghn --file ghn3tm8.pt
"""


def add_data(commands: Any, command: Callable[..., Any]) -> None:
    """Add the command to the parser; ``command`` makes one."""
    usage = "data ls | show SPEC … | fetch NAME … | clear [--data-dir DIR] [--picture FILE] [--json] …"
    made = command(commands, "data", "data_command", usage, _DESCRIPTION, _EXAMPLES)
    made.add_argument("action", choices=("ls", "show", "fetch", "clear"), metavar="ACTION", help="ls, show, fetch or clear")
    made.add_argument("what", nargs="*", metavar="SPEC|NAME", help="tasks to show, or data to fetch")
    made.add_argument("--data-dir", metavar="DIR", help="where fetched data are (default: the user's cache, or $NETLOOM_CACHE)")
    made.add_argument("--all", action="store_true", help="fetch: also the files that are large and rarely needed")
    made.add_argument("--file", action="append", default=[], metavar="FILE", help="fetch: this file only (may be repeated)")
    made.add_argument("--mirror", metavar="URL", help="fetch: from this address, which has files of the same names")
    made.add_argument("--picture", metavar="FILE", help="show: write some images of each class to FILE (.png)")
    made.add_argument("--hash", action="store_true", help="show: also the hash of streamed images, for which all are read")
    made.add_argument("--json", action="store_true", help="ls, show: print JSON")
    made.add_argument("--quiet", action="store_true", help="show no progress")
