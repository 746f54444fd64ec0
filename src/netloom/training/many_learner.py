"""`StackLearner`: many networks that learn at once, as the training loop knows one."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .averaging import FIRST
from .loop import DIVERGED, OK, Epoch
from .many_batches import Batch, StackedData
from .many_losses import losses_for
from .many_stack import Stack
from .optimizers import CLIP_EPSILON, Optimizer
from .recipes import Recipe
from .schedules import rates

if TYPE_CHECKING:
    from torch import Tensor

    from ..tasks.task import Task


@dataclass(slots=True)
class Ended:
    """A network that is through before the others: its status, why, after how many steps and epochs, and its weights."""

    status: str
    reason: str
    steps: int
    epochs: int
    seconds: float
    weights: dict[str, Tensor]


#: What is measured of every network after each epoch.
MEASURES = ("train_loss", "valid_loss", "score", "train_score")


@dataclass(slots=True)
class Course:
    """What was measured after each epoch, for M networks: lists of (M,) arrays in float64."""

    train_loss: list[Tensor] = field(default_factory=list)
    valid_loss: list[Tensor] = field(default_factory=list)
    score: list[Tensor] = field(default_factory=list)
    train_score: list[Tensor] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def columns(self) -> list[list[list[float]]]:
        """For each of `MEASURES`, for each network, the values after each epoch."""
        import torch

        return [torch.stack(values).T.tolist() if (values := getattr(self, name)) else [] for name in MEASURES]


def curve_of(columns: list[list[list[float]]], place: int, seconds: list[float], epochs: int) -> tuple[Epoch, ...]:
    """The curve of one network, from what `Course.columns` gives."""
    if not epochs:
        return ()
    values = zip(*(column[place][:epochs] for column in columns), seconds)
    return tuple(
        Epoch(number, train_loss, valid_loss, score, spent, train_score)
        for number, (train_loss, valid_loss, score, train_score, spent) in enumerate(values, 1)
    )


class StackLearner:
    """M networks of a stack and their data. Whatever goes wrong in one changes nothing in another.

    The loop is told no loss: each network's is kept here, and a network whose loss is not finite goes no further, as it would
    alone. ``ended`` has the networks that are through, by their place; ``best_score`` and ``best_epoch`` (M,) and the flat
    ``best`` are of the first epoch with the highest score. Seconds are each network's share of the time since the start.
    """

    def __init__(self, stack: Stack, data: StackedData, task: Task, recipe: Recipe, per_epoch: int, horizon: int) -> None:
        import torch

        count = len(stack)
        self.stack, self.data, self.recipe = stack, data, recipe
        self.rate = rates(recipe, per_epoch, horizon)
        self.optimizer = Optimizer(_as_parameters(stack), recipe)
        self.losses = losses_for(task, count, recipe.label_smoothing)
        self.measured = losses_for(task, count, by_sample=True)
        self.average = stack.weights.clone() if recipe.ema_decay is not None else None
        self.steps = 0
        self.course = Course()
        self.ended: dict[int, Ended] = {}
        self.best, self.best_score = stack.weights.clone(), torch.full((count,), -math.inf, dtype=torch.float64)
        self.best_epoch = torch.zeros(count, dtype=torch.int64)
        best, scored = (stack.layout.views(flat) for flat in (self.best, self.scored()))
        self._pairs = list(zip(best[0] + best[1], scored[0] + scored[1]))
        self._start, self._earlier = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        """The share of each network in the time since the start."""
        return (self._earlier + time.perf_counter() - self._start) / len(self.stack)

    # -- learning --------------------------------------------------------------------------------------------------
    def step(self, batch: Batch) -> float:
        """Let every network learn from its batch."""
        stack, x = self.stack, batch.x
        outputs = stack.forward(x)
        finite = self.losses.learn(outputs, batch.y, stack.output_grad(x.shape[-1]))
        lost = None if math.isfinite(finite) else self._lost()
        stack.backward(x)
        if self.recipe.clip_norm is not None:
            self._clip(self.recipe.clip_norm)
        self.optimizer.step(self.rate(self.steps))
        self.steps += 1
        if self.average is not None:
            weight = 1 - min(self.recipe.ema_decay or 0.0, self.steps / (FIRST + self.steps))
            self.average.lerp_(stack.weights, weight)
        if lost is not None:
            self._clear(lost)
        return 0.0

    def _clip(self, largest: float) -> None:
        """Scale the gradients of each network down together where their norm exceeds ``largest``."""
        import torch

        matrices, biases = self.stack.grad_matrices, self.stack.grad_biases
        norms = [torch.linalg.vector_norm(grad, dim=(1, 2)) for grad in matrices]
        norms += [torch.linalg.vector_norm(grad, dim=1) for grad in biases]
        scale = largest / (torch.linalg.vector_norm(torch.stack(norms), dim=0).double() + CLIP_EPSILON)
        if bool((scale >= 1).all()):
            return
        scale = scale.clamp_(max=1.0).to(self.stack.dtype).unsqueeze(1)
        for grad in biases:
            grad.mul_(scale)
        for grad in matrices:
            grad.mul_(scale.unsqueeze(1))

    def _lost(self) -> Tensor | None:
        """Which networks (M,) have a loss that is not finite; their ends are noted, with the weights before this step."""
        lost = ~self.losses.last().isfinite()
        for place in lost.nonzero().flatten().tolist():
            self._end(place, DIVERGED, "loss", len(self.course.score))
        return lost if bool(lost.any()) else None

    def _clear(self, lost: Tensor) -> None:
        """Let networks begin anew from zero, so that what comes of them is finite; nobody looks at it."""
        gone = lost[self.stack.layout.owners.to(lost.device)]
        for tensor in (self.stack.weights, *([] if self.average is None else [self.average])):
            tensor[gone] = 0.0
        split = self.stack.layout.size_of_matrices
        for name, moments in self.optimizer.state_dict().items():
            if not name.startswith("steps."):
                moments.view(-1)[gone[:split] if name.endswith(".matrices") else gone[split:]] = 0.0

    def _end(self, place: int, status: str, reason: str, epochs: int) -> None:
        if place not in self.ended:
            weights = self.stack.layout.state_of(place, self.scored())
            self.ended[place] = Ended(status, reason, self.steps, epochs, self.seconds, weights)

    # -- measuring -------------------------------------------------------------------------------------------------
    def scored(self) -> Tensor:
        """The weights that are scored, flat: the averages, where there are any."""
        return self.stack.weights if self.average is None else self.average

    def evaluate(self) -> tuple[float, float]:
        """Measure all networks on their valid parts, and note it; tells the loop nothing."""
        weights = self.stack.weights
        learned = weights.clone() if self.average is not None else None
        if self.average is not None:
            weights.copy_(self.average)
        for batch in self.data.valid_batches():
            self.measured.add(self.stack.forward(batch.x, learns=False), batch.y)
        if learned is not None:
            weights.copy_(learned)
        epoch, data = len(self.course.score), self.data
        learned_from = self.losses.read(lambda samples: data.train_moments(epoch, samples))
        self._note(*learned_from, *self.measured.read(data.valid_moments))
        return 0.0, 0.0

    def _note(self, train_loss: Tensor, train_score: Tensor, valid_loss: Tensor, score: Tensor) -> None:
        course, epochs = self.course, len(self.course.score)
        if not math.isfinite(float(valid_loss.sum())):
            for place in (~valid_loss.isfinite()).nonzero().flatten().tolist():
                self._end(place, DIVERGED, "validation loss", epochs)
        for values, found in (
            (course.train_loss, train_loss), (course.valid_loss, valid_loss),
            (course.score, score), (course.train_score, train_score),
        ):  # fmt: skip
            values.append(found)
        course.seconds.append(self.seconds)
        self._keep_best(score, epochs + 1)
        if self.recipe.patience is not None:
            tired = (self.best_epoch > 0) & (epochs + 1 - self.best_epoch >= self.recipe.patience)
            for place in tired.nonzero().flatten().tolist():
                self._end(place, OK, "patience", epochs + 1)

    def _keep_best(self, score: Tensor, epoch: int) -> None:
        """Take over the weights of networks whose score is higher than ever."""
        import torch

        better = score > self.best_score
        if self.ended:
            better[list(self.ended)] = False
        if not bool(better.any()):
            return
        self.best_score = torch.where(better, score, self.best_score)
        self.best_epoch[better] = epoch
        chosen = better.to(self.stack.device).unsqueeze(1)
        for kept, given in self._pairs:
            torch.where(chosen if kept.dim() == 2 else chosen.unsqueeze(2), given, kept, out=kept)

    def is_through(self, epoch: Epoch) -> bool:
        """Whether every network has come to its end."""
        return len(self.ended) == len(self.stack)

    def train_score(self) -> float:
        """Told to no loop: each network has its own."""
        return math.nan

    def snapshot(self) -> dict[str, Any]:
        """Nothing: the best weights of each network are kept here."""
        return {}

    # -- state -----------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how it goes on, and what was measured."""
        course, ended = self.course, self.ended
        state: dict[str, Any] = {name: getattr(self, name) for name in ("best", "best_score", "best_epoch")}
        state |= {"steps": self.steps, "seconds": self.seconds * len(self.stack), "weights": self.stack.weights}
        state |= {"optimizer": self.optimizer.state_dict(), "losses": self.losses.state_dict()}
        state["course"] = {name: getattr(course, name) for name in Course.__dataclass_fields__}
        state["ended"] = {str(place): {name: getattr(e, name) for name in _ENDED} for place, e in ended.items()}
        if self.average is not None:
            state["average"] = self.average
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.stack.weights.copy_(state["weights"])
        if self.average is not None:
            self.average.copy_(state["average"])
        self.best.copy_(state["best"])
        self.best_score, self.best_epoch = state["best_score"], state["best_epoch"]
        self.steps, self._earlier, self._start = state["steps"], state["seconds"], time.perf_counter()
        self.optimizer.load_state_dict(state["optimizer"])
        self.losses.load_state_dict(state["losses"])
        self.course = Course(**state["course"])
        self.ended = {int(place): Ended(**values) for place, values in state["ended"].items()}


_ENDED = tuple(Ended.__dataclass_fields__)


def _as_parameters(stack: Stack) -> Sequence[tuple[str, Any]]:
    """Matrices and biases as two parameters that share memory with the stack, so that the one optimiser updates them."""
    import torch

    split, found = stack.layout.size_of_matrices, []
    for name, part in (("matrices", slice(None, split)), ("biases", slice(split, None))):
        # One dimension for biases, two for matrices: recipes may decay the one and not the other.
        shape = (1, -1) if name == "matrices" else (-1,)
        parameter = torch.nn.Parameter(stack.weights[part].view(shape))
        parameter.grad = stack.grads[part].view(shape)
        found.append((name, parameter))
    return found
