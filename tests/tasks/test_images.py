"""Class folders and Parquet files of images: what is decoded, cached, split, and refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from netloom import tasks
from netloom.errors import NetloomWarning, TaskError
from netloom.tasks.images import memory
from netloom.tasks.images.decoding import Frame, decode, header
from tests.tasks.conftest import encoded, picture

Folders = Callable[..., Path]


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def held_images(task: tasks.Task) -> list[bytes]:
    parts = [task.train, task.valid, task.read_test()]
    return sorted(row.numpy().tobytes() for part in parts for row in part.held)  # type: ignore[union-attr]


# -- class folders -------------------------------------------------------------------------------------------------
def test_every_image_of_every_class_is_there_once_with_its_label(class_folders: Folders) -> None:
    root = class_folders("pets", cat=10, dog=20, emu=10)
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "cat" / ".hidden.png").write_bytes(b"no image")
    (root / ".git").mkdir()
    task = tasks.load(f"images:{root}?valid=8&test=25%")
    assert (len(task.train), len(task.valid), task.num_test) == (22, 8, 10)
    assert task.name == "pets" and task.input_shape == (3, 10, 12) and task.class_names == ("cat", "dog", "emu")
    assert held_images(task) == sorted(pixels(picture(seed)).tobytes() for seed in range(40))
    for image, label in zip(task.train.held, task.train.y):  # type: ignore[union-attr]
        seed = next(seed for seed in range(40) if np.array_equal(pixels(picture(seed)), image.numpy()))
        assert int(label) == (seed >= 10) + (seed >= 30)
    assert [int((task.valid.y == label).sum()) for label in range(3)] == [2, 4, 2]
    assert abs(float(task.train.x.mean())) < 1e-5


def test_the_second_time_nothing_is_decoded(class_folders: Folders, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = class_folders("pets", cat=10, dog=10)
    first = tasks.load(f"images:{root}")
    assert len(list((cache / "decoded").glob("*.safetensors"))) == 1
    monkeypatch.setattr(memory, "_decode_all", lambda *_: pytest.fail("decoded again"))
    again = tasks.load(f"images:{root}")
    assert again.hash == first.hash and torch.equal(again.train.x, first.train.x)
    assert tasks.load(f"images:{root}?seed=5").hash != first.hash  # another split of the same decoded images


def test_a_changed_file_is_decoded_again_and_changes_the_hash(class_folders: Folders) -> None:
    root = class_folders("pets", cat=10, dog=10)
    before = tasks.load(f"images:{root}").hash
    path = root / "cat" / "003.png"
    path.write_bytes(encoded(picture(999)))
    assert tasks.load(f"images:{root}").hash != before
    path.write_bytes(encoded(picture(3)))
    assert tasks.load(f"images:{root}").hash == before


def test_a_damaged_or_unwritable_cache_costs_time_not_data(class_folders: Folders, cache: Path, tmp_path: Path) -> None:
    root = class_folders("pets", cat=10, dog=10)
    before = tasks.load(f"images:{root}").hash
    for path in (cache / "decoded").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    assert tasks.load(f"images:{root}").hash == before
    assert next((cache / "decoded").glob("*.safetensors")).stat().st_size > 1000
    os.environ["NETLOOM_CACHE"] = str(tmp_path / "file")
    (tmp_path / "file").write_text("a file where the folder should be")
    with pytest.warns(NetloomWarning, match="cannot be written .*Set NETLOOM_CACHE"):
        assert tasks.load(f"images:{root}").hash == before


def test_images_of_many_sizes_get_one(class_folders: Folders) -> None:
    root = class_folders("wide", size=(40, 20), cat=10)
    class_folders("wide", size=(16, 33), first=50, dog=10)
    task = tasks.load(f"images:{root}")
    assert task.input_shape == (3, 16, 16)
    assert tasks.load(f"images:{root}?size=24").input_shape == (3, 24, 24)
    assert tasks.load(f"images:{root}?size=8x12").input_shape == (3, 8, 12)
    assert tasks.load(f"images:{root}?size=8x12&channels=1").input_shape == (1, 8, 12)


def test_grey_images_have_one_channel(class_folders: Folders) -> None:
    root = class_folders("grey", mode="L", cat=10, dog=10)
    task = tasks.load(f"images:{root}")
    assert task.input_shape == (1, 10, 12)
    assert held_images(task) == sorted(np.asarray(picture(seed, mode="L")).tobytes() for seed in range(20))
    assert tasks.load(f"images:{root}?channels=3").input_shape == (3, 10, 12)


def test_ready_made_parts_are_taken_as_they_are(class_folders: Folders) -> None:
    for first, (part, count) in enumerate({"train": 20, "val": 6, "test": 8}.items()):
        class_folders(f"set/{part}", first=100 * first, cat=count, dog=count)
    root = class_folders("set/train", cat=0).parent
    task = tasks.load(f"images:{root}")
    assert (len(task.train), len(task.valid), task.num_test) == (40, 12, 16)
    expected = sorted(pixels(picture(seed)).tobytes() for seed in range(200, 216))
    assert sorted(row.numpy().tobytes() for row in task.read_test().held) == expected  # type: ignore[union-attr]
    (root / "val").rename(root / "hidden")
    task = tasks.load(f"images:{root}?valid=10")
    assert (len(task.train), len(task.valid), task.num_test) == (30, 10, 16)
    (root / "test").rename(root / "val")
    assert tasks.load(f"images:{root}?valid=10").num_test == 16


def test_scaling_as_published_models_expect_it(class_folders: Folders) -> None:
    root = class_folders("pets", cat=10, dog=10)
    x = tasks.load(f"images:{root}?scaling=none").train.x
    assert float(x.min()) >= 0 and float(x.max()) > 250 and torch.equal(x, x.round())
    scaled = tasks.load(f"images:{root}?scaling=imagenet").train.x
    expected = (x / 255 - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
        :, None, None
    ]
    assert torch.allclose(scaled, expected, atol=1e-5)


def test_new_images_are_made_ready(class_folders: Folders) -> None:
    root = class_folders("pets", cat=10, dog=10)
    task = tasks.load(f"images:{root}")
    rows = {row.numpy().tobytes() for row in task.train.x}
    path = root / "cat" / "000.png"
    ready = [
        task.transform(given) for given in ([path, path], str(path), path.read_bytes(), picture(0), pixels(picture(0))[None])
    ]
    assert ready[0].shape == (2, 3, 10, 12) and all(torch.equal(ready[0][:1], other) for other in ready[1:])
    everything = task.transform([root / label / f"{n:03}.png" for label in ("cat", "dog") for n in range(10)])
    assert rows <= {row.numpy().tobytes() for row in everything}
    assert task.transform(picture(0, (100, 50))).shape == (1, 3, 10, 12)
    with pytest.raises(TaskError, match="cannot be decoded as an image"):
        task.transform(root / "cat" / "none.png")
    with pytest.raises(TaskError, match="expected uint8"):
        task.transform(torch.zeros(1, 3, 10, 12))


# -- what is wrong -------------------------------------------------------------------------------------------------
def test_images_that_do_not_decode_are_named_and_counted(class_folders: Folders) -> None:
    root = class_folders("pets", cat=10, dog=10)
    (root / "cat" / "001.png").write_bytes(b"")
    (root / "cat" / "002.png").write_bytes(b"not an image")
    (root / "dog" / "003.png").write_bytes(encoded(picture(3))[:-200])
    (root / "dog" / "999.png").symlink_to(root / "nowhere.png")
    for _ in range(2):  # decoded, and from the cache
        with pytest.raises(TaskError, match=r"4 of 21 images cannot be decoded: cat/001.png .*broken=skip") as caught:
            tasks.load(f"images:{root}")
        assert all(name in str(caught.value) for name in ("cat/002.png", "dog/003.png", "dog/999.png (No such file"))
        with pytest.warns(NetloomWarning, match="4 of 21 images cannot be decoded.* left out"):
            task = tasks.load(f"images:{root}?broken=skip&valid=3&test=3")
        assert (len(task.train), len(task.valid), task.num_test) == (11, 3, 3)
        counts = torch.cat([task.train.y, task.valid.y, task.read_test().y]).bincount().tolist()
        assert counts == [8, 9]


def test_folders_that_are_no_data(tmp_path: Path, class_folders: Folders) -> None:
    empty, loose, one = tmp_path / "empty", tmp_path / "loose", class_folders("one", cat=12)
    empty.mkdir()
    loose.mkdir()
    for number in range(3):
        (loose / f"{number}.png").write_bytes(encoded(picture(number)))
    hollow = class_folders("hollow", cat=3, dog=0)
    mixed = class_folders("mixed/train", cat=9, dog=9).parent
    class_folders("mixed/test", cat=3, yak=3)
    rotten = class_folders("rotten", cat=0, dog=0)
    for label in ("cat", "dog"):
        (rotten / label / "1.png").write_bytes(b"x")
    cases = {
        tmp_path / "none": "there is no folder",
        loose / "0.png": "is a file; expected a folder",
        empty: "has no folders; expected one folder of images for each class",
        loose: "has 3 images but no folders",
        one: "one class only, 'cat'",
        hollow: "class folder 'dog' .* holds no image",
        mixed: "the test part has class 'yak', which the train part does not have",
        rotten: "none of the images looked at can be opened",
    }
    for folder, message in cases.items():
        with pytest.raises(TaskError, match=message):
            tasks.load(f"images:{folder}")
    root = class_folders("pets", cat=10, dog=10)
    for setting, message in {
        "size=0": "a size in pixels",
        "channels=2": "1 or 3",
        "broken=maybe": "refuse or skip",
        "memory=lots": "a size such as",
    }.items():
        with pytest.raises(TaskError, match=message):
            tasks.load(f"images:{root}?{setting}")


# -- Parquet -------------------------------------------------------------------------------------------------------
def write_parquet(
    path: Path, images: list[bytes | None], labels: list[int], metadata: dict[str, str] | None = None, **columns: list
) -> None:
    column = pa.array([{"bytes": data, "path": f"{n}.png"} for n, data in enumerate(images)])
    table = pa.table({"image": column, "label": pa.array(labels), **columns})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=7)


def test_parquet_files_in_the_layout_of_hugging_face(tmp_path: Path) -> None:
    names = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    metadata = {"huggingface": json.dumps(names)}
    files = [encoded(picture(seed)) for seed in range(40)]
    for shard in range(2):
        rows = slice(15 * shard, 15 * shard + 15)
        labels = [seed % 2 for seed in range(40)][rows]
        write_parquet(tmp_path / "data" / f"train-0000{shard}-of-00002.parquet", files[rows], labels, metadata)
    write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", files[30:], [seed % 2 for seed in range(30, 40)], metadata)
    task = tasks.load(f"images:{tmp_path}?valid=5")
    assert task.class_names == ("cat", "dog") and (len(task.train), len(task.valid), task.num_test) == (25, 5, 10)
    assert held_images(task) == sorted(pixels(picture(seed)).tobytes() for seed in range(40))
    test = task.read_test()
    for seed, (row, label) in enumerate(zip(test.held, test.y), 30):  # type: ignore[union-attr]
        assert np.array_equal(row.numpy(), pixels(picture(seed))) and int(label) == seed % 2
    # One set of files, parts drawn from it; a stream of the same has the same images.
    (tmp_path / "data" / "test-00000-of-00001.parquet").unlink()
    task = tasks.load(f"images:{tmp_path}?scaling=none")
    stream = tasks.load(f"images:{tmp_path}?scaling=none&memory=0&size=10x12&channels=3")
    assert torch.equal(torch.cat([x for x, _ in stream.valid.batches(4)]), task.valid.x)


def test_parquet_files_that_are_no_images(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    cases = [
        (lambda: path.write_text("no Parquet"), "is no readable Parquet file"),
        (lambda: pq.write_table(pa.table({"a": [1, 2]}), path), r"has no column of images \(a struct"),
        (lambda: pq.write_table(pa.table({"a": pa.array([{"bytes": b"x"}])}), path), "has no column of labels"),
        (lambda: write_parquet(path, [b"x"] * 2, [1, None]), "1 labels of column 'label' are missing"),  # type: ignore[list-item]
        (lambda: write_parquet(path, [b"x"] * 2, [0, 5], {"classes": "a,b"}), r"lie in \[0, 5\]; it has 2 classes"),
        (lambda: write_parquet(path, [None] * 12, [0, 1] * 6), "none of the images looked at can be opened"),
        (
            lambda: write_parquet(path, [encoded(picture(0))] * 11 + [b"x"], [0, 1] * 6),
            "1 of 12 images cannot be decoded: row 11 of train.parquet",
        ),
    ]
    for write, message in cases:
        write()  # type: ignore[no-untyped-call]
        with pytest.raises(TaskError, match=message):
            tasks.load(f"images:{tmp_path}")


# -- decoding ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("form", ["PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_formats_are_decoded_as_pillow_does(form: str, mode: str) -> None:
    data = encoded(picture(1, (17, 13), mode), form)
    expected = np.asarray(Image.open(__import__("io").BytesIO(data)).convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(decode(data, Frame(3, 13, 17)), expected)
    assert header(data)[1:] == (13, 17)


@pytest.mark.parametrize("settings", [{}, {"progressive": True}, {"quality": 30}, {"subsampling": 0}])
def test_the_quick_way_for_jpegs_gives_the_same_pixels(settings: dict[str, object]) -> None:
    for mode, channels in (("RGB", 3), ("L", 1)):
        data = encoded(picture(2, (32, 24), mode), "JPEG", **settings)
        plain = np.asarray(Image.open(__import__("io").BytesIO(data))).reshape(24, 32, channels).transpose(2, 0, 1)
        assert np.array_equal(decode(data, Frame(channels, 24, 32)), plain)


def test_broken_jpegs_are_no_quick_images() -> None:
    data = encoded(picture(2, (32, 24)), "JPEG")
    for broken in (data[: len(data) // 2], data[:200], data[:3], b"\xff\xd8\xff\xe0"):
        with pytest.raises(Exception, match="(?i)truncated|cannot identify"):
            decode(broken, Frame(3, 24, 32))


def test_names_that_are_no_unicode(class_folders: Folders) -> None:
    root = class_folders("pets", cat=10, dog=10)
    os.rename(os.fsencode(root / "cat" / "003.png"), os.fsencode(root / "cat") + b"/\xff\xfe.png")
    task = tasks.load(f"images:{root}")
    assert tasks.load(f"images:{root}?memory=0").hash and len(task.train) == 12


def test_two_threads_may_decode_the_same(class_folders: Folders, cache: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    root = class_folders("pets", cat=30, dog=30)
    with ThreadPoolExecutor(4) as threads:
        hashes = set(threads.map(lambda _: tasks.load(f"images:{root}").hash, range(4)))
    assert len(hashes) == 1 and not list(cache.rglob("*.partial"))


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_modes_of_pixels(mode: str) -> None:
    image = picture(3, (9, 8))
    if mode == "I;16":
        grey = np.asarray(image.convert("L")).astype(np.uint16)
        data = encoded(Image.fromarray(grey * 256 + 17))
        assert np.array_equal(decode(data, Frame(1, 8, 9))[0], grey)
    else:
        data = encoded(image.convert(mode), "JPEG" if mode in ("CMYK", "YCbCr") else "PNG")
        assert decode(data, Frame(3, 8, 9)).shape == (3, 8, 9) and decode(data, Frame(1, 8, 9)).shape == (1, 8, 9)


def test_photographs_stand_upright() -> None:
    """A camera that was turned writes so into the file."""
    turned = Image.Exif()
    turned[0x0112] = 6  # the top of the scene is at the right
    image = picture(4, (4, 3)).resize((200, 120), Image.Resampling.NEAREST)
    data = encoded(image, "JPEG", exif=turned, quality=95)
    upright = np.asarray(image.rotate(-90, expand=True)).transpose(2, 0, 1).astype(int)
    assert header(data) == (3, 200, 120)
    assert np.abs(decode(data, Frame(3, 200, 120)) - upright).mean() < 8
    small = np.asarray(image.rotate(-90, expand=True).resize((60, 100))).transpose(2, 0, 1).astype(int)
    assert np.abs(decode(data, Frame(3, 100, 60)) - small).mean() < 8


def test_large_photographs_are_reduced_to_what_pillow_makes_of_them_in_full() -> None:
    image = picture(5, (30, 20)).resize((1500, 1000), Image.Resampling.BICUBIC)
    data = encoded(image, "JPEG", quality=95)
    full = image.resize((384, 256), Image.Resampling.BILINEAR).crop((80, 16, 304, 240))
    found = decode(data, Frame(3, 224, 224, inner=224 / 256)).astype(int)
    assert np.abs(found - np.asarray(full).transpose(2, 0, 1)).mean() < 3
