"""The datasheet of a zoo: what is in it, how it was made, what it is for; as JSON, and as a page to read.

(The questions are those of Gebru et al. 2021, "Datasheets for Datasets".)
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .files import DATASHEET, README, replace_file, table_path, tensors_path
from .plan import FORMAT
from .population import Zoo
from .records import COLUMNS
from .stored_tasks import PER_FILE

if TYPE_CHECKING:
    import pandas

_QUANTILES = {"min": 0.0, "p10": 0.1, "median": 0.5, "p90": 0.9, "max": 1.0}
_SUMMARIZED = ("score", "best_score", "valid_loss", "train_loss", "num_params", "flops", "depth", "seconds")
_BARS = " ▁▂▃▄▅▆▇█"


def write_datasheet(folder: Path) -> None:
    """Write ``datasheet.json`` and ``README.md`` of a zoo that is whole."""
    sheet = describe(Zoo(folder))
    replace_file(folder / DATASHEET, lambda path: path.write_text(json.dumps(sheet, indent=2) + "\n", encoding="utf-8"))
    replace_file(folder / README, lambda path: path.write_text(as_page(sheet), encoding="utf-8"))


def describe(zoo: Zoo) -> dict[str, Any]:
    """What a datasheet says, as JSON."""
    from importlib.metadata import version

    from .. import __version__

    frame = zoo.frame()
    tasks = zoo.tasks.frame()
    return {
        "netloom zoo": FORMAT,
        "networks": len(zoo),
        "is_whole": zoo.is_whole,
        "models": zoo.plan.models,
        "tasks": len(zoo.tasks),
        "seed": zoo.plan.seed,
        "config": asdict(zoo.plan.config),
        "config_hash": zoo.plan.config.hash,
        "made_with": {"netloom": __version__, **{name: version(name) for name in ("torch", "numpy")}},
        "statuses": {str(status): int(count) for status, count in frame["status"].value_counts().items()},
        "architectures": int(frame["graph_hash"].nunique()),
        "summary": {name: summary(frame[name]) for name in _SUMMARIZED},
        "scores": histogram(frame["score"]),
        "task_kinds": {str(kind): int(count) for kind, count in tasks["kind"].value_counts().items()},
        "task_sizes": {name: summary(tasks[name]) for name in ("num_train", "num_valid", "num_test", "num_outputs")},
        "columns": COLUMNS,
        "files": _files(zoo),
    }


def _files(zoo: Zoo) -> dict[str, int]:
    """Number of parts and bytes of each kind of file."""
    found: dict[str, int] = {}
    for kind, parts in (("tasks", -(-len(zoo.tasks) // PER_FILE)), ("weights", zoo.plan.shards)):
        paths = [path for number in range(parts) for path in (tensors_path(zoo.folder, kind, number),)]
        tables = [table_path(zoo.folder, kind, number) for number in range(parts)]
        found[f"{kind}_parts"] = parts
        found[f"{kind}_bytes"] = sum(path.stat().st_size for path in (*paths, *tables) if path.exists())
    return found


def summary(values: pandas.Series) -> dict[str, float | None]:
    """Quantiles of the values that are numbers; None where there are none."""
    there = values.dropna()
    return {name: float(there.quantile(q)) if len(there) else None for name, q in _QUANTILES.items()}


def histogram(values: pandas.Series, bins: int = 40) -> dict[str, Any]:
    """Counts from the 2nd percentile, ``low``, to the highest value, ``high``; what is lower counts in the first bin."""
    import numpy as np

    there = values.dropna().to_numpy()
    if not len(there):
        return {"low": None, "high": None, "counts": []}
    low, high = float(np.quantile(there, 0.02)), float(there.max())
    high = high if high > low else low + 1e-9
    counts, _ = np.histogram(np.clip(there, low, high), bins=bins, range=(low, high))
    return {"low": low, "high": high, "counts": counts.tolist()}


def bars(counts: list[int]) -> str:
    """Counts as a line of blocks.

    >>> bars([0, 1, 4, 8])
    ' ▁▄█'
    """
    most = max(counts, default=0)
    return "".join(_BARS[0 if not count else max(1, round(8 * count / most))] for count in counts)


def as_lines(sheet: dict[str, Any]) -> list[str]:
    """The datasheet in short, for a terminal."""
    statuses = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in sheet["statuses"].items())
    unfinished = "" if sheet["is_whole"] else "; not whole yet"
    scores = sheet["scores"]
    lines = [
        f"{sheet['networks']:,} networks ({statuses}) of {sheet['architectures']:,} architectures{unfinished}",
        f"space    {sheet['config']['space']}",
        f"tasks    {_tasks(sheet)}",
        f"recipe   {_recipe(sheet['config'])}",
        f"scores   {number_text(scores['low'])} {bars(scores['counts'])} {number_text(scores['high'])}",
        f"{'':14}{''.join(f'{name:>12}' for name in _QUANTILES)}",
    ]
    for name, values in sheet["summary"].items():
        lines.append(f"  {name:<12}" + "".join(f"{number_text(value):>12}" for value in values.values()))
    return lines


# -- as a page ---------------------------------------------------------------------------------------------------------
_PAGE = """\
# A zoo of {networks:,} trained networks

{architectures:,} architectures of `{space}` on {tasks}; every network has its weights, the data it learned from, its
learning curve and its architecture.

## How it was made

- Models: {models:,} draws with seed {seed}{duplicates}; {pairing}.
- Training: {recipe}; the weights are those of the {kept} epoch.
- Tasks: {specs}.
- Versions: {versions}. The same call of `nl.zoo.make` gives the same networks up to rounding.

## What is in it

Status: {statuses}.

```text
validation score, {low} (and lower) to {high}
{bars}
```

{table}

## How to read it

```python
import netloom as nl

zoo = nl.zoo.Zoo(PATH_OF_THIS_FOLDER)
good = zoo.filter(("score", ">", 0.9), status="ok")
one = good[0]
one.network, one.graph, one.task, one.curve, one.record
zoo.frame()             # a DataFrame of all networks
zoo.check(deep=True)    # [] where everything is as it was written
```

Without netloom: `index/*.parquet` has a row for each network, `weights/*.safetensors` its tensors under `NETWORK/KEY`; `tasks/`
likewise. {weights_megabytes:.1f} MB of networks, {tasks_megabytes:.1f} MB of tasks. Nothing in it is code.

## What it is for

Learning from trained networks: predicting scores from weights or architectures, encoding and generating networks. Split by
task (`zoo.split(by="task")`) to measure on what has not been seen: networks of one task compute nearly the same. The test parts
of the tasks have not been looked at. The networks are small, and random tasks are made up; conclusions about large networks do
not follow.

## Columns of the index

{columns}
"""


def as_page(sheet: dict[str, Any]) -> str:
    """The datasheet in Markdown."""
    config, scores, files = sheet["config"], sheet["scores"], sheet["files"]
    return _PAGE.format(
        **{name: sheet[name] for name in ("networks", "architectures", "models", "seed")},
        space=config["space"],
        tasks=_tasks(sheet),
        duplicates=f", {config['duplicates']:.0%} of them duplicates of earlier ones" if config["duplicates"] else "",
        pairing="each trained on every task" if config["pairing"] == "all" else "each trained on one task, in turn",
        recipe=_recipe(config),
        kept=config["kept"],
        specs=", ".join(config["task_specs"][:5]) or f"random regressions, {json.dumps(config['regression'])}",
        versions=", ".join(f"{name} {number}" for name, number in sheet["made_with"].items()),
        statuses=", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in sheet["statuses"].items()),
        low=number_text(scores["low"]),
        high=number_text(scores["high"]),
        bars=bars(scores["counts"]),
        table="\n".join(_table(sheet["summary"])),
        weights_megabytes=files["weights_bytes"] / 1e6,
        tasks_megabytes=files["tasks_bytes"] / 1e6,
        columns="\n".join(f"- `{name}`: {said}" for name, said in sheet["columns"].items()),
    )


def _tasks(sheet: dict[str, Any]) -> str:
    kinds = " and ".join(f"{count:,} {kind} task{'s' * (count > 1)}" for kind, count in sheet["task_kinds"].items())
    sizes = sheet["task_sizes"]
    train, valid = (sizes[f"num_{part}"]["median"] for part in ("train", "valid"))
    return f"{kinds} (median sizes: {train:g} training and {valid:g} validation samples)"


def _recipe(config: dict[str, Any]) -> str:
    recipe, epochs = config["recipe"], config["epochs"]
    lengths = " or ".join(map(str, epochs))
    return (
        f"{lengths} epochs of {recipe['optimizer']}, learning rate {recipe['learning_rate']:g} ({recipe['schedule']}), "
        f"batches of {recipe['batch_size']}"
    )


def _table(summaries: dict[str, dict[str, float | None]]) -> list[str]:
    head = f"| | {' | '.join(_QUANTILES)} |"
    rows = [
        f"| {name.replace('_', ' ')} | {' | '.join(number_text(value) for value in values.values())} |"
        for name, values in summaries.items()
    ]
    return [head, f"|---|{'---:|' * len(_QUANTILES)}", *rows]


def number_text(value: float | None) -> str:
    """A number for people; a dash where there is none."""
    return "–" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
