"""What learns when a hypernetwork is trained: every step predicts the parameters of some networks and lets them see images."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..building.network import Network
from ..errors import HypernetworkError, SpaceError
from ..graph.graph import Graph
from .assembling import assembled
from .hypernetwork import Hypernetwork
from .pool import Pool, Subject
from .prediction import Prediction, predict
from .presets import MetaRecipe
from .several_processes import place, summed

#: Sampling of architectures that do not fit is given up after so many tries in a row.
_TRIES = 1000
#: Keeps the streams of architectures of seeds, steps and draws apart.
_STREAM = 0x67686E


class MetaLearner:
    """A hypernetwork with its optimizer; see `netloom.training.loop.Learner`.

    Which networks a step samples follows from the seed and its number alone, so that a resumed training sees what it would
    have seen. A network whose loss or gradients are not finite is left out of its step and counted in ``skipped``.
    """

    def __init__(
        self,
        ghn: Hypernetwork,
        sample: Callable[[np.random.Generator], Graph],
        recipe: MetaRecipe,
        seed: int,
        steps_per_epoch: int,
    ) -> None:
        self.ghn, self.sample, self.recipe, self.seed, self.steps_per_epoch = ghn, sample, recipe, seed, steps_per_epoch
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        self.optimizer = kinds[recipe.optimizer](ghn.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        self.steps = self.skipped = self.empty_steps = 0
        self.last_loss = 0.0
        self.right = self.seen = 0
        self.device = next(ghn.parameters()).device
        self.pool = Pool(self.drawn, ghn.config, recipe.pool, seed)

    # -- a step ----------------------------------------------------------------------------------------------------
    def step(self, batch: tuple[Tensor, Tensor]) -> float:
        """Learn from the images of a batch, seen by freshly sampled networks; gives the mean loss of those that count."""
        self._set_rate()
        subjects = self.subjects()
        predictions = predict(self.ghn, [(subject.graph, subject.view) for subject in subjects], warn=False)
        losses, roots, gradients = [], [], []
        for number, (subject, prediction) in enumerate(zip(subjects, predictions)):
            found = self._through(prediction, subject.network, batch, number, len(predictions))
            if found is None:
                self.skipped += 1
                continue
            losses.append(found[0])
            roots += found[1]
            gradients += found[2]
        self.steps += 1
        self.optimizer.zero_grad(set_to_none=True)
        if roots:
            torch.autograd.backward(roots, gradients)
        if place()[1] > 1:
            summed(list(self.ghn.parameters()))
        norm = torch.nn.utils.clip_grad_norm_(self.ghn.parameters(), self.recipe.clip_norm)
        if bool(torch.isfinite(norm)) and float(norm) > 0:
            self.optimizer.step()
        else:
            self.empty_steps += 1
        self.last_loss = sum(losses) / len(losses) if losses else self.last_loss
        return self.last_loss

    def subjects(self) -> list[Subject]:
        """The networks of the coming step: this process's share, of at most ``max_nodes`` nodes together."""
        rank, world = place()
        numbers = range(rank, self.recipe.meta_batch, world)
        return [self.pool.take(np.random.default_rng((_STREAM, self.seed, self.steps, number))) for number in numbers]

    def drawn(self, rng: np.random.Generator) -> Graph:
        """A network that fits the images and is not too large; the others are drawn anew."""
        most = self.recipe.max_nodes // max(1, self.recipe.meta_batch) * 2
        reason = ""
        for _ in range(_TRIES):
            try:
                graph = self.sample(rng)
            except SpaceError as error:
                reason = str(error)
                continue
            if sum(bool(step.weights) for step in graph.steps) <= most:
                return graph
            reason = f"networks of more than {most} layers"
        raise HypernetworkError(f"no network could be drawn in {_TRIES} tries: {reason}; give another space, or more max_nodes")

    def _through(
        self, prediction: Prediction, kept: Network | None, batch: tuple[Tensor, Tensor], number: int, count: int
    ) -> tuple[float, list[Tensor], list[Tensor]] | None:  # fmt: skip
        """Loss of one network, its predicted tensors and their gradients; None where any is not finite.

        Gradients go to the predicted tensors first, so that the activations of one network at a time are in memory.
        """
        x, y = batch
        generator = torch.Generator(self.device).manual_seed(self.seed * 1_000_003 + self.steps * 1009 + number)
        held = {name: tensor.detach().requires_grad_() for name, tensor in prediction.tensors.items()}
        network = assembled(prediction.graph, held, generator, self.device, kept)
        with torch.random.fork_rng(devices=[]), self._autocast():
            torch.manual_seed(generator.initial_seed())
            given = network(x)
        logits = _first(given).float()
        loss = F.cross_entropy(logits, y, label_smoothing=self.recipe.label_smoothing)
        total = loss
        if self.recipe.penalty:
            total = total + self.recipe.penalty * torch.stack([tensor.norm() for tensor in held.values()]).sum()
        if not bool(torch.isfinite(total)) or not held:
            return None
        names, leaves = list(held), list(held.values())
        found = torch.autograd.grad(total / (count * place()[1]), leaves, allow_unused=True)
        gradients = [(prediction.tensors[name], grad) for name, grad in zip(names, found) if grad is not None]
        if not all(bool(torch.isfinite(grad).all()) for _, grad in gradients):
            return None
        self.right += int((logits.argmax(1) == y).sum())
        self.seen += len(y)
        return float(loss.detach()), [root for root, _ in gradients], [grad for _, grad in gradients]

    def _autocast(self) -> Any:
        if self.recipe.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=getattr(torch, self.recipe.precision))

    def _set_rate(self) -> None:
        rate = self.recipe.learning_rate * self.recipe.rate(self.steps / self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    # -- what the loop asks for --------------------------------------------------------------------------------------
    def train_score(self) -> float:
        """Accuracy of sampled networks on the images they saw, before the step."""
        score = self.right / self.seen if self.seen else float("nan")
        self.right = self.seen = 0
        return score

    def snapshot(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.ghn.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in _COUNTS}
        return {"ghn": self.snapshot(), "optimizer": self.optimizer.state_dict(), "counts": counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.ghn.load_state_dict(state["ghn"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name in _COUNTS:
            setattr(self, name, state["counts"][name])


_COUNTS = ("steps", "skipped", "empty_steps", "last_loss", "right", "seen")


def _first(given: Any) -> Tensor:
    while isinstance(given, tuple | list):
        given = given[0]
    if not isinstance(given, Tensor):
        raise HypernetworkError(f"a sampled network gives a {type(given).__name__}; expected logits")
    return given
