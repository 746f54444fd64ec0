"""A store filled with an evolution that never ran: lineage, several fidelities, failures, predictions, measured latencies.

Scores follow from the networks by a formula with noise, so that good edits pay and bad ones do not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

import netloom as nl
from netloom.store import EvaluationKey, EvaluationRecord, Lineage, Store
from netloom.training import Epoch

SETTINGS: dict[str, Any] = {
    "space": "conv", "task": "digits", "task_name": "digits", "task_hash": "t" * 64, "strategy": "evolution", "budget": "20m",
    "seed": 3, "recipe": {"epochs": 8, "batch_size": 64}, "recipe_name": "express", "executor": "local",
    "candidate_seconds": None,
}  # fmt: skip
ENVIRONMENT = {"netloom": "0.1", "torch": "2.13.0", "python": "3.11.7", "task": "Task digits: 1×8×8, 10 classes"}
TRACEBACK = """Traceback (most recent call last):
  File "worker.py", line 71, in train
    loss = criterion(network(x), y)
  File "network.py", line 12, in forward
    raise RuntimeError("shape mismatch")
RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x{n} and 32x10)
"""
ACTIVATIONS = (nl.relu, nl.gelu, nl.silu)


@dataclass(frozen=True, slots=True)
class Layout:
    """A small convolutional network: (width, kernel, residual) of its blocks, and which activation they have."""

    blocks: tuple[tuple[int, int, bool], ...]
    activation: int = 0

    def graph(self) -> nl.Graph:
        x = nl.input(1, 8, 8)
        y = nl.conv2d(x, self.blocks[0][0], kernel=3, padding=1, name="stem")
        act = ACTIVATIONS[self.activation]
        for i, (width, kernel, residual) in enumerate(self.blocks):
            z = nl.conv2d(y, width, kernel=kernel, padding=kernel // 2, name=f"b{i}.conv")
            z = act(nl.batch_norm(z, name=f"b{i}.norm"))
            if residual:
                y = nl.conv2d(y, width, kernel=1, name=f"b{i}.skip") + z
            else:
                y = z
        return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(y, 1)), 10, name="head"))


def random_layout(rng: np.random.Generator) -> Layout:
    count = int(rng.integers(1, 4))
    return Layout(
        tuple((int(rng.integers(4, 40)), int(rng.choice([1, 3, 5])), False) for _ in range(count)), int(rng.integers(3))
    )


def edited(layout: Layout, rng: np.random.Generator) -> tuple[str, Layout, list[str]]:
    """The kind of an edit, what it makes of a layout, and its words."""
    kind = str(rng.choice(["widen", "narrow", "add layer", "remove layer", "kernel", "activation", "add residual block"]))
    blocks = list(layout.blocks)
    i = int(rng.integers(len(blocks)))
    width, kernel, residual = blocks[i]
    if kind == "activation":
        return kind, replace(layout, activation=int(rng.integers(3))), ["another activation everywhere"]
    if kind == "add layer":
        blocks.insert(i, (width, 3, False))
    elif kind == "add residual block":
        blocks.insert(i, (width, 3, True))
    elif kind == "remove layer" and len(blocks) > 1:
        del blocks[i]
    elif kind == "kernel":
        blocks[i] = (width, int(rng.choice([1, 3, 5, 7])), residual)
    else:
        factor = float(rng.uniform(1.1, 1.6) if kind == "widen" else rng.uniform(0.6, 0.9))
        blocks[i] = (max(2, int(width * factor)), kernel, residual)
    return kind, replace(layout, blocks=tuple(blocks[:7])), [f"b{i}.conv: {width} → {blocks[min(i, len(blocks) - 1)][0]}"]


def quality(layout: Layout) -> float:
    """Between 0 and 1, rising with width and depth, with residual blocks and middling kernels."""
    size = sum(math.log(1 + width) for width, _, _ in layout.blocks)
    good = sum(0.02 * residual + 0.01 * (kernel == 3) - 0.02 * (kernel == 1) for _, kernel, residual in layout.blocks)
    return 0.93 - 0.5 * math.exp(-size / 6.0) + min(good, 0.05) - 0.01 * max(0, len(layout.blocks) - 5)


@dataclass(frozen=True, slots=True)
class Told:
    """One candidate of the evolution with what became of it."""

    graph: nl.Graph
    layout: Layout
    fidelity: int
    record: EvaluationRecord
    lineage: Lineage
    elapsed: float


def evolution(count: int, seed: int = 0) -> Iterator[Told]:
    """``count`` evaluations: a tenth random, then children; the best of them again for more epochs."""
    rng = np.random.default_rng(seed)
    alive: list[tuple[float, Layout, nl.Graph]] = []
    elapsed = 0.0
    again: Told | None = None
    for ask in range(count):
        elapsed += float(rng.exponential(1.5))
        fidelity, scorer, predicted = 4, "", None
        if again is not None and ask % 23 == 0:
            graph, layout, came, fidelity = again.graph, again.layout, again.lineage, 8
        elif ask < max(4, count // 10) or not alive or rng.random() < 0.05:
            layout = random_layout(rng)
            graph, came = layout.graph(), Lineage(proposed_by="random")
        else:
            chosen = [alive[int(i)] for i in rng.integers(len(alive), size=min(6, len(alive)))]
            _, parent, parent_graph = max(chosen, key=lambda each: each[0])
            kind, layout, titles = edited(parent, rng)
            graph = layout.graph()
            parents: tuple[str, ...] = (parent_graph.hash,)
            if rng.random() < 0.1:
                kind, parents = "crossover", (parent_graph.hash, alive[int(rng.integers(len(alive)))][2].hash)
            if rng.random() < 0.5:
                scorer, predicted = "trees", quality(layout) + float(rng.normal(0, 0.02))
            came = Lineage(
                parents, {"kind": kind, "titles": titles}, "crossover" if kind == "crossover" else "mutation", scorer,
                predicted, "inherit" if rng.random() < 0.8 else "random",
            )  # fmt: skip
        told = Told(graph, layout, fidelity, outcome(layout, graph, fidelity, ask, rng), came, elapsed)
        if told.record.score is not None:
            alive.append((told.record.score, layout, graph))
            alive = alive[-100:]
            if again is None or told.record.score > (again.record.score or 0.0):
                again = told
        yield told


def outcome(layout: Layout, graph: nl.Graph, fidelity: int, ask: int, rng: np.random.Generator) -> EvaluationRecord:
    draw = rng.random()
    if draw < 0.03:
        return EvaluationRecord("failed", None, 0.2, TRACEBACK.format(n=ask))
    if draw < 0.045:
        return EvaluationRecord("out_of_memory", None, 0.4, "OutOfMemoryError: 1.5 GiB more were asked for")
    if draw < 0.05:
        return EvaluationRecord("diverged", None, 0.9, "the loss was no longer finite")
    final = min(0.999, quality(layout) + 0.004 * math.log2(fidelity) + float(rng.normal(0, 0.006)))
    curve = tuple(
        Epoch(e, 2.3 * math.exp(-0.5 * e), 2.3 * math.exp(-0.45 * e) + 0.05, final * (1 - math.exp(-1.1 * e)), 0.4 * e)
        for e in range(1, fidelity)
    )
    curve += (Epoch(fidelity, 0.1, 0.15, final, 0.4 * fidelity),)
    latency = 2e-5 * (1 + len(layout.blocks)) + 4e-12 * graph.flops + float(rng.exponential(2e-6))
    return EvaluationRecord("ok", final, 0.4 * fidelity, curve=curve, metrics={"latency": latency, "best_epoch": fidelity})


def fill(store: Store, count: int, seed: int = 0, run: str = "20260102-030405-ab12", **settings: Any) -> str:
    """Add a run of ``count`` evaluations to a store; gives its id."""
    store.add_task(SimpleNamespace(hash="t" * 64, name="digits", spec="digits", kind="classification"))
    store.add_run(run, {**SETTINGS, **settings}, ENVIRONMENT)
    told = list(evolution(count, seed))
    keys = [EvaluationKey(t.graph.hash, "t" * 64, "r" * 64, seed=ask, fidelity=t.fidelity) for ask, t in enumerate(told)]
    ids = store.record_many((t.graph, key, t.record) for t, key in zip(told, keys))
    for ask, (t, id) in enumerate(zip(told, ids)):
        store.add_proposal(run, ask, id, reused=False, elapsed=t.elapsed, lineage=t.lineage)
    store.update_run(run, status="finished", seconds=told[-1].elapsed + 1.0 if told else 0.0)
    return run
