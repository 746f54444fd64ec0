"""``netloom metafeatures``."""

from __future__ import annotations

import argparse
import difflib
import json
from typing import Any

from ..errors import TaskError
from ..tasks.metafeatures import FEATURES, MetaFeatures, get_meta_features, names
from ..tasks.tables.reading import FORMATS


def run(given: argparse.Namespace) -> int:
    """Compute and print, or explain."""
    features = None if given.features is None else given.features.replace(" ", "").split(",")
    if given.explain:
        _explain(features)
        return 0
    if given.data is None:
        raise TaskError("metafeatures needs DATA: a table such as houses.csv, or a task such as digits; see also --explain")
    if given.max_tree_rows is not None and given.max_tree_rows < 1:
        raise TaskError(f"--max-tree-rows {given.max_tree_rows}; expected a number of rows, 1 or more")
    names(features)  # refused before anything is read
    x, y = _read(given)
    found = get_meta_features(
        x, y, features, target=given.classes, compatible=given.pymfe, seed=given.seed, max_tree_rows=given.max_tree_rows
    )
    print(json.dumps(_plain(found), ensure_ascii=False, indent=2) if given.json else "\n".join(_lines(found)))
    return 0


def _read(given: argparse.Namespace) -> tuple[Any, Any]:
    if not given.data.lower().endswith(FORMATS):
        from ..tasks import load

        if given.target or given.drop:
            raise TaskError(f"{given.data!r} is a task, which has its target; --target and --drop are for tables")
        part: Any = load(given.data).train
        return part.x, part.y
    from ..tasks.tables.reading import read_table

    frame = read_table(given.data)
    drop = [] if given.drop is None else given.drop.split(",")
    for column in [*drop, *([given.target] if given.target else [])]:
        if column not in frame.columns:
            near = difflib.get_close_matches(column, list(frame.columns), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there is: {', '.join(frame.columns[:20])}"
            raise TaskError(f"{given.data!r} has no column {column!r}; {hint}")
    y = frame[given.target] if given.target else None
    return frame.drop(columns=[*drop, *([given.target] if given.target else [])]), y


def _plain(found: MetaFeatures) -> dict[str, Any]:
    values = {name: None if value != value else value for name, value in found.items()}
    return {"features": values, "reasons": found.reasons}


def _lines(found: MetaFeatures) -> list[str]:
    width = max(map(len, found))
    return [f"{name:<{width}}  {value:>12.6g}" + _reason(found, name) for name, value in found.items()]


def _reason(found: MetaFeatures, name: str) -> str:
    return f"   {found.reasons[name]}" if name in found.reasons else ""


def _explain(features: list[str] | None) -> None:
    names(features)
    wanted = {name.partition(".")[0] for name in features or FEATURES}
    print("X: n rows, d columns; N: the columns of numbers, and 0 and 1 for levels of the others; C: the categorical columns,")
    print("and the numeric ones in ⌊n^⅓⌋ bins of equal frequency; q = p + 1e-8. Several values are given as mean and sd.\n")
    for name, about in FEATURES.items():
        if name in wanted:
            print(f"{name:<17} {about.formula}" + (" (mean, sd)" if about.several else ""))
