"""The arguments of every command, with the help that teaches them. Imports argparse alone."""

from __future__ import annotations

import argparse
from typing import Any

#: Where a command looks for a store that it is not told of.
DEFAULT_STORE = "sqlite:///netloom.db"
_STORE = "URL of the store: sqlite:///FILE, or another database"


def add_all(commands: Any) -> None:
    """Add every command to the parser."""
    _add_search(commands)
    _add_sample(commands)
    _add_trace(commands)
    _add_draw(commands)
    _add_diff(commands)
    _add_report(commands)
    _add_store(commands)


def _command(commands: Any, name: str, module: str, usage: str, description: str, examples: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name, description=description, epilog="examples:\n" + examples, usage=f"netloom {usage}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.set_defaults(module=module)
    return made


def _add_search(commands: Any) -> None:
    made = _command(
        commands,
        "search",
        "search_command",
        "search [--space SPACE] [--task TASK] [--budget BUDGET] [--store URL] [--report DIR] …",
        "Look for the network of a space that does best on the validation part of a task.\n\n"
        "Every result goes to the store; a network that the store has already is not trained again. Ctrl-C finishes\n"
        "the candidates in training and stops; --resume goes on from there.",
        "  netloom search --task digits --budget 60s\n"
        "  netloom search --space 'conv?max_macs=2e6' --task digits --budget 10m --executor local \\\n"
        "                 --store sqlite:///runs.db --report out\n"
        "  netloom search --task digits --budget 25 --seed 1           25 different candidates, however long it takes\n"
        "  netloom search --resume RUN --store sqlite:///runs.db       go on; 'netloom store ls URL' lists runs\n",
    )
    made.add_argument("--space", help="where candidates come from, settings after '?' (default: conv)")
    made.add_argument("--task", help="the data (default: digits)")
    made.add_argument("--strategy", help="how candidates are chosen (default: random)")
    made.add_argument("--budget", help="a time such as 60s, 20m, 1h30m, or a number of candidates (default: 60s)")
    made.add_argument("--recipe", help="how each is trained: express, thorough, or a .json file (default: express)")
    made.add_argument("--seed", type=int, help="draws candidates and weights (default: 0)")
    made.add_argument("--executor", help="inprocess, or local: a process for each processor (default: inprocess)")
    made.add_argument("--candidate-seconds", type=float, metavar="S", help="stop training a candidate after S seconds")
    made.add_argument("--store", metavar="URL", help=f"{_STORE} (default: {DEFAULT_STORE})")
    made.add_argument("--report", metavar="DIR", help="write the HTML report to DIR/index.html")
    made.add_argument("--resume", metavar="RUN", help="go on with a run of the store; --budget and --executor may change")
    made.add_argument("--quiet", action="store_true", help="show no progress")


def _add_sample(commands: Any) -> None:
    made = _command(
        commands,
        "sample",
        "sample_command",
        "sample [--space SPACE] [-n N] [--max-params P] [--max-flops F] [--out FILE] …",
        "Draw different networks of a space: a few to the screen, or as many as you like into a file.\n\n"
        "The same command gives the same file, whatever the number of processes. Killed, it goes on where it was when it is\n"
        "given again. Numbers may be written 100k, 2.5M, 1G. Exit code 1: the space has fewer networks than were asked for.",
        "  netloom sample -n 3\n"
        "  netloom sample --space conv -n 100k --max-params 1M --max-flops 10M --processes 2 --out nets.parquet\n"
        "  netloom sample --space 'conv?input_shape=1x8x8&conv_num=2' -n 100 --out networks.jsonl\n"
        "  netloom sample --space my_spaces:tiny -n 10 --format json     a space of your own, JSON on the screen\n",
    )
    made.add_argument("--space", default="conv", help="conv, mlp, nasbench201, MODULE:NAME; settings after '?' (default: conv)")
    made.add_argument("-n", default="1", metavar="N", help="how many (default: 1)")
    made.add_argument("--seed", default="0", help="seed of the draws (default: 0)")
    made.add_argument("--max-params", metavar="P", help="no network of more than P parameters")
    made.add_argument("--max-flops", metavar="F", help="no network of more than F FLOPs a sample (2 per multiply–accumulate)")
    made.add_argument("--out", metavar="FILE", help="write a .parquet, .jsonl or .txt file instead of to the screen")
    made.add_argument("--format", choices=("text", "json"), help="how networks are written (default: text; json in .jsonl)")
    made.add_argument("--processes", default="1", metavar="N", help="how many processes draw (default: 1)")
    made.add_argument("--quiet", action="store_true", help="show no progress")


def _add_trace(commands: Any) -> None:
    made = _command(
        commands,
        "trace",
        "trace_command",
        "trace NETWORK [--input SIZES] [--to FORMAT] [-o FILE]",
        "Show what a network is made of, or take it elsewhere.\n\n"
        "NETWORK is MODULE:FUNCTION, imported from the Python path or the current directory and called without arguments\n"
        "(it returns the model, or a pair of model and example inputs), a graph file (.json, .txt, .nl), or a network\n"
        "saved as .safetensors.\n\n"
        "formats, also known by the suffix of FILE:\n"
        "  text     the readable notation (.txt, .nl), which NETWORK may be again\n"
        "  json     lossless, for programs (.json)\n"
        "  python   a module that needs torch alone and loads the model's state_dict (.py)\n"
        "  outline  blocks and repeats, indented, with sizes and costs\n"
        "  svg png  a picture (.svg, .png)\n"
        "  html     a page in which blocks open by click (.html)\n"
        "  onnx     the network with its weights, the batch free (.onnx)",
        "  netloom trace torchvision.models:resnet18 --to outline\n"
        "  netloom trace torchvision.models:resnet18 -o resnet18.py        source you can read and edit\n"
        "  netloom trace torchvision.models:resnet18 -o resnet18.svg\n"
        "  netloom trace my_models:small_net --input 1x28x28 -o small.json\n"
        "  netloom trace small.json -o small.onnx\n",
    )
    made.add_argument("model", metavar="NETWORK", help="MODULE:FUNCTION, a graph file, or a saved network")
    made.add_argument("--input", metavar="SIZES", help="shape of one sample (default: 3x224x224, unless a pair comes back)")
    made.add_argument("--to", "--format", metavar="FORMAT", help="one of the above (default: by FILE's suffix, else text)")
    made.add_argument("-o", "--out", metavar="FILE", help="write to FILE instead of the screen")


def _add_draw(commands: Any) -> None:
    made = _command(
        commands,
        "draw",
        "draw_command",
        "draw NETWORK -o FILE [--direction down|right] [--flat] [--depth N] [--theme auto|light|dark] …",
        "Draw a network, its modules and repeats folded so that it stays legible.\n\n"
        "The suffix of FILE says what is written: .svg, .png, or .html, a page in which blocks open by click.",
        "  netloom draw torchvision.models:resnet50 -o resnet50.html\n"
        "  netloom draw torchvision.models:resnet50 -o resnet50.svg --direction right --depth 0\n"
        "  netloom draw small.json -o small.png --flat --theme dark\n",
    )
    made.add_argument("network", metavar="NETWORK", help="MODULE:FUNCTION, a graph file, or a saved network")
    made.add_argument("-o", "--out", metavar="FILE", required=True, help="the picture: .svg, .png or .html")
    made.add_argument("--input", metavar="SIZES", help="shape of one sample (default: 3x224x224, unless a pair comes back)")
    made.add_argument("--direction", default="down", help="down (default) or right")
    made.add_argument("--flat", action="store_true", help="draw every node instead of folding repeats")
    made.add_argument("--depth", type=int, metavar="N", help="open N levels of modules (default: as many as stay legible)")
    made.add_argument("--theme", help="auto (the reader's preference; default), light or dark; PNG is light unless dark")
    made.add_argument("--scale", type=float, default=1.0, metavar="X", help="size of boxes and text (default: 1)")
    made.add_argument("--title", help="what stands above the picture (default: the name of the network)")


def _add_diff(commands: Any) -> None:
    made = _command(
        commands,
        "diff",
        "diff_command",
        "diff A B [-o FILE] [--input SIZES] [--exit-code] [--direction down|right] [--theme auto|light|dark]",
        "Show what was added, removed, resized, changed and rewired between two networks.\n\n"
        "Names do not matter, only what is computed: a renamed copy is the same. A and B are MODULE:FUNCTION, a graph file\n"
        "(.json, .txt, .nl), or a network saved as .safetensors. The suffix of FILE says what is written: .svg, .png or\n"
        ".html for a picture of both in one, .json, or .txt for the table that is printed otherwise.",
        "  netloom diff torchvision.models:resnet18 torchvision.models:resnet34\n"
        "  netloom diff parent.json child.json -o change.svg\n"
        "  netloom diff before.nl after.nl --exit-code                 1 where they differ, for scripts\n",
    )
    made.add_argument("a", metavar="A", help="the network before: MODULE:FUNCTION, a graph file, or a saved network")
    made.add_argument("b", metavar="B", help="the network after")
    made.add_argument("-o", "--out", metavar="FILE", help="write to FILE: .svg, .png, .html, .json or .txt")
    made.add_argument("--input", metavar="SIZES", help="shape of one sample (default: 3x224x224, unless a pair comes back)")
    made.add_argument("--exit-code", action="store_true", help="end with 1 where the networks differ, with 0 where not")
    made.add_argument("--direction", default="down", help="of the picture: down (default) or right")
    made.add_argument("--theme", help="auto (the reader's preference; default), light or dark; PNG is light unless dark")


def _add_report(commands: Any) -> None:
    made = _command(
        commands,
        "report",
        "report_command",
        "report [RUN] [--store URL] [--out DIR]",
        "Write the HTML report of a run: one page that needs no network.",
        "  netloom report --store sqlite:///runs.db --out out             the latest run\n"
        "  netloom report 20260102-030405-ab12 --store sqlite:///runs.db --out out\n",
    )
    made.add_argument("run", nargs="?", help="id of the run (default: the latest)")
    made.add_argument("--store", metavar="URL", default=DEFAULT_STORE, help=f"{_STORE} (default: {DEFAULT_STORE})")
    made.add_argument("--out", metavar="DIR", default="report", help="directory of the page (default: report)")


def _add_store(commands: Any) -> None:
    made = _command(
        commands,
        "store",
        "store_command",
        "store ls|check URL",
        "List the runs of a store, or check that everything in it is whole.",
        "  netloom store ls sqlite:///runs.db\n  netloom store check sqlite:///runs.db\n",
    )
    made.add_argument("action", choices=("ls", "check"), help="ls: its runs; check: exit code 0 and one line when it is whole")
    made.add_argument("url", metavar="URL", help=_STORE)
