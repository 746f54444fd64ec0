"""Small recurrent models and models with attention (see `small_models`), and how a model is registered by its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Made = tuple[nn.Module, Any]
MODELS: dict[str, Callable[[], Made]] = {}


def registered(make: Callable[[], Made]) -> Callable[[], Made]:
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


@registered
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


@registered
def attention_fused() -> Made:
    def forward(net: Any, x: Tensor) -> Any:
        x = net.inp(x)
        return net.head(x + net.o(_attend(*net.qkv(x).chunk(3, -1))))

    parts = {"inp": nn.Linear(4, 8), "qkv": nn.Linear(8, 24), "o": nn.Linear(8, 8), "head": nn.Linear(8, 2)}
    return Function(forward, **parts), torch.randn(2, 5, 4)


@registered
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


@registered
def attention_sliced() -> Made:
    return nn.Sequential(nn.Linear(4, 8), _attention_block(), nn.Linear(8, 2)), torch.randn(2, 5, 4)


def _vit(net: Any, x: Tensor) -> Any:
    x = net.patches(x).flatten(2).transpose(1, 2)
    x = torch.cat([net.cls.expand(x.shape[0], -1, -1), x], 1) + net.pos
    return net.o((x + net.a(net.norm(x)))[:, 0])


@registered
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


@registered
def encoder() -> Made:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu", norm_first=True)
    layers = nn.TransformerEncoder(layer, 1, norm=nn.LayerNorm(8), enable_nested_tensor=False)
    return nn.Sequential(nn.Linear(4, 8), layers, nn.Linear(8, 2)), torch.randn(2, 5, 4)
