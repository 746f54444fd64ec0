"""DeepNets-1M networks as plain PyTorch modules, written from the paper's description, to hold the space against."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def norm_layer(norm: str | None, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, track_running_stats="track" in norm) if norm else nn.Identity()


def conv(channels: int, out: int, kernel: Any, stride: Any = 1, padding: Any = 0, **more: Any) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, stride, padding, bias=False, **more)


class Chain(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.op = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class FactorizedReduce(nn.Module):
    def __init__(self, channels: int, out: int, norm: str | None) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv_1, self.conv_2 = (conv(channels, out // 2, 1, 2) for _ in range(2))
        self.bn = norm_layer(norm, out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], dim=1))


class Stride(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, ::2, ::2]


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels, channels // 2), nn.Linear(channels // 2, channels)
        self.relu, self.gate, self.stride = nn.ReLU(), nn.Hardswish(), stride

    def forward(self, x: Tensor) -> Tensor:
        n, channels = x.shape[:2]
        scale = self.gate(self.fc2(self.relu(self.fc1(x.reshape(n, channels, -1).mean(dim=2)))))
        x = x * scale.view(n, channels, 1, 1)
        return x[:, :, :: self.stride, :: self.stride] if self.stride > 1 else x


class FeedForward(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        layers = nn.Linear(channels, channels), nn.GELU(), nn.Dropout(0.0), nn.Linear(channels, channels), nn.Dropout(0.0)
        self.net = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Transformer(nn.Module):
    def __init__(self, channels: int, stride: int, heads: int = 8) -> None:
        super().__init__()
        inner = channels // heads * heads
        self.heads, self.scale, self.stride = heads, (channels // heads) ** -0.5, stride
        self.to_qkv = nn.Linear(channels, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, channels), nn.Dropout(0.0))
        self.ln1, self.ln2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape
        x = x.reshape(size[0], size[1], -1).permute(0, 2, 1)
        parts = self.to_qkv(self.ln1(x)).chunk(3, dim=-1)
        q, k, v = (part.reshape(*part.shape[:2], self.heads, -1).permute(0, 2, 1, 3) for part in parts)
        weights = (torch.einsum("bhid,bhjd->bhij", q, k) * self.scale).softmax(dim=-1)
        x = self.to_out(torch.einsum("bhij,bhjd->bhid", weights, v).permute(0, 2, 1, 3).reshape(*x.shape[:2], -1)) + x
        x = (self.ff(self.ln2(x)) + x).permute(0, 2, 1).reshape(size)
        return x[:, :, :: self.stride, :: self.stride] if self.stride > 1 else x


class PosEnc(nn.Module):
    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, channels, size, size))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight


def operation(name: str, channels: int, out: int, stride: int, norm: str | None) -> nn.Module:
    k = max(map(int, re.findall(r"\d", name)), default=0)
    half = k // 2
    kind = re.sub(r"(_\dx\d)+$", "", name)
    if kind == "none":
        return nn.Module()
    if kind == "skip_connect":
        return FactorizedReduce(channels, out, norm) if stride == 2 else nn.Identity()
    if kind == "max_pool":
        return nn.MaxPool2d(k, stride, half)
    if kind == "avg_pool":
        return nn.AvgPool2d(k, stride, half, count_include_pad=False)
    if kind == "msa":
        return Transformer(channels, stride)
    if kind == "cse":
        return SqueezeExcite(channels, stride)
    if kind == "sep_conv":
        return Chain(
            nn.ReLU(), conv(channels, channels, k, stride, half, groups=channels), conv(channels, channels, 1),
            norm_layer(norm, channels), nn.ReLU(), conv(channels, channels, k, 1, half, groups=channels),
            conv(channels, out, 1), norm_layer(norm, out),
        )  # fmt: skip
    if kind == "dil_conv":
        depthwise = conv(channels, channels, k, stride, k - k % 2, dilation=2, groups=channels)
        return Chain(nn.ReLU(), depthwise, conv(channels, out, 1), norm_layer(norm, out))
    if name == "conv_7x1_1x7":
        rows = conv(channels, channels, (1, k), (1, stride), (0, half))
        return Chain(nn.ReLU(), rows, conv(channels, out, (k, 1), (stride, 1), (half, 0)), norm_layer(norm, out))
    return Chain(nn.ReLU(), conv(channels, out, k, stride, half), norm_layer(norm, out))


class Cell(nn.Module):
    def __init__(
        self, edges: Any, concat: Any, sizes: tuple[int, int, int], *, reduction: bool, reduced: bool, vit: bool,
        norm: str | None, preproc: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        before, last, out = sizes
        inside = out if preproc else last
        if preproc:
            halved = reduced and not vit
            self.preprocess0 = FactorizedReduce(before, out, norm) if halved else operation("conv_1x1", before, out, 1, norm)
            self.preprocess1 = operation("conv_1x1", last, out, 1, norm)
        else:
            self.preprocess0 = Stride() if reduced and not vit else nn.Identity()
            self.preprocess1 = nn.Identity()
        self.edges, self.concat = [tuple(edge) for edge in edges], list(concat)
        self._ops = nn.ModuleList(
            operation(name, inside if index < 2 else out, out, 2 if reduction and index < 2 and not vit else 1, norm)
            for name, index in edges
        )

    def forward(self, s0: Any, s1: Any) -> Any:
        states = [None if s is None else pre(s) for s, pre in ((s0, self.preprocess0), (s1, self.preprocess1))]
        for i in range(0, len(self.edges), 2):
            total: Any = None
            for (name, index), op in zip(self.edges[i : i + 2], self._ops[i : i + 2]):
                if name != "none" and states[index] is not None:
                    value = op(states[index])
                    total = value if total is None else total + value
            states.append(total)
        kept = [states[i] for i in self.concat]
        known = next((state for state in kept if state is not None), None)
        if known is None:
            return None
        if any(state is None for state in kept):
            zero = known * 0
            kept = [zero if state is None else state for state in kept]
        return torch.cat(kept, dim=1)


class Published(nn.Module):
    """A network of the space from the arguments that its authors store."""

    def __init__(
        self, C: int, num_classes: int, genotype: Mapping[str, Any], n_cells: int, ks: int = 3, is_imagenet_input: bool = True,
        stem_pool: bool = False, stem_type: int = 0, norm: str | None = "bn-track", preproc: bool = True, C_mult: int = 2,
        fc_layers: int = 1, fc_dim: int = 0, glob_avg: bool = True, image_size: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        edges = [*genotype["normal"], *genotype["reduce"]]
        self.vit = any(edge[0] == "msa" for edge in edges)
        self.stem_type = stem_type
        large, before, last, out = is_imagenet_input, C, C, C
        if self.vit:
            self.stem0 = conv(3, C, 16, 16) if large else conv(3, C, 3, 3, 1)
            self.pos_enc = PosEnc(C, 14 if large else 11)
        elif stem_type == 0:
            before = last = 3 * C if preproc and not large else C
            pool = nn.MaxPool2d(3, 2, 1) if stem_pool else nn.Identity()
            self.stem = nn.Sequential(conv(3, last, ks, 4 if large else 1, ks // 2), norm_layer(norm, last), pool)
        else:
            s = 2 if large else 1
            first = conv(3, C // 2, ks, s, ks // 2), norm_layer(norm, C // 2)
            self.stem0 = nn.Sequential(*first, nn.ReLU(), conv(C // 2, C, 3, s, 1), norm_layer(norm, C))
            self.stem1 = nn.Sequential(nn.ReLU(inplace=True), conv(C, C, 3, 2, 1), norm_layer(norm, C))
        cells, reduced = [], stem_type == 1
        for i in range(n_cells):
            reduction = i > 0 and i in (n_cells // 3, 2 * n_cells // 3)
            kind = "reduce" if reduction else "normal"
            out *= C_mult if reduction else 1
            cell = Cell(
                genotype[kind], genotype[kind + "_concat"], (before, last, out), reduction=reduction, reduced=reduced,
                vit=self.vit, norm=norm, preproc=preproc,
            )  # fmt: skip
            cells.append(cell)
            before, last, reduced = last, len(genotype[kind + "_concat"]) * out, reduction
        self.cells = nn.ModuleList(cells)
        self.global_pooling = nn.AdaptiveAvgPool2d(1) if glob_avg else nn.Identity()
        half = stem_type == 1 or stem_pool
        side = 1 if glob_avg else ((7 if half else 14) if large else (4 if half else 8))
        layers: list[nn.Module] = []
        width = last * side * side
        for _ in range(fc_layers - 1):
            layers += [nn.Linear(width, fc_dim), nn.ReLU(), nn.Dropout(0.5)]
            width = fc_dim
        self.classifier = nn.Sequential(*layers, nn.Linear(width, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        if self.vit:
            s0 = s1 = self.pos_enc(self.stem0(x))
        elif self.stem_type == 1:
            s0 = self.stem0(x)
            s1 = self.stem1(s0)
        else:
            s0 = s1 = self.stem(x)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1)
        y = self.global_pooling(s1)
        return self.classifier(y.reshape(y.shape[0], -1))
