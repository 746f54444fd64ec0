"""From sources of images to a task: one size for all, parts, normalisation; in memory, or a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import TaskError
from .. import normalization
from ..arrays import NO_TEST
from ..cache import remembered
from ..normalization import Normalization
from ..parts import Part, Split
from ..splitting import Sizes, partition
from ..task import Task
from .decoding import Frame
from .memory import Decoded, decoded
from .preprocessing import ImagePreprocessing
from .source import ImageSource, same_classes
from .streaming import Stream

#: Decoded images of more bytes than this are streamed.
MEMORY_BYTES = 2 * 2**30
#: Mean and standard deviation of ImageNet's training images, as published models expect them.
IMAGENET = Normalization((0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255))
IMAGENET_GREY = Normalization((0.449 * 255,), (0.226 * 255,))
#: Images whose headers are looked at for a size, and images that a stream's normalisation is worked out on.
_LOOKED_AT, _MEASURED = 2000, 2000
#: The largest size that is chosen without being asked for, and what chosen sizes are multiples of.
_LARGEST, _MULTIPLE = 224, 8


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """How a task is made of images.

    ``size`` (height, width) and ``channels`` (1 or 3) default to those that all images have; where sizes differ, to a square
    of their median. ``memory_bytes`` is the most that decoded images may take before they are streamed; ``scaling`` is
    ``train`` (mean and sd of the train part), ``imagenet`` or ``none`` (bytes 0 … 255).
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    inner: float = 1.0
    sizes: Sizes = Sizes()
    seed: int = 0
    stratify: bool = True
    broken: str = "refuse"
    memory_bytes: int = MEMORY_BYTES
    scaling: str = "train"
    show: bool = True


def task_of_images(name: str, spec: str, sources: Mapping[str, ImageSource], settings: ImageSettings) -> Task:
    """The task of a ``train`` source, from which parts are drawn unless there is a ``valid`` or ``test`` source too."""
    class_names = same_classes(name, list(sources.items()))
    if len(class_names) < 2:
        raise TaskError(f"task {name!r} has one class only, {class_names[0]!r}; a classifier needs at least two")
    frame = _frame(name, sources["train"], settings)
    count = sum(map(len, sources.values()))
    if count * int(np.prod(frame.shape)) > settings.memory_bytes:
        parts, scaling = _streams(sources, frame, settings)
    else:
        parts, scaling = _in_memory(sources, replace(frame, inner=settings.inner), settings)
    return Task(
        name,
        parts["train"],
        parts["valid"],
        parts["test"] if len(parts["test"]) else NO_TEST,
        len(class_names),
        spec,
        class_names,
        preprocessing=ImagePreprocessing(name, replace(frame, inner=settings.inner), scaling),
    )


# -- in memory -----------------------------------------------------------------------------------------------------
def _in_memory(
    sources: Mapping[str, ImageSource], frame: Frame, settings: ImageSettings
) -> tuple[dict[str, Part], Normalization]:
    pools = {part: decoded(source, frame, settings.broken, show=settings.show) for part, source in sources.items()}
    rows = _rows({part: pool.labels for part, pool in pools.items()}, settings)
    train = pools["train"]
    per_channel = frame.height * frame.width
    scaling = _chosen(settings, frame) or normalization.of_row_moments(train.moments[rows["train"]], per_channel)
    return {part: _split(pools.get(part, train), rows[part], scaling) for part in rows}, scaling


def _split(pool: Decoded, rows: np.ndarray | None, scaling: Normalization) -> Split:
    import torch

    pixels, labels = torch.from_numpy(pool.pixels), torch.from_numpy(pool.labels)
    if rows is None:
        return Split(pixels, labels, normalization=scaling, row_digests=pool.digests)
    chosen = torch.from_numpy(rows)
    # Copied: a part holds its own images only, so that no other part can be had from it.
    return Split(
        pixels.index_select(0, chosen),
        labels[chosen],
        normalization=scaling,
        row_digests=np.ascontiguousarray(pool.digests[rows]),
    )


def _rows(labels: Mapping[str, np.ndarray], settings: ImageSettings) -> dict[str, Any]:
    """Rows of each part: of the train source, or None for all of a source of its own."""
    main = labels["train"]
    counts = settings.sizes.counts(len(main), [part for part in labels if part != "train"])
    strata = main if settings.stratify else np.zeros(len(main), np.int8)
    drawn = dict(zip(("train", "valid", "test"), partition(strata, counts, settings.seed)))
    return {part: None if part != "train" and part in labels else drawn[part] for part in drawn}


# -- on the way ----------------------------------------------------------------------------------------------------
def _streams(
    sources: Mapping[str, ImageSource], frame: Frame, settings: ImageSettings
) -> tuple[dict[str, Part], Normalization]:
    looked_at = replace(frame, inner=settings.inner)
    rows = _rows({part: source.labels for part, source in sources.items()}, settings)
    # Each stream gets its own files only, so that no other part can be had from it.
    own = {part: sources["train"].subset(chosen) if chosen is not None else sources[part] for part, chosen in rows.items()}
    scaling = _chosen(settings, frame) or _measured(own["train"], looked_at)
    parts: dict[str, Part] = {}
    for part, source in own.items():
        learned = part == "train"
        shown = frame if learned else looked_at
        parts[part] = Stream(source, shown, scaling, random=learned, broken=settings.broken)
    return parts, scaling


def _measured(source: ImageSource, frame: Frame) -> Normalization:
    """From the middles of at most so many images of the train part, at even distances; remembered."""
    rows = _spread(len(source), _MEASURED)

    def measure() -> str:
        moments = []
        for row in rows:
            try:
                moments.append(normalization.row_moments(source.decode(row, frame)[None]))
            except Exception:  # a broken file is reported where it is learned from
                continue
        if not moments:
            raise TaskError(f"none of {len(rows)} images looked at can be decoded, {source.name(rows[0])} for one")
        found = normalization.of_row_moments(np.concatenate(moments), frame.height * frame.width)
        return json.dumps([found.mean, found.sd])

    mean, sd = json.loads(remembered("scalings", f"{frame!r}\n{source.signature}", measure))
    return Normalization(tuple(mean), tuple(sd))


def _chosen(settings: ImageSettings, frame: Frame) -> Normalization | None:
    if settings.scaling == "none":
        return Normalization.none(frame.channels)
    if settings.scaling == "imagenet":
        return IMAGENET if frame.channels == 3 else IMAGENET_GREY
    return None


# -- one size for all ----------------------------------------------------------------------------------------------
def _frame(name: str, source: ImageSource, settings: ImageSettings) -> Frame:
    if settings.size is not None and settings.channels is not None:
        return Frame(settings.channels, *settings.size)
    found = json.loads(remembered("frames", source.signature, lambda: json.dumps(_looks(name, source))))
    return Frame(settings.channels or found[0], *(settings.size or found[1:]))


def _looks(name: str, source: ImageSource) -> tuple[int, int, int]:
    """Channels, height and width that suit the images."""
    headers = list(_headers(source))
    if not headers:
        raise TaskError(f"task {name!r}: none of the images looked at can be opened, {source.name(0)} for one")
    return max(header[0] for header in headers), *_size_of([header[1:] for header in headers])


def _spread(count: int, most: int) -> list[int]:
    """At most so many rows, at even distances."""
    return [int(row) for row in np.linspace(0, count - 1, min(count, most))]


def _headers(source: ImageSource) -> Iterator[tuple[int, int, int]]:
    """Channels, height and width of some images."""
    for row in _spread(len(source), _LOOKED_AT):
        try:
            yield source.header(row)
        except Exception:  # a broken file is reported where it is decoded
            continue


def _size_of(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """The size of all, or a square of the median of their shorter sides."""
    if len(set(sizes)) == 1 and max(sizes[0]) <= _LARGEST:
        return sizes[0]
    side = int(np.median([min(size) for size in sizes]))
    rounded = max(_MULTIPLE, side // _MULTIPLE * _MULTIPLE)
    square = min(rounded, _LARGEST)
    return square, square
