"""`adapt_to_small_images`: shapes of torchvision's families at 32 pixels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import netloom as nl
from netloom.errors import HypernetworkError, NetloomWarning
from tests.ghn.networks import IMAGE, torchvision_model

#: Name → the part whose result is looked at, and its shape at 32 pixels.
SHAPES: dict[str, tuple[str, tuple[int, ...]]] = {
    "resnet18": ("layer1", (1, 64, 32, 32)),
    "densenet121": ("features.pool0", (1, 64, 32, 32)),
    "vgg11_bn": ("features.9", (1, 256, 32, 32)),
    "mobilenet_v2": ("features.4", (1, 32, 32, 32)),
    "mobilenet_v3_small": ("features.4", (1, 40, 32, 32)),
    "shufflenet_v2_x0_5": ("maxpool", (1, 24, 32, 32)),
    "mnasnet0_5": ("layers.0", (1, 16, 32, 32)),
}


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_first_layers_keep_small_images_whole(name: str) -> None:
    model: Any = torchvision_model(name, num_classes=10)
    path, shape = SHAPES[name]
    seen: list[tuple[int, ...]] = []
    assert nl.ghn.adapt_to_small_images(model) is model
    model.get_submodule(path).register_forward_hook(lambda module, args, result: seen.append(tuple(result.shape)))
    with torch.no_grad():
        assert model(IMAGE).shape == (1, 10)
    assert seen == [shape]


def test_the_middle_of_the_kernel_stays() -> None:
    model: Any = torchvision_model("resnet18")
    before = model.conv1.weight.detach().clone()
    nl.ghn.adapt_to_small_images(model)
    assert torch.equal(model.conv1.weight, before[:, :, 2:5, 2:5]) and isinstance(model.maxpool, nn.Identity)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "alexnet", "googlenet", "shufflenet_v2_x0_5", "vgg11"])
def test_what_is_adapted_already_stays(name: str) -> None:
    options: dict[str, Any] = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    model: Any = torchvision_model(name, num_classes=10, **options)
    once = str(nl.ghn.adapt_to_small_images(model))
    assert str(nl.ghn.adapt_to_small_images(model)) == once


def test_large_images_and_unknown_families_stay() -> None:
    model: Any = torchvision_model("resnet18")
    assert nl.ghn.adapt_to_small_images(model, 224).conv1.kernel_size == (7, 7)
    plain = nn.Sequential(nn.Conv2d(3, 8, 7, stride=2))
    with pytest.warns(NetloomWarning, match="Sequential is of no family that is known"):
        assert nl.ghn.adapt_to_small_images(plain)[0].stride == (2, 2)
    with pytest.raises(HypernetworkError, match="size = 0; expected the side"):
        nl.ghn.adapt_to_small_images(plain, 0)
