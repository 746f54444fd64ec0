"""`Task`: a data set in three parts, with the hash that evaluations are filed under."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import TaskError
from .parts import Part

if TYPE_CHECKING:
    from torch import Tensor


class Preprocessing(Protocol):
    """What was fitted on the train part, ready for new data."""

    def transform(self, new: Any) -> Tensor:
        """New samples as they came → float32 (N, *input_shape)."""
        ...

    def restore(self, outputs: Tensor) -> Tensor:
        """Outputs for a regression, (N, targets) → in the units of the targets as they came."""
        ...


@dataclass(frozen=True, slots=True)
class Withheld:
    """Stands for a test part that is not here: how many samples, and the digest of what they are."""

    length: int
    digest: str

    def __len__(self) -> int:
        return self.length


@dataclass(frozen=True, eq=False)
class Task:
    """Data in three parts, for classification or (``num_classes`` 0) regression.

    ``train`` is learned from, ``valid`` gives the score that a search compares by, and the test part is for one honest look
    at the end: `read_test` (or ``test``) gives it, and every reading is counted in ``test_reads``, so that a report can say
    whether it was seen. ``spec`` is what `nl.tasks.load` was given; names are for people. Raises `TaskError` where the
    parts do not fit each other.

    >>> from netloom.tasks import load
    >>> task = load("digits")
    >>> tuple(task.train.x.shape), tuple(task.valid.y.shape), task.test_reads
    ((1077, 1, 8, 8), (360,), 0)
    >>> task.kind, task.num_outputs, task.score_name
    ('classification', 10, 'accuracy')
    """

    name: str
    train: Part
    valid: Part
    _test: Part | Withheld
    num_classes: int
    spec: str = ""
    class_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    _reads: list[int] = field(default_factory=lambda: [0], repr=False)

    def __post_init__(self) -> None:
        for part, split in (("train", self.train), ("valid", self.valid), ("test", self._test)):
            if not isinstance(split, Withheld):
                _check_part(self, part, split)

    # -- the parts -------------------------------------------------------------------------------------------------
    def read_test(self) -> Part:
        """The part kept back for the end; the reading is counted. `TaskError` where this task has none."""
        if isinstance(self._test, Withheld):
            if len(self._test):
                raise TaskError(
                    f"task {self.name!r} is here without its test part, which searches and their workers never get; "
                    "read it from the task that the search was given"
                )
            raise TaskError(f"task {self.name!r} has no test part; make it with test= a share or a number of samples")
        self._reads[0] += 1
        return self._test

    @property
    def test(self) -> Part:
        """The same as `read_test`, counted too."""
        return self.read_test()

    @property
    def test_reads(self) -> int:
        """How often the test part has been read."""
        return self._reads[0]

    @property
    def num_test(self) -> int:
        """Samples of the test part, which is not read for that."""
        return len(self._test)

    def without_test(self) -> Task:
        """The task with all but the test part, which cannot be had from it; the hash is the same.

        >>> from netloom.tasks import load
        >>> task = load("digits")
        >>> task.without_test().hash == task.hash
        True
        """
        if isinstance(self._test, Withheld):
            return self
        return self._changed(_test=Withheld(len(self._test), self._test.digest), _reads=[0])

    def to(self, device: Any) -> Task:
        """The task with its batches on ``device``: what is in memory moves there, streams send each batch."""
        test = self._test if isinstance(self._test, Withheld) else self._test.to(device)
        return self._changed(train=self.train.to(device), valid=self.valid.to(device), _test=test)

    def _changed(self, **fields: Any) -> Task:
        """A copy with other parts of the same contents: not checked again, the hash kept."""
        changed = object.__new__(Task)
        changed.__dict__.update({**self.__dict__, **fields})
        return changed

    # -- what it asks for ------------------------------------------------------------------------------------------
    @property
    def kind(self) -> str:
        """``classification`` or ``regression``."""
        return "classification" if self.num_classes else "regression"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, without batch axis."""
        return self.train.shape

    @property
    def num_outputs(self) -> int:
        """Numbers that a network gives for one sample: logits of classes, or values of targets."""
        return self.num_classes or int(self.train.y.shape[1])

    @property
    def score_name(self) -> str:
        """What a score on this task is: ``accuracy``, or ``r2``, the share of variance explained."""
        return "accuracy" if self.num_classes else "r2"

    # -- new data --------------------------------------------------------------------------------------------------
    def transform(self, new: Any) -> Tensor:
        """New samples, as they come to `load` or `from_arrays`, made ready as the train part was: float32 (N, *input_shape)."""
        return self._fitted().transform(new)

    def restore(self, outputs: Tensor) -> Tensor:
        """Outputs of a network for a regression, (N, targets), in the units of the targets as they were given."""
        if self.num_classes:
            raise TaskError(f"task {self.name!r} is a classification; there are no units to restore")
        return self._fitted().restore(outputs)

    def _fitted(self) -> Preprocessing:
        if self.preprocessing is None:
            raise TaskError(f"task {self.name!r} keeps no preprocessing; its inputs are used as they are")
        return self.preprocessing

    # -- identity --------------------------------------------------------------------------------------------------
    @cached_property
    def hash(self) -> str:
        """SHA-256 of the contents of all three parts: equal exactly when the data are."""
        parts = [self.train.digest, self.valid.digest, self._test.digest]
        return hashlib.sha256(f"netloom task 2, {self.num_classes} classes, {' '.join(parts)}".encode()).hexdigest()

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.input_shape))
        outputs = f"{self.num_classes} classes" if self.num_classes else _counted(self.num_outputs, "target")
        sizes = f"{len(self.train)} train, {len(self.valid)} valid, {len(self._test)} test"
        return f"<Task {self.name}: {shape}, {outputs}, {sizes}>"

    def __getstate__(self) -> dict[str, Any]:
        # Readings are counted where they happen: a copy in another process starts at none.
        return {**self.__dict__, "_reads": [0]}


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _check_part(task: Task, name: str, part: Part) -> None:
    if len(part) == 0:
        raise TaskError(f"task {task.name!r}: the {name} part is empty; give every part at least one sample")
    if len(part) != part.y.shape[0]:
        raise TaskError(f"task {task.name!r}: the {name} part has {len(part)} inputs but {part.y.shape[0]} targets")
    if part.shape != task.train.shape:
        shapes = f"samples of the {name} part have shape {part.shape}, those of the train part {task.train.shape}"
        raise TaskError(f"task {task.name!r}: {shapes}")
    if task.num_classes:
        _check_classes(task, name, part)
    elif part.y.ndim != 2 or part.y.shape[1] != task.train.y.shape[-1] or not part.y.is_floating_point():
        raise TaskError(
            f"task {task.name!r}: targets of the {name} part are {part.y.dtype} of shape {tuple(part.y.shape)}; "
            "a regression (num_classes = 0) needs float32 (samples, targets)"
        )


def _check_classes(task: Task, name: str, part: Part) -> None:
    if part.y.is_floating_point() or part.y.ndim != 1:
        raise TaskError(
            f"task {task.name!r}: targets of the {name} part are {part.y.dtype} of shape {tuple(part.y.shape)}; "
            "expected one class index for each sample, int64 (samples,)"
        )
    low, high = int(part.y.min()), int(part.y.max())
    if low < 0 or high >= task.num_classes:
        raise TaskError(
            f"task {task.name!r}: labels of the {name} part lie in [{low}, {high}]; expected [0, {task.num_classes - 1}]"
        )
