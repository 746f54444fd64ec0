"""`train`: one network, one task, one recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import TrainingError
from ..graph.graph import Graph
from .evaluation import check_logits, evaluate
from .loop import Epoch, run_epochs
from .recipes import Recipe, batches_per_epoch
from .recipes import recipe as find_recipe
from .schedules import rates

if TYPE_CHECKING:
    import pandas
    from torch import Tensor

    from ..tasks import Task


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training came to.

    ``score`` is the validation accuracy after the last epoch (nan where there was none), ``status`` how it ended (see
    `netloom.training.loop`), ``network`` the trained module, ``curve`` one `Epoch` for each epoch.
    """

    network: Any
    score: float
    status: str
    seconds: float
    curve: tuple[Epoch, ...]

    def curve_frame(self) -> pandas.DataFrame:
        """The curve as a DataFrame: epoch, train_loss, valid_loss, score, seconds."""
        import pandas as pd

        names = list(Epoch.__dataclass_fields__)
        return pd.DataFrame([[getattr(point, name) for name in names] for point in self.curve], columns=names)

    def __repr__(self) -> str:
        return f"<TrainingResult: {self.status}, score {self.score:.4f} after {len(self.curve)} epochs, {self.seconds:.1f} s>"


def train(
    network_or_graph: Any,
    task: Task,
    recipe: str | Recipe | Mapping[str, Any] = "express",
    seed: int = 0,
    *,
    epochs: int | None = None,
    max_seconds: float | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> TrainingResult:
    """Train a network on the train part of ``task``; score it on its valid part after every epoch.

    A `Graph` is built with fresh weights drawn from ``seed``; a module is trained in place. Either is left in evaluation
    mode. ``seed`` also draws the order of the samples and dropout, so the same seed gives the same result (on one
    machine, with one number of threads). torch's global generator is left as it was. ``max_seconds`` stops it early with
    status ``time_limit``. Raises `TrainingError` where network and task do not fit.

    >>> import netloom as nl
    >>> x = nl.input(1, 8, 8)
    >>> result = nl.train(nl.Graph(x, nl.linear(nl.flatten(x), 10)), nl.tasks.load("digits"), epochs=8)
    >>> result.status, result.score > 0.8, len(result.curve)
    ('ok', True, 8)
    """
    import torch

    settings = find_recipe(recipe, epochs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(network_or_graph, Graph):
            from ..building.network import build

            check_fit(network_or_graph, task)
            network = build(network_or_graph)
        elif isinstance(network_or_graph, torch.nn.Module):
            network = network_or_graph
        else:
            raise TrainingError(f"nl.train takes a Graph or an nn.Module, not a {type(network_or_graph).__name__}")
        network.train()
        ended = run_epochs(
            _stepper(network, task, settings),
            _batches(task, settings, seed),
            lambda: evaluate(network, task.valid),
            epochs=settings.epochs,
            max_seconds=max_seconds,
            on_epoch=on_epoch,
        )
        network.eval()
    score = ended.curve[-1].score if ended.curve and ended.status != "diverged" else math.nan
    return TrainingResult(network, score, ended.status, ended.seconds, ended.curve)


def check_fit(graph: Graph, task: Task) -> None:
    """`TrainingError` unless the graph takes one sample of ``task`` and gives one logit for each class."""
    shapes = [tuple(node.shape[1:]) for node in graph.inputs]
    if shapes != [task.input_shape]:
        wanted, have = "×".join(map(str, task.input_shape)), ", ".join("×".join(map(str, s)) for s in shapes)
        raise TrainingError(f"the graph takes samples of {have}; task {task.name!r} has samples of {wanted}")
    given = [tuple(node.shape[1:]) for node in graph.outputs]
    if given != [(task.num_classes,)]:
        raise TrainingError(f"the graph gives {given}; task {task.name!r} needs one output of {task.num_classes} logits")


def _stepper(network: Any, task: Task, recipe: Recipe) -> Callable[[tuple[Tensor, Tensor]], float]:
    """The function that learns from one batch and returns its loss."""
    import torch
    from torch.nn.functional import cross_entropy

    weights = [weight for weight in network.parameters() if weight.requires_grad]
    if not weights:
        raise TrainingError("the network has no parameter that requires a gradient; there is nothing to train")
    if recipe.optimizer == "adamw":
        optimizer: Any = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    else:
        optimizer = torch.optim.SGD(
            weights, lr=recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    rate, done = rates(recipe, batches_per_epoch(len(task.train), recipe.batch_size)), 0

    def step(batch: tuple[Tensor, Tensor]) -> float:
        nonlocal done
        x, y = batch
        for group in optimizer.param_groups:
            group["lr"] = rate(done)
        done += 1
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(check_logits(network(x), len(y)), y, label_smoothing=recipe.label_smoothing)
        value = float(loss.detach())
        if math.isfinite(value):
            loss.backward()
            if recipe.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(weights, recipe.clip_norm)
            optimizer.step()
        return value

    return step


def _batches(task: Task, recipe: Recipe, seed: int) -> Callable[[int], Iterator[tuple[Tensor, Tensor]]]:
    """The shuffled batches of each epoch, a function of seed and epoch alone."""
    import torch

    split, size = task.train, recipe.batch_size
    count = batches_per_epoch(len(split), size)

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
        order = torch.randperm(len(split), generator=generator)
        for i in range(count):
            rows = order[i * size : (i + 1) * size]
            yield split.x[rows], split.y[rows]

    return batches
