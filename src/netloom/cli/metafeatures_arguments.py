"""The arguments of ``netloom metafeatures``. Imports argparse alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_DESCRIPTION = """\
Numbers that describe a data set: sizes, moments, correlations, entropies, overlap of classes, the size of a decision tree.

DATA is a table (.csv, .tsv, .parquet, .arff) with --target naming its column to predict, or a task such as digits, whose train
part is described. The 23 features are 37 numbers, those of pymfe; a number that cannot be computed is NaN, with the reason.
"""
_EXAMPLES = """\
  netloom metafeatures houses.csv --target price                 a real-valued target becomes three classes
  netloom metafeatures irises.csv --target species --features cor,class_ent,tree_depth.mean
  netloom metafeatures digits --json
  netloom metafeatures --explain                                 the formula of each
"""


def add_metafeatures(commands: Any, command: Callable[..., Any]) -> None:
    """Add the command to the parser; ``command`` makes one."""
    usage = "metafeatures DATA [--target COLUMN] [--features NAME,NAME…] [--json] …"
    made = command(commands, "metafeatures", "metafeatures_command", usage, _DESCRIPTION, _EXAMPLES)
    made.add_argument("data", metavar="DATA", nargs="?", help="a table, or a task by name")
    made.add_argument("--target", metavar="COLUMN", help="the column to predict (without: features of classes are NaN)")
    made.add_argument("--drop", metavar="COLUMN,…", help="columns to leave out")
    made.add_argument("--features", metavar="NAME,…", help="these only, as cor or cor.mean (default: all 23)")
    made.add_argument(
        "--classes", choices=("auto", "classes", "quantiles", "nan"), default="auto",
        help="what the target is: every value a class, quantile classes, or nan for real values (default: auto)",
    )  # fmt: skip
    made.add_argument("--pymfe", action="store_true", help="as pymfe has it: every value a class, ratios of rounding kept")
    made.add_argument("--max-tree-rows", type=int, metavar="N", help="grow the decision tree on N random rows")
    made.add_argument("--seed", type=int, default=0, help="of the tree, and of columns and rows that are drawn (default: 0)")
    made.add_argument("--explain", action="store_true", help="show the formula of each feature instead")
    made.add_argument("--json", action="store_true", help="print JSON, NaN as null")
