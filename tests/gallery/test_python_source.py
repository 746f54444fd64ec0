"""Whole models as Python: the written module is the model, bit for bit. Published ones: benchmarks/to_python.py."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import netloom as nl
from netloom.testing import exactness
from tests.gallery.models import MODELS


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_source_is_the_model(name: str) -> None:
    torch.manual_seed(0)
    model, example = MODELS[name]()
    exactness.stir(model.eval())
    graph = nl.trace(model, example)
    scope: dict[str, Any] = {"__name__": "written"}
    exec(compile(graph.to_python(), name, "exec"), scope)
    network = scope["Model"]()
    network.load_state_dict(model.state_dict(), strict=True)
    assert exactness.compare_state(model, network) == []
    resized = exactness.resize_batch(example, 3)
    assert exactness.compare_eval(model, network, resized) == []
    assert exactness.compare_train(model, network, resized) == []


SMALL = (
    "torchvision/resnet18", "torchvision/squeezenet1_1", "torchvision/shufflenet_v2_x0_5", "timm/test_resnet", "timm/test_vit",
    "timm/test_convnext", "timm/test_efficientnet", "transformers/bert", "transformers/llama", "transformers/gpt2",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_published_models(name: str) -> None:
    from benchmarks.to_python import examine, is_exact

    record = examine(name)
    assert is_exact(record) and not record["style"] and record["lines"] <= 240
