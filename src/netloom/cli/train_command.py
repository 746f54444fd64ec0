"""``netloom train``."""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FormatError, TrainingError
from ..training import Recipe, TrainingResult, recipe
from .networks import is_graph_file
from .stored_networks import is_hash
from .train_arguments import RECIPE_FLAGS
from .train_start import Start, start, task_spec

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..tasks import Task
    from ..training import Evaluation

_WRONG = ("diverged", "out_of_memory", "failed")


def run(given: argparse.Namespace) -> int:
    """Train, print how it goes and what it came to, and write what is asked for."""
    import torch

    from ..tasks import load
    from ..training import train

    _check_files(given)
    if given.threads is not None:
        if given.threads < 1:
            raise TrainingError(f"--threads {given.threads}: expected a whole number of at least 1")
        torch.set_num_threads(given.threads)
    settings = recipe(given.recipe, **_changes(given))
    if given.store is not None and not (is_graph_file(given.network) or is_hash(given.network)):
        raise TrainingError("--store files results under a graph; give NETWORK as a graph file, a name, or a hash in the store")
    task = load(task_spec(given), data_dir=given.data_dir, progress=not given.quiet)
    begin = start(given, task)
    first = _weights(begin) if given.store is not None and begin.has_weights else None
    if given.test and not task.num_test:
        raise TrainingError(f"--test: task {task.name!r} has no test part; give it one, as in '{given.task}?test=10%'")
    try:
        result = train(
            begin.network, task, settings, given.seed, device=given.device, checkpoint=given.checkpoint,
            every_steps=given.every_steps, resume=not given.anew, restore_best=given.best,
            progress=False if given.quiet else sys.stderr if given.json else sys.stdout,
        )  # fmt: skip
    except KeyboardInterrupt:
        if given.checkpoint is None:
            raise
        print(f"\nnetloom train: stopped; the same command goes on from {given.checkpoint}", file=sys.stderr)
        return 130
    test = _tested(result, task) if given.test else None
    result = replace(result, remarks=(*begin.remarks, *result.remarks))
    print(_document(result, task, test) if given.json else _last_line(result, task, test, given.best))
    _write(given, result, task, begin.graph, first)
    return int(result.status in _WRONG)


def _changes(given: argparse.Namespace) -> dict[str, Any]:
    """The fields of the recipe that have flags, as the values that their texts stand for."""
    types = {field.name: str(field.type) for field in fields(Recipe)}
    asked = {name: getattr(given, name) for name in ("epochs", *RECIPE_FLAGS)}
    return {name: _value(name, text, types[name]) for name, text in asked.items() if text is not None}


def _value(name: str, text: Any, kind: str) -> Any:
    if isinstance(text, bool) or kind == "str":
        return text
    if text == "none" and "None" in kind:
        return None
    try:
        if kind.startswith("tuple"):
            return tuple(float(part) for part in text.split(",") if part.strip())
        return int(text) if kind.startswith("int") else float(text)
    except ValueError:
        wanted = "a whole number" if kind.startswith("int") else "a number"
        if kind.startswith("tuple"):
            wanted = "numbers with commas between"
        raise TrainingError(f"--{name.replace('_', '-')} {text!r}: expected {wanted}") from None


def _check_files(given: argparse.Namespace) -> None:
    """Refuse what could not be written, before any work."""
    for flag, path, suffixes in (("-o", given.out, (".safetensors",)), ("--plot", given.plot, (".svg", ".png"))):
        if path is None:
            continue
        if Path(path).suffix.lower() not in suffixes:
            raise FormatError(f"{flag} {path}: expected a file that ends in {' or '.join(suffixes)}")
        if not Path(path).parent.is_dir():
            raise FormatError(f"{flag} {path}: there is no folder {str(Path(path).parent)!r}, make it first")


def _tested(result: TrainingResult, task: Task) -> Evaluation | None:
    """The one reading of the test part; none where there is nothing to measure."""
    from ..training import evaluate

    if result.network is None or result.status in _WRONG:
        return None
    return evaluate(result.network, task.read_test().to(next(result.network.parameters()).device))


# -- what is printed -----------------------------------------------------------------------------------------------
def _last_line(result: TrainingResult, task: Task, test: Evaluation | None, is_best: bool) -> str:
    lines = [f"remark: {remark}" for remark in result.remarks]
    point = result.curve[result.best_epoch - 1 if is_best and result.best_epoch else -1] if result.curve else None
    told = [f"{task.name}: {result.seconds:.1f} s"]
    if result.status in _WRONG:
        told = [f"{task.name}: {result.status} in epoch {len(result.curve) + 1} after {result.seconds:.1f} s"]
        if result.error:
            lines.append(f"error: {result.error}")
    elif point is not None:
        told += [f"training {point.train_score:.4f}", f"validation {point.score:.4f}"]
        if test is not None:
            told.append(f"test {test.score:.4f}" + (f" (top 5 {test.top5:.4f})" if test.top5 is not None else ""))
        if result.status != "ok":
            told[0] += f" ({result.status})"
    return "\n".join([*lines, ", ".join(told)])


def _document(result: TrainingResult, task: Task, test: Evaluation | None) -> str:
    document = {
        "task": task.spec or task.name,
        "score_name": task.score_name,
        "status": result.status,
        "reason": result.reason,
        "error": result.error,
        "seconds": result.seconds,
        "steps": result.steps,
        "score": result.score,
        "best_score": result.best_score,
        "best_epoch": result.best_epoch,
        "test": test._asdict() if test is not None else None,
        "remarks": list(result.remarks),
        "recipe": asdict(result.recipe) if result.recipe is not None else None,
        "seed": result.seed,
        "curve": [asdict(point) for point in result.curve],
    }
    return json.dumps(_finite(document), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    """The same with null for numbers that JSON has not."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# -- what is written -----------------------------------------------------------------------------------------------
def _weights(begin: Start) -> dict[str, Any]:
    """Copies of the weights that the training begins with."""
    return {key: value.detach().clone() for key, value in begin.network.state_dict().items()}


def _write(
    given: argparse.Namespace, result: TrainingResult, task: Task, graph: Graph | None, first: dict[str, Any] | None
) -> None:  # fmt: skip
    told = sys.stderr if given.json else sys.stdout
    if given.plot is not None and result.curve:
        result.draw(given.plot, score_name=task.score_name, title=f"{given.network} on {task.name}")
        print(f"curve: {given.plot}", file=told)
    if given.out is not None and result.network is not None and result.status not in _WRONG:
        _save(result.network, task, given.out)
        print(f"network: {given.out}", file=told)
    if given.store is not None and graph is not None:
        _file(given, result, task, graph, first)
        print(f"store: {given.store}", file=told)


def _save(network: Any, task: Task, path: str) -> None:
    """Write graph and weights; a module is traced for it."""
    from ..building.network import Network, build
    from ..tracing.trace import trace

    if not isinstance(network, Network):
        x, _ = next(iter(task.train.batches(2)))
        network = build(trace(network, x), weights=network)
    network.save(path)


def _file(
    given: argparse.Namespace, result: TrainingResult, task: Task, graph: Graph, first: dict[str, Any] | None
) -> None:  # fmt: skip
    """Record the result in a store, under the key that a search would look for it by; with the weights it began with."""
    from ..store import EvaluationKey, EvaluationRecord, Store

    continued = [remark for remark in result.remarks if remark.startswith("continued")]
    if continued:
        raise TrainingError(f"--store: the result is not filed: {continued[0]}")
    settings = result.recipe
    if settings is None:
        return
    score = None if math.isnan(result.score) else result.score
    record = EvaluationRecord(result.status, score, result.seconds, result.error, result.curve)
    with Store(given.store) as store:
        init = "random" if first is None else store.save_weights(first)
        key = EvaluationKey.of(graph, task, settings, seed=given.seed, init=init)
        store.add_task(task)
        store.add_recipe(settings, "" if _changes(given) else given.recipe)
        store.record(graph, key, record)
