"""The arguments of ``netloom zoo``. Imports argparse alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

_DESCRIPTION = """\
Populations of trained networks in a folder: weights, architectures, learning curves and the tasks they learned.

  make --out FOLDER [--models N] [--tasks N] …   train random networks and write them; killed, the same command goes on
  show FOLDER [NETWORK]                          what is in it; or one of its networks
  check FOLDER [--deep]                          is everything in it whole? exit code 0 and one line when it is, 1 when not

'netloom zoo ACTION --help' explains one.
"""
_EXAMPLES = """\
  netloom zoo make --models 10000 --tasks 5000 --out mlps           perceptrons on random regressions, trained together
  netloom zoo make --family conv --models 200 --out convs --processes 2          convolutional networks on digits
  netloom zoo show mlps --where 'score > 0.95' --where 'depth == 3' -n 5
  netloom zoo show mlps 17 --plot curve.svg
  netloom zoo check mlps --deep
"""
_MAKE = """\
Train random networks on tasks, and write them to a folder.

Perceptrons of any mixture of widths, depths and activations are trained together, thousands at a time; other networks one
after the other, in --processes at a time. The same command gives the same networks, and goes on where it was killed.
"""
_MAKE_EXAMPLES = """\
examples:
  netloom zoo make --models 10000 --tasks 5000 --out mlps
  netloom zoo make --models 2000 --task digits --space 'mlp?layers=1,2&widths=8..32&activations=relu,gelu' --out digits-mlps
  netloom zoo make --models 100 --tasks 20 --pairing all --duplicates 0.2 --epochs 25,50,100 --out crossed
  netloom zoo make --family conv --models 200 --epochs 1,3,10 --out convs --processes 2
  netloom zoo make --config zoo.json --models 500 --out mine        {"space": "…", "recipe": {"learning_rate": 0.03}, …}
"""
_SHOW = """\
What is in a zoo: how many networks, of which kinds, how good they are; with NETWORK (a number) one of them.

--where takes a column, a comparison and a value, and may be given several times; columns are listed in the zoo's README.md.
"""


def add_zoo(commands: Any, command: Callable[..., Any]) -> None:
    """Add the command to the parser; ``command`` makes one."""
    made = command(commands, "zoo", "zoo_command", "zoo ACTION …", _DESCRIPTION, _EXAMPLES)
    actions = made.add_subparsers(dest="action", metavar="ACTION", required=True, help=argparse.SUPPRESS, prog="netloom zoo")

    def action(name: str, description: str, examples: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = actions.add_parser(
            name, description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        return parser

    _add_make(action("make", _MAKE, _MAKE_EXAMPLES))
    show = action("show", _SHOW, "examples:\n  netloom zoo show mlps\n  netloom zoo show mlps 17\n")
    show.add_argument("folder", metavar="FOLDER")
    show.add_argument("network", metavar="NETWORK", nargs="?", help="number of one network")
    show.add_argument("--where", action="append", default=[], metavar="CONDITION", help="'score > 0.9', 'status == ok', …")
    show.add_argument("-n", default="0", metavar="N", help="list the N networks with the highest scores")
    show.add_argument("--plot", metavar="FILE", help="draw the median learning curve, or that of NETWORK: .svg or .png")
    show.add_argument("--json", action="store_true", help="print JSON")
    check = action("check", "Whether the files of a zoo are whole and fit each other.", "example:\n  netloom zoo check mlps\n")
    check.add_argument("folder", metavar="FOLDER")
    check.add_argument("--deep", action="store_true", help="compute every network again and compare its loss")
    check.add_argument("--quiet", action="store_true", help="show no progress")


def _add_make(make: argparse.ArgumentParser) -> None:
    make.add_argument("--out", required=True, metavar="FOLDER", help="where to; goes on with what is there")
    make.add_argument("--models", default="1000", metavar="N", help="random networks (default: 1000; 10k is ten thousand)")
    make.add_argument("--tasks", metavar="N", help="random regressions, or splits of digits (default: half as many, or one)")
    make.add_argument("--task", action="append", metavar="TASK", help="a task by name instead; several times for several")
    make.add_argument("--family", choices=("mlp", "conv"), help="what the defaults are for (default: mlp)")
    make.add_argument("--space", metavar="SPACE", help="where the networks come from, settings after '?'")
    make.add_argument("--recipe", metavar="RECIPE", help="how they are trained: a name, or a .json file")
    make.add_argument("--epochs", metavar="N,N,…", help="for how long; of several, each network gets one at random")
    make.add_argument("--pairing", choices=("spread", "all"), help="a model learns one task, or every one (default: spread)")
    make.add_argument("--duplicates", type=float, metavar="SHARE", help="of models that begin as another (default: 0)")
    make.add_argument("--kept", choices=("last", "best"), help="weights of the last or the best epoch (default: last)")
    make.add_argument("--config", metavar="FILE", help="a .json file with any of these settings, and of random regressions")
    make.add_argument("--seed", default="0", help="of everything that is drawn (default: 0)")
    make.add_argument("--processes", default="1", metavar="N", help="how many train at a time (default: 1)")
    make.add_argument("--quiet", action="store_true", help="show no progress")
