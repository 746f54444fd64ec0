"""From a DataFrame to a task."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from ...errors import NetloomWarning, TaskError
from ..arrays import NO_TEST
from ..parts import Split
from ..splitting import Sizes, partition, strata_of
from ..targets import check_targets, standardized
from ..task import Task
from .columns import CATEGORICAL, DATE, DROPPED, NUMERIC, check_given, decide_columns
from .preprocessing import TablePreprocessing

if TYPE_CHECKING:
    import numpy
    import pandas

_PARTS = ("train", "valid", "test")


def from_frame(
    frame: pandas.DataFrame,
    target: Any,
    *,
    name: str = "table",
    spec: str = "",
    kind: str | None = None,
    valid: float | int | pandas.DataFrame = 0.2,
    test: float | int | pandas.DataFrame = 0.2,
    train: float | int | None = None,
    seed: int = 0,
    stratify: bool = True,
    drop: Sequence[str] = (),
    numeric: Sequence[str] = (),
    categorical: Sequence[str] = (),
    dates: Sequence[str] = (),
) -> Task:
    """The task of predicting ``target``, a column of ``frame`` (or several, or values by row), from the other columns.

    Classification or regression is decided from the target (see `decide_kind`) unless ``kind`` says it. Columns may be
    numbers, text, categories, booleans or dates, with missing values; what each is taken for is decided on the train part,
    where scikit-learn's preprocessing is fitted too (see `TablePreprocessing`); ``numeric``, ``categorical``, ``dates`` and
    ``drop`` override it by name. ``task.transform(new_rows)`` makes new rows ready. Rows without a target are left out with a
    `NetloomWarning`. Parts are as in `from_arrays`; ``valid`` and ``test`` may be DataFrames with the same columns (pairs of
    columns and values where the target is values). Raises `TaskError` for columns that are not there and targets that nothing
    can be learned from.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"size": range(40), "city": ["Paris", "Rome"] * 20, "sold": ["yes", "no", "yes", "yes"] * 10})
    >>> task = from_frame(frame, "sold")
    >>> task, task.feature_names
    (<Task table: 3, 2 classes, 24 train, 8 valid, 8 test>, ('size', 'city_Paris', 'city_Rome'))
    >>> task.transform({"size": 7, "city": "Rome"}).shape
    torch.Size([1, 3])
    """
    import torch

    ready = {part: given for part, given in (("valid", valid), ("test", test)) if not isinstance(given, Real)}
    sizes = Sizes(0.2 if "valid" in ready else valid, 0 if "test" in ready else test, train)  # type: ignore[arg-type]
    columns, inputs, values, origin = _gathered(name, frame, target, ready)
    given = {DROPPED: drop, NUMERIC: numeric, CATEGORICAL: categorical, DATE: dates}
    check_given(name, inputs, columns, given)
    targets = check_targets(name, values, kind)
    rows = _rows(strata_of(targets.values, classes=targets.classes), origin, sizes, seed, stratify)
    y, units = (targets.values, None) if targets.classes else standardized(targets.values, rows[0])
    learned = inputs.iloc[rows[0]]
    fitted = TablePreprocessing(name, decide_columns(learned, given), learned, units)
    splits = [
        Split(torch.from_numpy(fitted.features(inputs.iloc[part])), torch.from_numpy(y[part])) for part in rows if len(part)
    ]
    return Task(
        name,
        splits[0],
        splits[1],
        splits[2] if len(rows[2]) else NO_TEST,
        len(targets.class_names),
        spec,
        targets.class_names,
        tuple(columns),
        fitted.feature_names,
        fitted,
    )


def _rows(
    strata: numpy.ndarray, origin: numpy.ndarray, sizes: Sizes, seed: int, stratify: bool
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Rows of train, valid and test; ``origin`` is 1 and 2 at rows of ready-made valid and test parts."""
    import numpy as np

    main = np.flatnonzero(origin == 0)
    ready = [part for number, part in enumerate(_PARTS) if number and (origin == number).any()]
    counts = sizes.counts(len(main), ready)
    drawn = partition(strata[main] if stratify else np.zeros(len(main), np.int8), counts, seed)
    train, valid, test = (np.flatnonzero(origin == n) if _PARTS[n] in ready else main[rows] for n, rows in enumerate(drawn))
    return train, valid, test


# -- inputs and targets --------------------------------------------------------------------------------------------
def _gathered(
    name: str, frame: pandas.DataFrame, target: Any, ready: dict[str, Any]
) -> tuple[list[str], pandas.DataFrame, numpy.ndarray, numpy.ndarray]:
    """Names of the target's columns; inputs, targets and origin of all rows that have a target."""
    import numpy as np
    import pandas as pd

    columns, inputs, values = _separated(name, "table", frame, target)
    frames, targets, origin = [inputs], [values], [0] * len(inputs)
    for part, given in ready.items():
        own = (given[0], given[1]) if isinstance(given, (tuple, list)) else (given, columns)
        _, its_inputs, its_values = _separated(name, f"{part} part", *own)
        lacking = [column for column in inputs.columns if column not in its_inputs.columns]
        if lacking:
            raise TaskError(f"task {name!r}: the {part} part has no column {', '.join(map(repr, lacking[:10]))}")
        frames.append(its_inputs[inputs.columns])
        targets.append(its_values)
        origin += [_PARTS.index(part)] * len(its_inputs)
    joined = pd.concat(frames, ignore_index=True) if ready else inputs
    all_values = pd.concat(targets, ignore_index=True) if ready else values
    known = all_values.notna().all(axis=1).to_numpy()
    _tell_of_missing(name, known)
    return columns, joined[known].reset_index(drop=True), _plain(name, all_values[known]), np.asarray(origin)[known]


def _separated(
    name: str, what: str, frame: pandas.DataFrame, target: Any
) -> tuple[list[str], pandas.DataFrame, pandas.DataFrame]:
    """Names of the target's columns (none where it is values by row), inputs, and targets as columns."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise TaskError(f"task {name!r}: the {what} is a {type(frame).__name__}; expected a DataFrame (arrays: from_arrays)")
    frame = frame.rename(columns=lambda column: str(column).strip()).reset_index(drop=True)
    twice = frame.columns[frame.columns.duplicated()].tolist()
    if twice:
        raise TaskError(f"task {name!r} has the column {twice[0]!r} twice; rename one of them")
    columns = _target_columns(frame, target)
    if columns is None:
        values = pd.DataFrame(target).reset_index(drop=True)
        if len(values) != len(frame):
            raise TaskError(f"task {name!r}: y has {len(values)} values; expected one for each of {len(frame)} rows")
        return [], frame, values.set_axis([str(place) for place in range(values.shape[1])], axis=1)
    for column in columns:
        if column not in frame.columns:
            near = difflib.get_close_matches(column, list(frame.columns), 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            listing = ", ".join(frame.columns[:20]) + (", …" if len(frame.columns) > 20 else "")
            raise TaskError(f"task {name!r}: the {what} has no column {column!r} to predict; {hint}there is: {listing}")
    return columns, frame.drop(columns=columns), frame[columns]


def _target_columns(frame: pandas.DataFrame, target: Any) -> list[str] | None:
    if isinstance(target, (str, int)):
        return [str(target).strip()]
    named = isinstance(target, (list, tuple)) and bool(target) and all(isinstance(one, str) for one in target)
    # As many texts as rows are labels, unless they are columns.
    if named and (len(target) != len(frame) or set(target) <= set(frame.columns)):
        return [str(one).strip() for one in target]
    return None


def _tell_of_missing(name: str, known: numpy.ndarray) -> None:
    if not known.any():
        raise TaskError(f"task {name!r}: no row has a target")
    if not known.all():
        lost = int((~known).sum())
        said = f"task {name!r}: {lost} of {len(known)} rows have no target; they are left out"
        warnings.warn(said, NetloomWarning, stacklevel=4)


def _plain(name: str, values: pandas.DataFrame) -> numpy.ndarray:
    """Targets as numbers where they are numbers, else as text."""
    import numpy as np
    import pandas as pd

    types = pd.api.types
    if values.shape[1] > 1:
        try:
            return np.asarray(values, dtype="float64")
        except (TypeError, ValueError):
            raise TaskError(f"task {name!r}: several targets are a regression and need numbers in all of them") from None
    column = values.iloc[:, 0]
    if types.is_datetime64_any_dtype(column.dtype):
        raise TaskError(f"task {name!r}: the target is a date; turn it into a number or a class first")
    if types.is_bool_dtype(column.dtype):
        return column.to_numpy(dtype=bool)
    if types.is_integer_dtype(column.dtype):
        return column.to_numpy(dtype="int64")
    if types.is_float_dtype(column.dtype):
        return column.to_numpy(dtype="float64")
    return np.asarray(column.to_list(), dtype=object)
