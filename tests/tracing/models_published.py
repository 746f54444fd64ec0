"""Layers as they stand in published code of the last years, with what is peculiar in each."""

from __future__ import annotations

import math

import torch.nn.functional as F

from tests.tracing.cases import Tensor, case, floats, nn, together, torch


@case(floats(7, 12))
class RotaryTables(nn.Module):
    """Angles in buffers that no checkpoint holds, made anew for a longer sequence than was foreseen."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(12, 36, bias=False), nn.Linear(12, 12, bias=False)
        self.register_buffer("frequencies", 1.0 / (10000 ** (torch.arange(0, 6, 2).float() / 6)), persistent=False)
        self.make(4)

    def make(self, length: int) -> None:
        self.length = length
        angles = torch.outer(torch.arange(length, dtype=self.frequencies.dtype), self.frequencies)
        angles = torch.cat([angles, angles], dim=-1)
        self.register_buffer("cosines", angles.cos()[None, None], persistent=False)
        self.register_buffer("sines", angles.sin()[None, None], persistent=False)

    def turned(self, x: Tensor) -> Tensor:
        length = x.shape[-2]
        a, b = x.chunk(2, -1)
        return x * self.cosines[:, :, :length] + torch.cat((-b, a), -1) * self.sines[:, :, :length].to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        if length > self.length:
            self.make(length)
        q, k, v = self.qkv(x).view(batch, length, 3, 2, 6).permute(2, 0, 3, 1, 4)
        weights = self.turned(q) @ self.turned(k).transpose(2, 3) / math.sqrt(6)
        weights = weights + torch.full((length, length), float("-inf")).triu(1)
        weights = F.softmax(weights, dim=-1, dtype=torch.float32).to(q.dtype)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, length, width))


@case(together(floats(5, 6), lambda n: torch.tensor([[0, 1, 2, 3, 4, 0], [1, 2, 3, 4, 0, 2]])))
class MessagePassing(nn.Module):
    """A graph network on a table of edges: its two rows are no batch, though the example has two samples."""

    def __init__(self) -> None:
        super().__init__()
        self.node, self.edge, self.out = nn.Linear(6, 8), nn.Linear(16, 1), nn.Linear(8, 4)

    def forward(self, x: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        source, target = edges
        h = self.node(x)
        degree = torch.zeros(x.size(1)).scatter_add_(0, target, torch.ones(target.size(0)))
        scale = degree.clamp(min=1).pow(-0.5)
        sent = h.index_select(1, source) * scale[source][None, :, None]
        received = torch.zeros_like(h).index_add_(1, target, sent) * scale[None, :, None]
        weight = torch.sigmoid(self.edge(torch.cat([h[:, source], h[:, target]], -1))).squeeze(-1)
        return self.out(F.relu(received + h)), weight


@case(floats(6))
class TorchDistributions(nn.Module):
    """torch.distributions: sampled in training, means else; divergence, log-probability and entropy beside."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(6, 8), nn.Linear(4, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        mean, log_variance = self.encoder(x).chunk(2, -1)
        posterior = torch.distributions.Normal(mean, (log_variance * 0.5).exp())
        prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
        z = posterior.rsample() if self.training else posterior.mean
        divergence = torch.distributions.kl_divergence(posterior, prior).sum(-1)
        return self.decoder(z), divergence, posterior.log_prob(z), torch.distributions.Categorical(logits=mean).entropy()
