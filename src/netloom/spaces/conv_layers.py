"""The layers of random convolutional networks, and shape and cost of a chain of them in plain integers.

Source of the templates, ranges and probabilities: the public system sophius (A. Korolyov), restated in
`netloom.spaces.conv`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

from .chain import CHANNELS, Layer

CONV_CHANNELS = (8, 16, 32, 64, 96, 128, 192)
LINEAR_FEATURES = (32, 64, 128, 256, 512, 1024, 2048, 4096)


def _window(op: str, kernel: int, stride: int, padded: bool, *more: tuple[str, Any]) -> Layer:
    return Layer(op, (*more, ("kernel", kernel), ("stride", stride), ("padding", kernel // 2 if padded else 0)))


CONVS = tuple(
    _window("conv2d", kernel, stride, padded, ("out", out))
    for out, kernel, stride, padded in product(CONV_CHANNELS, range(1, 8), range(1, 5), (True, False))
)
MAX_POOLS = tuple(
    _window("max_pool2d", kernel, stride, padded) for kernel, stride, padded in product((2, 3, 4), (1, 2, 3), (True, False))
)
AVG_POOLS = tuple(
    _window("avg_pool2d", kernel, stride, padded, ("count_include_pad", counted))
    for kernel, stride, padded, counted in product((2, 3, 4), (1, 2), (True, False), (True, False))
)
#: One row for each kind of activation; the kind is drawn first, then one of its row.
ACTIVATIONS = (
    (Layer("relu"),),
    tuple(Layer("leaky_relu", (("negative_slope", slope),)) for slope in (0.1, 0.01, 0.001)),
    (Layer("prelu", (("num_parameters", CHANNELS),)), Layer("prelu", (("num_parameters", 1),))),
)
BATCH_NORM = Layer("batch_norm")
GLOBAL_AVG_POOL = Layer("adaptive_avg_pool2d", (("output_size", 1),))
FLATTEN = Layer("flatten")
LINEARS = tuple(Layer("linear", (("out", out),)) for out in LINEAR_FEATURES)
DROPOUTS = tuple(Layer("dropout", (("p", round(0.05 * i, 2)),)) for i in range(1, 20))

ALL_ACTIVATIONS = tuple(layer for row in ACTIVATIONS for layer in row)
#: kernel, stride, padding of every layer that slides a window, by layer.
WINDOWS = {
    layer: tuple(dict(layer.attrs)[name] for name in ("kernel", "stride", "padding"))
    for layer in (*CONVS, *MAX_POOLS, *AVG_POOLS)
}
#: Number of features that a convolution or hidden linear layer gives.
FEATURES = {layer: dict(layer.attrs)["out"] for layer in (*CONVS, *LINEARS)}
_OWN_SLOPES = ACTIVATIONS[2][0]
_ONE_SLOPE = ACTIVATIONS[2][1]


class Extent(NamedTuple):
    """Channels, height and width of an image between two layers, and what the layers so far cost.

    ``macs`` counts multiply–accumulates of convolutions and linear layers, biases not counted.
    """

    channels: int
    height: int
    width: int
    num_params: int = 0
    macs: int = 0


def after(extent: Extent, layer: Layer) -> Extent | None:
    """The image after one more layer; None where a spatial size would fall below 1.

    >>> after(Extent(3, 32, 32), CONVS[0])
    Extent(channels=8, height=32, width=32, num_params=32, macs=24576)
    """
    channels, height, width, num_params, macs = extent
    window = WINDOWS.get(layer)
    if window is not None:
        kernel, stride, padding = window
        height = (height + 2 * padding - kernel) // stride + 1
        width = (width + 2 * padding - kernel) // stride + 1
        if height < 1 or width < 1:
            return None
        if layer.op == "conv2d":
            out = FEATURES[layer]
            weights = channels * out * kernel * kernel
            return Extent(out, height, width, num_params + weights + out, macs + weights * height * width)
        return Extent(channels, height, width, num_params, macs)
    if layer.op == "linear":
        out = dict(layer.attrs)["out"]
        return Extent(out, 1, 1, num_params + channels * out + out, macs + channels * out)
    if layer is FLATTEN:
        return Extent(channels * height * width, 1, 1, num_params, macs)
    if layer is GLOBAL_AVG_POOL:
        return Extent(channels, 1, 1, num_params, macs)
    if layer is BATCH_NORM:
        return Extent(channels, height, width, num_params + 2 * channels, macs)
    if layer is _OWN_SLOPES:
        return Extent(channels, height, width, num_params + channels, macs)
    if layer is _ONE_SLOPE:
        return Extent(channels, height, width, num_params + 1, macs)
    return extent


def through(extent: Extent, layers: Sequence[Layer]) -> Extent | None:
    """The image after all of ``layers``, or None where it vanishes on the way."""
    for layer in layers:
        made = after(extent, layer)
        if made is None:
            return None
        extent = made
    return extent
