"""From trained networks to latents of their functions: what they answer, and a transformer over their neurons."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .config import Family, Settings

#: Probe inputs whose answers each neuron's token has.
SIGNATURE = 64
META = 37


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What an encoder sees of M networks of one depth.

    ``answers`` (M, P, K), of mean 0 and variance 1; ``tokens`` (M, V, F) of neurons with ``absent`` (M, V) True at padding, or
    None; ``kinds`` (V,) the layer of each token and ``activations`` (M, V); ``meta`` (M, 2·37), standardised, with 1 where
    known.
    """

    answers: Tensor
    meta: Tensor
    tokens: Tensor | None = None
    absent: Tensor | None = None
    kinds: Tensor | None = None
    activations: Tensor | None = None


def token_size(family: Family) -> int:
    """Numbers of one neuron's token: incoming weights, bias, outgoing weights, answers."""
    return max(family.max_inputs, family.max_width) + 1 + max(family.max_width, family.max_outputs) + SIGNATURE


class FunctionEncoder(nn.Module):
    """Mean and log-variance of the function latents (M, F) of networks.

    A linear map of the answers, which begins as their principal components, is corrected by what a perceptron reads in the
    answers and what a transformer reads in the neurons; where no neurons are shown, a learned vector stands for them.
    """

    def __init__(self, family: Family, settings: Settings, latents: int) -> None:
        super().__init__()
        self.settings, size = settings, settings.probes * family.max_outputs
        self.linear = nn.Linear(size, latents)
        self.reads_tokens = settings.encoder != "answers"
        self.reads_answers = settings.encoder != "tokens"
        embedding = 0
        if self.reads_answers:
            self.answers = nn.Sequential(nn.Linear(size, 256), nn.GELU())
            embedding += 256
        if self.reads_tokens:
            embedding += 2 * settings.width
            self._make_transformer(family, settings)
        embedding += 2 * META if settings.meta == "embedding" else 0
        self.mean = nn.Linear(embedding, latents)
        self.log_variance = nn.Linear(embedding, latents)
        with torch.no_grad():
            self.mean.weight.mul_(0.1)
            self.log_variance.weight.zero_()
            self.log_variance.bias.fill_(-5.0)

    def _make_transformer(self, family: Family, settings: Settings) -> None:
        width = settings.width
        size = token_size(family) + (2 * META if settings.meta == "token" else 0)
        self.token = nn.Sequential(nn.Linear(size, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.kind = nn.Parameter(0.1 * torch.randn(family.max_layers + 1, width))
        self.function = nn.Parameter(0.1 * torch.randn(len(family.activations) + 1, width))
        self.summary = nn.Parameter(0.1 * torch.randn(width))
        self.unseen = nn.Parameter(torch.zeros(2 * width))
        self.transformer = transformer(settings)

    def embed(self, seen: Seen) -> Tensor:
        """The network embedding (M, D): answers, neurons and meta-features side by side."""
        parts = []
        if self.reads_answers:
            parts.append(self.answers(seen.answers.flatten(1)))
        if self.reads_tokens:
            parts.append(self._neurons(seen))
        if self.settings.meta == "embedding":
            parts.append(seen.meta)
        return torch.cat(parts, 1)

    def _neurons(self, seen: Seen) -> Tensor:
        if seen.tokens is None or seen.absent is None or seen.kinds is None or seen.activations is None:
            return self.unseen.expand(len(seen.answers), -1)
        tokens = seen.tokens
        if self.settings.meta == "token":
            tokens = torch.cat([tokens, seen.meta[:, None].expand(-1, tokens.shape[1], -1)], 2)
        x = self.token(tokens) + self.kind[seen.kinds] + self.function[seen.activations]
        x = torch.cat([self.summary.expand(len(x), 1, -1), x], 1)
        absent = torch.cat([torch.zeros(len(x), 1, dtype=torch.bool), seen.absent], 1)
        x = self.transformer(x, src_key_padding_mask=absent)
        live = (~absent[:, 1:]).float()[..., None]
        return torch.cat([x[:, 0], (x[:, 1:] * live).sum(1) / live.sum(1)], 1)

    def forward(self, seen: Seen) -> tuple[Tensor, Tensor]:
        embedding = self.embed(seen)
        mean = self.mean(embedding)
        if self.reads_answers:
            mean = mean + self.linear(seen.answers.flatten(1))
        return mean, self.log_variance(embedding).clamp(-9, 1)


def transformer(settings: Settings) -> nn.Module:
    """The transformer that encoder and decoder are made of."""
    layer = nn.TransformerEncoderLayer(
        settings.width, settings.heads, 2 * settings.width, 0.0, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, settings.layers, enable_nested_tensor=False)
