"""What there is to learn: classes or numbers, decided from the targets unless it is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import TaskError
from . import normalization
from .normalization import Normalization

if TYPE_CHECKING:
    import numpy
    from torch import Tensor

KINDS = ("classification", "regression")
#: Whole numbers are classes where each comes up twice on average and there are few of them, or very many of each.
_FEW_CLASSES, _MANY_EACH = 20, 10


@dataclass(frozen=True, slots=True)
class Targets:
    """Checked targets: class indices int64 (N,) with the names of the classes, or numbers float64 (N, targets)."""

    values: numpy.ndarray
    class_names: tuple[str, ...] = ()

    @property
    def classes(self) -> bool:
        return bool(self.class_names)


def decide_kind(y: Any) -> str:
    """``classification`` or ``regression``, as the targets look.

    Text, booleans and categories are classes, so are whole numbers of which there are at most 20 different ones (or at least
    ten samples of each, where they are integers), two samples of each on average; all else, and several columns, is regression.

    >>> decide_kind(["a", "b"]), decide_kind([0, 1, 0, 1]), decide_kind([0.5, 1.7]), decide_kind([151.0, 75.0, 141.0])
    ('classification', 'classification', 'regression', 'regression')
    """
    import numpy as np

    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] > 1:
        return "regression"
    if array.dtype.kind not in "iuf":
        return "classification"
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array == np.round(array)).all()):
        return "regression"
    different = len(np.unique(array))
    few = different <= _FEW_CLASSES or (array.dtype.kind in "iu" and len(array) >= _MANY_EACH * different)
    return "classification" if few and len(array) >= 2 * different else "regression"


def check_targets(task: str, y: Any, kind: str | None, class_names: tuple[str, ...] | None = None) -> Targets:
    """Labels of any kind as indices in sorted order, or numbers; `TaskError` for what nothing can be learned from."""
    import numpy as np

    array = _array(task, y)
    if kind is not None and kind not in KINDS:
        raise TaskError(f"task {task!r}: kind = {kind!r}; expected 'classification' or 'regression'")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        missing = int((~np.isfinite(array)).sum())
        raise TaskError(f"task {task!r}: y has missing labels ({missing} not finite); drop those samples first")
    if (kind or decide_kind(array)) == "regression":
        return Targets(_numbers(task, array))
    if array.ndim != 1:
        raise TaskError(
            f"task {task!r}: y has shape {array.shape}; classes are one label for each sample (one-hot rows: y.argmax(1))"
        )
    return _classes(task, array, class_names)


def _array(task: str, y: Any) -> numpy.ndarray:
    import numpy as np

    array = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    if array.dtype.kind in "mMcV":
        raise TaskError(f"task {task!r}: y holds {array.dtype}; expected labels or real numbers")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind == "O":
        if array.ndim > 0 and any(_is_missing(value) for value in array.reshape(-1)):
            raise TaskError(f"task {task!r}: y has missing labels; drop those samples first")
        try:  # numbers that came as objects, as from a column of Python ints
            plain = np.array(array.tolist())
        except ValueError as error:
            raise TaskError(f"task {task!r}: y is no array of labels or numbers ({error})") from None
        array = plain if plain.dtype.kind in "iufb" and plain.shape == array.shape else array.astype(str)
    return array


def _is_missing(value: Any) -> bool:
    # pandas' NA has no truth value, so it is asked for first.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)


def _numbers(task: str, array: numpy.ndarray) -> numpy.ndarray:
    import numpy as np

    try:
        numbers = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        raise TaskError(f"task {task!r}: y holds {str(array.reshape(-1)[0])[:40]!r}; a regression needs numbers") from None
    if numbers.ndim == 1:
        numbers = numbers[:, None]
    if numbers.ndim != 2 or numbers.shape[1] < 1:
        raise TaskError(f"task {task!r}: y has shape {array.shape}; expected (samples,) or (samples, targets)")
    if len(numbers) and bool((numbers == numbers[0]).all(axis=0).any()):
        same = numbers[0].tolist()
        raise TaskError(f"task {task!r}: a target is the same for all samples, {same}; there is nothing to learn")
    return numbers


def _classes(task: str, array: numpy.ndarray, class_names: tuple[str, ...] | None) -> Targets:
    import numpy as np

    if class_names is not None and array.dtype.kind in "iu" and len(array):
        # Indices already: a class that no sample has still counts.
        if array.min() < 0 or array.max() >= len(class_names):
            low, high = int(array.min()), int(array.max())
            raise TaskError(f"task {task!r}: labels lie in [{low}, {high}], but there are {len(class_names)} class names")
        classes, indices, names = np.unique(array), array, tuple(class_names)
    else:
        classes, indices = np.unique(array, return_inverse=True)
        names = class_names or tuple(_name(label) for label in classes.tolist())
        if len(names) != len(classes):
            raise TaskError(f"task {task!r} has {len(classes)} classes, but {len(names)} class names")
    if len(classes) < 2:
        held = classes.tolist()[0] if len(classes) else "none"
        raise TaskError(f"task {task!r} has one class only, {held!r}; a classifier needs at least two")
    return Targets(indices.astype(np.int64), names)


def _name(label: Any) -> str:
    """1.0 is the class 1: whole numbers become floats where some are missing beside them."""
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def standardized(values: numpy.ndarray, rows: numpy.ndarray) -> tuple[numpy.ndarray, Normalization]:
    """Targets (N, targets) with mean 0 and sd 1 on ``rows``, float32, and what did it."""
    import numpy as np

    found = normalization.of_floats(values, rows)
    return ((values - np.asarray(found.mean)) / np.asarray(found.sd)).astype(np.float32), found


def restored(outputs: Tensor, targets: Normalization | None) -> Tensor:
    """Standardised outputs (N, targets) in the units of the targets."""
    return outputs if targets is None else targets.undo(outputs)
