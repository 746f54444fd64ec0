"""Training of a predictor's members, through `netloom.training.loop`.

Each member leaves out the labels of one part of the graphs. What the members say of the graphs that they left out tells when to
stop, how much predictions are to be drawn together, and how far off they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import PredictorError
from .ranking_losses import LOSSES

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .member_layers import Parameters

Array = np.ndarray[Any, Any]

#: Steps between two looks at the graphs that were left out, at least.
_STEPS_BETWEEN = 20
#: Graphs whose predictions are worked out at once.
ROWS = 512


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to learn: steps of ``batch_size`` graphs at a rate that rises to ``rate`` and falls to nothing."""

    steps: int
    batch_size: int
    rate: float
    weight_decay: float
    patience: float

    @staticmethod
    def of(num_labels: int, steps: int | None, rate: float, weight_decay: float, patience: float) -> Schedule:
        """Six batches to a pass at first; more labels are seen in larger batches and more steps, but each less often."""
        batch_size = min(max(num_labels // 6, 4), 16 if num_labels < 400 else 32 if num_labels < 3000 else 128)
        if steps is None:
            steps = round(min(300 * max(num_labels / 100, 0.5) ** 0.4, 8000))
        return Schedule(steps, batch_size, rate, weight_decay, patience)

    def rate_at(self, step: int) -> float:
        """Up in the first fifth of the steps, then down a half cosine. (Smith and Topin, 2018)"""
        done = min((step + 1) / self.steps, 1.0)
        if done < 0.2:
            return self.rate * (0.1 + 0.9 * done / 0.2)
        return self.rate * max(0.5 * (1 + math.cos(math.pi * (done - 0.2) / 0.8)), 1e-3)


@dataclass(frozen=True, slots=True)
class Trained:
    """Parameters of all members, and predictions (N,) of each graph by the members that left it out."""

    parameters: Parameters
    held_out: Array


Forward = Callable[["Parameters", Array, "torch.Generator | None"], "Tensor"]


class MemberLearner:
    """Learns from batches of rows; see `netloom.training.loop.Learner`."""

    def __init__(
        self, parameters: Parameters, forward: Forward, targets: Array, seen: Array, loss: str, schedule: Schedule, seed: int
    ) -> None:
        import torch

        # All parameters lie in one vector, and so do their gradients: one call updates everything.
        self.flat = torch.cat([value.flatten() for value in parameters.values()])
        self.flat.grad = torch.zeros_like(self.flat)
        sizes = [(name, value.numel(), len(value)) for name, value in parameters.items()]
        self.decayed = torch.cat([torch.full((size,), float(name.endswith("weight"))) for name, size, _ in sizes])
        self.owner = torch.cat([torch.arange(members).repeat_interleave(size // members) for _, size, members in sizes])
        self.parameters = self._views(self.flat, parameters)
        for name, grad in self._views(self.flat.grad, parameters).items():
            self.parameters[name].requires_grad_(True).grad = grad
        self.forward, self.schedule, self.loss = forward, schedule, LOSSES[loss]
        self.targets, self.seen = torch.from_numpy(targets).float(), torch.from_numpy(seen)
        self.generator = torch.Generator().manual_seed(seed)
        self.optimizer = torch.optim.AdamW([self.flat], betas=(0.9, 0.98), weight_decay=0.0, fused=True)
        self.steps = 0

    @staticmethod
    def _views(flat: Tensor, like: Parameters) -> Parameters:
        found, begin = {}, 0
        for name, value in like.items():
            end = begin + value.numel()
            found[name] = flat[begin:end].view(value.shape)
            begin = end
        return found

    def step(self, batch: Array) -> float:
        predicted = self.forward(self.parameters, batch, self.generator)
        loss = self.loss(predicted, self.targets[batch], self.seen[:, batch])
        value = float(loss.detach())
        if math.isfinite(value):
            loss.backward()
            self._update(self.schedule.rate_at(self.steps))
        self.steps += 1
        return value

    def _update(self, rate: float) -> None:
        """One step of AdamW, gradients of each member held to a norm of 1. (Loshchilov and Hutter, 2019)"""
        import torch

        grad: Any = self.flat.grad
        with torch.no_grad():
            norms = grad.new_zeros(len(self.seen)).index_add_(0, self.owner, grad.square()).sqrt_()
            grad.div_(norms.clamp_min_(1.0)[self.owner])
            self.flat.mul_(1 - rate * self.schedule.weight_decay * self.decayed)
            self.optimizer.param_groups[0]["lr"] = rate
            self.optimizer.step()
            grad.zero_()

    def train_score(self) -> float:
        return math.nan

    def snapshot(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.parameters.items()}

    def state_dict(self) -> dict[str, Any]:
        return {
            "parameters": self.flat.clone(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        import torch

        with torch.no_grad():
            self.flat.copy_(state["parameters"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.steps = state["steps"]


def train_members(
    parameters: Parameters,
    forward: Forward,
    targets: Array,
    seen: Array,
    schedule: Schedule,
    *,
    loss: str = "mse",
    seed: int = 0,
    progress: bool = False,
    at_once: int = ROWS,
) -> Trained:
    """Members trained on ``targets`` (N,), each on those that it has ``seen`` (K, N).

    ``forward(parameters, rows, generator)`` gives predictions (K, B) of rows; the generator is for what is random in training.
    ``at_once`` rows are predicted together. With ``progress`` every look at the labels left out is a line on the terminal.
    `PredictorError` where training diverges.
    """
    from ..training.loop import OK, Limits, run_loop
    from ..training.progress import Display

    learner = MemberLearner(parameters, forward, targets, seen, loss, schedule, seed)
    per_epoch = max(_STEPS_BETWEEN, math.ceil(len(targets) / schedule.batch_size))
    epochs = math.ceil(schedule.steps / per_epoch)
    per_epoch = math.ceil(schedule.steps / epochs)

    def batches(epoch: int, first: int) -> Iterable[Array]:
        return _batches(len(targets), schedule.batch_size, per_epoch, np.random.default_rng([seed, epoch]))[first:]

    held = ~seen
    checked = held.any()

    def evaluate() -> tuple[float, float]:
        found = held_out(learner.parameters, forward, held, at_once)
        return _judged(found[held.any(0)], targets[held.any(0)], loss)

    limits = Limits(epochs=epochs, patience=max(3, round(schedule.patience * epochs)) if checked else None)
    with Display(progress, epochs, per_epoch, "Kendall τ") as display:
        ended = run_loop(
            learner, batches, evaluate if checked else None, limits,
            on_step=display.on_step if display.shows_steps else None, on_epoch=display.on_epoch(None),
        )  # fmt: skip
    if ended.status != OK:
        raise PredictorError(f"the predictor's training ended: {ended.status} {ended.error}; try a smaller rate")
    final = ended.best.state if ended.best is not None else learner.snapshot()
    return Trained(final, held_out(final, forward, held, at_once))


def _judged(predicted: Array, targets: Array, loss: str) -> tuple[float, float]:
    """Mean squared error, and the score to stop by: how well predictions agree with what they should be."""
    error = float(np.mean((predicted - targets) ** 2))
    if loss == "mse":
        return error, -error
    centred = predicted - predicted.mean()
    return error, float(centred @ targets / max(np.linalg.norm(centred) * np.linalg.norm(targets), 1e-12))


def _batches(count: int, batch_size: int, batches: int, rng: np.random.Generator) -> list[Array]:
    """Batches of rows in passes of random order."""
    passes = math.ceil(batches * batch_size / count)
    rows = np.concatenate([rng.permutation(count) for _ in range(passes)])
    return [rows[i * batch_size : (i + 1) * batch_size] for i in range(batches)]


def held_out(parameters: Parameters, forward: Forward, held: Array, at_once: int) -> Array:
    """Mean prediction (N,) of each row by the members that hold it out, (K, N); 0 for rows that none does."""
    found = predictions(parameters, forward, held.shape[1], at_once)
    total: Array = (found * held).sum(0) / np.maximum(held.sum(0), 1)
    return total


def predictions(parameters: Parameters, forward: Forward, count: int, at_once: int) -> Array:
    """Predictions (K, N) of ``count`` rows, ``at_once`` of them together, with nothing random about them."""
    import torch

    with torch.no_grad():
        found = [
            forward(parameters, np.arange(begin, min(begin + at_once, count)), None).double().numpy()
            for begin in range(0, count, at_once)
        ]
    return np.concatenate(found, axis=1)


def parts(members: int, count: int, rng: np.random.Generator) -> Array:
    """Which rows each member learns from (K, N): all but every K-th of a random order; all where there is one member."""
    if members == 1:
        return np.ones((1, count), dtype=bool)
    left_out = rng.permutation(count) % members
    found: Array = left_out[None] != np.arange(members)[:, None]
    return found
