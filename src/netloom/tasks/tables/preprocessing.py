"""Columns → features: scikit-learn's preprocessing, fitted on the train part only, kept for new rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import TaskError
from ..normalization import Normalization
from ..targets import restored
from .columns import CATEGORICAL, DATE, DROPPED, NUMERIC, Column, as_dates, as_numbers, as_text

if TYPE_CHECKING:
    import numpy
    import pandas
    from torch import Tensor

#: Categories of a column that get a feature of their own; rarer ones share one.
MAX_CATEGORIES = 64
_MISSING = "(missing)"
#: Variance of a feature of dates that counts as none: sines of midnight differ by rounding.
_CONSTANT = 1e-9
_SECONDS = {"day": 86400.0, "week": 7 * 86400.0, "year": 365.2425 * 86400.0}


class TablePreprocessing:
    """What was fitted on the train part of a table.

    Numbers: missing ones become the median, with a feature that says so, then mean 0 and standard deviation 1. Categories:
    one feature each, the rarest together, missing ones a category of their own, unknown ones none. Dates: days, and sine and
    cosine of the time in the year and the week, and in the day where there are times.
    """

    def __init__(self, task: str, columns: Sequence[Column], train: pandas.DataFrame, units: Normalization | None) -> None:
        self.task, self.units = task, units
        self.columns = tuple(columns)
        used = [column for column in self.columns if column.kind != DROPPED]
        if not used:
            reasons = "; ".join(f"{column.name!r}: {column.reason}" for column in self.columns)
            raise TaskError(f"task {task!r}: no column is left to learn from ({reasons or 'there is only the target'})")
        self._parts = _transformer(used)
        self._parts.fit(self._as_decided(train))
        self.feature_names = tuple(_readable(name) for name in self._parts.get_feature_names_out())

    @property
    def dropped(self) -> dict[str, str]:
        """Columns that are not learned from, and why."""
        return {column.name: column.reason for column in self.columns if column.kind == DROPPED}

    def transform(self, new: Any) -> Tensor:
        """Rows as a DataFrame, a dict of columns or a list of dicts → float32 (N, features). Other columns are ignored."""
        import torch

        return torch.from_numpy(self.features(self._checked(new)))

    def restore(self, outputs: Tensor) -> Tensor:
        return restored(outputs, self.units)

    def features(self, frame: pandas.DataFrame) -> numpy.ndarray:
        """float32 (N, features) of rows that have the columns."""
        import numpy as np

        return np.ascontiguousarray(self._parts.transform(self._as_decided(frame)), dtype=np.float32)

    def _checked(self, new: Any) -> pandas.DataFrame:
        import pandas as pd

        if not isinstance(new, pd.DataFrame):
            if isinstance(new, Mapping) and not any(_is_column(values) for values in new.values()):
                new = [new]
            if not isinstance(new, (Mapping, list)):
                raise TaskError(f"task {self.task!r}: new rows come as a DataFrame or dicts, not as a {type(new).__name__}")
            new = pd.DataFrame(new)
        frame = new.rename(columns=lambda name: str(name).strip())
        lacking = [column.name for column in self.columns if column.kind != DROPPED and column.name not in frame.columns]
        if lacking:
            raise TaskError(f"task {self.task!r}: the new rows have no column {', '.join(map(repr, lacking[:10]))}")
        return frame

    def _as_decided(self, frame: pandas.DataFrame) -> pandas.DataFrame:
        """The columns that are learned from, with the values that their kinds allow."""
        import pandas as pd

        reading = {NUMERIC: as_numbers, DATE: as_dates, CATEGORICAL: as_text}
        used = [column for column in self.columns if column.kind != DROPPED]
        return pd.DataFrame({column.name: reading[column.kind](frame[column.name]) for column in used}, index=frame.index)


def _is_column(values: Any) -> bool:
    return hasattr(values, "__len__") and not isinstance(values, str)


def _transformer(columns: Sequence[Column]) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_selection import VarianceThreshold
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    steps = {
        NUMERIC: make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()),
        CATEGORICAL: make_pipeline(
            SimpleImputer(missing_values=None, strategy="constant", fill_value=_MISSING),
            OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False),
        ),
        DATE: make_pipeline(
            FunctionTransformer(date_features, feature_names_out=_date_names),
            SimpleImputer(strategy="median"),
            VarianceThreshold(_CONSTANT),  # the time of day, where there are days only
            StandardScaler(),
        ),
    }
    parts = [(kind, step, [column.name for column in columns if column.kind == kind]) for kind, step in steps.items()]
    return ColumnTransformer([part for part in parts if part[2]], sparse_threshold=0.0)


def date_features(frame: pandas.DataFrame) -> pandas.DataFrame:
    """Of each date: days since 1970, sine and cosine of the time in day, week and year, and whether it is missing."""
    import numpy as np
    import pandas as pd

    found = {}
    for name in frame.columns:
        since = (frame[name] - pd.Timestamp("1970-01-01")).dt.total_seconds()
        found[f"{name} days"] = since / _SECONDS["day"]
        for period, seconds in _SECONDS.items():
            found[f"{name} sine of {period}"] = np.sin(2 * np.pi * since / seconds)
            found[f"{name} cosine of {period}"] = np.cos(2 * np.pi * since / seconds)
        found[f"{name} is missing"] = frame[name].isna().astype("float64")
    return pd.DataFrame(found, index=frame.index)


def _date_names(_: Any, names: Sequence[str]) -> list[str]:
    kinds = [f"{wave} of {period}" for period in _SECONDS for wave in ("sine", "cosine")]
    return [f"{name} {kind}" for name in names for kind in ["days", *kinds, "is missing"]]


def _readable(name: str) -> str:
    """Of scikit-learn's ``numeric__missingindicator_age``: ``age is missing``."""
    kind, _, rest = name.partition("__")
    if rest.startswith("missingindicator_"):
        return rest.removeprefix("missingindicator_") + " is missing"
    return rest
