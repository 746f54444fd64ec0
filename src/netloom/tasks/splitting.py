"""From arrays to a task: stratified parts and normalisation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..errors import TaskError
from .task import Split, Task

if TYPE_CHECKING:
    import numpy


def from_arrays(
    x: Any,
    y: Any,
    *,
    name: str = "arrays",
    spec: str = "",
    valid: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
    normalize: bool = True,
    class_names: tuple[str, ...] | None = None,
) -> Task:
    """The task of arrays ``x`` (N, …) of numbers and ``y`` (N,) of labels of any kind.

    Labels become indices in sorted order. The parts are drawn per class (stratified) from ``seed``; ``valid`` and
    ``test`` are shares of all samples. With ``normalize`` each channel (axis 1, where ``x`` has one) is shifted and
    scaled by the mean and standard deviation of the train part. Raises `TaskError` where the arrays do not fit.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> from_arrays(rng.normal(size=(50, 4)), np.repeat(["cat", "dog"], 25))
    <Task arrays: 4, 2 classes, 30 train, 10 valid, 10 test>
    """
    import numpy as np
    import torch

    inputs, labels = _checked(name, x, y)
    if not (0 < valid < 1 and 0 < test < 1 and valid + test < 1):
        raise TaskError(f"valid = {valid} and test = {test} must be shares above 0 that leave something to train on")
    classes, indices = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise TaskError(f"task {name!r} has one class only, {classes[0]!r}; a classifier needs at least two")
    parts = stratified(indices, valid, test, seed)
    if normalize:
        inputs = _normalized(inputs, parts[0])
    splits = [Split(torch.from_numpy(inputs[rows].copy()), torch.from_numpy(indices[rows].astype(np.int64))) for rows in parts]
    names = class_names or tuple(str(label) for label in classes.tolist())
    return Task(name, splits[0], splits[1], splits[2], len(classes), spec, names)


def stratified(labels: numpy.ndarray, valid: float, test: float, seed: int) -> tuple[numpy.ndarray, ...]:
    """Row numbers of train, valid and test, each with the classes in the proportions of the whole."""
    import numpy as np

    rng = np.random.default_rng([seed, 0x5711])
    order = rng.permutation(len(labels))
    # Sorting a random order by class puts each class's rows next to each other, shuffled; taking every part at even
    # distances through that list gives it the same proportions to within one sample.
    by_class = order[np.argsort(labels[order], kind="stable")]
    n = len(labels)
    n_test, n_valid = math.ceil(test * n), math.ceil(valid * n)
    part = np.zeros(n, dtype=np.int8)
    part[_evenly(np.arange(n), n_test)] = 2
    rest = np.flatnonzero(part == 0)
    part[_evenly(rest, n_valid)] = 1
    shuffled = [by_class[part == k] for k in range(3)]
    return tuple(rng.permutation(rows) for rows in shuffled)


def _evenly(rows: numpy.ndarray, count: int) -> numpy.ndarray:
    import numpy as np

    positions = np.floor((np.arange(count) + 0.5) * len(rows) / count).astype(int)
    return np.asarray(rows[positions])


def _checked(name: str, x: Any, y: Any) -> tuple[numpy.ndarray, numpy.ndarray]:
    import numpy as np

    try:
        inputs = np.ascontiguousarray(np.asarray(x), dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise TaskError(f"task {name!r}: x is not an array of numbers ({error})") from None
    labels = np.asarray(y)
    if inputs.ndim < 2:
        raise TaskError(f"task {name!r}: x has shape {inputs.shape}; expected (samples, features) or (samples, channels, …)")
    if labels.shape != inputs.shape[:1]:
        raise TaskError(f"task {name!r}: y has shape {labels.shape}; expected ({inputs.shape[0]},), one label for each sample")
    if inputs.shape[0] < 10:
        raise TaskError(f"task {name!r} has {inputs.shape[0]} samples; at least 10 are needed to split it in three")
    if not np.isfinite(inputs).all():
        raise TaskError(f"task {name!r}: x has values that are not finite; fill or drop them first")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise TaskError(f"task {name!r}: y has missing labels; drop those samples first")
    return inputs, labels


def _normalized(inputs: numpy.ndarray, train: numpy.ndarray) -> numpy.ndarray:
    """Per channel for images (N, C, …), per feature for tables (N, F); a constant channel is only shifted."""
    axes = (0, *range(2, inputs.ndim))
    mean = inputs[train].mean(axis=axes, keepdims=True, dtype="float64")
    sd = inputs[train].std(axis=axes, keepdims=True, dtype="float64")
    sd[sd < 1e-12] = 1.0
    return ((inputs - mean) / sd).astype("float32")
