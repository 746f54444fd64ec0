"""The arguments of ``netloom search``. Imports argparse alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from .store_arguments import DEFAULT_STORE

_DESCRIPTION = """\
Look for the network that does best on the validation part of a task.

DATA is a table (.csv, .parquet, .arff; with --target), a folder of images by class, or a task such as digits,
cifar10:FOLDER or what 'netloom data ls' lists. Candidates come from a space, or, with --start, from a network of your
own that evolves.

strategies (settings after '?', as in 'evolution?population=50&sample=10'):
  evolution    children of the best, which begin with their parents' trained weights
  random       independent samples: what every other has to beat
  loop         made of parts: --propose makes candidates, --score chooses among them before training, both credited
  others       'netloom search --strategy help' lists them

--init says what every candidate's first weights are: those of its parents, random ones, or what a hypernetwork or
Netformer predicts; 'auto' lets all that fit race on the first candidates, then follows what pays.

Every result goes to the store; a network that the store has already is not trained again. Ctrl-C finishes the
candidates in training and stops, Ctrl-C again stops at once; --resume goes on from there, after a power cut too.
"""
_EXAMPLES = """\
  netloom search digits --budget 60s --report out
  netloom search houses.csv --target price --budget 10m --report out --save best.safetensors
  netloom search photos/ --space 'conv?max_macs=2e6' --budget 1h --executor local
  netloom search digits --start my_models:net --constraint 'flops <= 50%' --constraint 'score >= start - 0.01'
  netloom search digits --propose space,mutation,crossover --score predictor,synflow --init auto --report out
  netloom search new.csv --target y --warm-start sqlite:///runs.db      begin with what other tasks taught
  netloom search digits --strategy nsga2 --objectives score,latency --budget 200
  netloom search digits --budget '20m, 500'        twenty minutes or 500 candidates, whichever comes first
  netloom search --resume RUN --store sqlite:///runs.db       go on; 'netloom store ls URL' lists runs
"""


def add_search(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser; ``command`` makes one."""
    usage = "search [DATA] [--space SPACE | --start NETWORK] [--budget BUDGET] [--store URL] …"
    made = command(commands, "search", "search_command", usage, _DESCRIPTION, _EXAMPLES)
    made.add_argument("data", nargs="?", metavar="DATA", help="a table, a folder of images, or a task (default: digits)")
    made.add_argument("--task", help="the same as DATA, as a task with settings after '?'")
    made.add_argument("--target", metavar="COLUMN", help="what is to be predicted of a table")
    made.add_argument("--data-dir", metavar="DIR", help="where fetched data are (default: the user's cache)")
    made.add_argument("--space", help="where candidates come from, settings after '?' (default: conv for images, else mlp)")
    made.add_argument("--start", metavar="NETWORK", help="evolve this: MODULE:FUNCTION, a graph file or a saved network")
    made.add_argument("--strategy", help="how candidates are chosen (default: evolution)")
    made.add_argument("--propose", metavar="A,B", help="what makes candidates: space, mutation, crossover, generator …")
    made.add_argument("--score", metavar="A,B", help="what chooses before training: predictor, a proxy, ghn:FILE, none")
    made.add_argument("--init", metavar="A,B", help="first weights: auto, inherit, random, ghn:FILE, netformer:FILE")
    made.add_argument("--warm-start", metavar="URL", help="a store of searches on other tasks: incumbents and a predictor")
    made.add_argument("--budget", help="60s, 20m, 1h30m; 500 candidates; '500 epochs', '2e12 macs'; several (default: 60s)")
    made.add_argument("--recipe", help="how each is trained: express, 'express?batch_size=32', a .json file (default: express)")
    made.add_argument("--epochs", type=int, metavar="N", help="epochs of every candidate (default: as the recipe has it)")
    made.add_argument("--seed", type=int, help="draws candidates and weights (default: 0)")
    wanted = made.add_argument_group("what is wanted")
    wanted.add_argument("--objectives", metavar="A,B", help="score, params, flops, macs, activations, latency, memory, seconds")
    wanted.add_argument(
        "--constraint", action="append", metavar="TEXT", help="'params <= 200k', 'flops <= 50%%', 'latency <= 2ms'; repeatable"
    )
    wanted.add_argument("--max-params", metavar="P", help="at most P parameters, or a share such as 50%% of --start")
    wanted.add_argument("--max-flops", metavar="F", help="at most F FLOPs for a sample (2 per multiply–add)")
    wanted.add_argument("--max-macs", metavar="M", help="at most M multiply–adds for a sample")
    work = made.add_argument_group("where the work is done")
    work.add_argument("--executor", help="inprocess, local (worker processes), ray or ray://HOST:PORT (default: inprocess)")
    work.add_argument("--workers", type=int, metavar="N", help="how many candidates at once (default: as processors allow)")
    work.add_argument("--threads", type=int, metavar="N", help="threads of each (default: all in process, 1 in workers)")
    work.add_argument("--memory", metavar="BYTES", help="memory that a worker may take, such as 2G")
    work.add_argument("--candidate-seconds", type=float, metavar="S", help="stop training a candidate after S seconds")
    kept = made.add_argument_group("what is kept and shown")
    kept.add_argument("--store", metavar="URL", help=f"where results go (default: {DEFAULT_STORE})")
    kept.add_argument("--report", metavar="DIR", help="write the HTML report to DIR/index.html")
    kept.add_argument("--save", metavar="FILE", help="write the best network, trained, to FILE.safetensors")
    kept.add_argument("--resume", metavar="RUN", help="go on with a run of the store; --budget and --executor may change")
    kept.add_argument("--json", action="store_true", help="one JSON object a line on the screen: candidates, then the outcome")
    kept.add_argument("--quiet", action="store_true", help="show no progress")
