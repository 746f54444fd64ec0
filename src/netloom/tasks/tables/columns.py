"""What each column of a table is: numbers, categories, dates, or nothing to learn from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import TaskError

if TYPE_CHECKING:
    import pandas

NUMERIC, CATEGORICAL, DATE, DROPPED = "numeric", "categorical", "date", "dropped"
#: Text of which more than half of the values differ, and more than this many, names rows rather than describes them.
_MOST_NAMES = 50
_DATE = re.compile(r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([T\s]\d{1,2}:\d{2}.*)?\s*")


@dataclass(frozen=True, slots=True)
class Column:
    """A column and what it is taken for; ``reason`` where it is dropped."""

    name: str
    kind: str
    reason: str = ""


def decide_columns(frame: pandas.DataFrame, given: Mapping[str, Iterable[str]]) -> tuple[Column, ...]:
    """What the columns are, from the rows of the train part; ``given`` (kind → names) overrides."""
    forced = {name: kind for kind, names in given.items() for name in names}
    decided = []
    for name in frame.columns:
        kind = forced.get(name)
        if kind is None:
            decided.append(_decide(name, frame[name]))
        elif kind == DROPPED:
            decided.append(Column(name, kind, "left out as asked"))
        else:
            _check_values(name, kind, frame[name])
            decided.append(Column(name, kind))
    return tuple(decided)


def _check_values(name: str, kind: str, values: pandas.Series) -> None:
    """`TaskError` for a column that is to be something of which it holds nothing."""
    known = {NUMERIC: as_numbers, DATE: as_dates, CATEGORICAL: as_text}[kind](values).notna()
    if not known.any():
        held = values.dropna()
        example = f"{str(held.iloc[0])[:40]!r}" if len(held) else "missing ones only"
        raise TaskError(f"column {name!r} is to be {kind}, but none of its values fits; it holds {example}")


def check_given(task: str, frame: pandas.DataFrame, target: Iterable[str], given: Mapping[str, Iterable[str]]) -> None:
    """`TaskError` for a column that is not there, is given two kinds, or is the target."""
    import difflib

    seen: dict[str, str] = {}
    for kind, names in given.items():
        for name in names:
            if name in target:
                raise TaskError(f"task {task!r}: column {name!r} is the target; it cannot be {kind} too")
            if name not in frame.columns:
                near = difflib.get_close_matches(name, list(frame.columns), 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there is: {', '.join(frame.columns[:20])}"
                raise TaskError(f"task {task!r}: there is no column {name!r}; {hint}")
            if seen.setdefault(name, kind) != kind:
                raise TaskError(f"task {task!r}: column {name!r} is given as {seen[name]} and as {kind}")


def _decide(name: str, values: pandas.Series) -> Column:
    import pandas as pd

    types = pd.api.types
    present = values.dropna()
    if present.empty:
        return Column(name, DROPPED, "no values")
    try:
        different = present.nunique()
    except TypeError:
        return Column(name, DROPPED, f"holds values of type {type(present.iloc[0]).__name__}")
    if different == 1 and len(present) == len(values):
        return Column(name, DROPPED, "the same value in all rows")
    if types.is_datetime64_any_dtype(values.dtype):
        return Column(name, DATE)
    if types.is_numeric_dtype(values.dtype) or types.is_timedelta64_dtype(values.dtype):
        return Column(name, NUMERIC)
    if isinstance(values.dtype, pd.CategoricalDtype):
        return Column(name, CATEGORICAL)
    if as_numbers(present).notna().all():
        return Column(name, NUMERIC)
    if _are_dates(present):
        return Column(name, DATE)
    if different > _MOST_NAMES and different > len(present) / 2:
        return Column(name, DROPPED, "text that names rows: most values differ")
    return Column(name, CATEGORICAL)


def _are_dates(present: pandas.Series) -> bool:
    import datetime

    if all(isinstance(value, datetime.date) for value in present.head(50)):
        return True
    if not all(isinstance(value, str) and _DATE.fullmatch(value) for value in present):
        return False
    return bool(as_dates(present).notna().all())


def _days_first(values: pandas.Series) -> bool:
    """Whether the first number of dates such as 13/4/2020 is a day: it is above 12 somewhere, or dots follow."""
    text = values.dropna()
    text = text[text.map(lambda value: isinstance(value, str))].astype(str)
    if text.empty:
        return False
    parts = text.str.extract(r"^\s*(\d{1,2})([-/.])").dropna()
    return bool((parts[0].astype(int) > 12).any() or (parts[1] == ".").any())


# -- values as what the column is ----------------------------------------------------------------------------------
def as_numbers(values: pandas.Series) -> pandas.Series:
    """float64; what is no finite number is missing. Lengths of time are in seconds."""
    import numpy as np
    import pandas as pd

    if pd.api.types.is_timedelta64_dtype(values.dtype):
        return values.dt.total_seconds()
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    numbers = pd.to_numeric(values, errors="coerce") if not pd.api.types.is_complex_dtype(values.dtype) else values.map(np.real)
    plain = pd.Series(numbers.to_numpy(dtype="float64", na_value=np.nan), index=values.index)
    return plain.where(np.isfinite(plain))


def as_dates(values: pandas.Series) -> pandas.Series:
    """datetime64 without time zone; what is no date is missing. 3/4/2020 is a day of March unless a 13/4/2020 is there."""
    import warnings

    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    days_first = _days_first(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns where a value leaves the format open
        dates = pd.to_datetime(values, errors="coerce", format="mixed", utc=True, dayfirst=days_first)
    return dates.dt.tz_localize(None)


def as_text(values: pandas.Series) -> Any:
    """Categories as text, missing ones as None. Whole numbers lose ``.0``, which a missing value beside them adds."""
    missing = values.isna()
    if values.dtype.kind == "f":
        written = values.map(lambda value: str(int(value)) if value == value and value == int(value) else str(value))
    else:
        written = values.astype(object).map(str)
    return written.astype(object).where(~missing, None)
