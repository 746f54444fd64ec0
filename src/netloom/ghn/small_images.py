"""`adapt_to_small_images`: ImageNet models for images of 32 × 32."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from ..errors import HypernetworkError, NetloomWarning

#: Images of this side and more are what ImageNet models are made for.
LARGE = 96
_Kind = TypeVar("_Kind", bound=nn.Module)


def adapt_to_small_images(model: nn.Module, size: int = 32) -> nn.Module:
    """The model with its first layers changed so that they keep small images whole; changed in place, and returned.

    ResNet and DenseNet begin with a 3 × 3 convolution of stride 1, the middle of the kernel they had, and lose their first
    pool. MobileNet V2 and V3 get strides of 1 in their first five blocks, VGG loses the pools among its first ten layers,
    AlexNet, ShuffleNet V2 and GoogLeNet get a first stride of 1 and lose the first pool, MNASNet and ConvNeXt get a first
    stride of 1. A model that is adapted already stays as it is. Families are known by the name of the class, or of a class
    above it, whoever wrote it; for others there is a `NetloomWarning` and nothing changes. Nor does anything for images of 96
    pixels and more, without one.

    Source: the settings of Knyazev et al., NeurIPS 2021, for torchvision's models on CIFAR-10.

    >>> class ResNet(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.conv1, self.maxpool = nn.Conv2d(3, 8, 7, stride=2, padding=3), nn.MaxPool2d(3, 2, 1)
    >>> adapted = adapt_to_small_images(ResNet())
    >>> adapted.conv1.kernel_size, adapted.conv1.stride, adapted.maxpool
    ((3, 3), (1, 1), Identity())
    """
    if not isinstance(model, nn.Module):
        raise HypernetworkError(f"a {type(model).__name__} is no nn.Module; give the model to adapt")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise HypernetworkError(f"size = {size!r}; expected the side of the images, a whole number from 1")
    if size >= LARGE:
        return model
    names = [kind.__name__ for kind in type(model).__mro__]
    change = next((_FAMILIES[name] for name in names if name in _FAMILIES), None)
    if change is None:
        warnings.warn(
            f"{names[0]} is of no family that is known to be made for large images ({', '.join(sorted(_FAMILIES))}); it is "
            f"left as it is. If its first layers shrink images of {size} pixels too much, change their strides",
            NetloomWarning, stacklevel=2,
        )  # fmt: skip
    else:
        change(model)
    return model


# -- what is changed ---------------------------------------------------------------------------------------------------
def _first(model: nn.Module, kind: type[_Kind]) -> tuple[str, _Kind]:
    for path, module in model.named_modules():
        if isinstance(module, kind):
            return path, module
    raise HypernetworkError(f"{type(model).__name__} has no {kind.__name__}, which its family begins with")


def _centred_stem(model: nn.Module) -> None:
    """The 3 × 3 in the middle of the first kernel, at stride 1."""
    _, conv = _first(model, nn.Conv2d)
    low = [(size - 3) // 2 for size in conv.kernel_size]
    if min(low) > 0:
        with torch.no_grad():
            middle = conv.weight[:, :, low[0] : low[0] + 3, low[1] : low[1] + 3].clone()
        conv.weight = nn.Parameter(middle, requires_grad=conv.weight.requires_grad)
        conv.kernel_size = (3, 3)
    conv.padding = tuple(size // 2 for size in conv.kernel_size)
    conv.stride = (1, 1)
    if any(isinstance(module, nn.MaxPool2d) for module in model.modules()):  # its only one, gone where it is adapted already
        _without_pool(model)


def _without_pool(model: nn.Module) -> None:
    path, _ = _first(model, nn.MaxPool2d)
    _replace(model, path)


def _replace(model: nn.Module, path: str) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent) if parent else model, name, nn.Identity())


def _first_stride(model: nn.Module) -> None:
    _first(model, nn.Conv2d)[1].stride = (1, 1)


def _first_stride_without_pool(model: nn.Module) -> None:
    if _first(model, nn.Conv2d)[1].stride == (1, 1):
        return  # adapted already: the next pool is one that stays
    _first_stride(model)
    _without_pool(model)


def _features(model: nn.Module) -> list[tuple[str, nn.Module]]:
    found = getattr(model, "features", None)
    if not isinstance(found, nn.Module):
        raise HypernetworkError(f"{type(model).__name__} has no part called 'features', which its family has")
    return list(found.named_children())


def _early_strides(model: nn.Module) -> None:
    for _, block in _features(model)[:5]:
        for module in block.modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)


def _without_early_pools(model: nn.Module) -> None:
    for name, module in _features(model)[:10]:
        if isinstance(module, nn.MaxPool2d):
            _replace(model, f"features.{name}")


#: Name of a class → what is changed.
_FAMILIES: dict[str, Callable[[nn.Module], None]] = {
    **dict.fromkeys(("ResNet", "DenseNet"), _centred_stem),
    **dict.fromkeys(("MobileNetV2", "MobileNetV3"), _early_strides),
    "VGG": _without_early_pools,
    **dict.fromkeys(("AlexNet", "ShuffleNetV2", "GoogLeNet"), _first_stride_without_pool),
    **dict.fromkeys(("MNASNet", "ConvNeXt"), _first_stride),
}
