"""The arguments of ``netloom netformer``. Imports argparse alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

_DESCRIPTION = """\
A generative model of trained networks: perceptrons of a zoo as points of a space that can be sampled and searched.

  train ZOO --out FILE            learn a zoo; killed, the same command goes on with --checkpoint
  show MODEL                      its datasheet
  evaluate MODEL ZOO              how near reconstructed networks are to the originals
  encode MODEL ZOO --out FILE     latents of networks, as .npy or .csv
  sample MODEL -n N --out DIR     new networks from the prior
  suggest MODEL DATA --out FILE   a network for a table or a task, before any training
  evolve MODEL DATA --out FILE    the network of the latents that does best on the data, by CMA-ES

MODEL is a file, or mlp, which comes with netloom. 'netloom netformer ACTION --help' explains one.
"""
_EXAMPLES = """\
  netloom zoo make --models 6000 --tasks 6000 --out mlps
  netloom netformer train mlps --steps 3000 --out former.safetensors --checkpoint former.ckpt
  netloom netformer evaluate former.safetensors mlps
  netloom netformer sample mlp -n 5 --out drawn
  netloom netformer suggest mlp houses.csv --target price --out start.safetensors
  netloom netformer evolve mlp regression:7 --evaluations 500 --out best.safetensors
"""


def add_netformer(commands: Any, command: Callable[..., Any]) -> None:
    """Add the command to the parser; ``command`` makes one."""
    made = command(commands, "netformer", "netformer_command", "netformer ACTION …", _DESCRIPTION, _EXAMPLES)
    prog = "netloom netformer"
    actions = made.add_subparsers(dest="action", metavar="ACTION", required=True, help=argparse.SUPPRESS, prog=prog)

    def action(name: str, description: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = actions.add_parser(name, description=description)
        return parser

    _add_train(action("train", "Learn the networks of a zoo. A tenth of its tasks is kept back to measure on."))
    show = action("show", "The datasheet of a Netformer: what it learned, how well it does, what it is not for.")
    show.add_argument("model", metavar="MODEL", help="a file, or mlp")
    evaluate = action("evaluate", "How near reconstructed networks are to the originals, structure and all from the latents.")
    _model_and_zoo(evaluate)
    evaluate.add_argument("--refine", type=int, default=0, metavar="N", help="gradient steps after decoding (default: 0)")
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    encode = action("encode", "The latents of the networks of a zoo.")
    _model_and_zoo(encode)
    encode.add_argument("--out", required=True, metavar="FILE", help=".npy, or .csv with the numbers of the networks")
    sample = action("sample", "New networks: latents from a standard normal, decoded.")
    sample.add_argument("model", metavar="MODEL", help="a file, or mlp")
    sample.add_argument("-n", type=int, default=1, metavar="N", help="how many (default: 1)")
    sample.add_argument("--prior", choices=("normal", "zoo"), default="normal", help="normal, or the zoo's own mean and spread")
    sample.add_argument("--data", metavar="DATA", help="networks as the meta-features of this table or task have them")
    sample.add_argument("--target", metavar="COLUMN", help="the column of the table to predict")
    sample.add_argument("--out", metavar="DIR", help="write networks to DIR (default: show them as text)")
    sample.add_argument("--seed", type=int, default=0, help="of the draws (default: 0)")
    suggest = action("suggest", "A network for new data: the latents of a surrogate's answers, decoded.")
    _model_and_data(suggest)
    suggest.add_argument("--graph", metavar="FILE", help="the architecture (.json, .txt, .nl; default: the one that fits best)")
    suggest.add_argument("--surrogate", default="auto", help="auto, ridge or kernel (default: auto)")
    suggest.add_argument("--refine", type=int, default=0, metavar="N", help="gradient steps in the latents (default: 0)")
    evolve = action("evolve", "Search the latents by CMA-ES for the network that does best on data.")
    _model_and_data(evolve)
    evolve.add_argument("--evaluations", type=int, default=500, metavar="N", help="networks that are tried (default: 500)")
    evolve.add_argument("--strategy", default="cma-es", help="cma-es or nsga2 (default: cma-es)")


def _add_train(train: argparse.ArgumentParser) -> None:
    train.add_argument("zoo", metavar="ZOO", help="a folder that netloom zoo make wrote")
    train.add_argument("--out", required=True, metavar="FILE", help="the Netformer (.safetensors)")
    train.add_argument("--steps", type=int, default=3000, metavar="N", help="steps of 64 networks (default: 3000)")
    train.add_argument("--latents", type=int, metavar="N", help="numbers for the function (default: 64)")
    train.add_argument("--encoder", choices=("answers", "tokens", "both"), help="what is read of networks")
    train.add_argument("--decoder", choices=("transformer", "mlp"), help="what writes hidden layers")
    train.add_argument("--meta", choices=("token", "embedding"), help="where meta-features join (default: nowhere)")
    train.add_argument("--kl", type=float, metavar="WEIGHT", help="1e-4 reconstructs, 1e-2 makes the prior samplable")
    train.add_argument("--max-inputs", type=int, metavar="N", help="of the family (default: 8); also --max-outputs …")
    train.add_argument("--max-outputs", type=int, metavar="N", help=argparse.SUPPRESS)
    train.add_argument("--max-layers", type=int, metavar="N", help=argparse.SUPPRESS)
    train.add_argument("--max-width", type=int, metavar="N", help=argparse.SUPPRESS)
    train.add_argument("--config", metavar="FILE", help="a .json file with any settings and limits of the family")
    train.add_argument("--checkpoint", metavar="DIR", help="keep the training there, and go on from what is there")
    train.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: 0)")
    train.add_argument("--plot", metavar="FILE", help="draw the median R² of held-out networks: .svg or .png")
    train.add_argument("--quiet", action="store_true", help="show no progress")


def _model_and_zoo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a file, or mlp")
    parser.add_argument("zoo", metavar="ZOO", help="a folder that netloom zoo make wrote, or a saved network (.safetensors)")


def _model_and_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a file, or mlp")
    parser.add_argument("data", metavar="DATA", help="a table (.csv, .parquet, …) with --target, or a task by name")
    parser.add_argument("--target", metavar="COLUMN", help="the column of the table to predict")
    parser.add_argument("--out", metavar="FILE", help="write the network (.safetensors)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
