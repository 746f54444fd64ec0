"""Networks that the tests of hypernetworks look at, and the reference material."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import netloom as nl

REFERENCE = Path(os.environ["NETLOOM_DATA"]) / "ghn" if "NETLOOM_DATA" in os.environ else None
needs_reference = pytest.mark.skipif(
    REFERENCE is None or not REFERENCE.is_dir(), reason="NETLOOM_DATA is unset: what the original computes is not at hand"
)
IMAGE = torch.zeros(1, 3, 32, 32)


def reference(name: str) -> Any:
    """A JSON file of the reference material."""
    assert REFERENCE is not None
    return json.loads((REFERENCE / name).read_text())


def tiny() -> nn.Module:
    """The model `tiny` of the reference material."""
    assert REFERENCE is not None
    spec = importlib.util.spec_from_file_location("tiny", REFERENCE / "tiny.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: nn.Module = module.Tiny().eval()
    return made


def deepnets(name: str) -> nl.Graph:
    """A DeepNets network of the reference material."""
    settings = {**reference("reference.json")["net_args"][name]}
    settings.pop("is_imagenet_input")
    genotype, channels, cells = settings.pop("genotype"), settings.pop("C"), settings.pop("n_cells")
    if settings.get("norm") == "bn":
        settings["norm"] = "bn-track"
    return nl.spaces.DeepNets1M.network(genotype, channels, cells, **settings)


def torchvision_model(name: str, **options: Any) -> nn.Module:
    """A model of torchvision; skips where it is not installed."""
    try:
        from benchmarks import torchvision_shim  # noqa: F401  (before torchvision)

        import torchvision  # isort: skip
    except ImportError:
        pytest.skip("torchvision is not installed")
    made: nn.Module = getattr(torchvision.models, name)(**options)
    return made.eval()


def small(**options: Any) -> Any:
    """A small GHN-2 with seeded weights, in evaluation mode."""
    torch.manual_seed(0)
    return nl.ghn.GHN2(**{"max_shape": (16, 16, 5, 5), "num_classes": 10, "hid": 16, **options}).eval()


class Attention(nn.Module):
    """Self-attention of two heads over (N, L, C), written out."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, length, width = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, length, 3, 2, width // 2).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-2, -1) * 0.5).softmax(-1)
        return x + self.out((weights @ v).transpose(1, 2).reshape(n, length, width))


class Tied(nn.Module):
    """One convolution called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.shared, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.shared(torch.relu(self.shared(torch.relu(self.stem(x)))))
        return self.head(x.mean((2, 3)))


class Parallel(nn.Module):
    """Two layers on the input, two heads, one of them without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 8, 5, padding=2)
        self.first, self.second = nn.Linear(8, 10), nn.Linear(8, 10, bias=False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = (self.left(x) + self.right(x)).mean((2, 3))
        return self.first(y), self.second(y)
