"""Random draws: dropout in all forms, stochastic depth, noise, sampling; the same seed must give the same numbers."""

from __future__ import annotations

import torch.nn.functional as F

from tests.tracing.cases import Tensor, case, conv, floats, head, nn, torch


@case(floats(4, 6, 6))
class DropoutVariants(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Dropout(0.3, inplace=True), nn.Dropout2d(0.3), nn.AlphaDropout(0.2)
        self.d, self.conv, self.off = nn.FeatureAlphaDropout(0.2), conv(4, 4), nn.Dropout(0.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.off(self.d(self.c(self.b(self.a(self.conv(x))))))


@case(floats(6))
class FunctionalDropout(nn.Module):
    """One follows the flag, one always drops, one never does."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(self.fc(x), 0.4, self.training)
        x = F.dropout(x, p=0.1, training=True)
        return torch.nn.functional.dropout(x, 0.9, training=False) + F.dropout1d(x.unsqueeze(1), 0.5, self.training).squeeze(1)


@case(floats(6))
class RateByMode(nn.Module):
    """Attention of transformers' models says a rate of zero in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.fc(x), 0.3 if self.training else 0.0, self.training).relu()


class DropPath(nn.Module):
    """Stochastic depth per sample, as timm writes it."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if self.rate == 0.0 or not self.training:
            return x
        keep = 1 - self.rate
        mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        if keep > 0.0:
            mask.div_(keep)
        return x * mask


@case(floats(4, 6, 6))
class StochasticDepth(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(conv(4, 4) for _ in range(3))
        self.paths = nn.ModuleList(DropPath(0.2 * i) for i in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for block, path in zip(self.blocks, self.paths):
            x = x + path(F.relu(block(x)))
        return x


@case(floats(4, 6, 6))
class StochasticDepthBatch(nn.Module):
    """torchvision's way: noise allocated empty, drawn in place, for the whole batch or by row."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(4, 4)

    def drop(self, x: Tensor, p: float, rowwise: bool) -> Tensor:
        if not self.training or p == 0.0:
            return x
        size = [x.shape[0]] + [1] * (x.ndim - 1) if rowwise else [1] * x.ndim
        noise = torch.empty(size, dtype=x.dtype, device=x.device)
        noise = noise.bernoulli_(1.0 - p)
        noise.div_(1.0 - p)
        return x * noise

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.conv(x), 0.3, True) + self.drop(x, 0.5, False)


@case(floats(6))
class NoiseInTraining(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.sigma = nn.Linear(6, 6), nn.Parameter(torch.ones(6) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        if self.training:
            y = y + torch.randn_like(y) * self.sigma
            y = y + torch.empty_like(y).normal_(0, 0.1) + torch.rand(y.shape) * 0.01
        return y


@case(floats(3, 6, 6))
class NoiseAlways(nn.Module):
    """A generator's noise injection: random in evaluation too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gain = conv(3, 4), nn.Parameter(torch.full((4, 1, 1), 0.2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        noise = torch.randn(y.shape[0], 1, y.shape[2], y.shape[3], device=y.device, dtype=y.dtype)
        return F.rrelu(y + self.gain * noise, training=self.training)


@case(floats(6))
class Variational(nn.Module):
    """Reparametrised sample in both modes, several results."""

    def __init__(self) -> None:
        super().__init__()
        self.enc, self.dec = nn.Linear(6, 8), nn.Linear(4, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, log_var = self.enc(x).chunk(2, dim=1)
        std = torch.exp(0.5 * log_var)
        z = mu + torch.randn_like(std) * std
        divergence = -0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp())
        return self.dec(z), divergence / x.shape[0]


@case(floats(6))
class GumbelGate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(6, 3), nn.Parameter(torch.randn(3, 6, 6))

    def forward(self, x: Tensor) -> Tensor:
        choice = F.gumbel_softmax(self.gate(x), tau=0.7, hard=True)
        return torch.einsum("ne,nd,edf->nf", choice, x, self.experts)


@case(floats(6))
class MixedInBatch(nn.Module):
    """Mixup inside the model: a random permutation of the batch, and a coin per sample."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            order = torch.randperm(x.size(0), device=x.device)
            weight = torch.rand(x.size(0), 1)
            x = weight * x + (1 - weight) * x[order]
        return self.fc(x)


@case(floats(8, 5))
class PatchDropout(nn.Module):
    """MAE's masking: random scores, argsort, gather."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        n, length, dim = x.shape
        noise = torch.rand(n, length, device=x.device)
        shuffle = torch.argsort(noise, dim=1)
        restore = torch.argsort(shuffle, dim=1)
        kept = torch.gather(x, 1, shuffle[:, :4].unsqueeze(-1).repeat(1, 1, dim))
        mask = torch.ones([n, length], device=x.device)
        mask[:, :4] = 0
        return self.fc(kept), torch.gather(mask, 1, restore)


@case(floats(3, 8, 8))
class DropBlock(nn.Module):
    """Drops squares; a Bernoulli map, max pooling, and a normalisation by what is left."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = conv(3, 4), head(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.training:
            seeds = torch.bernoulli(torch.full_like(x, 0.1))
            mask = 1 - F.max_pool2d(seeds, 3, stride=1, padding=1)
            x = x * mask * (mask.numel() / mask.sum().clamp(min=1))
        return self.head(x)


@case(floats(6))
class OrderOfDraws(nn.Module):
    """Independent draws whose order only the source code fixes; one of them is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        unused = torch.rand(3)
        right = F.dropout(self.b(x), 0.5, self.training)
        left = F.dropout(self.a(x), 0.5, self.training)
        torch.randn(2)
        sampled = torch.multinomial(F.softmax(left, -1), 2)
        return left - right + sampled.sum(1, keepdim=True) + unused.shape[0]
