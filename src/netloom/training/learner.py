"""`NetworkLearner`: a network that learns a task by a recipe, as the training loop knows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .averaging import Average
from .drop_path import DropPath
from .evaluation import Evaluation, evaluate
from .losses import Meter, check_outputs, loss_of, outputs_of
from .optimizers import Optimizer
from .precision import Scaler, autocast, better_channels_last, laid_out
from .recipes import Recipe
from .schedules import rates

if TYPE_CHECKING:
    from ..tasks.parts import Part


class NetworkLearner:
    """Network, optimiser, averages and generators: whatever decides how the training goes on.

    Its schedules are at their end after ``horizon`` steps. On a processor the loss is looked at before anything is learned
    from it; on other devices (or with ``wait=False``) nothing waits: once a loss is not finite, no later step changes a
    weight, and the loop finds out when it looks.
    """

    def __init__(
        self,
        network: Any,
        recipe: Recipe,
        steps_per_epoch: int,
        horizon: int,
        *,
        classes: int = 0,
        wait: bool | None = None,
    ) -> None:
        self.network, self.recipe, self.classes, self.horizon = network, recipe, classes, horizon
        #: The horizon of the state that was loaded; None where none was.
        self.earlier_horizon: int | None = None
        self.rate = rates(recipe, steps_per_epoch, horizon)
        device = next((weight.device for weight in network.parameters()), "cpu")
        asked = recipe.channels_last
        self.channels_last = better_channels_last(network, device) if asked is None else asked
        if self.channels_last:
            network.to(memory_format=torch.channels_last)
        self._places = places_of(network)
        self.optimizer = Optimizer(network.named_parameters(), recipe)
        self.optimizer.zero_grad()
        self.device = self.optimizer.weights[0].device
        self.wait = self.device.type == "cpu" if wait is None else wait
        self.drop_path = DropPath(network) if recipe.drop_path else None
        self.average = Average(self.tensors, recipe.ema_decay) if recipe.ema_decay is not None else None
        self.scaler = Scaler(self.device) if recipe.precision == "float16" else None
        self.meter = Meter()
        self.steps = 0
        self.bad = torch.zeros((), device=self.device)
        self.train_mode()

    @property
    def tensors(self) -> dict[str, Any]:
        """Parameters and buffers by name, as they are now."""
        return {name: held[key] for name, (held, key) in self._places.items()}

    def train_mode(self) -> None:
        """Put the network in training mode."""
        (self.drop_path or self.network).train()

    # -- learning --------------------------------------------------------------------------------------------------
    def step(self, batch: tuple[Tensor, Tensor]) -> float | Tensor:
        """Learn from inputs (N, …) and targets; gives the loss, a float where the learner waits for it."""
        # Small networks take less than a millisecond a step: what is called here, and how often, shows.
        x, y = batch
        optimizer = self.optimizer
        loss = self._loss(self._call(x), y)
        value: Any = loss.detach()
        skip = None
        if self.wait:
            value = value.item()
            if not math.isfinite(value):
                return value
        else:
            skip = self.bad = torch.maximum(self.bad, (~torch.isfinite(value)).float())
        (loss if self.scaler is None else loss * self.scaler.scale.squeeze(0)).backward()
        if self.scaler is not None:
            overflow = self.scaler.unscale(optimizer.gradients())
            skip = overflow if skip is None else torch.maximum(skip, overflow)
        if self.recipe.clip_norm is not None:
            optimizer.clip(self.recipe.clip_norm)
        optimizer.step(self.rate(self.steps), skip)
        optimizer.zero_grad()
        if self.average is not None:
            self.average.update(self.tensors)
        self.steps += 1
        return value

    def _call(self, x: Tensor) -> Any:
        """What the network gives for a batch, under the recipe's precision, layout and drop path."""
        recipe = self.recipe
        x = laid_out(x, self.channels_last)
        if self.drop_path is not None:
            self.drop_path.probability = self._drop_probability()
        network = self.drop_path or self.network
        if recipe.precision == "float32":
            return network(x)
        with autocast(recipe.precision, self.device):
            return network(x)

    def _loss(self, given: Any, y: Tensor) -> Tensor:
        answer, further = (given, ()) if type(given) is Tensor else _parts(given)
        answer = check_outputs(answer, y, self.classes)
        self.meter.add(answer.detach(), y)
        smoothing = self.recipe.label_smoothing
        loss = loss_of(answer, y, label_smoothing=smoothing)
        if further and self.recipe.auxiliary_weight:
            for outputs in further:
                auxiliary = loss_of(check_outputs(outputs, y, self.classes), y, label_smoothing=smoothing)
                loss = loss + self.recipe.auxiliary_weight * auxiliary
        return loss

    def _drop_probability(self) -> float:
        if self.recipe.drop_path_growth == "constant":
            return self.recipe.drop_path
        return self.recipe.drop_path * min(1.0, self.steps / self.horizon)

    def train_score(self) -> float:
        """Score on the batches since the last call."""
        return self.meter.read()[0]

    # -- measuring -------------------------------------------------------------------------------------------------
    def scored(self) -> AbstractContextManager[None]:
        """Inside, the network has the weights that are scored: the averages, where there are any."""
        return nullcontext() if self.average is None else self.average.in_place(self.tensors)

    def evaluate(self, part: Part, batch_size: int = 512) -> Evaluation:
        """Loss and score on a part."""
        with self.scored():
            precision, channels_last = self.recipe.precision, self.channels_last
            return evaluate(self.network, part, batch_size, precision=precision, channels_last=channels_last)

    def snapshot(self) -> dict[str, Any]:
        """A state_dict of the weights that are scored, contiguous, as copies."""
        with self.scored():
            return snapshot_of(self.network)

    def finish(self) -> None:
        """Leave the network as it is scored, in evaluation mode, without gradients and in the usual layout."""
        if self.average is not None:
            self.average.swap(self.tensors)
        self.optimizer.zero_grad()
        if self.channels_last:
            self.network.to(memory_format=torch.contiguous_format)
        self.network.eval()

    # -- state -----------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how it goes on."""
        state: dict[str, Any] = {
            "steps": self.steps,
            "horizon": self.horizon,
            "tensors": self.tensors,
            "optimizer": self.optimizer.state_dict(),
            "meter": self.meter.state_dict(),
            "generator": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["device_generator"] = torch.cuda.get_rng_state(self.device)
        for name in ("average", "scaler"):
            if getattr(self, name) is not None:
                state[name] = getattr(self, name).state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, in place."""
        self.steps, self.earlier_horizon = state["steps"], state["horizon"]
        with torch.no_grad():
            for name, (held, key) in self._places.items():
                saved = state["tensors"][name]
                if held[key].shape == saved.shape:
                    held[key].copy_(saved)
                else:  # a buffer that grows
                    held[key] = saved.to(held[key].device)
        self.optimizer.load_state_dict(state["optimizer"])
        self.meter.load_state_dict(state["meter"])
        torch.set_rng_state(state["generator"])
        if "device_generator" in state:
            torch.cuda.set_rng_state(state["device_generator"], self.device)
        for name in ("average", "scaler"):
            if getattr(self, name) is not None:
                getattr(self, name).load_state_dict(state[name])


def _parts(given: Any) -> tuple[Any, Sequence[Any]]:
    """A network's answer, and the outputs of its auxiliary heads."""
    outputs = outputs_of(given)
    return (outputs[0], outputs[1:]) if outputs else (None, ())


def places_of(network: Any) -> dict[str, tuple[dict[str, Any], str]]:
    """Where each parameter and buffer is, by its name: a dict and a key, for modules may put another tensor there.

    What is tied is there under its first name only.
    """
    seen: set[int] = set()
    found = {}
    for kind in ("_parameters", "_buffers"):
        for path, module in network.named_modules(remove_duplicate=False):
            for key, tensor in getattr(module, kind).items():
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    found[f"{path}.{key}" if path else key] = (getattr(module, kind), key)
    return found


def snapshot_of(network: Any) -> dict[str, Any]:
    """Contiguous copies of a network's state_dict; what is tied is copied once."""
    copies: dict[int, Any] = {}
    state = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        if not isinstance(tensor, Tensor):  # what a module adds by get_extra_state
            state[name] = tensor
            continue
        if id(tensor) not in copies:
            copies[id(tensor)] = tensor.detach().clone(memory_format=torch.contiguous_format)
        state[name] = copies[id(tensor)]
    return state
