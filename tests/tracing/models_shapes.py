"""Shapes: arithmetic with the batch, axes merged with it, sizes of other tensors, paddings computed in Python."""

from __future__ import annotations

import math

import torch.nn.functional as F

from tests.tracing.cases import Tensor, case, conv, floats, head, nn, together, torch


@case(floats(4, 6))
class BatchAndTimeMerged(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        y = self.fc(x.view(n * t, -1))
        z = self.fc(x.flatten(0, 1)).unflatten(0, (n, t))
        return y.reshape(n, t, 5).mean(1) + z.view(-1, t * 5).view(n, t, -1).sum(1)


@case(floats(6))
class ArithmeticWithTheBatch(nn.Module):
    """Means over the batch, by the function and by dividing by its size; products and sums of sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        centred = y - y.mean(0) - y.sum(dim=0, keepdim=True) / x.shape[0]
        return centred * x.size(0) + len(x) * 2 - y.numel() // 5


@case(floats(6), free=None)
class FloatOfTheBatch(nn.Module):
    """Python floats made of the batch size: right at every size, or the batch is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[0]
        return self.fc(x) * (1 / n) + len(x) / 2 + math.log(n) + n**0.5


@case(floats(6), free=None)
class HalfOfTheBatch(nn.Module):
    """Rounded divisions of the batch size; half of the batch is its own negative."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        half = max(1, x.shape[0] // 2)
        y = self.fc(x[:half]) * x.shape[0]
        return torch.cat([y, -self.fc(x[half:])], dim=0) + (x.shape[0] + 1) // 2


@case(floats(6))
class SquareRootOfTheBatch(nn.Module):
    """A Python function of the batch that is no polynomial: torch.sqrt of a tensor would be, math.sqrt is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) * math.sqrt(x.shape[1]) / torch.sqrt(torch.tensor(float(x.shape[-1]) + 2))


@case(floats(3, 6, 6))
class ViewsJoinedInBatch(nn.Module):
    """SimCLR: two views concatenated along the batch, encoded together, all pairs compared."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(conv(3, 4), nn.BatchNorm2d(4), head(4, 5))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        n = x.shape[0]
        z = F.normalize(self.net(torch.cat([x, x.flip(-1)], dim=0)), dim=1)
        scores = z @ z.t() / 0.1
        scores = scores.masked_fill(torch.eye(2 * n, dtype=torch.bool), -1e9)
        labels = torch.cat([torch.arange(n) + n, torch.arange(n)])
        first, second = z.split(n, dim=0)
        return F.cross_entropy(scores, labels), (first * second).sum(1)


@case(floats(6))
class AllPairs(nn.Module):
    """N × N results; expand and repeat by the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        n = x.size(0)
        left, right = x.unsqueeze(1).expand(n, n, 6), x.repeat(n, 1).view(n, n, 6)
        return self.fc(torch.cat([left, right], -1)) + torch.arange(n).view(1, n, 1)


@case(floats(6))
class PrefixByBatch(nn.Module):
    """A prompt repeated per sample, an index by arange of the batch, zeros and ones of its size."""

    def __init__(self) -> None:
        super().__init__()
        self.prompt, self.fc = nn.Parameter(torch.randn(2, 6)), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[0]
        y = torch.cat([self.prompt.unsqueeze(0).repeat(n, 1, 1), self.fc(x)[:, None]], dim=1)
        last = y[torch.arange(n), torch.full((n,), 2)]
        return last + torch.zeros(n, 1) + x.new_ones((n, 6)) + torch.linspace(0, 1, 6).expand(n, -1)


@case(floats(8, 4, 4))
class PixelMoves(nn.Module):
    """Pixel shuffle and its inverse, channel shuffle, space to depth by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(8, 8, 3, padding=1, groups=4), conv(8, 8, 1)
        self.up, self.down = nn.PixelShuffle(2), nn.PixelUnshuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = self.a(x).view(n, 4, c // 4, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)
        x = F.channel_shuffle(x, 2) + self.b(self.down(self.up(x)))
        y = x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(n, c * 4, h // 2, w // 2)
        return F.pixel_shuffle(y, 2)


@case(floats(3, 8, 8))
class UnfoldAndFold(nn.Module):
    """Convolution by unfold and a matrix; patches by Tensor.unfold."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.fc = nn.Parameter(torch.randn(4, 27)), nn.Linear(48, 48)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        columns = F.unfold(x, kernel_size=3, padding=1)
        y = (self.weight @ columns).view(x.shape[0], 4, *x.shape[2:])
        patches = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(3)
        tokens = self.fc(patches).flatten(1, 2).transpose(1, 2)
        return y, F.fold(tokens, output_size=x.shape[-2:], kernel_size=(4, 4), stride=4)


@case(floats(3, 9, 7))
class Pools(nn.Module):
    """Adaptive pools to sizes that do not divide, pools with ceiling, with indices, and unpooling; pyramids."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(3, 4)
        self.pools = nn.ModuleList([nn.AdaptiveAvgPool2d((2, 3)), nn.AdaptiveMaxPool2d((None, 2)), nn.LPPool2d(2, 2)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        flat = [pool(x).flatten(1) for pool in self.pools]
        y, where = F.max_pool2d(x, 2, return_indices=True)
        y = F.max_unpool2d(y, where, 2, output_size=x.shape[-2:])
        y = F.avg_pool2d(y, 3, 2, padding=1, ceil_mode=True, count_include_pad=False)
        return torch.cat([*flat, y.flatten(1), F.max_pool2d(x, 2, ceil_mode=True).flatten(1)], dim=1)


@case(floats(3, 9, 7))
class ResizesToOther(nn.Module):
    """A feature pyramid: interpolate to the size of another tensor, in several modes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = conv(3, 4), nn.Conv2d(4, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2)
        self.up = nn.Upsample(scale_factor=2, mode="bicubic", align_corners=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.a(x)
        middle = self.b(fine)
        coarse = self.c(middle)
        middle = middle + F.interpolate(coarse, size=middle.shape[-2:], mode="nearest")
        fine = fine + F.interpolate(middle, size=x.shape[2:], mode="bilinear", align_corners=False)
        return fine, self.up(coarse)


class SameConv(nn.Conv2d):
    """Padding computed from the input's size, as TensorFlow pads."""

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.size()[-2:]
        pad = []
        for size, kernel, stride, dilation in zip((columns, rows), self.kernel_size[::-1], self.stride, self.dilation):
            total = max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
            pad += [total // 2, total - total // 2]
        x = F.pad(x, pad, value=0.0) if any(pad) else x
        return F.conv2d(x, self.weight, self.bias, self.stride, (0, 0), self.dilation, self.groups)


@case(floats(3, 9, 7))
class SamePadding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = SameConv(3, 4, 3, stride=2), SameConv(4, 4, 5, stride=2, groups=4)
        self.c = nn.Conv2d(4, 4, 4, padding="same", padding_mode="circular")
        self.d = nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        return self.d(self.c(F.silu(self.b(F.silu(self.a(x))))))


@case(floats(3, 13, 11))
class CroppingUNet(nn.Module):
    """Skip connections cut to size, or padded where they are short."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.inner = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 4, 3)
        self.up, self.out = nn.ConvTranspose2d(4, 3, 3, 2, output_padding=1), conv(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(F.relu(self.inner(F.relu(self.down(x)))))
        top, left = (x.shape[2] - y.shape[2]) // 2, (x.shape[3] - y.shape[3]) // 2
        cropped = x[:, :, top : top + y.shape[2], left : left + y.shape[3]]
        y = self.out(torch.cat([cropped, y], 1))
        dh, dw = x.size(2) - y.size(2), x.size(3) - y.size(3)
        return F.pad(y, [dw // 2, dw - dw // 2, dh // 2, dh - dh // 2])


@case(together(floats(3, 6, 6), floats(5)))
class Broadcasts(nn.Module):
    """A vector tiled over space, singleton axes everywhere, squeezes of all kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = conv(8, 4), nn.Linear(4, 1)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        tiled = z[:, :, None, None].expand(-1, -1, x.size(2), x.size(3))
        y = self.conv(torch.cat((x, tiled), dim=1)).mean([2, 3], keepdim=True)
        y = self.fc(y.squeeze(-1).squeeze(-1)).squeeze(1)
        return y.view(-1, 1).expand_as(z) + torch.atleast_2d(y).t() * z.unsqueeze(0).squeeze(0)


@case(floats(4, 6), free=False)
class LoopOverBatch(nn.Module):
    """Python walks over the samples: the batch cannot be free."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.fc(sample).softmax(-1).mean(0) for sample in x])


@case(floats(6, 5, 4))
class Rearranged(nn.Module):
    """Moves of axes under all their names."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x.movedim(1, -1)).moveaxis(-1, 1)
        y = torch.rot90(y, 1, [2, 3]).swapdims(2, 3) + y.mT.transpose(-1, -2)
        y = torch.tensor_split(y, (1, 4), dim=1)[1] + y.narrow(1, 2, 3) + torch.select(y, 1, 0)[:, None]
        return torch.hstack([y, y.roll(1, 1)]).tile(1, 1, 2, 1).permute(*range(4)[::-1]).permute(3, 2, 1, 0)
