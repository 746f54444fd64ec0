"""Python control flow: on shapes, flags, lists of modules, the training flag, early returns, recursion."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator

import torch.nn.functional as F

from tests.tracing.cases import Tensor, case, conv, floats, head, nn, torch


@case(floats(3, 8, 8))
class BranchOnShape(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.small, self.large = conv(3, 4, 1), conv(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] < 8 or x.dim() != 4:
            return self.small(x)
        return self.large(x) if x.size(2) * x.size(3) > 32 else x


@case(floats(6))
class BranchOnFlag(nn.Module):
    """Which layers exist at all hangs on flags; one of them is never used."""

    def __init__(self, residual: bool = True, norm: str | None = "layer", unused: bool = True) -> None:
        super().__init__()
        self.residual = residual
        self.fc = nn.Linear(6, 6)
        self.norm = nn.LayerNorm(6) if norm == "layer" else None
        self.never = nn.Linear(5, 7) if unused else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        if self.norm is not None:
            y = self.norm(y)
        return x + y if self.residual else y


@case(floats(6))
class LoopOverModuleList(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(4))
        self.skips = {1: 0, 3: 1}

    def forward(self, x: Tensor) -> Tensor:
        seen = []
        for i, layer in enumerate(self.layers):
            x = torch.tanh(layer(x))
            if i in self.skips:
                x = x + seen[self.skips[i]]
            seen.append(x)
        return sum(seen) / len(seen)


@case(floats(3, 8, 8))
class AuxiliaryHeadInTraining(nn.Module):
    """Inception's habit: a tuple in training, a tensor in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = conv(3, 4), conv(4, 6)
        self.aux, self.final = head(4), head(6)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = F.relu(self.stem(x))
        aux = self.aux(x) if self.training else None
        y = self.final(F.relu(self.body(x)))
        return y if aux is None else (y, aux)


@case(lambda n: {"x": torch.randn(n, 5), "branch": "wide"})
class BranchByName(nn.Module):
    """A string input chooses the branch: a literal of the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleDict({"wide": nn.Linear(5, 9), "deep": nn.Sequential(nn.Linear(5, 2), nn.Linear(2, 9))})

    def forward(self, x: Tensor, branch: str = "deep") -> Tensor:
        return self.branches[branch](x)


@case(floats(2, 32))
class WhileLongEnough(nn.Module):
    """Pools until the axis is short; the same convolution every time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        steps = 0
        while x.shape[-1] > 3:
            x = F.max_pool1d(F.relu(self.conv(x)), 2)
            steps += 1
        return x * steps


@case(floats(8))
class Recursion(nn.Module):
    """A binary tree over the features by a recursive method."""

    def __init__(self) -> None:
        super().__init__()
        self.merge = nn.ModuleList(nn.Linear(2, 1) for _ in range(3))

    def reduce(self, x: Tensor, depth: int) -> Tensor:
        if x.shape[1] == 1:
            return x
        half = x.shape[1] // 2
        left, right = self.reduce(x[:, :half], depth + 1), self.reduce(x[:, half:], depth + 1)
        return self.merge[depth](torch.cat([left, right], dim=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.reduce(x, 0)


@case(floats(3, 7))
class ExceptionAsControl(nn.Module):
    """Tries a layer that does not fit, and falls back."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong, self.right = nn.Linear(5, 2), nn.Linear(7, 2)

    def forward(self, x: Tensor) -> Tensor:
        try:
            return self.wrong(x)
        except RuntimeError:
            return self.right(x)


@case(floats(6))
class Generators(nn.Module):
    """Layers run from inside a generator, results folded by functools."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 3), nn.Linear(6, 3), nn.Linear(6, 3)])

    def outputs(self, x: Tensor) -> Iterator[Tensor]:
        for layer in self.layers:
            yield layer(x)

    def forward(self, x: Tensor) -> Tensor:
        return functools.reduce(operator.mul, map(torch.sigmoid, self.outputs(x)))


@case(floats(6))
class CountsItsCalls(nn.Module):
    """A plain Python counter and log that change in forward, without bearing on the result."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 2)
        self.calls = 0
        self.log: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.log.append(tuple(x.shape[1:]))
        return self.fc(x)


@case(floats(3, 8, 8))
class LayersByType(nn.Module):
    """Layers walked by type, torch's own Sequential taken apart."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(conv(3, 4), nn.ReLU(), conv(4, 4), nn.Hardtanh(), nn.MaxPool2d(2))

    def forward(self, x: Tensor) -> list[Tensor]:
        kept = []
        for module in self.net.children():
            x = module(x)
            if isinstance(module, nn.Conv2d):
                kept.append(x)
        assert len(kept) == 2 and x.shape[1] == 4
        return [*kept, self.net[3:](x)]


@case(floats(2, 6, 6))
class MatchOnRank(nn.Module):
    def __init__(self, act: str = "swish") -> None:
        super().__init__()
        self.act = act
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        match (self.act, x.ndim):
            case ("relu", _):
                return F.relu(self.fc(x))
            case ("swish", 4):
                y = self.fc(x)
                return y * torch.sigmoid(y)
            case _:
                raise NotImplementedError(self.act)


@case(floats(6))
class OtherPathInTraining(nn.Module):
    """Training and evaluation use different layers and share one."""

    def __init__(self) -> None:
        super().__init__()
        self.common, self.teacher, self.student = nn.Linear(6, 6), nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.common(x))
        if self.training:
            x = self.teacher(F.dropout(x, 0.3))
        else:
            x = self.student(x)
        return F.log_softmax(x, dim=-1)


@case(floats(4))
class SwitchByGetattr(nn.Module):
    """Functions and layers found by name at run time."""

    def __init__(self) -> None:
        super().__init__()
        for i in range(3):
            self.add_module(f"fc{i}", nn.Linear(4, 4))
        self.names = ["tanh", "relu", "softplus"]

    def forward(self, x: Tensor) -> Tensor:
        for i, name in enumerate(self.names):
            function = getattr(torch, name, None) or getattr(F, name)
            x = function(getattr(self, f"fc{i}")(x))
        return x


@case(floats(3, 8, 8))
class DenseConnections(nn.Module):
    """Every layer reads all layers before it; deletes features it no longer needs."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv(3 + 2 * i, 2) for i in range(3))

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(F.relu(layer(torch.cat(features, 1))))
        del features[1]
        return torch.cat(features[::-1], 1)
