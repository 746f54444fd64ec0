"""A dozen small models, written as people write them; each function gives ``(model, example_inputs)``.

``example_inputs`` is a tensor, a tuple of positional arguments, or a dict of keyword arguments, with a batch of 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Made = tuple[nn.Module, Any]


class ResidualBlock(nn.Module):
    def __init__(self, channels_in: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


def resnet() -> Made:
    """Residual blocks with in-place addition and in-place ReLU."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
        ResidualBlock(8, 8), ResidualBlock(8, 16, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip
    return model, torch.randn(2, 3, 16, 16)


class DenseLayer(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, growth, 3, padding=1, bias=False)

    def forward(self, features: list[Tensor]) -> Tensor:
        return F.dropout(self.conv(F.relu(self.norm(torch.cat(features, 1)))), p=0.2, training=self.training)


class DenseNet(nn.Module):
    def __init__(self, growth: int = 4, depth: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layers = nn.ModuleList(DenseLayer(8 + i * growth, growth) for i in range(depth))
        self.transition = nn.Conv2d(8 + depth * growth, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(features))
        x = F.avg_pool2d(self.transition(torch.cat(features, dim=1)), 2)
        return self.head(x.mean(dim=(2, 3)))


def densenet() -> Made:
    """Layers that read the concatenation of all earlier ones; functional dropout."""
    return DenseNet(), torch.randn(2, 3, 8, 8)


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(n, t, c))


class TransformerBlock(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = Attention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * dim, dim))
        self.scale = nn.Parameter(torch.full((dim,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.scale * self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    def __init__(self, dim: int = 16, depth: int = 2) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, dim, 4, 4)
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.position = nn.Parameter(torch.randn(1, 17, dim) * 0.02)
        self.blocks = nn.ModuleList(TransformerBlock(dim, 4) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls.expand(x.shape[0], -1, -1), x), dim=1) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def vision_transformer() -> Made:
    """Class token, position table, fused qkv, layer scale."""
    return VisionTransformer(), torch.randn(2, 3, 16, 16)


class UNet(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.down1 = self.double(1, width)
        self.down2 = self.double(width, 2 * width)
        self.middle = self.double(2 * width, 4 * width)
        self.up2 = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2)
        self.fuse2 = self.double(4 * width, 2 * width)
        self.fuse1 = self.double(3 * width, width)
        self.out = nn.Conv2d(width, 2, 1)

    @staticmethod
    def double(channels_in: int, channels: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, padding=1), nn.GroupNorm(2, channels), nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        x = self.up2(self.middle(F.max_pool2d(b, 2)))
        x = self.fuse2(torch.cat([x, b[:, :, : x.shape[2], : x.shape[3]]], dim=1))
        x = F.interpolate(x, size=a.shape[2:], mode="bilinear", align_corners=False)
        return self.out(self.fuse1(torch.cat([x, a], dim=1)))


def unet() -> Made:
    """Skips across scales, a cropped one, interpolation to another value's size."""
    return UNet(), torch.randn(2, 1, 16, 16)


class LSTMClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 12, padding_idx=0)
        self.lstm = nn.LSTM(12, 8, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(self.embedding(tokens))
        return self.head(torch.cat((hidden[-2], hidden[-1]), dim=-1))


def lstm_classifier() -> Made:
    """Embedding and a bidirectional LSTM of two layers; the head reads the last hidden states."""
    return LSTMClassifier(), torch.randint(0, 50, (2, 7))


class TiedLanguageModel(nn.Module):
    def __init__(self, vocabulary: int = 40, dim: int = 16) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, dim)
        self.positions = nn.Embedding(12, dim)
        self.attn = nn.MultiheadAttention(dim, 2, batch_first=True)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, vocabulary, bias=False)
        self.head.weight = self.tokens.weight
        self.register_buffer("mask", torch.triu(torch.full((12, 12), float("-inf")), diagonal=1))

    def forward(self, tokens: Tensor) -> Tensor:
        t = tokens.size(1)
        x = self.tokens(tokens) * 4.0 + self.positions(torch.arange(t, device=tokens.device))
        attended, _ = self.attn(x, x, x, attn_mask=self.mask[:t, :t], need_weights=False)
        return self.head(self.norm(x + attended))


def tied_language_model() -> Made:
    """The output matrix is the embedding; a causal mask in a buffer; positions counted in forward."""
    return TiedLanguageModel(), torch.randint(0, 40, (2, 9))


class InvertedResidual(nn.Module):
    def __init__(self, channels: int, expand: int, drop_path: float) -> None:
        super().__init__()
        hidden = channels * expand
        self.drop_path = drop_path
        self.body = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.Hardswish(),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
            nn.Conv2d(hidden, channels, 1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        branch = self.body(x)
        if self.training and self.drop_path > 0.0:
            keep = 1 - self.drop_path
            branch = branch * branch.new_empty((x.shape[0], 1, 1, 1)).bernoulli_(keep).div_(keep)
        return x + branch


def mobile() -> Made:
    """Depthwise convolutions; stochastic depth, which only training draws."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), InvertedResidual(8, 2, 0.2), InvertedResidual(8, 3, 0.4), nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(1), nn.Linear(8, 6),
    )  # fmt: skip
    return model, torch.randn(2, 3, 12, 12)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding="same")
        self.reduce = nn.Linear(channels, channels // 4)
        self.expand = nn.Linear(channels // 4, channels)
        self.head = nn.Linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.conv(x), 0.1)
        gate = torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3))))))
        x = x * gate.view(gate.size(0), -1, 1, 1)
        return F.log_softmax(self.head(F.adaptive_max_pool2d(x, 1).squeeze(-1).squeeze(-1)), dim=-1)


def squeeze_excite() -> Made:
    """A gate computed from the mean of all positions multiplies every channel."""
    return SqueezeExcite(8), torch.randn(2, 3, 9, 9)


class GRUTagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(5, 6)
        self.gru = nn.GRU(6, 4)
        self.initial = nn.Parameter(torch.zeros(1, 6))
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.initial.expand(x.shape[0], -1)
        states = []
        for step in x.unbind(1):
            hidden = self.cell(step, hidden)
            states.append(hidden)
        sequence, _ = self.gru(torch.stack(states))
        return self.out(sequence.permute(1, 0, 2))


def gru_tagger() -> Made:
    """A recurrent cell in a Python loop over time, then a GRU with time first."""
    return GRUTagger(), torch.randn(2, 6, 5)


def decoder() -> Made:
    """From a vector to an image by transposed convolutions, upsampling and pixel shuffle."""
    model = nn.Sequential(
        nn.Linear(6, 64), nn.Unflatten(1, (16, 2, 2)), nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.InstanceNorm2d(8, affine=True),
        nn.PReLU(8), nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(8, 12, 3, padding=1, padding_mode="reflect"),
        nn.PixelShuffle(2), nn.Tanh(),
    )  # fmt: skip
    return model, torch.randn(2, 6)


class MixtureOfExperts(nn.Module):
    def __init__(self, dim: int = 8, experts: int = 4, chosen: int = 2) -> None:
        super().__init__()
        self.chosen = chosen
        self.router = nn.Linear(dim, experts, bias=False)
        self.up = nn.Parameter(torch.randn(experts, dim, 2 * dim) * 0.1)
        self.down = nn.Parameter(torch.randn(experts, 2 * dim, dim) * 0.1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.router(x)
        weight, expert = torch.topk(logits.softmax(-1), self.chosen, dim=-1)
        weight = weight / weight.sum(-1, keepdim=True)
        gate = torch.zeros_like(logits).scatter(-1, expert, weight)
        hidden = F.gelu(torch.einsum("ntd,edh->nteh", x, self.up), approximate="tanh")
        return torch.einsum("nteh,ehd,nte->ntd", hidden, self.down, gate), logits


def mixture_of_experts() -> Made:
    """Top-2 routing with all experts computed at once by einsum; two outputs."""
    return MixtureOfExperts(), torch.randn(2, 5, 8)


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(10, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8))
        self.temperature = nn.Parameter(torch.tensor(2.0))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        a, b = self.encoder(left), self.encoder(right)
        return F.cosine_similarity(a, b, dim=-1) * self.temperature.exp()


def siamese() -> Made:
    """One encoder called on two inputs, with batch norm statistics updated twice."""
    return Siamese(), (torch.randn(3, 10), torch.randn(3, 10))


class TwoTower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ELU(), nn.Flatten(), nn.Linear(36, 8))
        self.table = nn.Linear(5, 8)
        self.heads = nn.ModuleDict({"label": nn.Linear(16, 3), "size": nn.Linear(16, 1)})

    def forward(self, image: Tensor, batch: dict[str, Tensor], scale: float = 1.0) -> dict[str, Any]:
        joint = torch.cat([F.normalize(self.image(image), dim=1), torch.tanh(self.table(batch["table"])) * scale], 1)
        return {**{name: head(joint) for name, head in self.heads.items()}, "features": (joint, None)}


def two_tower() -> Made:
    """Keyword and nested inputs, a dict with a tuple and None as output."""
    return TwoTower(), {"image": torch.randn(2, 3, 8, 8), "batch": {"table": torch.randn(2, 5)}, "scale": 0.5}


MODELS: dict[str, Callable[[], Made]] = {
    "resnet": resnet,
    "densenet": densenet,
    "vision_transformer": vision_transformer,
    "unet": unet,
    "lstm_classifier": lstm_classifier,
    "tied_language_model": tied_language_model,
    "mobile": mobile,
    "squeeze_excite": squeeze_excite,
    "gru_tagger": gru_tagger,
    "decoder": decoder,
    "mixture_of_experts": mixture_of_experts,
    "siamese": siamese,
    "two_tower": two_tower,
}
