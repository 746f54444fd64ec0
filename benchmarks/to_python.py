"""Write every model of the gallery as Python, run that in its place, and write the table in docs/python-gallery.md.

    python benchmarks/to_python.py                      # the models that have no result yet, then the table
    python benchmarks/to_python.py --only 'timm/swin*'  # some of them, again
    python benchmarks/to_python.py --failed             # those that were not exact, again
    python benchmarks/to_python.py --limit 20           # no more than so many in one go

Each model runs in a process of its own with a time limit; its result is one line of benchmarks/results/to_python.jsonl.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

RESULTS = ROOT / "benchmarks" / "results" / "to_python.jsonl"
TABLE = ROOT / "docs" / "python-gallery.md"
BATCH = 3


def examine(name: str) -> dict[str, Any]:
    """What the table says about one model."""
    import torch

    import netloom as nl
    from benchmarks.gallery_models import models
    from netloom.testing import exactness

    torch.manual_seed(0)
    model, example = models()[name]()
    exactness.stir(model.eval())
    graph = nl.trace(model, example)
    started = time.perf_counter()
    source = graph.to_python()
    record: dict[str, Any] = {"nodes": len(graph), "write_seconds": round(time.perf_counter() - started, 3)}
    record["lines"] = len(source.splitlines())
    record["style"] = style(source)
    scope: dict[str, Any] = {"__name__": "written"}
    exec(compile(source, f"<to_python of {name}>", "exec"), scope)
    network = scope["Model"]()
    network.load_state_dict(model.state_dict(), strict=True)
    flags = {path: module.training for path, module in model.named_modules()}
    record["differences"] = differences = {"state": exactness.compare_state(model, network)[:3]}
    resized = exactness.resize_batch(example, BATCH)
    differences["eval"] = exactness.compare_eval(model, network, resized)[:3]
    for path, module in network.named_modules():
        module.training = flags.get(path, module.training)
    # Buffers that no state_dict holds, and that the model made anew while it ran.
    for path, value in model.named_buffers():
        if path not in model.state_dict():
            owner, _, last = path.rpartition(".")
            network.get_submodule(owner)._buffers[last] = value.clone()
    differences["train"] = exactness.compare_train(model, network, resized)[:3]
    record["same_hash"] = nl.trace(network.eval(), example).hash == graph.hash
    return record


def style(source: str) -> list[str]:
    """What ruff would change: the first lines of its report."""
    ruff = [sys.executable, "-m", "ruff"]
    found = []
    for command in (
        ["format", "--diff", "--isolated", "--line-length", "100", "-"],
        ["check", "--isolated", "--line-length", "128", "--select", "E,F,W,I,UP,B", "--ignore", "E501,B905", "--quiet", "-"],
    ):
        done = subprocess.run([*ruff, *command], input=source, capture_output=True, text=True)
        if done.returncode:
            found += [line for line in done.stdout.splitlines() if line[:1] in ("+", "-", "E", "F", "W", "I", "U", "B")][:6]
    return found


def is_exact(record: dict[str, Any]) -> bool:
    return "failure" not in record and not any(record["differences"].values())


def read_results() -> dict[str, dict[str, Any]]:
    """The latest record of every model."""
    records: dict[str, dict[str, Any]] = {}
    for line in RESULTS.read_text().splitlines() if RESULTS.exists() else ():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        records[record["model"]] = record
    return records


def write_table(names: list[str], records: dict[str, dict[str, Any]]) -> None:
    """The page of the documentation."""
    import torch

    found = [records[name] for name in names if name in records]
    exact, formatted = sum(map(is_exact, found)), sum(not r.get("style", ["-"]) for r in found)
    same = sum(bool(r.get("same_hash")) for r in found)
    lines = [
        "# Gallery as Python",
        "",
        "<!-- Written by benchmarks/to_python.py; edits are lost. -->",
        "",
        "Every model of the [gallery](gallery.md) is traced, written with `graph.to_python()`, run as a module of its own with",
        "the model's `state_dict`, and compared with the model bit for bit: keys and their order, outputs in evaluation mode,",
        "outputs, gradients, buffers and random state in training mode.",
        "",
        f"**{exact} of {len(names)} models exact; {formatted} as `ruff format` leaves them; the traces of {same} have the "
        f"graph's hash.** torch {torch.__version__}.",
        "A hash differs where the model returns a class of its own, which becomes a dict, and where a tensor is written into",
        "that something else has read, which takes a copy. DETR's graph holds evaluation alone (see the gallery).",
        "",
        "| model | nodes | lines | exact | style | same hash | seconds | remarks |",
        "|---|--:|--:|:-:|:-:|:-:|--:|---|",
    ]
    lines += [_row(name, records.get(name)) for name in names]
    TABLE.write_text("\n".join(lines) + "\n")


def _row(name: str, record: dict[str, Any] | None) -> str:
    from benchmarks.gallery import _cell

    if record is None:
        return f"| {name} | | | | | | | not run |"
    if "failure" in record:
        return f"| {name} | | | no | | | | {_cell(record['failure'])} |"
    wrong = [f"{key}: {value[0]}" for key, value in record["differences"].items() if value]
    marks = ["exact" if not wrong else "no", "yes" if not record["style"] else "no", "yes" if record["same_hash"] else "no"]
    return (
        f"| {name} | {record['nodes']} | {record['lines']} | {' | '.join(marks)} | {record['write_seconds']:.2f} "
        f"| {_cell('; '.join(wrong))} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="the models whose name fits, again if need be")
    parser.add_argument("--failed", action="store_true", help="run again what was not exact")
    parser.add_argument("--limit", type=int, default=10**6, help="run no more than so many")
    parser.add_argument("--seconds", type=float, default=200, help="time limit of one model (default %(default)s)")
    arguments = parser.parse_args()

    import torch

    from benchmarks.gallery import isolated
    from benchmarks.gallery_models import models

    for module in ("tracing.trace", "building.network", "testing.exactness", "graph.python.module"):
        import_module(f"netloom.{module}")
    torch.set_num_threads(1)
    names, records, done = list(models()), read_results(), 0
    for name in names:
        if not fnmatch(name, arguments.only) or done >= arguments.limit:
            continue
        if name in records and arguments.only == "*" and not (arguments.failed and not is_exact(records[name])):
            continue
        records[name] = isolated(examine, name, arguments.seconds)
        done += 1
        print(_row(name, records[name]), flush=True)
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps(records[name]) + "\n")
    write_table(names, records)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
