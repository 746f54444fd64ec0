"""The operations of DeepNets-1M as small graphs: what a stem, a cell's operation or the head computes on values of one shape.

Nodes are called as the modules of the published code are, below a path that is put before them: ``op.1``, or ``self`` for the
module itself. (Knyazev et al., "Parameter prediction for unseen deep architectures", NeurIPS 2021, section 3)
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from ..errors import SpaceError
from ..graph.builder import Value, call, parameter
from ..graph.builder import input as new_input
from ..graph.graph import Graph

#: (channels, height, width) of one sample.
Shape = tuple[int, int, int]

HEADS = 8
#: The name of a node that is called as the path itself.
SELF = "self"


@lru_cache(maxsize=50_000)
def operation(kind: str, kernel: int, shape: Shape, out: int, stride: int, norm: str | None) -> Graph:
    """An operation of a cell on samples of ``shape``, to ``out`` channels; `NetloomError` where it cannot be."""
    x = new_input(*shape, name="x")
    made = _MADE[kind](x, kernel, out, stride, norm)
    return Graph(x, made)


@lru_cache(maxsize=10_000)
def stem(which: str, shape: Shape, out: int, kernel: int, norm: str | None, large: bool, pool: bool) -> Graph:
    """The part of a stem called ``"stem"``, ``"stem0"``, ``"relu"``, ``"stem1"`` or ``"patches"`` (of a vision transformer)."""
    x = new_input(*shape, name="x")
    if which == "stem":
        y = _normed(_conv(x, "0", out, kernel, 4 if large else 1, kernel // 2), "1", norm)
        return Graph(x, call("max_pool2d", y, name="2", kernel=3, stride=2, padding=1) if pool else y)
    if which == "stem0":
        y = _normed(_conv(x, "0", out // 2, kernel, 2 if large else 1, kernel // 2), "1", norm)
        y = _conv(call("relu", y, name="2"), "3", out, 3, 2 if large else 1, 1)
        return Graph(x, _normed(y, "4", norm))
    if which == "relu":
        return Graph(x, call("relu", x, name="0"))
    if which == "stem1":
        return Graph(x, _normed(_conv(x, "1", out, 3, 2, 1), "2", norm))
    return _patches(x, out, large)


def _patches(x: Value, out: int, large: bool) -> Graph:
    """Patches of 16×16 pixels, or of 3×3 of small images, and a learned map of where they lie."""
    y = _conv(x, "stem0", out, 16, 16, 0) if large else _conv(x, "stem0", out, 3, 3, 1)
    place = parameter(1, *y.shape[1:], name="pos_enc.weight")
    graph = Graph(x, call("add", y, place, name="pos_enc"))
    entry = graph.tensors["pos_enc.weight"]
    return graph.with_tensors({**graph.tensors, "pos_enc.weight": replace(entry, init=("normal", 0.0, 1.0))})


@lru_cache(maxsize=10_000)
def head(shape: Shape, classes: int, layers: int, hidden: int, glob_avg: bool) -> Graph:
    """From the last cell's output to logits: pooling, then ``layers`` linear layers with dropout between them."""
    x = y = new_input(*shape, name="x")
    if glob_avg:
        y = call("adaptive_avg_pool2d", x, name="global_pooling", output_size=1)
    y = call("reshape", y, name="reshape", shape=(y.shape[0], y.shape[1] * y.shape[2] * y.shape[3]))
    for i in range(0, 3 * (layers - 1), 3):
        y = call("relu", call("linear", y, name=f"classifier.{i}", out=hidden), name=f"classifier.{i + 1}")
        y = call("dropout", y, name=f"classifier.{i + 2}", p=0.5)
    return Graph(x, call("linear", y, name=f"classifier.{3 * (layers - 1)}", out=classes))


# -- convolutions and pools --------------------------------------------------------------------------------------------
def _conv(x: Value, name: str, out: int, kernel: Any, stride: Any = 1, padding: Any = 0, **more: Any) -> Value:
    made: Value = call("conv2d", x, name=name, out=out, kernel=kernel, stride=stride, padding=padding, bias=False, **more)
    return made


def _normed(x: Value, name: str, norm: str | None) -> Value:
    if norm is None:
        return x
    untracked: dict[str, Any] = {"training": True, "running_mean": False, "running_var": False, "num_batches_tracked": False}
    made: Value = call("batch_norm", x, name=name, **({} if "track" in norm else untracked))
    return made


def _plain(x: Value, k: int, out: int, stride: int, norm: str | None) -> Value:
    y = _conv(call("relu", x, name="op.0"), "op.1", out, k, stride, k // 2)
    return _normed(y, "op.2", norm)


def _row_and_column(x: Value, k: int, out: int, stride: int, norm: str | None) -> Value:
    channels = x.shape[1]
    y = _conv(call("relu", x, name="op.0"), "op.1", channels, (1, k), (1, stride), (0, k // 2))
    return _normed(_conv(y, "op.2", out, (k, 1), (stride, 1), (k // 2, 0)), "op.3", norm)


def _separable(x: Value, k: int, out: int, stride: int, norm: str | None) -> Value:
    channels = x.shape[1]
    y = _conv(call("relu", x, name="op.0"), "op.1", channels, k, stride, k // 2, groups=channels)
    y = _normed(_conv(y, "op.2", channels, 1), "op.3", norm)
    y = _conv(call("relu", y, name="op.4"), "op.5", channels, k, 1, k // 2, groups=channels)
    return _normed(_conv(y, "op.6", out, 1), "op.7", norm)


def _dilated(x: Value, k: int, out: int, stride: int, norm: str | None) -> Value:
    channels = x.shape[1]
    y = _conv(call("relu", x, name="op.0"), "op.1", channels, k, stride, k - k % 2, dilation=2, groups=channels)
    return _normed(_conv(y, "op.2", out, 1), "op.3", norm)


def _max_pool(x: Value, k: int, out: int, stride: int, norm: str | None) -> Value:
    _same_channels("max_pool", x, out)
    made: Value = call("max_pool2d", x, name=SELF, kernel=k, stride=stride, padding=k // 2)
    return made


def _avg_pool(x: Value, k: int, out: int, stride: int, norm: str | None) -> Value:
    _same_channels("avg_pool", x, out)
    made: Value = call("avg_pool2d", x, name=SELF, kernel=k, stride=stride, padding=k // 2, count_include_pad=False)
    return made


def _factorized(x: Value, k: int, out: int, stride: int, norm: str | None) -> Value:
    """Half the resolution without loss: two pointwise convolutions of stride 2, one of them a pixel further."""
    if out % 2:
        raise SpaceError(f"deepnets1m network: {out} channels cannot be halved by a strided skip; C must be even")
    if any(size % 2 for size in x.shape[2:]):
        raise SpaceError(
            f"deepnets1m network: a strided skip needs even sizes, and meets {x.shape[2]}×{x.shape[3]}; use an input_shape "
            "whose height and width can be halved as often as the network does"
        )
    y = call("relu", x, name="relu")
    first = _conv(y, "conv_1", out // 2, 1, 2)
    second = _conv(call("getitem", y, _slices(x, 1, 1), name="getitem"), "conv_2", out // 2, 1, 2)
    return _normed(call("cat", first, second, name="cat", dim=1), "bn", norm)


def _slices(x: Value, start: int, step: int) -> tuple[Any, ...]:
    return (slice(None), slice(None), *(slice(start, None, step) for _ in range(2)))


def _strided(x: Value, stride: int, name: str = "getitem") -> Value:
    return call("getitem", x, _slices(x, 0, stride), name=name) if stride > 1 else x


def _every_other(x: Value, k: int, out: int, stride: int, norm: str | None) -> Value:
    return _strided(x, stride)


def _same_channels(what: str, x: Value, out: int) -> None:
    if x.shape[1] != out:
        raise SpaceError(f"deepnets1m network: {what} keeps its {x.shape[1]} channels where {out} are needed; use preproc=True")


# -- squeeze-and-excitation, attention ---------------------------------------------------------------------------------
def _squeeze_excite(x: Value, k: int, out: int, stride: int, norm: str | None) -> Value:
    """A gate for each channel from the means of all. (Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018)"""
    _same_channels("cse", x, out)
    batch, channels, height, width = x.shape
    y = call("reshape", x, name="reshape", shape=(batch, channels, height * width))
    y = call("linear", call("mean", y, name="mean", dim=(2,)), name="fc1", out=channels // 2)
    y = call("linear", call("relu", y, name="relu"), name="fc2", out=channels)
    y = call("reshape", call("hardswish", y, name="sigmoid"), name="reshape_1", shape=(batch, channels, 1, 1))
    return _strided(call("mul", x, y, name="mul"), stride)


def _attention(x: Value, k: int, out: int, stride: int, norm: str | None) -> Value:
    """A transformer's encoder layer over the pixels. (Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021)"""
    _same_channels("msa", x, out)
    batch, channels, height, width = x.shape
    if channels < HEADS:
        raise SpaceError(
            f"deepnets1m network: {channels} channels do not suffice for the {HEADS} heads of msa; use C ≥ {HEADS}"
        )
    pixels, each = height * width, channels // HEADS
    y = call("reshape", x, name="reshape", shape=(batch, channels, pixels))
    y = call("permute", y, name="permute", dims=(0, 2, 1))
    normed = call("layer_norm", y, name="ln1", normalized_shape=channels)
    qkv = call("linear", normed, name="to_qkv", out=3 * HEADS * each, bias=False)
    parts = call("split", qkv, name="split", sizes=(HEADS * each,) * 3, dim=2)
    q, k_, v = (
        call("permute", call("reshape", part, name=f"reshape_{i}", shape=(batch, pixels, HEADS, each)), name=f"permute_{i}",
             dims=(0, 2, 1, 3))
        for i, part in enumerate(parts, 1)
    )  # fmt: skip
    scores = call("mul", call("einsum", q, k_, name="einsum", equation="acdb,aceb->acde"), each**-0.5, name="mul")
    mixed = call("einsum", call("softmax", scores, name="softmax", dim=-1), v, name="einsum_1", equation="acde,aceb->acdb")
    mixed = call("permute", mixed, name="permute_4", dims=(0, 2, 1, 3))
    mixed = call("reshape", mixed, name="reshape_4", shape=(batch, pixels, HEADS * each))
    mixed = call("dropout", call("linear", mixed, name="to_out.0", out=out), name="to_out.1", p=0.0)
    y = call("add", mixed, y, name="add")
    hidden = call("linear", call("layer_norm", y, name="ln2", normalized_shape=channels), name="ff.net.0", out=out)
    hidden = call("dropout", call("gelu", hidden, name="ff.net.1"), name="ff.net.2", p=0.0)
    hidden = call("dropout", call("linear", hidden, name="ff.net.3", out=out), name="ff.net.4", p=0.0)
    y = call("permute", call("add", hidden, y, name="add_1"), name="permute_5", dims=(0, 2, 1))
    y = call("reshape", y, name="reshape_5", shape=(batch, channels, height, width))
    return _strided(y, stride)


_MADE: dict[str, Any] = {
    "conv": _plain, "conv2": _row_and_column, "sep_conv": _separable, "dil_conv": _dilated, "max_pool": _max_pool,
    "avg_pool": _avg_pool, "factorized": _factorized, "stride": _every_other, "cse": _squeeze_excite, "msa": _attention,
}  # fmt: skip
#: Tensors in the order in which the published module registers them, where that is not the order of its calls.
TENSOR_ORDER = {"msa": ("to_qkv", "to_out.0", "ln1", "ln2", "ff.net.0", "ff.net.3")}
