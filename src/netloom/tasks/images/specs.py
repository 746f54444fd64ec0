"""``cifar10``, ``images:FOLDER`` and ``imagenet:FOLDER``: tasks of images by their specs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...errors import TaskError
from ..settings import Spec, image_size, one_of, read_settings, size_in_bytes, size_of_part, whole, yes_or_no
from ..splitting import Sizes
from ..task import Task
from .assembling import ImageSettings, task_of_images
from .cifar10 import find_cifar10
from .folders import FolderImages, existing_folder, parts_of
from .memory import BROKEN
from .parquet import ParquetImages
from .source import ImageSource

_READERS: dict[str, Callable[[str], Any]] = {
    "valid": size_of_part,
    "train": size_of_part,
    "seed": whole,
    "stratify": yes_or_no,
    "size": image_size,
    "channels": lambda text: int(one_of("1", "3")(text)),
    "memory": size_in_bytes,
    "scaling": one_of("train", "imagenet", "none"),
    "broken": one_of(*BROKEN),
}
_WITH_TEST = {**_READERS, "test": size_of_part}
_LAYOUT = "train/ and val/ in it, and a folder for each class in both"
#: Of ImageNet's images, the side that is kept of the middle: 224 of 256.
_INNER, _SIDE = 224 / 256, 224


def cifar10(spec: Spec, data_dir: str | Path | None, show: bool) -> Task:
    """CIFAR-10: the published test part, a tenth of the 50,000 training images for validation (``valid=``)."""
    settings = _settings(spec, _READERS, {"valid": 0.1}, show)
    path: str | Path = spec.path
    if not spec.path:
        from ..downloads import fetch

        path = fetch("cifar10", data_dir=data_dir, show=show)
    return task_of_images("cifar10", spec.text, find_cifar10(path), settings)


def images(spec: Spec, data_dir: str | Path | None, show: bool) -> Task:
    """A folder of class folders of images, of train/ and test/ with such folders, or of Parquet files."""
    if not spec.path:
        raise TaskError("images needs a folder: images:FOLDER, with one folder of images for each class in it")
    settings = _settings(spec, _WITH_TEST, {}, show)
    folder = existing_folder(spec.path)
    return task_of_images(folder.name, spec.text, _sources(folder), settings)


def imagenet(spec: Spec, data_dir: str | Path | None, show: bool) -> Task:
    """ImageNet's layout, train/ and val/ with a folder for each class; decoded on the way."""
    if not spec.path:
        raise TaskError(f"imagenet needs its folder: imagenet:FOLDER, with {_LAYOUT}")
    usual = {"size": (_SIDE, _SIDE), "channels": 3, "memory": 0, "scaling": "imagenet", "valid": 0.02}
    settings = _settings(spec, _READERS, usual, show, inner=_INNER)
    folder = existing_folder(spec.path)
    parts = parts_of(folder)
    if parts is None:
        raise TaskError(f"{str(folder)!r} is not laid out as ImageNet is, with {_LAYOUT}")
    sources: dict[str, ImageSource] = {part: FolderImages(place) for part, place in parts.items()}
    return task_of_images("imagenet", spec.text, sources, settings)


def _sources(folder: Path) -> dict[str, ImageSource]:
    parts = parts_of(folder)
    if parts is not None:
        return {part: FolderImages(place) for part, place in parts.items()}
    files = sorted([*folder.glob("*.parquet"), *folder.glob("data/*.parquet")])
    if not files:
        return {"train": FolderImages(folder)}
    test = [file for file in files if "test" in file.name.lower()]
    valid = [file for file in files if "valid" in file.name.lower() and file not in test]
    train = [file for file in files if file not in test and file not in valid]
    found = {"train": train or files, "valid": valid if train else [], "test": test if train else []}
    return {part: ParquetImages(chosen) for part, chosen in found.items() if chosen}


def _settings(
    spec: Spec, readers: Mapping[str, Callable[[str], Any]], usual: Mapping[str, Any], show: bool, inner: float = 1.0
) -> ImageSettings:
    given = {**usual, **read_settings(spec, readers)}
    sizes = Sizes(given.pop("valid", 0.2), given.pop("test", 0.2), given.pop("train", None))
    if "memory" in given:
        given["memory_bytes"] = given.pop("memory")
    return ImageSettings(sizes=sizes, inner=inner, show=show, **given)
