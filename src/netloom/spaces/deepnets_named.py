"""Networks that people ask for by name: ResNet-50, ConvNeXt-Base, and the published cells of DARTS and of a transformer.

Names of nodes and tensors are those of torchvision's modules, so that its weights fit. Images below 96 pixels get the first
layers that the hypernetworks' authors give such networks for CIFAR-10. (He et al., "Deep residual learning for image
recognition", CVPR 2016; Liu et al., "A ConvNet for the 2020s", CVPR 2022; Liu et al., "DARTS", ICLR 2019)
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Any

from ..errors import SpaceError
from ..graph.builder import Value, call, parameter
from ..graph.builder import input as new_input
from ..graph.graph import Graph
from .deepnets_architecture import LARGE, Architecture
from .deepnets_genotype import named
from .deepnets_network import network
from .deepnets_operations import Shape

NETWORKS = ("convnext_base", "darts", "resnet50", "vit")
#: Channels and cells of the two networks of cells: of small images, of large ones.
_SIZES = {"darts": ((36, 20), (48, 14)), "vit": ((128, 12), (128, 12))}


def named_network(
    name: str, *, input_shape: Shape = (3, 224, 224), num_classes: int | None = None, channels: int | None = None,
    cells: int | None = None,
) -> Graph:  # fmt: skip
    """The network called ``resnet50``, ``vit``, ``darts`` or ``convnext_base``, for images of ``input_shape``.

    ``num_classes`` is 1000 unless given, 10 for images below 96 pixels. ``channels`` and ``cells`` are those of ``darts``
    (48 and 14 unless given, 36 and 20 for small images) and ``vit`` (128 and 12). Raises `SpaceError`.

    >>> named_network("resnet50").num_params, named_network("resnet50", input_shape=(3, 32, 32)).num_params
    (25557032, 23520842)
    >>> named_network("vit", input_shape=(3, 32, 32)).num_params, named_network("darts", channels=16, cells=8).num_params
    (1012234, 501360)
    """
    if name not in NETWORKS:
        near = difflib.get_close_matches(str(name).lower(), NETWORKS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(NETWORKS)}"
        raise SpaceError(f"no network is called {str(name)[:80]!r}; {hint}")
    _check(input_shape, num_classes)
    large = max(input_shape[1:]) >= LARGE
    num_classes = num_classes or (1000 if large else 10)
    if name in _SIZES:
        usual = _SIZES[name][large]
        return network(architecture(name, input_shape, num_classes, channels or usual[0], cells or usual[1]))
    if channels or cells:
        raise SpaceError(f"{name} takes no channels and cells; darts and vit do")
    return _resnet50(input_shape, num_classes, large) if name == "resnet50" else _convnext_base(input_shape, num_classes, large)


def architecture(name: str, input_shape: Shape, num_classes: int, channels: int, cells: int) -> Architecture:
    """``darts`` or ``vit`` of these sizes."""
    if name == "vit":
        return Architecture(
            named("vit"), cells, channels, num_classes, preproc=False, C_mult=1, input_shape=input_shape
        )  # fmt: skip
    stem = int(max(input_shape[1:]) >= LARGE)
    return Architecture(named("darts"), cells, channels, num_classes, stem_type=stem, input_shape=input_shape)


def _check(shape: Any, num_classes: Any) -> None:
    if not isinstance(shape, tuple) or len(shape) != 3 or not all(type(size) is int and size >= 1 for size in shape):
        raise SpaceError(f"input_shape = {shape!r:.80}; expected (channels, height, width), each ≥ 1")
    if num_classes is not None and (type(num_classes) is not int or num_classes < 1):
        raise SpaceError(f"num_classes = {num_classes!r:.80}; expected an integer ≥ 1")


def _conv(x: Value, name: str, out: int, kernel: int, stride: int = 1, **more: Any) -> Value:
    more = {"padding": kernel // 2, "bias": False} | more
    made: Value = call("conv2d", x, name=name, out=out, kernel=kernel, stride=stride, **more)
    return made


# -- ResNet-50 ---------------------------------------------------------------------------------------------------------
def _resnet50(shape: Shape, classes: int, large: bool) -> Graph:
    x = new_input(*shape, name="x")
    y = _conv(x, "conv1", 64, 7, 2) if large else _conv(x, "conv1", 64, 3)
    y = call("relu", call("batch_norm", y, name="bn1"), name="relu")
    if large:
        y = call("max_pool2d", y, name="maxpool", kernel=3, stride=2, padding=1)
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
        for block in range(blocks):
            y = _bottleneck(y, f"layer{stage}.{block}", width, 2 if stage > 1 and block == 0 else 1, block == 0)
    y = call("flatten", call("adaptive_avg_pool2d", y, name="avgpool", output_size=1), name="flatten", start_dim=1)
    return Graph(x, call("linear", y, name="fc", out=classes))


def _bottleneck(x: Value, path: str, width: int, stride: int, projects: bool) -> Value:
    y = call("batch_norm", _conv(x, f"{path}.conv1", width, 1), name=f"{path}.bn1")
    y = _conv(call("relu", y, name=f"{path}.relu"), f"{path}.conv2", width, 3, stride)
    y = call("relu", call("batch_norm", y, name=f"{path}.bn2"), name=f"{path}.relu@2")
    y = call("batch_norm", _conv(y, f"{path}.conv3", 4 * width, 1), name=f"{path}.bn3")
    if projects:
        x = _conv(x, f"{path}.downsample.0", 4 * width, 1, stride)
        x = call("batch_norm", x, name=f"{path}.downsample.1")
    made: Value = call("relu", call("add", y, x, name=f"{path}.add"), name=f"{path}.relu@3")
    return made


# -- ConvNeXt-Base -----------------------------------------------------------------------------------------------------
#: Share of the last block's results that are dropped in training; earlier ones drop less, the first none.
_DROPPED = 0.5
_BLOCKS, _WIDTHS = (3, 3, 27, 3), (128, 256, 512, 1024)


def _convnext_base(shape: Shape, classes: int, large: bool) -> Graph:
    x = new_input(*shape, name="x")
    y = _layer_norm(_conv(x, "features.0.0", _WIDTHS[0], 4, 4 if large else 1, padding=0, bias=True), "features.0.1")
    number = 0
    for stage, (blocks, width) in enumerate(zip(_BLOCKS, _WIDTHS)):
        if stage:
            y = _layer_norm(y, f"features.{2 * stage}.0")
            y = _conv(y, f"features.{2 * stage}.1", width, 2, 2, padding=0, bias=True)
        for block in range(blocks):
            y = _convnext_block(y, f"features.{2 * stage + 1}.{block}", width, _DROPPED * number / (sum(_BLOCKS) - 1.0))
            number += 1
    y = _layer_norm(call("adaptive_avg_pool2d", y, name="avgpool", output_size=1), "classifier.0")
    y = call("flatten", y, name="classifier.1", start_dim=1)
    return _in_training(Graph(x, call("linear", y, name="classifier.2", out=classes)))


def _convnext_block(x: Value, path: str, width: int, dropped: float) -> Value:
    scale = parameter(width, 1, 1, name=f"{path}.layer_scale")
    y = call(
        "permute", _conv(x, f"{path}.block.0", width, 7, groups=width, bias=True), name=f"{path}.block.1", dims=(0, 2, 3, 1)
    )
    y = call("layer_norm", y, name=f"{path}.block.2", normalized_shape=width, eps=1e-6)
    y = call("gelu", call("linear", y, name=f"{path}.block.3", out=4 * width), name=f"{path}.block.4")
    y = call("permute", call("linear", y, name=f"{path}.block.5", out=width), name=f"{path}.block.6", dims=(0, 3, 1, 2))
    y = call("mul", scale, y, name=f"{path}.mul")
    if dropped:
        y = _stochastic_depth(y, f"{path}.stochastic_depth", 1.0 - dropped)
    made: Value = call("add", y, x, name=f"{path}.add")
    return made


def _layer_norm(x: Value, name: str) -> Value:
    """Layer norm over the channels of an image."""
    y = call("permute", x, name=f"{name}.permute", dims=(0, 2, 3, 1))
    y = call("layer_norm", y, name=name, normalized_shape=y.shape[-1], eps=1e-6)
    made: Value = call("permute", y, name=f"{name}.permute_1", dims=(0, 3, 1, 2))
    return made


def _stochastic_depth(x: Value, path: str, kept: float) -> Value:
    """Samples set to zero at random in training. (Huang et al., "Deep networks with stochastic depth", ECCV 2016)"""
    from ..ops import DType

    mask = call("empty", name=f"{path}.empty", shape=(x.shape[0], 1, 1, 1), dtype=DType("float32"))
    mask = call("div", call("bernoulli_like", mask, kept, name=f"{path}.bernoulli_like"), kept, name=f"{path}.div")
    made: Value = call("by_mode", call("mul", x, mask, name=f"{path}.mul"), x, name=f"{path}.by_mode")
    return made


def _in_training(graph: Graph) -> Graph:
    """The graph with the calls of stochastic depth made in training alone, and with layer scales that start at 1e-6."""
    steps = []
    for step in graph.steps:
        path, _, last = step.name.rpartition(".")
        if path.endswith("stochastic_depth"):
            step = replace(step, scope=path, mode="" if last == "by_mode" else "train")
        steps.append(step)
    tensors = {
        key: replace(entry, init=("constant", 1e-6)) if key.endswith("layer_scale") else entry
        for key, entry in graph.tensors.items()
    }
    return Graph.make(steps, tensors, graph.arguments, graph.result, symbols=graph.symbols)
