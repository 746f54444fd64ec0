"""CIFAR-10 in every form it comes in, and pickles that want more than to be read."""

from __future__ import annotations

import os
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from netloom import tasks
from netloom.errors import TaskError
from netloom.tasks.images.cifar10 import CLASSES
from netloom.tasks.images.cifar10_pickles import read_batch, read_pickle
from tests.tasks.conftest import encoded

DATA = os.environ.get("NETLOOM_DATA")
needs_data = pytest.mark.skipif(DATA is None, reason="NETLOOM_DATA is not set: real CIFAR-10 files are not at hand")
PER_BATCH = 20
NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def batches() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Six small batches of random images, all classes in each."""
    rng = np.random.default_rng(0)
    return {name: (rng.integers(0, 256, (PER_BATCH, 3072), dtype=np.uint8), np.arange(PER_BATCH) % 10) for name in NAMES}


def write_python(folder: Path, protocol: int = 2, order: str = "C") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (data, labels) in batches().items():
        content = {
            b"data": np.asarray(data, order=order),
            b"labels": labels.tolist(),
            b"batch_label": b"one",
            b"filenames": [b"a"],
        }  # type: ignore[call-overload]
        (folder / name).write_bytes(pickle.dumps(content, protocol))
    meta = {b"label_names": [name.encode() for name in CLASSES], b"num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol))


def write_binary(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, (data, labels) in batches().items():
        (folder / f"{name}.bin").write_bytes(np.hstack([labels[:, None].astype(np.uint8), data]).tobytes())


def write_parquet(folder: Path) -> None:
    (folder / "plain_text").mkdir(parents=True)
    for part, names in (("train", NAMES[:5]), ("test", NAMES[5:])):
        rows = [(row, label) for name in names for row, label in zip(*batches()[name])]
        files = [encoded(Image.fromarray(row.reshape(3, 32, 32).transpose(1, 2, 0))) for row, _ in rows]
        images = pa.array([{"bytes": data, "path": None} for data in files])
        table = pa.table({"img": images, "label": pa.array([int(label) for _, label in rows])})
        pq.write_table(
            table.replace_schema_metadata({"classes": ",".join(CLASSES)}), folder / "plain_text" / f"{part}-0.parquet"
        )


def write_folders(folder: Path) -> None:
    for part, names in (("train", NAMES[:5]), ("test", NAMES[5:])):
        for name in names:
            for number, (row, label) in enumerate(zip(*batches()[name])):
                place = folder / part / CLASSES[label]
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(row.reshape(3, 32, 32).transpose(1, 2, 0)).save(place / f"{name}-{number}.png")


@pytest.mark.parametrize(
    "write",
    [
        write_python,
        lambda folder: write_python(folder, 5),
        lambda folder: write_python(folder, 4, "F"),
        write_binary,
        write_parquet,
    ],
    ids=["python", "python, protocol 5", "python, Fortran order", "binary", "parquet"],
)
def test_all_forms_are_one_task(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "somewhere" / "below")
    task = tasks.load(f"cifar10:{tmp_path}?valid=20&seed=3")
    assert (len(task.train), len(task.valid), task.num_test) == (80, 20, 20)
    assert task.class_names == CLASSES and task.input_shape == (3, 32, 32) and task.name == "cifar10"
    data, labels = batches()["test_batch"]
    test = task.read_test()
    assert np.array_equal(test.held.numpy().reshape(-1, 3072), data) and test.y.tolist() == labels.tolist()  # type: ignore[union-attr]
    write_python(tmp_path / "other")
    assert tasks.load(f"cifar10:{tmp_path / 'other'}?valid=20&seed=3").hash == task.hash
    assert tasks.load(task.spec).hash == task.hash
    seen = {row.numpy().tobytes() for part in (task.train, task.valid) for row in part.held}  # type: ignore[union-attr]
    assert seen == {row.tobytes() for name in NAMES[:5] for row in batches()[name][0]}


def test_class_folders_hold_the_same_images(tmp_path: Path) -> None:
    write_folders(tmp_path / "folders")
    write_binary(tmp_path / "binary")
    folders, binary = (tasks.load(f"cifar10:{tmp_path / name}?valid=20").read_test() for name in ("folders", "binary"))
    assert folders.y.bincount().tolist() == binary.y.bincount().tolist()
    pairs = [{(row.numpy().tobytes(), int(y)) for row, y in zip(part.held, part.y)} for part in (folders, binary)]  # type: ignore[union-attr]
    assert pairs[0] == pairs[1]


def test_what_was_fetched_is_found_without_a_network(tmp_path: Path) -> None:
    write_python(tmp_path / "cifar10" / "cifar-10-batches-py")
    task = tasks.load("cifar10?valid=20", data_dir=tmp_path)
    assert len(task.train) == 80 and task.spec == "cifar10?valid=20"
    assert tasks.load(f"cifar10:{tmp_path}?valid=20").hash == task.hash


def test_folders_without_cifar10(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    write_python(tmp_path / "part")
    (tmp_path / "part" / "data_batch_3").unlink()
    write_binary(tmp_path / "short")
    path = tmp_path / "short" / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-5])
    cases = {
        "none": "there is no folder",
        "file": "is a file; give the folder",
        "empty": "there is no CIFAR-10 in .*looked for Parquet files",
        "part": "lacks data_batch_3",
        "short": "a binary CIFAR-10 batch has a multiple of 3,073",
    }
    for name, message in cases.items():
        with pytest.raises(TaskError, match=message):
            tasks.load(f"cifar10:{tmp_path / name}")
    with pytest.raises(TaskError, match="unknown setting 'test'"):
        tasks.load(f"cifar10:{tmp_path / 'part'}?test=100")


# -- pickles -------------------------------------------------------------------------------------------------------
class Exploit:
    """Runs a command when the usual reader loads it."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


def exploits(marker: Path) -> dict[str, bytes]:
    """Pickles that make ``marker`` when they are read by pickle itself, in several ways."""
    command = f"touch {marker}"
    data, labels = batches()["test_batch"]
    nested = {b"data": data, b"labels": labels.tolist(), b"extra": Exploit(os.system, command)}
    found = {f"system, protocol {p}": pickle.dumps(Exploit(os.system, command), p) for p in range(6)}
    found["inside of a batch"] = pickle.dumps(nested, 2)
    found["eval"] = pickle.dumps(Exploit(eval, f"__import__('os').system({command!r})"), 2)
    # By hand, without anything that pickle writes by itself: the name of the module comes from the stack.
    found["name from the stack"] = (
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c" + bytes([len(command)]) + command.encode() + b"\x85R."
    )
    # An attribute of something that is allowed.
    found["attribute"] = b"\x80\x04\x8c\x05numpy\x8c\x12ndarray.__init__.x\x93."
    return found


def test_exploits_work_on_the_usual_reader(tmp_path: Path) -> None:
    """What follows would prove nothing if these did no harm."""
    for number, (name, content) in enumerate(exploits(tmp_path / "harm").items()):
        if name == "attribute":
            continue
        for written in (tmp_path / "harm",):
            pickle.loads(content)
            assert written.exists(), (number, name)
            written.unlink()


@pytest.mark.parametrize("name", sorted(exploits(Path("x"))))
def test_malicious_batches_are_refused_and_do_nothing(name: str, tmp_path: Path) -> None:
    write_python(tmp_path)
    (tmp_path / "data_batch_2").write_bytes(exploits(tmp_path / "harm")[name])
    with pytest.raises(TaskError, match=r"data_batch_2' is refused: it asks for .*nothing of it was run"):
        tasks.load(f"cifar10:{tmp_path}")
    assert not (tmp_path / "harm").exists()


def test_a_file_cannot_change_what_readers_share(tmp_path: Path) -> None:
    """BUILD would write attributes on the functions that stand for numpy's."""
    path = tmp_path / "batch"
    path.write_bytes(b"\x80\x02c_codecs\nencode\nN}(U\x0c__defaults__U\x04evilu\x86b.")
    assert "BUILD" in [code.name for code, *_ in pickletools.genops(path.read_bytes())]
    with pytest.raises(TaskError, match="changes to a function"):
        read_pickle(path)


def test_damaged_pickles_are_errors_of_ours(tmp_path: Path) -> None:
    whole = pickle.dumps({b"data": batches()["test_batch"][0], b"labels": [0] * PER_BATCH}, 2)
    path = tmp_path / "batch"
    rng = np.random.default_rng(0)
    for place in range(120):
        broken = bytearray(whole[: len(whole) if place % 2 else int(rng.integers(len(whole)))])
        for _ in range(3):
            broken[int(rng.integers(max(1, min(len(broken), 200))))] ^= int(rng.integers(1, 256)) if broken else 0
        path.write_bytes(bytes(broken))
        try:
            read_batch(path)
        except TaskError:
            pass
    recursive: list[Any] = []
    recursive.append(recursive)
    path.write_bytes(pickle.dumps(recursive))
    with pytest.raises(TaskError, match="no readable pickle"):
        read_pickle(path)
    with pytest.raises(TaskError, match="cannot read"):
        read_pickle(tmp_path / "none")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "has NoneType as its data"),
        ({b"data": np.zeros((4, 3071), np.uint8), b"labels": [0] * 4}, r"uint8 of shape \(4, 3071\)"),
        ({b"data": np.zeros((4, 3072)), b"labels": [0] * 4}, "float64 of shape"),
        ({b"data": np.zeros((4, 3072), np.uint8), b"labels": [0] * 3}, "labels are not 4 numbers"),
        ({b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1, 2, 10]}, "labels are not 4 numbers"),
        ({b"data": np.zeros((4, 3072), np.uint8), b"labels": ["a"] * 4}, "labels are not 4 numbers"),
        ({b"data": np.array([{}], dtype=object)}, "is refused: it asks for an array of 'O8'"),
    ],
)
def test_pickles_that_are_no_batches(content: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "data_batch_1"
    path.write_bytes(pickle.dumps(content, 2))
    with pytest.raises(TaskError, match=message):
        read_batch(path)


# -- the real thing ------------------------------------------------------------------------------------------------
@needs_data
def test_real_cifar10(monkeypatch: pytest.MonkeyPatch) -> None:
    task = tasks.load(f"cifar10:{DATA}?valid=1024", progress=False)
    assert (len(task.train), len(task.valid), task.num_test) == (48976, 1024, 10000)
    assert task.class_names == CLASSES and task.train.y.bincount().max() - task.train.y.bincount().min() <= 2
    assert (
        task.valid.y.bincount().tolist() == [102, 102, 102, 103, 102, 103, 102, 103, 102, 103]
        or sum(abs(count - 102.4) for count in task.valid.y.bincount().tolist()) < 20
    )
    scaling = task.train.normalization  # type: ignore[union-attr]
    # Published for the originals: mean 0.4914 0.4822 0.4465, sd 0.2470 0.2435 0.2616.
    assert np.allclose(np.array(scaling.mean) / 255, [0.4914, 0.4822, 0.4465], atol=2e-3)
    assert np.allclose(np.array(scaling.sd) / 255, [0.2470, 0.2435, 0.2616], atol=3e-3)
    x, y = next(task.valid.batches(1024))
    assert tuple(x.shape) == (1024, 3, 32, 32) and torch.isfinite(x).all() and len(y) == 1024
    again = tasks.load(f"cifar10:{DATA}?valid=1024", progress=False)
    assert again.hash == task.hash
