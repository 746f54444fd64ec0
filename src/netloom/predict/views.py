"""What a Gaussian process compares graphs by: scaled features, path counts, and path counts blurred over similar paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..encode.named_features import NAMES, Encoded
from ..encode.vocabulary import KINDS, LABELS, NUMBER, Label, place_of

Array = np.ndarray[Any, Any]
Path = tuple[int, ...]

#: Counts are taken as they are up to here, and beyond by their logarithm.
_LINEAR_UP_TO = 64.0
#: Paths of the training graphs that are kept apart, those in most graphs first.
_MOST_PATHS = 768
#: Columns that agree to this correlation are one.
_SAME = 0.9999


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of a matrix, clipped to what training graphs had with a margin of a quarter, then standardised."""

    kept: Array
    low: Array
    high: Array
    mean: Array
    deviation: Array

    @staticmethod
    def of(matrix: Array, candidates: Array) -> Columns:
        """The columns among ``candidates`` that vary over the rows, of those that agree the first."""
        table = matrix[:, candidates]
        low, high = np.quantile(table, 0.02, axis=0), np.quantile(table, 0.98, axis=0)
        # A column that is the same nearly everywhere is told by its whole range, not by its quantiles.
        flat = high - low < 1e-12
        low, high = np.where(flat, table.min(0), low), np.where(flat, table.max(0), high)
        margin = 0.25 * (high - low)
        low, high = low - margin, high + margin
        table = np.clip(table, low, high)
        mean, deviation = table.mean(0), table.std(0)
        varied = np.flatnonzero(deviation > 1e-9)
        chosen = varied[_different((table[:, varied] - mean[varied]) / deviation[varied])]
        return Columns(candidates[chosen], low[chosen], high[chosen], mean[chosen], deviation[chosen])

    def __call__(self, matrix: Array) -> Array:
        return (np.clip(matrix[:, self.kept], self.low, self.high) - self.mean) / self.deviation


def _different(standard: Array) -> Array:
    """The first of each set of columns that agree."""
    if not standard.shape[1]:
        return np.zeros(0, dtype=int)
    agreement = np.abs(standard.T @ standard) / len(standard)
    found: list[int] = []
    for column in range(standard.shape[1]):
        if not found or agreement[column, found].max() < _SAME:
            found.append(column)
    return np.array(found)


@dataclass(frozen=True, slots=True)
class Views:
    """Three views of encoded graphs, learned from training graphs.

    *features* (N, D); *paths* (N, V + 1): counts of the training graphs' paths and the length of all others; *blurred* (N, V):
    the same counts in a space where paths with similar numbers of the same calls are near, other paths included.
    """

    columns: Columns
    paths: dict[Path, int]
    blur: Array

    @staticmethod
    def of(batch: Encoded) -> Views:
        named = np.array([i for i, name in enumerate(NAMES) if not name.startswith("all.")])
        extra = np.arange(len(NAMES), batch.features.shape[1])
        columns = Columns.of(batch.features, np.concatenate([named, extra]))
        occurrences = dict(zip(batch.paths.vocabulary, np.asarray((batch.paths.counts > 0).sum(0)).ravel().tolist()))
        seen = [path for path, count in occurrences.items() if count]
        frequent = sorted(seen, key=lambda path: (-occurrences[path], len(path), path))[:_MOST_PATHS]
        paths = {path: column for column, path in enumerate(frequent)}
        similar = _similarity(frequent, frequent)
        values, vectors = np.linalg.eigh(similar) if frequent else (np.zeros(0), np.zeros((0, 0)))
        strong = values > 1e-6 * max(values.max(initial=0.0), 1e-12)
        return Views(columns, paths, vectors[:, strong] / np.sqrt(values[strong]))

    def __call__(self, batch: Encoded) -> tuple[Array, ...]:
        given = batch.paths.counts.copy()
        data = given.data
        given.data = np.where(data <= _LINEAR_UP_TO, data, _LINEAR_UP_TO * (1 + np.log(np.maximum(data, 1) / _LINEAR_UP_TO)))
        places = np.array([self.paths.get(path, -1) for path in batch.paths.vocabulary], dtype=np.intp)
        known, column = list(self.paths), np.flatnonzero(places >= 0)
        counts = np.zeros((given.shape[0], len(known) + 1))
        counts[:, places[column]] = given[:, column].toarray()
        blurred = counts[:, :-1] @ (_similarity(known, known) @ self.blur)
        other = np.flatnonzero(places < 0)
        if len(other):
            unseen = given[:, other]
            counts[:, -1] = np.sqrt(np.asarray(unseen.multiply(unseen).sum(1)).ravel())
            blurred += unseen @ (_similarity([batch.paths.vocabulary[i] for i in other], known) @ self.blur)
        views = (self.columns(batch.features), counts, blurred)
        return tuple(view for view in views if view.shape[1] > (view is counts))

    def as_data(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays and JSON data that `from_data` makes the views of again, in any process."""
        used = sorted({label for path in self.paths for label in path})
        labels = [[KINDS[LABELS[label].kind], LABELS[label].name, LABELS[label].reach] for label in used]
        number = {label: i for i, label in enumerate(used)}
        columns = {name: getattr(self.columns, name) for name in Columns.__dataclass_fields__}
        return {**columns, "blur": self.blur}, {"labels": labels, "paths": [[number[i] for i in path] for path in self.paths]}

    @staticmethod
    def from_data(arrays: dict[str, Array], data: dict[str, Any]) -> Views:
        places = [place_of(Label(NUMBER[kind], name, reach)) for kind, name, reach in data["labels"]]
        columns = Columns(*(arrays[name] for name in Columns.__dataclass_fields__))
        paths = {tuple(places[i] for i in path): column for column, path in enumerate(data["paths"])}
        return Views(columns, paths, arrays["blur"])


def _similarity(some: list[Path], others: list[Path]) -> Array:
    """exp(−d²/2) (N, M), d between numbers of calls of each label and in all."""
    labels = {label: i for i, label in enumerate(sorted({label for path in [*some, *others] for label in path}))}

    def numbers(paths: list[Path]) -> Array:
        found = np.zeros((len(paths), len(labels) + 1))
        for row, path in zip(found, paths):
            for label in path:
                row[labels[label]] += 1
            row[-1] = len(path)
        return found

    left, right = numbers(some), numbers(others)
    squared = (left * left).sum(1)[:, None] + (right * right).sum(1)[None] - 2 * left @ right.T
    return np.exp(-np.maximum(squared, 0) / 2)
