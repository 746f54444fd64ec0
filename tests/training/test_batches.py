"""Batches: every sample once, the same for the same seed, and any of them by itself."""

from __future__ import annotations

import itertools

import pytest
import torch

import netloom as nl
from netloom.tasks.normalization import Normalization
from netloom.tasks.parts import Split
from netloom.training import Recipe
from netloom.training import batches as batching
from netloom.training.averaging import Average
from netloom.training.batches import batches_of, order_of_rows


def numbered(samples: int, *shape: int) -> nl.tasks.Split:
    x = torch.arange(samples, dtype=torch.float32).view(-1, *[1] * len(shape)).expand(samples, *shape)
    return nl.tasks.Split(x.contiguous(), torch.arange(samples) % 3)


@pytest.mark.parametrize(("samples", "left_out"), [(64, 0), (65, 1), (66, 0), (130, 0), (129, 1), (10, 0), (1, 0)])
def test_every_sample_once_but_a_last_one_alone(samples: int, left_out: int) -> None:
    made = list(batches_of(numbered(samples, 2), Recipe(batch_size=32 if samples > 32 else 64), 0)(0, 0))
    seen = torch.cat([x[:, 0] for x, _ in made])
    assert len(seen.unique()) == len(seen) == samples - left_out
    assert all(torch.equal(x[:, 0].long() % 3, y) for x, y in made)
    assert samples == 1 or min(len(y) for _, y in made) > 1


def test_order_is_of_seed_and_epoch() -> None:
    part = numbered(50, 2)
    orders = {
        (seed, epoch): tuple(torch.cat([x[:, 0] for x, _ in batches_of(part, Recipe(batch_size=8), seed)(epoch, 0)]).tolist())
        for seed, epoch in itertools.product((0, 1), (0, 1))
    }
    assert len(set(orders.values())) == 4
    assert orders[1, 1] == tuple(torch.cat([x[:, 0] for x, _ in batches_of(part, Recipe(batch_size=8), 1)(1, 0)]).tolist())


@pytest.mark.parametrize("together", [1, 3, 1000])
def test_batches_from_any_one_on_are_those_of_the_whole(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "BYTES_TOGETHER", together * 8 * 3 * 6 * 6 * 4)
    part = nl.tasks.Split(torch.randn(90, 3, 6, 6), torch.randint(0, 3, (90,)))
    made = batches_of(part, Recipe(batch_size=8, crop=2, flip=True, cutout=2), 5)
    whole = list(made(2, 0))
    for first in range(len(whole) + 1):
        rest = list(made(2, first))
        assert len(rest) == len(whole) - first
        for (a, b), (c, d) in zip(rest, whole[first:]):
            assert torch.equal(a, c) and torch.equal(b, d)


def test_augmentation_differs_between_batches_epochs_and_seeds() -> None:
    part = nl.tasks.Split(torch.ones(64, 1, 8, 8), torch.zeros(64, dtype=torch.int64))
    recipe = Recipe(batch_size=16, cutout=3)
    made = [x for seed, epoch in ((0, 0), (0, 1), (1, 0)) for x, _ in batches_of(part, recipe, seed)(epoch, 0)]
    assert len({tuple(x.flatten().tolist()) for x in made}) == 12


def test_averages_follow_and_change_places() -> None:
    generator = torch.Generator().manual_seed(0)
    values = [torch.randn(3, generator=generator) for _ in range(30)]
    tensors = {"weight": values[0].clone(), "count": torch.tensor(0)}
    average = Average(tensors, 0.9)
    expected = values[0].clone()
    for step, value in enumerate(values[1:], 1):
        tensors["weight"].copy_(value)
        tensors["count"] += 1
        average.update(tensors)
        decay = min(0.9, step / (10 + step))
        expected = decay * expected + (1 - decay) * value
    with average.in_place(tensors):
        torch.testing.assert_close(tensors["weight"], expected)
        assert tensors["count"] == 29
    assert torch.equal(tensors["weight"], values[-1])
    again = Average(tensors, 0.9)
    again.load_state_dict(average.state_dict())
    assert torch.equal(again.averages["weight"], average.averages["weight"]) and again.steps == 29


@pytest.mark.parametrize("epoch", [0, 1, 7, 1000])
@pytest.mark.parametrize("first", [0, 2])
def test_small_parts_are_gathered_for_several_epochs_and_give_the_same(epoch: int, first: int) -> None:
    part = numbered(100, 3)
    order = order_of_rows(100, 5, epoch)
    made = list(batches_of(part, Recipe(batch_size=16), 5)(epoch, first))
    assert torch.equal(torch.cat([x for x, _ in made]), part.x[order][16 * first :])
    assert torch.equal(torch.cat([y for _, y in made]), part.y[order][16 * first :])
    assert [len(y) for _, y in made] == [16] * (6 - first) + [4]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_batches_with_channels_last_hold_the_same_numbers_in_another_layout(dtype: torch.dtype) -> None:
    x = torch.randint(0, 256, (100, 3, 6, 5), generator=torch.Generator().manual_seed(0)).to(dtype)
    normalization = Normalization((120.0, 60.0, 30.0), (3.0, 50.0, 7.0)) if dtype == torch.uint8 else None
    part = Split(x, torch.arange(100), normalization=normalization)
    plain, turned = (
        list(batches_of(part, Recipe(batch_size=16, epochs=3), 1, channels_last=value)(1, 2)) for value in (False, True)
    )
    assert len(plain) == len(turned) > 3
    for (one, y), (other, same) in zip(plain, turned):
        assert torch.equal(one, other) and torch.equal(y, same) and one.is_contiguous()
        assert other.is_contiguous(memory_format=torch.channels_last) and not other.is_contiguous()
    turned_part = part.prepared(channels_last=True)
    assert torch.equal(turned_part.x, part.x) and turned_part is part.prepared(channels_last=True)
    assert part.prepared(channels_last=False) is part.prepared() and (part.prepared() is part) == (dtype == torch.float32)
    assert not part.__getstate__()["_prepared"] and part._prepared
    # Images that a user has turned come to the modules that look at their layout as they always have.
    users = Split(x.contiguous(memory_format=torch.channels_last), torch.arange(100), normalization=normalization)
    assert all(batch.is_contiguous() for batch, _ in batches_of(users, Recipe(batch_size=16), 1)(0, 0))
    flat = Split(torch.zeros(4, 3), torch.zeros(4))
    assert flat.prepared(channels_last=True) is flat
    # Augmented batches are made in the usual layout.
    augmented = [batches_of(part, Recipe(batch_size=16, flip=True), 1, channels_last=value)(0, 0) for value in (False, True)]
    assert all(torch.equal(one, other) for (one, _), (other, _) in zip(*augmented))


@pytest.mark.parametrize("most", [0, 100 * 90, 4 * 100 * 90])
def test_large_parts_stay_bytes_and_give_the_same(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netloom.tasks.parts.MOST_COPIED", most)
    x = torch.randint(0, 256, (100, 3, 6, 5), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    part = Split(x, torch.arange(100), normalization=Normalization((120.0, 60.0, 30.0), (3.0, 50.0, 7.0)))
    for channels_last in (False, True):
        prepared = part.prepared(channels_last=channels_last)
        assert (prepared.held.dtype == torch.float32) == (most == 4 * 100 * 90)
        assert (prepared is part) == (most == 0 or (not channels_last and most == 100 * 90))
        order = order_of_rows(100, 3, 2)
        given = torch.cat([x for x, _ in prepared.batches(16, order=order)])
        assert torch.equal(given, part.x[order])
