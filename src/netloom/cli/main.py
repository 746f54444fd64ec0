"""``netloom``: the entry point.

Commands are imported when they are called, so that ``netloom --help`` needs nothing but argparse.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from .. import __version__
from ..errors import NetloomError
from . import arguments

_DESCRIPTION = """\
Neural networks as data: sample, trace, train and search architectures, all written to one store.

commands:
  tour     see on one task what all of this does, in five minutes
  search   look for the network that does best on a task
  sample   random networks of a space
  trace    the architecture of a PyTorch model
  draw     a picture of a network, or a page to explore it
  diff     what differs between two networks
  edit     change sizes, layers and edges of a network, weights kept; or see which sizes move together
  prune    make a trained network smaller, to a share of its neurons, FLOPs or parameters
  grow     make it larger, computing the same
  train    train a network on a task, a line for every epoch
  data     what there is to train on: list it, look at it, fetch it
  measure  latency, memory and zero-cost proxies of a network, without training it
  report   the HTML page of a finished search
  store    look into a store: runs, best networks; export, import, merge, check
  predictor   what networks will score, learned from those that were trained: fit, predict, evaluate, explain
  generator   writes new networks that are to score high, learned from those that were trained: fit, evaluate, sample
  zoo      thousands of trained networks in a folder, with their tasks: make, show, check
  ghn      hypernetworks: parameters of networks that nobody trained: predict, train, eval, embed
  metafeatures   numbers that describe a data set
  netformer      a generative model of trained networks: train, encode, sample, suggest, evolve, evaluate
"""
_EXAMPLES = """\
first steps:
  netloom search --task digits --budget 60s --report out      then open out/index.html
  netloom sample --space conv -n 3                            three random networks, as text
  netloom trace torchvision.models:resnet18                   what resnet18 is made of
  netloom COMMAND --help                                      settings and examples of one command
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="netloom", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="netloom [-h] [--version] COMMAND …",
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"netloom {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", help=argparse.SUPPRESS, prog="netloom")
    arguments.add_all(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code: 0 done, 1 problems found, 2 a mistake in what was asked for."""
    top = parser()
    given, unknown = top.parse_known_args(argv)
    if unknown:
        arguments.refuse(top, given, unknown)
    if given.command is None:
        top.print_help(sys.stderr)
        return 2
    run: Callable[[argparse.Namespace], int] = import_module(f"netloom.cli.{given.module}").run
    try:
        return run(given)
    except NetloomError as error:
        print(f"netloom {given.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"netloom {given.command}: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (``| head``): not an error, and nothing more may be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
