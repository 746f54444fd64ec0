"""The arguments of ``netloom predictor``. Imports argparse alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from .actions import actions_of

_DESCRIPTION = """\
What will a network score, before it is trained? Learn it from networks that were.

  fit SOURCE -o FILE             learn from graphs and scores, write the predictor
  predict FILE SOURCE            scores of graphs, best first
  evaluate SOURCE                how well predictors do on splits of what is known: mean ± sd, and pairs compared
  explain FILE SOURCE            which features moved the predictions, with a picture

SOURCE is a store (sqlite:///runs.db, runs.db), a .parquet file with a column graph_json, json, text, graph or layers32 and a
column of scores, or a folder of graph files (.json, .txt, .nl) with a scores.csv of the columns file and score.
'netloom predictor ACTION --help' explains one.
"""
_EXAMPLES = """\
  netloom predictor fit sqlite:///runs.db --task digits -o digits.safetensors
  netloom predictor predict digits.safetensors candidates.parquet --std -n 20
  netloom predictor evaluate runs.db --task digits --predictors Ensemble,GaussianProcess,Trees --seeds 10
  netloom predictor explain digits.safetensors candidates --plot why.svg
"""


def add_predictor(commands: Any, command: Callable[..., Any]) -> None:
    """Add the command to the parser; ``command`` makes one."""
    made = command(commands, "predictor", "predictor_command", "predictor ACTION …", _DESCRIPTION, _EXAMPLES)
    action = actions_of(made, "predictor")

    fit = action("fit", "Learn from graphs and their scores.", "runs.db --task digits -o digits.safetensors")
    _add_source(fit)
    fit.add_argument("-o", "--out", metavar="FILE", required=True, help="write the predictor there (.safetensors)")
    fit.add_argument("--predictor", default="Ensemble", help="its kind (default: Ensemble; 'evaluate' compares kinds)")
    fit.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")

    predict = action("predict", "Scores of graphs, best first.", "digits.safetensors candidates.parquet --std -n 20")
    predict.add_argument("file", metavar="FILE", help="a predictor that 'fit' wrote")
    _add_source(predict)
    predict.add_argument("--std", action="store_true", help="the standard deviation of each as well")
    predict.add_argument("-n", type=int, metavar="N", help="only the N best (default: all)")
    predict.add_argument("-o", "--out", metavar="FILE", help="write a .csv instead of to the screen")

    evaluate = action(
        "evaluate",
        "How well predictors do: random splits, the same for all; Kendall's τ and R², mean ± standard deviation over splits,\n"
        "and for each pair the mean difference of τ on the same split with its 95 % interval.",
        "runs.db --task digits --predictors Ensemble,Trees --seeds 10 --train 100",
    )
    _add_source(evaluate)
    evaluate.add_argument("--predictors", default="Ensemble,GaussianProcess,Trees", metavar="A,B", help="kinds to compare")
    evaluate.add_argument("--seeds", type=int, default=10, metavar="N", help="how many splits (default: 10)")
    evaluate.add_argument(
        "--train", default="0.8", metavar="N", help="how many graphs to learn from, or a share (default: 0.8)"
    )
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    evaluate.add_argument("--quiet", action="store_true", help="show no progress")

    explain = action("explain", "Which features moved the predictions.", "digits.safetensors candidates --plot why.svg")
    explain.add_argument("file", metavar="FILE", help="a predictor that 'fit' wrote")
    _add_source(explain)
    explain.add_argument("--graph", metavar="NAME", help="one of the graphs, as 'predict' calls it (default: all, on average)")
    explain.add_argument("--plot", metavar="FILE", help="write a picture (.svg, .png)")
    explain.add_argument("-n", type=int, default=12, metavar="N", help="how many features (default: 12)")
    explain.add_argument("--json", action="store_true", help="print JSON")


def _add_source(made: argparse.ArgumentParser) -> None:
    made.add_argument("source", metavar="SOURCE", help="a store, a .parquet file, or a folder of graph files")
    made.add_argument("--score", default="score", metavar="COLUMN", help="the column of scores (default: score)")
    made.add_argument("--task", help="of a store: name, spec or hash of the task that scores are on")
    made.add_argument("--recipe", help="of a store: name or hash of the recipe")
