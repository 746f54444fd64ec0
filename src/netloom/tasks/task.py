"""`Task`: a data set in three parts, with the hash that evaluations are filed under."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import TaskError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """One part of a task: inputs ``x`` float32 (N, *input_shape) and class indices ``y`` int64 (N,)."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return int(self.x.shape[0])


@dataclass(frozen=True, eq=False)
class Task:
    """Classification data in three parts.

    ``train`` is learned from, ``valid`` gives the score that a search compares by, and ``test`` is for one honest look
    at the end: every reading of it is counted in ``test_reads``, so that a report can say whether the search saw it.
    ``spec`` is what `nl.tasks.load` was given; ``class_names`` are for people.

    >>> from netloom.tasks import load
    >>> task = load("digits")
    >>> tuple(task.train.x.shape), tuple(task.valid.y.shape), task.test_reads
    ((1077, 1, 8, 8), (360,), 0)
    """

    name: str
    train: Split
    valid: Split
    _test: Split
    num_classes: int
    spec: str = ""
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part, split in (("train", self.train), ("valid", self.valid), ("test", self._test)):
            _check_split(self.name, part, split, self.train, self.num_classes)
        object.__setattr__(self, "_reads", [0])

    @property
    def test(self) -> Split:
        """The part kept back for the end."""
        self._reads[0] += 1  # type: ignore[attr-defined]
        return self._test

    @property
    def test_reads(self) -> int:
        """How often ``test`` has been read."""
        return int(self._reads[0])  # type: ignore[attr-defined]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, without batch axis."""
        return tuple(self.train.x.shape[1:])

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the contents of all three parts: equal exactly when the data are."""
        digest = hashlib.sha256(f"netloom task 1, {self.num_classes} classes".encode())
        for split in (self.train, self.valid, self._test):
            for tensor in (split.x, split.y):
                array = tensor.contiguous().numpy()
                little = array.astype(array.dtype.newbyteorder("<"), copy=False)
                digest.update(f"|{little.dtype.str}{little.shape}|".encode())
                digest.update(little.tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.input_shape))
        sizes = f"{len(self.train)} train, {len(self.valid)} valid, {len(self._test)} test"
        return f"<Task {self.name}: {shape}, {self.num_classes} classes, {sizes}>"

    def __reduce__(self) -> Any:
        # Worker processes get everything but the test part's count of readings, which stays with the caller.
        return Task, (self.name, self.train, self.valid, self._test, self.num_classes, self.spec, self.class_names)


def _check_split(task: str, part: str, split: Split, train: Split, num_classes: int) -> None:
    if len(split) == 0:
        raise TaskError(f"task {task!r}: the {part} part is empty; give every part at least one sample")
    if split.x.shape[0] != split.y.shape[0]:
        raise TaskError(f"task {task!r}: the {part} part has {split.x.shape[0]} inputs but {split.y.shape[0]} labels")
    if split.x.shape[1:] != train.x.shape[1:]:
        raise TaskError(
            f"task {task!r}: samples of the {part} part have shape {tuple(split.x.shape[1:])}, "
            f"those of the train part {tuple(train.x.shape[1:])}"
        )
    low, high = int(split.y.min()), int(split.y.max())
    if low < 0 or high >= num_classes:
        raise TaskError(f"task {task!r}: labels of the {part} part lie in [{low}, {high}]; expected [0, {num_classes - 1}]")
