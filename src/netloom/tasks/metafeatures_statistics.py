"""Meta-features of the numbers in a table: moments, correlation, distances and overlap of classes. Arrays of one value each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .metafeatures_views import Views

if TYPE_CHECKING:
    import numpy

#: Numbers in a block of pairs of classes.
_BLOCK = 1 << 22


class Statistics:
    """The statistics of one table; what several of them need is worked out once."""

    def __init__(self, views: Views) -> None:
        self.views = views
        self._moments: tuple[numpy.ndarray, ...] | None = None
        self._covariance: numpy.ndarray | None = None

    # -- columns -------------------------------------------------------------------------------------------------------
    def skewness(self) -> numpy.ndarray:
        _, m2, m3, _ = self._central()
        n = self.views.n
        return m3 / m2**1.5 * ((n - 1) / n) ** 1.5

    def kurtosis(self) -> numpy.ndarray:
        _, m2, _, m4 = self._central()
        return m4 / (m2 * m2) * (1 - 1 / self.views.n) ** 2 - 3

    def sparsity(self) -> numpy.ndarray:
        import numpy as np

        views = self.views
        ordered = views.sorted
        # All missing cells are one value.
        present = ordered == ordered
        steps = (ordered[:, 1:] != ordered[:, :-1]) & present[:, 1:]
        different = present[:, 0] + steps.sum(1) + (~present).any(1)
        counts = np.array([int(codes.max()) + 1 for codes in views.categorical], dtype=np.float64)
        return (views.n / np.concatenate([different, counts]) - 1) / np.float64(views.n - 1)

    def _central(self) -> tuple[numpy.ndarray, ...]:
        """The centred columns of N, and their second, third and fourth central moments; no moments of constant ones."""
        import numpy as np

        if self._moments is None:
            numbers: Any = self.views.numbers
            mean = numbers.mean(1, keepdims=True)
            centred = numbers - mean
            squares = centred * centred
            m2, m3, m4 = squares.mean(1), (squares * centred).mean(1), np.einsum("ij,ij->i", squares, squares)
            # What is left of a constant column's variance is rounding.
            m2 = np.where(m2 <= (np.finfo(np.float64).eps * mean[:, 0]) ** 2, np.nan, m2)
            self._moments = centred, m2, m3, m4 / self.views.n
        return self._moments

    # -- pairs of columns ----------------------------------------------------------------------------------------------
    def cor(self) -> numpy.ndarray:
        import numpy as np

        covariance = self._covariances()
        _, m2, _, _ = self._central()
        sd = np.sqrt(np.where(np.isnan(m2), np.nan, np.diagonal(covariance)))
        return np.abs(_lower(covariance / sd[:, None] / sd[None]))

    def cov(self) -> numpy.ndarray:
        import numpy as np

        return np.abs(_lower(self._covariances()))

    def _covariances(self) -> numpy.ndarray:
        import numpy as np

        if self._covariance is None:
            centred = self._central()[0]
            self._covariance = centred @ centred.T / np.float64(self.views.n - 1)
        return self._covariance

    # -- classes -------------------------------------------------------------------------------------------------------
    def gravity(self) -> numpy.ndarray:
        import numpy as np

        counts = self.views.counts
        if len(counts) < 2:
            return np.full(1, np.nan)
        most = int(counts.argmax())
        others = np.delete(np.arange(len(counts)), most)
        least = int(others[counts[others].argmin()])
        means = self._class_sums() / counts
        return np.array([np.linalg.norm(means[:, most] - means[:, least])])

    def f1(self) -> numpy.ndarray:
        import numpy as np

        ordered, starts = self.views.by_class
        counts = self.views.counts
        means = self._class_sums() / counts
        between = (counts * (means - ordered.mean(1, keepdims=True)) ** 2).sum(1)
        within = ((ordered - np.repeat(means, counts, axis=1)) ** 2).sum(1)
        constant = ordered.min(1) == ordered.max(1)
        return np.where(constant, np.nan, 1 / (1 + between / within))

    def f2(self) -> numpy.ndarray:
        import numpy as np

        ordered, starts = self.views.by_class
        low, high = np.minimum.reduceat(ordered, starts, axis=1), np.maximum.reduceat(ordered, starts, axis=1)
        first, second = np.triu_indices(low.shape[1], 1)
        found = []
        for block in np.array_split(np.arange(len(first)), max(1, len(first) * len(low) // _BLOCK)):
            a, b = first[block], second[block]
            overlap = np.minimum(high[:, a], high[:, b]) - np.maximum(low[:, a], low[:, b])
            extent = np.maximum(high[:, a], high[:, b]) - np.minimum(low[:, a], low[:, b])
            found.append((np.maximum(overlap, 0) / extent).prod(0))
        return np.concatenate(found)

    def _class_sums(self) -> numpy.ndarray:
        """Sums of the columns over the rows of each class, (columns, K)."""
        import numpy as np

        ordered, starts = self.views.by_class
        return np.add.reduceat(ordered, starts, axis=1)


def _lower(matrix: numpy.ndarray) -> numpy.ndarray:
    """What lies below the diagonal, row by row."""
    import numpy as np

    return matrix[np.tril_indices(len(matrix), -1)]
