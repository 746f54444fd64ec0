"""From arrays to tasks: kinds of targets, parts, what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from netloom import tasks
from netloom.errors import NetloomWarning, TaskError
from netloom.tasks.splitting import Counts, partition, strata_of

X = np.random.default_rng(0).normal(size=(40, 3))


def test_split_is_stratified() -> None:
    whole = np.bincount(load_digits().target) / 1797
    task = tasks.load("digits")
    for part in (task.train, task.valid, task.test):
        counts = np.bincount(part.y.numpy(), minlength=10)
        assert np.abs(counts - whole * len(part)).max() <= 1.5


@given(
    labels=st.lists(st.integers(0, 4), min_size=10, max_size=120),
    shares=st.tuples(st.floats(0.05, 0.4), st.floats(0, 0.4)),
    seed=st.integers(0, 2**32),
)
def test_parts_are_disjoint_of_the_sizes_asked_for_and_stratified(
    labels: list[int], shares: tuple[float, float], seed: int
) -> None:
    n = len(labels)
    valid, test = max(1, int(shares[0] * n)), int(shares[1] * n)
    sizes = Counts(n - valid - test, valid, test)
    array = np.array(labels)
    parts = partition(array, sizes, seed)
    assert [len(part) for part in parts] == list(sizes)
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    for part in parts[1:]:
        for label in set(labels):
            expected = labels.count(label) * len(part) / n
            assert abs((array[part] == label).sum() - expected) <= 2


def test_parts_of_a_regression_cover_the_range() -> None:
    y = np.random.default_rng(1).exponential(size=500)
    task = tasks.from_arrays(np.random.default_rng(0).normal(size=(500, 3)), y, valid=50, test=50)
    tenths = np.quantile(task.restore(task.train.y).numpy(), np.linspace(0, 1, 11)[1:-1])
    for part in (task.valid, task.test):
        counts = np.bincount(np.searchsorted(tenths, task.restore(part.y).numpy()[:, 0]), minlength=10)
        assert counts.min() >= 3 and counts.max() <= 8  # 5 in each, give or take the ends
    assert len(set(strata_of(y, classes=False).tolist())) == 10


def test_seeds_draw_other_parts() -> None:
    a, b, c = (tasks.from_arrays(X, np.arange(40) % 2, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(a.train.x, b.train.x) and not torch.equal(a.train.x, c.train.x)


def test_sizes_as_shares_and_numbers() -> None:
    task = tasks.from_arrays(X, np.arange(40) % 2, valid=7, test=0.25, train=11)
    assert (len(task.train), len(task.valid), task.num_test) == (11, 7, 10)


def test_parts_of_their_own_are_taken_as_they_are() -> None:
    own = np.random.default_rng(5).normal(size=(6, 3)), ["b", "a", "b", "a", "c", "c"]
    task = tasks.from_arrays(X, ["a", "b"] * 20, test=own, valid=8, normalize=False)
    assert (len(task.train), len(task.valid), task.num_test) == (32, 8, 6)
    assert task.class_names == ("a", "b", "c")
    assert torch.equal(task.test.x, torch.tensor(own[0], dtype=torch.float32)) and task.test.y.tolist() == [1, 0, 1, 0, 2, 2]
    both = tasks.from_arrays(X, np.arange(40) % 2, test=(X[:5], [0, 1, 0, 1, 0]), valid=(X[5:9], [0, 1, 0, 1]))
    assert (len(both.train), len(both.valid), both.num_test) == (40, 4, 5)


# -- targets -------------------------------------------------------------------------------------------------------
def test_labels_of_any_kind_become_indices() -> None:
    for labels in (["b", "a"] * 20, [True, False] * 20, [7.0, 3.0] * 20, np.array(["b", "a"] * 20, dtype=object)):
        task = tasks.from_arrays(X, labels)
        assert set(task.train.y.tolist()) == {0, 1} and task.train.y.dtype == torch.int64
    assert tasks.from_arrays(X, ["b", "a"] * 20).class_names == ("a", "b")
    assert tasks.from_arrays(X, torch.arange(40).reshape(-1, 1) % 4).num_classes == 4


def test_pandas_labels_and_whole_numbers_beside_gaps() -> None:
    whole = pd.Series([0, 1] * 20, dtype="Int64")
    assert tasks.from_arrays(X, whole).class_names == ("0", "1")
    assert tasks.from_arrays(X, pd.Series([0.0, 1.0] * 20)).class_names == ("0", "1")
    assert tasks.from_arrays(X, pd.Categorical(["a", "b"] * 20)).class_names == ("a", "b")
    whole[3] = pd.NA
    with pytest.raises(TaskError, match="missing labels"):
        tasks.from_arrays(X, whole)


def test_numbers_of_numpy_are_numbers() -> None:
    task = tasks.from_arrays(X, np.arange(40) % 2, valid=np.int64(8), test=np.float64(0.25), seed=np.int64(3))
    assert (len(task.valid), task.num_test) == (8, 10)
    assert len(next(task.train.batches(np.int64(4)))[1]) == 4
    frame = tasks.from_frame(pd.DataFrame(X), np.arange(40) % 2, valid=np.int64(8), test=np.float64(0.25))
    assert (len(frame.valid), frame.num_test) == (8, 10)


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        ([0, 1, 2] * 10, "classification"),
        (np.arange(300) % 100, "regression"),
        (np.arange(3000) % 100, "classification"),
        ((np.arange(3000) % 100).astype(float), "regression"),
        ([1.0, 2.0] * 10, "classification"),
        (np.linspace(0, 1, 30), "regression"),
        (np.arange(30), "regression"),
        (np.zeros((30, 2)), "regression"),
        (["a"] * 30, "classification"),
        ([True] * 30, "classification"),
    ],
)
def test_what_targets_look_like(y: object, kind: str) -> None:
    assert tasks.decide_kind(y) == kind


def test_the_kind_may_be_said() -> None:
    y = np.arange(40) % 4
    assert tasks.from_arrays(X, y).num_classes == 4
    numbers = tasks.from_arrays(X, y, kind="regression", normalize=False)
    assert numbers.num_classes == 0 and set(numbers.train.y[:, 0].tolist()) == {0.0, 1.0, 2.0, 3.0}
    assert tasks.from_arrays(X, np.arange(40.0), kind="classification").num_classes == 40


def test_indices_with_names_keep_classes_without_samples() -> None:
    task = tasks.from_arrays(X, np.arange(40) % 2, class_names=("cat", "dog", "emu"))
    assert task.num_classes == 3 and task.class_names == ("cat", "dog", "emu")
    with pytest.raises(TaskError, match=r"labels lie in \[0, 2\], but there are 2 class names"):
        tasks.from_arrays(X, np.arange(40) % 3, class_names=("a", "b"))


# -- inputs --------------------------------------------------------------------------------------------------------
def test_constant_channel_is_left_finite() -> None:
    x = np.zeros((40, 2, 4, 4))
    x[:, 1] = np.random.default_rng(0).normal(size=(40, 4, 4))
    task = tasks.from_arrays(x, np.arange(40) % 2)
    assert torch.isfinite(task.train.x).all() and float(task.train.x[:, 0].abs().max()) == 0
    flat = tasks.from_arrays(np.full((40, 1, 2, 2), 7, np.uint8), np.arange(40) % 2)
    assert float(flat.train.x.abs().max()) == 0


def test_arrays_of_other_libraries() -> None:
    import scipy.sparse

    y = np.arange(40) % 2
    expected = tasks.from_arrays(X, y).hash
    assert tasks.from_arrays(torch.tensor(X, requires_grad=True), torch.tensor(y)).hash == expected
    assert tasks.from_arrays(X.tolist(), y.tolist()).hash == expected
    assert tasks.from_arrays(scipy.sparse.csr_matrix(X), y).hash == expected
    assert tasks.from_arrays(torch.zeros(40, 3, dtype=torch.bfloat16), y).train.x.dtype == torch.float32


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (np.zeros((40, 3)), np.zeros(40), {}, "one class only"),
        (np.zeros((40, 3)), np.zeros(39), {}, r"y has shape \(39,\)"),
        (np.zeros(40), np.zeros(40), {}, "expected \\(samples, features\\)"),
        (np.zeros((40, 0)), np.arange(40) % 2, {}, "samples are empty"),
        (np.full((40, 3), np.nan), np.arange(40) % 2, {}, "not finite"),
        (np.zeros((4, 3)), np.arange(4) % 2, {}, "at least 10"),
        (np.zeros((0, 3)), np.zeros(0), {}, "at least 10"),
        (np.zeros((40, 3), complex), np.arange(40) % 2, {}, "its elements are complex128"),
        ([["a"]] * 40, np.arange(40) % 2, {}, "not an array of numbers"),
        (np.zeros((40, 3)), np.arange(40) % 2, {"valid": 0.6, "test": 0.5}, "shares"),
        (np.zeros((40, 3)), np.arange(40) % 2, {"valid": 0}, "valid = 0; expected a share"),
        (np.zeros((40, 3)), np.arange(40) % 2, {"valid": 1.5}, "valid = 1.5; expected a share"),
        (np.zeros((40, 3)), np.arange(40) % 2, {"train": 30}, "train = 30 of 40 samples leave 24"),
        (np.zeros((40, 3)), np.arange(40) % 2, {"seed": -1}, "seed = -1"),
        (np.zeros((40, 3)), np.arange(40) % 2, {"seed": "a"}, "seed = 'a'"),
        (np.zeros((40, 3)), np.arange(40) % 2, {"kind": "ranking"}, "kind = 'ranking'"),
        (np.zeros((40, 3)), ["a", "b"] * 20, {"kind": "regression"}, "y holds 'a'; a regression needs numbers"),
        (np.zeros((40, 3)), np.eye(4)[np.arange(40) % 4], {"kind": "classification"}, r"one-hot rows: y.argmax\(1\)"),
        (np.zeros((40, 3)), [float("nan")] * 40, {}, "missing labels"),
        (np.zeros((40, 3)), [None, "a"] * 20, {}, "missing labels"),
        (np.zeros((40, 3)), np.zeros(40, "datetime64[D]"), {}, "y holds datetime64"),
        (np.zeros((40, 3)), np.full(40, 0.5), {}, "the same for all samples"),
        (
            np.zeros((40, 3)),
            np.arange(40) % 2,
            {"test": (np.zeros((5, 4)), np.zeros(5))},
            r"test part are float32 of shape \(4,\)",
        ),
        (np.zeros((40, 3)), np.arange(40) % 2, {"test": (np.zeros((5, 3)), np.zeros(4))}, "y of the test part has shape"),
        (np.zeros((40, 3)), np.arange(40) % 2, {"test": (np.zeros((0, 3)), np.zeros(0))}, "test part is empty"),
    ],
)
def test_bad_arrays_are_refused(x: object, y: object, options: dict[str, float], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        tasks.from_arrays(x, y, **options)  # type: ignore[arg-type]


def test_images_with_channels_last_are_told_apart() -> None:
    x, y = np.zeros((20, 12, 12, 3), np.uint8), np.arange(20) % 2
    with pytest.warns(NetloomWarning, match=r"12 channels of 12×3; .* give x.transpose\(0, 3, 1, 2\)"):
        tasks.from_arrays(x, y)
    assert tasks.from_arrays(x.transpose(0, 3, 1, 2), y).input_shape == (3, 12, 12)
