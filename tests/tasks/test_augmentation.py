"""Augmentation of batches, held to loops over single images."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from netloom.errors import TaskError
from netloom.tasks import cutout, flip, pad_crop


def batch(n: int = 64, c: int = 3, h: int = 7, w: int = 5) -> Tensor:
    return torch.arange(1, n * c * h * w + 1, dtype=torch.float32).reshape(n, c, h, w)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pad_crop_cuts_one_window_of_each_padded_image(mode: str, layout: torch.memory_format) -> None:
    x = batch(200).contiguous(memory_format=layout)
    out = pad_crop(x, 2, seeded(), mode=mode)
    assert out.shape == x.shape
    padded = torch.nn.functional.pad(x, (2,) * 4, mode=mode)
    windows = [padded[:, :, top : top + 7, left : left + 5] for top in range(5) for left in range(5)]
    hits = torch.stack([(window == out).flatten(1).all(1) for window in windows])
    assert bool(hits.any(0).all()), "an image that is no window of its padded self"
    assert bool(hits.any(1).all()), "a place that is never drawn in 200 images"


def test_flip_mirrors_about_half_of_the_images_as_a_whole() -> None:
    x = batch(400)
    out = flip(x, seeded())
    same, mirrored = (out == x).flatten(1).all(1), (out == x.flip(3)).flatten(1).all(1)
    assert bool((same | mirrored).all()) and 150 < int(mirrored.sum()) < 250


def test_cutout_clears_a_square_clipped_at_the_border_around_every_pixel() -> None:
    x = batch(2000)
    out = cutout(x, 4, seeded())
    centres = set()
    for image, before in zip(out, x):
        cleared = image == 0
        assert torch.equal(image[~cleared], before[~cleared])
        assert torch.equal(cleared[0], cleared[1]) and torch.equal(cleared[0], cleared[2])
        rows, columns = cleared[0].any(1).nonzero()[:, 0], cleared[0].any(0).nonzero()[:, 0]
        assert int(cleared[0].sum()) == len(rows) * len(columns), "no rectangle"
        top, left = int(rows[0]), int(columns[0])
        assert len(rows) == min(4, 7 - top) or top == 0
        centres.add((top, int(rows[-1]), left, int(columns[-1])))
    expected = {(max(0, r - 2), min(6, r + 1), max(0, c - 2), min(4, c + 1)) for r in range(7) for c in range(5)}
    assert centres == expected


@pytest.mark.parametrize("change", [lambda x, g: pad_crop(x, 2, g), flip, lambda x, g: cutout(x, 3, g)])
def test_seeds_repeat_and_the_batch_is_left_alone(change: Callable[[Tensor, torch.Generator], Tensor]) -> None:
    x = batch()
    before = x.clone()
    assert torch.equal(change(x, seeded(1)), change(x, seeded(1))) and not torch.equal(
        change(x, seeded(1)), change(x, seeded(2))
    )
    assert torch.equal(x, before)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        first = change(x, None)  # type: ignore[arg-type]
        torch.manual_seed(5)
        assert torch.equal(first, change(x, None))  # type: ignore[arg-type]


def test_nothing_asked_for_changes_nothing() -> None:
    x = batch()
    assert torch.equal(pad_crop(x, 0), x) and torch.equal(cutout(x, 0), x)
    assert pad_crop(x.to(torch.uint8), 1, seeded()).dtype == torch.uint8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: pad_crop(torch.zeros(2, 3), 1), r"pad_crop changes images \(N, C, H, W\)"),
        (lambda: pad_crop(batch(), -1), "padding = -1"),
        (lambda: cutout(batch(), 1.5), "length = 1.5"),  # type: ignore[arg-type]
        (lambda: flip(torch.zeros(4)), "flip changes images"),
    ],
)
def test_what_cannot_be_augmented(change: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        change()
