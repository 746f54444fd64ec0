"""From a model to the model pruned to half its neurons, beside Torch-Pruning, in one run.

    .venv/bin/python -m benchmarks.mutate [--repeats 5] [--peer-repeats 3] [--models resnet50,…] [--no-peer] [--grow]

Per model, in a process of its own: CPU and wall seconds of

- netloom: ``nl.prune(model, example, keep=0.5)``, tracing included: a Network with the weights that stay; the model stays;
- Torch-Pruning: ``BasePruner(model, …, pruning_ratio=0.5)`` and all its steps, in place, on a copy made before the clock runs,

one thread, interleaved; the median, and apart from it the first call of each in that process. The ratio is of CPU medians. A
call of the peer ends after 60 CPU s. Memory is the growth of the peak resident size during one call in a fresh process, beside
the bytes of the model and of the pruned one. Needs torchvision, timm, transformers, torch-pruning (none is needed by netloom).
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import multiprocessing
import pkgutil
import platform
import signal
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from benchmarks import peers_pruning  # before timm and torchvision are imported by anything else

import torch  # isort: skip

import netloom as nl
from netloom.testing import exactness

LIMIT_CPU_SECONDS = 60
Made = tuple[torch.nn.Module, Any]

MODELS: dict[str, Callable[[], Made]] = {
    **{
        name: partial(peers_pruning.torchvision_model, name, 224)
        for name in ("resnet50", "densenet121", "mobilenet_v2", "convnext_tiny", "vit_b_16", "swin_t")
    },
    "efficientnet_b0": partial(peers_pruning.timm_model, "efficientnet_b0", 224),
    "bert_base": peers_pruning.models()["transformers/bert_base"],
    "llama_small": peers_pruning.models()["transformers/llama_gqa"],
}


class _Overtime(Exception):
    """A call took longer than it may."""


def _ring(*_: Any) -> None:
    raise _Overtime


def _timed(call: Callable[[], Any]) -> tuple[float, float]:
    """CPU and wall seconds of a call."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    call()
    return time.process_time() - cpu, time.perf_counter() - wall


def _ours(model: torch.nn.Module, example: Any) -> Any:
    return nl.prune(model, example, keep=0.5)


def _theirs(model: torch.nn.Module, example: Any, output: torch.Tensor) -> Any:
    return peers_pruning.pruned_by_peer(model, example, output)


def measure(name: str, repeats: int, peer_repeats: int, grow: bool) -> dict[str, Any]:
    """The figures of one model."""
    torch.manual_seed(0)
    model, example = MODELS[name]()
    model.eval()
    with torch.no_grad():
        output = peers_pruning.first_tensor(exactness.run(model, example))
    ours = [_timed(lambda: _ours(model, example))]
    theirs: list[tuple[float, float]] = []
    reason = ""
    signal.signal(signal.SIGPROF, _ring)
    for turn in range(max(repeats, peer_repeats + 1)):
        if turn <= peer_repeats and peer_repeats and not reason:
            victim = copy.deepcopy(model)
            signal.setitimer(signal.ITIMER_PROF, LIMIT_CPU_SECONDS)
            try:
                theirs.append(_timed(lambda: _theirs(victim, example, output)))  # noqa: B023  (called at once)
            except _Overtime:
                reason = f"no result in {LIMIT_CPU_SECONDS} CPU s"
            except Exception as error:  # a peer's failure is a result
                reason = f"{type(error).__name__}: {str(error)[:80]}"
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
        if turn < repeats:
            ours.append(_timed(lambda: _ours(model, example)))
    record = {"model": name, **_figures("netloom", ours), **_figures("peer", theirs)}
    if reason:
        record["peer"] = reason
    elif theirs:
        record["ratio"] = round(_median(theirs[1:]) / _median(ours[1:]), 1)
        record["ratio_first"] = round(theirs[0][0] / ours[0][0], 1)
        record["slowest_ours_below_fastest_theirs"] = max(cpu for cpu, _ in ours[1:]) < min(cpu for cpu, _ in theirs[1:])
    if grow:
        record["grow_cpu"] = round(statistics.median(_timed(lambda: nl.grow(model, example, by=0.25))[0] for _ in range(3)), 3)
    return record


def _median(rows: list[tuple[float, float]], which: int = 0) -> float:
    return statistics.median(row[which] for row in rows)


def _figures(side: str, rows: list[tuple[float, float]]) -> dict[str, Any]:
    if len(rows) < 2:
        return {}
    later = rows[1:]
    return {
        f"{side}_cpu": round(_median(later), 3), f"{side}_wall": round(_median(later, 1), 3),
        f"{side}_first_cpu": round(rows[0][0], 3), f"{side}_n": len(later),
    }  # fmt: skip


def memory(name: str) -> dict[str, Any]:
    """How much the peak of resident memory grows while a model is pruned, in bytes, and the bytes of both models."""
    tiny = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    nl.prune(tiny, torch.randn(2, 4), keep=0.5)  # what is imported on the way is no part of it
    torch.manual_seed(0)
    model, example = MODELS[name]()
    model.eval()
    gc.collect()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts anew from what is resident now
    before = _status("VmRSS")
    pruned = _ours(model, example)
    growth = _status("VmHWM") - before
    sizes = [sum(tensor.nbytes for tensor in each.state_dict().values()) for each in (model, pruned.network)]
    return {
        "peak_growth_mib": round(growth / 2**20, 1), "model_mib": round(sizes[0] / 2**20, 1),
        "pruned_mib": round(sizes[1] / 2**20, 1), "peak_of_two_models": round((sizes[0] + growth) / sum(sizes), 2),
    }  # fmt: skip


def _status(key: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))


def _isolated(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of ``work`` in a forked process, where nothing is remembered of other models."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sending.send(work()))
    process.start()
    sending.close()
    try:
        return dict(receiving.recv())
    finally:
        process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer-repeats", type=int, default=3)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--grow", action="store_true", help="growth by a quarter as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    import torch_pruning  # noqa: F401  (imported before the clock runs, as are all our modules)
    import transformers  # noqa: F401

    for room in ("ops", "graph", "tracing", "building", "mutate"):
        package = import_module(f"netloom.{room}")
        for module in pkgutil.iter_modules(package.__path__, f"netloom.{room}."):
            import_module(module.name)

    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}")
    ratios = []
    for name in options.models.split(","):
        peer_repeats = 0 if options.no_peer else options.peer_repeats
        record = _isolated(partial(measure, name, options.repeats, peer_repeats, options.grow))
        record |= _isolated(partial(memory, name))
        ratios += [record["ratio"]] if "ratio" in record else []
        print(json.dumps(record, ensure_ascii=False), flush=True)
    if ratios:
        print(f"median ratio {statistics.median(ratios):.1f}, smallest {min(ratios):.1f}")


if __name__ == "__main__":
    main()
