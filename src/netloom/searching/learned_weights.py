"""Learned parts that write first weights: a graph hypernetwork, and a Netformer; each for the graphs of its family."""

from __future__ import annotations

import logging
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import HypernetworkError, NetformerError, NetloomError, SearchError
from .refits import Refits

if TYPE_CHECKING:
    from ..ghn import Hypernetwork
    from ..graph.graph import Graph
    from ..netformer import Netformer
    from ..tasks import Task
    from .context import Context
    from .proposal import Result

_log = logging.getLogger("netloom.search")

#: Samples that a Netformer reads of a task (its time grows with their cube), and networks of which predictions are kept.
_SAMPLES, _KEPT = 500, 64
#: Results after which a hypernetwork is refitted first, and the growth of their number before the next time.
_LEAST, _GROWTH = 20, 1.5
#: Steps of a refit: a share of those that the search has trained, within bounds. Each sees a handful of networks.
_SHARE, _STEPS = 0.02, (20, 300)


@dataclass(eq=False)
class Learned(ABC):
    """Writes weights for graphs of its family; ``key`` is the text that it was asked for by, ``name`` what the record says."""

    name: ClassVar[str]
    where: str
    _written: dict[str, dict[str, Any]] = field(default_factory=dict, init=False, repr=False)

    @property
    def key(self) -> str:
        return f"{self.name}:{self.where}"

    def weights(self, graph: Graph, seed: int = 0) -> dict[str, Any]:
        """The state of a network, tensors by key. The error of the part where the graph is outside its family."""
        if graph.hash not in self._written:
            if len(self._written) >= _KEPT:
                self._written.pop(next(iter(self._written)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a search would repeat them for every candidate
                self._written[graph.hash] = self._write(graph, seed)
        return self._written[graph.hash]

    def forget(self) -> None:
        """Keep nothing of what was written."""
        self._written.clear()

    def begin(self, context: Context) -> None:
        """Take up work for a search."""
        del context

    def tell(self, result: Result) -> None:
        """A result of the search."""
        del result  # a Netformer learns from networks of many tasks, and a search has one

    @abstractmethod
    def _write(self, graph: Graph, seed: int) -> dict[str, Any]: ...


@dataclass(eq=False)
class HypernetworkWeights(Learned):
    """Weights that a graph hypernetwork predicts; it goes on learning from the better half of what the search trains.

    A refit begins with ``ghn`` as it was given, and counts only where it is better at networks that it did not learn from.
    What was written for a graph stays what it was.
    """

    name: ClassVar[str] = "ghn"
    ghn: Hypernetwork | None = None
    _context: Context | None = field(default=None, init=False, repr=False)
    _results: list[Result] = field(default_factory=list, init=False, repr=False)
    _refits: Refits[Hypernetwork] = field(default_factory=lambda: Refits(beside=False), init=False, repr=False)
    _due: int = field(default=0, init=False)

    def begin(self, context: Context) -> None:
        self._context, self._refits = context, Refits(beside=context.workers > 1)

    def tell(self, result: Result) -> None:
        if result.score is None or result.repeated:
            return
        self._results.append(result)
        if len(self._results) >= max(_LEAST, _GROWTH * self._due):
            self._due = len(self._results)

    @property
    def latest(self) -> Hypernetwork:
        """The hypernetwork as it is now."""
        assert self.ghn is not None
        due = self._due
        return self._refits.latest(due, lambda: self._refitted(self._results[:due])) or self.ghn if due else self.ghn

    def _refitted(self, results: Sequence[Result]) -> Hypernetwork | None:
        from ..ghn.refitting import refitted

        context = self._context
        if context is None or context.task is None or context.recipe is None or self.ghn is None:
            return None
        better = sorted(results, key=lambda result: -(result.score or 0.0))[: max(_LEAST // 2, len(results) // 2)]
        per_epoch = math.ceil(len(context.task.train) / context.recipe.batch_size)
        steps = round(_SHARE * per_epoch * sum(result.epochs for result in results if not result.reused))
        graphs = list({result.graph.hash: result.graph for result in better}.values())
        try:
            return refitted(self.ghn, graphs, context.task, steps=min(max(steps, _STEPS[0]), _STEPS[1]), seed=context.seed)
        except NetloomError as error:  # networks that it cannot predict, say
            _log.info("no refit of %s: %s", self.key, error)
            return None

    def _write(self, graph: Graph, seed: int) -> dict[str, Any]:
        from ..ghn.prediction import predict

        ghn = self.latest
        prediction = predict(ghn, [graph], warn=False, seed=seed)[0]
        if prediction.other_classes or not prediction.tensors:
            raise HypernetworkError(f"{self.key} predicts nothing of use here: {prediction.summary()}")
        return dict(ghn(graph, batch_statistics=False, keep_grads=False, seed=seed).state_dict())


@dataclass(eq=False)
class NetformerWeights(Learned):
    """Weights that a Netformer writes for the train part of a task."""

    name: ClassVar[str] = "netformer"
    former: Netformer | None = None
    task: Task | None = None

    def _write(self, graph: Graph, seed: int) -> dict[str, Any]:
        assert self.former is not None and self.task is not None
        x, y = samples(self.task)
        return dict(self.former.suggest(x, y, graph, seed=seed).state_dict())


def samples(task: Task) -> tuple[Any, Any]:
    """The first few hundred samples of the train part, flat (N, features), and their targets."""
    xs, ys, count = [], [], 0
    for x, y in task.train.batches(_SAMPLES):
        xs.append(x)
        ys.append(y)
        count += len(y)
        if count >= _SAMPLES:
            break
    import torch

    return torch.cat(xs).flatten(1).cpu(), torch.cat(ys).cpu()


def hypernetwork(where: str, task: Task) -> HypernetworkWeights:
    """The hypernetwork of a file or name; `SearchError` where it is for another number of classes."""
    from .. import ghn

    found = ghn.load(where)
    if found.config.num_classes != task.num_classes:
        raise SearchError(
            f"init 'ghn:{where}' predicts networks of {found.config.num_classes} classes; task {task.name!r} has "
            f"{task.num_classes or 'none'}. Train one for it with 'netloom ghn train', or leave it out"
        )
    return HypernetworkWeights(where, found)


def netformer(where: str, task: Task) -> NetformerWeights:
    """The Netformer of a file or name."""
    from .. import netformer as room

    if task.num_classes:
        _, y = samples(task)
        if len(y.unique()) < task.num_classes:
            raise SearchError(f"init 'netformer:{where}': the first {len(y):,} samples of {task.name!r} lack some classes")
    return NetformerWeights(where, room.load(where), task)


def shipped_for(task: Task) -> list[Learned]:
    """The learned parts that come with netloom and are for tasks such as this one."""
    found: list[Learned] = []
    for name in shipped_hypernetworks(task):
        found.append(hypernetwork(name, task))
    if len(task.input_shape) == 1:
        try:
            found.append(netformer("mlp", task))
        except (NetformerError, SearchError):
            pass
    return found


def shipped_hypernetworks(task: Task) -> list[str]:
    """Names of the hypernetworks that come with netloom and were trained on this task's data."""
    from ..ghn.loading import SHIPPED, load

    own = (task.spec or task.name).partition("?")[0].partition(":")[0]
    names = []
    for path in sorted(SHIPPED.glob("*.safetensors")):
        ghn = load(path)
        trained = str(ghn.about.get("task", "")).partition("?")[0].partition(":")[0]
        if trained == own and ghn.config.num_classes == task.num_classes:
            names.append(path.stem)
    return names
