"""From latents of a function and a structure to the weights of a network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .computing import Layer, hidden_values, solve_readout
from .config import Family, Settings
from .function_encoder import transformer
from .structures import Structures

#: Numbers of each neuron that come from the latents directly.
_DETAIL = 16


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Weights of M networks of one depth, and the ``answers`` (M, P, K) at the probes that the latents stand for."""

    layers: list[Layer]
    head: Layer
    answers: Tensor


class NetworkDecoder(nn.Module):
    """Hidden layers from latents by a transformer over neurons (or a perceptron); output weights by least squares.

    A neuron's token is what the latents say of its place, its layer, its activation. The output weights are those by which
    the hidden layers come nearest to the answers, at the probes, that the latents stand for: gradients of every loss flow
    through the solution.
    """

    def __init__(self, family: Family, settings: Settings, latents: int, probes: Tensor) -> None:
        super().__init__()
        self.family, self.settings = family, settings
        self.register_buffer("probes", probes)
        size = settings.probes * family.max_outputs
        self.answers_linear = nn.Linear(latents, size)
        self.answers_more = nn.Sequential(nn.Linear(latents, 256), nn.GELU(), nn.Linear(256, size))
        told = latents + Structures.joined([_smallest(family)]).features(family).shape[1]
        slots, row = family.max_layers * family.max_width + family.max_outputs, max(family.max_inputs, family.max_width) + 1
        trunk, width = settings.trunk, settings.width
        if settings.decoder == "mlp":
            self.trunk = nn.Sequential(nn.Linear(told, trunk), nn.GELU(), nn.Linear(trunk, trunk), nn.GELU())
            self.rows = nn.Linear(trunk, slots * row)
        else:
            self.trunk = nn.Sequential(nn.Linear(told, trunk), nn.GELU(), nn.Linear(trunk, slots * _DETAIL))
            self.detail, self.latents_in = nn.Linear(_DETAIL, width), nn.Linear(latents, width)
            self.slot = nn.Parameter(0.1 * torch.randn(slots, width))
            self.function = nn.Parameter(0.1 * torch.randn(len(family.activations) + 1, width))
            self.transformer = transformer(settings)
            self.row = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, row))
        with torch.no_grad():
            self.answers_more[-1].weight.mul_(0.1)

    def answers(self, latents: Tensor) -> Tensor:
        """What the network that the latents stand for answers at the probes, (M, P, K)."""
        found = self.answers_linear(latents) + self.answers_more(latents)
        return found.view(len(latents), self.settings.probes, self.family.max_outputs)

    def forward(self, latents: Tensor, structures: Structures, depth: int) -> Decoded:
        """The networks of latents (M, F) and structures, all of ``depth`` hidden layers."""
        answers = self.answers(latents) * self._live_outputs(structures)[:, None]
        rows = self._rows(latents, structures, depth)
        layers = self._layers(rows, structures, depth)
        mask = structures.mask(self.family.max_width)[:, depth - 1]
        if self.settings.readout == "decoded":
            out = rows[:, -self.family.max_outputs :] * self._live_outputs(structures)[..., None]
            head = (out[:, :, : self.family.max_width] * mask[:, None]).mT, out[:, :, None, -1].mT
            return Decoded(layers, head, answers)
        probes = self.probes.expand(len(latents), -1, -1)  # type: ignore[operator]
        values = hidden_values(layers, structures.activations, self.family.activations, probes)[-1][1]
        return Decoded(layers, solve_readout(values, mask, answers, self.settings.ridge), answers)

    def _live_outputs(self, structures: Structures) -> Tensor:
        return (torch.arange(self.family.max_outputs) < structures.outputs[:, None]).float()

    def _rows(self, latents: Tensor, structures: Structures, depth: int) -> Tensor:
        """Incoming weights and bias of each neuron, (M, depth·W + K, row)."""
        family, count = self.family, len(latents)
        told = torch.cat([latents, structures.features(family)], 1)
        hidden, slots = depth * family.max_width, family.max_layers * family.max_width + family.max_outputs
        kept = torch.cat([torch.arange(hidden), torch.arange(slots - family.max_outputs, slots)])
        if self.settings.decoder == "mlp":
            return self.rows(self.trunk(told)).view(count, slots, -1)[:, kept] * 0.5
        # Places that no network of the batch has are left out: attention is over the widest.
        widest = int(structures.widths[:, :depth].max())
        kept = kept[(kept % family.max_width < widest) | (kept >= slots - family.max_outputs)]
        kinds = torch.where(structures.widths > 0, structures.activations, 0)[:, :depth].repeat_interleave(widest, 1)
        outputs = torch.full((count, family.max_outputs), len(family.activations))
        x = self.detail(self.trunk(told).view(count, slots, _DETAIL)[:, kept]) + self.slot[kept]
        x = x + self.function[torch.cat([kinds, outputs], 1)] + self.latents_in(latents)[:, None]
        live = torch.cat([structures.mask(widest)[:, :depth].flatten(1), self._live_outputs(structures)], 1)
        found = self.row(self.transformer(x, src_key_padding_mask=live == 0))
        rows = found.new_zeros(count, hidden + family.max_outputs, found.shape[2])
        places = torch.cat([kept[: depth * widest], torch.arange(hidden, hidden + family.max_outputs)])
        return rows.index_copy(1, places, found)

    def _layers(self, rows: Tensor, structures: Structures, depth: int) -> list[Layer]:
        """Rows as padded layers, zero where there is no neuron or no input."""
        family, count = self.family, len(rows)
        mask = structures.mask(family.max_width)
        inputs = (torch.arange(family.max_inputs) < structures.inputs[:, None]).float()
        found = []
        for layer in range(depth):
            part = rows[:, layer * family.max_width : (layer + 1) * family.max_width] * mask[:, layer, :, None]
            if layer == 0:
                weight = part[:, :, : family.max_inputs] * inputs[:, None] * (2 / family.max_inputs**0.5)
            else:
                weight = part[:, :, : family.max_width] * mask[:, layer - 1, None] * (2 / 3)
            found.append((weight.mT, part[:, :, -1].view(count, 1, family.max_width)))
        return found


def _smallest(family: Family) -> Structures:
    return Structures.of([[(1, 0)]], [1], [1], family)
