"""CIFAR-10 wherever it is: Parquet files, the python or the binary batches, or class folders.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009: 50,000 + 10,000 images of 3×32×32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...errors import TaskError
from .cifar10_pickles import read_batch, read_class_names
from .folders import FolderImages, parts_of
from .parquet import ParquetImages, digest_of_files, signature_of_files
from .source import ImageSource, PixelImages

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_TRAIN, _TEST = tuple(f"data_batch_{number}" for number in range(1, 6)), "test_batch"
_ROW_BYTES = 1 + 3072
#: Folders of folders that are looked into.
_DEPTH = 4


def find_cifar10(path: str | Path) -> dict[str, ImageSource]:
    """The train and test sources in ``path`` or below it. `TaskError` says what was looked for where there is nothing."""
    place = Path(path).expanduser().absolute()
    if not place.exists():
        raise TaskError(f"there is no folder {str(place)!r}; without a path, cifar10 is fetched into the user's cache")
    if place.is_file():
        raise TaskError(f"{str(place)!r} is a file; give the folder that holds CIFAR-10 in one of these forms: {_FORMS}")
    for folder in _below(place):
        found = _parquet(folder) or _batches(folder) or _class_folders(folder)
        if found:
            return found
    raise TaskError(f"there is no CIFAR-10 in {str(place)!r}; looked for {_FORMS}")


_FORMS = (
    "Parquet files with 'train' and 'test' in their names, data_batch_1 … data_batch_5 and test_batch (with .bin or without), "
    "or class folders in train/ and test/"
)


def _below(place: Path) -> Iterator[Path]:
    """The folder, then those below it, nearest first."""
    level = [place]
    for _ in range(_DEPTH):
        yield from level
        level = [below for folder in level for below in sorted(folder.iterdir()) if below.is_dir()]


def _parquet(folder: Path) -> dict[str, ImageSource] | None:
    files = sorted(folder.glob("*.parquet"))
    train, test = ([file for file in files if part in file.name.lower()] for part in ("train", "test"))
    if not train or not test:
        return None
    return {"train": ParquetImages(train), "test": ParquetImages(test)}


def _batches(folder: Path) -> dict[str, ImageSource] | None:
    for suffix in ("", ".bin"):
        train, test = [folder / (name + suffix) for name in _TRAIN], folder / (_TEST + suffix)
        present = [file for file in (*train, test) if file.is_file()]
        if not present:
            continue
        missing = [file.name for file in (*train, test) if file not in present]
        if missing:
            raise TaskError(f"{str(folder)!r} lacks {', '.join(missing)} of CIFAR-10; fetch it again")
        names = read_class_names(folder) or CLASSES
        return {"train": _pixels(train, names), "test": _pixels([test], names)}
    return None


def _class_folders(folder: Path) -> dict[str, ImageSource] | None:
    parts = parts_of(folder)
    return None if parts is None else {part: FolderImages(place) for part, place in parts.items()}


def _pixels(files: Sequence[Path], class_names: tuple[str, ...]) -> PixelImages:
    read = [_read_binary(file) if file.suffix == ".bin" else read_batch(file) for file in files]
    pixels, labels = (np.concatenate([batch[place] for batch in read]) for place in (0, 1))
    return PixelImages(pixels, labels, class_names, signature_of_files(files), digest_of_files(files))


def _read_binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A batch of the binary version: a byte of label and 3,072 of pixels for each image."""
    data = np.fromfile(path, np.uint8)
    if len(data) == 0 or len(data) % _ROW_BYTES:
        raise TaskError(f"{str(path)!r} has {len(data):,} bytes; a binary CIFAR-10 batch has a multiple of {_ROW_BYTES:,}")
    rows = data.reshape(-1, _ROW_BYTES)
    if rows[:, 0].max() > 9:
        raise TaskError(f"{str(path)!r} has the label {rows[:, 0].max()}; CIFAR-10 has classes 0 … 9")
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)
