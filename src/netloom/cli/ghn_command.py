"""``netloom ghn``."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import HypernetworkError


def run(given: argparse.Namespace) -> int:
    """Do what the action says."""
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "train": _train, "eval": _eval, "rank": _rank, "predict": _predict, "view": _view, "embed": _embed, "convert": _convert,
        "list": _list, "reproduce": _reproduce,
    }  # fmt: skip
    return actions[given.action](given)


# -- train ---------------------------------------------------------------------------------------------------------------
_SETTINGS = {"lr": "learning_rate"}
_TRAINED = (
    "meta_batch", "virtual_edges", "normalize", "layernorm", "hypernet", "hid", "layers", "heads", "max_channels", "kernel",
    "max_nodes", "pool", "epochs", "batch_size", "lr", "weight_decay", "schedule", "warmup_epochs", "precision",
)  # fmt: skip


def _train(given: argparse.Namespace) -> int:
    from ..ghn import load, train

    if given.out is None and given.checkpoint is None:
        raise HypernetworkError(
            "say where the hypernetwork goes: --out FILE.safetensors, or --checkpoint FOLDER to keep the state"
        )
    changes = {_SETTINGS.get(name, name): getattr(given, name) for name in _TRAINED if getattr(given, name) is not None}
    if given.channels:
        changes["channels"] = given.channels[0] if len(given.channels) == 1 else tuple(given.channels)
    if given.watched is not None:
        changes["watched"] = given.watched
    settings = {
        "task": given.task, "recipe": given.preset, "space": given.space, "seed": given.seed or 0, "steps": given.steps,
        "max_seconds": given.seconds, "out": given.out, "checkpoint": given.checkpoint, "resume": not given.fresh,
        "device": given.device, "progress": not given.quiet, **changes,
    }  # fmt: skip
    try:
        if given.devices < 1:
            raise HypernetworkError(f"--devices {given.devices}; expected a number of processes, 1 or more")
        if given.devices > 1:
            return _train_together(given, settings)
        result = train(**settings, start=load(given.start) if given.start else None)
    except KeyboardInterrupt:
        told = f"the same command goes on in {given.checkpoint}" if given.checkpoint else "nothing was kept; give --checkpoint"
        print(f"\nnetloom ghn: stopped; {told}", file=sys.stderr)
        return 130
    last = result.curve[-1] if result.curve else None
    score = f", {100 * last.score:.2f} % on unseen networks" if last is not None and not math.isnan(last.score) else ""
    print(
        f"{result.status}: {result.steps:,} steps, {result.skipped} networks skipped{score}"
        + (f"; {given.out}" if given.out else "")
    )
    if result.error:
        print(result.error, file=sys.stderr)
    return 0 if result.status in ("ok", "time_limit") else 1


def _train_together(given: argparse.Namespace, settings: dict[str, Any]) -> int:
    from ..ghn.several_processes import train_together

    if given.start:
        raise HypernetworkError("--start goes with one process; give --devices 1")
    train_together(given.devices, settings)
    print(f"trained in {given.devices} processes" + (f"; {given.out}" if given.out else ""))
    return 0


# -- eval ----------------------------------------------------------------------------------------------------------------
def _eval(given: argparse.Namespace) -> int:
    from ..ghn import evaluate, load
    from ..tasks import load as load_task

    ghn = load(given.file)
    task = load_task(given.task or str(ghn.about.get("task") or "digits"))
    networks = _networks(given, task, ghn)

    def tell(number: int, accuracy: float) -> None:
        if not given.quiet:
            print(f"network {number + 1}/{len(networks)}  {100 * accuracy:.2f} %", file=sys.stderr)

    found = evaluate(ghn, networks, task, part=given.part, max_samples=given.samples, on_network=tell)
    top5 = [value for value in found.top5 if not math.isnan(value)]
    if given.json:
        document = {
            "networks": len(found.top1), "mean": found.mean, "max": found.max, "standard_error": found.standard_error,
            "top1": found.top1, "top5": found.top5, "errors": found.errors,
        }  # fmt: skip
        print(json.dumps(_plain(document), indent=2))
    else:
        print(str(found) + (f"; top-5 {100 * sum(top5) / len(top5):.2f} %" if task.num_classes >= 20 and top5 else ""))
        for error in found.errors:
            print(error, file=sys.stderr)
    return 0 if not found.errors else 1


def _networks(given: argparse.Namespace, task: Any, ghn: Any) -> list[Any]:
    """The networks that were asked for, made for the task."""
    _check_counts(given)
    candidates = _candidates(given, task, ghn)
    numbers = [given.arch] if given.arch is not None else range(min(given.n, len(candidates)))
    return list(candidates.among(numbers))


def _check_counts(given: argparse.Namespace) -> None:
    for option in ("n", "top"):
        value = getattr(given, option, 1)
        if value < 1:
            raise HypernetworkError(f"{'-' * min(2, len(option))}{option} {value}; expected a number of networks, 1 or more")


def _candidates(given: argparse.Namespace, task: Any, ghn: Any) -> Any:
    """Networks of the split or space; as narrow as those that the hypernetwork was trained on, where it says so."""
    from ..ghn import Candidates

    channels = given.channels
    if channels is None and given.space is None and given.split != "predefined" and ghn.about.get("channels"):
        channels = int(ghn.about["channels"]) * (4 if given.split == "wide" else 1)
    return Candidates(task, given.split, given.space, channels, given.seed)


# -- rank ----------------------------------------------------------------------------------------------------------------
def _rank(given: argparse.Namespace) -> int:
    from ..ghn import load, rank
    from ..tasks import load as load_task

    ghn = load(given.file)
    task = load_task(given.task or str(ghn.about.get("task") or "digits"))
    _check_counts(given)
    candidates = _candidates(given, task, ghn)
    numbers = range(min(given.n, len(candidates)))
    best = [-1.0]

    def tell(done: int, row: Any) -> None:
        best[0] = max(best[0], row.accuracy)
        if not given.quiet:
            end = "\n" if done == len(numbers) else ""
            print(f"\r{done:,}/{len(numbers):,} networks, best {100 * best[0]:.2f} %  ", end=end, file=sys.stderr, flush=True)

    try:
        found = rank(
            ghn, candidates, numbers, part=given.part, max_samples=given.samples, file=given.out, on_network=tell
        )  # fmt: skip
    except KeyboardInterrupt:
        told = f"the same command goes on in {given.out}" if given.out else "nothing was kept; give --out"
        print(f"\nnetloom ghn: stopped; {told}", file=sys.stderr)
        return 130
    top = found[: given.top]
    if given.best and top:
        from .output import writer

        with writer(given.best) as write:
            write(candidates[top[0].number].to_json())
    if given.json:
        print(json.dumps({"networks": len(found), "top": [_plain(asdict(row)) for row in top]}, indent=2))
        return 0
    for place, row in enumerate(top, 1):
        told = f"{100 * row.accuracy:6.2f} %" if not row.error else row.error
        print(f"{place:>3}  {told}  {row.num_params:>11,} parameters  {row.name}")
    if top and given.space is None:
        print(f"train the best: netloom train '{top[0].name}' --task {task.spec or task.name} --recipe darts-600")
    return 0


# -- reproduce -----------------------------------------------------------------------------------------------------------
def _reproduce(given: argparse.Namespace) -> int:
    from ..ghn.reproducing import reproduce

    told = None if given.quiet else lambda line: print(line, file=sys.stderr)
    _check_counts(given)
    found = reproduce(given.file, task=given.task, count=given.n, samples=given.samples, channels=given.channels, tell=told)
    print(json.dumps(_plain(found.to_dict()), indent=2) if given.json else found.to_markdown())
    return 0


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


# -- predict and view ----------------------------------------------------------------------------------------------------
def _predict(given: argparse.Namespace) -> int:
    from ..building.network import build
    from ..ghn import load
    from .networks import load_graph

    ghn = load(given.file)
    graph = load_graph(given.network, given.input)
    network = build(graph, seed=0)
    prediction = ghn.predict(graph)
    from ..ghn.filling import put

    put(network, prediction, keep_grads=False)
    network.save(given.out)
    print(f"{given.out}: {prediction.summary()}")
    return 0


def _view(given: argparse.Namespace) -> int:
    from ..ghn import hyper_graph
    from .networks import load_graph

    view = hyper_graph(load_graph(given.network, given.input), style=given.style)
    if given.json:
        nodes = [{"type": node.type, "name": node.name, "shape": node.shape} for node in view.nodes]
        print(json.dumps({"nodes": nodes, "edges": view.edges, "distances": view.distances.tolist()}))
        return 0
    width = max(len(kind) for kind in view.types)
    for number, node in enumerate(view.nodes):
        shape = "×".join(map(str, node.shape)) if node.shape else ""
        before = [a for a, b in view.edges if b == number]
        print(f"{number:>4}  {node.type:<{width}}  {node.name}  {shape}  ← {', '.join(map(str, before)) or '-'}")
    means = f"average degree {view.average_degree:.3f}, average path {view.average_path:.3f}"
    print(f"{len(view)} nodes, {len(view.edges)} edges, {means}")
    return 0


# -- embed, convert, list --------------------------------------------------------------------------------------------------
def _embed(given: argparse.Namespace) -> int:
    import numpy as np

    from ..ghn import embed, load
    from ..ghn.ranking import digest
    from ..spaces.samples import read_samples

    ending = Path(given.out).suffix
    if ending not in (".npy", ".parquet"):
        raise HypernetworkError(f"--out {given.out!r}; expected a file that ends in .npy or .parquet")
    ghn, samples = load(given.file), read_samples(given.graphs)
    weights = digest(ghn)
    known = _known_embeddings(given.out, ghn.config.hid, weights) if ending == ".parquet" else {}
    hashes = list(samples.hashes)
    missing = [number for number, key in enumerate(hashes) if key not in known]
    for start in range(0, len(missing), 64):
        chosen = missing[start : start + 64]
        rows = embed(ghn, [samples[number] for number in chosen]).numpy()
        known |= {hashes[number]: row for number, row in zip(chosen, rows)}
        if not given.quiet:
            print(f"{min(start + 64, len(missing)):,}/{len(missing):,} networks", file=sys.stderr)
    table = np.stack([known[key] for key in hashes]) if hashes else np.zeros((0, ghn.config.hid), np.float32)
    try:
        if ending == ".npy":
            np.save(given.out, table)
        else:
            import pandas as pd

            columns = {f"e{i}": table[:, i] for i in range(table.shape[1])}
            pd.DataFrame({"hash": hashes, "hypernetwork": weights, **columns}).to_parquet(given.out, index=False)
    except OSError as error:
        raise HypernetworkError(f"cannot write {given.out!r}: {error.strerror or error}") from None
    print(f"{given.out}: {table.shape[0]:,} networks × {table.shape[1]}; {len(hashes) - len(missing):,} were there already")
    return 0


def _known_embeddings(path: str, hid: int, digest: str) -> dict[str, Any]:
    """Hash → embedding, of those in a file that this hypernetwork made."""
    if not Path(path).exists():
        return {}
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        reason = str(error).partition(": ")[2] or error
        raise HypernetworkError(f"{path!r} is there, but no .parquet of embeddings ({reason}); give another --out") from None
    if list(frame.columns) != ["hash", "hypernetwork", *(f"e{i}" for i in range(hid))]:
        raise HypernetworkError(f"{path!r} holds no embeddings of {hid} numbers; give another --out")
    frame = frame[frame["hypernetwork"] == digest].drop(columns="hypernetwork")
    return dict(zip(frame["hash"], frame.drop(columns="hash").to_numpy(dtype="float32")))


def _convert(given: argparse.Namespace) -> int:
    from ..ghn import load

    if Path(given.out).suffix != ".safetensors":
        raise HypernetworkError(f"OUT {given.out!r}; expected a file that ends in .safetensors")
    ghn = load(given.file)
    ghn.save(given.out)
    total = sum(tensor.numel() for tensor in ghn.parameters())
    print(f"{given.out}: {type(ghn).__name__}, {total:,} parameters, {json.dumps(ghn.config.to_dict())}")
    return 0


def _list(given: argparse.Namespace) -> int:
    from ..ghn.loading import names

    print("\n".join(names()))
    return 0
