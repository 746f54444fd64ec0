"""``netloom zoo``."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable
from typing import Any

from ..errors import ZooError
from ..spaces.loading import whole_number
from ..zoo import Zoo, ZooNetwork, make
from ..zoo.datasheet import as_lines, bars, describe, number_text
from ..zoo.selecting import OPERATORS

_CONDITION = re.compile(r"\s*(\w+)\s*(==|!=|<=|>=|=|<|>)\s*(.+?)\s*")


def run(given: argparse.Namespace) -> int:
    """Do what the action says."""
    actions: dict[str, Callable[[argparse.Namespace], int]] = {"make": _make, "show": _show, "check": _check}
    return actions[given.action](given)


# -- make --------------------------------------------------------------------------------------------------------------
def _make(given: argparse.Namespace) -> int:
    settings = {
        name: getattr(given, name)
        for name in ("family", "space", "recipe", "pairing", "duplicates", "kept")
        if getattr(given, name) is not None
    }  # fmt: skip
    if given.epochs is not None:
        settings["epochs"] = tuple(_number("--epochs", part) for part in given.epochs.split(","))
    if given.task and given.tasks is not None:
        raise ZooError("--tasks is a number of random tasks, --task names one; give one of them")
    tasks = given.task or (None if given.tasks is None else _number("--tasks", given.tasks))
    numbers = {name: _number(f"--{name}", getattr(given, name)) for name in ("models", "seed", "processes")}
    try:
        zoo = make(given.out, tasks=tasks, config=given.config, progress=not given.quiet, **numbers, **settings)
    except KeyboardInterrupt:
        print(f"\nnetloom zoo: stopped; the same command goes on in {given.out}", file=sys.stderr)
        return 130
    print(f"{given.out}: {len(zoo):,} networks, {len(zoo.tasks):,} tasks; see {given.out}/README.md")
    return 0


def _number(flag: str, text: str) -> int:
    try:
        return whole_number(text)
    except ValueError as error:
        raise ZooError(f"{flag} {text}: {error}") from None


# -- show --------------------------------------------------------------------------------------------------------------
def _show(given: argparse.Namespace) -> int:
    zoo = Zoo(given.folder)
    if given.network is not None:
        if given.where:
            raise ZooError(f"--where chooses among networks, and NETWORK {given.network} names one; give one of them")
        return _show_network(zoo, given)
    zoo = zoo.filter(*map(condition, given.where)) if given.where else zoo
    if not len(zoo):
        print("no network" + (" is like that" if given.where else " is complete yet"))
        return 0
    if given.plot is not None:
        from ..training.curve_drawing import draw_curve

        words = {"score_name": "score", "title": f"{given.folder}: median of {len(zoo):,} networks"}
        print(f"curve: {draw_curve(zoo.median_curve(), given.plot, **words)}", file=sys.stderr)
    count = _number("-n", given.n)
    if given.json:
        document = describe(zoo) | ({"best": _best(zoo, count)} if count else {})
        print(json.dumps(_plain(document), indent=2))
        return 0
    print("\n".join(as_lines(describe(zoo))))
    for row in _best(zoo, count):
        widths = "–".join(map(str, row["widths"]))
        size = f"{row['num_params']:>9,} parameters  {widths:<20}"
        print(f"  {row['network']:>8,}  {row['score']:7.4f}  {size}  task {row['task']}")
    return 0


def _best(zoo: Zoo, count: int) -> list[dict[str, Any]]:
    if not count:
        return []
    frame = zoo.frame(["network", "score", "num_params", "depth", "widths", "task", "status"])
    best = frame.sort_values("score", ascending=False, kind="stable").head(count)
    return [row | {"widths": [int(width) for width in row["widths"]]} for row in best.to_dict("records")]


def condition(text: str) -> tuple[str, str, Any]:
    """``"score > 0.9"`` as column, operator and value.

    >>> condition("score > 0.9"), condition("status=ok")
    (('score', '>', 0.9), ('status', '==', 'ok'))
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ZooError(f"--where {text!r}: expected a column, one of {', '.join(OPERATORS[:6])}, and a value: 'score > 0.9'")
    column, operator, value = match.groups()
    return column, "==" if operator == "=" else operator, _value(value)


def _value(text: str) -> Any:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text.strip("'\""))


def _show_network(zoo: Zoo, given: argparse.Namespace) -> int:
    number = _number("NETWORK", given.network)
    places = (zoo.numbers == number).nonzero()[0]
    if not len(places):
        raise ZooError(f"{given.folder!r} has no network {number}; it has {len(zoo):,}, numbered from 0")
    network = zoo[int(places[0])]
    if given.plot is not None and network.curve:
        from ..training.curve_drawing import draw_curve

        words = {"score_name": network.task.score_name, "title": f"{given.folder}: network {number}"}
        print(f"curve: {draw_curve(network.curve, given.plot, **words)}", file=sys.stderr)
    if given.json:
        print(json.dumps(_plain(dict(network.record) | {"graph": json.loads(network.record["graph"])}), indent=2))
        return 0
    print("\n".join(_told(network)))
    return 0


def _told(network: ZooNetwork) -> list[str]:
    record, task = network.record, network.task
    scores = [point.score for point in network.curve if math.isfinite(point.score)]
    low = min(scores, default=0.0)
    best = f", best {number_text(record['best_score'])} in epoch {record['best_epoch']}" if record["best_epoch"] else ""
    return [
        f"network {network.number}: {record['status']} after {record['steps']:,} steps, {record['num_params']:,} parameters",
        f"task {record['task']}: {task!r}, {task.spec}",
        f"{task.score_name} {number_text(record['score'])}{best}; validation loss {number_text(record['valid_loss'])}",
        *([f"score over {len(scores)} epochs: {bars([round(1000 * (score - low)) for score in scores])}"] if scores else []),
        *("    " + line for line in network.graph.to_text().splitlines()),
    ]


def _plain(value: Any) -> Any:
    """JSON has no nan; what is none is null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# -- check -------------------------------------------------------------------------------------------------------------
def _check(given: argparse.Namespace) -> int:
    from ..tasks.progress import progress
    from ..zoo.checking import problems

    zoo = Zoo(given.folder)
    with progress("checking", None, show=not given.quiet) as done:
        found = problems(zoo, deep=given.deep, tell=lambda part: done(1))
    for problem in found:
        print(problem)
    if not found:
        how = ", each computed again" if given.deep else ""
        print(f"{given.folder}: whole; {len(zoo):,} networks, {len(zoo.tasks):,} tasks{how}")
    return int(bool(found))
