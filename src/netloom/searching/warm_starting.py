"""Warm starts: what searches on earlier tasks found, for a search on a new one; near tasks count more than far ones."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError
from ..store import Lineage
from .proposal import Proposal

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..store import Store
    from ..tasks import Task
    from .context import Context

_log = logging.getLogger("netloom.search")

#: Where the record of a run keeps the meta-features of its task.
METAFEATURES = "metafeatures"
#: Rows and columns of a task that meta-features are computed of: they must cost less than a candidate.
_ROWS, _COLUMNS = 500, 64
#: Runs that are looked through, the latest first; graphs that a predictor learns from; incumbents that are tried at most.
_RUNS, _GRAPHS, _INCUMBENTS = 200, 400, 5
#: The name in the record of what a warm start brings.
WARM_START = "warm start"


@dataclass(frozen=True, slots=True)
class EarlierTask:
    """A task that a store has results of, and how far it is from the new one; ``weight`` is exp(−distance)."""

    hash: str
    name: str
    distance: float

    @property
    def weight(self) -> float:
        return math.exp(-self.distance)


@dataclass(frozen=True, slots=True, eq=False)
class Earlier:
    """Scores on other tasks: graphs, and scores in standard deviations from the mean of their own task."""

    graphs: tuple[Graph, ...]
    scores: tuple[float, ...]
    tasks: tuple[EarlierTask, ...]


def task_features(task: Task) -> dict[str, float]:
    """Meta-features of the train part of a task: of its first 500 samples, images as 8 × 8 averages. Not those that are NaN.

    Targets of a regression are three quantile classes, and ``nr_class`` is 0.

    >>> import netloom as nl
    >>> found = task_features(nl.tasks.load("digits"))
    >>> found["nr_class"], found["nr_attr"]
    (10.0, 64.0)
    """
    import torch

    from ..tasks.metafeatures import get_meta_features

    xs, ys, count = [], [], 0
    for x, y in task.train.batches(_ROWS):
        xs.append(_few_columns(x))
        ys.append(y)
        count += len(y)
        if count >= _ROWS:
            break
    x, y = torch.cat(xs)[:_ROWS].cpu().numpy(), torch.cat(ys)[:_ROWS].cpu().numpy()
    kind = "classes" if task.num_classes else "quantiles"
    found = get_meta_features(x, y if y.ndim == 1 else y[:, 0], target=kind)
    kept = {name: value for name, value in found.items() if math.isfinite(value)}
    return kept if task.num_classes else {**kept, "nr_class": 0.0}


def _few_columns(x: Any) -> Any:
    """Samples (N, …) as (N, at most 64) numbers."""
    import torch

    if x.dim() == 4:
        gray = x.float().mean(1, keepdim=True)
        x = torch.nn.functional.adaptive_avg_pool2d(gray, [min(8, side) for side in gray.shape[2:]])
    flat = x.float().flatten(1)
    step = -(-flat.shape[1] // _COLUMNS)
    return flat[:, ::step]


def described_tasks(store: Store) -> dict[str, tuple[str, Mapping[str, float]]]:
    """Hash → name and meta-features of the tasks that the runs of a store describe."""
    found: dict[str, tuple[str, Mapping[str, float]]] = {}
    for run in reversed(store.run_ids()[-_RUNS:]):
        record = store.run(run)
        features, settings = record["environment"].get(METAFEATURES), record["settings"]
        hash = settings.get("task_hash", "")
        if isinstance(features, dict) and hash and hash not in found:
            found[hash] = str(settings.get("task_name", "")), features
    return found


def distances(own: Mapping[str, float], others: Mapping[str, tuple[str, Mapping[str, float]]]) -> tuple[EarlierTask, ...]:
    """The other tasks by their distance, the nearest first: mean difference of meta-features on a logarithmic scale.

    Each is divided by its spread over all tasks. Two of a kind are compared only: classifications, or regressions.
    """
    import numpy as np

    regression = own.get("nr_class") == 0
    kinds = {hash: each for hash, each in others.items() if (each[1].get("nr_class") == 0) == regression}
    found = []
    everyone = [own, *(features for _, features in kinds.values())]
    for hash, (name, features) in kinds.items():
        gaps = []
        for feature in own.keys() & features.keys():
            values = [_logarithm(each[feature]) for each in everyone if feature in each]
            gaps.append(abs(_logarithm(own[feature]) - _logarithm(features[feature])) / (0.5 + float(np.std(values))))
        found.append(EarlierTask(hash, name, float(np.mean(gaps)) if gaps else 10.0))
    return tuple(sorted(found, key=lambda task: task.distance))


def _logarithm(value: float) -> float:
    return math.copysign(math.log1p(abs(value)), value)


def incumbents_for(context: Context, store: Store, tasks: tuple[EarlierTask, ...]) -> tuple[Graph, ...]:
    """The best graphs of earlier tasks, made to fit the new one; more of near tasks than of far ones.

    At most five, and at most a fifth of a budget in evaluations. A graph that cannot be made to fit is left out.
    """
    most = _INCUMBENTS
    if context.budget is not None and context.budget.evaluations is not None:
        most = min(most, context.budget.evaluations // 5)
    whole = sum(task.weight for task in tasks) or 1.0
    found: dict[str, Graph] = {}
    for task in tasks:
        wanted = max(1, round(most * task.weight / whole))
        for row in store.best(3 * wanted, task=task.hash).itertuples():
            if wanted == 0 or len(found) >= most:
                break
            graph = _fitted(context, store, row.graph_hash)
            if graph is not None and graph.hash not in found:
                found[graph.hash] = graph
                wanted -= 1
    return tuple(found.values())


def _fitted(context: Context, store: Store, hash: str) -> Graph | None:
    """A graph of an earlier task with the input and output sizes of this one, by the robust notation where they differ."""
    from ..encode import robust

    task = context.task
    assert task is not None
    try:
        graph = store.graph(hash)
        if context.allows(graph):
            return graph
        tokens = robust.Notation.covering([graph]).encode(graph)
        here = robust.Notation.covering([graph], input_shape=task.input_shape, num_classes=task.num_outputs)
        moved = here.decode(tokens)
    except (NetloomError, ValueError, TypeError) as error:
        _log.info("%s is not taken over to %s: %s", hash, task.name, error)
        return None
    return moved if context.allows(moved) else None


def as_proposals(graphs: tuple[Graph, ...]) -> tuple[Proposal, ...]:
    """Taken-over graphs as the first candidates of a search."""
    lineage = Lineage(edit={"kind": WARM_START, "titles": []}, proposed_by=WARM_START)
    return tuple(Proposal(graph, lineage=lineage) for graph in graphs)


def earlier_scores(context: Context, store: Store, tasks: tuple[EarlierTask, ...]) -> Earlier | None:
    """Scores on other tasks to learn from, at most 400, as many of each task as it has weight; None where there are none.

    Graphs are made to fit the new task, for predictors compare networks with inputs and outputs of one size.
    """
    import numpy as np

    rng = np.random.default_rng([context.seed, 0x3A12])
    whole = sum(task.weight for task in tasks) or 1.0
    graphs: list[Graph] = []
    scores: list[float] = []
    for task in tasks:
        rows = store.evaluations(task=task.hash, status="ok")
        rows = rows[rows["score"].notna()].drop_duplicates("graph_hash", keep="last")
        count = min(len(rows), max(1, round(_GRAPHS * task.weight / whole)))
        spread = float(rows["score"].std(ddof=0)) if len(rows) > 1 else 0.0
        if spread <= 0:
            continue
        mean = float(rows["score"].mean())
        for place in sorted(rng.permutation(len(rows))[:count]):
            row = rows.iloc[int(place)]
            graph = _fitted(context, store, row["graph_hash"])
            if graph is None:
                continue
            graphs.append(graph)
            scores.append(max(-3.0, (float(row["score"]) - mean) / spread))
    return Earlier(tuple(graphs), tuple(scores), tasks) if len(graphs) >= 5 else None
