"""Attributes of torch's own modules as the calls of an edited graph have them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ...graph.graph import Graph, Step
from ...graph.tree import same

#: Arguments of operators that torch's modules call otherwise.
_RENAMED = {"kernel": "kernel_size", "sizes": "unflattened_size", "factor": "upscale_factor"}
#: Arguments that a module works out anew, or that are set from shapes.
_OWN = frozenset({"out", "features", "weight", "bias", "training", "shape", "num_embeddings", "groups", "normalized_shape"})


def fitted(module: nn.Module, path: str, calls: list[Step], old: Graph, new: Graph) -> dict[str, Any]:
    """Attribute → value, for the attributes of one of torch's modules that the calls it makes in ``new`` want otherwise.

    ``calls`` are the steps of the graph ``new`` that the module owns. Empty for modules that are none of torch's.
    """
    for kinds, rule, ops in _RULES:
        if isinstance(module, kinds):
            call = next((step for step in calls if step.op in ops), None) if ops else None
            found = rule(module, calls if ops is None else call, new) if call is not None or ops is None else {}
            break
    else:
        if not type(module).__module__.startswith("torch.nn.modules."):
            return {}
        call, found = calls[0] if len(calls) == 1 else None, {}
    if call is not None:
        found |= _restated(module, call, old, new)
    found |= _padded(module, calls, old, new)
    return {name: value for name, value in found.items() if name in vars(module) and not same(vars(module)[name], value)}


def has_rule(module: nn.Module) -> bool:
    """Whether the sizes of a module are known from its calls, so that there is nothing to guess."""
    return any(isinstance(module, kinds) for kinds, _, _ in _RULES)


def _restated(module: nn.Module, call: Step, old: Graph, new: Graph) -> dict[str, Any]:
    """Arguments of the call that changed, in the form that the attribute had: one number or a tuple."""
    before = old[call.name].step if call.name in old else None
    found: dict[str, Any] = {}
    for name, value in call.args.items() if before is not None and before.op == call.op else ():
        attribute = _RENAMED.get(name, name)
        if name in _OWN or same(value, before.args.get(name)) or attribute not in vars(module):  # type: ignore[union-attr]
            continue
        found[attribute] = formed(vars(module)[attribute], value)
        if attribute == "padding" and "_reversed_padding_repeated_twice" in vars(module) and not isinstance(value, str):
            found["_reversed_padding_repeated_twice"] = [size for size in reversed(value) for _ in range(2)]
    return found


def _padded(module: nn.Module, calls: list[Step], old: Graph, new: Graph) -> dict[str, Any]:
    """A convolution that pads by reflection and the like does so in a call of its own."""
    pad = next((step for step in calls if step.op == "pad"), None)
    if pad is None or not isinstance(module, nn.modules.conv._ConvNd) or module.padding_mode == "zeros":
        return {}
    if pad.name in old and same(old[pad.name].step.args["padding"], pad.args["padding"]):
        return {}
    sides = list(pad.args["padding"])
    even = all(sides[i] == sides[i + 1] for i in range(0, len(sides), 2))
    return {
        "_reversed_padding_repeated_twice": sides,
        "padding": tuple(sides[i] for i in range(len(sides) - 2, -1, -2)) if even else module.padding,
    }


def formed(now: Any, value: Any) -> Any:
    """``value`` as the attribute had its value: a single number for a tuple of equal ones, a list for a tuple."""
    if isinstance(value, tuple) and isinstance(now, int | float) and not isinstance(now, bool) and len(set(value)) == 1:
        return value[0]
    if isinstance(value, tuple) and isinstance(now, list):
        return list(value)
    if isinstance(value, tuple) and isinstance(now, torch.Size):
        return torch.Size(value)
    return value


def _shape(new: Graph, call: Step, argument: str = "weight") -> tuple[int, ...]:
    return getattr(new.operands(call), argument).shape


def _linear(module: Any, call: Step, new: Graph) -> dict[str, Any]:
    out, inside = _shape(new, call)
    return {"in_features": inside, "out_features": out}


def _bilinear(module: Any, call: Step, new: Graph) -> dict[str, Any]:
    out, one, two = _shape(new, call)
    return {"in1_features": one, "in2_features": two, "out_features": out}


def _conv(module: Any, call: Step, new: Graph) -> dict[str, Any]:
    rows, columns, *_ = _shape(new, call)
    groups = call.args["groups"]
    inside, out = (rows, columns * groups) if module.transposed else (columns * groups, rows)
    return {"in_channels": inside, "out_channels": out, "groups": groups}


def _channels(module: Any, call: Step, new: Graph) -> dict[str, Any]:
    return {"num_features": _shape(new, call, "x")[1]}


def _group_norm(module: Any, call: Step, new: Graph) -> dict[str, Any]:
    return {"num_channels": _shape(new, call, "x")[1], "num_groups": call.args["groups"]}


def _over_last(module: Any, call: Step, new: Graph) -> dict[str, Any]:
    return {"normalized_shape": call.args["normalized_shape"]}


def _embedding(module: Any, call: Step, new: Graph) -> dict[str, Any]:
    rows, columns = _shape(new, call)
    return {"num_embeddings": rows, "embedding_dim": columns}


def _prelu(module: Any, call: Step, new: Graph) -> dict[str, Any]:
    return {"num_parameters": _shape(new, call)[0]}


def _recurrent(module: Any, call: Step, new: Graph) -> dict[str, Any]:
    return {"hidden_size": call.args["hidden"], "input_size": new.operands(call).weights[0].shape[1]}


def _cell(module: Any, call: Step, new: Graph) -> dict[str, Any]:
    return {"hidden_size": call.args["hidden"], "input_size": _shape(new, call, "weight_ih")[1]}


def _multihead(module: Any, calls: list[Step], new: Graph) -> dict[str, Any]:
    """``embed_dim`` is the width of the result; the width of a head is what the products of queries and keys sum over."""
    width = module.out_proj.weight.shape[0]
    product = next((s for s in calls if s.op in ("scaled_dot_product_attention", "baddbmm", "bmm")), None)
    if product is None:
        return {}
    given = {"scaled_dot_product_attention": "q", "baddbmm": "a"}.get(product.op, "x")
    operands = vars(new.operands(product))
    query = operands.get(given) or next(v for v in operands.values() if hasattr(v, "shape"))
    head = query.shape[-1]
    inner = module.out_proj.weight.shape[1]
    found: dict[str, Any] = {"embed_dim": width, "head_dim": head, "num_heads": inner // head}
    for name, weight in (("kdim", module.k_proj_weight), ("vdim", module.v_proj_weight)):
        found[name] = width if weight is None else weight.shape[1]
    return found


_Rule = Callable[[Any, Any, Graph], dict[str, Any]]
#: (classes, rule, operators of the call it reads; None for all calls of the module).
_RULES: tuple[tuple[Any, _Rule, frozenset[str] | None], ...] = (
    (nn.Linear, _linear, frozenset({"linear"})),
    (nn.Bilinear, _bilinear, frozenset({"bilinear"})),
    (nn.modules.conv._ConvNd, _conv, frozenset(f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3))),
    (nn.modules.batchnorm._NormBase, _channels, frozenset({"batch_norm", "instance_norm"})),
    (nn.GroupNorm, _group_norm, frozenset({"group_norm"})),
    (nn.LayerNorm, _over_last, frozenset({"layer_norm"})),
    (nn.RMSNorm, _over_last, frozenset({"rms_norm"})),
    (nn.Embedding, _embedding, frozenset({"embedding"})),
    (nn.PReLU, _prelu, frozenset({"prelu"})),
    (nn.RNNBase, _recurrent, frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})),
    (nn.RNNCellBase, _cell, frozenset({"lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"})),
    (nn.MultiheadAttention, _multihead, None),
)  # fmt: skip


#: Operator → class of torch.nn for those that are called otherwise than their class in lower case.
_CLASSES = {
    "relu": "ReLU", "relu6": "ReLU6", "leaky_relu": "LeakyReLU", "rrelu": "RReLU", "elu": "ELU", "celu": "CELU", "selu": "SELU",
    "gelu": "GELU", "silu": "SiLU", "glu": "GLU", "prelu": "PReLU", "logsigmoid": "LogSigmoid", "log_softmax": "LogSoftmax",
    "hardswish": "Hardswish", "hardsigmoid": "Hardsigmoid", "hardtanh": "Hardtanh", "alpha_dropout": "AlphaDropout",
    "feature_alpha_dropout": "FeatureAlphaDropout", "pixel_shuffle": "PixelShuffle", "pixel_unshuffle": "PixelUnshuffle",
    "channel_shuffle": "ChannelShuffle", "local_response_norm": "LocalResponseNorm",
}  # fmt: skip
_POOLS = {f"{kind}_pool{n}d": f"{kind.title().replace('_', '')}Pool{n}d" for kind in (
    "max", "avg", "lp", "adaptive_avg", "adaptive_max") for n in (1, 2, 3)}  # fmt: skip
_PLAIN = frozenset(
    "mish sigmoid tanh hardshrink softshrink tanhshrink softplus softsign threshold softmax softmin dropout dropout1d "
    "dropout2d dropout3d flatten unflatten".split()
)


def made_for(call: Step, graph: Graph) -> nn.Module | None:
    """A module of torch's that makes a call, with its tensors on the meta device; None where there is no such class."""
    types = graph.operands(call)
    with torch.device("meta"):
        if call.op in _MADE:
            return _MADE[call.op](call, types)
        name = _CLASSES.get(call.op) or _POOLS.get(call.op) or (call.op.title() if call.op in _PLAIN else "")
        kind = getattr(nn, name, None)
        if kind is None:
            return None
        takes = inspect.signature(kind).parameters
        given = {_RENAMED.get(key, key): value for key, value in call.args.items()}
        return kind(**{key: value for key, value in given.items() if key in takes and key not in ("training", "dtype")})


def _new_conv(call: Step, types: Any) -> nn.Module:
    name = "".join(part.title() for part in call.op.split("_")).replace("1D", "1d").replace("2D", "2d").replace("3D", "3d")
    taken = ("stride", "padding", "output_padding", "dilation", "groups")
    settings = {key: call.args[key] for key in taken if key in call.args}
    inside, bias = types.x.shape[1], call.args["bias"] is not None
    return getattr(nn, name)(inside, call.args["out"], call.args["kernel"], bias=bias, **settings)


def _new_linear(call: Step, types: Any) -> nn.Module:
    return nn.Linear(types.x.shape[-1], call.args["out"], bias=call.args["bias"] is not None)


def _new_batch_norm(call: Step, types: Any) -> nn.Module:
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[types.x.rank]
    affine, tracks = call.args["weight"] is not None, call.args["running_mean"] is not None
    return kind(types.x.shape[1], call.args["eps"], call.args["momentum"], affine, tracks)


def _new_layer_norm(call: Step, types: Any) -> nn.Module:
    affine, bias = call.args["weight"] is not None, call.args["bias"] is not None
    return nn.LayerNorm(call.args["normalized_shape"], call.args["eps"], affine, bias)


def _new_rms_norm(call: Step, types: Any) -> nn.Module:
    return nn.RMSNorm(call.args["normalized_shape"], call.args["eps"], call.args["weight"] is not None)


def _new_group_norm(call: Step, types: Any) -> nn.Module:
    return nn.GroupNorm(call.args["groups"], types.x.shape[1], call.args["eps"], call.args["weight"] is not None)


def _new_pad(call: Step, types: Any) -> nn.Module | None:
    sides, n = call.args["padding"], len(call.args["padding"]) // 2
    kinds = {"constant": "Constant", "reflect": "Reflection", "replicate": "Replication", "circular": "Circular"}
    kind = kinds[call.args["mode"]]
    value = (call.args["value"] or 0.0,) if kind == "Constant" else ()
    return getattr(nn, f"{kind}Pad{n}d")(sides, *value)


_MADE: dict[str, Callable[[Step, Any], nn.Module | None]] = {
    **{f"conv{kind}{n}d": _new_conv for kind in ("", "_transpose") for n in (1, 2, 3)},
    "linear": _new_linear, "batch_norm": _new_batch_norm, "layer_norm": _new_layer_norm, "rms_norm": _new_rms_norm,
    "group_norm": _new_group_norm, "pad": _new_pad,
}  # fmt: skip
