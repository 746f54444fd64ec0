"""The networks of NAS-Bench-201 as plain PyTorch modules, written from the paper's description, to hold the space against."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ReLUConvBN(nn.Module):
    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
        self.op = nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class AvgPool(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.op = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 0.0


def layer(name: str, channels: int) -> nn.Module:
    if name.startswith("nor_conv"):
        return ReLUConvBN(channels, channels, int(name[-1]))
    return {"none": Zero, "skip_connect": nn.Identity, "avg_pool_3x3": AvgPool}[name]()


class Cell(nn.Module):
    def __init__(self, cell: str, channels: int) -> None:
        super().__init__()
        nodes = [node.strip("|").split("|") for node in cell.split("+")]
        self.sources = [[int(edge.split("~")[1]) for edge in node] for node in nodes]
        self.layers = nn.ModuleList(layer(edge.split("~")[0], channels) for node in nodes for edge in node)

    def forward(self, x: Tensor) -> Tensor:
        values, layers = [x], iter(self.layers)
        for sources in self.sources:
            total: Any = 0
            for source in sources:
                total = total + next(layers)(values[source])
            values.append(total)
        return values[-1]


class Residual(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv_a, self.conv_b = ReLUConvBN(channels, out, 3, 2), ReLUConvBN(out, out, 3)
        self.downsample = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(channels, out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.downsample(x) + self.conv_b(self.conv_a(x))


class Published(nn.Module):
    """The whole network around a cell."""

    def __init__(self, cell: str, C: int = 16, N: int = 5, num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, C, 3, padding=1, bias=False), nn.BatchNorm2d(C))
        cells: list[nn.Module] = [Cell(cell, C) for _ in range(N)]
        for width in (2 * C, 4 * C):
            cells += [Residual(width // 2, width), *(Cell(cell, width) for _ in range(N))]
        self.cells = nn.ModuleList(cells)
        self.lastact = nn.Sequential(nn.BatchNorm2d(4 * C), nn.ReLU())
        self.global_pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(4 * C, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for cell in self.cells:
            x = cell(x)
        return self.classifier(torch.flatten(self.global_pooling(self.lastact(x)), 1))
