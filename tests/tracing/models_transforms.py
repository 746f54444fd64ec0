"""Function transforms: vmap over samples, heads and weights; torch.func.grad, vjp, Jacobians, Hessians; meta-learning."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, vjp, vmap

from tests.tracing.cases import Tensor, case, floats, nn, together, torch


@case(floats(5))
class OneSample(nn.Module):
    """A method of one sample, mapped over the batch: layers, norms of vectors, indices, choices."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.scale = nn.Linear(5, 7), nn.Linear(7, 4), nn.LayerNorm(4)

    def one(self, v: Tensor) -> tuple[Tensor, Tensor]:
        y = self.scale(self.b(F.silu(self.a(v)))) * v.norm()
        y = torch.where(y > 0, y, y * 0.1)
        return y.index_select(0, torch.tensor([2, 0])), y.sum() + y[1] + y[1:3].amax()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = torch.vmap(self.one)(x)
        return first, second


@case(floats(3, 6, 6))
class OneImage(nn.Module):
    """A convolution and pools on one image, which gets a batch of its own inside."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        def one(v: Tensor) -> Tensor:
            h = F.max_pool2d(F.relu(self.conv(v[None]))[0], 2)
            return self.fc(torch.cat([h, h.flip(0)])[2:6].flatten())

        return vmap(one)(x)


@case(floats(5))
class PairsWithPrototypes(nn.Module):
    """vmap inside vmap: a kernel between every sample and every prototype."""

    def __init__(self) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(torch.randn(4, 5))

    def forward(self, x: Tensor) -> Tensor:
        def kernel(a: Tensor, b: Tensor) -> Tensor:
            return torch.exp(-((a - b) ** 2).sum())

        return vmap(vmap(kernel, (None, 0)), (0, None))(x, self.prototypes)


@case(floats(6, 4))
class HeadsByMap(nn.Module):
    """Attention written for one head and mapped over heads; then over positions, with dropout and an axis at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Parameter(torch.randn(2, 4, 3)) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        def head(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return torch.softmax((x @ q) @ (x @ k).transpose(-1, -2) / math.sqrt(3), -1) @ (x @ v)

        y = vmap(head)(self.q, self.k, self.v).permute(1, 2, 0, 3).flatten(2)
        return vmap(lambda v: F.dropout(v, 0.3, self.training), in_dims=1, out_dims=2, randomness="different")(y)


@case(floats(5))
class Ensemble(nn.Module):
    """Weights of several networks stacked, one network mapped over them by functional_call."""

    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList([nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2)) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        names = [name for name, _ in self.members[0].named_parameters()]
        stacked = {name: torch.stack([member.get_parameter(name) for member in self.members]) for name in names}
        return vmap(lambda p, v: functional_call(self.members[0], p, (v,)), in_dims=(0, None))(stacked, x).mean(0)


@case(floats(4), flops=False)
class Forces(nn.Module):
    """An energy and its gradient for each sample; the Jacobian and the trace of the Hessian of another network."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1))
        self.map = nn.Sequential(nn.Linear(4, 5), nn.Sigmoid(), nn.Linear(5, 2))

    def energy(self, x: Tensor) -> Tensor:
        return self.net(x).squeeze(-1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        laplacian = vmap(hessian(self.energy))(x).diagonal(dim1=1, dim2=2).sum(1)
        return self.energy(x), -vmap(grad(self.energy))(x), laplacian, vmap(jacrev(self.map))(x), vmap(jacfwd(self.map))(x)


@case(together(floats(3), floats(2)), flops=False)
class PulledBack(nn.Module):
    """A vector–Jacobian product by the function that vjp gives, called when the transform has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))

    def forward(self, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        y, pull = vjp(self.net, x)
        return y, pull(weight)[0]


@case(floats(3), flops=False)
class InnerStep(nn.Module):
    """Meta-learning: one step of gradient descent on a loss of the inputs, then the network with those weights."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        weights = dict(self.net.named_parameters())
        slopes = grad(lambda p: functional_call(self.net, p, (x,)).pow(2).mean())(weights)
        return functional_call(self.net, {name: p - 0.1 * slopes[name] for name, p in weights.items()}, (x,))
