"""What the loop of a search costs per candidate, without training: ask, tell and store; Optuna and Ray Tune beside it.

    python -m benchmarks.search_overhead [--stored 100000] [--candidates 500]

The store (SQLite on disk) holds so many evaluations before the search begins. An executor that answers at once, with random
scores, takes the place of training. Optuna (RDB storage on SQLite, random sampler) begins with as many trials as
``--peer-stored`` says, which are added at once; its cost grows with them. Ray Tune (random samples, one at a time, nothing
stored before) runs a function that reports a random score, in new actors as it does by default, and in one that is used
again. Median and mean of wall seconds a candidate; the ratio is that of means.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

import netloom as nl
from netloom.searching import executors
from netloom.searching.candidate import Job, Outcome
from netloom.store import EvaluationKey, EvaluationRecord

SPACE = "mlp?layers=1..4&widths=16,32,64,128,256&activations=relu,gelu,silu,tanh&skip=0.3"


class Instant:
    """An executor that gives random scores at once."""

    shares_files = True
    slots = 1

    def __init__(self, task: Any, settings: Any) -> None:
        self._jobs: deque[Job] = deque()
        self._rng = np.random.default_rng(0)

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def next_outcome(self) -> Outcome:
        return Outcome(self._jobs.popleft().ticket, EvaluationRecord("ok", float(self._rng.random()), 0.0))

    def close(self) -> None:
        self._jobs.clear()


def filled(url: str, count: int, task: Any) -> nl.Store:
    """A store with so many evaluations of different networks, under keys of another recipe."""
    store = nl.Store(url)
    space = nl.spaces.load(SPACE, input_shape=task.input_shape, num_classes=task.num_outputs)
    rng = np.random.default_rng(1)
    graphs = [space.sample(rng) for _ in range(min(count, 2000))]

    def items() -> Any:
        for i in range(count):
            graph = graphs[i % len(graphs)]
            key = EvaluationKey(graph.hash, task.hash, "another recipe", seed=i // len(graphs), fidelity=1)
            yield graph, key, EvaluationRecord("ok", float(rng.random()), 1.0)

    store.record_many(items())
    return store


def ours(url: str, stored: int, candidates: int, strategy: str) -> list[float]:
    """Seconds of each candidate of a search in a store that is full."""
    task = nl.tasks.load("digits")
    store = filled(url, stored, task)
    executors.EXECUTORS["instant"] = Instant
    stamps: list[float] = []
    whole = Instant.next_outcome

    def stamped(self: Instant) -> Outcome:
        stamps.append(time.perf_counter())
        return whole(self)

    Instant.next_outcome = stamped  # type: ignore[method-assign]
    try:
        nl.search(SPACE, task, strategy, candidates + 1, store=store, executor="instant", progress=False)
    finally:
        Instant.next_outcome = whole  # type: ignore[method-assign]
    return list(np.diff(stamps))


def optuna_seconds(url: str, stored: int, candidates: int) -> list[float]:
    """The same of Optuna, with five parameters like those of the space."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=url, sampler=optuna.samplers.RandomSampler(seed=0), direction="maximize")
    space = {f"x{i}": optuna.distributions.IntDistribution(1, 256) for i in range(5)}
    trial = optuna.trial.create_trial(params=dict.fromkeys(space, 3), distributions=space, value=0.5)
    study.add_trials([trial] * stored)
    stamps = []
    rng = np.random.default_rng(0)
    for _ in range(candidates + 1):
        asked = study.ask(space)
        stamps.append(time.perf_counter())
        study.tell(asked, float(rng.random()))
    return list(np.diff(stamps))


def _reported(settings: dict[str, Any]) -> dict[str, float]:
    """What Ray Tune trains: nothing."""
    return {"score": float(np.random.default_rng(0).random()), "stamp": time.time()}


def ray_seconds(candidates: int, reuse: bool, folder: str) -> list[float]:
    """The same of Ray Tune, with five parameters like those of the space, one trial at a time."""
    from ray import tune

    tuner = tune.Tuner(
        _reported,
        param_space={f"x{i}": tune.randint(1, 257) for i in range(5)},
        tune_config=tune.TuneConfig(num_samples=candidates + 1, max_concurrent_trials=1, reuse_actors=reuse),
        run_config=tune.RunConfig(storage_path=folder, verbose=0),
    )
    return list(np.diff(sorted(result.metrics["stamp"] for result in tuner.fit())))


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--stored", type=int, default=100_000)
    asked.add_argument("--peer-stored", type=int, default=2_000)
    asked.add_argument("--candidates", type=int, default=300)
    asked.add_argument("--ray-candidates", type=int, default=30)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for strategy in ("random", "evolution?inherit=false&population=50&sample=10&initial=50"):
            url = f"sqlite:///{Path(folder) / strategy.partition('?')[0]}.db"
            found[f"netloom, {strategy.partition('?')[0]}, {given.stored:,} stored"] = ours(
                url, given.stored, given.candidates, strategy
            )
        try:
            seconds = optuna_seconds(f"sqlite:///{Path(folder)}/optuna.db", given.peer_stored, given.candidates)
            found[f"Optuna, random, {given.peer_stored:,} stored"] = seconds
        except ImportError:
            print("Optuna is not installed (pip install optuna): no comparison")
        try:
            import ray

            ray.init(num_cpus=1, include_dashboard=False, configure_logging=False)
            for reuse in (False, True):
                how = "one actor used again" if reuse else "new actors"
                found[f"Ray Tune, random, {how}"] = ray_seconds(given.ray_candidates, reuse, str(Path(folder).absolute()))
            ray.shutdown()
        except ImportError:
            print("Ray Tune is not installed (pip install 'ray[tune]'): no comparison")
    first = np.mean(next(iter(found.values())))
    for name, seconds in found.items():
        median, mean = 1000 * np.median(seconds), 1000 * np.mean(seconds)
        print(f"{name:<50} median {median:7.2f} ms   mean {mean:7.2f} ms   ratio to the first {np.mean(seconds) / first:5.2f}")


if __name__ == "__main__":
    main()
