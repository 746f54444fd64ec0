"""Tasks as values: parts and their batches, hashes, the test part, devices, new data."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from netloom import tasks
from netloom.errors import TaskError
from netloom.tasks.normalization import Normalization


@pytest.fixture(scope="module")
def digits() -> tasks.Task:
    return tasks.load("digits")


def bytes_task(**settings: object) -> tasks.Task:
    """Images of bytes: red, green and blue of different brightness."""
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 256, (60, 3, 6, 5)) * np.array([1.0, 0.5, 0.1])[:, None, None]).astype(np.uint8)
    return tasks.from_arrays(x, np.arange(60) % 3, **settings)  # type: ignore[arg-type]


def test_digits_are_all_there_once(digits: tasks.Task) -> None:
    parts = [digits.train, digits.valid, digits.test]
    assert [len(part) for part in parts] == [1077, 360, 360]
    raw = torch.tensor(load_digits().images, dtype=torch.float32).flatten(1)
    given = torch.cat([p.x for p in parts]).flatten(1)
    # Normalisation is one affine map of positive slope: undo it and every original image must come back exactly once.
    slope, shift = raw.std() / given.std(), raw.mean() - given.mean() * raw.std() / given.std()
    restored = (given * slope + shift).round()
    assert sorted(map(tuple, restored.tolist())) == sorted(map(tuple, raw.tolist()))


def test_digits_have_types_and_normalisation_of_the_train_part(digits: tasks.Task) -> None:
    assert digits.train.x.dtype == torch.float32 and digits.train.y.dtype == torch.int64
    assert digits.input_shape == (1, 8, 8) and digits.num_classes == 10
    assert abs(float(digits.train.x.mean())) < 1e-5
    assert abs(float(digits.train.x.std(correction=0)) - 1) < 1e-5
    assert abs(float(digits.valid.x.mean())) > 1e-6


def test_what_a_task_asks_for(digits: tasks.Task) -> None:
    assert (digits.kind, digits.num_outputs, digits.score_name) == ("classification", 10, "accuracy")
    numbers = tasks.from_arrays(np.random.default_rng(0).normal(size=(40, 3)), np.random.default_rng(1).normal(size=(40, 2)))
    assert (numbers.kind, numbers.num_outputs, numbers.score_name, numbers.num_classes) == ("regression", 2, "r2", 0)
    assert numbers.train.y.dtype == torch.float32 and tuple(numbers.train.y.shape) == (24, 2)


# -- batches -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("task", [bytes_task(), tasks.load("digits")], ids=["bytes", "floats"])
def test_batches_are_the_rows_in_the_order_asked_for(task: tasks.Task) -> None:
    part = task.train
    plain = list(part.batches(32))
    assert [len(x) for x, _ in plain[:-1]] == [32] * (len(plain) - 1) and sum(len(y) for _, y in plain) == len(part)
    assert torch.equal(torch.cat([x for x, _ in plain]), part.x) and torch.equal(torch.cat([y for _, y in plain]), part.y)
    order = torch.randperm(len(part), generator=torch.Generator().manual_seed(1))[:-3]
    drawn = list(part.batches(7, order=order))
    assert torch.equal(torch.cat([x for x, _ in drawn]), part.x[order])
    assert torch.equal(torch.cat([y for _, y in drawn]), part.y[order])
    assert all(x.dtype == torch.float32 for x, _ in drawn)
    assert list(part.batches(7, order=order[:0])) == []


def test_images_stay_bytes_and_a_batch_is_a_copy() -> None:
    part = bytes_task().train
    assert part.held.dtype == torch.uint8
    first = next(part.batches(4))[0]
    first.zero_()
    assert float(next(part.batches(4))[0].abs().sum()) > 0


def test_bytes_and_floats_come_to_the_same_numbers() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 256, (50, 3, 4, 4), dtype=np.uint8), np.arange(50) % 2
    as_bytes, as_floats = tasks.from_arrays(x, y), tasks.from_arrays(x.astype(np.float32), y)
    assert torch.allclose(as_bytes.train.x, as_floats.train.x, atol=1e-6)
    for channel in range(3):
        assert abs(float(as_bytes.train.x[:, channel].mean())) < 1e-6
        assert abs(float(as_bytes.train.x[:, channel].std(correction=0)) - 1) < 1e-6
    assert torch.equal(tasks.from_arrays(x, y, normalize=False).train.x.sum(), torch.tensor(as_floats_sum(x, y)))


def as_floats_sum(x: np.ndarray, y: np.ndarray) -> float:
    return float(tasks.from_arrays(x.astype(np.float32), y, normalize=False).train.x.sum())


@pytest.mark.parametrize("size", [0, -1, True, 2.5, "8"])
def test_batch_sizes_that_are_none(digits: tasks.Task, size: object) -> None:
    with pytest.raises(TaskError, match="batch size"):
        next(digits.train.batches(size))  # type: ignore[arg-type]


# -- identity ------------------------------------------------------------------------------------------------------
def test_same_seed_same_hash_other_seed_other_hash(digits: tasks.Task) -> None:
    assert tasks.load("digits").hash == digits.hash
    assert tasks.load("digits?seed=7").hash != digits.hash
    assert tasks.load("digits?seed=7").spec == "digits?seed=7"


def test_hash_sees_a_single_label(digits: tasks.Task) -> None:
    y = digits.valid.y.clone()
    y[0] = (y[0] + 1) % 10
    changed = tasks.Task("digits", digits.train, tasks.Split(digits.valid.x, y), digits.test, 10)
    assert changed.hash != digits.hash


def test_hash_of_bytes_sees_a_pixel_a_row_and_the_scaling() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 1, 4, 4), dtype=np.uint8), np.arange(40) % 2
    task = tasks.from_arrays(x, y, normalize=False)
    assert tasks.from_arrays(x.copy(), y, normalize=False).hash == task.hash
    pixel = x.copy()
    pixel[11, 0, 2, 3] ^= 1
    assert tasks.from_arrays(pixel, y, normalize=False).hash != task.hash
    assert tasks.from_arrays(x, y, normalize=True).hash != task.hash
    split = task.train
    swapped = tasks.Split(split.held.flip(0), split.y.flip(0), normalization=split.normalization)
    assert swapped.digest != split.digest
    assert tasks.Split(split.held, split.y, normalization=split.normalization).digest == split.digest


# -- the test part -------------------------------------------------------------------------------------------------
def test_reading_the_test_part_is_counted_and_hash_and_pickle_do_not_read_it() -> None:
    task = tasks.load("digits")
    assert task.hash and repr(task) and task.num_test == 360 and pickle.loads(pickle.dumps(task)).hash == task.hash
    assert task.test_reads == 0
    len(task.test)
    assert task.test_reads == 1
    assert task.read_test() is task.test and task.test_reads == 3
    assert pickle.loads(pickle.dumps(task)).test_reads == 0


@pytest.mark.parametrize("make", [lambda: tasks.load("digits"), bytes_task], ids=["floats", "bytes"])
def test_a_task_without_its_test_part_holds_nothing_of_it(make) -> None:  # type: ignore[no-untyped-def]
    task = make()
    without = task.without_test()
    assert without.hash == task.hash and without.num_test == task.num_test and repr(without) == repr(task)
    assert without.without_test() is without and task.test_reads == 0
    with pytest.raises(TaskError, match="without its test part"):
        without.test  # noqa: B018
    with pytest.raises(TaskError, match="without its test part"):
        without.read_test()
    sent = pickle.dumps(without)
    row = task.read_test().held[0].numpy().tobytes()
    assert row in pickle.dumps(task) and row not in sent
    again = pickle.loads(sent)
    assert again.hash == task.hash and torch.equal(again.train.x, task.train.x)


def test_a_task_may_have_no_test_part_at_all() -> None:
    task = tasks.from_arrays(np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2, test=0)
    assert len(task.train) == 32 and task.num_test == 0 and task.hash
    with pytest.raises(TaskError, match="has no test part; make it with test="):
        task.read_test()


# -- devices and new data ------------------------------------------------------------------------------------------
def test_moved_tasks_keep_hash_and_count() -> None:
    task = bytes_task()
    moved = task.to("meta")
    assert moved.hash == task.hash
    x, y = next(moved.train.batches(8, order=torch.arange(8)))
    assert x.device.type == y.device.type == "meta" and tuple(x.shape) == (8, 3, 6, 5) and x.dtype == torch.float32
    moved.read_test()
    assert task.test_reads == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_batches_on_a_gpu_are_those_of_the_cpu() -> None:
    task = bytes_task()
    order = torch.randperm(len(task.train))
    for (x, y), (there, labels) in zip(task.train.batches(7, order=order), task.to("cuda").train.batches(7, order=order)):
        assert there.is_cuda and torch.allclose(x, there.cpu(), atol=1e-6) and torch.equal(y, labels.cpu())


def test_new_samples_are_made_ready_as_the_train_part_was() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 5, (50, 4)), rng.normal(100, 7, 50)
    task = tasks.from_arrays(x, y, test=10)
    assert {tuple(row) for row in task.train.x.tolist()} <= {tuple(row) for row in task.transform(x).tolist()}
    units = task.restore(task.train.y)
    assert abs(float(task.train.y.mean())) < 1e-6 and set(units[:, 0].round(decimals=3).tolist()) <= set(
        torch.tensor(y, dtype=torch.float32).round(decimals=3).tolist()
    )
    with pytest.raises(TaskError, match=r"new samples have shape \(3,\); expected \(4,\)"):
        task.transform(x[:, :3])
    with pytest.raises(TaskError, match="no units to restore"):
        tasks.load("digits").restore(torch.zeros(2, 10))


def test_what_parts_must_have_in_common(digits: tasks.Task) -> None:
    x, y = torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64)
    good = tasks.Split(x, y)
    cases = [
        ((good, tasks.Split(x[:0], y[:0]), good, 2), "valid part is empty"),
        ((good, tasks.Split(x, y[:3]), good, 2), "4 inputs but 3 targets"),
        ((good, good, tasks.Split(torch.zeros(4, 2), y), 2), r"test part have shape \(2,\)"),
        ((good, tasks.Split(x, y + 2), good, 2), r"lie in \[2, 2\]; expected \[0, 1\]"),
        ((good, good, good, 0), "a regression .* needs float32"),
        ((good, tasks.Split(x, y.float()), good, 2), "one class index for each sample"),
    ]
    for parts, message in cases:
        with pytest.raises(TaskError, match=message):
            tasks.Task("made", *parts)  # type: ignore[arg-type]
    with pytest.raises(TaskError, match="keeps no preprocessing"):
        tasks.Task("made", good, good, good, 2).transform(x)


def test_normalization_is_undone() -> None:
    x = torch.randn(5, 3, 2, 2)
    scaling = Normalization((1.0, 2.0, 3.0), (0.5, 1.0, 2.0))
    assert torch.allclose(scaling.undo(scaling.apply(x)), x, atol=1e-6)


# -- names ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digit", "did you mean 'digits'"),
        ("cifar9000", "there is: digits"),
        ("", "unknown task ''"),
        ("digits?seed=x", "seed = 'x'; expected a whole number"),
        ("digits?sed=1", "did you mean 'seed'"),
        ("digits?seed=1&seed=2", "'seed' is given twice"),
        ("digits?seed=1&valid", "cannot read 'valid'"),
        ("digits?valid=half", "a share of them such as 0.2"),
        ("digits?valid=2000", "leave 0 to train on"),
        ("digits:folder", "digits takes no path"),
        ("images", "images:FOLDER"),
        ("imagenet", "imagenet:FOLDER"),
        ("table", "table:FILE.csv"),
        ("regression", "regression:SEED"),
        ("regression:x", "regression:SEED"),
        (3, "string"),
    ],
)
def test_unknown_specs_say_what_exists(spec: str, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        tasks.load(spec)


def test_settings_of_parts() -> None:
    assert [len(p) for p in (tasks.load("digits?valid=100&test=10%&train=0.5").train,)] == [899]
    task = tasks.load("digits?valid=1k&test=0.2&seed=3")
    assert (len(task.train), len(task.valid), task.num_test) == (437, 1000, 360)
    assert tasks.load(task.spec).hash == task.hash


def test_random_regression_tasks_by_their_seed() -> None:
    task = tasks.load("regression:7")
    assert task.kind == "regression" and tasks.load("regression:7").hash == task.hash != tasks.load("regression:8").hash
    assert tasks.load(task.spec).hash == task.hash
    assert tasks.load("regression:7?in_features=5").input_shape == (5,)
