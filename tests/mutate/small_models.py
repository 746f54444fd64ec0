"""Small models in which sizes are tied in all the ways there are: what edits are held to, atom by atom.

`small(name)` gives the model in double precision and evaluation mode, no weight of which is zero or one, and its inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

Made = tuple[nn.Module, Any]
MODELS: dict[str, Callable[[], Made]] = {}


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


def _model(make: Callable[[], Made]) -> Callable[[], Made]:
    MODELS[make.__name__.lstrip("_")] = make
    return make


class Function(nn.Module):
    """A model of named parts, and what it does with them."""

    def __init__(self, function: Callable[..., Any], **parts: nn.Module | Tensor) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(part) if isinstance(part, Tensor) else part)

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(self, *inputs)


# -- layers in a row, sums, products ---------------------------------------------------------------------------------------
@_model
def mlp() -> Made:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 10), nn.Tanh(), nn.Linear(10, 3)), torch.randn(2, 6)


@_model
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


@_model
def residual() -> Made:
    parts = {"stem": nn.Conv2d(3, 8, 3, padding=1), "c1": nn.Conv2d(8, 6, 3, padding=1, bias=False), "b1": nn.BatchNorm2d(6)}
    more = {"c2": nn.Conv2d(6, 8, 3, padding=1), "b2": nn.BatchNorm2d(8), "fc": nn.Linear(8, 3)}
    return Function(_residual, **parts, **more), torch.randn(2, 3, 6, 6)


def _squeeze_excite(net: Any, x: Tensor) -> Any:
    return x * torch.sigmoid(net.b(F.relu(net.a(F.adaptive_avg_pool2d(x, 1)))))


@_model
def mbconv() -> Made:
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.BatchNorm2d(8), nn.Hardswish(), Function(_squeeze_excite, a=nn.Conv2d(8, 4, 1), b=nn.Conv2d(4, 8, 1)),
        nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip
    return layers, torch.randn(2, 3, 6, 6)


@_model
def multiplier() -> Made:
    layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 3, groups=4), nn.ReLU(), nn.Conv2d(8, 2, 1))
    return layers, torch.randn(2, 3, 6, 6)


@_model
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


@_model
def unet() -> Made:
    parts = {"e1": nn.Conv2d(3, 4, 3, padding=1), "e2": nn.Conv2d(4, 8, 3, padding=1, stride=2)}
    parts |= {"mid": nn.Conv2d(8, 8, 3, padding=1), "d": nn.Conv2d(8, 4, 3, padding=1), "out": nn.Conv2d(4, 2, 1)}
    return Function(_unet, up=nn.ConvTranspose2d(8, 4, 2, stride=2), bn=nn.BatchNorm2d(4), **parts), torch.randn(2, 3, 8, 8)


def _two_inputs(net: Any, x: Tensor, y: Tensor) -> Any:
    a, b = torch.relu(net.a(x)), torch.tanh(net.b(y))
    return net.o(torch.cat([net.bilinear(a, b), a * b], -1)), (a - b).norm()


@_model
def two_inputs() -> Made:
    parts = {"a": nn.Linear(3, 5), "b": nn.Linear(4, 5), "bilinear": nn.Bilinear(5, 5, 6), "o": nn.Linear(11, 2)}
    return Function(_two_inputs, **parts), (torch.randn(2, 3), torch.randn(2, 4))


def _gated(net: Any, x: Tensor) -> Any:
    x = F.glu(net.a(x))
    return net.down(F.silu(net.gate(x)) * net.up(x))


@_model
def gated() -> Made:
    parts = {"a": nn.Linear(4, 12), "gate": nn.Linear(6, 5), "up": nn.Linear(6, 5), "down": nn.Linear(5, 2)}
    return Function(_gated, **parts), torch.randn(2, 4)


def _halves(net: Any, x: Tensor) -> Any:
    a, b = net.a(x).chunk(2, -1)
    return net.d(F.gelu(a) * b)


@_model
def halves() -> Made:
    return Function(_halves, a=nn.Linear(4, 12), d=nn.Linear(6, 2)), torch.randn(2, 4)


def _shuffled(net: Any, x: Tensor) -> Any:
    x = net.b(net.a(x))
    batch, channels, height, width = x.shape
    x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)
    return net.c(F.relu(x))


@_model
def shuffled() -> Made:
    parts = {"a": nn.Conv2d(3, 8, 1), "b": nn.Conv2d(8, 8, 3, groups=2, padding=1), "c": nn.Conv2d(8, 2, 1)}
    return Function(_shuffled, **parts), torch.randn(2, 3, 4, 4)


@_model
def pixel_shuffled() -> Made:
    def forward(net: Any, x: Tensor) -> Any:
        return net.c(F.pixel_unshuffle(torch.relu(net.b(F.pixel_shuffle(net.a(x), 2))), 2))

    parts = {"a": nn.Conv2d(3, 8, 3, padding=1), "b": nn.Conv2d(2, 4, 1), "c": nn.Conv2d(16, 2, 1)}
    return Function(forward, **parts), torch.randn(2, 3, 4, 4)


@_model
def maxout() -> Made:
    model = Function(lambda net, x: net.o(net.a(x).view(-1, 6, 2).amax(-1)), a=nn.Linear(4, 12), o=nn.Linear(6, 2))
    return model, torch.randn(2, 4)


# -- norms -----------------------------------------------------------------------------------------------------------------
@_model
def group_norms() -> Made:
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.GroupNorm(4, 8), nn.ReLU(), nn.Conv2d(8, 12, 1), nn.GroupNorm(12, 12), nn.ReLU(),
        nn.Conv2d(12, 6, 1), nn.GroupNorm(1, 6), nn.Conv2d(6, 2, 1),
    )  # fmt: skip
    return layers, torch.randn(2, 3, 6, 6)


@_model
def instance_norm() -> Made:
    layers = nn.Sequential(nn.Conv2d(3, 8, 1), nn.InstanceNorm2d(8, affine=True), nn.ReLU(), nn.Conv2d(8, 2, 1))
    return layers, torch.randn(2, 3, 6, 6)


@_model
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


@_model
def written_rms() -> Made:
    return nn.Sequential(nn.Linear(4, 6), WrittenRMSNorm(6), nn.Linear(6, 2)), torch.randn(2, 4)


def _pre_rms(net: Any, tokens: Tensor) -> Any:
    x = net.e(tokens)
    return net.o(net.last(x + net.b(F.silu(net.a(net.norm(x))))))


@_model
def tied_rms() -> Made:
    parts = {"e": nn.Embedding(11, 6), "norm": nn.RMSNorm(6), "a": nn.Linear(6, 10), "b": nn.Linear(10, 6)}
    model = Function(_pre_rms, last=nn.RMSNorm(6), o=nn.Linear(6, 11, bias=False), **parts)
    model.o.weight = model.e.weight
    return model, torch.randint(0, 11, (2, 5))


def _layer_scale(net: Any, x: Tensor) -> Any:
    x = net.i(x)
    y = net.p2(F.gelu(net.p1(net.norm(net.dw(x).permute(0, 2, 3, 1))))) * net.scale
    return net.o((x + y.permute(0, 3, 1, 2)).mean((2, 3)))


@_model
def layer_scale() -> Made:
    parts = {"i": nn.Conv2d(3, 6, 1), "dw": nn.Conv2d(6, 6, 3, padding=1, groups=6), "norm": nn.LayerNorm(6)}
    parts |= {"p1": nn.Linear(6, 12), "p2": nn.Linear(12, 6), "o": nn.Linear(6, 2)}
    return Function(_layer_scale, scale=torch.randn(6), **parts), torch.randn(2, 3, 4, 4)


@_model
def weight_norm() -> Made:
    first, last = (parametrizations.weight_norm(layer) for layer in (nn.Linear(4, 6), nn.Linear(6, 2)))
    return nn.Sequential(first, nn.ReLU(), last), torch.randn(2, 4)


class StandardConv(nn.Conv2d):
    """A convolution with standardised weights (Qiao et al. 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.var((1, 2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()
        return F.conv2d(x, w, self.bias)


@_model
def weight_standard() -> Made:
    return nn.Sequential(StandardConv(3, 6, 3), nn.ReLU(), StandardConv(6, 2, 3)), torch.randn(2, 3, 8, 8)


def _distances(net: Any, x: Tensor) -> Any:
    """What no new index leaves as it is."""
    a, b = net.a(x), net.b(x)
    alike = F.cosine_similarity(a, b), (a * b).sum(-1), a @ b.T
    return net.o(F.normalize(a, dim=-1)), *alike, torch.logsumexp(a, -1), a.mean(-1), a.max(-1)[0]


@_model
def distances() -> Made:
    return Function(_distances, a=nn.Linear(4, 6), b=nn.Linear(4, 6), o=nn.Linear(6, 2)), torch.randn(2, 4)


# -- recurrent layers ------------------------------------------------------------------------------------------------------
def _recurrent(kind: type, **options: Any) -> Made:
    outs = 10 if options.get("bidirectional") else options.get("proj_size") or 5
    parts = {"inp": nn.Linear(4, 6), "r": kind(6, 5, batch_first=True, **options), "out": nn.Linear(outs, 3)}
    return Function(lambda net, x: net.out(net.r(net.inp(x))[0]), **parts), torch.randn(2, 7, 4)


for _kind in (nn.LSTM, nn.GRU, nn.RNN):
    _lower = _kind.__name__.lower()
    MODELS[_lower] = partial(_recurrent, _kind)
    MODELS[f"{_lower}_deep"] = partial(_recurrent, _kind, num_layers=2, bidirectional=True)
MODELS["lstm_projected"] = partial(_recurrent, nn.LSTM, proj_size=3)


def _with_state(kind: type) -> Made:
    """The first state is computed, the last one is read."""

    def forward(net: Any, x: Tensor) -> Any:
        h = torch.tanh(net.h(x[:, 0]))[None]
        out, state = net.r(x.transpose(0, 1), (h, h) if kind is nn.LSTM else h)
        last = state[0] if kind is nn.LSTM else state
        return net.out(last[-1]), out.mean(0) @ net.out.weight.T

    return Function(forward, r=kind(4, 5), h=nn.Linear(4, 5), out=nn.Linear(5, 3)), torch.randn(3, 7, 4)


def _unrolled(kind: type) -> Made:
    def forward(net: Any, x: Tensor) -> Any:
        h = c = x.new_zeros(x.shape[0], 5)
        for t in range(3):
            if kind is nn.LSTMCell:
                h, c = net.c(x[:, t], (h, c))
            else:
                h = net.c(x[:, t], h)
        return net.o(h)

    return Function(forward, c=kind(4, 5), o=nn.Linear(5, 2)), torch.randn(2, 3, 4)


for _kind in (nn.LSTM, nn.GRU):
    MODELS[f"{_kind.__name__.lower()}_stated"] = partial(_with_state, _kind)
for _kind in (nn.LSTMCell, nn.GRUCell, nn.RNNCell):
    MODELS[_kind.__name__.lower()] = partial(_unrolled, _kind)


@_model
def audio() -> Made:
    front = nn.Sequential(
        nn.Conv1d(1, 8, 5, stride=2), nn.BatchNorm1d(8), nn.PReLU(8), nn.Conv1d(8, 12, 5, dilation=2), nn.GroupNorm(3, 12),
        nn.GLU(1), nn.ConvTranspose1d(6, 4, 3),
    )  # fmt: skip
    parts = {"c": front, "r": nn.GRU(4, 5, batch_first=True, bidirectional=True), "o": nn.Linear(10, 3)}
    return Function(lambda net, x: net.o(net.r(net.c(x).transpose(1, 2))[0][:, -1]), **parts), torch.randn(2, 1, 64)


# -- attention -------------------------------------------------------------------------------------------------------------
def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    split = [t.reshape(*t.shape[:2], 2, -1).transpose(1, 2) for t in (q, k, v)]
    return F.scaled_dot_product_attention(*split).transpose(1, 2).reshape(*q.shape[:2], -1)


@_model
def attention_fused() -> Made:
    def forward(net: Any, x: Tensor) -> Any:
        x = net.inp(x)
        return net.head(x + net.o(_attend(*net.qkv(x).chunk(3, -1))))

    parts = {"inp": nn.Linear(4, 8), "qkv": nn.Linear(8, 24), "o": nn.Linear(8, 8), "head": nn.Linear(8, 2)}
    return Function(forward, **parts), torch.randn(2, 5, 4)


@_model
def attention_apart() -> Made:
    def forward(net: Any, x: Tensor) -> Any:
        x = net.inp(x)
        return net.head(x + net.o(_attend(net.q(x), net.k(x), net.v(x))))

    parts = {name: nn.Linear(8, 8) for name in "qkvo"}
    return Function(forward, inp=nn.Linear(4, 8), head=nn.Linear(8, 2), **parts), torch.randn(2, 5, 4)


def _attention(net: Any, x: Tensor) -> Any:
    """As timm writes it: one layer, of which queries, keys and values are slices."""
    batch, tokens, _ = x.shape
    q, k, v = net.qkv(x).reshape(batch, tokens, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
    scores = (q @ k.transpose(-2, -1) * 0.5).softmax(-1)
    return net.o((scores @ v).transpose(1, 2).reshape(batch, tokens, 8))


def _attention_block() -> nn.Module:
    return Function(_attention, qkv=nn.Linear(8, 24), o=nn.Linear(8, 8))


@_model
def attention_sliced() -> Made:
    return nn.Sequential(nn.Linear(4, 8), _attention_block(), nn.Linear(8, 2)), torch.randn(2, 5, 4)


def _vit(net: Any, x: Tensor) -> Any:
    x = net.patches(x).flatten(2).transpose(1, 2)
    x = torch.cat([net.cls.expand(x.shape[0], -1, -1), x], 1) + net.pos
    return net.o((x + net.a(net.norm(x)))[:, 0])


@_model
def vit() -> Made:
    parts = {"patches": nn.Conv2d(3, 8, 4, 4), "a": _attention_block(), "norm": nn.LayerNorm(8), "o": nn.Linear(8, 2)}
    return Function(_vit, cls=torch.randn(1, 1, 8), pos=torch.randn(1, 5, 8), **parts), torch.randn(2, 3, 8, 8)


def _self_attention(**options: Any) -> Made:
    def forward(net: Any, x: Tensor) -> Any:
        x = net.i(x)
        return net.o(x + net.a(x, x, x)[0])

    attention = nn.MultiheadAttention(8, 2, batch_first=True, **options)
    return Function(forward, i=nn.Linear(4, 8), a=attention, o=nn.Linear(8, 2)), torch.randn(2, 5, 4)


MODELS["multihead"] = _self_attention
MODELS["multihead_extended"] = partial(_self_attention, add_bias_kv=True, add_zero_attn=True)


@_model
def encoder() -> Made:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu", norm_first=True)
    layers = nn.TransformerEncoder(layer, 1, norm=nn.LayerNorm(8), enable_nested_tensor=False)
    return nn.Sequential(nn.Linear(4, 8), layers, nn.Linear(8, 2)), torch.randn(2, 5, 4)


# -- parameters of the model's own, shared and tied layers -----------------------------------------------------------------
@_model
def einsum() -> Made:
    def forward(net: Any, x: Tensor) -> Any:
        h = torch.relu(torch.einsum("btd,dhk->bthk", x, net.w))
        return net.o(torch.einsum("bthk,hkd->btd", h, net.v) * net.scale)

    parts = {"w": torch.randn(4, 2, 3), "v": torch.randn(2, 3, 5), "scale": torch.randn(5)}
    return Function(forward, o=nn.Linear(5, 2), **parts), torch.randn(2, 5, 4)


@_model
def experts() -> Made:
    """All experts in two tensors, mixed by a softmax."""

    def forward(net: Any, x: Tensor) -> Any:
        x = net.i(x)
        y = torch.einsum("nef,efd->ned", F.gelu(torch.einsum("nd,edf->nef", x, net.w1)), net.w2)
        return net.o(x + torch.einsum("ned,ne->nd", y, net.r(x).softmax(-1)))

    parts = {"i": nn.Linear(4, 6), "r": nn.Linear(6, 3), "o": nn.Linear(6, 2)}
    return Function(forward, w1=torch.randn(3, 6, 8), w2=torch.randn(3, 8, 6), **parts), torch.randn(5, 4)


@_model
def expert_list() -> Made:
    def forward(net: Any, x: Tensor) -> Any:
        x = net.i(x)
        y = torch.stack([expert(x) for expert in net.experts], 1)
        return net.o(x + (y * net.r(x).softmax(-1)[..., None]).sum(1))

    many = nn.ModuleList(nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 6)) for _ in range(3))
    return Function(forward, i=nn.Linear(4, 6), r=nn.Linear(6, 3), experts=many, o=nn.Linear(6, 2)), torch.randn(5, 4)


@_model
def shared() -> Made:
    def forward(net: Any, x: Tensor) -> Any:
        return net.o(torch.relu(net.l(torch.relu(net.l(net.a(x))))))

    return Function(forward, a=nn.Linear(4, 6), l=nn.Linear(6, 6), o=nn.Linear(6, 2)), torch.randn(2, 4)


@_model
def tied() -> Made:
    def forward(net: Any, x: Tensor) -> Any:
        return F.linear(torch.relu(F.linear(x, net.w, net.b)), net.w.t())

    return Function(forward, w=torch.randn(6, 4), b=torch.randn(6)), torch.randn(2, 4)


@_model
def conv3d() -> Made:
    layers = nn.Sequential(
        nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4), nn.ReLU(), nn.AvgPool3d(2), nn.Conv3d(4, 6, 1), nn.Flatten(), nn.Linear(48, 2)
    )
    return layers, torch.randn(2, 1, 6, 6, 6)
