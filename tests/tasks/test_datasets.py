"""PyTorch datasets, and what only looks like one, as tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from netloom import tasks
from netloom.errors import TaskError
from tests.tasks.conftest import picture


class Pictures(Dataset):  # type: ignore[type-arg]
    """Pillow images with integer labels and names of classes, as torchvision's datasets have."""

    classes = ("cat", "dog", "emu")

    def __init__(self, count: int, mode: str = "RGB") -> None:
        self.count, self.mode = count, mode

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> tuple[Any, int]:
        return picture(place, mode=self.mode), place % 2


class Endless(IterableDataset):  # type: ignore[type-arg]
    def __iter__(self) -> Iterator[tuple[torch.Tensor, float]]:
        for place in range(30):
            yield torch.full((4,), float(place)), place / 7


def test_tensors_come_as_from_arrays() -> None:
    x, y = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), torch.arange(50) % 3
    task = tasks.from_dataset(TensorDataset(x, y), valid=10, test=0.2, seed=3, name="mine")
    assert task.hash == tasks.from_arrays(x, y, valid=10, test=0.2, seed=3).hash and task.name == "mine"
    part = tasks.from_dataset(Subset(TensorDataset(x, y), list(range(40))))
    assert part.hash == tasks.from_arrays(x[:40], y[:40]).hash


def test_pictures_become_bytes_with_their_class_names() -> None:
    task = tasks.from_dataset(Pictures(30), test=Pictures(6), valid=0.2)
    assert task.class_names == ("cat", "dog", "emu") and task.num_classes == 3 and task.input_shape == (3, 10, 12)
    test = task.read_test()
    assert isinstance(test, tasks.Split) and test.held.dtype == torch.uint8 and len(test) == 6
    assert np.array_equal(test.held[4].numpy(), np.asarray(picture(4)).transpose(2, 0, 1))
    assert tasks.from_dataset(Pictures(30, "L")).input_shape == (1, 10, 12)
    assert tasks.from_dataset(Pictures(30, "RGBA")).input_shape == (3, 10, 12)


def test_iterables_regressions_and_lists_of_pairs() -> None:
    task = tasks.from_dataset(Endless())
    assert task.kind == "regression" and len(task.train) == 18
    pairs = [(np.full(3, n, dtype=np.int64), "even" if n % 2 == 0 else "odd") for n in range(20)]
    assert tasks.from_dataset(pairs).class_names == ("even", "odd")
    vectors = [(torch.zeros(2), torch.tensor([n, 2.0 * n])) for n in range(20)]
    assert tasks.from_dataset(vectors).num_outputs == 2
    assert tasks.from_dataset([(float(n), n % 2) for n in range(20)]).input_shape == (1,)


@pytest.mark.parametrize(
    ("dataset", "settings", "message"),
    [
        ([], {}, "has no samples"),
        ([torch.zeros(3)] * 20, {}, "sample 0 is a Tensor; expected a pair"),
        ([(torch.zeros(3), 0), (torch.zeros(4), 1)] * 10, {}, r"sample 1 is float32 of shape \(4,\)"),
        ([("text", 0)] * 20, {}, "x of sample 0 is a str"),
        ([(torch.zeros(3), [1, 2][: n % 2 + 1]) for n in range(20)], {}, "targets do not fit each other"),
        ([(torch.zeros(1000), n % 2) for n in range(20)], {"memory_bytes": 50_000}, "80,000 bytes, more than 50,000"),
        ([(torch.zeros(3), 0)] * 20, {}, "one class only"),
    ],
)
def test_datasets_that_are_no_task(dataset: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        tasks.from_dataset(dataset, **settings)
