"""Structures as latents of their own, and back: every vector decodes to a structure of the family."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Family
from .structures import Structures


class StructureCoder(nn.Module):
    """A variational autoencoder of depth, widths, activations, inputs and outputs.

    What the zoo has is remembered in ``seen``, counts of each choice: choices that no network has are masked, so that samples
    have sizes and functions of the zoo. Layers behind the last one are masked too: whatever the latents, the structure is
    valid.
    """

    seen_depth: Tensor
    seen_widths: Tensor
    seen_activations: Tensor
    seen_inputs: Tensor
    seen_outputs: Tensor

    def __init__(self, family: Family, latents: int) -> None:
        super().__init__()
        self.family, self.latents = family, latents
        layers, kinds = family.max_layers, len(family.activations)
        self.heads = {
            "depth": layers, "widths": layers * family.max_width, "activations": layers * kinds,
            "inputs": family.max_inputs, "outputs": family.max_outputs,
        }  # fmt: skip
        size = sum(self.heads.values())
        self.read = nn.Sequential(nn.Linear(size, 256), nn.GELU(), nn.Linear(256, 2 * latents))
        self.write = nn.Sequential(nn.Linear(latents, 256), nn.GELU(), nn.Linear(256, 256), nn.GELU(), nn.Linear(256, size))
        with torch.no_grad():
            self.read[-1].bias[latents:] = -3
        self.register_buffer("seen_depth", torch.ones(layers))
        self.register_buffer("seen_widths", torch.ones(layers, family.max_width))
        self.register_buffer("seen_activations", torch.ones(layers, kinds))
        self.register_buffer("seen_inputs", torch.ones(family.max_inputs))
        self.register_buffer("seen_outputs", torch.ones(family.max_outputs))

    def remember(self, structures: Structures) -> None:
        """Count the choices of the zoo."""
        family = self.family
        self.seen_depth.copy_(torch.bincount(structures.depth - 1, minlength=family.max_layers))
        self.seen_inputs.copy_(torch.bincount(structures.inputs - 1, minlength=family.max_inputs))
        self.seen_outputs.copy_(torch.bincount(structures.outputs - 1, minlength=family.max_outputs))
        for layer in range(family.max_layers):
            live = structures.depth > layer
            self.seen_widths[layer] = torch.bincount(structures.widths[live, layer] - 1, minlength=family.max_width).float()
            own = torch.bincount(structures.activations[live, layer], minlength=len(family.activations)).float()
            self.seen_activations[layer] = own

    def draw(self, count: int, generator: torch.Generator) -> Structures:
        """Random structures whose choices are as frequent as the zoo's, each independently of the others."""

        def chosen(weights: Tensor) -> Tensor:
            weights = weights if weights.sum() > 0 else torch.ones_like(weights)
            return torch.multinomial(weights, count, replacement=True, generator=generator)

        depth = 1 + chosen(self.seen_depth)
        live = torch.arange(self.family.max_layers) < depth[:, None]
        widths = torch.stack([1 + chosen(weights) for weights in self.seen_widths], 1) * live
        activations = torch.stack([chosen(weights) for weights in self.seen_activations], 1) * live
        return Structures(depth, widths, activations, 1 + chosen(self.seen_inputs), 1 + chosen(self.seen_outputs))

    # -- both ways -----------------------------------------------------------------------------------------------------
    def encode(self, structures: Structures) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the latents, (M, S) each."""
        family = self.family
        live = (structures.widths > 0).float()[..., None]
        parts = (
            F.one_hot(structures.depth - 1, family.max_layers),
            (F.one_hot((structures.widths - 1).clamp(min=0), family.max_width) * live).flatten(1),
            (F.one_hot(structures.activations, len(family.activations)) * live).flatten(1),
            F.one_hot(structures.inputs - 1, family.max_inputs),
            F.one_hot(structures.outputs - 1, family.max_outputs),
        )
        mean, log_variance = self.read(torch.cat([part.float() for part in parts], 1)).chunk(2, 1)
        return mean, log_variance.clamp(-10, 2)

    def logits(self, latents: Tensor) -> dict[str, Tensor]:
        """Logits of each choice, those that the zoo does not have at -inf: (M, C) or (M, L, C)."""
        found = dict(zip(self.heads, self.write(latents).split(list(self.heads.values()), 1)))
        for name in ("widths", "activations"):
            found[name] = found[name].view(len(latents), self.family.max_layers, -1)
        for name, logits in found.items():
            seen: Any = getattr(self, f"seen_{name}")
            # A layer that no network has offers every choice: none of them is used.
            seen = seen + (seen.sum(-1, keepdim=True) == 0)
            found[name] = logits.masked_fill(seen == 0, -torch.inf)
        return found

    def decode(self, latents: Tensor) -> Structures:
        """The most likely structure of latents (M, S)."""
        best = {name: logits.argmax(-1) for name, logits in self.logits(latents).items()}
        depth = best["depth"] + 1
        live = torch.arange(self.family.max_layers) < depth[:, None]
        widths, activations = (best["widths"] + 1) * live, best["activations"] * live
        return Structures(depth, widths, activations, best["inputs"] + 1, best["outputs"] + 1)

    def loss(self, structures: Structures, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Cross-entropy in nats a network, of all choices together; and the KL divergence from the prior."""
        mean, log_variance = self.encode(structures)
        noise = torch.randn(mean.shape, generator=generator)
        logits = self.logits(mean + noise * (log_variance / 2).exp())
        live = structures.widths > 0
        entropy = F.cross_entropy(logits["depth"], structures.depth - 1, reduction="sum")
        entropy = entropy + F.cross_entropy(logits["inputs"], structures.inputs - 1, reduction="sum")
        entropy = entropy + F.cross_entropy(logits["outputs"], structures.outputs - 1, reduction="sum")
        entropy = entropy + F.cross_entropy(logits["widths"][live], structures.widths[live] - 1, reduction="sum")
        entropy = entropy + F.cross_entropy(logits["activations"][live], structures.activations[live], reduction="sum")
        divergence = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(1).mean()
        return entropy / len(structures), divergence
