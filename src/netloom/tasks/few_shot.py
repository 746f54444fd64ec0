"""Few labelled samples of each class: what is left of a training part when labels are dear."""

from __future__ import annotations

from typing import Any

from ..errors import TaskError
from .parts import Split
from .task import Task


def few_shot(task: Task, shots: int) -> Task:
    """The task with the first ``shots`` training samples of every class, in their order; other parts stay as they are.

    Raises `TaskError` for a regression, and where a class has fewer.

    >>> from netloom.tasks import load
    >>> few_shot(load("digits"), 5)
    <Task digits: 1×8×8, 10 classes, 50 train, 360 valid, 360 test>
    """
    import torch

    if not task.num_classes:
        raise TaskError(f"task {task.name!r}: shots = {shots}, but a regression has no classes to take some of each of")
    if not isinstance(shots, int) or shots < 1:
        raise TaskError(f"task {task.name!r}: shots = {shots!r}; expected a whole number from 1")
    labels = task.train.y.cpu()
    counts = torch.bincount(labels, minlength=task.num_classes)
    least = int(counts.argmin())
    if int(counts[least]) < shots:
        name = task.class_names[least] if task.class_names else str(least)
        raise TaskError(
            f"task {task.name!r}: shots = {shots}, but class {name!r} has {int(counts[least])} samples in the training part; "
            "give fewer shots, or smaller valid and test parts"
        )
    chosen = [torch.nonzero(labels == number).flatten()[:shots] for number in range(task.num_classes)]
    rows = torch.cat(chosen).sort().values
    return Task(
        task.name, _chosen(task.train, rows), task.valid, task._test, task.num_classes, task.spec, task.class_names,
        task.target_names, task.feature_names, task.preprocessing,
    )  # fmt: skip


def _chosen(part: Any, rows: Any) -> Any:
    if isinstance(part, Split):
        held, y = part.held[rows.to(part.held.device)], part.y[rows.to(part.y.device)]
        digests = None if part._row_digests is None else part._row_digests[rows.numpy()]
        return Split(held, y, normalization=part.normalization, row_digests=digests)
    from .images.streaming import Stream

    return Stream(
        part.source.subset(rows.numpy()), part.frame, part.normalization, random=part.random, broken=part.broken,
        device=part.device,
    )  # fmt: skip
