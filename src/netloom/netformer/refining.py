"""Gradient steps after decoding: hidden layers towards the answers that the latents stand for."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .computing import Layer, hidden_values, solve_readout
from .core import Core
from .network_decoder import Decoded
from .populations import Population

_LEARNING_RATE = 1e-2


def refined(core: Core, latents: Tensor, population: Population, steps: int) -> Population:
    """Decoded networks after ``steps`` steps of Adam at the probe inputs, output weights solved anew in each."""
    structures, family = population.structures, core.family
    function, level, _ = core.parts(latents)
    found = replace(
        population, weights=tuple(w.clone() for w in population.weights), biases=tuple(b.clone() for b in population.biases)
    )
    for depth, places in population.by_depth():
        for chunk in places.split(256):
            part, mask = population[chunk], structures[chunk].mask(family.max_width)[:, depth - 1]
            with torch.no_grad():
                live = (torch.arange(family.max_outputs) < structures.outputs[chunk][:, None]).float()[:, None]
                target = core.decoder.answers(function[chunk]) * live
            layers = [(w.clone().requires_grad_(), b.clone().requires_grad_()) for w, b in part.layers(depth)]
            keep = [((w != 0).float(), (b != 0).float()) for w, b in part.layers(depth)]
            optimizer = torch.optim.Adam([tensor for layer in layers for tensor in layer], _LEARNING_RATE)
            for _ in range(steps):
                head, values = _head(core, layers, part, mask, target)
                error = (torch.baddbmm(head[1], values, head[0]) - target) ** 2
                optimizer.zero_grad()
                error.mean((1, 2)).sum().backward()
                for layer, kept in zip(layers, keep):
                    for tensor, mark in zip(layer, kept):
                        if tensor.grad is not None:
                            tensor.grad.mul_(mark)
                optimizer.step()
            with torch.no_grad():
                head, _ = _head(core, layers, part, mask, target)
                core.put(found, chunk, Decoded(layers, head, target), level[chunk])
    return found


def _head(core: Core, layers: list[Layer], part: Population, mask: Tensor, target: Tensor) -> tuple[Layer, Tensor]:
    values = hidden_values(layers, part.structures.activations, core.family.activations, core.probes_for(len(part)))[-1][1]
    return solve_readout(values, mask, target, core.settings.ridge), values * mask[:, None]
