"""Parameters used outside layers, and weights that are computed before use."""

from __future__ import annotations

import warnings

import torch.nn.functional as F
from torch.nn.utils import parametrizations, parametrize, prune

from tests.tracing.cases import Tensor, case, conv, floats, head, ids, nn, torch


@case(floats(6, 8))
class PositionsAndClass(nn.Module):
    """A vision transformer's way in: class token, position table, slices of it."""

    def __init__(self) -> None:
        super().__init__()
        self.cls = nn.Parameter(torch.randn(1, 1, 8))
        self.positions = nn.Parameter(torch.randn(1, 10, 8))
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1)
        x = x + self.positions[:, : x.shape[1]]
        return self.fc(x)[:, 0]


@case(floats(3, 6, 6))
class LayerScale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(3, 3)
        self.gamma = nn.Parameter(1e-2 * torch.ones(3, 1, 1))
        self.gain, self.shift = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.gamma * self.conv(x)
        return self.gain * y + self.shift.view(1, -1, 1, 1)


@case(floats(8))
class LearnedTemperature(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 4)
        self.log_scale = nn.Parameter(torch.tensor(2.6))

    def forward(self, x: Tensor) -> Tensor:
        features = F.normalize(self.fc(x), dim=-1)
        return self.log_scale.exp().clamp(max=100) * features @ F.normalize(self.fc.weight, dim=0)


@case(floats(5))
class Containers(nn.Module):
    """ParameterList and ParameterDict, with a number and None among them."""

    def __init__(self) -> None:
        super().__init__()
        self.matrices = nn.ParameterList([torch.randn(5, 5) for _ in range(3)])
        self.named = nn.ParameterDict({"left": torch.randn(5), "right": torch.randn(5), "off": None})

    def forward(self, x: Tensor) -> Tensor:
        for matrix in self.matrices:
            x = torch.tanh(x @ matrix)
        return x * self.named["left"] + self.named["right"]


class StandardizedConv(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        mean = self.weight.mean(dim=(1, 2, 3), keepdim=True)
        var = self.weight.var(dim=(1, 2, 3), keepdim=True, unbiased=False)
        weight = (self.weight - mean) * torch.rsqrt(var + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


@case(floats(4, 6, 6))
class WeightStandardized(nn.Module):
    """One by hand, one by batch-normalising the weight, as timm does."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = StandardizedConv(4, 6, 3, padding=1), nn.Conv2d(6, 6, 3, groups=2)
        self.gain = nn.Parameter(torch.ones(6))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.a(x))
        weight = F.batch_norm(self.b.weight.reshape(1, 6, -1), None, None, weight=self.gain, training=True, momentum=0.0)
        return F.conv2d(x, weight.reshape_as(self.b.weight), self.b.bias, groups=2)


@case(floats(8))
class WeightSliced(nn.Module):
    """A slimmable layer: part of the matrix is used."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(10, 6)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.fc.weight[:4, :8], self.fc.bias[:4])


@case(floats(6))
class WeightNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = parametrizations.weight_norm(nn.Linear(6, 5))
        self.b = parametrizations.weight_norm(nn.Linear(5, 4), name="weight", dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a(x)))


@case(floats(3, 6, 6))
class SpectralNorm(nn.Module):
    """Its power iteration changes buffers on every training call."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = parametrizations.spectral_norm(conv(3, 4))
        self.fc = parametrizations.spectral_norm(nn.Linear(4, 2), n_power_iterations=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).mean((2, 3)))


@case(floats(6), flops=False)
class Orthogonal(nn.Module):
    """Householder and Cayley maps run inside: the flop counter does not know them."""

    def __init__(self) -> None:
        super().__init__()
        self.a = parametrizations.orthogonal(nn.Linear(6, 6))
        self.b = parametrizations.orthogonal(nn.Linear(6, 4), orthogonal_map="cayley")

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.tanh(self.a(x)))


@case(floats(6))
class LegacyWeightNorm(nn.Module):
    """The old hook: ``weight`` is a plain attribute set before every call, absent from the state dict."""

    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.fc = nn.utils.weight_norm(nn.Linear(6, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)


@case(floats(6))
class LegacySpectralNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.fc = nn.utils.spectral_norm(nn.Linear(6, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)


class Symmetric(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight.triu() + weight.triu(1).transpose(-1, -2)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6, 1))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.scale


@case(floats(6))
class OwnParametrizations(nn.Module):
    """Two stacked, the second with a parameter of its own; the layer is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        parametrize.register_parametrization(self.fc, "weight", Symmetric())
        parametrize.register_parametrization(self.fc, "weight", Scaled())

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.fc(x)))


@case(floats(6))
class ParametrizationCached(nn.Module):
    """``parametrize.cached``: the weight is computed once per forward."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        parametrize.register_parametrization(self.fc, "weight", Symmetric())

    def forward(self, x: Tensor) -> Tensor:
        with parametrize.cached():
            return self.fc(self.fc(x)) @ self.fc.weight


@case(floats(6))
class Pruned(nn.Module):
    """torch's pruning: original and mask in the state, the product set by a hook."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        prune.l1_unstructured(self.fc, "weight", amount=0.4)
        prune.random_unstructured(self.fc, "bias", amount=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)


@case(floats(6))
class LowRankAdapter(nn.Module):
    """LoRA on a frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6).requires_grad_(False)
        self.down, self.up = nn.Parameter(torch.randn(2, 6)), nn.Parameter(torch.randn(6, 2))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.fc.weight + 0.5 * self.up @ self.down, self.fc.bias)


@case(floats(4, 6, 6))
class DynamicConv(nn.Module):
    """Kernels computed from the input, applied by groups over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(4, 3)
        self.kernels = nn.Parameter(torch.randn(3, 5, 4, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        mix = torch.sigmoid(self.router(x.mean((2, 3))))
        weight = torch.einsum("ne,eoihw->noihw", mix, self.kernels).reshape(n * 5, c, 3, 3)
        return F.conv2d(x.reshape(1, n * c, h, w), weight, padding=1, groups=n).view(n, 5, h, w)


@case(floats(6))
class MaskedAutoregressive(nn.Module):
    """A masked linear layer whose mask is a buffer built from degrees."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        degrees = torch.arange(6)
        self.register_buffer("mask", (degrees[:, None] > degrees[None, :]).float())

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.fc.weight * self.mask, self.fc.bias)


@case(floats(6))
class EqualizedRate(nn.Module):
    """A runtime gain, ``1 / sqrt(fan in)``, and a bias multiplier."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(5, 6)), nn.Parameter(torch.zeros(5))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias.unsqueeze(0) * 0.01, x, (self.weight * (1 / self.weight.shape[1] ** 0.5)).t())


@case(ids(5))
class BiasTableByIndex(nn.Module):
    """A parameter indexed by data, and by a constant index table."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(11, 3))
        self.relative = nn.Parameter(torch.randn(9))
        self.register_buffer("index", (torch.arange(5)[:, None] - torch.arange(5)[None]) + 4, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return (self.relative[self.index.view(-1)].view(5, 5).softmax(-1) @ self.table[tokens]).sum(-1)


@case(floats(3, 6, 6))
class ReparametrizedBranches(nn.Module):
    """RepVGG-like: a convolution whose kernel is the sum of a 3×3, a padded 1×1 and the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.k3, self.k1 = conv(3, 3), conv(3, 3, 1)
        self.head = head(3)

    def forward(self, x: Tensor) -> Tensor:
        identity = torch.zeros(3, 3, 3, 3)
        identity[range(3), range(3), 1, 1] = 1.0
        weight = self.k3.weight + F.pad(self.k1.weight, [1, 1, 1, 1]) + identity
        return self.head(F.conv2d(x, weight, self.k3.bias + self.k1.bias, padding=1))
