"""`Core`: encoder, structure coder and decoder with what the zoo taught them to scale by. The tensors of a Netformer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..encode.trained_neurons import probe_inputs
from .computing import hidden_values
from .config import Family, Settings, expect
from .function_encoder import META, SIGNATURE, FunctionEncoder, Seen
from .network_decoder import Decoded, NetworkDecoder
from .populations import Population
from .structure_coder import StructureCoder
from .structures import Structures

#: A function of less spread than this is constant.
FLAT = 1e-3


class Core(nn.Module):
    """The modules of a Netformer; latents are (function | level | structure)."""

    level_mean: Tensor
    level_sd: Tensor
    meta_mean: Tensor
    meta_sd: Tensor
    weight_sd: Tensor
    prior_map: Tensor
    prior_sd: Tensor
    probes: Tensor

    def __init__(self, family: Family, settings: Settings) -> None:
        super().__init__()
        self.family, self.settings = family, settings
        outputs = family.max_outputs
        #: Latents of mean and spread of each output.
        self.level_latents = 2 * outputs
        self.function_latents = settings.latents - self.level_latents
        expect(self.function_latents >= 1, "latents", settings.latents, f"more than {self.level_latents}, two for each output")
        size = self.function_latents + self.level_latents + settings.structure_latents
        probes = torch.from_numpy(probe_inputs(settings.probes, family.max_inputs)).float()
        self.encoder = FunctionEncoder(family, settings, self.function_latents)
        self.structure = StructureCoder(family, settings.structure_latents)
        self.decoder = NetworkDecoder(family, settings, self.function_latents, probes)
        self.register_buffer("level_mean", torch.zeros(self.level_latents))
        self.register_buffer("level_sd", torch.ones(self.level_latents))
        self.register_buffer("meta_mean", torch.zeros(META))
        self.register_buffer("meta_sd", torch.ones(META))
        self.register_buffer("weight_sd", torch.ones(()))
        # Latents given meta-features: a linear map with an offset, and what is left.
        self.register_buffer("prior_map", torch.zeros(2 * META + 1, size))
        self.register_buffer("prior_sd", torch.ones(size))

    @property
    def size(self) -> int:
        """Number of latents, all parts together."""
        return len(self.prior_sd)

    # -- what the zoo teaches before anything is learned -----------------------------------------------------------------
    def prepare(self, population: Population, answers: Tensor) -> None:
        """Scales, principal components and choices of a population with its answers (M, P, K) at the probes."""
        with torch.no_grad():
            level, normal = self.level(answers, population.structures)
            self.level_mean.copy_(level.mean(0))
            self.level_sd.copy_(level.std(0).clamp(min=1e-3) if len(level) > 1 else torch.ones(self.level_latents))
            meta = population.meta
            self.meta_mean.copy_(meta.nanmean(0).nan_to_num(0))
            spread = ((meta - self.meta_mean) ** 2).nanmean(0).sqrt()
            self.meta_sd.copy_(spread.nan_to_num(1).clamp(min=1e-6))
            live = torch.cat([weight.flatten() for weight in population.weights])
            self.weight_sd.copy_(live[live != 0].std().nan_to_num(1.0).clamp(min=1e-3))
            self.structure.remember(population.structures)
            self._principal_components(normal.flatten(1))

    def _principal_components(self, normal: Tensor) -> None:
        """The linear maps between answers and latents begin as principal components, of variance 1."""
        rank = min(self.function_latents, *normal.shape)
        _, spread, directions = torch.linalg.svd(normal, full_matrices=False)
        scale = (spread[:rank] / len(normal) ** 0.5).clamp(min=1e-2)
        linear, back = self.encoder.linear, self.decoder.answers_linear
        for module in (linear, back):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
        linear.weight[:rank] = directions[:rank] / scale[:, None]
        back.weight[:, :rank] = (directions[:rank] * scale[:, None]).T

    # -- encoding ------------------------------------------------------------------------------------------------------
    def level(self, answers: Tensor, structures: Structures) -> tuple[Tensor, Tensor]:
        """Level latents as they come (M, 2K): means, and logarithms of the spread, of each output; and normalised answers."""
        live = (torch.arange(answers.shape[2]) < structures.outputs[:, None]).float()
        mean, spread = answers.mean(1), answers.std(1).clamp(min=FLAT)
        normal = (answers - mean[:, None]) / spread[:, None] * live[:, None]
        return torch.cat([mean * live, spread.log() * live], 1), normal

    def seen(self, population: Population, depth: int, x: Tensor, *, tokens: bool) -> tuple[Seen, Tensor, Tensor]:
        """What the encoder sees of networks of one depth at inputs ``x`` (M, n, in), the probes first; level; all outputs."""
        structures, count = population.structures, self.settings.probes
        values = hidden_values(population.layers(depth), structures.activations, self.family.activations, x)
        outputs = torch.baddbmm(population.head_bias, values[-1][1], population.head)
        level, normal = self.level(outputs[:, :count], structures)
        meta = self.meta_features(population.meta)
        if not (tokens and self.encoder.reads_tokens):
            return Seen(normal, meta), level, outputs
        shown = [layer[1][:, :SIGNATURE].mT for layer in values]
        return Seen(normal, meta, *self._tokens(population, depth, shown, normal, level)), level, outputs

    def _tokens(
        self, population: Population, depth: int, shown: list[Tensor], normal: Tensor, level: Tensor
    ) -> tuple[Tensor, ...]:
        """Tokens (M, V, F), padding, layers and activations of the neurons; output weights in units of the outputs' spread."""
        family, structures = self.family, population.structures
        mean, spread = level[:, None].split(family.max_outputs, 2)
        head, head_bias = population.head / spread.exp(), (population.head_bias - mean) / spread.exp()
        wide, outs = max(family.max_inputs, family.max_width), max(family.max_width, family.max_outputs)
        mask, parts = structures.mask(family.max_width), []
        following = [*population.weights[1:depth], head]
        for layer in range(depth):
            incoming, outgoing = population.weights[layer].mT, following[layer]
            numbers = [_wide(incoming, wide), population.biases[layer].mT, _wide(outgoing, outs)]
            parts.append(torch.cat([torch.cat(numbers, 2) / self.weight_sd, shown[layer]], 2))
        final = [_wide(head.mT, wide), head_bias.mT]
        numbers = [*final, head.new_zeros(len(population), family.max_outputs, outs)]
        parts.append(torch.cat([torch.cat(numbers, 2) / self.weight_sd, normal[:, :SIGNATURE].mT], 2))
        tokens = torch.cat([_wide(part, wide + 1 + outs + SIGNATURE) for part in parts], 1)
        live = (torch.arange(family.max_outputs) < structures.outputs[:, None]).float()
        absent = torch.cat([mask[:, :depth].flatten(1), live], 1) == 0
        kinds = torch.cat([
            torch.arange(depth).repeat_interleave(family.max_width), torch.full((family.max_outputs,), family.max_layers)
        ])  # fmt: skip
        functions = torch.cat([
            structures.activations[:, :depth].repeat_interleave(family.max_width, 1),
            torch.full((len(population), family.max_outputs), len(family.activations)),
        ], 1)  # fmt: skip
        return tokens * ~absent[..., None], absent, kinds, functions

    def meta_features(self, meta: Tensor) -> Tensor:
        """Standardised meta-features with a mark where they are known, (M, 2·37)."""
        known = meta.isfinite()
        scaled = ((meta - self.meta_mean) / self.meta_sd).clamp(-5, 5)
        return torch.cat([torch.where(known, scaled, 0.0), known.float()], 1)

    def encode(self, population: Population) -> Tensor:
        """Means of all latents, (M, size)."""
        found = torch.zeros(len(population), self.size)
        for depth, places in population.by_depth():
            for chunk in places.split(256):
                part = population[chunk]
                seen, level, _ = self.seen(part, depth, self.probes_for(len(chunk)), tokens=True)
                parts = (self.encoder(seen)[0], self.scaled_level(level), self.structure.encode(part.structures)[0])
                found[chunk] = torch.cat(parts, 1)
        return found

    def encode_answers(self, answers: Tensor, structures: Structures, meta: Tensor) -> Tensor:
        """The same of networks that do not exist, from their answers (M, P, K) alone."""
        level, normal = self.level(answers, structures)
        mean = self.encoder(Seen(normal, self.meta_features(meta)))[0]
        return torch.cat([mean, self.scaled_level(level), self.structure.encode(structures)[0]], 1)

    def probes_for(self, count: int) -> Tensor:
        """The probe inputs, (count, P, in)."""
        probes: Any = self.decoder.probes
        return probes.expand(count, -1, -1)

    def scaled_level(self, level: Tensor) -> Tensor:
        return (level - self.level_mean) / self.level_sd

    # -- decoding ------------------------------------------------------------------------------------------------------
    def parts(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Latents of the function, the level and the structure."""
        sizes = [self.function_latents, self.level_latents, self.settings.structure_latents]
        function, level, structure = latents.split(sizes, 1)
        return function, level, structure

    def decode(self, latents: Tensor, structures: Structures | None = None) -> Population:
        """The networks of latents (M, size), of the structures they stand for or those given."""
        function, level, of_structure = self.parts(latents)
        structures = self.structure.decode(of_structure) if structures is None else structures
        population = empty(structures, self.family)
        for depth, places in population.by_depth():
            for chunk in places.split(256):
                decoded = self.decoder(function[chunk], structures[chunk], depth)
                self.put(population, chunk, decoded, level[chunk])
        return population

    def put(self, population: Population, places: Tensor, decoded: Decoded, level: Tensor) -> None:
        """Write decoded weights into a population, outputs brought to their level."""
        for layer, (weight, bias) in enumerate(decoded.layers):
            population.weights[layer][places], population.biases[layer][places] = weight, bias
        mean, spread = (level * self.level_sd + self.level_mean).split(self.family.max_outputs, 1)
        live = torch.arange(self.family.max_outputs) < population.structures.outputs[places][:, None]
        spread = torch.where(live, spread.clamp(-20, 20).exp(), 0.0)[:, None]
        population.head[places] = decoded.head[0] * spread
        population.head_bias[places] = decoded.head[1] * spread + torch.where(live, mean, 0.0)[:, None]


def empty(structures: Structures, family: Family) -> Population:
    """A population of zeros."""
    count, wide = len(structures), family.max_width
    ins = [family.max_inputs, *[wide] * (family.max_layers - 1)]
    nothing = torch.full((count,), torch.nan)
    return Population(
        structures, tuple(torch.zeros(count, fan_in, wide) for fan_in in ins), tuple(torch.zeros(count, 1, wide) for _ in ins),
        torch.zeros(count, wide, family.max_outputs), torch.zeros(count, 1, family.max_outputs), torch.arange(count), nothing,
        torch.full((count, META), torch.nan), torch.arange(count),
    )  # fmt: skip


def _wide(rows: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(rows, (0, width - rows.shape[-1]))


def seeded(*numbers: int) -> torch.Generator:
    """A generator of its own for each combination of numbers."""
    words = np.random.SeedSequence(list(numbers)).generate_state(2)
    return torch.Generator().manual_seed(int(words[0]) << 31 ^ int(words[1]))
