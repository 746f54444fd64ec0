"""The commands of docs/ghn.md for PPUDA's training and fine-tuning: each takes one step, on generated images."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.cli.main import main
from tests.ghn.networks import small

PAGE = Path(__file__).parents[2] / "docs" / "ghn.md"
COMMANDS = [
    line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("netloom train ") and "--recipe" in line
]
#: Full size takes gigabytes and minutes: the whole of them is for `make test-slow`.
_LARGE = ("resnet50", "convnext_base", "imagenet:FOLDER", "channels=36")
_SMALLER = ["--batch-size", "2", "--max-steps", "1", "--epochs", "1", "--quiet"]


def rows() -> list[object]:
    return [
        pytest.param(line, marks=[pytest.mark.slow] if any(name in line for name in _LARGE) else [], id=f"{number}")
        for number, line in enumerate(COMMANDS)
    ]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images of each of two classes, laid out as ImageNet is."""
    from PIL import Image

    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for part in ("train", "val"):
        for label in ("cat", "dog"):
            (folder / part / label).mkdir(parents=True)
            for number in range(6):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / label / f"{number}.png")
    return folder


def test_all_rows_are_there() -> None:
    assert len(COMMANDS) >= 14
    for part in ("ghn:ghn1_imagenet", "ghn:ghn2_imagenet", "--init random", "resnet50-imagenet.pth", "--from-layer 94", "vit"):
        assert any(part in line for line in COMMANDS), part


@pytest.mark.parametrize("line", rows())
def test_one_step(line: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    file = small(max_shape=(8, 8, 3, 3), hid=8, num_classes=1000).save(tmp_path / "ghn.safetensors")
    words = shlex.split(line)[1:]
    given = {
        "cifar10": f"images:{images}?size=32&train=4&test=2", "imagenet:FOLDER": f"imagenet:{images}?valid=2",
        "ghn:ghn1_imagenet": f"ghn:{file}", "ghn:ghn2_imagenet": f"ghn:{file}", "deepnets1m:search/12": "deepnets1m:val/0",
    }  # fmt: skip
    if "resnet50-imagenet.pth" in words:
        torch.save(nl.build(nl.spaces.named_network("resnet50"), seed=0).state_dict(), "resnet50-imagenet.pth")
    words = [given.get(word, word) for word in words]
    for flag, value in (("--shots", "2"), ("--validate", "2")):
        if flag in words:
            words[words.index(flag) + 1] = value
    assert main([*words, *_SMALLER]) == 0
