"""Images decoded on the way: ImageNet's layout, the same batches from any number of threads, what does not decode."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from netloom import tasks
from netloom.errors import NetloomWarning, TaskError
from netloom.tasks.images import streaming
from netloom.tasks.images.decoding import Frame, decode, random_box
from netloom.tasks.images.streaming import Stream
from tests.tasks.conftest import encoded, picture

Folders = Callable[..., Path]


@pytest.fixture
def imagenet(class_folders: Folders) -> Path:
    class_folders("in/train", size=(70, 50), n01=12, n02=12)
    class_folders("in/train", size=(40, 64), first=100, n03=12)
    return class_folders("in/val", size=(60, 60), first=200, n01=4, n02=4, n03=4).parent


def stream(task: tasks.Task) -> Stream:
    assert isinstance(task.train, Stream)
    return task.train


def test_imagenet_has_val_as_its_test_part_and_is_never_in_memory(imagenet: Path) -> None:
    task = tasks.load(f"imagenet:{imagenet}?valid=6")
    assert (len(task.train), len(task.valid), task.num_test) == (30, 6, 12)
    assert task.input_shape == (3, 224, 224) and task.class_names == ("n01", "n02", "n03") and task.name == "imagenet"
    assert all(isinstance(part, Stream) for part in (task.train, task.valid, task.read_test()))
    with pytest.raises(TaskError, match="never in memory together; use .batches"):
        stream(task).x
    with pytest.raises(TaskError, match="is not laid out as ImageNet is"):
        tasks.load(f"imagenet:{imagenet / 'train'}")


def test_batches_hold_the_images_of_their_rows(imagenet: Path) -> None:
    task = tasks.load(f"imagenet:{imagenet}?valid=6&size=32&scaling=none")
    valid = task.valid
    order = torch.tensor([5, 0, 3, 3])
    x, y = (torch.cat(parts) for parts in zip(*valid.batches(3, order=order)))
    assert torch.equal(y, valid.y[order]) and x.dtype == torch.float32
    for row, image in zip(order.tolist(), x):
        data = valid.source.read(row)  # type: ignore[union-attr]
        assert np.array_equal(image.numpy(), decode(data, Frame(3, 32, 32, 224 / 256)))
    assert [len(labels) for _, labels in valid.batches(4)] == [4, 2]
    published = tasks.load(f"imagenet:{imagenet}?valid=6&size=32")
    mean, sd = (torch.tensor(v).reshape(3, 1, 1) * 255 for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    assert torch.allclose(next(published.valid.batches(6))[0], (next(valid.batches(6))[0] - mean) / sd, atol=1e-5)


def test_same_seed_same_batches_whatever_the_threads(imagenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = stream(tasks.load(f"imagenet:{imagenet}?size=32"))
    order = torch.randperm(len(part), generator=torch.Generator().manual_seed(0))
    first = [x for x, _ in part.batches(8, order=order, seed=1)]
    monkeypatch.setattr(streaming, "processors", lambda: 7)
    again = [x for x, _ in part.batches(8, order=order, seed=1)]
    assert all(torch.equal(a, b) for a, b in zip(first, again)) and len(first) == len(again)
    # A crop belongs to seed and row, not to the place in the order.
    plain = torch.cat([x for x, _ in part.batches(5, seed=1)])
    assert torch.equal(plain[order], torch.cat(first))
    other = torch.cat([x for x, _ in part.batches(5, seed=2)])
    assert not any(torch.equal(a, b) for a, b in zip(plain, other))


def test_random_crops_are_of_the_published_areas_and_ratios() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([random_box(500, 375, Frame(3, 224, 224), rng) for _ in range(2000)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    share, ratio = width * height / (500 * 375), width / height
    assert boxes[:, :2].min() >= 0 and boxes[:, 2].max() <= 500 and boxes[:, 3].max() <= 375
    assert share.min() > 0.075 and share.max() <= 1.0 and np.median(ratio) == pytest.approx(1, abs=0.1)
    assert ratio.min() > 0.73 and ratio.max() < 1.36
    narrow = random_box(1000, 10, Frame(3, 224, 224), rng)
    assert narrow[3] - narrow[1] == narrow[2] - narrow[0] == 10  # nothing of the ratios fits: the middle


def test_about_half_of_the_crops_are_mirrored() -> None:
    ramp = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (64, 1))
    from PIL import Image

    data = encoded(Image.fromarray(ramp))
    rising = [
        bool((crop := decode(data, Frame(1, 16, 16), np.random.default_rng(seed)).astype(int))[0, 0, -1] > crop[0, 0, 0])
        for seed in range(400)
    ]
    assert 150 < sum(rising) < 250


def test_folders_above_the_memory_limit_stream_with_the_scaling_of_their_train_part(class_folders: Folders) -> None:
    root = class_folders("pets", size=(16, 16), cat=30, dog=30)
    small, large = tasks.load(f"images:{root}"), tasks.load(f"images:{root}?memory=40k")
    assert isinstance(large.train, Stream) and not isinstance(small.train, Stream)
    assert isinstance(tasks.load(f"images:{root}?memory=47k").train, tasks.Split)  # 60 × 3 × 16 × 16 = 46,080 bytes
    assert large.input_shape == small.input_shape and torch.equal(large.train.y, small.train.y)
    assert torch.allclose(torch.cat([x for x, _ in large.valid.batches(7)]), small.valid.x, atol=1e-6)
    assert torch.allclose(torch.cat([x for x, _ in large.read_test().batches(7)]), small.read_test().x, atol=1e-6)  # type: ignore[union-attr]


def test_hash_is_of_the_contents(imagenet: Path) -> None:
    spec = f"imagenet:{imagenet}?valid=6"
    before = tasks.load(spec).hash
    assert tasks.load(spec).hash == before and tasks.load(f"{spec}&seed=1").hash != before
    assert tasks.load(f"{spec}&size=32").hash != before
    path = imagenet / "train" / "n02" / "004.png"
    content = path.read_bytes()
    path.write_bytes(encoded(picture(777, (70, 50))))
    assert tasks.load(spec).hash != before
    path.write_bytes(content)
    assert tasks.load(spec).hash == before


def test_a_task_without_its_test_part_does_not_know_the_files_of_it(class_folders: Folders) -> None:
    root = class_folders("pets", size=(16, 16), cat=30, dog=30)
    task = tasks.load(f"images:{root}?memory=0")
    without = task.without_test()
    sent = pickle.dumps(without)
    source = task.read_test().source  # type: ignore[union-attr]
    names = [source.name(row).encode() for row in range(len(source))]
    assert len(names) == 12 and all(name in pickle.dumps(task) for name in names)
    assert not any(name in sent for name in names)
    again = pickle.loads(sent)
    assert again.hash == task.hash
    assert torch.equal(next(again.train.batches(4, seed=3))[0], next(task.train.batches(4, seed=3))[0])


def test_stopping_in_the_middle_leaves_no_thread(imagenet: Path) -> None:
    part = stream(tasks.load(f"imagenet:{imagenet}?size=32"))
    for _ in range(3):
        batches = part.batches(4)
        next(batches)
        batches.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    while any(thread.name.startswith("netloom-decode") for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "threads that decode for nobody"
        time.sleep(0.01)


def test_broken_images_are_refused_or_left_out_and_counted(imagenet: Path) -> None:
    bad = sorted((imagenet / "train" / "n01").iterdir())
    for path in bad:
        path.write_bytes(path.read_bytes()[:500])
    (imagenet / "train" / "n02" / "000.png").write_bytes(b"")
    spec = f"imagenet:{imagenet}?valid=1&size=32"
    with pytest.raises(TaskError, match=r"image n0[12]/0..\.png cannot be decoded .*broken=skip"):
        list(tasks.load(spec).train.batches(4))
    part = stream(tasks.load(f"{spec}&broken=skip"))
    with pytest.warns(NetloomWarning, match="are left out"):
        seen = torch.cat([y for _, y in part.batches(4)])
    expected = part.y.bincount(minlength=3) - torch.tensor(
        [int((part.y == 0).sum()), part.num_broken - int((part.y == 0).sum()), 0]
    )
    assert seen.bincount(minlength=3).tolist() == expected.tolist() and part.num_broken in (12, 13)
    assert len(torch.cat([y for _, y in part.batches(1)])) == len(part) - part.num_broken  # silent the second time


def test_streams_move(imagenet: Path) -> None:
    task = tasks.load(f"imagenet:{imagenet}?valid=6&size=32")
    moved = task.to("meta")
    x, y = next(moved.train.batches(4))
    assert x.device.type == y.device.type == "meta" and moved.hash == task.hash
