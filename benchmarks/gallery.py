"""Trace and build every model of the gallery, compare with the original, write the table in docs/gallery.md.

    python benchmarks/gallery.py                      # the models that have no result yet, then the table
    python benchmarks/gallery.py --only 'timm/swin*'  # some of them, again
    python benchmarks/gallery.py --failed             # those that were not exact, again
    python benchmarks/gallery.py --fresh              # all of them, again
    python benchmarks/gallery.py --models             # build and run the models alone, without netloom

Each model runs in a process of its own with a time limit; its result is one line of
benchmarks/results/gallery.jsonl, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import pkgutil
import re
import resource
import sys
import time
import traceback
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

RESULTS = ROOT / "benchmarks" / "results" / "gallery.jsonl"
TABLE = ROOT / "docs" / "gallery.md"
SECONDS = 300
BATCHES = (3, 4)


def examine(name: str) -> dict[str, Any]:
    """Everything the table says about one model; keys that a failure kept from being measured are absent."""
    import torch

    import netloom as nl
    from benchmarks.gallery_models import models
    from netloom.testing import exactness

    torch.manual_seed(0)
    model, example = models()[name]()
    exactness.stir(model.eval())
    before = exactness.fingerprint(model)
    record: dict[str, Any] = {}
    started = time.perf_counter()
    graph = nl.trace(model, example)
    if any(note.startswith("evaluation mode only") for note in graph.notes):
        graph = nl.trace(model, example, specialize=True)  # training mode decides on data; the notes quote the decision
    record["trace_seconds"] = round(time.perf_counter() - started, 3)
    record["nodes"] = sum(node.op != "input" for node in graph.nodes)
    record["opaque"] = sum(node.op == "opaque" for node in graph.nodes)
    record["opaque_targets"] = sorted({str(node.step.args.get("target")) for node in graph.nodes if node.op == "opaque"})
    record["notes"] = list(graph.notes)
    record["differences"] = differences = {}
    _noted(differences, "untouched", lambda: [] if exactness.fingerprint(model) == before else ["tracing changed the model"])
    _noted(differences, "cost", lambda: exactness.compare_cost(model, graph, example))
    _noted(differences, "written", lambda: _written(graph))
    _noted(differences, "hash", lambda: _hash_again(model, graph, example))
    network = nl.build(graph, weights=model)
    _noted(differences, "state", lambda: exactness.compare_state(model, network))
    for mode, compare in (("eval", exactness.compare_eval), ("train", exactness.compare_train)):
        differences[mode] = []
        for batch in BATCHES:
            resized = exactness.resize_batch(example, batch)
            try:
                found = compare(model, network, resized)
            except Exception as error:
                found = [_told(error)]
            differences[mode] += [f"batch {batch}: {line}" for line in found[:3]]
            if mode == "train":
                network = nl.build(graph, weights=model)
    return record


def _written(graph: Any) -> list[str]:
    graph.check()
    lines = [] if type(graph).from_text(graph.to_text()) == graph else ["text: another graph is read back"]
    return lines if type(graph).from_json(graph.to_json()) == graph else [*lines, "JSON: another graph is read back"]


def _hash_again(model: Any, graph: Any, example: Any) -> list[str]:
    import netloom as nl

    again = nl.trace(nl.build(graph, weights=model), example)
    return [] if again.hash == graph.hash else ["the built network traces to another hash"]


def _noted(differences: dict[str, list[str]], key: str, check: Any) -> None:
    try:
        differences[key] = check()[:5]
    except Exception as error:
        differences[key] = [_told(error)]


def run_model(name: str) -> dict[str, Any]:
    """Build the model alone and run it forward in both modes: is the constructor right?"""
    import torch

    from benchmarks.gallery_models import models
    from netloom.testing import exactness

    torch.manual_seed(0)
    model, example = models()[name]()
    started = time.perf_counter()
    with torch.no_grad():
        for batch in BATCHES:
            exactness.run(model.eval(), exactness.resize_batch(example, batch))
        output = exactness.run(model.train(), example)
    num_params = sum(parameter.numel() for parameter in model.parameters())
    shapes = {path: tuple(tensor.shape) for path, tensor in exactness.tensors_of(output)}
    return {"num_params": num_params, "seconds": round(time.perf_counter() - started, 2), "output": str(shapes)[:200]}


def _told(error: BaseException) -> str:
    """An error with the last place in the sources, on one line."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}{place}"


# -- one process per model -----------------------------------------------------------------------------------------
def _child(work: Any, name: str, pipe: Any) -> None:
    try:
        record = work(name)
    except BaseException as error:  # a model may raise anything, and the record must say what
        record = {"failure": _told(error)}
    record["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    pipe.send(record)


def isolated(work: Any, name: str, seconds: float) -> dict[str, Any]:
    """The record of ``work(name)`` from a forked process, or why there is none."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(work, name, sending))
    started = time.perf_counter()
    process.start()
    sending.close()
    record: dict[str, Any] = {"failure": f"no result in {seconds:.0f} s"}
    try:
        if receiving.poll(seconds):
            record = receiving.recv()
    except EOFError:
        process.join()
        record = {"failure": f"the process ended with exit code {process.exitcode}"}
    finally:
        process.kill()
        process.join()
    return {"model": name, **record, "seconds": round(time.perf_counter() - started, 2)}


def is_exact(record: dict[str, Any]) -> bool:
    """No failure and no difference of any kind."""
    return "failure" not in record and not any(record.get("differences", {"": ["not compared"]}).values())


# -- results and the table -------------------------------------------------------------------------------------------
def read_results() -> dict[str, dict[str, Any]]:
    """The latest record of every model; a line cut short by an interruption is skipped."""
    records: dict[str, dict[str, Any]] = {}
    for line in RESULTS.read_text().splitlines() if RESULTS.exists() else ():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        records[record["model"]] = record
    return records


def write_table(names: list[str], records: dict[str, dict[str, Any]]) -> None:
    """The page of the documentation; models of the gallery without a result are listed as such."""
    import torch

    found = [records[name] for name in names if name in records]
    nodes = sum(record.get("nodes", 0) for record in found)
    opaque = sum(record.get("opaque", 0) for record in found)
    share = f"{100 * opaque / nodes:.2f} %" if nodes else "–"
    exact = sum(map(is_exact, found))
    lines = [
        "# Gallery",
        "",
        "<!-- Written by `make bench`; edits are lost. -->",
        "",
        "Every model is traced, built with the model's weights, and compared with it bit for bit at batch sizes",
        f"{BATCHES[0]} and {BATCHES[1]}: outputs in evaluation mode; outputs, gradients, buffers and random state in training",
        "mode. The column after them says whether the state_dict's keys, the parameters and FLOPs (by torch's own count),",
        "text and JSON read back, and the hash of the built network traced again are all what they should be, and the",
        "model is as it was. A model whose training mode decides on data is traced with `specialize=True`; the remark quotes",
        "the decision that its graph keeps as it fell.",
        "",
        f"**{exact} of {len(names)} models exact in everything; {opaque} of {nodes:,} nodes opaque ({share}).** "
        f"torch {torch.__version__}, one thread.",
        "",
        "| model | nodes | opaque | eval | train | keys, cost, forms, hash | trace, s | remarks |",
        "|---|--:|--:|:-:|:-:|:-:|--:|---|",
    ]
    lines += [_row(name, records.get(name)) for name in names]
    TABLE.write_text("\n".join(lines) + "\n")


def _row(name: str, record: dict[str, Any] | None) -> str:
    if record is None:
        return f"| {name} | | | | | | | not run |"
    if "failure" in record and "differences" not in record:
        return f"| {name} | | | no | no | no | | {_cell(record['failure'])} |"
    differences = record["differences"]
    rest = [key for key in differences if key not in ("eval", "train")]
    marks = ["exact" if not differences.get(mode, ["-"]) else "no" for mode in ("eval", "train")]
    marks.append("yes" if not any(differences[key] for key in rest) else "no")
    wrong = [f"{key}: {value[0]}" for key, value in differences.items() if value]
    remarks = "; ".join([*wrong, *record.get("opaque_targets", ()), *record.get("notes", ())])
    return (
        f"| {name} | {record['nodes']} | {record['opaque']} | {' | '.join(marks)} "
        f"| {record['trace_seconds']:.2f} | {_cell(remarks)} |"
    )


def _cell(text: str) -> str:
    # Where the packages lie is no matter of the model.
    plain = re.sub(r"[^\s(]*\b(?:site-packages|src)/", "", " ".join(text.split()))
    plain = plain if len(plain) <= 240 else plain[:239] + "…"
    return plain.replace("|", "\\|").replace("<", "&lt;")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="the models whose name fits, again if need be")
    parser.add_argument("--failed", action="store_true", help="run again what was not exact")
    parser.add_argument("--fresh", action="store_true", help="run everything again")
    parser.add_argument("--models", action="store_true", help="only build and run the models, print, keep nothing")
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="time limit of one model (default %(default)s)")
    arguments = parser.parse_args()

    # Imported once here, so that the forked processes start at once and all run the same code.
    import torch

    from benchmarks.gallery_models import models

    for room in () if arguments.models else ("ops", "graph", "tracing", "building", "testing"):
        package = import_module(f"netloom.{room}")
        for module in pkgutil.iter_modules(package.__path__, f"netloom.{room}."):
            import_module(module.name)

    torch.set_num_threads(1)
    names = list(models())
    records = read_results()
    if arguments.table:
        write_table(names, records)
        return 0
    again = arguments.fresh or arguments.models or arguments.only != "*"
    for name in names:
        if not fnmatch(name, arguments.only):
            continue
        if name in records and not again and not (arguments.failed and not is_exact(records[name])):
            continue
        record = isolated(run_model if arguments.models else examine, name, arguments.seconds)
        print(json.dumps(record) if arguments.models else _row(name, record), flush=True)
        if not arguments.models:
            records[name] = record
            RESULTS.parent.mkdir(parents=True, exist_ok=True)
            with RESULTS.open("a") as file:
                file.write(json.dumps(record) + "\n")
    if not arguments.models:
        write_table(names, records)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
