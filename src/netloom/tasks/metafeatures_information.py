"""Meta-features of the categories in a table: entropies, shared information, concentration coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from .metafeatures_views import Views, levels_of

if TYPE_CHECKING:
    import numpy

#: Added to every probability of a table of two columns.
EPSILON = 1e-8
#: Columns whose pairs are looked at.
MOST_COLUMNS = 12
#: Cells of a table that is written out; of larger ones only those with rows are.
_DENSE = 1 << 20


@dataclass(frozen=True, slots=True)
class Crosstab:
    """How often values of two columns come together: sums over the table c (I, J) of n rows.

    ``rows`` (I,) and ``columns`` (J,) are its sums, ``row_squares`` and ``column_squares`` those of its squares, ``cells`` the
    counts above zero.
    """

    n: int
    cells: numpy.ndarray
    rows: numpy.ndarray
    columns: numpy.ndarray
    row_squares: numpy.ndarray
    column_squares: numpy.ndarray

    @staticmethod
    def of(a: numpy.ndarray, b: numpy.ndarray) -> Crosstab:
        import numpy as np

        count_a, count_b = levels_of(a), levels_of(b)
        keys = a * count_b + b
        if count_a * count_b <= max(_DENSE, 4 * len(a)):
            table = np.bincount(keys, minlength=count_a * count_b).reshape(count_a, count_b).astype(np.float64)
            squares = table * table
            return Crosstab(len(a), table[table > 0], table.sum(1), table.sum(0), squares.sum(1), squares.sum(0))
        keys, found = np.unique(keys, return_counts=True)
        cells = found.astype(np.float64)
        i, j = np.divmod(keys, count_b)
        sums = [np.bincount(k, w, m) for w in (cells, cells**2) for k, m in ((i, count_a), (j, count_b))]
        return Crosstab(len(a), cells, *sums)

    def joint_entropy(self) -> float:
        """−Σ q log₂ q, q = c/n + ε, over all cells."""
        import numpy as np

        q = self.cells / self.n + EPSILON
        empty = len(self.rows) * len(self.columns) - len(self.cells)
        return float(-(q * np.log2(q)).sum() - empty * EPSILON * np.log2(EPSILON))

    def concentration(self) -> float:
        """τ = (Σ q_ij² / q_·j − Σ q_i·²) / (1 − Σ q_i·²), q = c/n + ε: how well the column tells the row."""
        return _concentration(self.n, self.rows, self.columns, self.column_squares)

    def concentration_of_columns(self) -> float:
        """The same of the transposed table."""
        return _concentration(self.n, self.columns, self.rows, self.row_squares)


def _concentration(n: int, rows: numpy.ndarray, columns: numpy.ndarray, column_squares: numpy.ndarray) -> float:
    # Sums of (c/n + ε)² along a column, multiplied out: the table itself is not needed.
    squares = column_squares / n**2 + 2 * EPSILON * columns / n + len(rows) * EPSILON**2
    marginal = columns / n + len(rows) * EPSILON
    spread = float(((rows / n + len(columns) * EPSILON) ** 2).sum())
    return (float((squares / marginal).sum()) - spread) / (1 - spread)


class Information:
    """The information measures of one table; what several of them need is worked out once."""

    def __init__(self, views: Views, seed: int) -> None:
        self.views, self.seed = views, seed
        self._tables: list[Crosstab] | None = None

    def _with_classes(self) -> list[Crosstab]:
        """Each column of C with the classes."""
        if self._tables is None:
            classes: Any = self.views.classes
            self._tables = [Crosstab.of(codes, classes) for codes in self.views.codes]
        return self._tables

    def class_ent(self) -> numpy.ndarray:
        import numpy as np

        return np.array([entropy(self.views.counts, self.views.n)])

    def attr_ent(self) -> numpy.ndarray:
        import numpy as np

        return np.array([entropy(np.bincount(codes), self.views.n) for codes in self.views.codes])

    def mut_inf(self) -> numpy.ndarray:
        import numpy as np

        of_classes, n = float(self.class_ent()[0]), self.views.n
        return np.array([entropy(t.rows, n) + of_classes - t.joint_entropy() for t in self._with_classes()])

    def class_conc(self) -> numpy.ndarray:
        import numpy as np

        return np.array([table.concentration() for table in self._with_classes()])

    def eq_num_attr(self) -> numpy.ndarray:
        return len(self.views.codes) * self.class_ent() / self.mut_inf().sum()

    def ns_ratio(self) -> numpy.ndarray:
        import numpy as np

        shared = self.mut_inf().sum()
        return np.array([(self.attr_ent().sum() - shared) / shared])

    def attr_conc(self) -> numpy.ndarray:
        import numpy as np

        codes = self.views.codes
        if len(codes) > MOST_COLUMNS:
            chosen = np.random.RandomState(self.seed).choice(np.arange(len(codes)), MOST_COLUMNS, replace=False)
            codes = [codes[place] for place in chosen]
        tables = [Crosstab.of(a, b) for a, b in combinations(codes, 2)]
        return np.array([value for t in tables for value in (t.concentration(), t.concentration_of_columns())])


def entropy(counts: numpy.ndarray, n: int) -> float:
    """Shannon entropy in bits of n rows that fall into classes of these sizes.

    >>> import numpy as np
    >>> entropy(np.array([2, 2, 0]), 4)
    1.0
    """
    import numpy as np

    share = counts[counts > 0] / n
    return float(-(share * np.log2(share)).sum()) + 0.0
