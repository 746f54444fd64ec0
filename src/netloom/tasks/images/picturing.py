"""A sheet of a task's images, a row for each class: wrong labels, crops and channels are seen at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import TaskError

if TYPE_CHECKING:
    import numpy
    from PIL import Image
    from torch import Tensor

    from ..task import Task

#: Pixels around each image, of the class names' letters, and the least side that a small image is enlarged to.
_GAP, _LETTERS, _LEAST_SIDE = 2, 14, 48


def contact_sheet(task: Task, *, per_class: int = 10, most_classes: int = 20) -> Image.Image:
    """Images of the train part as the network gets them, normalisation undone: one row for each class, names at the left.

    Raises `TaskError` for a task that has no images.
    """
    import torch
    from PIL import Image, ImageDraw, ImageFont

    if len(task.input_shape) != 3 or task.input_shape[0] not in (1, 3) or not task.num_classes:
        shape = "×".join(map(str, task.input_shape))
        raise TaskError(f"task {task.name!r} has samples of {shape}; a picture needs images of 1 or 3 channels with classes")
    classes = range(min(task.num_classes, most_classes))
    rows = [torch.nonzero(task.train.y == label)[:per_class, 0].cpu() for label in classes]
    channels, height, width = task.input_shape
    scale = max(1, -(-_LEAST_SIDE // max(height, width)))
    font = ImageFont.load_default(_LETTERS)
    names = task.class_names or tuple(map(str, range(task.num_classes)))
    margin = max(round(font.getlength(names[label])) for label in classes) + 4 * _GAP
    across, down = width * scale + _GAP, height * scale + _GAP
    sheet = Image.new("RGB", (margin + per_class * across, len(rows) * down + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for label, found in zip(classes, rows):
        top = label * down + _GAP
        draw.text((2 * _GAP, top + (down - _LETTERS) // 2), names[label], fill="black", font=font)
        if not len(found):
            continue
        x = next(task.train.batches(per_class, order=found))[0].cpu()
        for place, image in enumerate(_bytes(task, x)):
            shown = Image.fromarray(image[0] if channels == 1 else image.transpose(1, 2, 0))
            shown = shown.resize((width * scale, height * scale), Image.Resampling.NEAREST)
            sheet.paste(shown, (margin + place * across, top))
    return sheet


def _bytes(task: Task, x: Tensor) -> numpy.ndarray:
    """Normalised images (N, C, H, W) as uint8."""
    scaling = getattr(task.preprocessing, "scaling", None) or getattr(task.preprocessing, "inputs", None)
    pixels = scaling.undo(x) if scaling is not None else x
    low, high = float(pixels.min()), float(pixels.max())
    if getattr(task.preprocessing, "scaling", None) is None:  # not bytes: stretched from least to greatest
        pixels = (pixels - low) * (255 / max(high - low, 1e-12))
    return pixels.round().clamp(0, 255).byte().numpy()
