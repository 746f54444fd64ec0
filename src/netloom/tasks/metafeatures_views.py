"""Three views of a table that meta-features are computed from: its columns, its numbers, its categories; and its classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import TaskError
from .targets import decide_kind

if TYPE_CHECKING:
    import numpy

TARGETS = ("auto", "classes", "quantiles", "nan")
#: Quantile classes of a real-valued target.
_CLASSES = 3
#: Edges of bins closer than this are one.
_TOLERANCE = 1e-8
#: Fourth powers of what is smaller or larger are no numbers of 64 bits.
_LEAST, _MOST = 1e-77, 1e76
#: Cells of dummy columns that are made at most.
_MOST_CELLS = 1 << 26


@dataclass
class Views:
    """A table of n rows and d columns.

    ``numeric`` (p, n) are the columns of numbers, ``categorical`` the others as codes (n,) in the order of their sorted levels;
    ``classes`` (n,) are codes of the classes, None where there are none, and ``no_classes`` says why.
    """

    n: int
    d: int
    numeric: numpy.ndarray
    categorical: list[numpy.ndarray]
    classes: numpy.ndarray | None
    no_classes: str = ""
    #: Positions of numeric columns that are constant, have missing cells, or infinite ones.
    flawed: dict[str, list[int]] = field(default_factory=dict)

    @cached_property
    def sorted(self) -> numpy.ndarray:
        """The numeric columns, each sorted; missing cells last."""
        import numpy as np

        return np.sort(self.numeric, axis=1)

    @cached_property
    def numbers(self) -> numpy.ndarray | None:
        """N (p + q, n): the columns of numbers, then 0 and 1 for levels; None where that would not fit into memory.

        The first categorical column has one row for each level, every other one for each but the first.
        """
        import numpy as np

        counts = [levels_of(codes) for codes in self.categorical]
        if sum(counts) * self.n > _MOST_CELLS:
            return None
        dummies = [
            (codes == np.arange(number > 0, count)[:, None]).astype(np.float64)
            for number, (codes, count) in enumerate(zip(self.categorical, counts))
        ]
        return np.concatenate([self.numeric, *dummies]) if dummies else self.numeric

    @cached_property
    def codes(self) -> list[numpy.ndarray]:
        """C: the categorical columns, then the numeric ones in bins of equal frequency; codes without gaps, (n,) each."""
        return [*self.categorical, *map(without_gaps, binned(self.numeric, self.sorted))]

    @cached_property
    def counts(self) -> numpy.ndarray:
        """Rows of each class, (K,)."""
        import numpy as np

        return np.bincount(self.classes if self.classes is not None else np.zeros(0, np.intp))

    @cached_property
    def by_class(self) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The numbers N with rows of a class side by side, and where each class begins."""
        import numpy as np

        numbers: Any = self.numbers
        order = np.argsort(self.classes, kind="stable")  # type: ignore[arg-type]
        return numbers[:, order], np.concatenate([[0], np.cumsum(self.counts)[:-1]])


def levels_of(codes: numpy.ndarray) -> int:
    """How many different codes there are, where they have no gaps."""
    return int(codes.max()) + 1


def without_gaps(codes: numpy.ndarray) -> numpy.ndarray:
    """The same codes, those that no row has left out."""
    import numpy as np

    present = np.bincount(codes) > 0
    return codes if present.all() else (np.cumsum(present) - 1)[codes]


def binned(columns: numpy.ndarray, ordered: numpy.ndarray) -> list[numpy.ndarray]:
    """Codes (n,) of ⌊n^⅓⌋ bins of equal frequency for each row of ``columns`` (p, n); ``ordered`` are the same rows sorted.

    A bin holds what is above its lower edge, and up to its upper one; edges are quantiles (interpolated linearly), those equal
    to the one before left out. A column with missing cells is one bin.
    """
    import numpy as np

    count, n = len(columns), ordered.shape[1]
    bins = int(n ** (1 / 3))
    place = np.linspace(0, 1, bins + 1)[1:] * (n - 1)
    low = np.floor(place).astype(np.intp)
    high, share = np.minimum(low + 1, n - 1), place - low
    with np.errstate(invalid="ignore"):
        step = ordered[:, high] - ordered[:, low]
        # Counted from the nearer side, as numpy's quantiles are: edges meet values to the last bit.
        edges = np.where(share < 0.5, ordered[:, low] + step * share, ordered[:, high] - step * (1 - share))
        kept = np.concatenate([np.ones((count, 1), bool), np.diff(edges, axis=1) > _TOLERANCE], axis=1)
    found = []
    for row, own, keep, top in zip(columns, edges, kept, ordered[:, -1]):
        lacks = top != top
        found.append(np.zeros(n, np.intp) if lacks else np.searchsorted(np.unique(own[keep & (own == own)]), row, side="left"))
    return found


# -- reading -----------------------------------------------------------------------------------------------------------
def read_views(x: Any, y: Any, target: str) -> Views:
    """The views of samples and their targets; `TaskError` where there are none, or numbers of rows differ."""
    import numpy as np

    columns = _columns(x)
    if not columns:
        raise TaskError("X has no columns and no rows, or one of both; meta-features need at least one sample")
    if not len(columns[0]):
        raise TaskError(f"X has {len(columns)} columns and no rows; meta-features need at least one sample")
    n = len(columns[0])
    classes, why = None, "there is no target"
    if y is not None:
        rows, classes, why = _classes(y, n, target)
        if rows is not None:
            columns, n = [column[rows] for column in columns], int(rows.sum())
    plain = [column for column in columns if column.dtype.kind == "f"]
    numeric = np.stack(plain) if plain else np.zeros((0, n))
    categorical = [_codes(column) for column in columns if column.dtype.kind != "f"]
    views = Views(n, len(columns), numeric, categorical, classes, why)
    views.flawed = _flaws([(place, column) for place, column in enumerate(columns) if column.dtype.kind == "f"])
    return views


def _flaws(columns: list[tuple[int, numpy.ndarray]]) -> dict[str, list[int]]:
    import numpy as np

    found: dict[str, list[int]] = {"missing": [], "infinite": [], "constant": [], "extreme": []}
    for place, column in columns:
        low, high = column.min(), column.max()  # NaN where a cell is
        if low != low:
            found["missing"].append(place)
        elif np.isinf(low) or np.isinf(high):
            found["infinite"].append(place)
        elif low == high:
            found["constant"].append(place)
        elif high - low < _LEAST or max(-low, high) > _MOST:
            found["extreme"].append(place)
    return found


def _columns(x: Any) -> list[numpy.ndarray]:
    """Each column as float64, missing cells NaN, or as objects where it holds anything but numbers."""
    import numpy as np

    x = x.toarray() if hasattr(x, "toarray") else _of_torch(x) if hasattr(x, "detach") else x
    if isinstance(x, Mapping):
        import pandas as pd

        x = pd.DataFrame(x)
    if hasattr(x, "columns") and hasattr(x, "iloc"):
        return [_series(x.iloc[:, place]) for place in range(x.shape[1])]
    try:
        array = np.asarray(x)
        if array.dtype.kind in "US" and not isinstance(x, np.ndarray):
            array = np.asarray(x, dtype=object)  # a list of rows: numbers beside text are numbers still
    except ValueError:
        raise TaskError("X is no table: its rows have different lengths") from None
    if array.ndim == 0:
        raise TaskError(f"X is {str(x)[:40]!r}; expected a table (samples, columns)")
    if array.dtype.names is not None:
        return [_column(array[name].astype(object)) for name in array.dtype.names]
    array = array.reshape(len(array), -1) if len(array) else array.reshape(0, 0)
    if array.dtype.kind == "c":
        raise TaskError("X holds complex numbers; give their real and imaginary parts as columns")
    if isinstance(x, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(x).reshape(array.shape)
        array = array.astype(object)
        array[masked] = None
    if array.dtype.kind in "biuf":
        return list(np.ascontiguousarray(array.T, dtype=np.float64))
    if array.dtype.kind in "mM":
        return [_times(column) for column in array.T]
    return [_column(column) for column in array.T]


def _of_torch(tensor: Any) -> numpy.ndarray:
    tensor = tensor.detach().cpu()
    plain: numpy.ndarray = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    return plain


def _times(column: numpy.ndarray) -> numpy.ndarray:
    """Dates and durations as seconds."""
    import numpy as np

    unit = "datetime64[ns]" if column.dtype.kind == "M" else "timedelta64[ns]"
    return np.where(np.isnat(column), np.nan, column.astype(unit).astype(np.int64) / 1e9)


def _series(values: Any) -> numpy.ndarray:
    """A column of a DataFrame."""
    import numpy as np
    import pandas as pd

    types = pd.api.types
    if types.is_datetime64_any_dtype(values.dtype):
        missing = values.isna().to_numpy()
        return np.where(missing, np.nan, values.astype("int64").to_numpy() / 1e9)
    if types.is_timedelta64_dtype(values.dtype):
        return values.dt.total_seconds().to_numpy(dtype=np.float64)
    if types.is_numeric_dtype(values.dtype) and values.dtype.kind != "c":
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    return _column(values.to_numpy(dtype=object))


def _column(values: numpy.ndarray) -> numpy.ndarray:
    """A column of any objects: numbers where all that are not missing are numbers."""
    import numpy as np

    missing = np.fromiter((_is_missing(value) for value in values), bool, len(values))
    if any(isinstance(value, complex | np.complexfloating) for value in values[~missing]):
        raise TaskError("X holds complex numbers; give their real and imaginary parts as columns")
    if all(isinstance(value, int | float | Decimal | np.number | np.bool_) for value in values[~missing]):
        numbers = np.full(len(values), np.nan)
        numbers[~missing] = values[~missing].astype(np.float64)
        return numbers
    return np.where(missing, "nan", values.astype(str)).astype(object)


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)


def _codes(column: numpy.ndarray) -> numpy.ndarray:
    import numpy as np

    return np.unique(column.astype(str), return_inverse=True)[1].reshape(-1)


def _classes(y: Any, n: int, target: str) -> tuple[Any, numpy.ndarray | None, str]:
    """Which rows have a target (None: all), their classes, or why there are none."""
    import numpy as np

    given = _of_torch(y) if hasattr(y, "detach") else y
    if hasattr(given, "to_numpy"):
        # pandas' nullable numbers become floats, missing ones NaN.
        numbers = getattr(getattr(given, "dtype", None), "kind", "O") in "iuf"
        given = given.to_numpy(dtype=np.float64, na_value=np.nan) if numbers else given.to_numpy()
    array = np.asarray(given)
    if array.ndim == 0 or len(array) != n:
        raise TaskError(f"X has {n} rows, y has {len(array) if array.ndim else 'no'}; each sample needs its target")
    if array.ndim > 1 and array[0].size > 1:
        return None, None, f"the target has {array[0].size} columns, which are no classes"
    array = _column(array.reshape(-1)) if array.dtype.kind == "O" else array.reshape(-1)
    known = array != "nan" if array.dtype.kind == "O" else array == array
    if not known.all():
        array = array[known]
    if not len(array):
        raise TaskError("y has no value that is not missing; meta-features need at least one sample")
    real = array.dtype.kind not in "OUSb" and (target == "quantiles" or (target != "classes" and _is_real(array)))
    if real and target == "nan":
        return (None if known.all() else known), None, "the target is real-valued, and its classes were not asked for"
    if real:
        array = np.searchsorted(np.quantile(array, np.arange(1, _CLASSES) / _CLASSES), array, side="left")
    codes = np.unique(array.astype(str) if array.dtype.kind == "O" else array, return_inverse=True)[1].reshape(-1)
    return (None if known.all() else known), codes, ""


def _is_real(array: numpy.ndarray) -> bool:
    """Whether numbers are amounts rather than classes."""
    return decide_kind(array) == "regression"
