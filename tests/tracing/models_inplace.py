"""In-place calls and writes through views."""

from __future__ import annotations

import torch.nn.functional as F

from tests.tracing.cases import Tensor, case, conv, floats, nn, torch


@case(floats(3, 6, 6))
class InplaceActivations(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = conv(3, 4), conv(4, 4)
        self.act, self.norm = nn.ReLU6(inplace=True), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.a(x))
        z = F.leaky_relu(self.b(y), 0.1, inplace=True)
        z = z * 1
        z += y
        z = self.norm(z)
        z.mul_(0.5).sub_(1).clamp_(min=-0.5)
        return F.hardswish(z * 2, inplace=True).add_(y, alpha=2)


@case(floats(6))
class ResultUsedAfterWrite(nn.Module):
    """``F.relu(x, inplace=True)`` is thrown away: x itself is used on."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.fc(x)
        kept = y * 1
        F.relu(y, inplace=True)
        return y + kept, kept


@case(floats(6, 5))
class WritesSlices(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x).clone()
        y[:, 1:3] = x[:, :2] * 2
        y[:, -1] = 0
        y[..., ::2] += x[..., ::2]
        y[:, 0, 1] = y[:, 1, 2]
        return y


@case(floats(6, 5))
class WritesByMask(nn.Module):
    """Boolean masks that depend on the data, on either side."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        mask = x > 0
        y = y.clone()
        y[mask] = 0.0
        y[y.abs() > 1] *= 0.5
        y.masked_fill_(x < -1, -3.0)
        return y


@case(floats(6, 5))
class WritesByIndex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("order", torch.tensor([4, 0, 2]))
        self.fc = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.zeros_like(x)
        y[:, self.order] = self.fc(x)[:, :3]
        y[:, [1, 3]] = x[:, [0, 1]]
        y.index_add_(1, self.order, x[:, 3:])
        return y


@case(floats(4, 4))
class ThroughTranspose(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        y = y + 0
        y.transpose(1, 2)[:, 0].mul_(3)
        y.mT.add_(x)
        return y


@case(floats(6))
class ThroughChunks(nn.Module):
    """Chunks are views: writing to one changes the whole and its other readers. Autograd forbids it, so no gradient here."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        z = y.detach() * 1
        left, right = z.chunk(2, dim=1)
        left *= 2
        right.relu_()
        whole = z.sum(1, keepdim=True)
        left -= whole
        return torch.cat([right, left, z], dim=1) + torch.cat([y, y], dim=1)


@case(floats(7))
class ThroughSplit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(7, 7)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            y = self.fc(x) + 0.0
            a, b, c = torch.split(y, [2, 4, 1], dim=-1)
            a.copy_(b[:, 1:3])
            c.zero_()
        return self.fc(y * b.mean(-1, keepdim=True))


@case(floats(3, 5))
class ThroughSelect(nn.Module):
    """Rows by unbind, select and plain indexing of one tensor without gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x).detach()
        first, second, third = y.unbind(1)
        y.select(1, 0).sigmoid_()
        second.add_(first)
        y[:, 2].add_(second * third.mean())
        return self.fc(y)


@case(floats(4, 4, 4))
class ViewsOfViews(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = x * 1.5
        flat = y.view(x.shape[0], 4, 16)
        part = flat[:, 1:3].permute(2, 0, 1)[4:8]
        part += 10
        z = self.conv(flat + 0)
        flat.narrow(1, 0, 1).squeeze(1).neg_()
        return z + y.flatten(2)


@case(floats(4, 4))
class ThroughDiagonal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x).clone()
        y.diagonal(dim1=1, dim2=2).fill_(1.0)
        y.diagonal(offset=1, dim1=-2, dim2=-1).mul_(x[:, :3, 0])
        return torch.matmul(y, x)


@case(floats(6))
class OutArguments(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randn(6, 6))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        result = torch.empty_like(x)
        torch.mul(x, 2, out=result)
        total = torch.empty(x.shape[0], 6)
        torch.matmul(result, self.weight, out=total)
        torch.add(total, x, out=result[:, :])
        return result + total


@case(floats(6))
class ViewSeesLaterWrites(nn.Module):
    """A view taken before a write to its base must show the write."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.fc(x) + 0
        before = y[:, :3]
        copy = before.clone()
        y.mul_(2)
        y[:, 1].add_(1)
        return before - copy, y.reshape(x.shape[0], 2, 3)


@case(floats(5, 3))
class FillsStepByStep(nn.Module):
    """A result allocated first and written row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        out = x.new_zeros(x.size(0), x.size(1), 3)
        state = torch.zeros(x.size(0), 3)
        for t in range(x.size(1)):
            state = torch.tanh(self.cell(torch.cat([x[:, t], state], -1)))
            out[:, t] = state
        return out


@case(floats(6))
class ChangesItsInputsClone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = x.clone()
        x[:, 0] = 0
        y = self.fc(x + 0)
        x.exp_()
        return y + x


@case(floats(4, 6))
class MetadataInPlace(nn.Module):
    """Calls that change the shape of the tensor object itself."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        y.transpose_(1, 2)
        z = self.fc(y)
        z.unsqueeze_(1)
        z.add_(1)
        return z.squeeze_(1).swapaxes_(1, 2) + x


@case(floats(6))
class FusedInPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x) * 1
        y.addcmul_(x, x, value=0.5).addcdiv_(x, x.abs() + 1).lerp_(x, 0.25)
        y **= 2
        y /= 3
        y.floor_divide_(0.1) if False else y.round_(decimals=2)
        return y


@case(floats(6, 4))
class ScattersInPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        top = self.score(x).squeeze(-1).topk(2, dim=1).indices
        mask = torch.zeros(x.shape[:2], device=x.device)
        mask.scatter_(1, top, 1.0)
        x = x * mask.unsqueeze(-1)
        bins = x.new_zeros(x.shape[0], 4)
        bins.scatter_add_(1, top % 4, x[:, :2, 0])
        return x.sum(1) + bins


@case(floats(3, 6, 6))
class WritesToExpanded(nn.Module):
    """Broadcast writes of numbers, of smaller tensors, and a swap of halves through a copy."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x).clone()
        y[:, 0] = x.mean(1)
        y[:, 1, 2:4, 2:4] = torch.ones(2)
        half = y[:, :2].clone()
        y[:, :2], y[:, 2:] = y[:, 2:].clone(), half
        y[:, :, -1].copy_(y[:, :, 0])
        return y


@case(floats(6))
class WeightsKeptShort(nn.Module):
    """EEGNet: every call first renormalises the weights through ``.data``; others clip them under ``no_grad``."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        self.a.weight.data = torch.renorm(self.a.weight.data, p=2, dim=0, maxnorm=0.5)
        with torch.no_grad():
            self.b.weight.clamp_(-0.1, 0.1)
        return self.b(torch.tanh(self.a(x)))


@case(floats(6))
class WritesUnseenByGradients(nn.Module):
    """Activations changed under ``no_grad`` and through ``.data``, whole and in part, then in the ordinary way."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        first = y[:, 0]
        with torch.no_grad():
            y.clamp_(-0.5, 0.5)
            y[:, :2].mul_(-0.0)
        y.data[:, 3] = 1
        z = y * 2
        z[:, 1] = 3
        return z + first.unsqueeze(1)


@case(floats(6))
class AliasThroughNoOps(nn.Module):
    """Calls that return the same tensor: contiguous, to, reshape, float; writes go through all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x) + 0
        same = y.contiguous().to(torch.float32).reshape(x.shape[0], 6).float().view_as(x).expand(x.shape[0], 6)
        same[:, :2].zero_()
        y.data.mul_(2)
        return y + same
