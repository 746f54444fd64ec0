"""The arguments of ``netloom ghn``, with the help that teaches them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

_ACTIONS = """\
  predict NETWORK …  fill a network with predicted parameters, and write it
  view NETWORK …     a network as a hypernetwork sees it: nodes, edges, distances
  train …            a hypernetwork, on networks that are sampled as it goes
  eval FILE …        accuracy of the networks it fills, of a split of DeepNets-1M or of a space
  rank FILE …        the best of many networks by that accuracy, without training one
  embed FILE …       embeddings of networks, as .npy or .parquet
  convert FILE OUT   any published checkpoint as safetensors; nothing in the file is run
  list               hypernetworks that are known by name
  reproduce …        the papers' tables beside what is measured with the files and data at hand
"""
_EXAMPLES = """\
  netloom ghn train --preset ghn2 --task digits --out ghn.safetensors --checkpoint state
  netloom ghn train --preset ghn3 --task cifar10 --meta-batch 4 --hid 32 --epochs 20 --out ghn3.safetensors
  netloom ghn eval ghn.safetensors --task digits --split test -n 20
  netloom ghn rank digits --split search -n 1000 --top 10 --channels 8 --out ranks.jsonl
  netloom ghn predict my_models:net --file ghn2_cifar10 --input 3x32x32 --out filled.safetensors
  netloom ghn embed ghn.safetensors nets.parquet --out embeddings.npy
  netloom ghn convert ghn3tm8.pt ghn3tm8.safetensors
"""
_FILE = "a file, or the name of a known one (netloom ghn list)"


def add_ghn(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    made = command(
        commands,
        "ghn",
        "ghn_command",
        "ghn ACTION …",
        "Graph hypernetworks: which weights a network would have that nobody trained.\n\n" + _ACTIONS,
        _EXAMPLES,
    )
    actions = made.add_subparsers(dest="action", metavar="ACTION", required=True, prog="netloom ghn")
    _add_train(actions)
    _add_eval(actions)
    _add_rank(actions)
    _add_reproduce(actions)
    _add_predict(actions)
    _add_view(actions)
    _add_embed(actions)
    convert = actions.add_parser("convert", description="Write any checkpoint of a hypernetwork as safetensors.")
    convert.add_argument("file", metavar="FILE", help=_FILE)
    convert.add_argument("out", metavar="OUT", help="the .safetensors file to write")
    actions.add_parser("list", description="Hypernetworks that are known by name: netloom's own, and published ones.")


def _add_train(actions: Any) -> None:
    made = actions.add_parser(
        "train",
        description="Train a hypernetwork. Presets are the published settings; each can be replaced. The same command goes on "
        "where it was stopped, if it has --checkpoint.",
    )
    made.add_argument("--preset", default="ghn2", help="ghn1, ghn2, mlp or ghn3 (default: ghn2)")
    made.add_argument("--task", default="digits", help="digits, cifar10, imagenet:FOLDER, images:FOLDER … (default: digits)")
    made.add_argument("--space", default="deepnets1m", help="where networks are drawn from (default: deepnets1m)")
    made.add_argument("--out", metavar="FILE", help="the .safetensors file to write")
    made.add_argument("--checkpoint", metavar="FOLDER", help="keeps the state: killed, the same command goes on")
    made.add_argument("--fresh", action="store_true", help="begin anew, whatever the checkpoint holds")
    made.add_argument("--start", metavar="FILE", help="go on from a hypernetwork: " + _FILE)
    made.add_argument("--meta-batch", type=int, metavar="M", help="networks in a step")
    made.add_argument("--virtual-edges", type=int, metavar="D", help="longest path that makes a virtual edge; 1 for none")
    made.add_argument("--normalize", action=argparse.BooleanOptionalAction, help="scale what is predicted by its fan-in")
    made.add_argument("--layernorm", action=argparse.BooleanOptionalAction, help="layer norm after message passing")
    made.add_argument("--hypernet", choices=("gnn", "mlp"), help="pass messages between nodes, or not")
    for name, kind, text in (
        ("--hid", int, "size of node states"),
        ("--layers", int, "layers of GHN-3"),
        ("--heads", int, "heads of GHN-3"),
        ("--max-channels", int, "channels of the largest weight that is decoded"),
        ("--kernel", int, "its kernel"),
        ("--pool", int, "draw so many networks once and meet them again, in place of new ones in every step"),
        ("--max-nodes", int, "bound on the size of the networks of a step"),
        ("--epochs", int, "epochs"),
        ("--steps", int, "stop after so many steps"),
        ("--seconds", float, "stop after so many seconds"),
        ("--batch-size", int, "images in a step"),
        ("--lr", float, "learning rate"),
        ("--weight-decay", float, "weight decay"),
        ("--watched", int, "unseen networks that give the score of an epoch"),
        ("--seed", int, "seed (default: 0)"),
    ):
        made.add_argument(name, type=kind, metavar=name[2:3].upper(), help=text)
    made.add_argument(
        "--channels", type=int, nargs="+", metavar="C",
        help="channels of the sampled networks, in place of those of the space; of several, one at random",
    )  # fmt: skip
    made.add_argument("--schedule", choices=("steps", "cosine"), help="of the learning rate")
    made.add_argument("--warmup-epochs", type=int, metavar="W", help="epochs in which the rate of a cosine rises")
    made.add_argument("--precision", choices=("float32", "bfloat16", "float16"), help="of the sampled networks")
    made.add_argument("--devices", type=int, default=1, metavar="N", help="processes that share the networks of a step")
    made.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 … (default: cpu)")
    made.add_argument("--quiet", action="store_true", help="show no progress")


def _add_eval(actions: Any) -> None:
    made = actions.add_parser(
        "eval",
        description="Accuracy of networks with predicted parameters, batch norms using statistics of batches of 64: mean, best "
        "and standard error; top-1, and top-5 where there are many classes.",
    )
    _add_candidates(made, "test", 20)
    made.add_argument("--arch", metavar="I", type=int, help="only the network of that number")
    made.add_argument("--json", action="store_true", help="write JSON")
    made.add_argument("--quiet", action="store_true", help="show no progress")


def _add_candidates(made: argparse.ArgumentParser, split: str, count: int) -> None:
    """Which hypernetwork on which data, for which networks, and how many samples they see."""
    made.add_argument("file", metavar="FILE", help=_FILE)
    made.add_argument("--task", help="the data (default: those it was trained on)")
    made.add_argument("--part", default="valid", choices=("valid", "test"), help="part of the data (default: valid)")
    splits = "train, val, test, wide, deep, dense, bnfree, predefined or search"
    made.add_argument("--split", default=split, help=f"split of DeepNets-1M: {splits} (default: {split})")
    made.add_argument("--space", help="draw networks from another space")
    made.add_argument("-n", type=int, default=count, help=f"how many networks (default: {count:,})")
    made.add_argument("--seed", type=int, default=0, help="seed of draws from a space (default: 0)")
    made.add_argument(
        "--channels", type=int, metavar="C",
        help="channels of the networks (default: those the hypernetwork was trained on, if it says so, else the split's)",
    )  # fmt: skip
    made.add_argument("--samples", type=int, metavar="S", help="look at so many samples at most")


def _add_rank(actions: Any) -> None:
    made = actions.add_parser(
        "rank",
        description="The best of many networks by the accuracy that they have with predicted parameters; none is trained.\n\n"
        "With --out the same command goes on where it was stopped. A name that it prints is one that netloom train takes:\n"
        "netloom train 'deepnets1m:search/12' --task cifar10 --recipe darts-600",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_candidates(made, "search", 1000)
    made.add_argument("--top", type=int, default=10, metavar="K", help="how many to print (default: 10)")
    made.add_argument("--out", metavar="FILE", help="a .jsonl file, a line for every network, which a next run goes on with")
    made.add_argument("--best", metavar="FILE", help="write the best network's graph (.json)")
    made.add_argument("--json", action="store_true", help="write JSON")
    made.add_argument("--quiet", action="store_true", help="show no progress")


def _add_reproduce(actions: Any) -> None:
    made = actions.add_parser(
        "reproduce",
        description="The papers' tables beside what is measured here, with the hypernetworks and data that are at hand. What "
        "is absent is marked, with the command that would close it on a machine with a graphics card.",
    )
    made.add_argument("file", metavar="FILE", nargs="*", help="measure these hypernetworks too: " + _FILE)
    made.add_argument("--task", help="the data to measure on (default: those it was trained on)")
    made.add_argument("-n", type=int, default=100, help="networks of each split (default: 100)")
    made.add_argument("--channels", type=int, metavar="C", help="channels of the networks, in place of those of the split")
    made.add_argument("--samples", type=int, metavar="S", help="look at so many samples at most")
    made.add_argument("--json", action="store_true", help="write JSON")
    made.add_argument("--quiet", action="store_true", help="show no progress")


def _add_predict(actions: Any) -> None:
    made = actions.add_parser("predict", description="Fill a network with predicted parameters, and write it.")
    _add_network(made)
    made.add_argument("--file", default="ghn2_cifar10", metavar="FILE", help=_FILE + " (default: ghn2_cifar10)")
    made.add_argument("--out", required=True, metavar="OUT", help="the .safetensors file to write: graph and weights")


def _add_view(actions: Any) -> None:
    made = actions.add_parser("view", description="A network as a hypernetwork sees it.")
    _add_network(made)
    made.add_argument("--style", default="ppuda", choices=("ppuda", "ghn3"), help="as GHN-1 and GHN-2 see it, or GHN-3")
    made.add_argument("--json", action="store_true", help="nodes, edges and distances as JSON")


def _add_network(made: argparse.ArgumentParser) -> None:
    made.add_argument("network", metavar="NETWORK", help="MODULE:FUNCTION, a graph file, a saved network …")
    made.add_argument("--input", metavar="SIZES", help="sizes of the input without batch, such as 3x32x32")


def _add_embed(actions: Any) -> None:
    made = actions.add_parser("embed", description="Embeddings of networks; those in a .parquet OUT are used again.")
    made.add_argument("file", metavar="FILE", help=_FILE)
    made.add_argument("graphs", metavar="GRAPHS", help="networks: .parquet, .jsonl or .txt of netloom sample")
    made.add_argument("--out", required=True, metavar="OUT", help=".npy (N, hid), or .parquet with the hash of each network")
    made.add_argument("--quiet", action="store_true", help="show no progress")
