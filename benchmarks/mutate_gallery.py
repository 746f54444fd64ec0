"""Prune every model of the gallery to half its neurons and grow it by a quarter; write docs/mutate-gallery.md.

    python benchmarks/mutate_gallery.py                      # the models that have no result yet, then the page
    python benchmarks/mutate_gallery.py --only 'timm/swin*'  # some of them, again
    python benchmarks/mutate_gallery.py --failed             # those with problems, again
    python benchmarks/mutate_gallery.py --peers              # the models of benchmarks/peers_pruning.py, beside Torch-Pruning
    python benchmarks/mutate_gallery.py --table              # the page alone

What is checked stands in benchmarks/mutate_checks.py. Each model runs in a process of its own with a time limit; its result is
one line of benchmarks/results/mutate_gallery.jsonl, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import pkgutil
import signal
import statistics
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks.gallery import _cell, isolated  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "mutate_gallery.jsonl"
PAGE = ROOT / "docs" / "mutate-gallery.md"
SECONDS, PEER_SECONDS = 1800, 60


def examine(name: str) -> dict[str, Any]:
    """What is checked of one model of the gallery, or of those beside the peer (``peers/NAME``)."""
    import torch

    from benchmarks import mutate_checks
    from netloom.testing import exactness

    torch.manual_seed(0)
    model, example = _made(name)
    return mutate_checks.examine(exactness.stir(model.eval()), example)


def _made(name: str) -> tuple[Any, Any]:
    if name.startswith("peers/"):
        from benchmarks.peers_pruning import models
    else:
        from benchmarks.gallery_models import models
    return models()[name.removeprefix("peers/")]()


def examine_peer(name: str) -> dict[str, Any]:
    """What Torch-Pruning makes of a model (``torch-pruning/NAME``) in `PEER_SECONDS` of CPU time."""
    from benchmarks.peers_pruning import examine

    def ring(*_: Any) -> None:
        raise TimeoutError(f"no result in {PEER_SECONDS} s")

    signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, PEER_SECONDS)
    return examine(name.removeprefix("torch-pruning/"))


# -- results and the page ----------------------------------------------------------------------------------------------
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


def holds(record: dict[str, Any] | None) -> bool:
    """Whether everything that is checked holds."""
    return record is not None and "failure" not in record and not record.get("problems", ["not checked"])


_ABOUT = """\
# Pruned and grown

<!-- Written by `make bench`; edits are lost. -->

Every model of the [gallery](gallery.md) is pruned to half its neurons (`nl.prune(model, example, keep=0.5)`) and grown by a
quarter (`nl.grow(model, example, by=0.25)`). Then is checked that

- the model itself is as it was, every weight of the pruned network is the one that the plan names, and no other;
- the pruned network computes what the original does with zeros in place of all that went, and with norms, means and softmaxes
  over what stays. The error is relative to the largest output, in float64 (†: the model computes in float32 inside);
  *compared* counts the sizes of which that is checked;
- the grown network computes what the original does in evaluation mode (the error in float32 and, behind it, in float64). Where
  no layer can grow by a quarter so, all are doubled by copies (*copied*); where that cannot be either, the plan must say so;
- both take two steps of training: the loss is finite, and every parameter that had a gradient has one.

*Sizes* are blocks of indices that change together (a width, heads, groups); of a model's free sizes, those change that pruning
takes (of attention heads: whole heads). *Fixed* counts layers with a width that may not change, though it is none of an
output. *Seconds* are CPU seconds from the model object to the new network, tracing included.
"""


def write_page(names: list[str], peers: list[str], records: dict[str, dict[str, Any]]) -> None:
    """The page of the documentation; models without a result are listed as such."""
    import torch

    found = [records[name] for name in names if name in records]
    good = sum(map(holds, found))
    removed, indices = (sum(record.get(key, 0) for record in found) for key in ("removed", "indices"))
    fixed, layers = (sum(record.get(key, 0) for record in found) for key in ("fixed_layers", "layers"))
    compared, changed = (sum(record.get(key, 0) for record in found) for key in ("atoms_compared", "changed"))
    how = Counter(record.get("grow_how") for record in found)
    lines = [
        _ABOUT,
        f"**{good} of {len(names)} models hold in everything.** {removed:,} of {indices:,} indices that may change went; "
        f"{compared:,} of {changed:,} sizes that changed are compared; {fixed} of {layers:,} layers are fixed. "
        f"{how['new']} grow by a quarter and compute what they did, {how['copied']} when doubled by copies, {how['changes']} "
        f"cannot. torch {torch.__version__}, one thread.",
        "",
        "| model | free sizes | changed | compared | fixed layers | parameters kept | FLOPs kept | error, masked | prune, s "
        "| grown: parameters | error, grown | grow, s | remarks |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
        *(_row(name, records.get(name)) for name in names),
    ]
    if peers:
        lines += ["", *_peer_table(peers, records)]
    PAGE.write_text("\n".join(lines) + "\n")


def _row(name: str, record: dict[str, Any] | None) -> str:
    if record is None:
        return f"| {name} |" + " |" * 11 + " not run |"
    remarks = "; ".join([*record.get("problems", ()), *([record["failure"]] if "failure" in record else ())])
    if not remarks:
        notes = [f"growth is noticed: {record['grow_why']}"] if "grow_why" in record else []
        notes += ["copied"] if record.get("grow_how") == "copied" else []
        notes += [f"{count} fixed: {why}" for why, count in record.get("fixed_why", {}).items()]
        remarks = "; ".join(notes)
    cells = [
        *(str(record.get(key, "")) for key in ("free", "changed", "atoms_compared")),
        f"{record['fixed_layers']} of {record['layers']}" if "layers" in record else "",
        _percent(record.get("prune_params")), _percent(record.get("prune_flops")),
        _error(record.get("oracle_error"), record.get("oracle_precision")), str(record.get("prune_seconds", "")),
        _percent(record.get("grow_params")),
        f"{_error(record.get('grow_error'))}, {_error(record.get('grow_error_precise'), record.get('grow_precision'))}"
        if "grow_error" in record else "",
        str(record.get("grow_seconds", "")), _cell(remarks),
    ]  # fmt: skip
    return f"| {name} | {' | '.join(cells)} |"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _error(error: float | None, precision: str | None = None) -> str:
    if error is None:
        return "–"
    return ("0" if error == 0 else f"{error:.0e}") + ("†" if precision == "float32 inside" else "")


def _peer_table(names: list[str], records: dict[str, dict[str, Any]]) -> list[str]:
    from benchmarks.peers_pruning import verdict

    ours = {name: records.get(f"peers/{name}") for name in names}
    theirs = {name: records.get(f"torch-pruning/{name}") for name in names}
    verdicts = Counter(verdict(record)[0] for record in theirs.values())
    times = [
        theirs[name]["seconds_cpu"] / ours[name]["prune_seconds"]  # type: ignore[index]
        for name in names
        if holds(ours[name]) and verdict(theirs[name])[0] in ("equal", "runs")
    ]
    lines = [
        "## Beside Torch-Pruning",
        "",
        "55 models in one run: Torch-Pruning 1.6.1 with its default settings, L2 group magnitude, ratio 0.5, the classifier",
        f"ignored, {PEER_SECONDS} s of CPU time in a process of its own. *Equal*: its pruned model computes what the masked",
        "original does",
        "(within 1e-3, float32); *runs*: nothing tells against it, and a norm keeps it from being compared; *mixes heads*: it",
        "runs, and what stays of queries and keys is regrouped into other heads. netloom's column is held to the checks above.",
        "",
        f"**netloom: {sum(map(holds, ours.values()))} of {len(names)} hold. Torch-Pruning: "
        + ", ".join(f"{count} {what}" for what, count in verdicts.most_common()) + ".** "
        + (f"Where both work, Torch-Pruning takes {statistics.median(times):.1f} times as long (median)." if times else ""),
        "",
        "| model | netloom | kept | error, masked | s | Torch-Pruning | kept | s | remarks |",
        "|---|---|--:|--:|--:|---|--:|--:|---|",
    ]  # fmt: skip
    for name in names:
        mine, peer = ours[name] or {}, theirs[name]
        what, why = verdict(peer)
        problems = "; ".join([*mine.get("problems", ()), *([mine["failure"]] if "failure" in mine else ())])
        state = "not run" if not mine else "holds" if holds(mine) else "no"
        lines.append(
            f"| {name} | {state} | {_percent(mine.get('prune_params'))} "
            f"| {_error(mine.get('oracle_error'), mine.get('oracle_precision'))} | {mine.get('prune_seconds', '')} | {what} "
            f"| {_percent((peer or {}).get('kept'))} | {(peer or {}).get('seconds_cpu', '')} | {_cell(problems or why)} |"
        )
    return lines


# -- the run -----------------------------------------------------------------------------------------------------------
def _run(
    names: list[str], work: Callable[[str], dict[str, Any]], seconds: float, records: dict[str, dict[str, Any]],
    again: Callable[[str], bool],
) -> None:  # fmt: skip
    for name in names:
        if name in records and not again(name):
            continue
        record = isolated(work, name, seconds)
        records[name] = record
        print(_row(name, record) if work is examine else json.dumps(record), flush=True)
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps(record) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="the models whose name fits, again")
    parser.add_argument("--failed", action="store_true", help="run again what had problems")
    parser.add_argument("--fresh", action="store_true", help="run everything again")
    parser.add_argument("--peers", action="store_true", help="the 55 models beside Torch-Pruning")
    parser.add_argument("--table", action="store_true", help="only write the page")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="time limit of one model (default %(default)s)")
    arguments = parser.parse_args()

    # Imported once here, so that the forked processes start at once and all run the same code.
    import torch

    from benchmarks import gallery_models, mutate_checks, peers_pruning  # noqa: F401

    warnings.filterwarnings("ignore")
    for room in ("ops", "graph", "tracing", "building", "mutate", "testing"):
        package = import_module(f"netloom.{room}")
        for module in pkgutil.iter_modules(package.__path__, f"netloom.{room}."):
            import_module(module.name)
    torch.set_num_threads(1)
    names, peers = list(gallery_models.models()), list(peers_pruning.models())
    records = read_results()

    def again(name: str) -> bool:
        return arguments.fresh or arguments.only != "*" or (arguments.failed and not holds(records[name]))

    if not arguments.table:
        chosen = [name for name in (peers if arguments.peers else names) if fnmatch(name, arguments.only)]
        if arguments.peers:
            _run([f"peers/{name}" for name in chosen], examine, arguments.seconds, records, again)
            theirs = [f"torch-pruning/{name}" for name in chosen]
            _run(theirs, examine_peer, arguments.seconds, records, lambda name: arguments.fresh or arguments.only != "*")
        else:
            _run(chosen, examine, arguments.seconds, records, again)
    write_page(names, peers, records)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
