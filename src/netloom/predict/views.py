"""What graphs are compared by: scaled features, path counts plain and blurred, neighbourhoods, regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..encode.named_features import NAMES, Counted, Encoded
from ..encode.vocabulary import KINDS, LABELS, NUMBER, Label, place_of

Array = np.ndarray[Any, Any]
Path = tuple[int, ...]

#: Counts are taken as they are up to here, and beyond by their logarithm.
_LINEAR_UP_TO = 64.0
#: Paths of the training graphs that are kept apart, those in most graphs first.
_MOST_PATHS = 768
#: Neighbourhoods that are counted, of those that so many of the training graphs have.
_MOST_NEIGHBOURS, _FEWEST_GRAPHS = 1024, 2
#: First and last regions that are told apart, of those that such a share of the training graphs have.
_MOST_REGIONS, _SHARE = 64, 0.1
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


class Seen(NamedTuple):
    """Graphs as numbers, N rows each; a view that tells nothing apart has no columns.

    *features* (N, D); *paths* (N, V + 1): counts of the training graphs' paths and the length of all others; *blurred* (N, B):
    the same counts in a space where paths with similar numbers of the same calls are near, other paths included;
    *neighbours* (N, W): logarithms of one more than the counts of neighbourhoods; *regions* (N, R): the same of regions, to one
    scale with the features.
    """

    features: Array
    paths: Array
    blurred: Array
    neighbours: Array
    regions: Array

    def some(self, rows: Any) -> Seen:
        """Some of the rows."""
        return Seen(*(view[rows] for view in self))


@dataclass(frozen=True, slots=True)
class Views:
    """Views of encoded graphs, learned from training graphs: see `Seen`."""

    columns: Columns
    paths: dict[Path, int]
    blur: Array
    neighbours: dict[int, int]
    regions: dict[int, int]
    region_columns: Columns

    @staticmethod
    def of(batch: Encoded) -> Views:
        columns = Columns.of(batch.features, candidates(batch.features.shape[1]))
        occurrences = dict(zip(batch.paths.vocabulary, np.asarray((batch.paths.counts > 0).sum(0)).ravel().tolist()))
        seen = [path for path, count in occurrences.items() if count]
        frequent = sorted(seen, key=lambda path: (-occurrences[path], len(path), path))[:_MOST_PATHS]
        paths = {path: column for column, path in enumerate(frequent)}
        similar = _similarity(frequent, frequent)
        values, vectors = np.linalg.eigh(similar) if frequent else (np.zeros(0), np.zeros((0, 0)))
        strong = values > 1e-6 * max(values.max(initial=0.0), 1e-12)
        neighbours = _told(batch.neighbours, _FEWEST_GRAPHS, _MOST_NEIGHBOURS)
        regions = _told(batch.regions, max(_FEWEST_GRAPHS, _SHARE * len(batch.features)), _MOST_REGIONS)
        region_columns = Columns.of(_logarithms(batch.regions, regions), np.arange(len(regions)))
        return Views(columns, paths, vectors[:, strong] / np.sqrt(values[strong]), neighbours, regions, region_columns)

    def __call__(self, batch: Encoded) -> Seen:
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
        regions = self.region_columns(_logarithms(batch.regions, self.regions))
        return Seen(self.columns(batch.features), counts, blurred, _logarithms(batch.neighbours, self.neighbours), regions)

    def as_data(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays and JSON data that `from_data` makes the views of again, in any process."""
        used = sorted({label for path in self.paths for label in path})
        labels = [[KINDS[LABELS[label].kind], LABELS[label].name, LABELS[label].reach] for label in used]
        number = {label: i for i, label in enumerate(used)}
        columns = {name: getattr(self.columns, name) for name in Columns.__dataclass_fields__}
        columns |= {f"region.{name}": getattr(self.region_columns, name) for name in Columns.__dataclass_fields__}
        paths = [[number[i] for i in path] for path in self.paths]
        # JSON has no whole numbers of 64 bits that every reader takes.
        numbers = {"neighbours": list(map(str, self.neighbours)), "regions": list(map(str, self.regions))}
        return {**columns, "blur": self.blur}, {"labels": labels, "paths": paths, **numbers}

    @staticmethod
    def from_data(arrays: dict[str, Array], data: dict[str, Any]) -> Views:
        places = [place_of(Label(NUMBER[kind], name, reach)) for kind, name, reach in data["labels"]]
        columns = Columns(*(arrays[name] for name in Columns.__dataclass_fields__))
        paths = {tuple(places[i] for i in path): column for column, path in enumerate(data["paths"])}
        region_columns = Columns(*(arrays[f"region.{name}"] for name in Columns.__dataclass_fields__))
        neighbours, regions = (
            {int(number): column for column, number in enumerate(data[name])} for name in ("neighbours", "regions")
        )
        return Views(columns, paths, arrays["blur"], neighbours, regions, region_columns)


def candidates(num_columns: int) -> Array:
    """Columns of a table of features, and of what was appended to it, that tell something of a graph's signal."""
    named = np.array([i for i, name in enumerate(NAMES) if not name.startswith("all.")])
    return np.concatenate([named, np.arange(len(NAMES), num_columns)])


def _told(counted: Counted, fewest: float, most: int) -> dict[int, int]:
    """What is counted, by column: of what so many graphs have and not all alike, that of most graphs."""
    having = np.asarray((counted.counts > 0).sum(0)).ravel()
    mean = np.asarray(counted.counts.mean(0)).ravel() if counted.counts.shape[0] else having
    varied = np.asarray(counted.counts.power(2).mean(0)).ravel() > mean**2 * (1 + 1e-9)
    told = np.flatnonzero((having >= fewest) & varied).tolist()
    told = sorted(told, key=lambda i: (-having[i], counted.vocabulary[i]))[:most]
    return {counted.vocabulary[i]: column for column, i in enumerate(told)}


def _logarithms(counted: Counted, columns: dict[int, int]) -> Array:
    """Logarithms of one more than the counts (N, V), by column."""
    places = np.array([columns.get(number, -1) for number in counted.vocabulary], dtype=np.intp)
    known = np.flatnonzero(places >= 0)
    chosen = counted.counts[:, known].tocsr()
    rows = np.repeat(np.arange(chosen.shape[0]), np.diff(chosen.indptr))
    found = np.zeros((chosen.shape[0], len(columns)))
    found[rows, places[known][chosen.indices]] = np.log1p(chosen.data)
    return found


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
