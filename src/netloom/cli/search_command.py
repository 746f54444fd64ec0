"""``netloom search``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..errors import SearchError
from ..searching import STRATEGIES, SearchResult, resume, search
from ..spaces import load
from ..spaces.loading import whole_number
from ..store import Store
from .store_arguments import DEFAULT_STORE

_DEFAULTS: dict[str, Any] = {"strategy": None, "budget": "60s", "recipe": "express", "seed": 0}
#: What cannot be changed for a run that is resumed.
_FIXED = (
    "data", "task", "target", "start", "strategy", "recipe", "epochs", "seed", "objectives", "constraint", "max_params",
    "max_flops", "max_macs", "propose", "score", "init", "warm_start", "workers", "threads", "memory", "candidate_seconds",
)  # fmt: skip
_TABLES = (".csv", ".tsv", ".parquet", ".arff")


def run(given: argparse.Namespace) -> int:
    """Search or resume, then say what was found and where everything is."""
    if given.strategy == "help":
        return _list_strategies()
    url = given.store or DEFAULT_STORE
    if given.report is not None and Path(given.report).exists() and not Path(given.report).is_dir():
        raise SearchError(f"--report {given.report}: there is a file of that name; give a directory")
    if given.save is not None and Path(given.save).suffix != ".safetensors":
        raise SearchError(f"--save {given.save}: networks are written as .safetensors; call it {given.save}.safetensors")
    result = _resumed(given, url) if given.resume else _searched(given, url)
    page = None
    if given.report is not None:
        from ..reporting import report

        page = report(result, given.report)
    if given.save is not None:
        result.best.network.save(given.save)
    _tell_machines(result, page, given.save) if given.json else _tell(result, url, page, given.save)
    return 0


def _searched(given: argparse.Namespace, url: str) -> SearchResult:
    from ..tasks import load as load_task

    asked = {name: getattr(given, name) for name in _DEFAULTS}
    settings = _DEFAULTS | {name: value for name, value in asked.items() if value is not None}
    if given.epochs is not None:
        settings["recipe"] += f"{'&' if '?' in settings['recipe'] else '?'}epochs={given.epochs}"
    task = load_task(_task_of(given), data_dir=given.data_dir)
    start = _start(given.start)
    space = given.space or (None if start is not None else "conv" if len(task.input_shape) == 3 else "mlp")
    return search(
        space,
        task,
        **settings,
        store=Store(url),
        executor=given.executor or "inprocess",
        propose=_parts(given.propose),
        score=_parts(given.score),
        init=_parts(given.init),
        warm_start=given.warm_start,
        start=start,
        start_name=given.start or "",
        objectives=given.objectives or "score",
        constraints=given.constraint or (),
        max_params=given.max_params,
        max_flops=given.max_flops,
        max_macs=given.max_macs,
        candidate_seconds=given.candidate_seconds,
        workers=given.workers,
        threads=given.threads,
        memory_bytes=None if given.memory is None else _bytes(given.memory),
        progress=_progress(given),
    )


def _parts(text: str | None) -> list[str] | None:
    """Names between commas or plus signs."""
    return None if text is None else [part.strip() for part in text.replace("+", ",").split(",") if part.strip()]


def _task_of(given: argparse.Namespace) -> str:
    """The task that DATA, --task and --target mean."""
    if given.data is not None and given.task is not None:
        raise SearchError(f"DATA {given.data!r} and --task {given.task!r} are two answers to one question; give one of them")
    given_data = given.data if given.data is not None else given.task
    return task_spec(str(given_data if given_data is not None else "digits"), given.target)


def task_spec(spec: str, target: str | None) -> str:
    """The task of a file, a folder, or a task's own text, with the column that is to be predicted."""
    suffix = Path(spec.partition("?")[0]).suffix.lower()
    if suffix in _TABLES and not spec.startswith("table:"):
        spec = f"table:{spec}"
    elif Path(spec).is_dir():
        spec = f"images:{spec}"
    if target is not None:
        if not spec.startswith("table:"):
            raise SearchError(f"--target {target!r} is for tables; {spec!r} is none")
        spec += f"{'&' if '?' in spec else '?'}target={target}"
    elif spec.startswith("table:") and "target=" not in spec:
        raise SearchError(f"{spec.removeprefix('table:')} is a table; say which column is to be predicted with --target COLUMN")
    return spec


def _start(name: str | None) -> Any:
    """The network to start from; a graph file is a graph without weights."""
    if name is None:
        return None
    from .networks import is_graph_file, load_graph, load_model

    return load_graph(name) if is_graph_file(name) else load_model(name)[0]


def _bytes(text: str) -> int:
    try:
        return whole_number(text)
    except ValueError as error:
        raise SearchError(f"--memory {text!r}: {error}") from None


def _progress(given: argparse.Namespace) -> bool | str:
    return "json" if given.json else not given.quiet


def _resumed(given: argparse.Namespace, url: str) -> SearchResult:
    for name in _FIXED:
        if getattr(given, name) is not None:
            flag = "DATA" if name == "data" else "--" + name.replace("_", "-")
            raise SearchError(f"{flag} cannot be changed for a run that is resumed; leave it out, or start a new search")
    space = None if given.space is None else load(given.space)
    return resume(given.resume, url, space=space, budget=given.budget, executor=given.executor, progress=_progress(given))


def _tell(result: SearchResult, url: str, page: Path | None, saved: str | None) -> None:
    candidates = result.evaluations.drop_duplicates("graph_hash")
    failed = int(candidates["score"].isna().sum())
    count = len(candidates)
    print(f"run         {result.run_id}: {result.status}, {count} candidates in {result.seconds:.0f} s, {failed} failed")
    if failed < len(candidates):
        best = result.best
        print(f"best        {best.score:.4f} on the validation part, {best.graph.num_params:,} parameters, {best.graph.hash}")
        for constraint in best.violated:
            print(f"            it breaks {constraint}: no candidate keeps to every constraint")
        print("\n".join("    " + line for line in best.graph.to_text().splitlines()))
    print(f"store       {url}")
    if page is not None:
        print(f"report      {page}")
    if saved is not None:
        print(f"network     {saved}")
    if result.status != "finished":
        print(f"to go on    netloom search --resume {result.run_id} --store {url}")


def _tell_machines(result: SearchResult, page: Path | None, saved: str | None) -> None:
    frame = result.evaluations
    said: dict[str, Any] = {
        "event": "outcome", "run": result.run_id, "status": result.status, "seconds": round(result.seconds, 3),
        "candidates": int(frame["graph_hash"].nunique()), "failed": int(frame["score"].isna().sum()),
        "report": None if page is None else str(page), "network": saved,
    }  # fmt: skip
    if frame["score"].notna().any():
        best = result.best
        said["best"] = {
            "score": best.score, "graph": best.graph.hash, "num_params": best.graph.num_params, "flops": best.graph.flops,
            "violated": [str(constraint) for constraint in best.violated],
        }  # fmt: skip
    print(json.dumps(said))


def _list_strategies() -> int:
    import dataclasses

    for name, kind in STRATEGIES.items():
        line = (kind.__doc__ or "").strip().splitlines()[0]
        settings = [field.name for field in dataclasses.fields(kind) if field.init]  # type: ignore[arg-type]
        print(f"{name:<20} {line}\n{'':<20} settings: {', '.join(settings) or 'none'}")
    return 0
