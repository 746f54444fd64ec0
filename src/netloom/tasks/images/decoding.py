"""From the bytes of an image file to uint8 (C, H, W): one size, upright, grey or colour."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy
    from PIL import Image

#: Left, upper, right, lower, in pixels.
Box = tuple[float, float, float, float]

#: The Exif tag of the camera's orientation, and its values by which width and height change places.
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)
#: JPEG files are decoded at an eighth, a quarter or half of their size where that is still so many times too large.
_REDUCING_GAP = 2.0
#: Random resized crops: share of the area, ratio of the sides, tries. Source: C. Szegedy et al., "Going Deeper with
#: Convolutions", CVPR 2015.
_AREA, _RATIO, _TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10


@dataclass(frozen=True, slots=True)
class Frame:
    """What every image is made into: ``channels`` (1 or 3) of ``height`` × ``width``.

    ``inner`` is the share of the largest centred window that is kept: 0.875 is "to 256, then the middle 224".
    """

    channels: int
    height: int
    width: int
    inner: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width


def decode(data: bytes, frame: Frame, rng: numpy.random.Generator | None = None) -> numpy.ndarray:
    """The image in ``data`` as uint8 (C, H, W): its middle, or with ``rng`` a random resized crop, mirrored half the time.

    Raises whatever Pillow does for data that are no image.
    """
    if rng is None and frame.inner == 1.0:
        quick = _plain_jpeg(data, frame)
        if quick is not None:
            return quick
    from PIL import Image

    return render(Image.open(io.BytesIO(data)), frame, rng)


def render(opened: Any, frame: Frame, rng: numpy.random.Generator | None = None) -> numpy.ndarray:
    """A Pillow image, opened or made, as uint8 (C, H, W): see `decode`."""
    import numpy as np
    from PIL import Image

    turned = _orientation(opened) in _TURNED
    width, height = reversed(opened.size) if turned else opened.size
    box = middle(width, height, frame) if rng is None else random_box(width, height, frame, rng)
    mirrored = rng is not None and rng.random() < 0.5
    if opened.size != (frame.width, frame.height) and hasattr(opened, "draft"):
        _reduce(opened, frame, box, turned)
    image = _upright(_in_mode(opened, frame.channels))
    # Decoding may have shrunk the image: the box shrinks with it.
    across, down = image.size[0] / width, image.size[1] / height
    box = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
    if image.size != (frame.width, frame.height) or box != (0, 0, *image.size):
        image = image.resize((frame.width, frame.height), Image.Resampling.BILINEAR, box=box, reducing_gap=_REDUCING_GAP)
    pixels = np.asarray(image).reshape(frame.height, frame.width, frame.channels).transpose(2, 0, 1)
    return np.ascontiguousarray(pixels[:, :, ::-1] if mirrored else pixels)


def middle(width: int, height: int, frame: Frame) -> Box:
    """The centred window with the sides in the ratio of the frame."""
    scale = min(width / frame.width, height / frame.height) * frame.inner
    across, down = frame.width * scale, frame.height * scale
    left, top = (width - across) / 2, (height - down) / 2
    return (left, top, left + across, top + down)


def random_box(width: int, height: int, frame: Frame, rng: numpy.random.Generator) -> Box:
    """A window of random area and ratio at a random place; the middle where none of ten fits."""
    target = frame.width / frame.height
    for _ in range(_TRIES):
        area = width * height * rng.uniform(*_AREA)
        ratio = target * math.exp(rng.uniform(math.log(_RATIO[0]), math.log(_RATIO[1])))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            left, top = int(rng.integers(width - across + 1)), int(rng.integers(height - down + 1))
            return (left, top, left + across, top + down)
    return middle(width, height, Frame(frame.channels, frame.height, frame.width))


def _reduce(image: Any, frame: Frame, box: Box, turned: bool) -> None:
    """Ask the JPEG decoder for no more pixels than the window needs."""
    wide = image.size[1 if turned else 0] * frame.width / (box[2] - box[0]) * _REDUCING_GAP
    tall = image.size[0 if turned else 1] * frame.height / (box[3] - box[1]) * _REDUCING_GAP
    asked = (math.ceil(tall), math.ceil(wide)) if turned else (math.ceil(wide), math.ceil(tall))
    image.draft("L" if frame.channels == 1 else "RGB", asked)


def _in_mode(image: Any, channels: int) -> Image.Image:
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("its pixels are floating-point numbers without a scale")
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    wanted = "L" if channels == 1 else "RGB"
    if image.mode != wanted:
        return image.convert(wanted)
    image.load()
    return image


def _orientation(image: Any) -> int:
    return int(image.getexif().get(_ORIENTATION, 1)) if "exif" in image.info else 1


def _upright(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image) if "exif" in image.info else image


def _plain_jpeg(data: bytes, frame: Frame) -> numpy.ndarray | None:
    """A JPEG of the frame's own size, straight from the decoder: half the time of opening a small image. None: not one."""
    import numpy as np
    from PIL import Image

    if not data.startswith(b"\xff\xd8\xff") or jpeg_size(data) != (frame.channels, frame.height, frame.width):
        return None
    mode = "L" if frame.channels == 1 else "RGB"
    try:
        image = Image.frombytes(mode, (frame.width, frame.height), data, "jpeg", mode, "")
    except (ValueError, OSError):
        return None  # opened in full, it says what is wrong
    pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(frame.height, frame.width, frame.channels)
    return pixels.transpose(2, 0, 1)


def header(data: bytes) -> tuple[int, int, int]:
    """Channels (1 or 3), height and width of an image file, pixels left alone."""
    quick = jpeg_size(data) if data.startswith(b"\xff\xd8\xff") else None
    if quick is not None:
        return (1 if quick[0] == 1 else 3), quick[1], quick[2]
    from PIL import Image

    image = Image.open(io.BytesIO(data))
    width, height = reversed(image.size) if _orientation(image) in _TURNED else image.size
    grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")
    return (1 if grey else 3), height, width


def jpeg_size(data: bytes) -> tuple[int, int, int] | None:
    """Channels, height and width of a JPEG of 8 bits without Exif data; None for anything else."""
    place, end = 2, len(data) - 10
    while place < end and data[place] == 0xFF:
        marker = data[place + 1]
        if marker in (0xE1, 0xFF) or 0xD0 <= marker <= 0xDA:
            return None
        if 0xC0 <= marker <= 0xC2:
            if data[place + 4] != 8:
                return None
            height, width = data[place + 5] << 8 | data[place + 6], data[place + 7] << 8 | data[place + 8]
            return data[place + 9], height, width
        place += 2 + (data[place + 2] << 8 | data[place + 3])
    return None
