"""Tasks: what is split how, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from netloom import tasks
from netloom.errors import TaskError


@pytest.fixture(scope="module")
def digits() -> tasks.Task:
    return tasks.load("digits")


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


def test_split_is_stratified(digits: tasks.Task) -> None:
    whole = np.bincount(load_digits().target) / 1797
    for part in (digits.train, digits.valid, digits.test):
        counts = np.bincount(part.y.numpy(), minlength=10)
        assert np.abs(counts - whole * len(part)).max() <= 1.5


def test_same_seed_same_hash_other_seed_other_hash(digits: tasks.Task) -> None:
    assert tasks.load("digits").hash == digits.hash
    assert tasks.load("digits?seed=7").hash != digits.hash
    assert tasks.load("digits?seed=7").spec == "digits?seed=7"


def test_hash_sees_a_single_label(digits: tasks.Task) -> None:
    y = digits.valid.y.clone()
    y[0] = (y[0] + 1) % 10
    changed = tasks.Task("digits", digits.train, tasks.Split(digits.valid.x, y), digits.test, 10)
    assert changed.hash != digits.hash


def test_reading_the_test_part_is_counted_and_hash_and_pickle_do_not_read_it() -> None:
    task = tasks.load("digits")
    assert task.hash and repr(task) and pickle.loads(pickle.dumps(task)).hash == task.hash
    assert task.test_reads == 0
    len(task.test)
    assert task.test_reads == 1


def test_labels_of_any_kind_become_indices() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    task = tasks.from_arrays(x, ["b", "a"] * 20)
    assert task.class_names == ("a", "b") and set(task.train.y.tolist()) == {0, 1}
    assert torch.allclose(task.train.x.mean(0), torch.zeros(3), atol=1e-6)


def test_constant_channel_is_left_finite() -> None:
    x = np.zeros((40, 2, 4, 4))
    x[:, 1] = np.random.default_rng(0).normal(size=(40, 4, 4))
    task = tasks.from_arrays(x, np.arange(40) % 2)
    assert torch.isfinite(task.train.x).all() and float(task.train.x[:, 0].abs().max()) == 0


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (np.zeros((40, 3)), np.zeros(40), {}, "one class only"),
        (np.zeros((40, 3)), np.zeros(39), {}, r"y has shape \(39,\)"),
        (np.zeros(40), np.zeros(40), {}, "expected \\(samples, features\\)"),
        (np.full((40, 3), np.nan), np.arange(40) % 2, {}, "not finite"),
        (np.zeros((4, 3)), np.arange(4) % 2, {}, "at least 10"),
        ([["a"]] * 40, np.arange(40) % 2, {}, "not an array of numbers"),
        (np.zeros((40, 3)), np.arange(40) % 2, {"valid": 0.6, "test": 0.5}, "shares"),
        (np.zeros((40, 3)), [float("nan")] * 40, {}, "missing labels"),
    ],
)
def test_bad_arrays_are_refused(x: object, y: object, options: dict[str, float], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        tasks.from_arrays(x, y, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "message"),
    [("digit", "did you mean 'digits'"), ("cifar9000", "there is: digits"), ("digits?seed=x", "seed=INTEGER"), (3, "string")],
)
def test_unknown_specs_say_what_exists(spec: str, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        tasks.load(spec)
