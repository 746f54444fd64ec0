"""`ImageSource`: labelled image files, wherever they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ...errors import TaskError
from .decoding import Frame, decode, header, render

if TYPE_CHECKING:
    import numpy


class ImageSource(Protocol):
    """Images, with labels int64 (N,) into ``class_names``."""

    labels: numpy.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int: ...

    def decode(self, row: int, frame: Frame, rng: numpy.random.Generator | None = None) -> numpy.ndarray:
        """One image as uint8 (C, H, W): see `netloom.tasks.images.decoding.decode`."""
        ...

    def header(self, row: int) -> tuple[int, int, int]:
        """Channels (1 or 3), height and width of one image."""
        ...

    def name(self, row: int) -> str:
        """How an error calls it."""
        ...

    def subset(self, rows: numpy.ndarray) -> ImageSource:
        """Some of the images; the others cannot be had from it."""
        ...

    @property
    def signature(self) -> str:
        """What is known of the files without reading them: where they are, their sizes and times."""
        ...

    def digest(self, *, show: bool = True) -> str:
        """SHA-256 of names, labels and bytes of all files; worked out once, remembered while the signature holds."""
        ...


class EncodedImages(ABC):
    """Images that are files, or the bytes of files."""

    @abstractmethod
    def read(self, row: int) -> bytes:
        """The bytes of one file."""

    def decode(self, row: int, frame: Frame, rng: numpy.random.Generator | None = None) -> numpy.ndarray:
        return decode(self.read(row), frame, rng)

    def header(self, row: int) -> tuple[int, int, int]:
        return header(self.read(row))


class PixelImages:
    """Images that are pixels already, uint8 (N, C, H, W); ``digest`` and ``signature`` are those of where they come from."""

    def __init__(
        self, pixels: numpy.ndarray, labels: numpy.ndarray, class_names: tuple[str, ...], signature: str, digest: str
    ) -> None:
        self.pixels, self.labels, self.class_names = pixels, labels, class_names
        self.signature, self._digest = signature, digest

    def __len__(self) -> int:
        return len(self.labels)

    def decode(self, row: int, frame: Frame, rng: numpy.random.Generator | None = None) -> numpy.ndarray:
        pixels = self.pixels[row]
        if pixels.shape == frame.shape and rng is None and frame.inner == 1.0:
            return pixels
        from PIL import Image

        image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
        return render(image, frame, rng)

    def header(self, row: int) -> tuple[int, int, int]:
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    def name(self, row: int) -> str:
        return f"image {row}"

    def subset(self, rows: numpy.ndarray) -> PixelImages:
        import hashlib

        chosen = rows.astype("<i8").tobytes()
        digest = hashlib.sha256(self._digest.encode() + chosen).hexdigest()
        return PixelImages(self.pixels[rows], self.labels[rows], self.class_names, f"{self.signature} {digest}", digest)

    def digest(self, *, show: bool = True) -> str:
        return self._digest


def same_classes(name: str, sources: Sequence[tuple[str, ImageSource]]) -> tuple[str, ...]:
    """The class names of all parts, which must be those of the first; labels of a part are brought in their order."""
    import numpy as np

    first, rest = sources[0][1].class_names, sources[1:]
    for part, source in rest:
        foreign = sorted(set(source.class_names) - set(first))
        if foreign:
            raise TaskError(
                f"task {name!r}: the {part} part has {_listing(foreign)}, which the {sources[0][0]} part does not have; "
                f"that one has {_listing(first)}"
            )
        places = np.array([first.index(label) for label in source.class_names], dtype=np.int64)
        source.labels = places[source.labels]
        source.class_names = first
    return first


def _listing(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{'class' if len(names) == 1 else 'classes'} {shown}{more}"
