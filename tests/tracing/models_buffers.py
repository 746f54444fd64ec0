"""Buffers that forward changes, and the many forms of batch norm."""

from __future__ import annotations

import copy

import torch.nn.functional as F

from tests.tracing.cases import Tensor, case, conv, floats, head, nn, torch


@case(floats(6))
class Counter(nn.Module):
    """Counts every call, in both modes, and lets the count bear on the result."""

    steps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.register_buffer("steps", torch.tensor(0, dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        self.steps += 1
        return self.fc(x) / self.steps


@case(floats(6))
class ReassignedBuffer(nn.Module):
    """The buffer is replaced, not written: ``self.b = f(self.b)``."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.register_buffer("total", torch.zeros(6))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.total = self.total * 0.9 + x.detach().mean(0) * 0.1
            self.calls = self.calls + 1
        return self.fc(x - self.total)


@case(floats(4, 6))
class TableMadeWhenFirstCalled(nn.Module):
    """ConViT: a placeholder, in no checkpoint, is replaced by a table of another shape when the length is known."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.position = nn.Linear(6, 6), nn.Linear(2, 6)
        self.register_buffer("table", torch.zeros(1, 2), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.table.shape[0] != x.shape[1]:
            steps = torch.arange(x.shape[1], dtype=torch.float32)
            self.table = torch.stack([steps, steps**2], 1)
        return self.fc(x) + self.position(self.table)


@case(floats(6))
class MovingAverage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("var", torch.ones(6))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(x.mean(0), 0.1)
                self.var.mul_(0.9).add_(x.var(0, unbiased=False), alpha=0.1)
        return self.fc((x - self.mean) / torch.sqrt(self.var + 1e-5))


@case(floats(6))
class MomentumEncoder(nn.Module):
    """MoCo: the key encoder's parameters follow the query encoder's; negatives wait in a queue."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(6, 4), nn.Linear(6, 4)
        for parameter in self.key.parameters():
            parameter.requires_grad = False
        self.register_buffer("queue", F.normalize(torch.randn(4, 8), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            for q, k in zip(self.query.parameters(), self.key.parameters()):
                k.data = k.data * 0.9 + q.data * 0.1
        keys = F.normalize(self.key(x), dim=1)
        queries = F.normalize(self.query(x), dim=1)
        return torch.cat([(queries * keys).sum(1, keepdim=True), queries @ self.queue.clone().detach()], dim=1)


@case(floats(6))
class RingBuffer(nn.Module):
    """The last three batch means, rotated in place."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 2)
        self.register_buffer("ring", torch.zeros(3, 6))

    def forward(self, x: Tensor) -> Tensor:
        self.ring[1:] = self.ring[:-1].clone()
        self.ring[0] = x.detach().mean(0)
        return self.fc(x) + self.fc(self.ring).mean(0)


@case(floats(6), exported=False)
class BufferAsPointer(nn.Module):
    """A pointer kept in a buffer says where to write: data indexes data."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.register_buffer("memory", torch.zeros(5, 6))
        self.register_buffer("pointer", torch.zeros(1, dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        self.memory.index_copy_(0, self.pointer, x.detach().mean(0, keepdim=True))
        self.pointer.add_(1).remainder_(5)
        return self.fc(x) + self.memory.sum(0)


@case(floats(3, 6, 6))
class CumulativeBatchNorm(nn.Module):
    """``momentum=None``: the factor is 1 / number of batches, a Python float from a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = conv(3, 4), nn.BatchNorm2d(4, momentum=None)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


def freeze_first(module: nn.Module) -> None:
    """The first norm stays in evaluation mode whatever the model does."""
    module.get_submodule("norm1").eval()


@case(floats(3, 6, 6), prepare=freeze_first)
class OneNormFrozen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1, self.conv2, self.norm2 = conv(3, 4), nn.BatchNorm2d(4), conv(4, 4), nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


def freeze_body(module: nn.Module) -> None:
    """The body evaluates while the head trains."""
    module.get_submodule("body").eval()


@case(floats(3, 6, 6), prepare=freeze_body)
class BodyFrozen(nn.Module):
    """A pretrained body in evaluation mode, with its own functional calls that read its own flag."""

    class Body(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = conv(3, 4), nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(F.relu(self.norm(self.conv(x))), 0.5, self.training)

    def __init__(self) -> None:
        super().__init__()
        self.body, self.drop, self.head = self.Body(), nn.Dropout(0.5), head(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(self.body(x)))


@case(floats(3, 6, 6))
class TrainOverridden(nn.Module):
    """``train()`` of the model keeps its norms frozen: they evaluate in every mode."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = conv(3, 4), nn.BatchNorm2d(4), nn.Dropout(0.3)

    def train(self, mode: bool = True) -> TrainOverridden:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.norm(self.conv(x)))


@case(floats(3, 6, 6))
class NormVariants(nn.Module):
    """Without running statistics, without affine weights, without either; a layer given statistics by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.BatchNorm2d(3, track_running_stats=False)
        self.b = nn.BatchNorm2d(3, affine=False, eps=1e-3, momentum=0.3)
        self.c = nn.BatchNorm2d(3, affine=False, track_running_stats=False)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("var", torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.c(self.b(self.a(x)))
        return F.batch_norm(x, self.mean, self.var, training=False, momentum=0.5)


@case(floats(4, 6))
class NormsOverTime(nn.Module):
    """BatchNorm1d on three axes, LayerNorm, GroupNorm, and an instance norm that tracks statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.bn, self.ln = nn.BatchNorm1d(4), nn.LayerNorm((4, 6), elementwise_affine=False)
        self.gn, self.inorm = nn.GroupNorm(2, 4), nn.InstanceNorm1d(4, affine=True, track_running_stats=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.inorm(self.gn(self.ln(self.bn(x))))


@case(floats(5, 4))
class VectorQuantizer(nn.Module):
    """VQ-VAE with a codebook updated by moving averages, and a straight-through result."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("codes", torch.randn(7, 4))
        self.register_buffer("counts", torch.ones(7))
        self.register_buffer("sums", torch.randn(7, 4))
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.fc(x)
        flat = z.reshape(-1, 4)
        nearest = (flat.pow(2).sum(1, keepdim=True) - 2 * flat @ self.codes.t() + self.codes.pow(2).sum(1)).argmin(1)
        hot = F.one_hot(nearest, 7).type(flat.dtype)
        quantized = F.embedding(nearest, self.codes).view_as(z)
        if self.training:
            self.counts.mul_(0.9).add_(hot.sum(0), alpha=0.1)
            self.sums.mul_(0.9).add_(hot.t() @ flat.detach(), alpha=0.1)
            self.codes.copy_(self.sums / self.counts.unsqueeze(1).clamp(min=1e-5))
        loss = F.mse_loss(z, quantized.detach())
        return z + (quantized - z).detach(), loss


@case(floats(6))
class RangeObserver(nn.Module):
    """Quantisation-aware training: minimum and maximum seen so far, then a fake quantisation."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.register_buffer("low", torch.tensor(float("inf")))
        self.register_buffer("high", torch.tensor(float("-inf")))

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        self.low.copy_(torch.minimum(self.low, y.detach().amin()))
        self.high.copy_(torch.maximum(self.high, y.detach().amax()))
        scale = (self.high - self.low) / 255
        rounded = torch.round((y - self.low) / scale).clamp(0, 255) * scale + self.low
        return y + (rounded - y).detach()


@case(floats(5, 4))
class NotPersistent(nn.Module):
    """A buffer outside the state dict, one that is None, and one sliced by length."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positions", torch.arange(12).expand((1, -1)), persistent=False)
        self.register_buffer("absent", None)
        self.embed = nn.Embedding(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.embed(self.positions[:, : x.shape[1]])
        return x if self.absent is None else x * self.absent


@case(floats(6))
class MeanTeacher(nn.Module):
    """A copy of the network follows it in training, weights and statistics, and is run in training mode itself."""

    def __init__(self) -> None:
        super().__init__()
        self.student = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 4))
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)

    @torch.no_grad()
    def follow(self) -> None:
        for own, other in zip(self.teacher.parameters(), self.student.parameters()):
            own.lerp_(other, 0.1)
        for own, other in zip(self.teacher.buffers(), self.student.buffers()):
            own.copy_(other)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.training:
            self.follow()
        with torch.no_grad():
            target = self.teacher(x)
        return self.student(x), target


def teacher_evaluates(model: nn.Module) -> None:
    """The teacher follows though it is in evaluation mode."""
    model.get_submodule("teacher").eval()


@case(floats(6), prepare=teacher_evaluates)
def teacher_in_evaluation() -> nn.Module:
    return MeanTeacher()


@case(floats(4))
class BuffersPassedOn(nn.Module):
    """A shift register: each buffer takes what the one before it had."""

    def __init__(self) -> None:
        super().__init__()
        for i in range(3):
            self.register_buffer(f"stage_{i}", torch.full((4,), float(i)))
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x) + self.stage_2
        self.stage_2.copy_(self.stage_1)
        self.stage_1.copy_(self.stage_0)
        self.stage_0.copy_(x.detach().mean(0))
        return y * self.stage_1
