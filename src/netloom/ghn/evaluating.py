"""How good predicted parameters are: accuracies of networks that were filled, and embeddings of networks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import HypernetworkError, NetloomWarning
from ..graph.graph import Graph
from .assembling import assembled
from .meta_learner import _first
from .prediction import predict, view_of
from .viewing import as_graph

if TYPE_CHECKING:
    from ..tasks import Task
    from .hypernetwork import Hypernetwork


@dataclass(frozen=True, slots=True)
class Accuracies:
    """Accuracy of every network, in order (nan where it failed, and ``errors`` says how); ``top5`` likewise."""

    top1: tuple[float, ...]
    top5: tuple[float, ...]
    errors: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        """Mean top-1 accuracy of the networks that could be evaluated."""
        found = self._good()
        return sum(found) / len(found) if found else math.nan

    @property
    def max(self) -> float:
        """The best of them."""
        return max(self._good(), default=math.nan)

    @property
    def standard_error(self) -> float:
        """Standard error of the mean."""
        found = self._good()
        if len(found) < 2:
            return math.nan
        mean = self.mean
        return math.sqrt(sum((value - mean) ** 2 for value in found) / (len(found) - 1) / len(found))

    def _good(self) -> list[float]:
        return [value for value in self.top1 if not math.isnan(value)]

    def __str__(self) -> str:
        if not self._good():
            return f"{len(self.top1)} networks, none of which could be evaluated"
        best, error = self.top1.index(self.max), self.standard_error
        spread = f"{100 * self.mean:.2f}" + ("" if math.isnan(error) else f" ± {100 * error:.2f}") + " %"
        return f"{len(self.top1)} networks: {spread}, best {100 * self.max:.2f} % (number {best})"


def evaluate(
    ghn: Hypernetwork | None,
    networks: Iterable[Any],
    task: Task | str,
    *,
    part: str = "valid",
    batch_size: int = 64,
    max_samples: int | None = None,
    on_network: Callable[[int, float], object] | None = None,
) -> Accuracies:
    """Accuracies of networks with predicted parameters, batch norms using statistics of batches of ``batch_size``.

    ``networks`` are graphs, Networks or modules (traced with a sample of the task). ``part`` of the task is ``"valid"`` or
    ``"test"``. None for ``ghn`` is random initialisation, to compare with.
    Raises `HypernetworkError` where the hypernetwork was made for another number of classes, and warns where it was trained on
    data of another kind or normalisation.
    """
    if isinstance(task, str):
        from ..tasks import load

        task = load(task)
    if ghn is not None:
        check_is_one(ghn)
        check_task(ghn, task)
    if part not in ("train", "valid", "test"):
        raise HypernetworkError(f"part {part!r}; expected train, valid or test")
    for name, value, least in (("batch_size", batch_size, 2), ("max_samples", max_samples, 2)):
        if value is not None and (type(value) is not int or value < least):
            raise HypernetworkError(f"{name} = {value!r}; expected a whole number from {least}")
    data = task.read_test() if part == "test" else getattr(task, part)
    top1, top5, errors = [], [], []
    for number, network in enumerate(_several(networks)):
        try:
            first, fifth = accuracy(ghn, network, data, batch_size=batch_size, max_samples=max_samples)
        except Exception as error:  # whatever a network does: its failure is a result
            first = fifth = math.nan
            errors.append(f"network {number}: {type(error).__name__}: {error}")
        top1.append(first)
        top5.append(fifth)
        if on_network is not None:
            on_network(number, first)
    return Accuracies(tuple(top1), tuple(top5), tuple(errors))


def check_is_one(ghn: Any) -> None:
    """`HypernetworkError` where it is something else."""
    from .hypernetwork import Hypernetwork

    if not isinstance(ghn, Hypernetwork):
        raise HypernetworkError(f"a {type(ghn).__name__} is no hypernetwork; nl.ghn.load(FILE or name) gives one")


def _several(networks: Any) -> Iterable[Any]:
    """Networks one after the other; of one alone (whose nodes and layers can be gone through too), itself."""
    alone = isinstance(networks, Graph | torch.nn.Module) and not isinstance(networks, torch.nn.ModuleList)
    return [networks] if alone else networks


@torch.no_grad()
def accuracy(
    ghn: Hypernetwork | None, network: Any, data: Any, *, batch_size: int = 64, max_samples: int | None = None
) -> tuple[float, float]:
    """Top-1 and top-5 accuracy of one network with predicted (None: random) parameters on a part of a task."""
    example = None if hasattr(network, "steps") or hasattr(network, "graph") else torch.zeros(2, *data.shape)
    generator = torch.Generator().manual_seed(0)
    if ghn is None:
        net = assembled(as_graph(network, example), {}, generator)
    else:
        prediction = predict(ghn, [network], [example], warn=False)[0]
        net = assembled(prediction.graph, prediction.tensors, generator, ghn.embed.weight.device)
    batch_mode(net)
    right = fifth = seen = 0
    for x, y in data.batches(batch_size):
        if len(y) < 2 or (max_samples is not None and seen >= max_samples):
            break
        logits = _first(net(x))
        if logits.dim() != 2 or logits.shape[1] <= int(y.max()):
            raise HypernetworkError(f"it gives {tuple(logits.shape)} for {len(y)} samples; expected a value for each class")
        best = logits.topk(min(5, logits.shape[1]), dim=1).indices == y[:, None]
        right, fifth, seen = right + int(best[:, 0].sum()), fifth + int(best.any(1).sum()), seen + len(y)
    if not seen:
        raise HypernetworkError("there are no two samples to evaluate on")
    return right / seen, fifth / seen


def batch_mode(network: Any) -> None:
    """Evaluation mode but for batch norms, which go by their batch."""
    network.eval()
    for step in network.graph.steps:
        if step.op == "batch_norm" and step.args.get("training") == "module":
            network.get_submodule(step.scope).training = True


def check_task(ghn: Hypernetwork, task: Task) -> None:
    """`HypernetworkError` for other classes, a warning for other data."""
    if task.num_classes != ghn.config.num_classes:
        raise HypernetworkError(
            f"the hypernetwork predicts networks of {ghn.config.num_classes} classes, the task {task.name!r} has "
            f"{task.num_classes}; train one for this task, or leave class layers out and train those (class_layers=False)"
        )
    trained, name = ghn.about.get("task"), (task.spec or task.name).partition("?")[0].partition(":")[0]
    if trained and str(trained).partition("?")[0].partition(":")[0] != name:
        warnings.warn(
            f"the hypernetwork was trained on {trained}, with its classes and normalisation; on {name} its predictions mean "
            "little",
            NetloomWarning, stacklevel=3,
        )  # fmt: skip


@torch.no_grad()
def embed(ghn: Hypernetwork, networks: Sequence[Any], example: Any = None, *, batch_size: int = 16) -> Tensor:
    """(networks, hid) embeddings: the mean of the states of a network's nodes.

    >>> import netloom as nl
    >>> x = nl.input(3, 8, 8)
    >>> graph = nl.Graph(x, nl.linear(nl.flatten(nl.conv2d(x, 4, kernel=3)), 10))
    >>> nl.ghn.embed(nl.ghn.GHN2(max_shape=(8, 8, 3, 3), hid=8), [graph, graph]).shape
    torch.Size([2, 8])
    """
    rows: list[Tensor] = []
    check_is_one(ghn)
    if type(batch_size) is not int or batch_size < 1:
        raise HypernetworkError(f"batch_size = {batch_size!r}; expected a whole number from 1")
    networks = list(_several(networks))
    for start in range(0, len(networks), batch_size):
        views = [view_of(network, example, ghn.config)[1] for network in networks[start : start + batch_size]]
        batch = ghn.union(views)
        rows += [part.mean(0) for part in ghn.states(batch).split([len(view) for view in views])]
    return torch.stack(rows) if rows else torch.zeros(0, ghn.config.hid)
