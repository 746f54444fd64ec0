"""`features`: any graph as a row of named numbers.

Counts, path statistics and sizes in the spirit of GRAF (Kadlecová et al., "Surprisingly Strong Performance Prediction with
Neural Graph Features", ICML 2024), taken from the signal of a graph instead of the edges of a cell, so that they exist for
every graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import segment_statistics, size_features
from .segment_statistics import joined_sequences, statistics
from .signal_batches import AT_ONCE, Segments, Signals, signals
from .signal_flow import units
from .vocabulary import KINDS, LABELS

if TYPE_CHECKING:
    import pandas

    from ..graph.graph import Graph

Array = np.ndarray[Any, Any]
#: A path: the labels of the main calls that it passes.
Path = tuple[int, ...]

_CHAIN = ("segments", "segments.different", "units", "units.different", "disconnected", "dead")
#: The columns of `features`.
NAMES = (*segment_statistics.NAMES, *size_features.NAMES, *_CHAIN, *(f"all.{kind}" for kind in KINDS))


class Paths(NamedTuple):
    """Path counts: a sparse matrix (N, V) of scipy, and the path of each column."""

    counts: Any
    vocabulary: list[Path]

    def __getitem__(self, rows: Any) -> Paths:
        """The counts of some graphs, with all columns."""
        return Paths(self.counts[rows], self.vocabulary)


class Encoded(NamedTuple):
    """Graphs as predictors read them: features (N, F) in the order of `NAMES`, and path counts."""

    features: Array
    paths: Paths


def encoded(graphs: Iterable[Graph]) -> Encoded:
    """Features and path counts of graphs, every different segment, chain and repeated block looked at once."""
    graphs = list(graphs)
    known = _Known()
    rows = [known.rows(graphs[begin : begin + AT_ONCE]) for begin in range(0, len(graphs), AT_ONCE)]
    features = np.vstack(rows) if rows else np.zeros((0, len(NAMES)))
    return Encoded(features, known.paths(len(graphs)))


class _Known:
    """What was learned of the graphs so far: statistics of segments, units of chains, paths of units."""

    def __init__(self) -> None:
        self.segments = Segments()
        self.table = np.zeros((0, len(segment_statistics.NAMES)))
        self.chains: dict[bytes, int] = {}
        self.units: dict[Path, int] = {}
        #: By chain: numbers of segments, of different ones, of units, of different ones, and whether there is none.
        self.chain_numbers: list[tuple[int, int, int, int, int]] = []
        self.chain_units: list[list[int]] = []
        self.chain_of_graph: list[Array] = []

    def rows(self, graphs: Sequence[Graph]) -> Array:
        """The features (N, F) of graphs."""
        found = signals(graphs, self.segments)
        new = [statistics(segment) for segment in self.segments.found[len(self.table) :]]
        self.table = np.vstack([self.table, *new])
        chains = np.array([self._chain(found, i) for i in range(len(graphs))])
        self.chain_of_graph.append(chains)
        numbers = np.array(self.chain_numbers, dtype=np.float64)[chains]
        dead = np.diff(found.bounds) - np.diff(found.live_bounds)
        kinds = np.array([label.kind for label in LABELS] or [0])[found.labels]
        cells = np.repeat(np.arange(len(graphs)), np.diff(found.bounds)) * len(KINDS) + kinds
        everything = np.bincount(cells, minlength=len(graphs) * len(KINDS)).reshape(len(graphs), len(KINDS))
        return np.hstack([self._structure(found), size_features.sizes(graphs, found), numbers, dead[:, None], everything])

    def _structure(self, found: Signals) -> Array:
        from scipy.sparse import csr_matrix

        shape = (len(found.chain_bounds) - 1, len(self.table))
        which: Array = csr_matrix((np.ones(len(found.chain)), found.chain, found.chain_bounds), shape=shape) @ self.table
        return which

    def _chain(self, found: Signals, i: int) -> int:
        """The number of a graph's chain of segments."""
        segments = found.chain[found.chain_bounds[i] : found.chain_bounds[i + 1]]
        key = segments.tobytes()
        number = self.chains.get(key)
        if number is None:
            number = self.chains[key] = len(self.chains)
            chain = tuple(segments.tolist())
            parts = units(chain)
            self.chain_units.append([self.units.setdefault(part, len(self.units)) for part in parts])
            self.chain_numbers.append((len(chain), len(set(chain)), len(parts), len(set(parts)), not chain))
        return number

    def paths(self, num_graphs: int) -> Paths:
        """Path counts of all graphs so far, units of repeated segments taken as one."""
        from scipy.sparse import csr_matrix

        vocabulary: dict[Path, int] = {}
        counts: list[float] = []
        columns: list[int] = []
        ends = [0]
        for unit in self.units:
            for path, count in joined_sequences(tuple(self.segments.found[i] for i in unit)).items():
                columns.append(vocabulary.setdefault(path, len(vocabulary)))
                counts.append(count)
            ends.append(len(columns))
        of_unit = csr_matrix((counts, columns, ends), shape=(len(self.units), len(vocabulary)), dtype=np.float64)
        used = [number for chain in self.chain_units for number in chain]
        bounds = np.cumsum([0, *map(len, self.chain_units)])
        of_chain = csr_matrix((np.ones(len(used)), used, bounds), shape=(len(self.chains), len(self.units))) @ of_unit
        which = np.concatenate(self.chain_of_graph) if num_graphs else np.zeros(0, dtype=np.intp)
        return Paths(of_chain[which], list(vocabulary))


def features(graphs: Graph | Sequence[Graph]) -> pandas.DataFrame:
    """Named numbers (N, F) of graphs, the same columns whatever the graphs are; see docs/encodings.md for each.

    >>> import netloom as nl
    >>> x = nl.input(3, 8, 8)
    >>> y = nl.relu(nl.conv2d(x, 4, kernel=3, padding=1))
    >>> y = nl.add(y, nl.conv2d(y, 4, kernel=1))
    >>> graph = nl.Graph(x, nl.linear(nl.flatten(y), 2))
    >>> nl.encode.features([graph])[["live.conv3", "longest.heavy", "shortest.heavy", "skips"]].iloc[0].tolist()
    [1.0, 3.0, 2.0, 1.0]
    """
    import pandas as pd

    from ..graph.graph import Graph

    graphs = [graphs] if isinstance(graphs, Graph) else list(graphs)
    if not graphs:
        return pd.DataFrame(np.zeros((0, len(NAMES))), columns=list(NAMES))
    return pd.DataFrame(encoded(graphs).features, columns=list(NAMES))
