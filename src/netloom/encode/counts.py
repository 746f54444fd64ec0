"""Counts of named things, one row a graph: what `paths` and `wl` give."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Counts (N, V) of N graphs, sparse; column j counts what ``vocabulary[j]`` names.

    ``np.asarray`` of it, or ``dense()``, is an array (N, V) of float64; an index gives rows of that. ``sparse`` is a matrix of
    scipy, ``frame()`` a DataFrame. Give ``vocabulary`` to the same function again for other graphs with the same columns: what
    it does not name is left out, and counted in ``left_out`` (N,).
    """

    sparse: Any
    vocabulary: tuple[str, ...]
    left_out: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.left_out), len(self.vocabulary)

    def __len__(self) -> int:
        return len(self.left_out)

    def dense(self) -> NDArray[np.float64]:
        """The counts as an array (N, V)."""
        found: NDArray[np.float64] = self.sparse.toarray()
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.dense().astype(dtype or np.float64, copy=False)

    def __getitem__(self, index: Any) -> NDArray[np.float64]:
        rows: NDArray[np.float64] = self.sparse[index].toarray()
        return rows[0] if isinstance(index, int | np.integer) else rows

    def frame(self) -> pandas.DataFrame:
        """The counts as a DataFrame, a column for each name."""
        import pandas as pd

        return pd.DataFrame(self.dense(), columns=list(self.vocabulary))


def counted(
    rows: Sequence[Mapping[Any, float]], names: Mapping[Any, str], vocabulary: Iterable[str] | None, min_graphs: int
) -> Counts:
    """Rows of counts by key as `Counts`, keys called as ``names`` says.

    Without a ``vocabulary`` it is all names that ``min_graphs`` rows have, in alphabetical order; one key has one name.
    """
    from scipy.sparse import csr_matrix

    if vocabulary is None:
        having: dict[Any, int] = {}
        for row in rows:
            for key in row:
                having[key] = having.get(key, 0) + 1
        listed = tuple(sorted(names[key] for key, count in having.items() if count >= min_graphs))
    else:
        listed = checked_vocabulary(vocabulary)
    column = {name: j for j, name in enumerate(listed)}
    column_of = {key: column.get(name, -1) for key, name in names.items()}
    values: list[float] = []
    columns: list[int] = []
    ends = [0]
    left_out = np.zeros(len(rows))
    for i, row in enumerate(rows):
        for key, count in row.items():
            j = column_of[key]
            if j < 0:
                left_out[i] += count
            else:
                values.append(count)
                columns.append(j)
        ends.append(len(values))
    sparse = csr_matrix((values, columns, ends), shape=(len(rows), len(listed)), dtype=np.float64)
    sparse.sort_indices()
    return Counts(sparse, listed, left_out)


def checked_vocabulary(vocabulary: Iterable[str]) -> tuple[str, ...]:
    """The vocabulary as a tuple; `FormatError` unless it is one of different names."""
    given: Any = getattr(vocabulary, "vocabulary", vocabulary)
    listed = () if isinstance(given, str) else tuple(given)
    if isinstance(given, str) or not all(isinstance(name, str) for name in listed):
        raise FormatError(f"vocabulary = {given!r:.80}; expected the names that an earlier call gave as .vocabulary")
    if len(set(listed)) < len(listed):
        twice = next(name for i, name in enumerate(listed) if name in listed[:i])
        near = difflib.get_close_matches(twice, [name for name in listed if name != twice], 1)
        raise FormatError(f"vocabulary has {twice!r} twice" + (f" (and {near[0]!r})" if near else "") + "; names must differ")
    return listed
