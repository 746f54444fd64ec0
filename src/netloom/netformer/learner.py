"""What a Netformer learns from a step, for the one training loop."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .computing import hidden_values
from .core import Core, seeded
from .measures import functional_r2
from .network_decoder import Decoded
from .populations import Population

#: Inputs, other than the probes, at which outputs are compared in a step.
_FRESH = 64
#: No network counts more than so many times its variance: a bad one must not drown the others.
_WORST = 20.0
#: Structures that a step draws at random beside those of its networks.
_DRAWN = 96
#: Streams of random numbers.
_STEP, _FRESH_INPUTS = 1, 2


class NetformerLearner:
    """A `training.loop.Learner`; a batch is the number of the step, from which everything random in it is drawn."""

    def __init__(
        self, core: Core, train: Population, held: Population, *, steps: int, batch_size: int, learning_rate: float, seed: int,
        sensitivities: Tensor | None,
    ) -> None:  # fmt: skip
        self.core, self.train, self.held = core, train, held
        self.steps, self.batch_size, self.learning_rate, self.seed = steps, batch_size, learning_rate, seed
        self.sensitivities = sensitivities
        self.places = train.by_depth()
        slow = [*core.encoder.linear.parameters(), *core.decoder.answers_linear.parameters()]
        known = {id(parameter) for parameter in slow}
        others = [parameter for parameter in core.parameters() if id(parameter) not in known]
        # The linear maps begin as principal components and need little change.
        self.optimizer = torch.optim.AdamW(
            [{"params": others, "rate": 1.0}, {"params": slow, "rate": 0.1}],
            learning_rate, betas=(0.9, 0.98), weight_decay=1e-4, fused=True,
        )  # fmt: skip
        self.terms: dict[str, float] = {}

    # -- a step --------------------------------------------------------------------------------------------------------
    def step(self, batch: int) -> float:
        core, generator = self.core, seeded(self.seed, _STEP, batch)
        self._schedule(batch)
        core.train()
        weights = torch.tensor([float(len(places)) for _, places in self.places])
        depth, places = self.places[int(torch.multinomial(weights, 1, generator=generator))]
        chosen = places[torch.randint(len(places), (self.batch_size,), generator=generator)]
        loss = self._loss(chosen, depth, batch, generator)
        self.optimizer.zero_grad(set_to_none=True)
        value = float(loss.detach())
        if not math.isfinite(value):
            return value
        loss.backward()
        torch.nn.utils.clip_grad_norm_(core.parameters(), 1.0)
        self.optimizer.step()
        return value

    def _schedule(self, batch: int) -> None:
        share = min(1.0, batch / max(1, self.steps))
        rate = min(1.0, (batch + 1) / 50) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * rate * group["rate"]

    def _loss(self, chosen: Tensor, depth: int, batch: int, generator: torch.Generator) -> Tensor:
        core, settings = self.core, self.core.settings
        part = self.train[chosen]
        if settings.symmetries:
            part = moved(part, generator)
        fresh = torch.randn(_FRESH, core.family.max_inputs, generator=generator)
        with torch.no_grad():
            x = torch.cat([core.probes_for(1)[0], fresh]).expand(len(part), -1, -1)
            # Every other step shows answers alone, so that networks that do not exist can be encoded too.
            seen, level, outputs = core.seen(part, depth, x, tokens=core.settings.encoder == "tokens" or batch % 2 == 0)
            mean, spread = level.split(core.family.max_outputs, 1)
            live = (torch.arange(core.family.max_outputs) < part.structures.outputs[:, None]).float()[:, None]
            target = (outputs[:, settings.probes :] - mean[:, None]) / spread.exp()[:, None] * live
        latents, log_variance = core.encoder(seen)
        divergence = 0.5 * (latents**2 + log_variance.exp() - log_variance - 1)
        noise = torch.randn(latents.shape, generator=generator)
        decoded = core.decoder(latents + noise * (log_variance / 2).exp(), part.structures, depth)
        terms = {
            "kl": settings.kl * self._annealed(batch) * divergence.clamp(min=settings.free_nats).sum(1).mean(),
            "answers": settings.answers * ((decoded.answers - seen.answers) ** 2).mean(),
        }
        if settings.behaviour:
            found = self._outputs(decoded, part, fresh, live)
            error = ((found - target) ** 2).sum((1, 2)) / (live.sum((1, 2)) * _FRESH)
            terms["behaviour"] = settings.behaviour * error.clamp(max=_WORST).mean()
        if settings.weights:
            terms["weights"] = settings.weights * self._weight_error(decoded, part, depth, spread, chosen)
        if settings.structure:
            drawn = core.structure.draw(_DRAWN, generator)
            entropy, spent = core.structure.loss(type(drawn).joined([drawn, part.structures]), generator)
            terms["structure"] = settings.structure * (entropy + 0.05 * spent)
        self.terms = {name: float(term.detach()) for name, term in terms.items()}
        self.terms["nats"] = float(divergence.detach().sum(1).mean())
        return torch.stack(list(terms.values())).sum()

    def _annealed(self, batch: int) -> float:
        over = self.core.settings.annealing * self.steps
        return 1.0 if not over else min(1.0, batch / over)

    def _outputs(self, decoded: Decoded, part: Population, fresh: Tensor, live: Tensor) -> Tensor:
        inputs = fresh.expand(len(part), -1, -1)
        values = hidden_values(decoded.layers, part.structures.activations, self.core.family.activations, inputs)
        return torch.baddbmm(decoded.head[1], values[-1][1], decoded.head[0]) * live

    def _weight_error(self, decoded: Decoded, part: Population, depth: int, spread: Tensor, chosen: Tensor) -> Tensor:
        """Squared error of weights in units of the zoo's, each times the sensitivity of its neuron."""
        mask = part.structures.mask(self.core.family.max_width)
        told = mask if self.sensitivities is None else self.sensitivities[chosen]
        total, count = torch.zeros(()), torch.zeros(())
        for layer, (weight, bias) in enumerate(decoded.layers):
            by_neuron = told[:, layer, None]
            error = ((weight - part.weights[layer]) ** 2).sum(1, keepdim=True) + (bias - part.biases[layer]) ** 2
            total, count = total + (error * by_neuron).sum(), count + by_neuron.sum() * (weight.shape[1] + 1)
        head = part.head / spread.exp()[:, None]
        last = mask[:, depth - 1, :, None]
        total, count = total + ((decoded.head[0] - head) ** 2 * last).sum(), count + last.sum()
        return total / count / self.core.weight_sd**2

    # -- what the loop asks ----------------------------------------------------------------------------------------------
    def evaluate(self) -> tuple[float, float]:
        """Mean share of variance that is lost, and median functional R², of held-out networks on inputs never learned from."""
        self.core.eval()
        with torch.no_grad():
            decoded = self.core.decode(self.core.encode(self.held), self.held.structures)
            x = torch.randn(256, self.core.family.max_inputs, generator=seeded(0, _FRESH_INPUTS))
            r2 = functional_r2(decoded.outputs(x, self.core.family), self.held.outputs(x, self.core.family))
        return float((1 - r2).clamp(max=_WORST).mean()), float(r2.median())

    def train_score(self) -> float:
        return math.nan

    def snapshot(self) -> dict[str, Tensor]:
        return {key: tensor.clone() for key, tensor in self.core.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        return {"core": self.core.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.core.load_state_dict(state["core"])
        self.optimizer.load_state_dict(state["optimizer"])


def moved(part: Population, generator: torch.Generator) -> Population:
    """Networks of other tasks with the same weights: inputs permuted and signed at random, outputs signed."""
    weight, structures = part.weights[0], part.structures
    count, inputs = weight.shape[:2]
    keys = torch.rand(count, inputs, generator=generator)
    there = torch.arange(inputs) < structures.inputs[:, None]
    order = torch.where(there, keys, 2 + torch.arange(inputs, dtype=torch.float32)).argsort(1)
    signs = torch.randint(0, 2, (count, inputs, 1), generator=generator) * 2.0 - 1
    first = torch.gather(weight, 1, order[..., None].expand_as(weight)) * signs
    out = torch.randint(0, 2, (count, 1, part.head.shape[2]), generator=generator) * 2.0 - 1
    return replace(part, weights=(first, *part.weights[1:]), head=part.head * out, head_bias=part.head_bias * out)
