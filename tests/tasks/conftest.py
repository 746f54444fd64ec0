"""Every test of tasks has a cache of its own, and images to write where it likes."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that netloom takes for the user's cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NETLOOM_CACHE", str(folder))
    return folder


def picture(seed: int, size: tuple[int, int] = (12, 10), mode: str = "RGB") -> Image.Image:
    """A random image of (width, height)."""
    drawn = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(drawn).convert(mode)


def encoded(image: Image.Image, form: str = "PNG", **settings: Any) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **settings)
    return buffer.getvalue()


@pytest.fixture
def class_folders(tmp_path: Path) -> Callable[..., Path]:
    """Writes class folders of random PNG files: ``class_folders("pets", cat=5, dog=7)``."""

    def write(name: str, *, size: tuple[int, int] = (12, 10), mode: str = "RGB", first: int = 0, **counts: int) -> Path:
        root = tmp_path / name
        seed = first
        for label, count in counts.items():
            (root / label).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                (root / label / f"{number:03}.png").write_bytes(encoded(picture(seed, size, mode)))
                seed += 1
        return root

    return write
