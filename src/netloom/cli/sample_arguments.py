"""The arguments of ``netloom sample`` and ``netloom generator``. Imports argparse alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .actions import actions_of

_SAMPLE = """\
Draw different networks of a space: a few to the screen, or as many as you like into a file.

The same command gives the same file, whatever the number of processes. Killed, it goes on where it was when it is
given again. Numbers may be written 100k, 2.5M, 1G. Exit code 1: there are fewer networks than were asked for.

With --predictor only samples are kept that a predictor ('netloom predictor fit') thinks well of, and it is said which
share passed. With --from they are not drawn but written by a generator ('netloom generator fit'), which knows its
space: for a score (--score), or for as high a one as can be.
"""
_SAMPLE_EXAMPLES = """\
  netloom sample -n 3
  netloom sample --space conv -n 100k --max-params 1M --max-flops 10M --processes 2 --out nets.parquet
  netloom sample --space 'conv?input_shape=1x8x8&conv_num=2' -n 100 --out networks.jsonl
  netloom sample --space deepnets1m --split train -n 1M --processes 2 --out deepnets.parquet
  netloom sample --space my_spaces:tiny -n 10 --format json     a space of your own, JSON on the screen
  netloom sample --space conv --predictor digits.safetensors --min-score 0.7 -n 20
  netloom sample --space conv --predictor digits.safetensors --min-quantile 0.9 -n 20 --out good.parquet --json
  netloom sample --from generator.safetensors --score 0.9 -n 100 --max-params 200k --out written.jsonl
"""


def add_sample(commands: Any, command: Callable[..., Any]) -> None:
    """Add ``netloom sample`` to the parser; ``command`` makes one."""
    usage = "sample [--space SPACE | --from FILE] [-n N] [--max-params P] [--max-flops F] [--out FILE] …"
    made = command(commands, "sample", "sample_command", usage, _SAMPLE, _SAMPLE_EXAMPLES)
    spaces = "conv, deepnets1m, mlp, nasbench201, MODULE:NAME"
    made.add_argument("--space", help=f"{spaces}; settings after '?' (default: conv)")
    splits = "train, val, test, wide, deep, dense, bnfree, search, predefined"
    made.add_argument("--split", metavar="SPLIT", help=f"of deepnets1m: {splits} (default: train)")
    made.add_argument("-n", default="1", metavar="N", help="how many (default: 1)")
    made.add_argument("--seed", default="0", help="seed of the draws (default: 0)")
    made.add_argument("--max-params", metavar="P", help="no network of more than P parameters")
    made.add_argument("--max-flops", metavar="F", help="no network of more than F FLOPs a sample (2 per multiply–accumulate)")
    made.add_argument("--out", metavar="FILE", help="write a .parquet, .jsonl or .txt file instead of to the screen")
    written = "how networks are written (default: text; json in .jsonl; in files of deepnets1m what makes them again)"
    made.add_argument("--format", choices=("text", "json", "description"), help=written)
    made.add_argument("--processes", default="1", metavar="N", help="how many processes draw (default: 1)")
    made.add_argument("--quiet", action="store_true", help="show no progress")
    chosen = made.add_argument_group("chosen by a predictor")
    chosen.add_argument("--predictor", metavar="FILE", help="a predictor that 'netloom predictor fit' wrote")
    chosen.add_argument("--min-score", type=float, metavar="S", help="keep what is predicted S or better")
    quantile = "or: keep what is predicted better than the share Q of random samples, such as 0.9"
    chosen.add_argument("--min-quantile", type=float, metavar="Q", help=quantile)
    most = "draws, or sequences of --from, after which it ends with fewer (default: 100 for each network, and 2,000)"
    chosen.add_argument("--most-draws", metavar="N", help=most)
    chosen.add_argument("--json", action="store_true", help="print what came of it, and the networks without --out, as JSON")
    written = made.add_argument_group("written by a generator")
    written.add_argument("--from", dest="generator", metavar="FILE", help="a generator that 'netloom generator fit' wrote")
    written.add_argument("--score", type=float, metavar="S", help="what they are to score (default: as high as can be)")
    written.add_argument("--temperature", type=float, metavar="T", help="boldness: 1 as learned, below likelier (default: 0.8)")
    written.add_argument("--screen", metavar="K", help="write K for each, keep those predicted best (default: 8; 1: keep all)")


_GENERATOR = """\
Learn to write networks that score high from networks that were trained.

  fit SOURCE -o FILE             learn from graphs and scores, write the generator
  evaluate FILE                  does it write what it is asked for? what is predicted, how much is new
  sample FILE                    new networks; the same as 'netloom sample --from FILE'

SOURCE is a store (sqlite:///runs.db, runs.db), a .parquet file with a column graph_json, json, text, graph or layers32 and a
column of scores, or a folder of graph files (.json, .txt, .nl) with a scores.csv of the columns file and score.
'netloom generator ACTION --help' explains one.
"""
_GENERATOR_EXAMPLES = """\
  netloom generator fit sqlite:///runs.db --task digits --space conv -o generator.safetensors
  netloom generator evaluate generator.safetensors
  netloom generator sample generator.safetensors --score 0.9 -n 100 --max-params 200k --out written.parquet
  netloom generator fit more.parquet --from generator.safetensors -o generator.safetensors      goes on learning
"""


def add_generator(commands: Any, command: Callable[..., Any]) -> None:
    """Add ``netloom generator`` to the parser; ``command`` makes one."""
    made = command(commands, "generator", "generator_command", "generator ACTION …", _GENERATOR, _GENERATOR_EXAMPLES)
    action = actions_of(made, "generator")

    fit = action("fit", "Learn from graphs and their scores.", "runs.db --task digits --space conv -o generator.safetensors")
    fit.add_argument("source", metavar="SOURCE", help="a store, a .parquet file, or a folder of graph files")
    fit.add_argument("-o", "--out", metavar="FILE", required=True, help="write the generator there (.safetensors)")
    fit.add_argument("--space", help="what it is to write: conv, mlp, nasbench201 …, settings after '?' (default: recognised)")
    fit.add_argument("--from", dest="before", metavar="FILE", help="go on learning from where this generator stands")
    fit.add_argument("--predictor", default="Ensemble", help="the predictor learned along (default: Ensemble; none for none)")
    fit.add_argument("--unlabelled", metavar="N", help="networks to learn from whose scores it predicts (default: 1000)")
    fit.add_argument("--score", default="score", metavar="COLUMN", help="the column of scores (default: score)")
    fit.add_argument("--task", help="of a store: name, spec or hash of the task that scores are on")
    fit.add_argument("--recipe", help="of a store: name or hash of the recipe")
    fit.add_argument("--strict", action="store_true", help="refuse graphs of another space instead of leaving them out")
    fit.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")
    fit.add_argument("--quiet", action="store_true", help="show no progress")

    evaluate = action(
        "evaluate",
        "What sequences come to when several scores are asked for, none of them chosen: what is predicted of the networks,\n"
        "which share are different from each other, and new.",
        "generator.safetensors",
    )
    evaluate.add_argument("file", metavar="FILE", help="a generator that 'fit' wrote")
    evaluate.add_argument("-n", type=int, default=100, metavar="N", help="sequences for each score (default: 100)")
    evaluate.add_argument("--space", help="the space, where the generator was fitted in one of your own (MODULE:NAME)")
    evaluate.add_argument("--seed", type=int, default=0, help="of the sequences (default: 0)")
    evaluate.add_argument("--json", action="store_true", help="print JSON")

    sample = action("sample", "New networks, those that suit best first.", "generator.safetensors --score 0.9 -n 100")
    sample.add_argument("generator", metavar="FILE", help="a generator that 'fit' wrote")
    sample.add_argument("-n", default="1", metavar="N", help="how many (default: 1)")
    sample.add_argument("--score", type=float, metavar="S", help="what they are to score (default: as high as can be)")
    sample.add_argument("--max-params", metavar="P", help="no network of more than P parameters")
    sample.add_argument("--max-flops", metavar="F", help="no network of more than F FLOPs a sample")
    sample.add_argument("--temperature", type=float, metavar="T", help="boldness: 1 as learned, below likelier (default: 0.8)")
    sample.add_argument("--screen", metavar="K", help="write K for each, keep those predicted best (default: 8; 1: keep all)")
    sample.add_argument("--most-draws", metavar="N", help="sequences after which it ends with fewer")
    sample.add_argument("--space", help="the space, where the generator was fitted in one of your own (MODULE:NAME)")
    sample.add_argument("--seed", default="0", help="seed of the draws (default: 0)")
    sample.add_argument("--out", metavar="FILE", help="write a .parquet, .jsonl or .txt file instead of to the screen")
    sample.add_argument("--format", choices=("text", "json"), help="how networks are written (default: text; json in .jsonl)")
    sample.add_argument("--json", action="store_true", help="print what came of it, and the networks without --out, as JSON")
    sample.set_defaults(split=None, predictor=None, min_score=None, min_quantile=None, processes="1", quiet=False)
