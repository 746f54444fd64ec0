"""Images in class folders: ``FOLDER/cat/1.jpg``, ``FOLDER/dog/2.png``."""

from __future__ import annotations

import copy
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ...errors import TaskError
from ..cache import remembered
from ..progress import processors, progress
from .source import EncodedImages

#: Files with these endings are images; others are passed over.
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".jfif")
_TRAIN, _VALID, _TEST = ("train", "training"), ("valid", "val", "validation", "dev"), ("test", "testing")
#: Files that are read at a time, for each processor.
_READERS = 4


class FolderImages(EncodedImages):
    """The images below the class folders of ``root``; classes in the order of their names, files in that of theirs."""

    def __init__(self, root: str | Path) -> None:
        self.root = existing_folder(root)
        names: list[str] = []
        labels: list[int] = []
        stats: list[tuple[int, int]] = []
        self.class_names = tuple(_subfolders(self.root))
        if not self.class_names:
            raise TaskError(_no_classes(self.root))
        for label, class_name in enumerate(self.class_names):
            found = _images_below(self.root / class_name)
            if not found:
                raise TaskError(
                    f"class folder {class_name!r} of {str(self.root)!r} holds no image ({', '.join(SUFFIXES[:4])}, …); "
                    "put its images there or remove the folder"
                )
            names += [f"{class_name}/{file}" for file, _, _ in found]
            labels += [label] * len(found)
            stats += [(size, modified) for _, size, modified in found]
        self._names = names
        self._stats = stats
        self.labels = np.array(labels, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._names)

    def read(self, row: int) -> bytes:
        with open(self.root / self._names[row], "rb") as file:
            return file.read()

    def name(self, row: int) -> str:
        return self._names[row]

    def subset(self, rows: np.ndarray) -> FolderImages:
        part = copy.copy(self)
        part._names = [self._names[row] for row in rows]
        part._stats = [self._stats[row] for row in rows]
        part.labels = self.labels[rows]
        return part

    @property
    def signature(self) -> str:
        """The folder, and name, size and time of every file."""
        lines = [f"{name} {size} {modified}" for name, (size, modified) in zip(self._names, self._stats)]
        return "\n".join([str(self.root), *lines])

    def digest(self, *, show: bool = True) -> str:
        """SHA-256 of names, labels and bytes of all files; remembered while the signature holds."""
        return remembered("sources", self.signature, lambda: self._read_digest(show))

    def _read_digest(self, show: bool) -> str:
        found = hashlib.sha256(b"netloom image folder 1\n")
        with (
            ThreadPoolExecutor(_READERS * processors()) as threads,
            progress(f"reading {self.root.name}", sum(size for size, _ in self._stats), unit="B", show=show) as done,
        ):
            for name, digest, (size, _) in zip(self._names, threads.map(self._digest_of, range(len(self))), self._stats):
                found.update(f"{name}\0{digest}\n".encode(errors="surrogateescape"))
                done(size)
        return found.hexdigest()

    def _digest_of(self, row: int) -> str:
        try:
            return hashlib.blake2b(self.read(row), digest_size=32).hexdigest()
        except OSError as error:
            return f"unreadable: {error.strerror}"  # decoding will name it


def existing_folder(root: str | Path) -> Path:
    """The folder as an absolute path; `TaskError` where it is none."""
    path = Path(root).expanduser().absolute()
    if not path.exists():
        raise TaskError(f"there is no folder {str(path)!r}")
    if not path.is_dir():
        raise TaskError(f"{str(path)!r} is a file; expected a folder with one folder of images for each class")
    return path


def parts_of(root: str | Path) -> dict[str, Path] | None:
    """The folders of ready-made parts, ``train/`` with ``val/``, ``test/`` or both; None where ``root`` has none.

    ``val/`` without a ``test/`` beside it is the test part: it is all that was kept apart, as ImageNet's is.
    """
    folder = existing_folder(root)
    below = {name.lower(): folder / name for name in _subfolders(folder)}
    found: dict[str, Path] = {}
    for part, names in (("train", _TRAIN), ("valid", _VALID), ("test", _TEST)):
        for name in names:
            if name in below and _subfolders(below[name]):
                found.setdefault(part, below[name])
    if "valid" in found and "test" not in found:
        found["test"] = found.pop("valid")
    return found if "train" in found and "test" in found else None


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith((".", "__")))


def _images_below(folder: Path) -> list[tuple[str, int, int]]:
    """Path from ``folder``, size and time of every image in it or deeper, in the order of the paths."""
    found: list[tuple[str, int, int]] = []
    left = [""]
    while left:
        here = left.pop()
        with os.scandir(folder / here) as entries:
            for entry in entries:
                path = f"{here}/{entry.name}" if here else entry.name
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    left.append(path)
                elif entry.name.lower().endswith(SUFFIXES):
                    try:
                        stat = entry.stat()
                    except OSError:  # a link that leads nowhere: decoding will name it
                        found.append((path, 0, 0))
                    else:
                        found.append((path, stat.st_size, stat.st_mtime_ns))
    return sorted(found)


def _no_classes(root: Path) -> str:
    loose = sum(1 for path in root.iterdir() if path.name.lower().endswith(SUFFIXES))
    has = f"has {loose} images but no folders" if loose else "has no folders"
    return f"{str(root)!r} {has}; expected one folder of images for each class, such as {root.name}/cat/1.jpg"
