"""Formats of data: dtypes, memory layouts, integers alone, scalars and losses as results."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F

from tests.tracing.cases import Tensor, case, conv, floats, head, ids, nn, together, torch


@case(lambda n: torch.randn(6, n, 5).transpose(0, 1)[..., ::2])
class NotContiguous(nn.Module):
    """The input has holes and turned strides; the model asks about them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.contiguous().view(x.shape[0], -1, 3)) + x.reshape(x.shape[0], 18).view(-1, 6, 3)


@case(lambda n: torch.randn(n, 3, 6, 6).to(memory_format=torch.channels_last))
def channels_last() -> nn.Module:
    """Weights and inputs channels last."""
    model = nn.Sequential(conv(3, 4), nn.BatchNorm2d(4), nn.ReLU(), ToChannelsLast(), conv(4, 4), head(4))
    return model.to(memory_format=torch.channels_last)


class ToChannelsLast(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        return F.layer_norm(y.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


@case(lambda n: torch.randn(n, 3, 6, 6, dtype=torch.float64))
def double_precision() -> nn.Module:
    """Everything in float64."""
    return nn.Sequential(conv(3, 4), nn.BatchNorm2d(4), nn.GELU(), nn.Dropout(0.2), head(4)).double()


@case(lambda n: torch.randn(n, 6).bfloat16())
def half_precision() -> nn.Module:
    """Everything in bfloat16."""
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.SiLU(), nn.Linear(8, 3)).bfloat16()


@case(floats(6))
class MixedPrecision(nn.Module):
    """Parts in other dtypes, converted by hand under all names."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6).bfloat16(), nn.Linear(6, 6).double()

    def forward(self, x: Tensor) -> Tensor:
        y = self.b(self.a(x).to(torch.bfloat16)).float() + self.c(x.double()).type_as(x)
        z = y.to(dtype=torch.float64).to(x) + y.half().to(torch.float32) + self.c(y.to(self.c.weight.dtype)).type(torch.float32)
        return z * (y > 0).int() + y.long().bool().to(y.dtype)


@case(lambda n: torch.randint(0, 256, (n, 3, 6, 6), dtype=torch.uint8))
class BytesIn(nn.Module):
    """Images as bytes, scaled inside; a mask of booleans out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(3, 1)
        self.register_buffer("mean", torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.conv((x.float() / 255 - self.mean) / 0.25)
        return y > 0, (y * 10).to(torch.int8), y


@case(together(floats(6), lambda n: torch.randint(0, 4, (n,))))
class LossInside(nn.Module):
    """Cross entropy with smoothing, weights and an ignored class: a scalar result."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 4)
        self.loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5, 1.0]), label_smoothing=0.1, ignore_index=3)

    def forward(self, x: Tensor, target: Tensor) -> dict[str, Tensor]:
        logits = self.fc(x)
        accuracy = (logits.argmax(1) == target).float().mean()
        return {"loss": self.loss(logits, target) + F.nll_loss(logits.log_softmax(1), target), "accuracy": accuracy}


@case(together(floats(6), floats(6), lambda n: torch.rand(n, 6).round()))
class ManyLosses(nn.Module):
    """Regression, binary and ranking losses, reduced in all ways."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        p = self.fc(x)
        total = F.mse_loss(p, y) + F.l1_loss(p, y, reduction="sum") + F.smooth_l1_loss(p, y, beta=0.5) + F.huber_loss(p, y)
        total = total + F.binary_cross_entropy_with_logits(p, z, pos_weight=torch.full((6,), 2.0))
        total = total + F.kl_div(p.log_softmax(1), y.softmax(1), reduction="batchmean") + F.binary_cross_entropy(p.sigmoid(), z)
        total = total + F.cosine_embedding_loss(p, y, torch.ones(x.shape[0])) + F.triplet_margin_loss(p, y, z)
        return total + F.poisson_nll_loss(p, z) + F.margin_ranking_loss(p[:, 0], y[:, 0], torch.ones(1))


@case(ids(6))
class LanguageModelLoss(nn.Module):
    """Labels are the input shifted by one; scores and the loss come out together."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(11, 6, max_norm=None), nn.Linear(6, 11)

    def forward(self, input_ids: Tensor) -> dict[str, Any]:
        logits = self.head(self.embed(input_ids)).float()
        shifted, labels = logits[..., :-1, :].contiguous(), input_ids[..., 1:].contiguous()
        return {"loss": F.cross_entropy(shifted.view(-1, 11), labels.view(-1)), "logits": logits}


@case(floats(6))
class ScalarOut(nn.Module):
    """Zero-dimensional tensors all the way: sums, products with numbers, minimum and maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        return (y.sum() * 2 - y.max()).clamp(-5, 5) / (1 + y.abs().min()) + torch.linalg.norm(self.fc.weight) ** 2 * 1e-3


@case(lambda n: torch.randn(n, 6, dtype=torch.complex64))
class ComplexIn(nn.Module):
    """Complex inputs, weights and activation."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 3, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        y = x @ self.weight
        return y * torch.sigmoid(y.abs())


@case(lambda n: torch.randn(n, 0, 4))
class EmptyAxis(nn.Module):
    """An axis of length zero."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.cat([x, torch.ones(x.shape[0], 1, 4)], 1)).sum(1) + self.fc(x).sum(1)
