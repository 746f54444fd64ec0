"""The arguments of every command, with the help that teaches them. Imports argparse alone."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import Any

from .data_arguments import add_data
from .ghn_arguments import add_ghn
from .measure_arguments import add_measure
from .metafeatures_arguments import add_metafeatures
from .netformer_arguments import add_netformer
from .predictor_arguments import add_predictor
from .report_arguments import add_report
from .sample_arguments import add_generator, add_sample
from .search_arguments import add_search
from .store_arguments import add_store
from .tour_arguments import add_tour
from .train_arguments import add_train
from .zoo_arguments import add_zoo


def add_all(commands: Any) -> None:
    """Add every command to the parser."""
    add_tour(commands, _command)
    add_search(commands, _command)
    add_sample(commands, _command)
    _add_trace(commands)
    _add_draw(commands)
    _add_diff(commands)
    _add_edit(commands)
    _add_prune(commands)
    _add_grow(commands)
    add_train(commands, _command)
    add_data(commands, _command)
    add_measure(commands, _command)
    add_report(commands, _command)
    add_store(commands, _command)
    add_predictor(commands, _command)
    add_generator(commands, _command)
    add_zoo(commands, _command)
    add_ghn(commands, _command)
    add_metafeatures(commands, _command)
    add_netformer(commands, _command)


def refuse(top: argparse.ArgumentParser, given: argparse.Namespace, unknown: Sequence[str]) -> None:
    """End the program over arguments that a command does not have, with the nearest that it has."""
    held, choices = top, _commands(top)
    while choices is not None and getattr(given, choices.dest, None) in choices.choices:
        held = choices.choices[getattr(given, choices.dest)]
        choices = _commands(held)
    known = [option for option in held._option_string_actions if option.startswith("--")]
    hints = []
    for word in unknown:
        near = difflib.get_close_matches(word.partition("=")[0], known, 1) if word.startswith("--") else []
        hints += [f"did you mean {option}?" for option in near]
    held.error(f"unrecognized arguments: {' '.join(unknown)}; {' '.join(hints) or f'{held.prog} --help lists what there is'}")


def _commands(held: argparse.ArgumentParser) -> Any:
    """The action that holds the commands below a parser; None where there are none."""
    return next((action for action in held._actions if isinstance(action, argparse._SubParsersAction)), None)


def _command(commands: Any, name: str, module: str, usage: str, description: str, examples: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name, description=description, epilog="examples:\n" + examples, usage=f"netloom {usage}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.set_defaults(module=module)
    return made


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


def _add_edited(made: argparse.ArgumentParser) -> None:
    """What all commands that change a network take."""
    made.add_argument("network", metavar="NETWORK", help="MODULE:FUNCTION, a graph file, a saved network, or a checkpoint")
    made.add_argument("--input", metavar="SIZES", help="shape of one sample (default: 3x224x224, unless a pair comes back)")
    made.add_argument("--graph", metavar="FILE", help="the graph of a checkpoint that holds tensors only (.json, .txt, .nl)")
    made.add_argument("--seed", type=int, default=0, help="seed of new weights (default: 0)")
    made.add_argument("-o", "--out", metavar="FILE", help="write the network (.safetensors) or its graph (.json, .txt, .nl)")
    made.add_argument("--save-plan", metavar="FILE", help="write the plan as JSON, to be applied with netloom edit --plan")


_VALUE = "which neurons stay: magnitude, l1, bn_scale, random (default: magnitude)"
_NEW = "how layers grow: zero (random rows, zero columns) or copy (default: zero)"


def _add_edit(commands: Any) -> None:
    made = _command(
        commands,
        "edit",
        "edit_command",
        "edit NETWORK [--explain [NODE]] [--resize NODE=SIZE] [--remove NODE] [--insert-after NODE=LAYER] … [-o FILE]",
        "Change a trained network: every shape stays aligned, every neuron that survives keeps its weights.\n\n"
        "Edits are made in the order in which they are given, sizes asked for side by side are settled together. The plan is\n"
        "printed: what becomes of every node, and whether the network still computes the same. NODE is the name of a node or\n"
        "the path of a module, as 'netloom trace NETWORK' shows them.",
        "  netloom edit torchvision.models:resnet18 --explain layer1.0.conv1      which sizes move together, and why\n"
        "  netloom edit torchvision.models:resnet18 --explain -o sizes.svg        the same as a picture of the network\n"
        "  netloom edit my_models:net --resize stem=-8 --resize block.conv=48 -o smaller.safetensors\n"
        "  netloom edit my_models:net --insert-after 'block.relu=conv2d(32, kernel=3, padding=1)|relu' --kernel stem=5\n"
        "  netloom edit my_models:net --remove block.1 --connect stem:head --draw change.svg\n"
        "  netloom edit weights.safetensors --graph net.json --plan plan.json -o new.safetensors   a stored plan, replayed\n",
    )
    _add_edited(made)
    order = InOrder
    changes = made.add_argument_group("edits, in order")
    changes.add_argument("--resize", action=order, metavar="NODE=SIZE", help="+4 or -4 features, or 48 exactly")
    changes.add_argument("--drop", action=order, metavar="NODE=0,3,5-7", help="let exactly these features go")
    changes.add_argument("--insert-after", action=order, metavar="NODE=LAYER", help="a layer, or several as LAYER|LAYER")
    changes.add_argument("--replace", action=order, metavar="NODE=LAYER", help="another layer in the place of a node")
    changes.add_argument("--remove", action=order, metavar="NODE[,NODE]", help="take nodes or a module out")
    changes.add_argument("--connect", action=order, metavar="A:B", help="let the value of A go into B as well")
    changes.add_argument("--disconnect", action=order, metavar="A:B", help="and no longer")
    changes.add_argument("--kernel", action=order, metavar="NODE=5", help="another kernel size, padding adapted")
    made.add_argument("--plan", metavar="FILE", help="first apply a plan that was saved")
    made.add_argument("--explain", nargs="?", const="", metavar="NODE", help="change nothing; say which sizes move together")
    made.add_argument("--value", default="magnitude", help=_VALUE)
    made.add_argument("--new", default="zero", help=_NEW)
    made.add_argument("--relax", action="store_true", help="where sizes cannot be met, take the nearest that can")
    made.add_argument("--io", action="store_true", help="let the sizes of inputs and outputs change too")
    made.add_argument("--draw", metavar="FILE", help="a picture of before and after: .svg, .png or .html")
    made.set_defaults(edits=None)


class InOrder(argparse.Action):
    """Keeps edits in the order in which they are given."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        namespace.edits = [*(namespace.edits or ()), (self.dest, values)]


def _add_prune(commands: Any) -> None:
    made = _command(
        commands,
        "prune",
        "prune_command",
        "prune NETWORK --keep|--flops|--params SHARE [--value VALUE] [--ranking layer|isomorphic|global] … [-o FILE]",
        "Take the least valuable neurons out of a trained network until what is left meets the budget.\n\n"
        "Whatever hangs together is cut together: residual streams, grouped and depthwise convolutions, whole attention heads.",
        "  netloom prune torchvision.models:resnet50 --flops 50% -o half.safetensors\n"
        "  netloom prune my_models:net --keep 0.7 --multiple-of 8 --protect head,stem\n"
        "  netloom prune trained.safetensors --params 25% --ranking global -o small.safetensors\n",
    )
    _add_edited(made)
    made.add_argument("--keep", metavar="SHARE", help="share of the neurons of every layer, such as 0.5 or 50%%")
    made.add_argument("--flops", metavar="SHARE", help="share of the FLOPs that is left")
    made.add_argument("--params", metavar="SHARE", help="share of the parameters that is left")
    made.add_argument("--value", default="magnitude", help=_VALUE)
    made.add_argument("--ranking", default="layer", help="layer: all keep the same share; isomorphic; global (default: layer)")
    _add_shared_sizes(made)


def _add_grow(commands: Any) -> None:
    made = _command(
        commands,
        "grow",
        "prune_command",
        "grow NETWORK --by|--flops|--params SHARE [--new zero|copy] … [-o FILE]",
        "Make a trained network larger: it computes what it did, and what is new can be trained.",
        "  netloom grow my_models:net --by 25% -o larger.safetensors\n"
        "  netloom grow trained.safetensors --flops 1.5 --multiple-of 8 -o larger.safetensors\n",
    )
    _add_edited(made)
    made.add_argument("--by", metavar="SHARE", help="how much more of the neurons of every layer, such as 0.25 or 25%%")
    made.add_argument("--flops", metavar="SHARE", help="FLOPs afterwards, such as 1.5 or 150%%")
    made.add_argument("--params", metavar="SHARE", help="parameters afterwards, such as 1.5 or 150%%")
    made.add_argument("--new", default="zero", help=_NEW)
    made.add_argument("--all-layers", action="store_true", help="grow layers too whose growth changes what is computed")
    _add_shared_sizes(made)


def _add_shared_sizes(made: argparse.ArgumentParser) -> None:
    made.add_argument("--multiple-of", type=int, default=1, metavar="N", help="sizes that are multiples of N (default: 1)")
    made.add_argument("--protect", action="append", metavar="NODE[,NODE]", help="nodes or modules that keep their size")
    made.add_argument("--narrow-heads", action="store_true", help="change the width of heads and groups, not their number")
