"""The batches of a training: their order and augmentation are a function of the seed and of where the training stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..errors import TrainingError
from ..tasks.parts import Split
from .recipes import Recipe, batches_per_epoch

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from ..tasks.parts import Part

#: As many batches are gathered at once as have this size: one call for all costs less than one for each.
BYTES_TOGETHER = 1 << 21
#: Of parts that are smaller than that, batches of so many epochs at most.
EPOCHS_TOGETHER = 8
#: Factors that keep the streams of random numbers of seeds, epochs and batches apart.
_SEED, _EPOCH = 1_000_003, 7_368_787


def batches_of(
    part: Part, recipe: Recipe, seed: int, *, channels_last: bool = False
) -> Callable[[int, int], Iterator[tuple[Tensor, Tensor]]]:
    """``batches(epoch, first)``: the shuffled and augmented batches of an epoch (from 0), from number ``first`` on.

    With ``channels_last`` images that are not augmented come in that layout, where a part can hold them so.

    Small batches are gathered and augmented several together. Nothing is remembered between such chunks, so any of them can
    be made again by itself.
    """
    import torch

    check_augmentation(part, recipe)
    size = recipe.batch_size
    samples = min(len(part), batches_per_epoch(len(part), size) * size)
    together = max(1, BYTES_TOGETHER // (4 * size * math.prod(part.shape)))
    augmented = recipe.crop or recipe.flip or recipe.cutout
    if isinstance(part, Split) and not augmented:
        part = part.prepared(channels_last=channels_last)
    several = min(EPOCHS_TOGETHER, recipe.epochs, size * together // samples)
    if several > 1 and isinstance(part, Split) and not augmented:
        return _of_several_epochs(part, size, samples, several, seed)

    def batches(epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        if first * size >= samples:
            return
        stream = stream_of(seed, epoch)
        order = order_of_rows(len(part), seed, epoch)[:samples]
        chunk, done = divmod(first, together)
        generator = torch.Generator()
        for i, (x, y) in enumerate(part.batches(size * together, order=order[chunk * together * size :], seed=stream), chunk):
            if augmented:
                generator.manual_seed((stream * _EPOCH + i + 1) % 2**63)
                x = augment(x, recipe, generator)
            made = list(zip(x.split(size), y.split(size)))
            yield from made[done:] if i == chunk else made

    return batches


def _of_several_epochs(
    part: Split, size: int, samples: int, together: int, seed: int
) -> Callable[[int, int], Iterator[tuple[Tensor, Tensor]]]:
    """The same for a part so small that several epochs are gathered at once: an epoch of a small network takes milliseconds."""
    import torch

    @lru_cache(maxsize=1)
    def gathered(group: int) -> list[list[tuple[Tensor, Tensor]]]:
        epochs = range(group * together, (group + 1) * together)
        order = torch.cat([order_of_rows(len(part), seed, each)[:samples] for each in epochs])
        x, y = next(part.batches(len(order), order=order))
        return [list(zip(xs.split(size), ys.split(size))) for xs, ys in zip(x.split(samples), y.split(samples))]

    def batches(epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        group, place = divmod(epoch, together)
        yield from gathered(group)[place][first:]

    return batches


def order_of_rows(samples: int, seed: int, epoch: int) -> Tensor:
    """The order in which an epoch (from 0) takes the rows, for one network as for many at once: int64 (samples,)."""
    import torch

    return torch.randperm(samples, generator=torch.Generator().manual_seed(stream_of(seed, epoch)))


def stream_of(seed: int, epoch: int) -> int:
    """The seed of what an epoch draws."""
    return (seed * _SEED + epoch) % 2**63


def augment(x: Tensor, recipe: Recipe, generator: Generator) -> Tensor:
    """Images (N, C, H, W), each changed at random as the recipe says."""
    from ..tasks import augmentation

    if recipe.crop:
        x = augmentation.pad_crop(x, recipe.crop, generator)
    if recipe.flip:
        x = augmentation.flip(x, generator)
    if recipe.cutout:
        x = augmentation.cutout(x, recipe.cutout, generator)
    return x


def check_augmentation(part: Any, recipe: Recipe) -> None:
    """`TrainingError` where a recipe augments images and the samples are none."""
    asked = [name for name in ("crop", "flip", "cutout") if getattr(recipe, name)]
    if asked and len(part.shape) != 3:
        given = "×".join(map(str, part.shape)) or "single numbers"
        raise TrainingError(
            f"recipe: {asked[0]} changes images (channels, height, width), but samples are {given}; "
            f"leave out {', '.join(asked)}"
        )
