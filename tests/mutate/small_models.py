"""Small models in which sizes are tied in all the ways there are: what edits are held to, atom by atom.

`small(name)` gives the model in double precision and evaluation mode, no weight of which is zero or one, and its inputs.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from tests.mutate.small_sequence_models import MODELS, Function, Made, registered


def small(name: str) -> Made:
    torch.manual_seed(0)
    model, example = MODELS[name]()
    model = model.double().eval()
    stir(model)
    return model, tuple(map(_double, example if isinstance(example, tuple) else (example,)))


def _double(value: Tensor) -> Tensor:
    return value.double() if value.is_floating_point() else value


def stir(model: nn.Module) -> None:
    """Weights off their initial values, so that no scale of one or bias of zero hides anything."""
    generator = torch.Generator().manual_seed(3)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            shift = torch.rand(value.shape, generator=generator, dtype=value.dtype) * 0.2
            value.copy_(value + shift if "running_var" not in name else 1 + shift)


# -- layers in a row, sums, products ---------------------------------------------------------------------------------------
@registered
def mlp() -> Made:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 10), nn.Tanh(), nn.Linear(10, 3)), torch.randn(2, 6)


@registered
def conv() -> Made:
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 12, 3), nn.BatchNorm2d(12),
        nn.Sigmoid(), nn.Flatten(), nn.Linear(48, 5),
    )  # fmt: skip
    return layers, torch.randn(2, 3, 8, 8)


def _residual(net: Any, x: Tensor) -> Any:
    x = net.stem(x)
    y = net.b2(net.c2(F.relu(net.b1(net.c1(x)))))
    return net.fc(F.relu(x + y).mean((2, 3)))


@registered
def residual() -> Made:
    parts = {"stem": nn.Conv2d(3, 8, 3, padding=1), "c1": nn.Conv2d(8, 6, 3, padding=1, bias=False), "b1": nn.BatchNorm2d(6)}
    more = {"c2": nn.Conv2d(6, 8, 3, padding=1), "b2": nn.BatchNorm2d(8), "fc": nn.Linear(8, 3)}
    return Function(_residual, **parts, **more), torch.randn(2, 3, 6, 6)


def _squeeze_excite(net: Any, x: Tensor) -> Any:
    return x * torch.sigmoid(net.b(F.relu(net.a(F.adaptive_avg_pool2d(x, 1)))))


@registered
def mbconv() -> Made:
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.BatchNorm2d(8), nn.Hardswish(), Function(_squeeze_excite, a=nn.Conv2d(8, 4, 1), b=nn.Conv2d(4, 8, 1)),
        nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip
    return layers, torch.randn(2, 3, 6, 6)


@registered
def multiplier() -> Made:
    layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 3, groups=4), nn.ReLU(), nn.Conv2d(8, 2, 1))
    return layers, torch.randn(2, 3, 6, 6)


@registered
def grouped() -> Made:
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 12, 3, groups=4, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 2, 1)
    )
    return layers, torch.randn(2, 3, 6, 6)


def _unet(net: Any, x: Tensor) -> Any:
    a = F.relu(net.e1(x))
    b = F.relu(net.mid(F.relu(net.e2(a))))
    up = net.up(b)
    return {"mask": net.out(F.relu(net.bn(net.d(torch.cat([a, up], 1))))), "deep": up.mean()}


@registered
def unet() -> Made:
    parts = {"e1": nn.Conv2d(3, 4, 3, padding=1), "e2": nn.Conv2d(4, 8, 3, padding=1, stride=2)}
    parts |= {"mid": nn.Conv2d(8, 8, 3, padding=1), "d": nn.Conv2d(8, 4, 3, padding=1), "out": nn.Conv2d(4, 2, 1)}
    return Function(_unet, up=nn.ConvTranspose2d(8, 4, 2, stride=2), bn=nn.BatchNorm2d(4), **parts), torch.randn(2, 3, 8, 8)


def _two_inputs(net: Any, x: Tensor, y: Tensor) -> Any:
    a, b = torch.relu(net.a(x)), torch.tanh(net.b(y))
    return net.o(torch.cat([net.bilinear(a, b), a * b], -1)), (a - b).norm()


@registered
def two_inputs() -> Made:
    parts = {"a": nn.Linear(3, 5), "b": nn.Linear(4, 5), "bilinear": nn.Bilinear(5, 5, 6), "o": nn.Linear(11, 2)}
    return Function(_two_inputs, **parts), (torch.randn(2, 3), torch.randn(2, 4))


def _gated(net: Any, x: Tensor) -> Any:
    x = F.glu(net.a(x))
    return net.down(F.silu(net.gate(x)) * net.up(x))


@registered
def gated() -> Made:
    parts = {"a": nn.Linear(4, 12), "gate": nn.Linear(6, 5), "up": nn.Linear(6, 5), "down": nn.Linear(5, 2)}
    return Function(_gated, **parts), torch.randn(2, 4)


def _halves(net: Any, x: Tensor) -> Any:
    a, b = net.a(x).chunk(2, -1)
    return net.d(F.gelu(a) * b)


@registered
def halves() -> Made:
    return Function(_halves, a=nn.Linear(4, 12), d=nn.Linear(6, 2)), torch.randn(2, 4)


def _shuffled(net: Any, x: Tensor) -> Any:
    x = net.b(net.a(x))
    batch, channels, height, width = x.shape
    x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)
    return net.c(F.relu(x))


@registered
def shuffled() -> Made:
    parts = {"a": nn.Conv2d(3, 8, 1), "b": nn.Conv2d(8, 8, 3, groups=2, padding=1), "c": nn.Conv2d(8, 2, 1)}
    return Function(_shuffled, **parts), torch.randn(2, 3, 4, 4)


@registered
def pixel_shuffled() -> Made:
    def forward(net: Any, x: Tensor) -> Any:
        return net.c(F.pixel_unshuffle(torch.relu(net.b(F.pixel_shuffle(net.a(x), 2))), 2))

    parts = {"a": nn.Conv2d(3, 8, 3, padding=1), "b": nn.Conv2d(2, 4, 1), "c": nn.Conv2d(16, 2, 1)}
    return Function(forward, **parts), torch.randn(2, 3, 4, 4)


@registered
def maxout() -> Made:
    model = Function(lambda net, x: net.o(net.a(x).view(-1, 6, 2).amax(-1)), a=nn.Linear(4, 12), o=nn.Linear(6, 2))
    return model, torch.randn(2, 4)


# -- norms -----------------------------------------------------------------------------------------------------------------
@registered
def group_norms() -> Made:
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.GroupNorm(4, 8), nn.ReLU(), nn.Conv2d(8, 12, 1), nn.GroupNorm(12, 12), nn.ReLU(),
        nn.Conv2d(12, 6, 1), nn.GroupNorm(1, 6), nn.Conv2d(6, 2, 1),
    )  # fmt: skip
    return layers, torch.randn(2, 3, 6, 6)


@registered
def instance_norm() -> Made:
    layers = nn.Sequential(nn.Conv2d(3, 8, 1), nn.InstanceNorm2d(8, affine=True), nn.ReLU(), nn.Conv2d(8, 2, 1))
    return layers, torch.randn(2, 3, 6, 6)


@registered
def rectified_rms() -> Made:
    """Zeros in front of a ReLU would never learn."""
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.RMSNorm(6), nn.Linear(6, 2)), torch.randn(2, 4)


class WrittenRMSNorm(nn.Module):
    """RMSNorm as large language models write it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


@registered
def written_rms() -> Made:
    return nn.Sequential(nn.Linear(4, 6), WrittenRMSNorm(6), nn.Linear(6, 2)), torch.randn(2, 4)


def _pre_rms(net: Any, tokens: Tensor) -> Any:
    x = net.e(tokens)
    return net.o(net.last(x + net.b(F.silu(net.a(net.norm(x))))))


@registered
def tied_rms() -> Made:
    parts = {"e": nn.Embedding(11, 6), "norm": nn.RMSNorm(6), "a": nn.Linear(6, 10), "b": nn.Linear(10, 6)}
    model = Function(_pre_rms, last=nn.RMSNorm(6), o=nn.Linear(6, 11, bias=False), **parts)
    model.o.weight = model.e.weight
    return model, torch.randint(0, 11, (2, 5))


def _layer_scale(net: Any, x: Tensor) -> Any:
    x = net.i(x)
    y = net.p2(F.gelu(net.p1(net.norm(net.dw(x).permute(0, 2, 3, 1))))) * net.scale
    return net.o((x + y.permute(0, 3, 1, 2)).mean((2, 3)))


@registered
def layer_scale() -> Made:
    parts = {"i": nn.Conv2d(3, 6, 1), "dw": nn.Conv2d(6, 6, 3, padding=1, groups=6), "norm": nn.LayerNorm(6)}
    parts |= {"p1": nn.Linear(6, 12), "p2": nn.Linear(12, 6), "o": nn.Linear(6, 2)}
    return Function(_layer_scale, scale=torch.randn(6), **parts), torch.randn(2, 3, 4, 4)


@registered
def weight_norm() -> Made:
    first, last = (parametrizations.weight_norm(layer) for layer in (nn.Linear(4, 6), nn.Linear(6, 2)))
    return nn.Sequential(first, nn.ReLU(), last), torch.randn(2, 4)


class StandardConv(nn.Conv2d):
    """A convolution with standardised weights (Qiao et al. 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.var((1, 2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()
        return F.conv2d(x, w, self.bias)


@registered
def weight_standard() -> Made:
    return nn.Sequential(StandardConv(3, 6, 3), nn.ReLU(), StandardConv(6, 2, 3)), torch.randn(2, 3, 8, 8)


def _distances(net: Any, x: Tensor) -> Any:
    """What no new index leaves as it is."""
    a, b = net.a(x), net.b(x)
    alike = F.cosine_similarity(a, b), (a * b).sum(-1), a @ b.T
    return net.o(F.normalize(a, dim=-1)), *alike, torch.logsumexp(a, -1), a.mean(-1), a.max(-1)[0]


@registered
def distances() -> Made:
    return Function(_distances, a=nn.Linear(4, 6), b=nn.Linear(4, 6), o=nn.Linear(6, 2)), torch.randn(2, 4)


# -- parameters of the model's own, shared and tied layers -----------------------------------------------------------------
@registered
def einsum() -> Made:
    def forward(net: Any, x: Tensor) -> Any:
        h = torch.relu(torch.einsum("btd,dhk->bthk", x, net.w))
        return net.o(torch.einsum("bthk,hkd->btd", h, net.v) * net.scale)

    parts = {"w": torch.randn(4, 2, 3), "v": torch.randn(2, 3, 5), "scale": torch.randn(5)}
    return Function(forward, o=nn.Linear(5, 2), **parts), torch.randn(2, 5, 4)


@registered
def experts() -> Made:
    """All experts in two tensors, mixed by a softmax."""

    def forward(net: Any, x: Tensor) -> Any:
        x = net.i(x)
        y = torch.einsum("nef,efd->ned", F.gelu(torch.einsum("nd,edf->nef", x, net.w1)), net.w2)
        return net.o(x + torch.einsum("ned,ne->nd", y, net.r(x).softmax(-1)))

    parts = {"i": nn.Linear(4, 6), "r": nn.Linear(6, 3), "o": nn.Linear(6, 2)}
    return Function(forward, w1=torch.randn(3, 6, 8), w2=torch.randn(3, 8, 6), **parts), torch.randn(5, 4)


@registered
def expert_list() -> Made:
    def forward(net: Any, x: Tensor) -> Any:
        x = net.i(x)
        y = torch.stack([expert(x) for expert in net.experts], 1)
        return net.o(x + (y * net.r(x).softmax(-1)[..., None]).sum(1))

    many = nn.ModuleList(nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 6)) for _ in range(3))
    return Function(forward, i=nn.Linear(4, 6), r=nn.Linear(6, 3), experts=many, o=nn.Linear(6, 2)), torch.randn(5, 4)


@registered
def shared() -> Made:
    def forward(net: Any, x: Tensor) -> Any:
        return net.o(torch.relu(net.l(torch.relu(net.l(net.a(x))))))

    return Function(forward, a=nn.Linear(4, 6), l=nn.Linear(6, 6), o=nn.Linear(6, 2)), torch.randn(2, 4)


@registered
def tied() -> Made:
    def forward(net: Any, x: Tensor) -> Any:
        return F.linear(torch.relu(F.linear(x, net.w, net.b)), net.w.t())

    return Function(forward, w=torch.randn(6, 4), b=torch.randn(6)), torch.randn(2, 4)


@registered
def conv3d() -> Made:
    layers = nn.Sequential(
        nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4), nn.ReLU(), nn.AvgPool3d(2), nn.Conv3d(4, 6, 1), nn.Flatten(), nn.Linear(48, 2)
    )
    return layers, torch.randn(2, 1, 6, 6, 6)
