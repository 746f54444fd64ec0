"""Modules of torch.nn for the nodes that own exactly such a layer's weights.

Each function takes a `Layer` and gives the constructor, such as ``nn.Conv2d(⟨3⟩, ⟨64⟩, …)`` with slots for all values, or
"" where torch's module would hold other tensors or compute something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ...ops import MODULE, DType, Weight, operator
from ..graph import Graph, Step
from ..table import TensorEntry
from .slots import Slots, plain


@dataclass(frozen=True)
class Layer:
    """A call of the module at ``path``, and the entries that this module has of its own (name → entry)."""

    graph: Graph
    path: str
    step: Step
    entries: Mapping[str, TensorEntry]
    keys: Mapping[str, str]

    @property
    def args(self) -> SimpleNamespace:
        return SimpleNamespace(**self.step.args)

    @property
    def types(self) -> SimpleNamespace:
        return self.graph.operands(self.step)

    def owns(self, **roles: Any) -> bool:
        """Whether the module's entries are these roles of the call, in this order; a role given as None is not there."""
        expected = [name for name, value in roles.items() if value is not None]
        if list(self.entries) != expected:
            return False
        return all(
            type(ref) is Weight and self.same(name, ref.key) for name, ref in roles.items() if ref is not None
        )

    def same(self, name: str, key: str) -> bool:
        """Whether the entry called ``name`` is the tensor ``key``, ties included."""
        tensors, own = self.graph.tensors, self.keys[name]
        return (tensors[own].alias_of or own) == (tensors[key].alias_of or key)

    def dtype(self, slots: Slots) -> str:
        """The keyword of the weights' dtype, where it is not the usual one."""
        first = next(iter(self.entries.values())).type.dtype
        return slots.option("dtype", DType(first), DType("float32"))

    @property
    def follows(self) -> bool:
        """Whether the call's flag is that of the module itself."""
        return self.step.args.get("training") == MODULE and self.step.scope == self.path


def constructor(layer: Layer, slots: Slots) -> str:
    """The source of the module, or ""."""
    made = _LAYERS.get(layer.step.op)
    if made is None:
        return ""
    return made(layer, slots)


# -- with weights ----------------------------------------------------------------------------------------------------
def _conv(layer: Layer, slots: Slots) -> str:
    a, types = layer.args, layer.types
    if not layer.owns(weight=a.weight, bias=a.bias):
        return ""
    n = len(a.kernel)
    if types.x.rank != n + 2:
        return ""
    transposed = layer.step.op.startswith("conv_transpose")
    inside = types.weight.shape[0] if transposed else types.weight.shape[1] * a.groups
    head = f"nn.Conv{'Transpose' if transposed else ''}{n}d"
    extra = slots.option("output_padding", plain(a.output_padding), 0) if transposed else ""
    text = f"{head}({slots.add(inside, 'in_channels')}, {slots.add(a.out, 'out_channels')}"
    text += f", {slots.add(plain(a.kernel), 'kernel_size')}{slots.option('stride', plain(a.stride), 1)}"
    text += f"{slots.option('padding', plain(a.padding), 0)}{extra}{slots.option('dilation', plain(a.dilation), 1)}"
    return f"{text}{slots.option('groups', a.groups, 1)}{_bias(a, slots)}{layer.dtype(slots)})"


def _bias(a: SimpleNamespace, slots: Slots) -> str:
    return slots.option("bias", a.bias is not None, True)


def _linear(layer: Layer, slots: Slots) -> str:
    a = layer.args
    if not layer.owns(weight=a.weight, bias=a.bias):
        return ""
    inside = slots.add(layer.types.weight.shape[1], "in_features")
    return f"nn.Linear({inside}, {slots.add(a.out, 'out_features')}{_bias(a, slots)}{layer.dtype(slots)})"


def _bilinear(layer: Layer, slots: Slots) -> str:
    a = layer.args
    if not layer.owns(weight=a.weight, bias=a.bias):
        return ""
    _, first, second = layer.types.weight.shape
    sizes = f"{slots.add(first, 'in1_features')}, {slots.add(second, 'in2_features')}, {slots.add(a.out, 'out_features')}"
    return f"nn.Bilinear({sizes}{_bias(a, slots)}{layer.dtype(slots)})"


def _embedding(layer: Layer, slots: Slots) -> str:
    a = layer.args
    if not layer.owns(weight=a.weight):
        return ""
    more = "".join(
        slots.option(name, getattr(a, name), default)
        for name, default in (
            ("padding_idx", None), ("max_norm", None), ("norm_type", 2.0), ("scale_grad_by_freq", False), ("sparse", False),
        )
    )  # fmt: skip
    rows, columns = slots.add(a.num_embeddings, "num_embeddings"), slots.add(a.features, "embedding_dim")
    return f"nn.Embedding({rows}, {columns}{more}{layer.dtype(slots)})"


def _batch_norm(layer: Layer, slots: Slots) -> str:
    a, x = layer.args, layer.types.x
    kind = {2: 1, 3: 1, 4: 2, 5: 3}.get(x.rank)
    if kind is None or (a.weight is None) != (a.bias is None):
        return ""
    running = a.running_mean is not None
    if not layer.owns(
        weight=a.weight, bias=a.bias, running_mean=a.running_mean, running_var=a.running_var,
        num_batches_tracked=a.num_batches_tracked,
    ):  # fmt: skip
        return ""
    if (running and (a.num_batches_tracked is None or not layer.follows)) or not (running or a.training is True):
        return ""
    text = f"nn.BatchNorm{kind}d({slots.add(x.shape[1], 'num_features')}{slots.option('eps', a.eps, 1e-5)}"
    text += f"{slots.option('momentum', a.momentum, 0.1)}{slots.option('affine', a.weight is not None, True)}"
    return f"{text}{slots.option('track_running_stats', running, True)}{layer.dtype(slots)})"


def _instance_norm(layer: Layer, slots: Slots) -> str:
    a, x = layer.args, layer.types.x
    if x.rank not in (3, 4, 5) or (a.weight is None) != (a.bias is None) or a.running_mean is not None or a.weight is None:
        return ""
    if not layer.owns(weight=a.weight, bias=a.bias) or a.training is not True:
        return ""
    head = f"nn.InstanceNorm{x.rank - 2}d({slots.add(x.shape[1], 'num_features')}"
    return f"{head}{slots.option('eps', a.eps, 1e-5)}, affine=True{layer.dtype(slots)})"


def _group_norm(layer: Layer, slots: Slots) -> str:
    a, x = layer.args, layer.types.x
    if (a.weight is None) or not layer.owns(weight=a.weight, bias=a.bias) or a.bias is None:
        return ""
    head = f"nn.GroupNorm({slots.add(a.groups, 'num_groups')}, {slots.add(x.shape[1], 'num_channels')}"
    return f"{head}{slots.option('eps', a.eps, 1e-5)}{layer.dtype(slots)})"


def _layer_norm(layer: Layer, slots: Slots) -> str:
    a = layer.args
    if a.weight is None or not layer.owns(weight=a.weight, bias=a.bias):
        return ""
    return f"nn.LayerNorm({_normalized(a, slots)}{slots.option('eps', a.eps, 1e-5)}{_bias(a, slots)}{layer.dtype(slots)})"


def _rms_norm(layer: Layer, slots: Slots) -> str:
    a = layer.args
    if a.weight is None or not layer.owns(weight=a.weight):
        return ""
    return f"nn.RMSNorm({_normalized(a, slots)}{slots.option('eps', a.eps, None)}{layer.dtype(slots)})"


def _normalized(a: SimpleNamespace, slots: Slots) -> str:
    shape = a.normalized_shape
    return slots.add(shape[0] if len(shape) == 1 else shape, "dim")


def _prelu(layer: Layer, slots: Slots) -> str:
    a = layer.args
    if not layer.owns(weight=a.weight) or layer.types.weight.rank != 1:
        return ""
    return f"nn.PReLU({slots.add(layer.types.weight.shape[0], 'num_parameters')}{layer.dtype(slots)})"


_RECURRENT = {"lstm": "nn.LSTM", "gru": "nn.GRU", "rnn_tanh": "nn.RNN", "rnn_relu": "nn.RNN"}


def _recurrent(layer: Layer, slots: Slots) -> str:
    a, types = layer.args, layer.types
    roles = operator(layer.step.op).roles(types)
    if types.x.rank != 3 or not layer.owns(**dict(zip(roles, a.weights))):
        return ""
    if not (layer.follows or (a.training is True and a.dropout == 0)):
        return ""
    text = f"{_RECURRENT[layer.step.op]}({slots.add(types.weights[0].shape[1], 'input_size')}"
    text += f", {slots.add(a.hidden, 'hidden_size')}{slots.option('num_layers', a.num_layers, 1)}"
    if layer.step.op == "rnn_relu":
        text += ', nonlinearity="relu"'
    text += f"{slots.option('bias', a.bias, True)}{slots.option('batch_first', a.batch_first, False)}"
    text += f"{slots.option('dropout', a.dropout, 0.0)}{slots.option('bidirectional', a.bidirectional, False)}"
    if layer.step.op == "lstm":
        text += slots.option("proj_size", a.proj_size, 0)
    return f"{text}{layer.dtype(slots)})"


_CELLS = {"lstm_cell": "nn.LSTMCell", "gru_cell": "nn.GRUCell", "rnn_tanh_cell": "nn.RNNCell", "rnn_relu_cell": "nn.RNNCell"}


def _cell(layer: Layer, slots: Slots) -> str:
    a, types = layer.args, layer.types
    if types.x.rank != 2 or not layer.owns(
        weight_ih=a.weight_ih, weight_hh=a.weight_hh, bias_ih=a.bias_ih, bias_hh=a.bias_hh
    ):
        return ""
    text = f"{_CELLS[layer.step.op]}({slots.add(types.x.shape[1], 'input_size')}, {slots.add(a.hidden, 'hidden_size')}"
    kind = ', nonlinearity="relu"' if layer.step.op == "rnn_relu_cell" else ""
    return f"{text}{slots.option('bias', a.bias_ih is not None, True)}{kind}{layer.dtype(slots)})"


# -- without weights ---------------------------------------------------------------------------------------------------
def _simple(name: str, *options: tuple[str, str, Any], required: tuple[str, ...] = ()) -> Callable[[Layer, Slots], str]:
    """A module of that name: positional arguments first, then options as (argument of the operator, keyword, default)."""

    def made(layer: Layer, slots: Slots) -> str:
        a = layer.args
        parts = [slots.add(plain(getattr(a, argument)), argument) for argument in required]
        text = ", ".join(parts)
        for argument, keyword, default in options:
            text += slots.option(keyword, plain(getattr(a, argument)), default)
        return f"nn.{name}({text})"

    return made


def _dropout(name: str) -> Callable[[Layer, Slots], str]:
    def made(layer: Layer, slots: Slots) -> str:
        return f"nn.{name}({slots.add(layer.args.p, 'dropout')})" if layer.follows else ""

    return made


def _pool(name: str, *options: tuple[str, str, Any]) -> Callable[[Layer, Slots], str]:
    def made(layer: Layer, slots: Slots) -> str:
        a = layer.args
        if getattr(a, "return_indices", False):
            return ""
        text = f"nn.{name}({slots.add(plain(a.kernel), 'kernel_size')}"
        text += slots.option("stride", plain(a.stride), Same("kernel_size"))
        for argument, keyword, default in options:
            text += slots.option(keyword, plain(getattr(a, argument)), default)
        return f"{text})"

    return made


@dataclass(frozen=True)
class Same:
    """A default that is the value of the slot before."""

    keyword: str


def _flatten(layer: Layer, slots: Slots) -> str:
    a, rank = layer.args, layer.types.x.rank
    last = -1 if a.end_dim in (-1, rank - 1) else a.end_dim
    return f"nn.Flatten({slots.option('start_dim', a.start_dim, 1)}{slots.option('end_dim', last, -1)})"


def _softmax(layer: Layer, slots: Slots) -> str:
    a = layer.args
    if a.dtype is not None:
        return ""
    name = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}[layer.step.op]
    dim = -1 if a.dim == layer.types.x.rank - 1 else a.dim
    return f"nn.{name}(dim={slots.add(dim, 'dim')})"


_LAYERS: dict[str, Callable[[Layer, Slots], str]] = {
    **dict.fromkeys([f"conv{n}d" for n in (1, 2, 3)] + [f"conv_transpose{n}d" for n in (1, 2, 3)], _conv),
    "linear": _linear, "bilinear": _bilinear, "embedding": _embedding, "prelu": _prelu,
    "batch_norm": _batch_norm, "instance_norm": _instance_norm, "group_norm": _group_norm, "layer_norm": _layer_norm,
    "rms_norm": _rms_norm, **dict.fromkeys(_RECURRENT, _recurrent), **dict.fromkeys(_CELLS, _cell),
    "dropout": _dropout("Dropout"), "dropout1d": _dropout("Dropout1d"), "dropout2d": _dropout("Dropout2d"),
    "dropout3d": _dropout("Dropout3d"), "alpha_dropout": _dropout("AlphaDropout"),
    "feature_alpha_dropout": _dropout("FeatureAlphaDropout"),
    "relu": _simple("ReLU"), "silu": _simple("SiLU"), "mish": _simple("Mish"), "sigmoid": _simple("Sigmoid"),
    "tanh": _simple("Tanh"), "hardsigmoid": _simple("Hardsigmoid"), "hardswish": _simple("Hardswish"),
    "selu": _simple("SELU"), "softsign": _simple("Softsign"), "logsigmoid": _simple("LogSigmoid"),
    "gelu": _simple("GELU", ("approximate", "approximate", "none")),
    "leaky_relu": _simple("LeakyReLU", ("negative_slope", "negative_slope", 0.01)),
    "elu": _simple("ELU", ("alpha", "alpha", 1.0)), "celu": _simple("CELU", ("alpha", "alpha", 1.0)),
    "softplus": _simple("Softplus", ("beta", "beta", 1.0), ("threshold", "threshold", 20.0)),
    "hardtanh": _simple("Hardtanh", ("min_val", "min_val", -1.0), ("max_val", "max_val", 1.0)),
    "relu6": _simple("ReLU6"), "softmax": _softmax, "log_softmax": _softmax, "flatten": _flatten,
    "pixel_shuffle": _simple("PixelShuffle", required=("factor",)),
    "pixel_unshuffle": _simple("PixelUnshuffle", required=("factor",)),
    **{
        f"max_pool{n}d": _pool(
            f"MaxPool{n}d", ("padding", "padding", 0), ("dilation", "dilation", 1), ("ceil_mode", "ceil_mode", False)
        )
        for n in (1, 2, 3)
    },
    **{
        f"avg_pool{n}d": _pool(
            f"AvgPool{n}d", ("padding", "padding", 0), ("ceil_mode", "ceil_mode", False),
            ("count_include_pad", "count_include_pad", True),
            *((("divisor_override", "divisor_override", None),) if n > 1 else ()),
        )
        for n in (1, 2, 3)
    },
    **{f"adaptive_avg_pool{n}d": _simple(f"AdaptiveAvgPool{n}d", required=("output_size",)) for n in (1, 2, 3)},
}  # fmt: skip
#: Operators that are layers without weights, but for their flag.
DROPOUTS = frozenset(name for name in _LAYERS if "dropout" in name)
