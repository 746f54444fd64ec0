"""Decoders: from the state of a node to the tensor of its parameter, up to the largest shape; what is larger is tiled.

Only what is asked for is computed: the pixels of the kernel, and the rows of the last layer that belong to its channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .gated_gnn import Perceptron

Kernel = tuple[int, int]


class ConvDecoder(nn.Module):
    """A node's state as a small image of s × s pixels with features; 1×1 convolutions make weights of them.

    ``conv.2`` has a row for every pair of channels, row out · max_in + in. Source: Knyazev et al., 2021, section 3.3.
    """

    def __init__(self, hid: int, max_shape: tuple[int, int, int, int], num_classes: int) -> None:
        super().__init__()
        self.max_shape, self.num_classes = max_shape, num_classes
        channels, pixels = max_shape[0] * max_shape[1], max_shape[2] * max_shape[3]
        self.fc = nn.Sequential(nn.Linear(hid, 4 * hid * pixels), nn.ReLU())
        self.conv = nn.Sequential(*self.mixing(4 * hid, 8 * hid, channels), nn.Identity())
        self.class_layer_predictor = nn.Sequential(nn.ReLU(), self.mixing_one(max_shape[0], num_classes))

    def mixing(self, before: int, inner: int, after: int) -> tuple[nn.Module, ...]:
        """The two layers that act on each pixel."""
        return self.mixing_one(before, inner), nn.ReLU(), self.mixing_one(inner, after)

    def mixing_one(self, before: int, after: int) -> nn.Module:
        """A layer that acts on each pixel: a 1×1 convolution, which is how checkpoints hold it."""
        return nn.Conv2d(before, after, 1)

    def window(self, kernel: Kernel) -> tuple[slice, slice]:
        """The pixels of a kernel: the corner at the top left."""
        return slice(0, kernel[0]), slice(0, kernel[1])

    def hidden(self, x: Tensor, kernel: Kernel) -> Tensor:
        """(N, hid) → (N, h, w, 8 hid) features of the pixels of a kernel, which is at most s × s."""
        rows, columns = self.window(kernel)
        layer: nn.Linear = self.fc[0]  # type: ignore[assignment]
        size, hid = self.max_shape[2], x.shape[1]
        if (rows, columns) == (slice(0, size), slice(0, size)):
            weight, bias = layer.weight, layer.bias
        else:
            weight = layer.weight.view(4 * hid, size, size, hid)[:, rows, columns].reshape(-1, hid)
            bias = layer.bias.view(4 * hid, size, size)[:, rows, columns].reshape(-1)
        image = F.relu(F.linear(x, weight, bias)).view(len(x), 4 * hid, -1).transpose(1, 2)
        first = self.conv[0]
        features = F.relu(F.linear(image, first.weight.flatten(1), first.bias))  # type: ignore[arg-type]
        return features.view(len(x), rows.stop - rows.start, columns.stop - columns.start, -1)

    def weights(self, features: Tensor, num_out: int, num_in: int) -> Tensor:
        """(N, h, w, 8 hid) → (N, out, in, h, w) for the first channels."""
        last, most = self.conv[2], self.max_shape[1]
        weight, bias = last.weight.flatten(1), last.bias  # type: ignore[operator, union-attr]
        if (num_out, num_in) != self.max_shape[:2]:
            weight = weight.view(-1, most, weight.shape[1])[:num_out, :num_in].reshape(num_out * num_in, -1)
            bias = bias.view(-1, most)[:num_out, :num_in].reshape(-1)  # type: ignore[operator, union-attr]
        n, h, w, size = features.shape
        made = F.linear(features.reshape(-1, size), weight, bias)  # type: ignore[arg-type]
        return made.view(n, h * w, num_out, num_in).permute(0, 2, 3, 1).reshape(n, num_out, num_in, h, w)

    def class_weights(self, x: Tensor, num_in: int) -> Tensor:
        """(N, hid) → (N, classes, in): weights of one pixel, mixed over output channels."""
        full = self.weights(self.hidden(x, (1, 1)), self.max_shape[0], num_in)[..., 0, 0]
        last = self.class_layer_predictor[1]
        weight, bias = last.weight.flatten(1), last.bias  # type: ignore[operator, union-attr]
        return torch.einsum("kc,nci->nki", weight, F.relu(full)) + bias[:, None]  # type: ignore[index]


class CentredDecoder(ConvDecoder):
    """The decoder of GHN-3: the same with linear layers, and kernels from the middle of the image."""

    def mixing_one(self, before: int, after: int) -> nn.Module:
        return nn.Linear(before, after)

    def window(self, kernel: Kernel) -> tuple[slice, slice]:
        middle = self.max_shape[2] // 2
        rows, columns = (slice(max(0, middle - size // 2), middle + (size + 1) // 2) for size in kernel)
        return rows, columns


class DenseDecoder(nn.Module):
    """One perceptron for the whole largest weight (``decoder="mlp"``)."""

    def __init__(self, hid: int, max_shape: tuple[int, int, int, int], num_classes: int) -> None:
        super().__init__()
        self.max_shape, self.num_classes = max_shape, num_classes
        total = max_shape[0] * max_shape[1] * max_shape[2] * max_shape[3]
        self.mlp = Perceptron((hid, 2 * hid, total), last_activation=False)
        self.class_layer_predictor = nn.Sequential(nn.ReLU(), nn.Linear(2 * hid, num_classes * max_shape[0]))

    def hidden(self, x: Tensor, kernel: Kernel) -> Tensor:
        """(N, hid) → (N, h, w, out · in): weights of the pixels of a kernel."""
        made = self.mlp(x).view(len(x), self.max_shape[0] * self.max_shape[1], *self.max_shape[2:])
        return made[:, :, : kernel[0], : kernel[1]].permute(0, 2, 3, 1)

    def weights(self, features: Tensor, num_out: int, num_in: int) -> Tensor:
        """(N, h, w, out · in) → (N, out, in, h, w) for the first channels."""
        made = features.permute(0, 3, 1, 2).reshape(len(features), *self.max_shape[:2], *features.shape[1:3])
        return made[:, :num_out, :num_in]

    def class_weights(self, x: Tensor, num_in: int) -> Tensor:
        """(N, hid) → (N, classes, in)."""
        made: Tensor = self.class_layer_predictor(self.mlp.fc[0](x))
        return made.view(len(x), self.num_classes, self.max_shape[1])[:, :, :num_in]


Decoder = ConvDecoder | DenseDecoder
