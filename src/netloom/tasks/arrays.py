"""From arrays to a task: parts, normalisation, and either kind of target."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import NetloomWarning, TaskError
from . import normalization
from .normalization import Normalization
from .parts import Split
from .splitting import Sizes, partition, strata_of
from .targets import Targets, check_targets, restored, standardized
from .task import Task, Withheld

if TYPE_CHECKING:
    import numpy
    from torch import Tensor

#: A part that is given as it is: inputs and targets.
Pair = tuple[Any, Any]
#: Fewer samples than this are not split in three.
_FEWEST = 10
_PARTS = ("train", "valid", "test")
#: Stands for the test part of a task that was made without one.
NO_TEST = Withheld(0, "no test part")


@dataclass(frozen=True, slots=True)
class ArrayPreprocessing:
    """What `from_arrays` fitted: the normalisation of the inputs (None: as they are) and of a regression's targets."""

    task: str
    sample_shape: tuple[int, ...]
    inputs: Normalization | None
    targets: Normalization | None

    def transform(self, new: Any) -> Tensor:
        import torch

        x = check_inputs(self.task, new)
        if x.shape[1:] != self.sample_shape:
            raise TaskError(f"task {self.task!r}: new samples have shape {x.shape[1:]}; expected {self.sample_shape}")
        return _split(x, torch.zeros(len(x)), self.inputs).x

    def restore(self, outputs: Tensor) -> Tensor:
        return restored(outputs, self.targets)


def from_arrays(
    x: Any,
    y: Any,
    *,
    name: str = "arrays",
    spec: str = "",
    kind: str | None = None,
    valid: float | int | Pair = 0.2,
    test: float | int | Pair = 0.2,
    train: float | int | None = None,
    seed: int = 0,
    stratify: bool = True,
    normalize: bool = True,
    class_names: tuple[str, ...] | None = None,
) -> Task:
    """The task of arrays ``x`` (N, …) of numbers and ``y``: labels of any kind (N,), or numbers (N,) or (N, targets).

    ``kind`` is ``classification`` or ``regression``; by default it is decided from ``y`` (see `decide_kind`). ``valid`` and
    ``test`` are shares of all samples, numbers of samples, or parts of their own as pairs (x, y); ``test=0`` makes a task
    without a test part, ``train`` keeps only so many of what is left. Parts are drawn from ``seed``, by class (``stratify``;
    by tenths of the target in a regression).

    With ``normalize`` each channel (axis 1) of x is shifted and scaled by mean and standard deviation of the train part, and so
    is each target of a regression (`Task.restore` gives back the units). Images of uint8 (N, C, H, W) stay bytes in memory.
    Labels become indices in sorted order; integers with ``class_names`` are indices already. A DataFrame ``x`` goes to
    `from_frame`. Raises `TaskError` where the arrays do not fit.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> from_arrays(rng.normal(size=(50, 4)), np.repeat(["cat", "dog"], 25))
    <Task arrays: 4, 2 classes, 30 train, 10 valid, 10 test>
    >>> from_arrays(rng.normal(size=(50, 4)), rng.normal(size=50), valid=10, test=0)
    <Task arrays: 4, 1 target, 40 train, 10 valid, 0 test>
    """
    import torch

    if _is_frame(x):
        from .tables import from_frame

        if class_names is not None or not normalize:
            raise TaskError(f"task {name!r}: class_names and normalize=False are for arrays, not for a DataFrame")
        parts: dict[str, Any] = {"valid": valid, "test": test, "train": train, "seed": seed, "stratify": stratify}
        return from_frame(x, y, name=name, spec=spec, kind=kind, **parts)
    inputs = check_inputs(name, x)
    _check_lengths(name, inputs, y)
    ready = {part: _pair(name, part, given, inputs) for part, given in (("valid", valid), ("test", test)) if _is_pair(given)}
    if not ready and len(inputs) < _FEWEST:
        raise TaskError(f"task {name!r} has {len(inputs)} samples; at least {_FEWEST} are needed to split it in three")
    _warn_of_channels_last(name, inputs)
    targets = check_targets(name, _joined([y, *(pair[1] for pair in ready.values())]), kind, class_names)
    sizes = Sizes(0.2 if isinstance(valid, (tuple, list)) else valid, 0 if isinstance(test, (tuple, list)) else test, train)
    pieces = _pieces(inputs, {part: pair[0] for part, pair in ready.items()}, targets, sizes, seed, stratify)
    learned = pieces[0]
    scaling = _scaling(inputs, learned.rows, normalize)
    values, units = _learned(targets, learned.places, normalize)
    splits = [_split(piece.inputs[piece.rows], torch.from_numpy(values[piece.places]), scaling) for piece in pieces]
    return Task(
        name,
        splits[0],
        splits[1],
        splits[2] if len(splits[2]) else NO_TEST,
        len(targets.class_names),
        spec,
        targets.class_names,
        preprocessing=ArrayPreprocessing(name, inputs.shape[1:], scaling, units),
    )


def _warn_of_channels_last(name: str, inputs: numpy.ndarray) -> None:
    """Say so where samples look like images with their channels last: they would be taken for narrow ones of many channels."""
    shape = inputs.shape[1:]
    if len(shape) == 3 and shape[2] in (1, 3, 4) and shape[0] == shape[1] > 4:
        warnings.warn(
            f"task {name!r}: samples of {'×'.join(map(str, shape))} are taken as {shape[0]} channels of {shape[1]}×{shape[2]}; "
            "if these are images with channels last, give x.transpose(0, 3, 1, 2)",
            NetloomWarning,
            stacklevel=3,
        )


class _Piece(NamedTuple):
    """A part: rows of an array, and where their targets are among all targets."""

    inputs: numpy.ndarray
    rows: numpy.ndarray
    places: numpy.ndarray


def _pieces(
    inputs: numpy.ndarray,
    ready: Mapping[str, numpy.ndarray],
    targets: Targets,
    sizes: Sizes,
    seed: int,
    stratify: bool,
) -> list[_Piece]:
    """Train, valid and test: drawn from ``inputs``, or all of an array of their own, whose targets follow in order."""
    import numpy as np

    strata = strata_of(targets.values[: len(inputs)], classes=targets.classes)
    drawn = partition(strata if stratify else np.zeros(len(inputs), np.int8), sizes.counts(len(inputs), ready), seed)
    pieces = [_Piece(inputs, rows, rows) for rows in drawn]
    offset = len(inputs)
    for part, array in ready.items():
        rows = np.arange(len(array))
        pieces[_PARTS.index(part)] = _Piece(array, rows, rows + offset)
        offset += len(array)
    return pieces


def _joined(targets: Sequence[Any]) -> Any:
    import numpy as np

    return np.concatenate([as_labels(y) for y in targets]) if len(targets) > 1 else targets[0]


def _learned(targets: Targets, train: numpy.ndarray, normalize: bool) -> tuple[numpy.ndarray, Normalization | None]:
    """Targets as networks learn them, and how numbers were scaled."""
    if targets.classes:
        return targets.values, None
    if not normalize:
        return targets.values.astype("float32"), None
    return standardized(targets.values, train)


def _scaling(inputs: numpy.ndarray, train: numpy.ndarray, normalize: bool) -> Normalization | None:
    if not normalize:
        return Normalization.none(inputs.shape[1]) if inputs.dtype == "uint8" else None
    if inputs.dtype == "uint8":
        size = int(inputs[0, 0].size)
        return normalization.of_row_moments(normalization.row_moments(inputs[train]), size)
    return normalization.of_floats(inputs, train)


def _split(x: numpy.ndarray, y: Tensor, scaling: Normalization | None) -> Split:
    import torch

    if x.dtype == "uint8":
        return Split(torch.from_numpy(x), y, normalization=scaling)
    return Split(torch.from_numpy(x if scaling is None else _normalized(x, scaling)), y)


def _normalized(x: numpy.ndarray, scaling: Normalization) -> numpy.ndarray:
    """In float64, as statistics of float32 data deserve."""
    import numpy as np

    shape = (-1, *(1,) * (x.ndim - 2))
    shifted = x - np.asarray(scaling.mean).reshape(shape)
    shifted /= np.asarray(scaling.sd).reshape(shape)
    return shifted.astype(np.float32)


def check_inputs(name: str, x: Any) -> numpy.ndarray:
    """x as a contiguous float32 or uint8 array (N, …) of finite numbers."""
    import numpy as np

    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = x if not x.is_floating_point() else x.float()
    elif hasattr(x, "toarray"):  # a sparse matrix
        x = x.toarray()
    try:
        array = np.asarray(x)
        if array.dtype.kind not in "iufbOUS":
            raise TypeError(f"its elements are {array.dtype}")
        inputs = np.ascontiguousarray(array, dtype=np.uint8 if array.dtype == np.uint8 else np.float32)
    except (TypeError, ValueError) as error:
        raise TaskError(f"task {name!r}: x is not an array of numbers ({error})") from None
    if inputs.ndim < 2:
        raise TaskError(f"task {name!r}: x has shape {inputs.shape}; expected (samples, features) or (samples, channels, …)")
    if 0 in inputs.shape[1:]:
        raise TaskError(f"task {name!r}: x has shape {inputs.shape}; its samples are empty")
    if inputs.dtype != np.uint8 and not np.isfinite(inputs).all():
        raise TaskError(f"task {name!r}: x has values that are not finite; fill or drop them first")
    return inputs


def as_labels(y: Any) -> numpy.ndarray:
    """Targets of any container as an array."""
    import numpy as np

    return np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)


def _check_lengths(name: str, inputs: numpy.ndarray, y: Any, what: str = "y") -> None:
    shape = as_labels(y).shape
    if shape[:1] != inputs.shape[:1]:
        raise TaskError(f"task {name!r}: {what} has shape {shape}; expected ({inputs.shape[0]},), one label for each sample")


def _pair(name: str, part: str, given: Any, inputs: numpy.ndarray) -> tuple[numpy.ndarray, Any]:
    if len(given) != 2:
        raise TaskError(f"task {name!r}: {part} has {len(given)} elements; give a pair (x, y), a share, or a number of samples")
    x = check_inputs(name, given[0])
    _check_lengths(name, x, given[1], f"y of the {part} part")
    if x.shape[1:] != inputs.shape[1:] or x.dtype != inputs.dtype:
        raise TaskError(
            f"task {name!r}: samples of the {part} part are {x.dtype} of shape {x.shape[1:]}, "
            f"those of x {inputs.dtype} of shape {inputs.shape[1:]}"
        )
    if len(x) == 0:
        raise TaskError(f"task {name!r}: the {part} part is empty; give every part at least one sample")
    return x, given[1]


def _is_pair(given: Any) -> bool:
    return isinstance(given, (tuple, list))


def _is_frame(x: Any) -> bool:
    return type(x).__name__ == "DataFrame" and hasattr(x, "columns")
