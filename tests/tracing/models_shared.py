"""Shared modules and tied weights."""

from __future__ import annotations

import torch.nn.functional as F

from tests.tracing.cases import Tensor, case, conv, floats, head, ids, nn, together, torch


@case(floats(6))
class CalledTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.fc(x)))


class Holder(nn.Module):
    def __init__(self, shared: nn.Module) -> None:
        super().__init__()
        self.own, self.shared = nn.Linear(6, 6), shared

    def forward(self, x: Tensor) -> Tensor:
        return self.shared(self.own(x))


@case(floats(6))
class TwoParents(nn.Module):
    """One block registered under two parents: its keys stand twice in the state dict."""

    def __init__(self) -> None:
        super().__init__()
        block = nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6), nn.ReLU())
        self.left, self.right = Holder(block), Holder(block)

    def forward(self, x: Tensor) -> Tensor:
        return self.left(x) - self.right(x)


@case(floats(6))
class NestedSharing(nn.Module):
    """A block inside itself by two names, and its inner layer called from outside too."""

    def __init__(self) -> None:
        super().__init__()
        inner = nn.Linear(6, 6)
        self.outer = nn.ModuleDict({"a": Holder(inner), "b": Holder(inner)})
        self.again = self.outer["a"]
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.again(self.outer["b"](self.outer["a"](x))))


@case(floats(3, 6, 6))
class BatchNormTwice(nn.Module):
    """Running statistics are updated twice per step, and counted twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = conv(3, 3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(F.relu(self.norm(self.conv(x)))))


@case(together(floats(3, 6, 6), floats(3, 6, 6)))
class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(conv(3, 4), nn.BatchNorm2d(4), nn.ReLU(inplace=True), head(4, 5))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return F.pairwise_distance(self.tower(a), self.tower(b))


@case(ids(7))
class TiedHead(nn.Module):
    """A language model whose output matrix is its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.body = nn.Linear(6, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(torch.tanh(self.body(self.embed(tokens))))


@case(floats(8))
class TransposedTie(nn.Module):
    """Autoencoder: the decoder is the encoder transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(8, 3)
        self.bias = nn.Parameter(torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(torch.sigmoid(self.encoder(x)), self.encoder.weight.t(), self.bias)


@case(ids(5))
class TiedSlice(nn.Module):
    """The head uses some rows of the embedding, the bias some of a longer one."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.bias = nn.Parameter(torch.randn(11))

    def forward(self, tokens: Tensor) -> Tensor:
        return F.linear(self.embed(tokens), self.embed.weight[2:9], self.bias[2:9])


@case(floats(6))
class TiedThrice(nn.Module):
    """One weight under three names, with two biases of which one is tied too."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6, bias=False)
        self.c.weight = self.b.weight = self.a.weight
        self.b.bias = self.a.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.c(F.relu(self.b(x))) + self.a(x)


@case(floats(6))
class TiedUnusedFirst(nn.Module):
    """The name that comes first in the state dict is never called; the weight is used by its second name."""

    def __init__(self) -> None:
        super().__init__()
        self.idle, self.busy = nn.Linear(6, 6), nn.Linear(6, 6)
        self.busy.weight = self.idle.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.busy(x)


@case(floats(6))
class ReachesIntoSibling(nn.Module):
    """A layer's weight is used by another function, its own call is never made."""

    def __init__(self) -> None:
        super().__init__()
        self.donor, self.layer = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x @ self.donor.weight + self.donor.bias) * self.layer.weight.mean()


@case(floats(6))
class SequentialWithRepeats(nn.Module):
    """The same objects at several places of one Sequential."""

    def __init__(self) -> None:
        super().__init__()
        fc, act = nn.Linear(6, 6), nn.ReLU()
        self.net = nn.Sequential(fc, act, nn.Linear(6, 6), act, fc, nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


@case(floats(5, 6))
class SharedBlockLoop(nn.Module):
    """ALBERT's habit: one transformer block, applied again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(6), nn.Linear(6, 12), nn.Linear(12, 6)
        self.drop = nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = x + self.drop(self.down(F.gelu(self.up(self.norm(x)))))
        return x


@case(floats(6))
class SharedStorage(nn.Module):
    """Two Parameters over the same memory: two entries, two gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 3)
        self.b.weight = nn.Parameter(self.a.weight.detach()[:3])

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a(x)))


@case(floats(3, 8, 8))
class WeightAtTwoStrides(nn.Module):
    """One kernel used with two dilations: two calls that own the same weight with other attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        wide = F.conv2d(x, self.conv.weight, self.conv.bias, padding=2, dilation=2)
        return self.conv(x) + wide


@case(floats(6))
class BufferAsTie(nn.Module):
    """A buffer under two names, one of them not persistent."""

    def __init__(self) -> None:
        super().__init__()
        scale = torch.linspace(0.5, 1.5, 6)
        self.register_buffer("scale", scale)
        self.inner = nn.Module()
        self.inner.register_buffer("scale", scale, persistent=False)
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x * self.scale) * self.inner.scale
