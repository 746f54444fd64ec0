"""The arguments of ``netloom store``. Imports argparse alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

#: Where a command looks for a store that it is not told of.
DEFAULT_STORE = "sqlite:///netloom.db"

_URL = f"sqlite:///FILE, postgresql+psycopg://USER@HOST/NAME, or the path of an SQLite file (default: {DEFAULT_STORE})"
_DESCRIPTION = """\
Look into a store, take from it, put together, keep it whole.

  ls [URL]                     its runs, newest last
  show URL [WHAT]              all of it in short; or one run, one graph (by hash), one evaluation (by number)
  best [URL] [-n N] [-o FILE]  the best networks; --task, --recipe, --run, --max-params, --max-flops and --min-score
                               narrow it
  export URL PATH              to Parquet: a folder with everything (--artifacts: weights too), or one file that ends in
                               .parquet with the evaluations that these settings leave (and --status)
  import URL PATH              take in what was exported; makes the store where there is none
  merge URL OTHER …            take in other stores, their runs and weights (--no-artifacts: without)
  delete URL RUN               a run; its evaluations stay, unless --evaluations, which keeps those that others share
  check [URL] [--quick]        is everything in it whole? exit code 0 and one line when it is, 1 when not
  vacuum [URL] [--unused]      give room back; remove what crashed processes left

URL is sqlite:///FILE, postgresql+psycopg://USER@HOST/NAME, or the path of an SQLite file. All but export also print
JSON (--json). 'netloom store ACTION --help' explains one.
"""
_EXAMPLES = """\
  netloom store ls sqlite:///runs.db
  netloom store best sqlite:///runs.db -n 5 --task digits --max-params 100k
  netloom store show runs.db nl1:50bd805b
  netloom store export runs.db all.parquet --task digits            for pandas, polars, DuckDB
  netloom store export runs.db backup --artifacts
  netloom store merge postgresql+psycopg://me@host/nets runs.db
  netloom store check sqlite:///runs.db
"""


def add_store(commands: Any, command: Callable[..., Any]) -> None:
    """Add the command to the parser; ``command`` makes one."""
    made = command(commands, "store", "store_command", "store ACTION [URL] …", _DESCRIPTION, _EXAMPLES)
    actions = made.add_subparsers(dest="action", metavar="ACTION", required=True, help=argparse.SUPPRESS, prog="netloom store")

    def action(name: str, description: str, example: str, *, url: bool = False, json: bool = True) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = actions.add_parser(
            name, description=description, epilog=f"example:\n  netloom store {name} {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        if url:
            parser.add_argument("url", metavar="URL", help=_URL.partition(" (")[0])
        else:
            parser.add_argument("url", metavar="URL", nargs="?", default=DEFAULT_STORE, help=_URL)
        if json:
            parser.add_argument("--json", action="store_true", help="print JSON")
        return parser

    action("ls", "The runs of a store, newest last.", "sqlite:///runs.db")
    show = action("show", "A store in short, or one thing in it.", "runs.db 20260102-030405-ab12", url=True)
    show.add_argument(
        "what", metavar="WHAT", nargs="?", help="id of a run, hash of a graph or its beginning, or number of an evaluation"
    )
    best = action("best", "The networks with the highest scores; of equals the smallest.", "runs.db -n 5 --max-params 100k")
    best.add_argument("-n", default="10", metavar="N", help="how many (default: 10)")
    best.add_argument(
        "-o",
        "--out",
        metavar="FILE",
        help="write the best one: its graph (.json, .txt, .nl) or with its weights, if kept (.safetensors)",
    )
    best.add_argument("--run", help="id of a run")
    _add_filters(best)
    _add_transfers(action)
    check = action("check", "Is everything in a store whole? Exit code 0 when it is, 1 when not.", "sqlite:///runs.db")
    check.add_argument("--quick", action="store_true", help="do not work out the hash of every graph and weight again")
    vacuum = action("vacuum", "Give room back, remove dead claims and what crashed processes left.", "runs.db --unused")
    vacuum.add_argument("--unused", action="store_true", help="also graphs, tasks, recipes and weights that nothing needs")
    delete = action("delete", "Delete a run. Its evaluations stay.", "runs.db 20260102-030405-ab12", url=True)
    delete.add_argument("run", metavar="RUN", help="its id, as 'netloom store ls' shows it")
    delete.add_argument("--evaluations", action="store_true", help="also its evaluations, but for those that other runs share")


def _add_transfers(action: Callable[..., argparse.ArgumentParser]) -> None:
    export = action("export", "A store as Parquet: a folder with everything, or the evaluations as one file.",
                    "runs.db good.parquet --min-score 0.9", url=True, json=False)  # fmt: skip
    export.add_argument("path", metavar="PATH", help="a folder, or a file that ends in .parquet")
    export.add_argument("--artifacts", action="store_true", help="also weights, into the folder")
    export.add_argument("--status", help="one file: evaluations that ended so, such as ok")
    _add_filters(export)
    taken = action("import", "Take in what 'netloom store export' wrote. What the store has stays.", "new.db backup", url=True)
    taken.add_argument("path", metavar="PATH", help="a folder or file that was exported")
    merge = action(
        "merge", "Take in everything of other stores. What the store has stays.", "all.db monday.db tuesday.db", url=True
    )
    merge.add_argument("others", metavar="OTHER", nargs="+", help="URL or file of a store; it stays as it is")
    merge.add_argument("--no-artifacts", dest="artifacts", action="store_false", help="leave weights where they are")


def _add_filters(made: argparse.ArgumentParser) -> None:
    made.add_argument("--task", help="name, spec or hash of a task")
    made.add_argument("--recipe", help="name or hash of a recipe")
    made.add_argument("--min-score", type=float, metavar="S", help="a score of S or more")
    made.add_argument("--max-params", metavar="P", help="at most P parameters (100k, 2.5M)")
    made.add_argument("--max-flops", metavar="F", help="at most F FLOPs a sample")
